"""Negative controls: proofs that are wrong in one place, and hand-made hostile objects; the core must refuse all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

from metarep.theory.inequalities import floors, theorem_anil, theorem_fo_anil, theorem_zero_head
from metarep.theory.inequalities.core import Checked, Derivation, Line, Says, State, check
from metarep.theory.inequalities.steps import Step
from metarep.theory.inequalities.theorems import learner_step


@dataclass(frozen=True)
class Control:
    """What is wrong, and the derivation (or what poses as one) with the step it is about."""

    name: str
    derivation: Any
    step: Step | None

    def refused(self) -> Checked:
        """The core's answer."""
        return check(self.derivation, self.step)


LOOSENED = {
    "c": Fraction(11, 10), "c1": Fraction(3), "c2": Fraction(12), "c3": Fraction(6), "span": Fraction(4, 5),
    "head": Fraction(1, 4), "rate": Fraction(5, 2), "inverse": Fraction(9, 10), "Psi": Fraction(9, 10),
    "mean": Fraction(9, 10), "cross": Fraction(9, 10), "moved": Fraction(4, 5), "both": Fraction(4, 5),
    "inflow": Fraction(4, 5),
}  # fmt: skip
"""Each constant times this is past what is true (for span: past what drives it)."""
SWAPPED = {"above": "below", "below": "above"}


def _loosened() -> Iterator[Control]:
    proofs: list[tuple[str, Callable[..., Derivation], Any]] = [
        ("fo-anil", theorem_fo_anil.derivation, theorem_fo_anil.Constants()),
        ("anil", theorem_anil.derivation, theorem_anil.ExactConstants()),
    ]
    for name, build, constants in proofs:
        for field in fields(constants):
            if field.name in LOOSENED:
                value = str(Fraction(getattr(constants, field.name)) * LOOSENED[field.name])
                mutant = build(replace(constants, **{field.name: value}))
                yield Control(f"{name}: {field.name} = {value}", mutant, learner_step(name))


def _flipped(text: str) -> str | None:
    """The expression with one sign turned, or None where there is none."""
    for old, new in ((" - ", " + "), (" + ", " - ")):
        if old in text:
            return text.replace(old, new, 1)
    return None


def _with_line(proof: Derivation, index: int, line: Line) -> Derivation:
    return replace(proof, lines=(*proof.lines[:index], line, *proof.lines[index + 1 :]))


def _line_mutants(name: str, proof: Derivation, step: Step) -> Iterator[Control]:
    for index, line in enumerate(proof.lines):
        where, says = f"{name}, line {index + 1} ({line.rule})", line.says
        for dropped in range(len(line.uses)):
            uses = (*line.uses[:dropped], *line.uses[dropped + 1 :])
            if line.rule != "words" or len(line.uses) == 1:  # words may be given more than they need
                mutant = _with_line(proof, index, replace(line, uses=uses))
                yield Control(f"{where}: hypothesis {dropped + 1} dropped", mutant, step)
        if says.kind in SWAPPED and line.rule not in ("symmetric", "identity-matrix"):  # both are true of these
            turned = replace(line, says=replace(says, kind=SWAPPED[says.kind]))
            yield Control(f"{where}: reversed", _with_line(proof, index, turned), step)
        flipped = _flipped(says.bound) if line.rule == "identity" else None
        if flipped:
            wrong = replace(line, says=replace(says, bound=flipped))
            yield Control(f"{where}: a sign turned", _with_line(proof, index, wrong), step)


def _setting_mutants(name: str, proof: Derivation, step: Step) -> Iterator[Control]:
    for field in ("assumed", "kept", "start"):
        rows = getattr(proof, field)
        for index, says in enumerate(rows):
            yield Control(
                f"{name}: {field} {says.of} dropped",
                replace(proof, **{field: (*rows[:index], *rows[index + 1 :])}),
                step,
            )
    for index, (old, new) in enumerate(
        (
            (0, State("zeta", "1", "(1 - tau)**3*zeta")),
            (1, State("xi", "0", "(1 - tau)*xi")),
            (1, State("xi", "0", "xi + (2*tau - tau**2)*zeta + 1/1000*zeta")),
            (2, State("upsilon", "0", "upsilon")),
            (2, State("upsilon", "-1", proof.state[2].next)),
            (0, State("zeta", "0", proof.state[0].next)),
        )
    ):
        states = tuple(new if i == old else state for i, state in enumerate(proof.state))
        yield Control(f"{name}: state mutant {index + 1}", replace(proof, state=states), step)
    region = proof.region
    yield Control(f"{name}: nothing is positive", replace(proof, region=replace(region, positive=())), step)
    yield Control(
        f"{name}: the state may be 2",
        replace(proof, region=replace(region, ranges=tuple((n, "2" if n == "xi" else u) for n, u in region.ranges))),
        step,
    )  # fmt: skip
    yield Control(
        f"{name}: everything varies",
        replace(proof, region=replace(region, varying=tuple(n for n, _ in region.ranges))),
        step,
    )
    yield Control(
        f"{name}: beta defined twice",
        replace(proof, region=replace(region, symbols=(*region.symbols, ("beta", "0*a")))), step,
    )  # fmt: skip
    yield Control(
        f"{name}: a relation of another form",
        replace(proof, region=replace(region, relations=(("d0", "0*E"),))), step,
    )  # fmt: skip
    for letter in ("Psi", "B", "G_inv", "grad_B"):
        yield Control(
            f"{name}: {letter} defined anew", replace(proof, definitions=((letter, "0*I_k"), *proof.definitions)), step
        )


def _hostile(proof: Derivation, step: Step) -> Iterator[Control]:
    first = proof.lines[0]
    lines: dict[str, Any] = {
        "no lines": (),
        "lines are a list": list(proof.lines),
        "a line that is no line": ("norm", "Delta", "0"),
        "unknown rule": (Line("obvious", Says("norm", "Delta", "0")),),
        "a line that uses itself": (Line("weaken", Says("norm", "Delta", "x"), (1,)),),
        "two lines that use each other": (
            Line("replace", Says("norm", "Delta", ""), (2, 2)), Line("replace", Says("norm", "Delta", ""), (1, 1)),
        ),
        "line 0": (first, Line("weaken", Says("norm", "Delta", "x"), (0,))),
        "line −1": (first, Line("weaken", Says("norm", "Delta", "0"), (-1,))),
        "line True": (first, Line("weaken", Says("norm", "Delta", "x"), (True,))),
        "a float": (first, Line("weaken", Says("norm", "Delta", "0.5"), (1,))),
        "not a number": (first, Line("weaken", Says("norm", "Delta", "nan"), (1,))),
        "infinity": (first, Line("weaken", Says("norm", "Delta", "1e999"), (1,))),
        "a negative bound": (first, Line("weaken", Says("norm", "Delta", "-1"), (1,))),
        "a call": (first, Line("weaken", Says("norm", "Delta", "max(x, 1)"), (1,))),
        "an import": (first, Line("weaken", Says("norm", "Delta", "__import__('os').getpid()"), (1,))),
        "a zero below": (first, Line("weaken", Says("norm", "Delta", "x/0"), (1,))),
        "not a string": (first, Line("weaken", Says("norm", "Delta", 1.0), (1,))),  # type: ignore[arg-type]
        "a huge power": (first, Line("weaken", Says("norm", "Delta", "x**10**9"), (1,))),
        "deep nesting": (first, Line("weaken", Says("norm", "Delta", "(" * 1500 + "x" + ")" * 1500), (1,))),
        "a letter that differs by task": (Line("words", Says("norm", "w_star_i", "0")),),
        "an unknown letter": (Line("words", Says("norm", "Zeta", "0")),),
        "an assumption of its own": (Line("assumption", Says("norm", "Delta", "0")),),
        "a theorem without a proof": (Line("assumption", Says("forever", "1", "1 - tau")),),
        "shapes that do not fit": (Line("identity", Says("equal", "B*B", "B*B")),),
        "the inverse before it exists": (Line("identity", Says("equal", "B.T*B*G_inv", "I_k")),),
        "induction over nothing": (Line("induction", Says("kept", "1")),),
    }  # fmt: skip
    for name, given in lines.items():
        yield Control(f"hostile: {name}", replace(proof, lines=given), step)
    yield Control("hostile: not a derivation", {"lines": proof.lines}, step)
    yield Control("hostile: nothing", None, step)
    bent = (Says("norm", "w_bar", "upsilon*eta"), *proof.assumed)
    yield Control("hostile: tasks that depend on the ghosts", replace(proof, assumed=bent), step)
    for what, changes in _smuggled(proof):
        yield Control(f"hostile: {what}", replace(proof, **changes), step)
    smuggled = Says("norm", "Delta", "0")
    yield Control(
        "hostile: balance assumed of every step",
        replace(proof, assumed=(*proof.assumed, smuggled), kept=proof.kept), step,
    )  # fmt: skip


def _smuggled(proof: Derivation) -> Iterator[tuple[str, dict[str, Any]]]:
    """What the induction must not be given: a state in a square's or in β's definition, or B among what is assumed."""
    region = proof.region
    hidden = (*region.symbols, ("y**2", "d0*zeta"))
    yield "a state behind a square", {"region": replace(region, ranges=(*region.ranges, ("y", "")), symbols=hidden)}
    inside = tuple((name, f"{value}*xi" if name == "beta" else value) for name, value in region.symbols)
    yield "a state inside β", {"region": replace(region, symbols=inside)}
    for what, says in (
        ("a distance of the tasks", Says("distance", "Psi_star", "0")),
        ("an identity about Y", Says("equal", "0*B_perp.T*B", "B_perp.T*B")),
        ("a contradiction about the identity", Says("norm", "I_k", "1/2")),
    ):
        yield f"{what} is assumed", {"assumed": (*proof.assumed, says)}
    yield "two ranges of a variable", {"region": replace(region, ranges=(("a", "100"), *region.ranges))}
    yield (
        "an empty range",
        {"region": replace(region, ranges=tuple((n, "0" if n == "g" else u) for n, u in region.ranges))},
    )
    yield (
        "an endless range",
        {"region": replace(region, ranges=tuple((n, "1e400000000" if n == "a" else u) for n, u in region.ranges))},
    )
    yield "names run together", {"region": replace(region, positive="".join(region.positive))}  # type: ignore[arg-type]
    yield "a symmetric letter that is not", {"definitions": (*proof.definitions, ("M_right", "w*w_bar.T*A_mix.T"))}


def _floors() -> Iterator[Control]:
    for name, found in (
        ("diversity", floors.diversity_needed("fo-anil")),
        ("baseline", floors.baseline_floor()),
    ):
        proof = found.derivation
        for index, line in enumerate(proof.lines):
            for place, text in enumerate(line.given):
                flipped = _flipped(text)
                if flipped:
                    given = (*line.given[:place], flipped, *line.given[place + 1 :])
                    yield Control(
                        f"{name}, line {index + 1}: a sign turned in what is given",
                        _with_line(proof, index, replace(line, given=given)), found.step,
                    )  # fmt: skip
        shorter = replace(proof, lines=(*proof.lines[:-1], replace(proof.lines[-1], uses=proof.lines[-1].uses[1:])))
        yield Control(f"{name}: a hypothesis dropped", shorter, found.step)
        yield Control(f"{name}: another learner's step", proof, learner_step("anil"))


def controls(thin: int = 1) -> list[Control]:
    """All of them, or every ``thin``-th of those that change one line of the proof."""
    fo, exact = theorem_fo_anil.derivation(), theorem_anil.derivation()
    fo_step, exact_step = learner_step("fo-anil"), learner_step("anil")
    halved = Step(fo_step.grad_B * 2, fo_step.grad_w)
    zero = theorem_zero_head.derivation(exact=False)
    return [
        *_loosened(),
        *list(_line_mutants("fo-anil", fo, fo_step))[::thin],
        *_setting_mutants("fo-anil", fo, fo_step),
        *_hostile(fo, fo_step),
        *_floors(),
        Control("another learner's step", fo, exact_step),
        Control("the exact proof for the first-order step", exact, fo_step),
        Control("a step of twice the gradient", fo, halved),
        Control("no step", fo, None),
        Control("a head at 0 for any heads", zero, fo_step),
        Control(
            "symmetric heads that are not assumed",
            theorem_zero_head.derivation(exact=True),
            learner_step("maml", "symmetric", True),
        ),
        Control("a head at 0 that is not kept there", zero, Step(fo_step.grad_B, fo_step.grad_w, "centred", True)),
        Control(
            "exact MAML with centred heads only, by FO-ANIL's proof", zero, learner_step("maml", "symmetric", True)
        ),
    ]
