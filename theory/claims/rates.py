"""Claims about rates: the linearisation of every learner at the truth, its spectrum, and the rate at which dist falls
there.
"""

from fractions import Fraction
from math import comb
from typing import Any

import numpy as np
from hypothesis import strategies as st

from metarep.sim.fitting import fit_rate
from metarep.sim.implementations import Implementation
from metarep.sim.learners import META_LEARNERS, get_learner
from metarep.sim.problems import FixedTasks, Problem, heads_with_spectrum, make_problem
from metarep.sim.trajectories import run
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.words import gradient
from metarep.theory.claims.chapter import TITLES
from metarep.theory.claims.comparing import largest, same
from metarep.theory.claims.derivatives import (
    central_difference,
    difference_rounding,
    neighbourhood,
    neighbourhoods,
)
from metarep.theory.claims.record import Check, Claim, Comparison, Example, Measurement, Verdict, own
from metarep.theory.claims.strategies import (
    Numbers,
    array,
    floats,
    fractions,
    matrix,
    reflected_identity,
    reflections,
)
from metarep.theory.dynamics.linearise import (
    evaluates_without_rotation,
    integer_basis,
    linearise,
    span_head_matrix,
    stated_linearisation,
    symmetric_basis,
)
from metarep.theory.dynamics.rates import local_spectrum, symbolic_rate
from metarep.theory.dynamics.spectra import EIGENVECTORS, SPAN_MATRICES, S_other, eigenmode, span_step

CHAPTER = "Rates at the truth"

AT_TRUTH = (
    r"fixed tasks; $B = B_* M$ with $\alpha M M^\top = I$; any $d \ge k$, $n$, heads, $\alpha$, $\beta$; "
    r"near it $B = B_*(I + A - \frac{1}{2} S)M + B_{*\perp} Y$ with $S$ symmetric and $A$ skew, "
    r"$w = \alpha M^\top h + \frac{1}{\alpha} M^\top \omega$"
)
NO_HEAD = r"; $h = 0$ (the fixed point has $w = 0$)"
ANY_HEAD = r"; any $h$ (the fixed point has any $w$)"
ANIL_LIKE = ("anil", "fo-anil")
THIRD = r"$T(\omega) = \frac{1}{n} \sum_i (\omega^\top w_{*,i}) w_{*,i} w_{*,i}^\top$"


def _parts(head: bool) -> str:
    return "for any head at the fixed point" if head else "at w = 0"


def _linearisation_proof(name: str, heads: tuple[bool, ...], perpendicular: bool) -> Proof:
    proof = Proof()
    learner = get_learner(name)
    for head in heads:
        derived = linearise(learner, head)
        span, deviation, beyond = stated_linearisation(learner, head).expand()
        if perpendicular:
            proof.expanded(f"Y⁺ from the derivative of the derived step, {_parts(head)}", derived.Y)
            proof.equal(f"Y⁺ {_parts(head)}", derived.Y, beyond)
        else:
            proof.expanded(f"S⁺ from the derivative of the derived step, {_parts(head)}", derived.S)
            proof.expanded(f"ω⁺ from the derivative of the derived step, {_parts(head)}", derived.omega)
            proof.equal(f"S⁺ {_parts(head)}", derived.S, span)
            proof.equal(f"ω⁺ {_parts(head)}", derived.omega, deviation)
    return proof


def _linearisation_check(name: str, head: bool, perpendicular: bool) -> Check:
    learner = get_learner(name)

    def check(instance: Example, implementation: Implementation) -> Comparison:
        near = neighbourhood(instance)
        dB, dw = near.direction()
        stepped = near.coordinates(*central_difference(implementation, learner, near.at, dB, dw))
        stated = near.stated(learner, head)
        chosen = slice(2, 3) if perpendicular else slice(0, 2)
        rounding = difference_rounding(learner, near.at, dB, dw, implementation.eps)
        if not near.at.exact:  # the change of coordinates adds up k or d entries of the derivative each way
            c = float(instance["c"])
            rounding *= instance["d"] * max(1.0, 1 / c, 1 / c**3)
        return same(
            np.concatenate([part.ravel() for part in stepped[chosen]]),
            np.concatenate([part.ravel() for part in stated[chosen]]),
            rounding / implementation.eps,
            implementation.eps,
            "derivative of the implementation's step minus the stated one, largest entry",
            roundings=1,
        )

    return check


_SPAN_STATEMENTS = {
    "fo-anil": r"$S^+ = S - \alpha\beta(S K + K^\top S)$ with $K = \Psi_* - h \bar w_*^\top$, and the head drifts, "
    r"$\omega^+ = \omega + \alpha\beta S(\bar w_* - h)$, without acting back.",
    "anil": r"$S^+ = S - 2\alpha\beta(S\Phi + \Phi S)$ with "
    r"$\Phi = \frac{1}{n}\sum_i (h - w_{*,i})(h - w_{*,i})^\top$, "
    r"and the head is neutral, $\omega^+ = \omega$.",
    "fo-maml": r"$S^+ = S - \alpha\beta(S\Psi_* + \Psi_* S - 2T(\omega))$ and "
    r"$\omega^+ = \omega - \alpha\beta(\Psi_*\omega - S\bar w_*)$, " + THIRD + ".",
    "maml": r"$S^+ = S - \alpha\beta(2(S\Psi_* + \Psi_* S) - 4T(\omega))$ and "
    r"$\omega^+ = \omega - \alpha^3\beta\frac{1}{n}"
    r"\sum_i (\|w_{*,i}\|^2 w_{*,i}w_{*,i}^\top\omega - (w_{*,i}^\top S w_{*,i}) w_{*,i})$, " + THIRD + ".",
}


def _linearisation_claims() -> tuple[Claim, ...]:
    claims = []
    for perpendicular in (True, False):
        for name in META_LEARNERS:
            head = name in ANIL_LIKE
            common: dict[str, Any] = {
                "chapter": CHAPTER,
                "source": own("the derived step differentiated at the truth"),
                "hypotheses": AT_TRUTH + (ANY_HEAD if head else NO_HEAD),
                "expected": Verdict.PROVED,
                "learners": (name,),
                "exercises": frozenset({"step"}),
                "rests_on": (f"update-{name}",),
                "proof": lambda name=name, head=head, p=perpendicular: _linearisation_proof(
                    name, (False, True) if head else (False,), p
                ),
                "floats": lambda head=head, p=perpendicular: neighbourhoods(floats, head, least_beyond=int(p)),
                "fractions": lambda head=head, p=perpendicular: neighbourhoods(
                    fractions, head, largest_k=2, most_beyond=2, least_beyond=int(p)
                ),
                "check": _linearisation_check(name, head, perpendicular),
                "examples": 24,
            }
            if perpendicular:
                claims.append(
                    Claim(
                        id=f"local-rate-{name}",
                        statement=f"At the truth {TITLES[name]} moves the perpendicular part to first order by "
                        r"$Y^+ M^{-1} = Y M^{-1}(I - \alpha\beta\Psi_*)$.",
                        remark=r"So with $\lambda_j$ the eigenvalues of $\Psi_*$ its modes contract by "
                        r"$1 - \alpha\beta\lambda_j$; where the fixed point is stable and $\alpha\beta L_*^2 \le 1$, "
                        r"$\mathrm{dist}$ falls by $1 - \alpha\beta\mu_*^2$ a step in the end: twice the envelope's "
                        "exponent and more.",
                        **common,
                    )
                )
            else:
                claims.append(
                    Claim(
                        id=f"span-rate-{name}",
                        statement=f"At the truth {TITLES[name]} moves span and head to first order by "
                        + _SPAN_STATEMENTS[name],
                        **common,
                    )
                )
    return tuple(claims)


# -----------------------------------------------------------------------------------------------------------
# neutral rotations


def _rotation_proof() -> Proof:
    proof = Proof()
    for name in META_LEARNERS:
        for head in (False, True) if name in ANIL_LIKE else (False,):
            linear = linearise(get_learner(name), head)
            proof.fact(
                f"A stands in no word of S⁺, ω⁺, Y⁺ of {TITLES[name]} {_parts(head)}",
                evaluates_without_rotation(linear),
            )
            rest = linear.A.part(lambda count: count("A") > 0)
            proof.equal(f"what A⁺ owes to A, {TITLES[name]} {_parts(head)}", rest, a.A)
    return proof


def _rotation_check(instance: Example, implementation: Implementation) -> Comparison:
    near = neighbourhood(instance)
    at = near.at
    dB = at.B_star @ near.A @ near.M
    dw = 0 * at.w
    left, right, rounding = [], [], 0.0
    for name in META_LEARNERS:
        learner = get_learner(name)
        next_B, next_w = central_difference(implementation, learner, at, dB, dw)
        left += [next_B.ravel(), next_w.ravel()]
        right += [dB.ravel(), dw.ravel()]
        rounding = max(rounding, difference_rounding(learner, at, dB, dw, implementation.eps))
    return same(
        np.concatenate(left),
        np.concatenate(right),
        rounding / implementation.eps,
        implementation.eps,
        "derivative of the step along a rotation minus the rotation, largest entry",
        roundings=1,
    )


ROTATION = Claim(
    id="rotation-neutral",
    chapter=CHAPTER,
    statement=r"The rotations $A$ drop out of $S^+$, $\omega^+$ and $Y^+$ of all four learners, and $A^+ - A$ does not "
    r"depend on $A$: rotations of the representation, which the heads undo, are neutral.",
    source=own("the derived step differentiated at the truth"),
    hypotheses=AT_TRUTH + NO_HEAD + " for the MAMLs, any $h$ for the ANILs",
    expected=Verdict.PROVED,
    learners=META_LEARNERS,
    exercises=frozenset({"step"}),
    rests_on=tuple(f"span-rate-{name}" for name in META_LEARNERS),
    proof=_rotation_proof,
    floats=lambda: neighbourhoods(floats),
    fractions=lambda: neighbourhoods(fractions, largest_k=2, most_beyond=1),
    check=_rotation_check,
    examples=12,
)


#
# ------------------------------------------------------------------------------------------------------------------
# the spectra


def _span_spectrum_proof(name: str) -> Proof:
    proof = Proof()
    factor, matrix_words = SPAN_MATRICES[name]
    moved = span_step(factor)
    with_heads = proof.substituted("K, the matrix of the heads, into S⁺", moved.substitute({"K": matrix_words}))
    proof.equal("S⁺ as derived and through K", linearise(get_learner(name), True).S, with_heads)
    mode = eigenmode()
    at_mode = proof.substituted("S = xyᵀ + yxᵀ with eigenvectors of Kᵀ to c and c²", moved.substitute({"S": mode}))
    at_mode = proof.rewritten(at_mode, "Kᵀx = c x, Kᵀy = c² y", *EIGENVECTORS)
    rates = mode.scaled(factor, alpha=1, beta=1, c=1) + mode.scaled(factor, alpha=1, beta=1, c=2)
    proof.equal("S⁺ and the mode times its eigenvalue", at_mode, mode - rates)
    return proof


def heads_and_steps(
    with_head: bool = False, largest_k: int = 4, numbers: Numbers = floats
) -> st.SearchStrategy[Example]:
    """Any heads and step sizes, and a head h at the fixed point, for statements about the theory's own matrices."""

    @st.composite
    def build(draw: st.DrawFn) -> Example:
        k = draw(st.integers(1, largest_k))
        n = draw(st.integers(1, 6))
        return {
            "k": k,
            "n": n,
            "alpha": draw(numbers(1 / 8, 2.0)),
            "beta": draw(numbers(1 / 8, 1.0)),
            "heads": draw(matrix(numbers, k, n)),
            **({"h": draw(matrix(numbers, 1, k))[0]} if with_head else {}),
        }

    return build()


def power_sums(matrix_: np.ndarray, most: int) -> np.ndarray:
    """tr G, tr G², ..., tr G^most: by Newton's identities they determine the eigenvalues with their multiplicities."""
    sums, power = [], np.eye(len(matrix_), dtype=int)
    for _ in range(most):
        power = power @ matrix_
        sums.append(np.trace(power))
    return np.array(sums)


def compare_spectra(
    matrix_: np.ndarray, values: np.ndarray, eps: float, why: str, size: float | None = None
) -> Comparison:
    """Compare a matrix's spectrum with predicted eigenvalues through power sums, which unlike eigenvalues are well
    conditioned.

    Divided by ‖G‖_F^p, the p-th power sum of an N×N matrix collects about p·N rounding errors of an entry's size each.
    """
    N = len(matrix_)
    norm = float(np.linalg.norm(matrix_)) if size is None else size
    if norm == 0:
        return Comparison(float(np.abs(values).max(initial=0.0)), 0, 0, why)
    orders = np.arange(1, N + 1)
    predicted = np.array([np.sum((np.asarray(values) / norm) ** p) for p in orders])
    difference = np.abs(power_sums(matrix_ / norm, N) - predicted)
    return Comparison(float(difference.max()), 0, 8 * eps * N**2, why)


def _pair_sums(K: np.ndarray, most: int) -> np.ndarray:
    """Power sums of κ_i + κ_j, i ≤ j, for the eigenvalues κ of a matrix: from its traces, so exact for fractions."""
    traces = [len(K), *power_sums(K, most)]
    return np.array(
        [
            (sum(comb(p, q) * traces[q] * traces[p - q] for q in range(p + 1)) + 2**p * traces[p]) / 2
            for p in range(1, most + 1)
        ]
    )


def _span_spectrum_check(name: str) -> Check:
    learner = get_learner(name)

    def check(instance: Example, implementation: Implementation) -> Comparison:
        heads = array(instance["heads"])
        alpha, beta, k = instance["alpha"], instance["beta"], instance["k"]
        head = array(instance["h"])
        G = (np.eye(k * (k + 1) // 2 + k, dtype=int) - span_head_matrix(learner, heads, alpha, beta, head)) / (
            alpha * beta
        )
        h = head[:, None]
        if G.dtype == object:
            K = (heads - h) @ (heads if name == "fo-anil" else 2 * (heads - h)).T / instance["n"]
            off = power_sums(G, len(G)) - _pair_sums(K, len(G))
            return Comparison(largest(off), 0, 0, "power sums of the linearisation minus those predicted")
        if name == "fo-anil":
            rates = np.linalg.eigvals((heads - h) @ heads.T / instance["n"])
        else:
            rates = 2 * np.linalg.eigvalsh((heads - h) @ (heads - h).T / instance["n"])
        rows, cols = np.triu_indices(k)
        predicted = np.concatenate([rates[rows] + rates[cols], np.zeros(k)])
        # αβ was subtracted from 1 and divided out again: rounding errors of size 1/(αβ) stand beside those of ‖G‖,
        # and so do those of
        # cancelling parts, (‖h‖ + largest head)². Eigenvalues of the k×k matrix may be ill conditioned; their power
        # sums are not.
        cancelling = float(np.abs(heads).max() + np.abs(head).max()) ** 2 * k**2
        size = float(np.linalg.norm(G)) + cancelling + 1 / (alpha * beta)
        return compare_spectra(
            G, predicted, implementation.eps, "power sums of the linearisation minus those predicted", size
        )

    return check


_SPECTRA = {
    "fo-anil": r"Let $K^\top x = a x$ and $K^\top y = b y$ with $K = \Psi_* - (Mw)\bar w_*^\top$ (at $w = 0$: "
    r"$\Psi_*$). FO-ANIL's linearisation multiplies $S = x y^\top + y x^\top$ by $1 - \alpha\beta(a + b)$.",
    "anil": r"Let $K x = a x$ and $K y = b y$ with $K = \frac{1}{n}\sum_i (Mw - w_{*,i})(Mw - w_{*,i})^\top$. "
    r"Exact ANIL's linearisation multiplies $S = x y^\top + y x^\top$ by $1 - 2\alpha\beta(a + b)$.",
}


def _spectrum_claim(name: str) -> Claim:
    return Claim(
        id=f"span-spectrum-{name}",
        chapter=CHAPTER,
        statement=_SPECTRA[name],
        source=own("eigenvectors of the linearisation"),
        hypotheses=AT_TRUTH + ANY_HEAD,
        expected=Verdict.PROVED,
        learners=(name,),
        rests_on=(f"span-rate-{name}",),
        proof=lambda: _span_spectrum_proof(name),
        floats=lambda: heads_and_steps(with_head=True),
        fractions=lambda: heads_and_steps(with_head=True, largest_k=3, numbers=fractions),
        check=_span_spectrum_check(name),
        examples=40,
        remark=r"So, with $a_j$ the eigenvalues of $K$, those of the linearisation on the span are $1 - "
        r"\alpha\beta(a_i "
        r"+ a_j)$ (twice that for Exact ANIL), $i \le j$, and $1$ on the head: the matrices $xy^\top + yx^\top$ span "
        r"the symmetric ones where $K$ is diagonalisable, and eigenvalues are continuous. The instances, exact ones "
        r"included, check the whole spectrum, multiplicities and all, through its power sums ($k \le 4$).",
    )


def _maml_form(heads: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """(the operator of Exact MAML on (S, ω), the factor F with the operator = D FᵀF): F stacks (Sw_i −
    (ωᵀw_i)w_i)/√n.
    """
    k, n = heads.shape
    operator = (np.eye(k * (k + 1) // 2 + k) - span_head_matrix(get_learner("maml"), heads, alpha, 1.0)) / alpha
    basis = symmetric_basis(k)
    on_span = np.einsum("xab,bn->xna", basis, heads)
    on_head = -np.einsum("bn,an->bna", heads, heads)
    factor = np.concatenate([on_span, on_head]).reshape(-1, n * k).T / np.sqrt(n)
    return operator, factor


def _descended(heads: np.ndarray, alpha: Any) -> np.ndarray:
    """(4α∇_S, α³∇_ω) of the energy on each of the basis matrices and vectors; fractions."""
    k, n = heads.shape
    misses = [S @ heads for S in integer_basis(k)] + [-heads * row for row in heads]  # Sw_i − (ωᵀw_i)w_i as columns
    slopes = [miss @ heads.T / n for miss in misses]
    span = np.array([2 * alpha * (slope + slope.T) for slope in slopes])[:, *np.triu_indices(k)]
    head = np.array([-(alpha**3) * heads @ (miss * heads).sum(0) / n for miss in misses])
    return np.concatenate([span, head], axis=1).T


def _maml_spectrum_check(instance: Example, implementation: Implementation) -> Comparison:
    heads, alpha, k = array(instance["heads"]), instance["alpha"], instance["k"]
    if heads.dtype == object:
        G = span_head_matrix(get_learner("maml"), heads, alpha, instance["beta"])
        off = np.eye(len(G), dtype=int) - G - instance["beta"] * _descended(heads, alpha)
        return Comparison(largest(off), 0, 0, "1 − G minus the energy's gradients, largest entry")
    operator, factor = _maml_form(heads, alpha)
    weights = np.concatenate([np.full(k * (k + 1) // 2, 4.0), np.full(k, alpha**2)])
    # The operator is (1 − G)/α, so rounding errors of 1/α stand beside those of its own entries, at most k² times
    # 4(m_2 + m_3) + α²(m_3 + m_4).
    r = float(np.abs(heads).max(initial=0.0))
    size = 1 / alpha + k**2 * (4 * (r**2 + r**3) + alpha**2 * (r**3 + r**4))
    return same(
        operator,
        weights[:, None] * (factor.T @ factor),
        size,
        implementation.eps,
        "the operator minus D FᵀF, largest entry",
    )


def _maml_spectrum_proof() -> Proof:
    """The operator as D times the gradient of a sum of squares, word by word."""
    proof = Proof()
    derived = linearise(get_learner("maml"))
    miss = a.S * a.w_star - (a.omega.T * a.w_star) * a.w_star
    energy = proof.expanded("½‖Sw_i − (ωᵀw_i)w_i‖²", (miss.T * miss) * Fraction(1, 2))
    along = miss.T * (S_other * a.w_star)
    proof.equal("the energy's derivative along S', the trace of S' miss w_iᵀ", energy.polarise({"S": "S_other"}), along)
    pulled = miss * a.w_star.T
    proof.equal("S⁺ = S − 4αβ ∇_S", derived.S, a.S - (pulled + pulled.T).scaled(2, alpha=1, beta=1))
    slope = gradient(energy, "omega")
    proof.equal("ω⁺ = ω − α³β ∇_ω", derived.omega, a.omega - slope.scaled(alpha=3, beta=1))
    return proof


MAML_SPECTRUM = Claim(
    id="span-spectrum-maml",
    chapter=CHAPTER,
    statement=r"Exact MAML at $w = 0$ descends an energy: $(S, \omega)^+ = (S - 4\alpha\beta\nabla_S, \omega - "
    r"\alpha^3\beta\nabla_\omega)$ with gradients of "
    r"$\frac{1}{2n}\sum_i \|S w_{*,i} - (\omega^\top w_{*,i}) w_{*,i}\|^2$.",
    source=own(),
    hypotheses=AT_TRUTH + NO_HEAD,
    expected=Verdict.PROVED,
    learners=("maml",),
    rests_on=("span-rate-maml",),
    proof=_maml_spectrum_proof,
    floats=heads_and_steps,
    fractions=lambda: heads_and_steps(largest_k=3, numbers=fractions),
    check=_maml_spectrum_check,
    examples=40,
    remark=(
        "So the operator is symmetrisable and positive semidefinite, and singular iff some $(S, \\omega) \\ne 0$ has "
        "$S w_{*,i} = (\\omega^\\top w_{*,i}) w_{*,i}$ for all $i$. A gradient by a symmetric S is the symmetric "
        "part of "
        "the gradient by a free one; its metric is the Frobenius inner product."
    ),
)


# --------------------------------------------------------------------------------------------------- Jacobian of
# the implementation


def _jacobian_check(instance: Example, implementation: Implementation) -> Comparison:
    near = neighbourhood(instance)
    at = near.at
    d, k = instance["d"], instance["k"]
    size = d * k + k
    dB = np.concatenate([np.eye(d * k).reshape(-1, d, k), np.zeros((k, d, k))])
    dw = np.concatenate([np.zeros((d * k, k)), np.eye(k)])
    # ω = α²Mδw: a change of variables in which the Jacobian is balanced is a similarity and leaves its spectrum alone.
    worst = Comparison(0.0, 0, 1.0, "")
    for name in META_LEARNERS:
        learner = get_learner(name)
        next_B, next_w = central_difference(implementation, learner, at, dB, dw)
        jacobian = np.concatenate([next_B.reshape(size, -1), next_w], axis=1).T
        rate = at.alpha * at.beta
        spectrum = local_spectrum(learner, at.heads, at.alpha, at.beta)
        values = np.concatenate(
            [np.repeat(spectrum.perpendicular, d - k), spectrum.span_head, np.ones(k * (k - 1) // 2)]
        )
        G = (np.eye(size) - jacobian) / rate
        rounding = difference_rounding(learner, at, dB, dw, implementation.eps) / rate
        # Entries of G are off by `rounding`; divided by ‖G‖ the p-th power sum is off by p·N times the relative
        # error. The predicted eigenvalues
        # come from a matrix of their own with errors eps/rate, and a defective pair's errors cancel in the sum to
        # first order.
        norm = float(np.linalg.norm(G)) + 1
        shares = power_sums(G / norm, size) - np.array(
            [np.sum(((1 - values) / rate / norm) ** p) for p in range(1, size + 1)]
        )
        tolerance = size**2 * (rounding + 8 * implementation.eps / rate * (1 + 1 / rate**0.5)) / norm
        here = Comparison(
            float(np.abs(shares).max()), 0, tolerance, f"power sums of {TITLES[name]}'s Jacobian minus those predicted"
        )
        if not here.holds or here.strain >= worst.strain:
            worst = here
            if not here.holds:
                return here
    return worst


JACOBIAN = Claim(
    id="jacobian-spectrum",
    chapter=CHAPTER,
    statement=r"The Jacobian of one outer step at the truth with $w = 0$ has the eigenvalues "
    r"$1 - \alpha\beta\lambda_j$, "
    r"each $d - k$ times, $1$ for the "
    r"$\frac{k(k-1)}{2}$ rotations, and those of the linearisation on $(S, \omega)$, for all four learners.",
    source=own(),
    hypotheses=AT_TRUTH + NO_HEAD,
    expected=Verdict.SUPPORTED,
    learners=META_LEARNERS,
    exercises=frozenset({"step"}),
    rests_on=(
        *(f"local-rate-{name}" for name in META_LEARNERS),
        *(f"span-rate-{name}" for name in META_LEARNERS),
        "rotation-neutral",
    ),
    floats=lambda: neighbourhoods(floats, most_beyond=2),
    check=_jacobian_check,
    examples=25,
    remark=(
        "Compared through the traces of the Jacobian's powers, which determine its spectrum and, unlike "
        "eigenvalues, are well conditioned."
    ),
)


#
# ------------------------------------------------------------------------------------------------------------------
# trajectories


@st.composite
def starts_at_truth(draw: st.DrawFn, head: bool) -> Example:
    """A start whose perpendicular part is tiny and which is the truth otherwise, and spread-out heads with given
    spectrum of Ψ_*.
    """
    k = draw(st.integers(1, 3))
    return {
        "k": k,
        "n": k + draw(st.integers(1, 4)),
        "alpha": draw(floats(0.25, 2.0)),
        "alpha beta L^2": draw(floats(1 / 64, 0.4)),
        "spectrum": [1.0, *(draw(floats(0.05, 1.0)) for _ in range(k - 1))],
        "seed": draw(st.integers(0, 99)),
        "turn": draw(reflections(floats, k)),
        "Y": draw(matrix(floats, k, k)),
        "h": draw(matrix(floats, 1, k))[0] if head else [0.0] * k,
    }


RATIO_STEPS = 12
TINY_ANGLE = 1e-20


def ratio_check(name: str, speed: float = 1.0) -> Check:
    """dist_t along a trajectory against ‖Y(I − speed·αβΨ_*)^t‖; the claim has speed 1."""
    learner = get_learner(name)

    def check(instance: Example, implementation: Implementation) -> Comparison:
        k, alpha = instance["k"], instance["alpha"]
        heads = heads_with_spectrum(instance["spectrum"], instance["n"], np.random.default_rng(instance["seed"]))
        beta = instance["alpha beta L^2"] / alpha
        M = reflected_identity(instance["turn"]) / np.sqrt(alpha)
        Y = TINY_ANGLE * (np.eye(k) + 0.25 * array(instance["Y"]))
        w = alpha * (M.T @ np.array(instance["h"]))
        problem = Problem(2 * k, np.eye(2 * k, k), FixedTasks(heads), np.concatenate([M, Y @ M]), w, instance["n"])
        seen = run(learner, problem, alpha, beta, RATIO_STEPS, implementation=implementation).dist
        contraction = np.eye(k) - speed * alpha * beta * (heads @ heads.T) / instance["n"]
        if len(seen) <= RATIO_STEPS:  # it diverged on the way: no distance to compare
            return Comparison(float("nan"), 0, 0, "the trajectory diverged")
        powers = [Y]
        for _ in range(RATIO_STEPS):
            powers.append(powers[-1] @ contraction)
        predicted = np.linalg.norm(np.stack(powers), 2, axis=(-2, -1))
        # Second order: angles of 1e-20 leave 1e-40. What remains is rounding: in each step it moves S and w by some
        # eps k n (1 + |h| + |w_*|)², these
        # change N by αβ times as much, and for as many steps as remain an unstable span or head lets them grow, by
        # (1 + αβ·growth) a step.
        # N acts on Y of any orientation, hence the condition of the product, which bounds how far Y y may shrink.
        size = 1 + float(np.abs(heads).max()) + float(np.abs(instance["h"]).max())
        growth = local_spectrum(learner, heads, alpha, beta, w / alpha @ np.linalg.inv(M).T if w.any() else None).growth
        amplified = max(1.0, growth) ** RATIO_STEPS * (1 + alpha**3 * beta * size**4)
        shrink = float(np.linalg.norm(Y, 2) / predicted[-1])
        tolerance = 16 * implementation.eps * k * instance["n"] * size**2 * RATIO_STEPS**2 * amplified * shrink
        return Comparison(
            float(np.abs(seen / predicted - 1).max()),
            0,
            tolerance,
            "largest relative deviation of dist_t from the prediction",
        )

    return check


def _ratio_claim(name: str) -> Claim:
    head = name in ANIL_LIKE
    return Claim(
        id=f"local-ratio-{name}",
        chapter=CHAPTER,
        statement=rf"From a start at an angle $\epsilon Y$ to the truth and otherwise at the truth, {TITLES[name]} has "
        r"$\mathrm{dist}_t = \epsilon \|Y (I - \alpha\beta\Psi_*)^t\|$ up to $O(\epsilon^2)$ relatively, so that "
        r"$\mathrm{dist}_{t+1}/\mathrm{dist}_t \to 1 - \alpha\beta\mu_*^2$.",
        source=own("the linearisation iterated"),
        hypotheses=r"fixed tasks, $\Psi_*$ of full rank, $\alpha\beta L_*^2 \le 0.4$, $\epsilon = 10^{-20}$; "
        + ("any head" if head else "$w_0 = 0$"),
        expected=Verdict.SUPPORTED,
        learners=(name,),
        exercises=frozenset({"step", "distance"}),
        rests_on=(f"local-rate-{name}",),
        floats=lambda: starts_at_truth(head),
        check=ratio_check(name),
        examples=24,
        remark=(
            "In coordinates that keep the perpendicular part as its own factor, so that an angle of 1e-20 has all "
            "its digits."
        ),
    )


FITTED_BOUND = 1e-3
FITTED_TRIALS = 12


def _fitted_rates(name: str, implementation: Implementation, seed: int, effort: float) -> Measurement:
    """Fit the rate on trajectories from dist_0 = ½ and compare it with the theory's, over trials with n = 40 heads of
    spread ½ ≤ λ ≤ 1, d = 20, k = 3.
    """
    learner = get_learner(name)
    trials = int(np.clip(round(FITTED_TRIALS * effort), 2, 5 * FITTED_TRIALS))  # a fit costs more than its trajectory
    rng = np.random.default_rng(seed)
    alpha, beta, k, n = 1.0, 0.2, 3, 40
    problem = make_problem(
        20, k, n, alpha, rng, dist0=0.5, trials=(trials,), spectrum=(1.0, 0.75, 0.5), angles="largest"
    )
    heads = problem.tasks(0)
    stable = np.array([local_spectrum(learner, heads[i], alpha, beta).stable for i in range(trials)])
    seen = run(learner, problem, alpha, beta, 4000, implementation=implementation, record_every=10, stop_below=1e-140)
    errors = []
    for i in np.flatnonzero(stable):
        predicted = symbolic_rate(learner, heads[i], alpha, beta)
        try:
            rate = fit_rate(seen.steps, seen.dist[:, i]).rate
        except ValueError:  # the trajectory ended: it diverged, or stood still
            rate = np.nan
        errors.append(abs(rate - predicted) / (1 - predicted))
    worst = float(np.max(errors)) if errors else np.nan
    return Measurement(
        worst,
        float(np.std(errors)) if errors else np.nan,
        len(errors),
        f"largest relative error of 1 − rate among {len(errors)} trials (α = 1, β = 0.2, αβL_*² = 0.2, d = 20, "
        f"k = 3, n = 40, dist_0 = ½); "
        f"{trials - len(errors)} trials were left out as unstable; the uncertainty is the errors' standard deviation",
        {"trials": trials, "stable": int(stable.sum()), "median error": float(np.median(errors)) if errors else None},
        consistent=bool(worst < FITTED_BOUND),
    )


def _fitted_claim(name: str) -> Claim:
    return Claim(
        id=f"local-rate-trajectory-{name}",
        chapter=CHAPTER,
        statement=rf"From a balanced start far from the truth {TITLES[name]} settles to the rate "
        r"$1 - \alpha\beta\mu_*^2$ "
        rf"wherever the truth is stable: "
        r"the rate fitted to $\log\mathrm{dist}_t$ agrees within $10^{-3}$ of $\alpha\beta\mu_*^2$.",
        source=own(),
        hypotheses=(
            r"fixed tasks, $n > k$ heads in general position, $\alpha\beta L_*^2 = 0.2$, $\alpha B_0^\top B_0 = I$, "
            r"$w_0 = 0$, $\mathrm{dist}_0 = \frac{1}{2}$"
        ),
        expected=Verdict.MEASURED,
        kind="measurement",
        learners=(name,),
        exercises=frozenset({"step", "distance"}),
        rests_on=(f"local-rate-{name}",),
        measure=lambda implementation, seed, effort: _fitted_rates(name, implementation, seed, effort),
        examples=FITTED_TRIALS,
        remark="The span is forced by the square of the perpendicular part and dies out faster, as long as no mode of "
        "span or head is slow; "
        r"Exact MAML's head mode is slower by about $\alpha^2$ times the heads' size squared.",
    )


CLAIMS = (
    *_linearisation_claims(),
    ROTATION,
    _spectrum_claim("fo-anil"),
    _spectrum_claim("anil"),
    MAML_SPECTRUM,
    JACOBIAN,
    *(_ratio_claim(name) for name in META_LEARNERS),
    *(_fitted_claim(name) for name in META_LEARNERS),
)
