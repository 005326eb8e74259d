"""Claims about stability: for which heads and step sizes the truth attracts, and what FO-MAML does elsewhere."""

from metarep.theory.claims.chapter import Chapter

claim = Chapter(
    "Stability of the truth",
    words={
        # Rotations of the basis, heads that no task sees and the like are neutral: left as they are.
        "stable": "Stable means here: a perturbation of the span and the head that the linearisation does not leave as "
        "it is shrinks; unstable: one grows."
    },
)
