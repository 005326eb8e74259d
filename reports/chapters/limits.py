"""The chapter on what a report does not show: what is quoted from memory, how much was tried, what proofs rest on."""

from metarep.reports.chapters.chapter import Chapter, Results
from metarep.reports.chapters.claims.records import ClaimRecord, claim_links
from metarep.reports.chapters.claims.seals import seals_of
from metarep.reports.chapters.claims.sizes import sizes_sentence
from metarep.reports.chapters.experiments.figure_1 import KEY
from metarep.reports.chapters.experiments.figures import summary
from metarep.reports.page import blocks as b
from metarep.theory.claims.record import Verdict
from metarep.theory.dynamics.rates import ENVELOPE_C, ENVELOPE_OFFSET
from metarep.theory.inequalities.catalogue import RULES


def limits(results: Results) -> tuple[str, ...]:
    """What the report does not show, in lines of Markdown."""
    return (_setting(), _from_memory(), _tried(results), *_relative(results), *_exact(results), *_open(results))


def _setting() -> str:
    return (
        "**One setting.** Linear regression on a shared linear representation, one Gaussian input distribution, and "
        "mostly infinitely many samples a task. Of networks with more layers it says nothing."
    )


def _from_memory() -> str:
    return (
        "**Quoted from memory.** The paper's full text was not at hand: its "
        f"$c = {ENVELOPE_C:g}$, its ${ENVELOPE_OFFSET:g}$ in $E_0$ and the numbers of its statements are from memory, "
        "and its conditions on the step sizes are known up to unnamed constants ([the paper](#paper)). The constants "
        "that are proved here are this package's own."
    )


def _tried(results: Results) -> str:
    counts = dict.fromkeys(("floats", "exact"), 0)
    for claim in results.claims:
        for item in claim.evidence:
            if item.kind in counts:
                counts[item.kind] += item.examples
    trials = sorted({r.trials for r in summary(results.parts[KEY])}) if KEY in results.parts else []
    between = " to ".join(map(str, trials[:: max(1, len(trials) - 1)]))
    curves = f", {between} trials a curve in Figure 1" if trials else ""
    sizes = sizes_sentence(results.claims)
    return (
        f"**What is not proved was tried.** Profile {results.profile.name}, seed {results.seed}: "
        f"{counts['floats']} examples in floats and {counts['exact']} in fractions for {len(results.claims)} claims"
        f"{curves}; what is rarer may "
        "have gone unseen." + (f" Their sizes ([verdicts](#verdicts)): {sizes}." if sizes else "")
    )


def _relative(results: Results) -> tuple[str, ...]:
    proved = [claim for claim in results.claims if claim.status == Verdict.PROVED]
    if not proved:
        return ()
    sealed = "; Coq sees what is compared, and not the rules ([seals](#seals))" if seals_of(results) else ""
    return (
        "**PROVED is relative** to the program that checks: the word calculus, and for inequalities a core with "
        f"{len(RULES)} rules, each with a reason of a few lines and tried on examples, none proved by a machine"
        f"{sealed}. That a statement in symbols is the statement in prose, only a reader can see.",
    )


def _exact(results: Results) -> tuple[str, ...]:
    """Theorems whose head is 0 at every step."""
    ids = [claim.id for claim in _theorems(results) if claim.id.endswith(("centred", "symmetric"))]
    if not ids:
        return ()
    return (
        f"**Exact arithmetic only.** {claim_links(ids)}: the head is exactly 0 at every step there; from rounding "
        "errors it may grow.",
    )


def _open(results: Results) -> tuple[str, ...]:
    if not _theorems(results):
        return ()
    known = " ([what is known](#theorem-maml))" if any(key[0] == "theorem" for key in results.parts) else ""
    return (
        "**Not proved for all T:** Exact MAML with heads that do not cancel out, and FO-MAML with a large mean or from "
        f"a far start{known}. There only runs speak.",
    )


def _theorems(results: Results) -> list[ClaimRecord]:
    return [claim for claim in results.claims if claim.id.startswith("theorem-") and claim.status == Verdict.PROVED]


def limits_section(results: Results) -> b.Section:
    """A short list, right behind the answer."""
    return b.Section("limits", "What this does not show", (b.Items(limits(results)),), short="Limits")


CHAPTER = Chapter(limits_section, record={"limits": limits})
