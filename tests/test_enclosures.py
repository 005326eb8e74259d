"""Balls and runs in balls enclose what they should; confirmations say nothing that is not certain."""

import math
import operator
import time
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx, fmpq

from metarep.reports.chapters.claims.records import evidence_record
from metarep.sim.implementations import REFERENCE
from metarep.sim.learners import LEARNERS
from metarep.sim.metrics import subspace_distance
from metarep.sim.updates import step
from metarep.theory.calculus.balls import TooWideError, at_least, at_most, ball, balls, decided
from metarep.theory.calculus.proofs import Proof
from metarep.theory.claims import catalogue, get_claim
from metarep.theory.claims.balanced import Setting, one_direction_setting, run_setting, setting_of
from metarep.theory.claims.confirmation import Confirmation, Exceeds, in_fractions
from metarep.theory.claims.enclosed import balanced_starts, leaves_envelope, one_direction_starts
from metarep.theory.claims.envelope import EVERY_K, many_directions
from metarep.theory.claims.record import Claim, Comparison, Verdict, own
from metarep.theory.dynamics.derive import DerivedUpdate, derive
from metarep.theory.dynamics.enclosures import Start, enclosed_run, sine_at_least
from metarep.theory.engine import verify

rng = np.random.default_rng(3)
FO_MAML = LEARNERS["fo-maml"]
DIVERGING = {"heads": [0, 0, 1], "alpha_L": 0.1, "step": 0.03, "dist_0": 0.94}
"""FO-MAML diverges here after 201 steps."""
STALLING = {"heads": [0, 0, 1], "alpha_L": 3.0, "step": 0.01, "dist_0": 0.85}
"""Exact MAML is above the envelope here after 184 steps."""


def middle(array: np.ndarray) -> np.ndarray:
    return np.vectorize(lambda x: float(x.mid()), otypes=[float])(array)


def encloses(enclosure: arb, number: Fraction) -> bool:
    """Whether the ball has the number in it; its ends are dyadic, so that this is exact."""
    with ctx.workprec(1000):
        return enclosure.lower().fmpq() <= fmpq(number.numerator, number.denominator) <= enclosure.upper().fmpq()


# --- balls


def test_a_float_is_the_decimal_that_it_shows() -> None:
    with ctx.workprec(100):
        for number, shown in ((0.1, Fraction(1, 10)), (np.float64(1e-25), Fraction(1, 10**25)), (Fraction(1, 3),) * 2):
            enclosure = balls([[number]]).item()
            assert encloses(enclosure, shown)
            assert not encloses(enclosure, shown * (1 + Fraction(1, 2**60)))


def test_nothing_is_rounded_to_nearest_on_the_way() -> None:
    third: Any = Fraction(1, 3)
    with pytest.raises(TypeError):
        operator.mul(ball(1), third)


@pytest.mark.parametrize("number", [Fraction(1, 3), Fraction(-1, 3), Fraction(1, 4), Fraction(10) ** 400, Fraction(2)])
def test_ends_are_rounded_outward(number: Fraction) -> None:
    with ctx.workprec(300):
        low, high = at_least(ball(number)), at_most(ball(number))
    assert low <= number <= high or (low, high) == (np.finfo(float).max, math.inf)
    assert high - low <= 2 * math.ulp(float(number)) if abs(number) < 10**300 else not math.isfinite(high)


def test_ends_of_what_is_not_known_are_infinite() -> None:
    unknown = arb(0, 1) / arb(0, 1)
    assert at_least(unknown) == -math.inf
    assert at_most(unknown) == math.inf


def test_precision_is_doubled_until_it_decides() -> None:
    tried = []

    def attempt() -> str:
        tried.append(ctx.prec)
        if ctx.prec < 300:
            raise TooWideError
        return "so"

    assert decided(attempt) == ("so", 512)
    assert tried == [128, 256, 512]
    assert decided(attempt, most_bits=512) == ("so", 512)
    assert decided(attempt, most_bits=256) is None


@pytest.mark.parametrize(
    ("share", "tried"), [(1.0, [128, 256, 512, 1024]), (1 / 5, [128, 512, 1024]), (1e-3, [128, 1024])]
)
def test_precisions_that_can_hardly_be_enough_are_left_out(share: float, tried: list[int]) -> None:
    """Where a run says how far it came; never is the largest left out, nor one tried twice."""
    seen = []

    def attempt() -> str:
        seen.append(ctx.prec)
        if ctx.prec < 1000:
            raise TooWideError("", share * ctx.prec / 128)
        return "so"

    assert decided(attempt, most_bits=1024) == ("so", 1024)
    assert seen == tried


# --- runs


@pytest.mark.parametrize("learner", LEARNERS.values(), ids=lambda learner: learner.name)
def test_a_run_encloses_the_exact_one(learner: Any) -> None:
    """The simulator's step in fractions, which shares nothing with the derived one in balls."""

    def numbers(*shape: int) -> np.ndarray:
        drawn = rng.integers(-8, 9, shape)
        return np.vectorize(lambda x: Fraction(int(x), 8), otypes=[object])(drawn)

    B, w, targets, alpha, beta = numbers(4, 2), numbers(2), numbers(4, 3), Fraction(1, 5), Fraction(1, 7)
    start = Start(balls(B), balls(w), balls(targets), ball(alpha), ball(beta))
    for _, enclosed_B, enclosed_w in enclosed_run(derive(learner), start, 3):
        B, w = step(learner, B, w, targets, alpha, beta)
        for enclosure, exact in zip((*enclosed_B.flat, *enclosed_w.flat), (*B.flat, *w.flat), strict=True):
            assert encloses(enclosure, exact)
            assert enclosure.rad() < 1e-9


def test_a_run_ends_where_the_balls_say_nothing() -> None:
    start, _ = one_direction_starts(DIVERGING)[0]
    with pytest.raises(TooWideError):
        list(enclosed_run(derive(FO_MAML), start, 200))


@pytest.mark.parametrize(
    "update",
    [
        replace(derive(LEARNERS["maml"]), program=derive(FO_MAML).program),
        replace(derive(FO_MAML), learner=LEARNERS["maml"]),
    ],
    ids=["second order missing", "another learner's"],
)
def test_a_wrong_step_is_refused(update: DerivedUpdate) -> None:
    with pytest.raises(ValueError, match="not the derived one"):
        leaves_envelope(STALLING, LEARNERS["maml"], 300, starts=one_direction_starts, update=update)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_sine_is_a_sharp_lower_bound(k: int) -> None:
    B = rng.standard_normal((2 * k, k))
    with ctx.workprec(200):
        sine = sine_at_least(balls(B))
    seen = float(subspace_distance(B, np.eye(2 * k, k)))
    # The distance in floats is good to a few eps times the condition of B.
    assert abs(float(sine.mid()) - seen) < 1e-13 * np.linalg.cond(B)


# --- settings


def settings() -> list[tuple[list[tuple[Start, arb]], Setting, float]]:
    """(in balls, in floats, μ_*²) of examples of every kind."""
    one = {"heads": [1, 2, -3], "alpha_L": 0.2, "step": 0.01, "dist_0": 0.7}
    shapes = [(3, 5, 5, [0.3, -0.2, 0.1]), (2, 4, 2, [0.0, 0.0]), (2, 3, 3, [0.0, 2.0]), (3, 6, 4, [0.0, 0.0, 0.0])]
    several = [
        {
            "k": k,
            "d": d,
            "n": n,
            "steps": [[0.5, 0.02], [2.0, 0.01]],
            "spectra": [[1.0, 0.5, 0.25][:k]],
            "mean_shares": [share],
            "frames": [rng.standard_normal((2, n - 1)).tolist()],
            "sines": [0.9, 0.4, 0.3][:k],
            "orientation": rng.standard_normal((2, k)).tolist(),
        }
        for k, d, n, share in shapes
    ]
    found = [(one_direction_starts(one), one_direction_setting(one), 1.0)]
    found += [(balanced_starts(e), setting_of([e], np.array(e["steps"])), min(e["spectra"][0])) for e in several]
    return found


@pytest.mark.parametrize("which", range(5))
def test_a_setting_in_balls_is_the_one_in_floats(which: int) -> None:
    with ctx.workprec(200):
        starts, setting, mu2 = settings()[which]
        for number, (start, speed) in enumerate(starts):
            k, n = start.B.shape[-1], start.targets.shape[-1]
            B0 = np.broadcast_to(setting.problem.B0, (len(setting.alpha), *setting.problem.B0.shape[-2:]))[number]
            heads = np.reshape(setting.problem.tasks(0), (-1, k, n))[0]
            for mine, other in ((start.B, B0), (start.targets[:k], heads)):
                assert np.abs(middle(mine) - other).max() < 1e-14 * n * k * max(1.0, np.abs(other).max())
            assert not any(x != 0 for x in start.targets[k:].flat)
            assert float(start.alpha) == pytest.approx(setting.alpha[number])
            assert float(start.beta) == pytest.approx(setting.beta[number])
            margin = 0.9 - setting.dist0[number] ** 2
            assert float(speed) == pytest.approx(float(setting.alpha[number] * setting.beta[number] * margin * mu2))
            # What the floats only promise to rounding: balance, and heads with this second moment.
            second = start.targets[:k] @ start.targets[:k].T / n
            for gram in (start.alpha * (start.B.T @ start.B) - np.eye(k, dtype=int), second - np.diag(np.diag(second))):
                assert all(abs(x) < arb(2) ** -150 for x in gram.flat)


# --- confirmations


def test_every_refuted_claim_has_a_confirmation_to_ask_for() -> None:
    """``test_claims`` sees that each gets it."""
    refuted = [claim for claim in catalogue() if claim.expected == Verdict.REFUTED]
    assert all(claim.confirm is not None for claim in refuted)
    assert len(refuted) >= 5


def test_what_is_below_the_envelope_is_not_confirmed() -> None:
    at = {"starts": one_direction_starts, "may_diverge": False}
    assert leaves_envelope({**DIVERGING, "dist_0": 0.3}, FO_MAML, 60, **at) is None
    assert leaves_envelope(DIVERGING, LEARNERS["fo-anil"], 250, **at) is None
    assert leaves_envelope(DIVERGING, FO_MAML, 200, **at) is None, "it diverges in the next step"
    assert leaves_envelope(STALLING, LEARNERS["maml"], 183, **at) is None


def test_what_is_above_the_envelope_is_confirmed_where_it_first_is() -> None:
    found = leaves_envelope(STALLING, LEARNERS["maml"], 300, starts=one_direction_starts)
    assert found is not None
    (item,) = found.exceeds
    bound = (1 - Fraction(1, 2) * Fraction(1, 100) * (Fraction(9, 10) - Fraction(85, 100) ** 2)) ** 183
    assert found.decides
    assert bound <= item.upper <= bound * (1 + Fraction(1, 10**15))
    assert item.bound.endswith("^183")
    run = run_setting(LEARNERS["maml"], one_direction_setting(STALLING), 184, REFERENCE)
    assert item.lower == pytest.approx(float(run.dist[-1, 0]), rel=1e-12)


def test_divergence_does_not_break_the_envelope_itself() -> None:
    """The distance of the runs that diverge is below the envelope all the while."""
    assert leaves_envelope(DIVERGING, FO_MAML, 201, starts=one_direction_starts) is None
    k, _, pair = EVERY_K["fo-maml"]
    # Floats, as balls bound the distance from below only where k > 1.
    wide = setting_of([example := _first(many_directions(k, k, pair))], np.array(example["steps"]))
    forever = one_direction_setting({"heads": [1, 2], "alpha_L": 0.1, "step": 0.01, "dist_0": 0.9})
    for setting, steps in ((wide, 148), (forever, 3629)):
        run = run_setting(FO_MAML, setting, steps, REFERENCE)
        speed = setting.alpha * setting.beta * (0.9 - setting.dist0**2) * setting.smallest[0]
        bound = (1 - speed / 2) ** np.maximum(run.steps - 1, 0)[:, None]
        assert not run.diverged.any()
        assert (run.dist[2:] < bound[2:]).all()


def _first(strategy: Any) -> Any:
    from hypothesis import Phase, find
    from hypothesis import settings as how

    return find(strategy, lambda example: True, settings=how(database=None, phases=[Phase.generate]))


def test_too_few_bits_confirm_nothing() -> None:
    at = {"starts": one_direction_starts, "may_diverge": False}
    assert leaves_envelope(DIVERGING, FO_MAML, 300, **at, most_bits=512) is None
    found = leaves_envelope(DIVERGING, FO_MAML, 300, **at)
    assert found is not None
    assert (found.bits, found.steps, found.decides) == (1024, 201, True)


@pytest.mark.parametrize(
    ("lower", "upper"), [(1.0, 1.0), (1.0, 2.0), (math.nan, 0.0), (1.0, math.nan), (math.inf, 0.0), (0.0, -math.inf)]
)
def test_ends_that_are_not_apart_show_nothing(lower: float, upper: float) -> None:
    good = Exceeds("x", 2.0, 1.0)
    assert not Confirmation("balls", (good, Exceeds("y", lower, upper))).decides
    assert Confirmation("balls", (good,)).decides
    assert not Confirmation("balls", ()).decides


def test_ends_are_printed_rounded_outward() -> None:
    assert str(Exceeds("x", 0.12345678, 0.12345612, "y")) == "x ≥ 0.123456 > 0.123457 ≥ y"
    assert str(Exceeds("", 1e6, 12.0)) == "1e+06 > 12"


def test_fractions_confirm_what_is_exact_alone() -> None:
    found = in_fractions(Fraction(1, 3), 0, "x")
    assert found is not None
    assert Fraction(found.exceeds[0].lower) <= Fraction(1, 3)
    assert in_fractions(Fraction(1, 3), Fraction(1, 3), "x") is None
    assert in_fractions(0.5, 0, "x") is None
    assert in_fractions(10**400, 0, "x") is not None


def guess(confirm: Any, **changes: Any) -> Claim:
    from hypothesis import strategies as st

    record = {
        "id": "toy",
        "chapter": "toys",
        "statement": "$x \\le 6$",
        "source": own(),
        "hypotheses": "$0 \\le x \\le 10$",
        "expected": Verdict.REFUTED,
        "kind": "inequality",
        "floats": lambda: st.floats(0, 10).map(lambda x: {"x": x}),
        "check": lambda at, _: Comparison(at["x"], 6.0, 0.0),
        "confirm": confirm,
        "examples": 200,
    }
    return Claim(**{**record, **changes})


def test_the_engine_counts_what_decides_and_nothing_else() -> None:
    good = Confirmation("balls", (Exceeds("x", 7.0, 6.0),))
    asked = []

    def confirm(example: Any) -> Confirmation:
        asked.append(example)
        began = time.process_time()
        while time.process_time() == began:  # a clock of CPU time may tick in hundredths
            pass
        return good

    started = time.perf_counter()
    finding = verify(guess(confirm))
    assert 0 < finding.seconds <= time.perf_counter() - started
    (item,) = finding.evidence
    assert asked == [{"x": 7.0}]
    assert item.confirmation == good
    assert item.confirmation is not None
    assert 0 < item.confirmation.seconds < 0.5
    assert not item.in_floats_only
    assert evidence_record(item).confirmation is not None
    for nothing in (Confirmation("balls", (Exceeds("x", 6.0, 7.0),)), Confirmation("balls", ()), None):
        (item,) = verify(guess(lambda example, nothing=nothing: nothing)).evidence
        assert item.verdict == Verdict.REFUTED
        assert item.confirmation is None
        assert item.in_floats_only
        assert evidence_record(item).in_floats_only


def test_only_what_is_expected_of_the_reference_is_confirmed() -> None:
    def never(*at: Any) -> Confirmation:
        raise AssertionError("not to be asked")

    assert verify(guess(never), replace(REFERENCE, name="other")).evidence[0].in_floats_only
    assert verify(guess(never, expected=Verdict.SUPPORTED)).evidence[0].in_floats_only
    assert verify(guess(None)).evidence[0].in_floats_only
    asked = []
    verify(
        guess(lambda *at: asked.append(at), expected=Verdict.SUPPORTED, check=lambda at, _: Comparison(0.0, 1.0, 0.0))
    )
    assert asked == [()]
    failing = guess(never, floats=None, check=None, proof=Proof)  # refuted, and by no example
    assert verify(failing).evidence[0].confirmation is None


def test_a_refutation_in_fractions_is_its_own_certificate() -> None:
    from hypothesis import strategies as st

    exact = {
        "floats": None,
        "fractions": lambda: st.sampled_from([Fraction(1), Fraction(20, 3)]).map(lambda x: {"x": x}),
    }
    claim = guess(None, check=lambda at, _: Comparison(at["x"], 6, 0), **exact)
    (item,) = verify(claim).evidence
    assert item.confirmation is not None
    assert (item.confirmation.method, item.in_floats_only) == ("fractions", False)
    (item,) = verify(claim, replace(REFERENCE, name="other")).evidence
    assert item.confirmation is None


def test_named_settings_are_confirmed() -> None:
    """Of claims that are not refuted: that what their statements say of a setting happens there."""
    named = [claim for claim in catalogue() if claim.confirm and claim.expected != Verdict.REFUTED]
    assert {"fo-maml-two-heads", "fo-anil-large-head"} <= {claim.id for claim in named}
    confirm = get_claim("fo-anil-large-head").confirm
    assert confirm is not None
    found = confirm()
    assert found is not None
    assert found.decides


def test_no_numbers_are_no_balls() -> None:
    assert balls([]).shape == (0,)
    assert balls([[1, 2]]).shape == (1, 2)


def test_precisions_double_until_one_is_enough() -> None:
    tried = []

    def attempt() -> int:
        tried.append(ctx.prec)
        if ctx.prec < 512:
            raise TooWideError
        return ctx.prec

    def never() -> None:
        tried.append(ctx.prec)
        raise TooWideError

    assert decided(attempt) == (512, 512)
    assert tried == [128, 256, 512]
    tried.clear()
    assert decided(never) is None
    assert tried == [128, 256, 512, 1024, 2048, 4096, 8192, 16384]


def test_ends_that_floats_hold_are_the_ends() -> None:
    assert at_least(arb(0.5)) == at_most(arb(0.5)) == 0.5
    with ctx.workprec(128):
        assert balls([2**60 + 1, 0.5])[0] == arb(2**60 + 1)
