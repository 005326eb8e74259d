"""FO-MAML at the truth: its operator 𝓛, examples, and trajectories on both sides of where 𝓛 turns unstable."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
from hypothesis import strategies as st

from metarep.sim.implementations import Implementation
from metarep.sim.learners import LEARNERS
from metarep.sim.problems import FixedTasks, Problem, gaussian_heads, make_problem
from metarep.sim.shares import Share
from metarep.sim.trajectories import run
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.balls import at_most, ball, balls
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import Rule, identity
from metarep.theory.claims.comparing import close, farthest, same
from metarep.theory.claims.confirmation import Confirmation, Exceeds
from metarep.theory.claims.derivatives import neighbourhood, neighbourhoods
from metarep.theory.claims.enclosed import Found, in_balls, norm_too_large
from metarep.theory.claims.rates.linearisation import AT_TRUTH, NO_HEAD, first_order
from metarep.theory.claims.rates.spectra import compare_spectra, heads_and_steps
from metarep.theory.claims.record import Comparison, Example, Measurement, Verdict, own
from metarep.theory.claims.stability import claim
from metarep.theory.claims.stability.thresholds import follow, growth_comparison, left_out, perturbation, scalar_heads
from metarep.theory.claims.strategies import Entries, array, floats, fractions
from metarep.theory.dynamics.derive import derive
from metarep.theory.dynamics.enclosures import Start, enclosed_run, sine_at_least
from metarep.theory.dynamics.gaussian_heads import one_dimensional_proof
from metarep.theory.dynamics.linearise import linearise, span_head_matrix, stated_linearisation
from metarep.theory.dynamics.rates import HeadMoments, fo_maml_operator, third_moment

FO_MAML = LEARNERS["fo-maml"]
of_fo_maml = partial(claim, learners=["fo-maml"])


def _of_heads(heads: np.ndarray, fo_maml_operator: Callable, third_moment: Callable) -> np.ndarray:
    """𝓛 for these heads by these formulas."""
    moments = HeadMoments.of(heads)
    return fo_maml_operator(moments.mean, moments.second, third_moment(heads))


def _operator_proof(proof: Proof) -> None:
    derived = linearise(FO_MAML)
    span, deviation, _ = stated_linearisation(FO_MAML).expand()
    third = (a.omega.T * a.w_star) * a.w_star * a.w_star.T
    second = a.w_star * a.w_star.T
    on_span = a.S * second + second * a.S - third * 2
    on_head = second * a.omega - a.S * a.w_star
    proof.equal("S⁺ as derived and S − αβ(SΨ_* + Ψ_*S − 2T(ω))", derived.S, a.S - on_span.scaled(alpha=1, beta=1))
    proof.equal("ω⁺ as derived and ω − αβ(Ψ_*ω − Sw̄_*)", derived.omega, a.omega - on_head.scaled(alpha=1, beta=1))
    proof.equal("the same as stated for the rates, S⁺", span, derived.S)
    proof.equal("the same as stated for the rates, ω⁺", deviation, derived.omega)


@of_fo_maml(
    Verdict.PROVED,
    source=own("the derived step differentiated at the truth", about="theorem-maml"),
    given=AT_TRUTH + NO_HEAD,
    rests_on="span-rate-fo-maml",
    draws=heads_and_steps,
    proof=_operator_proof,
    examples=40,
)
def _fo_maml_operator(
    example: Example,
    implementation: Implementation,
    *,
    span_head_matrix=span_head_matrix,
    fo_maml_operator=fo_maml_operator,
    third_moment=third_moment,
) -> Comparison:
    r"""Near the truth FO-MAML's step is $(S, \omega)^+ = (S, \omega) - \alpha\beta\mathcal{L}(S, \omega)$ with
    $\mathcal{L}(S, \omega) = (S\Psi_* + \Psi_* S - 2T(\omega), \Psi_*\omega - S\bar w_*)$: the head hears the span
    through the heads' mean, the span hears the head through their third moments.

    So for small steps the truth is stable if the eigenvalues of $\mathcal{L}$ that are not zero have positive real
    part, and unstable if one has a negative real part. For few tasks one is zero (fo-maml-few-tasks): verdicts need a
    tolerance. «stable»
    """
    heads, alpha, beta, k = array(example["heads"]), example["alpha"], example["beta"], example["k"]
    G = span_head_matrix(FO_MAML, heads, alpha, beta)
    stated = np.eye(len(G), dtype=int) - alpha * beta * _of_heads(heads, fo_maml_operator, third_moment)
    r = float(np.abs(heads).max(initial=0))
    scale = 1 + 2 * alpha * beta * k**2 * (r + r**2 + r**3)
    return same(G, stated, scale, implementation.eps, "G − (1 − αβ𝓛), largest entry")


@of_fo_maml(
    Verdict.PROVED,
    source=own("an average over pairs"),
    rests_on="fo-maml-operator",
    floats=scalar_heads,
    fractions=partial(heads_and_steps, fractions, largest_k=1),
    proof=one_dimensional_proof,
    examples=40,
)
def fo_maml_scalar(
    example: Example, implementation: Implementation, *, fo_maml_operator=fo_maml_operator, third_moment=third_moment
) -> Comparison:
    r"""For $k = 1$ $\mathcal{L}$ has trace $3 m_2$ and determinant $2(m_2^2 - m_1 m_3)$, $m_j$ the heads' $j$-th
    moments; $m_1 m_3 - m_2^2$ is half the average over pairs of tasks of $w_i w_j (w_i - w_j)^2$; for heads $N(\mu,
    \sigma^2)$ $m_2^2 - m_1 m_3 = \sigma^2(\sigma^2 - \mu^2)$.

    Given: $k = 1$, fixed tasks, heads not all zero, $w = 0$

    So (two eigenvalues with a positive sum) the truth is stable under FO-MAML with small steps where $m_2^2 > m_1 m_3$
    and unstable where $m_2^2 < m_1 m_3$: for any heads of one sign that are not all equal. For Gaussian heads the
    border is $\mu^2 = \sigma^2$. At equality, as for a single task, one eigenvalue is zero. «stable»
    """
    heads, n = array(example["heads"]), example["n"]
    operator = _of_heads(heads, fo_maml_operator, third_moment)
    m_1, m_2, m_3 = ((heads**j).sum() / n for j in (1, 2, 3))
    if heads.dtype == object:
        (p, q), (r, s) = operator
        pairs = np.subtract.outer(heads[0], heads[0]) ** 2 * np.outer(heads[0], heads[0])
        seen = np.array([p + s, p * s - q * r, m_1 * m_3 - m_2**2])
        stated = np.array([3 * m_2, 2 * (m_2**2 - m_1 * m_3), pairs.sum() / (2 * n**2)])
        why = "trace, determinant and m_1m_3 − m_2² minus what is said of them"
        return close(seen, stated, 0, why, {"k": 1, "n": n, "heads": heads})
    values = np.roots([1.0, -3 * m_2, 2 * (m_2**2 - m_1 * m_3)])
    why = "power sums of 𝓛 minus those of the roots"
    return compare_spectra(operator, values, implementation.eps, why, objects={"k": 1, "n": n, "heads": heads})


def _few_tasks_proof(proof: Proof) -> None:
    derived = linearise(FO_MAML)
    rule = Rule("omega'", "w_star_i", "")
    for name, part, before in (("S⁺", derived.S, identity("s")), ("ω⁺", derived.omega, a.omega)):
        at = proof.substituted(f"S = I into {name}", part.substitute({"S": identity("s")}))
        proof.equal(f"{name} and what it was", proof.rewritten(at, "ωᵀw_{*,i} = 1", rule), before)


@of_fo_maml(
    Verdict.PROVED,
    given=AT_TRUTH + NO_HEAD,
    exercises="step",
    rests_on="fo-maml-operator",
    floats=neighbourhoods,
    fractions=partial(neighbourhoods, fractions),
    proof=_few_tasks_proof,
    examples=24,
    at_any_pace="along a neutral direction there is no step to shorten",
)
def fo_maml_few_tasks(example: Example, implementation: Implementation) -> Iterator[Comparison]:
    r"""If $\omega^\top w_{*,i} = 1$ for every task, then $(S, \omega)$ with $S = I$ is a neutral direction of FO-MAML's
    linearisation: $\mathcal{L}(I, \omega) = 0$.

    There is such an $\omega$ for any $n \le k$ linearly independent heads, so for few tasks one eigenvalue of
    $\mathcal{L}$ is always zero.
    """
    near = neighbourhood({**example, "A": (0 * array(example["A"])).tolist()})
    # ω is multiplied with heads, so its unit is one over theirs, α.
    omega = 0 * near.omega + near.at.alpha if not near.omega @ near.omega else near.omega
    # moves each head onto the plane ωᵀw = 1
    heads = near.at.heads + np.outer(omega, 1 - omega @ near.at.heads) / (omega @ omega)
    S = 0 * near.S + np.eye(example["k"], dtype=int)
    near = replace(near, at=replace(near.at, heads=heads), S=S, omega=omega, Y=0 * near.Y)
    objects = {**near.at.objects, "M": near.M, "omega": omega}
    yield from first_order(near, FO_MAML, implementation, (near.S, near.omega, near.Y), objects)


# --- examples and boundary

TWO_HEADS_STARTS = 8
TWO_HEADS_STEPS = 6000


def _two_heads_in_balls() -> Confirmation | None:
    """That dist of the run from the start itself falls below 10^−25, and that the run diverges."""

    def attempt() -> Found | None:
        step = ball(0.1)
        B0 = balls([[0.8], [0.6]]) / step.sqrt()
        start, fallen = Start(B0, balls([0]), balls([[1, 2], [0, 0]]), step, step), None
        for t, B, _ in enclosed_run(derive(FO_MAML), start, TWO_HEADS_STEPS):
            sine = 10**25 * sine_at_least(B)  # of dist itself, as k = 1
            if fallen is None and sine < 1:
                fallen = Exceeds("", 1.0, at_most(sine), f"10^25 dist_{t}")
            if fallen and (found := norm_too_large(start, t, B)):
                return t, (fallen, found)
        return None

    return in_balls(attempt)


@of_fo_maml(
    Verdict.MEASURED,
    source=own(about="theorem-maml"),
    given=f"as stated; the start and {TWO_HEADS_STARTS - 1} that differ from it by rounding errors",
    exercises=("step", "distance"),
    rests_on="fo-maml-scalar",
    confirm=_two_heads_in_balls,
    examples=1,
)
def fo_maml_two_heads(implementation: Implementation, seed: int, effort: float) -> Measurement:
    r"""FO-MAML with the two tasks' heads 1 and 2 ($k = 1$, $\alpha = \beta = 0.1$, balanced start at
    $\mathrm{dist}_0 = 0.6$, $w_0 = 0$) blows up after some 2000 steps, when its $\mathrm{dist}$ has fallen below
    $10^{-25}$.

    The step of the blow-up depends on rounding only weakly: the unstable mode is excited by the square of the
    perpendicular part. «stable»
    """
    rng = np.random.default_rng(0)  # d = 2, k = 1: the start is determined but for signs
    start = make_problem(2, 1, 2, 0.1, rng, dist0=0.6)
    # The start itself, and starts that differ from it by rounding errors: how far the blow-up depends on them.
    nudges = 1 + np.finfo(float).eps * np.arange(TWO_HEADS_STARTS)
    B0 = np.abs(start.B0) * nudges[:, None, None]
    w0 = np.zeros((TWO_HEADS_STARTS, 1))
    problem = Problem(2, start.B_star, FixedTasks(np.array([[1.0, 2.0]])), B0, w0, 2)
    seen = run(FO_MAML, problem, 0.1, 0.1, TWO_HEADS_STEPS, implementation=implementation)
    at, least = seen.diverged_at.astype(float), float(np.nanmin(seen.dist, axis=0).max())
    fine = bool(seen.diverged.all()) and least < 1e-25 and bool(np.all((at > 1900) & (at < 2200)))
    why = (
        f"the runs diverged at steps {int(at.min())} to {int(at.max())}, when dist had fallen to {least:.1e} or below"
        if seen.diverged.all()
        else f"{int((~seen.diverged).sum())} did not diverge in {TWO_HEADS_STEPS} steps; least dist {least:.1e}"
    )
    details = {"least dist": least, "steps": at.tolist()}
    uncertainty = max(1.0, farthest(at, at[0]))  # steps are whole, and when ‖B‖√α exceeds 10⁶ is a convention
    return Measurement(float(at[0]), uncertainty, len(at), why, details, consistent=fine)


@st.composite
def heads_near_boundary(draw: st.DrawFn) -> Example:
    """Heads X + t·(mean direction) with X of mean zero: k, n ≥ k + 2, and how far t is from where 𝓛 turns unstable."""
    made = Entries(draw, floats)
    k = draw(st.integers(1, 2))
    n = made.n(k + 2)
    return {
        "k": k,
        "n": n,
        "alpha": draw(floats(0.25, 1.0)),
        "alpha beta L^2": draw(floats(0.1, 0.3)),
        "heads": made.matrix(k, n, 0.25),
        "direction": made.vector(k),
        "share": draw(st.sampled_from([0.7, 0.8, 0.9, 1.1, 1.2, 1.4])),
    }


def _spread_heads(example: Example) -> tuple[np.ndarray, np.ndarray]:
    """Mean-zero heads that span all directions (a fixed regular part plus the drawn one), and a non-zero mean
    direction.
    """
    k, n = example["k"], example["n"]
    turn = 2 * np.pi * np.outer(np.arange(1, k + 1), np.arange(n)) / n
    heads = np.cos(turn + 0.3) + array(example["heads"])
    direction = np.array(example["direction"]) + 0.0
    direction[0] = 1.0
    return heads - heads.mean(-1, keepdims=True), direction


def _boundary(least: Callable[[float], float]) -> float:
    """The t at which ``least`` first turns negative (by bisection between one where it is not and one where it is)."""
    low, high = 0.0, 0.125
    while least(high) > 0 and high < 1e3:
        low, high = high, 1.25 * high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if least(middle) > 0 else (low, middle)
    return high


@of_fo_maml(
    Verdict.SUPPORTED,
    kind="inequality",
    exercises="step",
    rests_on="fo-maml-operator",
    floats=heads_near_boundary,
    examples=24,
)
def fo_maml_boundary(
    example: Example, implementation: Implementation, *, fo_maml_operator=fo_maml_operator, third_moment=third_moment
) -> Comparison:
    r"""FO-MAML's trajectories beside the truth move away or come back as the least real part of $\mathcal{L}$'s
    eigenvalues says, on both sides of where it changes sign, and by the predicted factor.

    Given: heads $w_{*,i} = x_i + t e$ with $\sum x_i = 0$ (a regular pattern $\pm \frac14$), $t$ 10 to 40 % away from
    where $\mathcal{L}$ turns unstable; $k \le 2$, $n \ge k + 2$, $0.1 \le \alpha\beta L_*^2 \le 0.3$; start at the
    critical mode
    """
    spread, direction = _spread_heads(example)

    def operator_at(t: float) -> np.ndarray:
        return _of_heads(spread + t * direction[:, None], fo_maml_operator, third_moment)

    t = example["share"] * _boundary(lambda t: float(np.real(np.linalg.eigvals(operator_at(t))).min()))
    heads = spread + t * direction[:, None]
    alpha = example["alpha"]
    beta = example["alpha beta L^2"] / (alpha * HeadMoments.of(heads).L ** 2)
    operator = operator_at(t)
    values, vectors = np.linalg.eig(operator)
    critical = int(np.argmin(np.real(values)))
    grows = bool(np.real(values[critical]) < 0)
    start = np.real(vectors[:, critical])
    start = start / np.linalg.norm(start)
    step = np.eye(len(operator)) - alpha * beta * operator
    growth = abs(1 - alpha * beta * values[critical])
    steps = int(np.clip(1.5 / abs(np.log(growth)), 5, 400))
    predicted = np.linalg.matrix_power(step, steps) @ start
    end = follow(FO_MAML, heads, alpha, beta, start, steps, implementation)
    # What has to be seen is growth beyond 1 or decay below it; the margin is how far. It is compared with what 𝓛
    # predicts as well: in every step second-order effects and rounding are (perturbation + eps/perturbation) relatively
    # times αβ ≤ 0.3/L_*² times some ten quadratic words with moments of heads of length 2 at most: 8 in all. The
    # largest seen is 2.4.
    off = float(np.linalg.norm(end - predicted)) / max(1.0, float(np.linalg.norm(predicted)))
    allowed = left_out(implementation.eps) * steps * 8
    why = "growth along the critical mode (its inverse where 𝓛 says unstable)"
    rounding = 8 * implementation.eps / perturbation(implementation.eps)
    objects = {"k": len(heads), "n": example["n"], "alpha": alpha, "beta": beta, "heads": heads}
    growing = growth_comparison(float(np.linalg.norm(end)), grows, why, rounding, objects)
    why = "trajectory beside the truth minus what 𝓛 predicts, over what second-order effects explain"
    followed = Comparison(off / allowed, 1.0, 0.0, why, objects=objects)
    return max(followed, growing, key=lambda each: (not each.holds, each.value))


DRAWS = ((5, 5, 0.954), (20, 5, 0.178), (100, 5, 0.0))
"""(n, k, share of draws of N(0, I) heads that are unstable, as measured with 6000 draws each)."""
DRAWS_TAKEN = 300


@of_fo_maml(Verdict.MEASURED, source=own(about="figure-1"), rests_on="fo-maml-operator", examples=DRAWS_TAKEN)
def fo_maml_finite_draws(
    implementation: Implementation,
    seed: int,
    effort: float,
    *,
    fo_maml_operator=fo_maml_operator,
    third_moment=third_moment,
) -> Measurement:
    r"""With fixed tasks drawn once from $N(0, I)$ the truth is unstable under FO-MAML for most draws of few tasks and
    for hardly any of many: about 95 % for $n = k = 5$, 18 % for $n = 20$, $k = 5$, none for $n = 100$, $k = 5$.

    Given: heads i.i.d. $N(0, I_k)$, drawn once; $w = 0$; small steps

    «stable»
    """
    rng = np.random.default_rng(seed)
    count = max(20, round(DRAWS_TAKEN * effort))
    shares, fine = {}, True
    for n, k, expected in DRAWS:
        unstable = 0
        for draw in gaussian_heads(0.0, 1.0, n, rng, (count,), k=k):
            operator = _of_heads(draw, fo_maml_operator, third_moment)
            # a zero eigenvalue of multiplicity two, as for n ≤ k, may move by the square root of eps
            tolerance = np.sqrt(np.finfo(float).eps * len(operator)) * float(np.linalg.norm(operator))
            unstable += bool(np.real(np.linalg.eigvals(operator)).min() < -tolerance)
        share = Share(unstable, count)
        error = float(np.sqrt(max(expected * (1 - expected), 1 / count) / count))
        shares[f"n = {n}, k = {k}"] = share
        fine = fine and abs(share.value - expected) <= 4 * error
    first = shares["n = 5, k = 5"]
    said = ", ".join(f"{share} for {name}" for name, share in shares.items())
    return Measurement(
        first.value,
        first.uncertainty,
        count,
        f"draws whose truth is unstable: {said}",
        {name: vars(share) for name, share in shares.items()},
        consistent=fine,
    )
