"""A learner's derived update, arranged for readers: the outer step, the same averaged over the tasks, and its
linearisation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from metarep.reports.chapters.chapter import Chapter, Results
from metarep.reports.chapters.claims.table import stem_and_learner
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import LEARNER_TITLES
from metarep.reports.page.output import as_csv
from metarep.sim.learners import LEARNERS, META_LEARNERS, Learner
from metarep.theory.calculus.alphabet import matrix_symbol
from metarep.theory.calculus.expressions import latex, latex_terms, text
from metarep.theory.calculus.words import Poly
from metarep.theory.calculus.written import in_words
from metarep.theory.dynamics.derive import derive, task_gradients
from metarep.theory.dynamics.linearise import stated_linearisation
from metarep.theory.dynamics.structure import split_update, stated_split

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


# --- all the words

_ABOUT = {"update-": (r"\nabla_B", r"\nabla_w"), "right-factor-": ("N",), "span-part-": ("N", "C")}
"""Which of the sums the claims of these families are about."""


def long_sums(learner: Learner) -> dict[str, Poly]:
    """By their names in LaTeX those of the derived gradients of one task, and of both parts of the averaged step, that
    have more words than a line shows.
    """
    sums = (*task_gradients(learner), *split_update(learner))
    named = zip((r"\nabla_B", r"\nabla_w", "N", "C"), sums, strict=True)
    return {letter: words for letter, words in named if not in_words(words)}


def words_of(claim_id: str) -> str:
    """Where all words that a claim compares are to be found, as a link; empty of a claim that shows or has none."""
    stem, name = stem_and_learner(claim_id)
    if not name or stem not in _ABOUT:
        return ""
    sums = long_sums(LEARNERS[name])
    counted = " and ".join(f"the {len(sums[letter])} of ${letter}$" for letter in _ABOUT[stem] if letter in sums)
    return f"All words, [with their coefficients](#words-{name}): {counted}." if counted else ""


@cache  # the same in every report, and long to write
def words_sections(name: str) -> tuple[b.Section, ...]:
    """A learner's sums of many words, if it has any: a page counts them, Markdown lists them."""
    sums = long_sums(LEARNERS[name])
    if not sums:
        return ()
    counted = ", ".join(f"{len(words)} words in ${letter}$" for letter, words in sums.items())
    line = f"{counted}: listed in the report's `maps.md`."
    listed = {letter: latex_terms(words) for letter, words in sums.items()}
    rows = [(letter, *term) for letter, terms in listed.items() for term in terms]
    data = (f"words-{name}.csv", as_csv(("of", "coefficient", "word"), rows))
    return (b.Section(f"words-{name}", "In words", (b.Long(line, tuple(_tables(listed)), data),)),)


def _tables(listed: dict[str, list[tuple[str, str]]]) -> Iterator[b.Block]:
    yield b.Paragraph(
        r"$\nabla_B$ and $\nabla_w$ are those of one task, $N$ and $C$ the averages over the tasks of what is written."
    )
    for letter, terms in listed.items():
        rows = tuple(tuple(f"${part}$" for part in term) for term in terms)
        yield b.Table(("Coefficient", f"Word of ${letter}$"), rows, frozenset({0}))


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
        sections.append(
            b.Section(
                f"map-{name}",
                LEARNER_TITLES[name],
                (b.Code(f"metarep derive {name}"),),
                (*parts, *words_sections(name)),
            )
        )
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
