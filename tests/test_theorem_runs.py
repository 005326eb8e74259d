"""Long runs: 200 random problems in the proved region stay below the envelope, and the claims about long runs refuse
what moves too little.
"""

from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import Phase, given, settings

from metarep.sim.implementations import REFERENCE
from metarep.sim.learners import META_LEARNERS, get_learner
from metarep.sim.mutants.steps import wrong_implementation
from metarep.theory.claims import envelope, get_claim
from metarep.theory.claims.balanced import (
    LONG_REGIONS,
    Setting,
    long_settings,
    run_setting,
    setting_of,
)
from metarep.theory.claims.compliance import log_envelope
from metarep.theory.claims.record import Verdict
from metarep.theory.engine import Profile, verify
from metarep.theory.engine.foreign.diagnosis import diagnose
from metarep.theory.engine.mutants.selftest import MUTANTS
from metarep.theory.engine.search import _our_search, _Search
from metarep.theory.inequalities.conditions import CONDITIONS, Quantities, guaranteed_rate

LARGEST_K, EACH = 8, 25
"""Problems are 200: 25 for each k from 1 to 8, of which the default profile takes 1, 2, 3 and 8."""
PERIOD = 3
STEPS = 4000


def _example(k: int, n: int, changing: bool, rng: np.random.Generator) -> dict[str, Any]:
    """A start and tasks at random: every κ_*² from 1 to 100, every size of the heads' mean, every dist_0 up to 0.93."""
    kappa_squared = 100 ** (rng.uniform() ** 3)
    sets = PERIOD if changing else 1

    def spectrum() -> list[float]:
        inner = kappa_squared ** -rng.uniform(size=max(k - 2, 0))
        return [1.0, *sorted(inner, reverse=True), 1 / kappa_squared][:k]

    def mean_share() -> list[float]:
        share = rng.standard_normal(k)
        return (share * rng.choice([0.0, rng.uniform(), 1.0]) / np.linalg.norm(share)).tolist()

    spectra, shares = [spectrum() for _ in range(sets)], [mean_share() for _ in range(sets)]
    frames = [rng.uniform(-1, 1, (2, n - 1)).tolist() for _ in range(sets)]
    repeated = PERIOD // sets  # tasks that are fixed take their turns with themselves
    return {
        "k": k,
        "d": 2 * k,
        "n": n,
        "spectra": spectra * repeated,
        "mean_shares": shares * repeated,
        "frames": frames * repeated,
        "sines": sorted(rng.uniform(0.05, 0.93) * np.array([1, *rng.uniform(size=k - 1)]), reverse=True),
        "orientation": rng.uniform(-1, 1, (2, k)).tolist(),
        "turn": rng.uniform(0, 1.5) if changing else 0.0,
    }


def _quantities(example: dict[str, Any], alpha: float, beta: float) -> Quantities:
    """L_* = 1; the least μ_*² and the largest mean of all steps."""
    means = (np.sqrt(values) * share for values, share in zip(example["spectra"], example["mean_shares"], strict=True))
    smallest = min(values[-1] for values in example["spectra"])
    return Quantities(alpha, beta, smallest, 1.0, max(float(np.linalg.norm(m)) for m in means), example["sines"][0])


def settings_of(theorem: str, k: int) -> Setting:
    """25 problems, β from a third of what the conditions allow to all of it, αL_* from 0.1 to 10."""
    rng = np.random.default_rng(k)
    examples, steps = [], []
    for number in range(EACH):
        example = _example(k, k + 1 + k // 2, number % 2 == 1, rng)
        alpha = float(10 ** rng.uniform(-1, 1))
        at = _quantities(example, alpha, 1.0)
        edge = min(c.factor(at) for c in CONDITIONS[theorem] if r"\beta" in c.latex)
        beta = edge * float(rng.choice([0.999, rng.uniform(1 / 3, 1)]))
        at = _quantities(example, alpha, beta)
        assert all(condition.holds(at) for condition in CONDITIONS[theorem])
        assert guaranteed_rate(theorem, at) == pytest.approx(10 / 9 * alpha * beta * at.E0 * at.mu_squared)
        examples.append(example)
        steps.append([alpha, alpha * beta])
    return setting_of(examples, np.array(steps))


@pytest.mark.parametrize("name", ["fo-anil", "anil"])
def test_no_run_in_the_proved_region_leaves_the_envelope(name: str, profile: Profile) -> None:
    required, every_k = [], range(1, LARGEST_K + 1) if profile.name == "thorough" else (1, 2, 3, LARGEST_K)
    for k in every_k:
        setting = settings_of(f"theorem-{name}", k)
        trajectory = run_setting(get_learner(name), setting, STEPS, REFERENCE, record_every=40)
        # Proved is the product of the factors of s = 0, ..., T − 1. That of s = 1, ..., T + 2 is smaller: it has three
        # more, one of each task set, for the one of s = 0.
        allowed = log_envelope(setting, trajectory.steps + PERIOD, 10 / 9)
        assert not trajectory.diverged.any()
        assert np.all(np.log(trajectory.dist[1:]) <= allowed[1:])
        required.extend(np.exp(allowed[-1]) < setting.dist0)
    assert len(required) == len(every_k) * EACH
    assert np.mean(required) >= 0.6  # the others have too small a step for so few of them


# --- the claims' teeth

LONG_CLAIMS = [
    f"{kind}-{name}" for kind in ("envelope", "envelope-changing", "balance-bounded") for name in META_LEARNERS
]


@pytest.mark.parametrize("id_", LONG_CLAIMS)
@pytest.mark.parametrize("mutant", ["frozen", "half-speed", "stops-halfway", "one-direction-left-out"])
def test_what_moves_too_little_is_refuted_at_every_seed(id_: str, mutant: str, profile: Profile) -> None:
    """Those that fall at the first example at two seeds, the others at one; in the thorough profile at five."""
    wrong = wrong_implementation(MUTANTS[mutant])
    seeds = 2 if mutant in ("frozen", "half-speed") else 1
    for seed in range(5 if profile.name == "thorough" else seeds):
        finding = verify(get_claim(id_), wrong, profile=Profile(seed=seed, shrink=False))
        assert finding.status == Verdict.REFUTED, seed


@pytest.mark.parametrize("name", META_LEARNERS)
@pytest.mark.parametrize("period", [1, envelope.MOST_SETS])
def test_bounds_of_the_envelope_claims_require_movement(name: str, period: int) -> None:
    required: list[bool] = []
    sizes: list[tuple[int, int]] = []

    @hypothesis.seed(5)
    @settings(max_examples=60, phases=[Phase.generate])
    @given(long_settings(LONG_REGIONS[name], period))
    def count(example: Any) -> None:
        setting = setting_of([example], np.array(example["steps"]))
        steps = envelope.RECORDS * envelope.run_length(setting)
        required.extend(np.exp(log_envelope(setting, np.array([steps]))[0]) < setting.dist0)  # the paper's, c = ½
        sizes.append((example["k"], example["d"]))

    with _our_search(_Search()):  # as the engine draws
        count()
    assert np.mean(required) >= 0.95
    largest_k, largest_d = np.max(sizes, axis=0)
    assert largest_k == 8
    assert largest_d >= 40


@pytest.mark.parametrize(
    ("mutant", "cause", "factor"),
    [
        ("frozen", "frozen", None),
        ("half-speed", "beta-scaled", 0.5),
        ("slower-by-one-percent", "beta-scaled", 0.99),
        ("one-direction-left-out", "frozen-direction", None),
    ],
)
def test_the_cause_of_too_little_movement_is_named(mutant: str, cause: str, factor: float | None) -> None:
    found = diagnose(wrong_implementation(MUTANTS[mutant])).cause
    assert found is not None
    assert (found.id, found.learner) == (cause, "all")
    assert found.factor == (None if factor is None else pytest.approx(factor))
