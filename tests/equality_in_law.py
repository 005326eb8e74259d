"""Evidence that the sampler in law has the law it claims: two-sample tests, and mutants of the sampler they must find.

A comparison draws independent trials by either way and tests equality of the joint law of a vector of statistics in
three families:
  - moments: all first and second moments, as differences in standard errors. Trials are paired at random; under
    equality every paired difference D_i is symmetric about 0, so P(|ΣD_i| ≥ x √ΣD_i²) ≤ 2 exp(−x²/2) whatever the
    tails (Hoeffding's inequality given the |D_i|; Efron 1969). No normal approximation enters;
  - Kolmogorov–Smirnov: every statistic, random projections, and random quadratic forms;
  - energy distance on the joint (Székely and Rizzo 2004), by permutations; these stop early once the outcome is clear
    (Besag and Clifford 1991), which keeps the p-value valid.
Each family gets a third of the significance level, divided by its number of tests (Bonferroni) and by the number of
comparisons.

Gradients alone would not do: their coordinates look right with a wrong number of degrees of freedom. So the statistics
hold Hessian products Σ̂q, quadratic forms qᵀΣ̂q, and the Gram matrix of B's perpendicular part, which is all that the
reduced coordinates keep of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from scipy.stats import kstwo

from metarep.sim.batches import transposed
from metarep.sim.learners import LEARNERS, Learner, get_learner
from metarep.sim.mutants.mutant import Mutant
from metarep.sim.mutants.samplers import SAMPLER_MUTANTS, wrong_steps_in_law
from metarep.sim.sampling.drawing import PARTS
from metarep.sim.sampling.gaussian_queries import Draws
from metarep.sim.sampling.in_law import reduced_rows
from metarep.sim.sampling.runs import run_sampled

Array = np.ndarray

LEVEL = 0.01
"""Chance that a suite of comparisons of equal laws raises any alarm at all (at most)."""
FAMILIES = ("moments", "Kolmogorov-Smirnov", "energy")
_PROJECTIONS = 12
_ENERGY_TRIALS = 400
_EXCEEDANCES = 20
_BATCH_OF_PERMUTATIONS = 100

Profile = Literal["default", "thorough"]


# --- two-sample tests


@dataclass(frozen=True)
class LawComparison:
    """Outcome of one comparison of two samples.

    Attributes:
        name: what was compared.
        tests: number of tests in each family.
        p_values: the smallest p-value of each family, Bonferroni-corrected for the family, the three families and the
            suite.
        worst: the test that gave it, per family.
        largest_z: the largest difference of a moment in standard errors.
        level: the suite's level.
    """

    name: str
    tests: dict[str, int]
    p_values: dict[str, float]
    worst: dict[str, str]
    largest_z: float
    level: float = LEVEL

    @property
    def p_value(self) -> float:
        """The smallest corrected p-value of all."""
        return min(self.p_values.values())

    @property
    def found_by(self) -> tuple[str, ...]:
        """Families that reject equality at the suite's level."""
        return tuple(family for family, p in self.p_values.items() if p < self.level)

    @property
    def equal(self) -> bool:
        """Whether no test rejects."""
        return not self.found_by


def moment_tests(first: Array, second: Array, names: Sequence[str]) -> tuple[Array, list[str]]:
    """Differences of all first and second moments in standard errors.

    Args:
        first: (N, p) standardised statistics.
        second: (N, p).
        names: p names.

    Returns:
        z (p + p(p + 1)/2,) and the tests' names. Two-sided p-values are at most 2 exp(−z²/2).
    """
    rows, columns = np.triu_indices(first.shape[1])
    products = first[:, rows] * first[:, columns] - second[:, rows] * second[:, columns]
    difference = np.concatenate([first - second, products], 1)
    norm = np.sqrt(np.square(difference).sum(0))
    z = difference.sum(0) / np.where(norm > 0.0, norm, 1.0)
    labels = [f"E {name}" for name in names]
    labels += [f"E {names[i]}·{names[j]}" for i, j in zip(rows.tolist(), columns.tolist(), strict=True)]
    return z, labels


def ks_statistics(first: Array, second: Array) -> Array:
    """The largest difference of the distribution functions of each column: (N, p) twice to (p,)."""
    pooled = np.concatenate([first, second])
    order = np.argsort(pooled, axis=0)
    ascending = np.take_along_axis(pooled, order, axis=0)
    difference = np.abs(np.cumsum(np.where(order < len(first), 1, -1), axis=0))
    difference[:-1][ascending[1:] == ascending[:-1]] = 0  # within equal numbers neither distribution function is there
    return difference.max(0) / len(first)


def ks_p_values(statistics: Array, size: int) -> Array:
    """Those of ``scipy.stats.ks_2samp(..., method="asymp")`` for two samples of this size; a millisecond each."""
    return np.asarray(kstwo.sf(statistics, round(size / 2)))


def energy_test(first: Array, second: Array, rng: np.random.Generator, smallest: float) -> float:
    """Permutation p-value, able to go below ``smallest``, of the energy distance between two (N, p) samples."""
    pooled = np.concatenate([first, second])
    squares = np.square(pooled).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * pooled @ pooled.T, 0.0))
    size = len(first)
    signs = np.concatenate([np.ones(size), -np.ones(size)])
    # Σ_ij s_i s_j |x_i − x_j| is minus the energy distance up to a factor: smaller is farther apart.
    observed = signs @ distances @ signs
    most = int(np.ceil(2.0 / smallest))
    exceedances = done = 0
    while done < most and exceedances < _EXCEEDANCES:
        count = min(_BATCH_OF_PERMUTATIONS, most - done)
        permuted = rng.permuted(np.broadcast_to(signs, (count, 2 * size)), axis=1)
        hits = np.cumsum(np.einsum("cp,cp->c", permuted @ distances, permuted) <= observed)
        if exceedances + hits[-1] >= _EXCEEDANCES:
            done += int(np.searchsorted(hits, _EXCEEDANCES - exceedances)) + 1
            return _EXCEEDANCES / done
        exceedances += int(hits[-1])
        done += count
    return (exceedances + 1) / (done + 1)


def compare_laws(
    name: str,
    first: Array,
    second: Array,
    names: Sequence[str],
    rng: np.random.Generator,
    comparisons: int = 1,
    level: float = LEVEL,
    energy: bool = True,
) -> LawComparison:
    """Test whether two samples have one law.

    Args:
        name: what is compared.
        first: (N, p) independent rows.
        second: (N, p), independent of these.
        names: p names of the statistics.
        rng: for projections and permutations.
        comparisons: number of comparisons in the suite, for the correction.
        level: the suite's significance level.
        energy: whether to run the permutation test too (the slowest).

    Raises:
        ValueError: the samples differ in shape or are not finite.

    Source: module text.
    """
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != len(names):
        raise ValueError(f"the samples have shapes {first.shape} and {second.shape}; allowed: both (N, {len(names)})")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a sample is not finite; allowed: finite statistics only")
    pooled = np.concatenate([first, second])
    # Centre and scale are those of the pooled sample, so exchanging trials between the samples changes neither.
    # Constants (exactly known statistics) get scale 1; the threshold is rounding of the centre.
    centre = np.median(pooled, 0)
    spread = np.quantile(np.abs(pooled - centre), 0.7, axis=0)
    constant = spread <= 1e-13 * np.maximum(np.abs(centre), 1.0)
    pooled = np.where(constant, 0.0, pooled - centre) / np.where(constant, 1.0, spread)
    first, second = pooled[: len(first)], pooled[len(first) :]
    z, labels = moment_tests(first, second, names)

    # arcsinh is one-to-one: the same law, without the far tails that would drown projections.
    mild_first, mild_second = np.arcsinh(first), np.arcsinh(second)
    directions = rng.standard_normal((first.shape[1], _PROJECTIONS))
    forms = rng.standard_normal((_PROJECTIONS, first.shape[1], first.shape[1]))

    def univariate(sample: Array, mild: Array) -> Array:
        quadratic = np.einsum("ni,qij,nj->nq", mild, forms, mild, optimize=True)
        return np.concatenate([sample, mild @ directions, quadratic], 1)

    ks_names = [*names, *(f"projection {i}" for i in range(_PROJECTIONS)), *(f"form {i}" for i in range(_PROJECTIONS))]
    ks = ks_statistics(univariate(first, mild_first), univariate(second, mild_second))
    least_ks_p = float(ks_p_values(ks.max(), len(first)))

    families = len(FAMILIES) * comparisons
    moment_p = 2.0 * np.exp(-np.square(z) / 2.0)
    tests = {FAMILIES[0]: len(z), FAMILIES[1]: len(ks)}
    p_values = {
        FAMILIES[0]: float(min(1.0, families * len(z) * moment_p.min())),
        FAMILIES[1]: float(min(1.0, families * len(ks) * least_ks_p)),
    }
    worst = {FAMILIES[0]: labels[int(moment_p.argmin())], FAMILIES[1]: ks_names[int(ks.argmax())]}
    if energy:
        chosen = rng.choice(len(first), min(_ENERGY_TRIALS, len(first)), replace=False)
        p = energy_test(mild_first[chosen], mild_second[chosen], rng, level / families)
        tests[FAMILIES[2]], p_values[FAMILIES[2]], worst[FAMILIES[2]] = 1, min(1.0, families * p), "joint"
    return LawComparison(name, tests, p_values, worst, float(np.abs(z).max()), level)


Samples = Callable[[np.random.Generator, np.random.Generator], tuple[Array, Array, list[str]]]
"""``samples(rng of the law, rng of the data)``: (N, p) statistics in law and on explicit data, and their p names."""

RIGHT = Mutant("right", "sampler", "nothing", "nothing is wrong", {})


def compared(name: str, samples: Samples, seed: int, comparisons: int = 1, energy: bool = True) -> LawComparison:
    """Draw both samples and compare their laws."""
    law_rng, data_rng, test_rng = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3))
    in_law, explicit, names = samples(law_rng, data_rng)
    return compare_laws(name, in_law, explicit, names, test_rng, comparisons, energy=energy)


# --- what is compared: steps


@dataclass(frozen=True)
class LawSetting:
    """One setting in which steps in law are compared with steps on explicit data."""

    name: str
    d: int
    k: int
    n: int
    m_in: int
    m_out: int
    sigma: float
    steps: int
    width: int | None = None
    alpha: float = 0.05
    beta: float = 0.5
    scale: float = 1.0
    """‖B_0‖√α, roughly."""
    head: float = 0.5
    """‖w_0‖, roughly."""
    near: bool = False
    """Whether the tasks are close to what the start predicts: small residuals, so that Hessian products dominate."""
    exact_only: bool = False
    """Whether it is of use only for the exact methods, the only ones with Hessian products."""
    most_trials: int = 1_000_000
    """For settings in which explicit data are slow."""


_hessian_setting = partial(LawSetting, alpha=0.1, beta=2.0, near=True, exact_only=True)

LAW_SETTINGS: dict[str, LawSetting] = {
    setting.name: setting
    for setting in (
        LawSetting("one step", 12, 2, 2, 3, 4, 0.7, 1),
        LawSetting("four steps", 12, 2, 2, 3, 4, 0.7, 4),
        LawSetting("rough steps", 12, 2, 2, 3, 4, 0.7, 3, alpha=0.3, beta=0.3),
        LawSetting("one sample", 9, 2, 2, 1, 1, 0.5, 1),
        LawSetting("no noise", 11, 2, 2, 2, 3, 0.0, 2),
        LawSetting("more tasks than k", 20, 2, 4, 3, 3, 0.7, 2),
        LawSetting("one task", 7, 2, 1, 2, 2, 0.5, 2),
        LawSetting("d below 2k", 3, 2, 2, 3, 2, 0.7, 2),
        LawSetting("d = 2k", 4, 2, 2, 3, 2, 0.7, 2),
        LawSetting("few dimensions outside", 6, 2, 3, 2, 3, 0.7, 2),
        LawSetting("k = 1", 5, 1, 2, 2, 2, 0.7, 3),
        LawSetting("k = 3", 16, 3, 3, 4, 3, 0.5, 2),
        LawSetting("wider learner", 13, 2, 2, 3, 3, 0.7, 2, width=3),
        LawSetting("d = 40, m = 30", 40, 2, 2, 30, 20, 1.0, 3),
        LawSetting("the paper's dimensions", 100, 5, 5, 20, 20, 1.0, 4, alpha=0.1, beta=0.1, most_trials=1500),
        _hessian_setting("Hessian products", 40, 2, 2, 4, 60, 0.1, 1, scale=0.6, head=2.0),
        _hessian_setting("Hessian products inside", 4, 2, 1, 30, 300, 0.0, 1, scale=0.8, head=4.0),
        LawSetting("loud noise", 12, 2, 2, 6, 5, 3.0, 2, alpha=0.15, beta=0.1),
    )
}
"""Settings by name; those of ``DEFAULT_SETTINGS`` run in the default profile, all in the thorough one."""

DEFAULT_SETTINGS = (
    "one step",
    "four steps",
    "one sample",
    "d below 2k",
    "few dimensions outside",
    "Hessian products",
    "Hessian products inside",
)


def state_statistics(B: Array, w: Array, k: int, d: int) -> tuple[Array, list[str]]:
    """Statistics of (B, w) that determine it up to an orthogonal map of the complement of B_* = [I_k; 0].

    The rows of B along B_*, w, and the Gram matrix of the other rows (those rows themselves where d ≤ k + k').

    Args:
        B: (N, rows, k'), reduced or in R^d.
        w: (N, k').
        k: dimension of the ground truth.
        d: dimension of the features.

    Returns:
        (N, p) and p names.
    """
    trials, _, width = B.shape
    along, across = B[:, :k], B[:, k:]
    parts = [along.reshape(trials, -1), w]
    names = [f"B[{i},{j}]" for i in range(k) for j in range(width)] + [f"w[{j}]" for j in range(width)]
    if d <= k + width:
        parts.append(across.reshape(trials, -1))
        names += [f"B[{k + i},{j}]" for i in range(across.shape[1]) for j in range(width)]
    else:
        rows, columns = np.triu_indices(width)
        parts.append((transposed(across) @ across)[:, rows, columns])
        names += [f"gram[{i},{j}]" for i, j in zip(rows, columns, strict=True)]
    return np.concatenate(parts, 1), names


def _start(setting: LawSetting) -> tuple[Array, Array, Array]:
    """A generic start near the balanced scale 1/√α, with a head, and tasks: fixed for each setting."""
    rng = np.random.default_rng(20_220_203)
    width = setting.k if setting.width is None else setting.width
    rows = reduced_rows(setting.d, setting.k, width)
    B = np.linalg.qr(rng.standard_normal((rows, width))).Q * (setting.scale / np.sqrt(setting.alpha))
    B = B + 0.1 * rng.standard_normal(B.shape)
    w, heads = setting.head * rng.standard_normal(width), 0.3 + rng.standard_normal((setting.k, setting.n))
    if setting.near:
        B[setting.k :] *= 0.1
        heads = B[: setting.k] @ w[:, None] + 0.3 * heads
    return B, w, heads


def steps(learner: Learner, setting: LawSetting, trials: int, mutant: Mutant = RIGHT) -> Samples:
    """``setting.steps`` steps in law and as many on explicit data: ``state_statistics`` of ``trials`` independent runs
    each; trials that diverge count where they froze.
    """
    B0, w0, heads = _start(setting)

    def states(rng: np.random.Generator, method: Literal["in-law", "explicit"]) -> tuple[Array, list[str]]:
        s = setting
        run = run_sampled(
            learner, np.broadcast_to(B0, (trials, *B0.shape)), w0, lambda step: heads,
            s.alpha, s.beta, s.m_in, s.m_out, s.sigma, s.d, s.steps, rng,
            record_every=max(1, s.steps), method=method, in_law=wrong_steps_in_law(mutant),
        )  # fmt: skip
        return state_statistics(run.B, run.w, s.k, s.d)

    def samples(law_rng: np.random.Generator, data_rng: np.random.Generator) -> tuple[Array, Array, list[str]]:
        in_law, names = states(law_rng, "in-law")
        return in_law, states(data_rng, "explicit")[0], names

    return samples


# --- what is compared: queries


@dataclass(frozen=True)
class QuerySetting:
    """One data set: dimension, samples, noise, length of the first queried direction."""

    name: str
    d: int
    m: int
    sigma: float
    length: float


QUERY_SETTINGS: dict[str, QuerySetting] = {
    setting.name: setting
    for setting in (
        QuerySetting("generic", 4, 5, 0.8, 1.0),
        QuerySetting("one sample", 3, 1, 0.5, 1.0),
        QuerySetting("two samples, no noise", 3, 2, 0.0, 1.0),
        QuerySetting("zero direction", 3, 4, 0.7, 0.0),
        QuerySetting("zero direction, no noise", 3, 3, 0.0, 0.0),
        QuerySetting("one dimension", 1, 3, 0.5, 1.0),
        QuerySetting("little noise", 4, 6, 0.05, 2.0),
    )
}
"""Settings of single data sets by name."""


def _second_direction(h: Array, u: Array) -> Array:
    """A direction that depends on the first answer, and not linearly."""
    return h * h[..., :1] + np.roll(h, 1, -1) - 0.5 * u + 0.3


def _query_statistics(h: Array, s: Array, second: Array) -> tuple[Array, list[str]]:
    """(h, Σ̂u₂, u₂ᵀΣ̂u₂, hᵀΣ̂u₂, ‖h‖², ‖Σ̂u₂‖²) and names."""
    d = h.shape[-1]
    forms = [(second * s).sum(-1), (h * s).sum(-1), (h * h).sum(-1), (s * s).sum(-1)]
    names = [f"h[{i}]" for i in range(d)] + [f"Σu[{i}]" for i in range(d)] + ["uΣu", "hΣu", "hh", "uΣΣu"]
    return np.concatenate([h, s, np.stack(forms, -1)], -1), names


def queries(setting: QuerySetting, trials: int, mutant: Mutant = RIGHT) -> Samples:
    """The two queries' answers in law and those of explicit data, u₂ depending on the first answer."""
    d, m, parts = setting.d, setting.m, mutant.of(PARTS)
    u = np.zeros(d)
    u[0], u[-1] = 0.8 * setting.length, 0.6 * setting.length

    def samples(law_rng: np.random.Generator, data_rng: np.random.Generator) -> tuple[Array, Array, list[str]]:
        shape = (trials, 1, 1)
        q, q_second = parts.first_chi2(m, shape, law_rng), parts.second_chi2(m - 1, shape, law_rng)
        draws = Draws(m, q, law_rng.standard_normal((trials, 1, d)), q_second, law_rng.standard_normal((trials, 1, d)))
        directions = np.broadcast_to(u, (trials, 1, d))
        answer = parts.first_query(draws, directions, setting.sigma)
        direction = _second_direction(answer.gradient, directions)
        product, _, _ = parts.second_query(draws, answer, direction)
        in_law, names = _query_statistics(answer.gradient[:, 0], product[:, 0], direction[:, 0])

        X = data_rng.standard_normal((trials, m, d))
        residual = X @ u - setting.sigma * data_rng.standard_normal((trials, m))
        h = np.einsum("tmd,tm->td", X, residual) / m
        second = _second_direction(h, np.broadcast_to(u, h.shape))
        s = np.einsum("tmd,tme,te->td", X, X, second, optimize=True) / m
        return in_law, _query_statistics(h, s, second)[0], names

    return samples


# --- what is compared: fresh directions


def directions(count: int, inside: int, outside: int, trials: int, mutant: Mutant = RIGHT) -> Samples:
    """Fresh directions and standard normal vectors: coordinates inside, Gram matrix outside."""
    rows, columns = np.triu_indices(count)
    names = [f"ξ{j}[{i}]" for j in range(count) for i in range(inside)]
    names += [f"gram[{i},{j}]" for i, j in zip(rows, columns, strict=True)]

    def statistics(vectors: Array) -> Array:
        gram = vectors[..., inside:] @ transposed(vectors[..., inside:])
        return np.concatenate([vectors[..., :inside].reshape(trials, -1), gram[:, rows, columns]], 1)

    def samples(law_rng: np.random.Generator, data_rng: np.random.Generator) -> tuple[Array, Array, list[str]]:
        drawn = mutant.of(PARTS).fresh_directions(count, inside, outside, (trials,), law_rng)
        explicit = data_rng.standard_normal((trials, count, inside + outside))
        return statistics(drawn), statistics(explicit), names

    return samples


# --- suites

_TRIALS: dict[str, int] = {"default": 4000, "thorough": 20_000}
_DIRECTIONS = ((3, 2, 5), (2, 3, 2), (4, 1, 2), (1, 0, 1))
"""(vectors, inside, outside): Bartlett factors with dimensions to spare and with none, and too few for one."""


def equality_cases(profile: Profile = "default", seed: int = 3) -> dict[str, Callable[[], LawComparison]]:
    """All comparisons of a profile: steps of every learner, single data sets, fresh directions. All must be ``equal``.

    Args:
        profile: ``default`` (some seconds) or ``thorough`` (more settings, more trials).
        seed: of all draws.

    Returns:
        Functions without arguments that make one comparison each; the correction counts all of them.
    """
    trials = _TRIALS[profile]
    settings = [LAW_SETTINGS[name] for name in (DEFAULT_SETTINGS if profile == "default" else LAW_SETTINGS)]
    of_steps = {
        f"{learner.name}: {setting.name}": steps(learner, setting, min(trials, setting.most_trials))
        for learner in LEARNERS.values()
        for setting in settings
        if not setting.exact_only or (learner.adapts != "nothing" and not learner.first_order)
    }
    of_queries = {f"queries: {setting.name}": queries(setting, trials) for setting in QUERY_SETTINGS.values()}
    of_directions = {f"directions: {j} in {i} + {o}": directions(j, i, o, trials) for j, i, o in _DIRECTIONS}
    groups = (of_steps, of_queries, of_directions)
    count = sum(map(len, groups))
    return {
        name: partial(compared, name, samples, _seed(seed, group, place), count)
        for group, cases in enumerate(groups)
        for place, (name, samples) in enumerate(cases.items())
    }


def _seed(*parts: int) -> int:
    """One seed from several whole numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0])


_MUTANT_SETTING = LawSetting("for mutants", 10, 2, 2, 4, 3, 1.5, 1, alpha=0.2, beta=0.8, scale=0.6)
"""Small samples and loud noise, so that the fluctuations are what the step consists of; milder tails than at the
balanced scale, which would hide differences in scatter.
"""
_QUIET_MUTANT_SETTING = LawSetting("for mutants, quiet", 10, 2, 2, 2, 20, 0.1, 1)
"""For mutants of the Hessian product, which loud noise would drown in the other answers."""


def mutant_setting(mutant: Mutant, learner: str) -> LawSetting:
    """The setting in which a mutant of a learner is looked for: one in which what it changes is not drowned."""
    if mutant.name == "one-sample-for-all-tasks":
        return replace(_MUTANT_SETTING, n=4)
    if mutant.name == "second-degrees-of-freedom":
        return _QUIET_MUTANT_SETTING
    if mutant.name == "second-inside-only":
        return LAW_SETTINGS["Hessian products"]
    if mutant.name in ("second-repeats-first", "outer-repeats-second"):
        return LAW_SETTINGS["Hessian products" if learner == "maml" else "Hessian products inside"]
    return _MUTANT_SETTING


def mutant_cases(profile: Profile = "default", seed: int = 5) -> dict[tuple[str, str], Callable[[], LawComparison]]:
    """Every mutant of the sampler in steps of the learners it concerns (default profile: of one of them, and without
    the permutation test). None may be ``equal``. The tests and their level are those of ``equality_cases``.

    Returns:
        By (mutant, learner), functions without arguments that make one comparison each.
    """
    chosen = []
    for i, mutant in enumerate(SAMPLER_MUTANTS):
        ids = [name for name in LEARNERS if name in mutant.learners]
        one = ids[(i + 3) % len(ids)]  # takes turns among the learners
        chosen += [(mutant, learner) for learner in ((one,) if profile == "default" else ids)]
    trials = max(_TRIALS[profile], 6000)

    def case(place: int, mutant: Mutant, learner: str) -> Callable[[], LawComparison]:
        samples = steps(get_learner(learner), mutant_setting(mutant, learner), trials, mutant)
        name = f"{mutant.name} in {learner}"
        return partial(compared, name, samples, _seed(seed, place), len(chosen), energy=profile != "default")

    return {(mutant.name, learner): case(place, mutant, learner) for place, (mutant, learner) in enumerate(chosen)}
