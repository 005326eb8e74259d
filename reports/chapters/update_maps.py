"""A learner's derived update, arranged for readers: the outer step, the same averaged over the tasks, and its
linearisation.
"""

from dataclasses import dataclass
from typing import Literal

from metarep.reports.chapters.chapter import Chapter, Results
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import LEARNER_TITLES
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner
from metarep.theory.calculus.alphabet import matrix_symbol
from metarep.theory.calculus.expressions import latex, text
from metarep.theory.dynamics.derive import derive
from metarep.theory.dynamics.linearise import stated_linearisation
from metarep.theory.dynamics.structure import stated_split

FormName = Literal["text", "latex"]


@dataclass(frozen=True)
class Lines:
    """Equations under a heading; heading and remark hold formulas between dollar signs."""

    heading: str
    """The heading."""
    equations: tuple[tuple[str, str], ...]
    """Left and right side, line by line."""
    remark: str = ""
    """What is to be said of them; may be empty."""


_WORDS = {
    "text": {
        "step": ("B⁺", "B N + β B_* C"),
        "perpendicular": ("B_{*⊥}ᵀ B⁺", "B_{*⊥}ᵀ B N"),
        "next": ("S⁺", "ω⁺", "Y⁺"),
    },
    "latex": {
        "step": ("B^+", r"B N + \beta B_* C"),
        "perpendicular": (r"B_{*\perp}^\top B^+", r"B_{*\perp}^\top B N"),
        "next": ("S^+", r"\omega^+", "Y^+"),
    },
}


def derived_lines(learner: Learner, form: FormName = "text") -> tuple[Lines, ...]:
    """All that is derived for one of the paper's five, as text or LaTeX; the linearisation for those that have one."""
    write, words = (text if form == "text" else latex), _WORDS[form]
    split = stated_split(learner)
    means = tuple((write(matrix_symbol(name)), write(value)) for name, value in split.definitions)
    parts = [
        Lines("One outer step, for all $d$, $k$ and $n$", tuple(derive(learner).lines(form))),
        Lines(
            "The same, averaged over the tasks",
            (*means, ("N", write(split.N)), ("C", write(split.C)), words["step"], words["perpendicular"]),
            r"The part of $B$ perpendicular to the truth is only ever multiplied from the right, by the $k \times k$ "
            r"matrix $N$.",
        ),
    ]
    if learner.name in META_LEARNERS:
        near = stated_linearisation(learner)
        parts.append(
            Lines(
                "To first order near the truth with $w = 0$",
                tuple(zip(words["next"], (write(part) for part in (near.S, near.omega, near.Y)), strict=True)),
                r"$S = I - \alpha M M^\top$ is the span's deviation, $\omega = \alpha^2 M w$ the head's, "
                r"$Y = B_{*\perp}^\top B$ the perpendicular part; $B_*^\top B = M$ up to first order, and "
                r"$\alpha M M^\top = I$ at the truth.",
            )
        )
    return tuple(parts)


# --- the chapter


def derived(results: Results) -> dict[str, tuple[Lines, ...]]:
    """The derived updates by learner."""
    return {name: derived_lines(learner, "latex") for name, learner in LEARNERS.items()}


def maps_section(results: Results) -> b.Section:
    """The five learners' derived updates."""
    sections = []
    for name, parts_of in derived(results).items():
        parts = tuple(
            b.Section(
                f"map-{name}-{place + 1}",
                part.heading,
                (b.Equations(part.equations), *([b.Paragraph(part.remark)] if part.remark else [])),
            )
            for place, part in enumerate(parts_of)
        )
        sections.append(b.Section(f"map-{name}", LEARNER_TITLES[name], (b.Code(f"metarep derive {name}"),), parts))
    return b.Section(
        "maps",
        "The derived updates",
        (
            b.Paragraph(
                r"Derived symbolically from the task loss $\frac12 \|Bw - \theta_i\|^2$, $\theta_i = B_* w_{*,i}$, "
                "for all dimensions at once, by expanding it into words of matrices and applying the product rule. "
                "Two formulas are equal for every $d$, $k$ and $n$ exactly when their normal forms coincide; the "
                "lines below were proved equal to the derived gradients that way."
            ),
        ),
        tuple(sections),
        apart=True,
    )


CHAPTER = Chapter(maps_section, record={"derived": derived})
