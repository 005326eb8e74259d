"""The JSON Schema of report.json (draft 2020-12), made from the places where its words are defined.

``metarep report`` writes it beside each report. A record lists all of its fields and allows no others, so that one that
is added, renamed or dropped without saying so here fails the tests; what depends on the claim (an instance, a
measurement's details) is open.
"""

from collections.abc import Iterable
from typing import Any, get_args

from metarep.reports.chapters.boundaries.data import ENDS
from metarep.reports.report.stored import FORMAT
from metarep.sim.learners import LEARNERS
from metarep.sim.trajectories import Outcome
from metarep.theory.claims.record import Kind, Verdict
from metarep.theory.engine.evidence import EvidenceKind

VARYING = ("run",)
"""The fields in which reports of equal seeds, profiles and versions may differ."""
SCHEMA_FILE = "report.schema.json"
SCHEMA_LINE = {"$schema": f"./{SCHEMA_FILE}"}
"""With this report.json names its schema, which lies beside it; editors look for it under this name."""

Schema = dict[str, Any]


# --- how schemas are put together -------------------------------------------------------------------------------------


def _text(description: str) -> Schema:
    return {"type": "string", "description": description}


def _number(description: str, **more: Any) -> Schema:
    return {"type": "number", "description": description, **more}


def _whole(description: str, least: int | None = 0) -> Schema:
    return {"type": "integer", "description": description, **({} if least is None else {"minimum": least})}


def _yes(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def _one_of(words: Iterable[str], description: str) -> Schema:
    return {"enum": list(words), "description": description}


def _list(items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "description": description}


def _texts(description: str) -> Schema:
    return _list({"type": "string"}, description)


def _map(values: Schema, description: str) -> Schema:
    return {"type": "object", "additionalProperties": values, "description": description}


def _open(description: str) -> Schema:
    return {"type": "object", "description": description}


def _record(description: str, /, **fields: Schema) -> Schema:
    return {
        "type": "object",
        "description": description,
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


def _or_null(schema: Schema) -> Schema:
    """The same or null."""
    if "$ref" in schema or "enum" in schema or "properties" in schema or "additionalProperties" in schema:
        inner = {name: value for name, value in schema.items() if name != "description"}
        return {"anyOf": [inner, {"type": "null"}], "description": schema["description"]}
    return {**schema, "type": [schema["type"], "null"]}


def _ref(name: str, description: str) -> Schema:
    return {"$ref": f"#/$defs/{name}", "description": description}


# --- the parts --------------------------------------------------------------------------------------------------------

_LEARNER = _one_of(LEARNERS, "The learner.")
_INSTANCE = "by the paper's symbols; fractions are strings 'p/q', arrays nested lists"
_SIZES = {
    "d": _whole("Ambient dimension d.", 1),
    "k": _whole("Dimension k of the representation.", 1),
    "n": _whole("Tasks a step, n.", 1),
}
_STEP_SIZES = {"alpha": _number("Inner step size α."), "beta": _number("Outer step size β.")}


def _verdict(description: str) -> Schema:
    return _ref("verdict", description)


def _definitions() -> dict[str, Schema]:
    return {
        "verdict": {
            "description": "How strongly a claim is known; computed from the evidence, a counterexample beats all.",
            "oneOf": [{"const": verdict.value, "description": verdict.meaning} for verdict in Verdict],
        },
        "evidence": _record(
            "What one way of knowing found.",
            kind=_one_of(get_args(EvidenceKind), "A symbolic proof, fractions, floating point, or a measurement."),
            verdict=_verdict("What this evidence alone amounts to."),
            examples=_whole("Instances checked; 0 for a proof, which speaks of all."),
            worst_margin=_or_null(
                _number(
                    "The least (bound − value)/|bound| seen, for inequalities; negative where the bound was exceeded. "
                    "Null for identities, proofs and measurements."
                )
            ),
            instance=_or_null(_open(f"The instance with the worst margin, else one of them: {_INSTANCE}.")),
            counterexample=_or_null(_open(f"The smallest counterexample found: {_INSTANCE}; null if there is none.")),
            why=_text("What was compared, measured or left over, in words."),
            strain=_or_null(_number("The largest share of the tolerance for rounding errors that was used.")),
            estimate=_or_null(_number("What was measured.")),
            uncertainty=_or_null(_number("Its uncertainty.", minimum=0)),
            steps=_texts("The steps of the proof."),
            details=_open("What else a measurement has to show."),
        ),
        "claim": _record(
            "A claim and all that is known of it.",
            id=_text("Its name on the command line and in links."),
            chapter=_text("Where the catalogue has it."),
            statement=_text("The statement, LaTeX between dollar signs."),
            source=_text("Where it comes from."),
            from_paper=_yes("Whether it is the paper's; else it is our own."),
            hypotheses=_text("What is assumed."),
            kind=_one_of(get_args(Kind), "What is checked: that two sides are equal, a bound, or a number."),
            learners=_list(_LEARNER, "The learners that its instances exercise."),
            rests_on=_texts("Ids of the claims that it uses."),
            remark=_text("What a reader must know besides; may be empty."),
            status=_verdict("How it is known, from the evidence."),
            expected=_verdict("How the catalogue expects it to be known."),
            as_expected=_yes("Whether these are the same; if not, that is news."),
            evidence=_list(_ref("evidence", "One way of knowing."), "All that was found."),
            command=_text("The command that checks it again."),
            rests_on_refuted=_texts("Ids of refuted claims that it rests on, directly or not."),
        ),
        "rate": _record(
            "What the linearisation says, what a run shows and what the envelope promises; factors of dist a step.",
            learner=_LEARNER,
            **_SIZES,
            **_STEP_SIZES,
            symbolic=_number("The rate from the linearisation; where unstable, the predicted growth at the truth."),
            empirical=_or_null(_number("The rate fitted to a run; where unstable, the growth that was measured.")),
            standard_error=_or_null(_number("Of the fit.")),
            relative_error=_or_null(_number("|empirical − symbolic| / (1 − symbolic).")),
            envelope=_or_null(_number("The envelope's factor; null for average loss and where it promises nothing.")),
            outcome=_one_of(
                (*(outcome.value for outcome in Outcome), "unstable"),
                "What became of the run; unstable: the linearisation grows at the truth, and there was none.",
            ),
        ),
        "curve": _record(
            "Where the trials of one curve of an experiment ended.",
            panel=_text("The panel; '-fixed' at its end: tasks are kept."),
            curve=_text("The curve's label."),
            learner=_LEARNER,
            tasks=_one_of(("fixed", "fresh"), "Whether tasks are kept or drawn afresh at every step."),
            steps=_whole("Outer steps.", 1),
            trials=_whole("Trials.", 1),
            median_dist=_or_null(_number("Median distance at the end of the trials that did not diverge.")),
            largest_dist=_or_null(_number("The largest.")),
            smallest_dist=_or_null(_number("The smallest.")),
            outcomes=_map(_whole("Trials.", 1), "How many trials ended how."),
        ),
        "floor": _record(
            "A long run of FO-ANIL at its noise floor; mean square sines.",
            setting=_record(
                "Sizes and noise; heads are mean + spread·N(0, I).",
                **_SIZES,
                **_STEP_SIZES,
                m_in=_whole("Inner samples.", 1),
                m_out=_whole("Outer samples.", 1),
                sigma=_number("Noise σ."),
                mean=_number("Mean of the heads' entries."),
                spread=_number("Their standard deviation."),
                heads_seed=_whole("Seed of the heads."),
            ),
            size=_number("αβL_*²."),
            predicted=_number("Predicted."),
            plain=_number("Predicted without counting that the contraction varies."),
            rough=_number("The rough formula."),
            seen=_number("Measured."),
            standard_error=_number("Of what was measured."),
        ),
        "figure": _record(
            "A figure of the page.",
            chapter=_text("Anchor of its chapter; 'top' before the first one."),
            svg=_texts("Its panels' files."),
            csv=_texts("Files of what it shows."),
            alt=_text("What is seen, in words."),
            caption=_text("Its caption, in Markdown."),
        ),
    }


def _boundaries() -> Schema:
    near = _record(
        "Runs near the truth against what 𝓛 predicts.",
        as_predicted=_whole("Points as predicted."),
        decided=_whole("Points that were decided."),
        undecided=_whole("Points that were not."),
    )
    return _record(
        "Where the theory stops; the maps themselves are in the figures' data.",
        fo_maml_near=_map(near, "FO-MAML near the truth, by law of the heads."),
        fo_maml_far=_record(
            "FO-MAML far from it.",
            amplification=_list(
                _record(
                    "By how much its head grows from the farthest start.",
                    k=_whole("k.", 1),
                    seen=_number("Seen."),
                    predicted=_number("Predicted."),
                ),
                "By dimension of the representation.",
            ),
            dist_0=_number("That start's distance."),
            share_random=_number("Share of random balanced starts that diverge."),
            trials=_whole("Trials.", 1),
        ),
        scale=_list(
            _record(
                "What became of runs from starts of one scale: shares.",
                learner=_LEARNER,
                scale=_number("√α‖B_0‖."),
                **{end: _number(f"Share: {end}.", minimum=0, maximum=1) for end in ENDS},
            ),
            "By learner and scale of the start.",
        ),
        baseline=_list(
            _record(
                "Average loss.", k=_whole("k.", 1), least_dist=_number("The least distance it came to in any trial.")
            ),
            "By dimension of the representation.",
        ),
    )


def _samples() -> Schema:
    recovery = {
        **_SIZES,
        **_STEP_SIZES,
        "sigma": _number("Noise σ."),
        "dist0": _number("Distance of the start."),
        "steps": _whole("Outer steps.", 1),
        "trials": _whole("Trials.", 1),
        "sizes": _list(_whole("Samples.", 1), "Sizes tried."),
        "other": _whole("The size that is kept while the other one varies.", 1),
    }
    point = _record(
        "Where trials ended.",
        learner=_LEARNER,
        m_in=_whole("Inner samples.", 1),
        m_out=_whole("Outer samples.", 1),
        dist=_list(_number("Distance."), "At the end, of the trials that did not diverge."),
        diverged=_whole("Trials that did."),
    )
    return _record(
        "Finite samples.",
        floor=_list(_ref("floor", "One setting."), "Several settings at small steps."),
        growth=_list(_ref("floor", "One size."), "One setting at growing outer step size."),
        recovery_setting=_record("What the recovery runs have in common.", **recovery),
        recovery=_list(point, "All learners against sample sizes."),
    )


def _learner_study() -> Schema:
    eigenvalues = _list({"type": ["number", "object"]}, "Eigenvalues; complex ones as {re, im}.")
    return _record(
        "What 'metarep study' found about one of the worked examples.",
        learner=_text("Its name."),
        learns=_yes("Whether it learns the representation."),
        reason=_text("Why, or why not."),
        symbolic=_or_null(_number("Predicted rate.")),
        empirical=_or_null(_number("Fitted rate.")),
        relative_error=_or_null(_number("|log empirical / log symbolic − 1|.")),
        spectrum=_or_null(
            _record(
                "Of one step where the nearest run comes to rest; null if nowhere.",
                perpendicular=eigenvalues,
                span_and_head=eigenvalues,
                stable=_yes("Whether it attracts."),
                neutral=_whole("Directions along which nothing moves."),
                turn=_number("By how much a step still turns B within its column space."),
                fixed_point=_text("Which family of fixed points it belongs to."),
            )
        ),
        update=_list(_texts("Left and right side."), "The derived outer step, line by line."),
        right_factor=_or_null(_text("N, with which a step multiplies the perpendicular part.")),
        moments=_or_null(_whole("How many moments of the heads the averaged update depends on.")),
        same_as=_texts("Learners whose update is the same."),
        fixed_points=_list(
            _record("A family.", id=_text("Its name."), what=_text("What it consists of.")),
            "Families of fixed points with B = B_*M.",
        ),
        starts=_list(
            _record("A group of starts.", start=_text("Which."), share_learned=_number("Share of runs that learned.")),
            "By start.",
        ),
        settings=_record(
            "The problem.",
            **_SIZES,
            **_STEP_SIZES,
            head_mean=_number("‖w̄_*‖."),
            steps=_whole("Outer steps.", 1),
            trials=_whole("Starts of each group.", 1),
            seed=_whole("Seed."),
        ),
    )


def _selftest() -> Schema:
    fault = _record(
        "A wrong implementation or formula.",
        fault=_text("Its name."),
        cause=_text("The kind of mistake."),
        description=_text("What is wrong."),
        refuted_by=_texts("Claims that see it."),
        survived=_texts("Claims that exercise what it changes and do not."),
    )
    wrong = _record(
        "A wrong claim.",
        claim=_text("Its name."),
        statement=_text("What it says."),
        evidence=_or_null(_ref("evidence", "What refutes it; null if nothing does.")),
    )
    return _record(
        "The tests' own test.",
        claims=_texts("The claims tried."),
        faults=_list(fault, "The wrong implementations and formulas."),
        wrong_claims=_list(wrong, "The wrong claims."),
        survivors=_texts("What nothing refuted."),
    )


def _against() -> Schema:
    return _record(
        "What changed since an older report (--against).",
        before=_record(
            "The older report.",
            profile=_or_null(_text("Its profile.")),
            seed=_or_null(_whole("Its seed.")),
            versions=_or_null(_map({"type": "string"}, "Its versions.")),
        ),
        verdicts=_list(
            _record(
                "A claim's status.",
                claim=_text("Its id."),
                before=_or_null(_verdict("Null: it was not there.")),
                now=_or_null(_verdict("Null: it is gone.")),
            ),
            "Statuses that changed, claims that came or went.",
        ),
        **{
            what: _list(
                _record(
                    "A number of a claim's evidence.",
                    claim=_text("The claim's id."),
                    kind=_one_of(get_args(EvidenceKind), "The evidence."),
                    before=_number("Before."),
                    now=_number("Now."),
                ),
                f"{title} that changed.",
            )
            for what, title in (("margins", "Worst margins"), ("estimates", "Estimates"))
        },
        rates=_list(
            _record(
                "A rate.",
                learner=_LEARNER,
                **_SIZES,
                **_STEP_SIZES,
                what=_one_of(("symbolic", "empirical", "envelope"), "Which."),
                before=_or_null(_number("Before.")),
                now=_or_null(_number("Now.")),
            ),
            "Rates that changed.",
        ),
        alike=_record(
            "How many did not change.",
            **{name: _whole(f"How many {name}.") for name in ("verdicts", "margins", "estimates", "rates")},
        ),
    )


# --- the whole --------------------------------------------------------------------------------------------------------


def report_schema() -> Schema:
    """The schema."""
    equations = _record(
        "Equations under a heading.",
        heading=_text("The heading."),
        equations=_list(_texts("Left and right side."), "LaTeX."),
        remark=_text("What is to be said of them; may be empty."),
    )
    replication = _record(
        "Whether an experiment replicates, by the criterion that the page states.",
        experiment=_text("The experiment."),
        tasks=_text("The choice that the paper leaves open: fresh or fixed tasks."),
        verdict=_text("In words."),
        checks=_map({"type": "boolean"}, "What was looked at, and whether it is as the paper says."),
    )
    fields = _record(
        "Written by 'metarep report'. A field that is null or empty was not run. Reports of equal seeds, profiles and "
        f"versions differ in {', '.join(VARYING)} alone. No number is NaN or infinite: such a value is null.",
        format={"const": FORMAT, "description": "Number of this format; another one whenever it changes."},
        title=_text("The report's title."),
        answer=_texts("What was found, in a few lines of Markdown."),
        chapters=_list(
            _record("A chapter.", anchor=_text("What links lead to."), title=_text("Its title.")),
            "The chapters of report.html and report.md.",
        ),
        figures=_list(_ref("figure", "A figure."), "The figures with their files, beside report.json."),
        profile=_text("How much was run."),
        effort=_number("By how much every claim's instances are multiplied."),
        seed=_whole("Of all randomness."),
        versions=_map({"type": "string"}, "Versions of what the numbers depend on."),
        counts={
            "type": "object",
            "propertyNames": {"$ref": "#/$defs/verdict"},
            "additionalProperties": {"type": "integer", "minimum": 1},
            "description": "How many claims have each status.",
        },
        claims=_list(_ref("claim", "A claim."), "The claims, in the catalogue's order, then one's own."),
        rates=_list(_ref("rate", "A row."), "The rates table."),
        rate_grid=_list(_ref("rate", "A row."), "The further settings of the figures on rates."),
        derived=_map(_list(equations, "Its parts."), "The derived updates by learner."),
        boundaries=_or_null(_boundaries()),
        experiments=_map(_list(_ref("curve", "A curve."), "Its curves."), "The paper's experiments by name."),
        replications=_list(replication, "By experiment and choice of tasks."),
        samples=_or_null(_samples()),
        learners=_list(_learner_study(), "Other learners."),
        selftest=_or_null(_selftest()),
        against=_or_null(_against()),
        run=_record(
            "When and how long: all that differs between equal runs.",
            at=_text("When it began, in UTC, ISO 8601."),
            seconds=_number("How long it took.", minimum=0),
            jobs=_map({"type": "number", "minimum": 0}, "Seconds by job."),
        ),
    )
    properties = {"$schema": {"const": SCHEMA_LINE["$schema"], "description": "This schema."}, **fields["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:metarep:report:{FORMAT}",
        "title": "A report of metarep",
        **fields,
        "properties": properties,
        "required": list(properties),
        "$defs": _definitions(),
    }


def part_schema(name: str) -> Schema:
    """The schema of one field of the report alone."""
    whole = report_schema()
    return {**whole["properties"][name], "$defs": whole["$defs"]}
