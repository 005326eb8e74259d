"""The rules of the calculus of inequalities, each tried on random matrices; a broken version of each is refuted."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.metrics import subspace_distance
from metarep.theory.claims.baseline.diversity import least_share
from metarep.theory.claims.chapter import Chapter
from metarep.theory.claims.record import Comparison, Example, Verdict, own
from metarep.theory.claims.strategies import Entries, floats
from metarep.theory.inequalities.catalogue import RULES
from metarep.theory.inequalities.instances import CASES, worst_excess

claim = Chapter("The rules of the proofs")

DRAWS = 5
"""Random matrices an example."""
ROUNDING = 1e-9
"""What rounding explains of an excess relative to its bound: a few hundred eps times the conditions drawn."""


def _multiplied(rng: np.random.Generator, broken: bool, k: int, d: int) -> float:
    """[X; Y] times any M, and any rest of B that it leaves a direction to; broken: the largest share, not the least."""
    r, p = int(rng.integers(1, k)), d - k
    start, M = rng.standard_normal((k - r + p, k)), rng.standard_normal((k, k))
    B = np.concatenate([rng.standard_normal((r, k)), start @ M])
    X, Y = start[: k - r], start[k - r :]
    share = np.linalg.svd(np.linalg.qr(start)[0][k - r :], compute_uv=False)[0] if broken else least_share(X, Y)
    return float(share) - float(subspace_distance(B, np.eye(k + p, k)))


def _kept_columns(rng: np.random.Generator, broken: bool, k: int, d: int) -> float:
    """B_0 + puᵀ with orthonormal B_0; broken: σ_1 in the place of σ_2."""
    B0, p, u = np.linalg.qr(rng.standard_normal((d, k)))[0], rng.standard_normal((d, 1)), rng.standard_normal((k, 1))
    sines = np.linalg.svd(B0[k:], compute_uv=False)
    return float(sines[0 if broken else 1]) - float(subspace_distance(B0 + p @ u.T, np.eye(d, k)))


def _product(rng: np.random.Generator, broken: bool, k: int, d: int) -> float:
    """s⁺ = f²s and dist² = s at the end; broken: s_0 ≤ 1 is not asked."""
    factors = rng.uniform(0, 1, int(rng.integers(1, 20)))
    s = rng.uniform(0, 2 if broken else 1)
    for factor in factors:
        s = factor**2 * s
    return float((np.sqrt(s) - factors.prod()) / factors.prod())


BY_HAND: dict[str, tuple[Callable[[np.random.Generator, bool, int, int], float], str]] = {
    "multiplied": (_multiplied, "the largest share in the place of the least"),
    "kept-columns": (_kept_columns, "σ_1 in the place of σ_2"),
    "product": (_product, "s_0 ≤ 1 is not asked"),
}
"""Rules about all steps, whose conclusion is tried on what their hypotheses leave; and their broken versions."""
WITHOUT = {
    "assumption": "repeats what the statement says",
    "form": "is an identity in words for a learner's step, with nothing beside it to compute",
    "induction": "concludes from lines that other rules have to give; the statements that it keeps are checked along "
    "runs (balance-stays, head-stays-small, heads-stay-diverse, angle-stays)",
}
"""Rules without a numerical case, and why; each of their hypotheses is dropped by a wrong proof (``controls``)."""

OF_RULE = {case.rule: case for case in CASES}


def rule_excess(rule: str, rng: np.random.Generator, draws: int, k: int = 0, d: int = 0, broken: bool = False) -> float:
    """By how much the rule's conclusion, or its broken version's, is violated on random matrices, at worst; d ≥ 2k ≥ 4
    for those ``BY_HAND``, else d > k. The rule about products has no matrices.
    """
    if rule in BY_HAND:
        return max(BY_HAND[rule][0](rng, broken, k, d) for _ in range(draws))
    return worst_excess(OF_RULE[rule], rng, draws, k, d, broken)


@st.composite
def matrices(draw: st.DrawFn, name: str) -> Example:
    """Sizes of the rule's matrices, and a seed for these."""
    seed = st.integers(0, 2**32 - 1)
    if name == "product":
        return {"seed": draw(seed)}
    made = Entries(draw, floats)
    k = made.k(2 if name in BY_HAND else 1)
    return {"k": k, "d": made.d(2 * k if name in BY_HAND else k + 1), "seed": draw(seed)}


def _words(name: str) -> dict[str, Any]:
    others = "; ".join(f"{rule} {why}" for rule, why in WITHOUT.items())
    last = f" Three rules have no numerical case: {others}. Each is tried by wrong proofs that the core must refuse."
    return {
        "says": RULES[name].statement,
        "reason": " ".join(RULES[name].reason.split()),
        "broken": BY_HAND[name][1] if name in BY_HAND else OF_RULE[name].why_broken,
        "others": last if name == "product" else "",
    }


@claim(
    Verdict.SUPPORTED,
    source=own("textbook"),
    kind="inequality",
    each={name: {"name": name} for name in RULES if name not in WITHOUT},
    words=_words,
    floats=matrices,
    examples=12,
)
def rule(example: Example, implementation: Implementation, name: str, *, rule_excess=rule_excess) -> Comparison:
    r"""The rule «name» of the proofs: $«says»$.

    Given: the rule's hypotheses, with the tightest bounds for which they hold; examples: random matrices

    «reason» Its broken version, refuted: «broken».«others»
    """
    sizes = (example[size] for size in ("k", "d") if size in example)
    worst = rule_excess(name, np.random.default_rng(example["seed"]), DRAWS, *sizes)
    return Comparison(worst, 0.0, ROUNDING, "largest violation of the conclusion, relative to its bound", 1.0)
