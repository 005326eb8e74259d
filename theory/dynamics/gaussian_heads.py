"""FO-MAML at the truth when the heads are Gaussian: its operator 𝓛 taken apart, word by word. Own derivation.

Heads N(μ, Σ): Ψ_* = Σ + μμᵀ and T(ω) = (ωᵀμ)Ψ_* + Σωμᵀ + μωᵀΣ (Isserlis). With D = Σ − μμᵀ, the Lyapunov operator
J_D(R) = DR + RD, and R = S − (μᵀω)I, ρ = Rμ − Σω, the operator is 𝓛(S, ω) = (J_D R + 2(ρμᵀ + μρᵀ), −ρ). Everything
follows from that:

- det 𝓛 = det Σ · Π_{i≤j}(δ_i + δ_j), δ the eigenvalues of D;
- all eigenvalues have positive real part if D > 0, that is, if μᵀΣ⁻¹μ < 1, whatever k;
- if kμᵀΣ⁻¹μ < 16 there are as many with negative real part as pairs i ≤ j with δ_i + δ_j < 0.

The letters of the heads' mean and second moment stand for μ and Ψ_* here; Σ = Ψ_* − μμᵀ.
"""

from collections.abc import Mapping

import sympy

from metarep.sim.learners import get_learner
from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.traces import trace
from metarep.theory.calculus.words import SCALARS, Poly, identity, letter, spell
from metarep.theory.dynamics.linearise import stated_linearisation

mu, Psi = a.w_bar, a.Psi_star
Sigma = Psi - mu * mu.T
D = Sigma - mu * mu.T
rho = letter("rho", "s", "1", "ρ", r"\rho")
X = letter("X", "s", "s", "X", "X", symmetry=1)


def third_moment_along(omega: Poly) -> Poly:
    """T(ω) of heads N(μ, Σ)."""
    return (omega.T * mu) * Psi + Sigma * omega * mu.T + mu * omega.T * Sigma


def operator(S: Poly, omega: Poly) -> tuple[Poly, Poly]:
    """𝓛(S, ω) = (SΨ_* + Ψ_*S − 2T(ω), Ψ_*ω − Sμ)."""
    return S * Psi + Psi * S - third_moment_along(omega) * 2, Psi * omega - S * mu


def reduced(S: Poly, omega: Poly) -> tuple[Poly, Poly]:
    """(R, ρ) = (S − (μᵀω)I, Rμ − Σω)."""
    R_ = S - (mu.T * omega) * identity("s")
    return R_, R_ * mu - Sigma * omega


def lyapunov(R_: Poly) -> Poly:
    """J_D(R) = DR + RD."""
    return D * R_ + R_ * D


def mixed(vector: Poly) -> Poly:
    """vμᵀ + μvᵀ."""
    return vector * mu.T + mu * vector.T


def commuting(polynomial: Poly, symbols: Mapping[str, sympy.Symbol]) -> sympy.Expr:
    """A polynomial of the words at k = s = 1, where every letter is a number and words commute."""
    total: sympy.Expr = sympy.Integer(0)
    for (powers, scalars, core), value in polynomial.terms.items():
        factors = [symbols[spell(code)[0].name] for word in (*scalars, core) for code in word]
        factors += [symbols[name] ** power for name, power in zip(SCALARS, powers, strict=True) if power]
        total += sympy.Rational(value) * sympy.Mul(*factors)
    return total


# --- proofs


def _taken_apart(proof: Proof) -> None:
    """𝓛 through (R, ρ), and what 𝓛 does to (R, ρ)."""
    span, head = operator(a.S, a.omega)
    proof.expanded("𝓛(S, ω) with Isserlis' third moment", span)
    R_, rho_ = reduced(a.S, a.omega)
    proof.equal("the span's part and J_D R + 2(ρμᵀ + μρᵀ)", span, lyapunov(R_) + mixed(rho_) * 2)
    proof.equal("the head's part and −ρ", head, -rho_)


def parts_proof(proof: Proof) -> None:
    """𝓛 through (R, ρ), and the form that changes along 𝓛 by a sum of squares and one mixed term."""
    _taken_apart(proof)
    moved_R, moved_rho = reduced(X, -rho)
    proof.equal("R of 𝓛(S, ω) = (X, −ρ): X + (μᵀρ)I", moved_R, X + (mu.T * rho) * identity("s"))
    proof.equal("ρ of 𝓛(S, ω): Xμ + (μᵀρ)μ + Σρ", moved_rho, X * mu + (mu.T * rho) * mu + Sigma * rho)
    gain = (
        X - mixed(rho) * 2
    ) * moved_R + rho * moved_rho.T * 4  # its trace: ⟨J_D R, R'⟩ + 4ρᵀρ', as J_D R = X − 2(ρμᵀ + μρᵀ)
    stated = X * X + (mu.T * rho) * X + rho * rho.T * Sigma * 4
    proof.equal("⟨J_D R, R'⟩ + 4ρᵀρ' and ‖X‖² + 4ρᵀΣρ + (μᵀρ) tr X", trace(gain), trace(stated))


def determinant_proof(proof: Proof) -> None:
    """det 𝓛 = det Σ · Π_{i≤j}(δ_i + δ_j)."""
    _taken_apart(proof)
    R_, rho_ = reduced(a.S, a.omega)
    proof.equal(
        "ρ − Rμ and −Σω, so (S, ω) ↦ (R, ρ) is two shears, with determinants 1, and −Σ on ω",
        rho_ - R_ * mu,
        -(Sigma * a.omega),
    )
    proof.equal("R owes nothing to ω but the shear", R_.part(lambda count: count("omega") == 0), a.S)
    i, j = sympy.symbols("delta_i delta_j")
    modes = sympy.Matrix([[i, 0], [0, j]])
    unit = sympy.Matrix([[0, 1], [1, 0]])
    proof.fact(
        "J_D has the eigenvectors x_i x_jᵀ + x_j x_iᵀ with eigenvalues δ_i + δ_j, i ≤ j",
        modes * unit + unit * modes == (i + j) * unit,
    )
    proof.argued(
        "𝓛 is the composition of S ↦ S − (μᵀω)I and ρ ↦ ρ + Rμ (unitriangular), of ω ↦ −Σω, of R ↦ J_D R, and of "
        "(X, ρ) ↦ (X + 2(ρμᵀ + μρᵀ), −ρ) (triangular), so det 𝓛 = (−1)^k det Σ · Π(δ_i + δ_j) · (−1)^k"
    )


def stability_proof(proof: Proof) -> None:
    """D > 0 implies that every eigenvalue of 𝓛 has positive real part, for all k.

    Let 𝓛(S, ω) = −s(S, ω) with Re s ≥ 0. Then ρ = sω, so J_D R + sR = −s(2(ωμᵀ + μωᵀ) + (μᵀω)I) and (Σ + s)ω = Rμ. In
    D's eigenbasis solve the first for R (δ_i + δ_j + s ≠ 0) and put it into the second: (W(s) + b(s)μᵀ)ω = 0 with,
    H_ij = s/(s + δ_i + δ_j), W = s + D + 2 diag_i(Σ_j μ_j²H_ij) + 2[μ_iμ_jH_ij], b_i = (1 + H_ii)μ_i. W has real
    part ≥ D > 0, so ω ≠ 0 needs 1 + μᵀW⁻¹b = 0. With a_i = 1/(2δ_i + s), κ = Σ μ_j²a_j, g = μᵀW⁻¹μ this is
    1 + 10κ + 8κg = 0, or 1/κ + 10 + 8g = 0: but Re κ > 0 (so Re 1/κ > 0) and Re g ≥ 0.
    """
    _taken_apart(proof)
    R_, rho_ = reduced(a.S, a.omega)
    # the eigenvalue −s, with s written c: 𝓛_S + sS = 0 and ρ = sω give J_D R + sR + s(2(ωμᵀ + μωᵀ) + (μᵀω)I) = 0
    span, _ = operator(a.S, a.omega)
    eigen = span + a.S.scaled(c=1)
    trace_part = (mu.T * a.omega) * identity("s")
    stated = lyapunov(R_) + R_.scaled(c=1) + (mixed(a.omega) * 2 + trace_part).scaled(c=1)
    proof.equal(
        "the span's eigenvalue equation, up to 2(xμᵀ + μxᵀ) with x = ρ − sω",
        eigen - mixed(rho_ - a.omega.scaled(c=1)) * 2,
        stated,
    )
    proof.equal(
        "the head's: Rμ − (Σ + s)ω and ρ − sω",
        R_ * mu - Sigma * a.omega - a.omega.scaled(c=1),
        rho_ - a.omega.scaled(c=1),
    )

    s, i, j = sympy.symbols("s delta_i delta_j")
    m_i, m_j, o_i, o_j, c = sympy.symbols("mu_i mu_j omega_i omega_j c")
    kappa, g = sympy.symbols("kappa g")

    def same(what: str, left: sympy.Expr, right: sympy.Expr) -> None:
        proof.fact(what, sympy.cancel(left - right) == 0)

    H = s / (s + i + j)
    H_ii = H.subs(j, i)
    solved = -s * 2 * (o_i * m_j + m_i * o_j) / (i + j + s)
    same(
        "R_ij off the trace: −2H_ij(ω_iμ_j + μ_iω_j); times μ_j, summed over j: the two H-parts of −W",
        solved * m_j,
        -2 * (m_j**2 * H * o_i + m_i * m_j * H * o_j),
    )
    same(
        "R_ii from the trace: −H_ii c; with Σ = D + μμᵀ the terms with c = μᵀω are (1 + H_ii)μ_i c",
        c * m_i + s * c / (2 * i + s) * m_i,
        (1 + H_ii) * m_i * c,
    )
    a_i, a_j = 1 / (2 * i + s), 1 / (2 * j + s)
    same("2H_ij(a_i + a_j) = 4s a_i a_j, hence W(aμ) = (D + s)aμ + 4sκ aμ", 2 * H * (a_i + a_j), 4 * s * a_i * a_j)
    same("1 + H_ii = 2(δ_i + s)a_i, hence b = 2W(aμ) − 8sκ aμ", 1 + H_ii, 2 * (i + s) * a_i)
    same("(δ_i + s)a_i = ½(1 + s a_i), hence W(aμ) = ½μ + s(½ + 4κ)aμ", (i + s) * a_i, (1 + s * a_i) / 2)
    # with f = μᵀW⁻¹aμ: κ = ½g + s(½ + 4κ)f, and 1 + μᵀW⁻¹b = 1 + 2κ − 8sκf
    sf = (kappa - g / 2) / (sympy.Rational(1, 2) + 4 * kappa)
    same("s f = (κ − g/2)/(½ + 4κ)", g / 2 + (sympy.Rational(1, 2) + 4 * kappa) * sf, kappa)
    same(
        "1 + μᵀW⁻¹b = 1 + 2κ − 8κ s f = (1 + 10κ + 8κg)/(1 + 8κ)",
        1 + 2 * kappa - 8 * kappa * sf,
        (1 + 10 * kappa + 8 * kappa * g) / (1 + 8 * kappa),
    )
    proof.argued(
        "in the eigenbasis of D the span's equation is solved for R entry by entry (δ_i + δ_j + s ≠ 0) and put into "
        "the head's: (W + bμᵀ)ω = 0; so det(𝓛 + s) = Π(δ_i + δ_j + s) det(W + bμᵀ), "
        "and det(W + bμᵀ) = det W (1 + μᵀW⁻¹b)"
    )
    x, y, e = sympy.symbols(
        "x y e", nonnegative=True
    )  # s = x + iy (y of either sign enters squared), e = δ_i + δ_j > 0
    real = sympy.expand((x + sympy.I * y) * (x + e - sympy.I * y))
    same(
        "Re H_ij |s + δ_i + δ_j|² = x² + y² + x(δ_i + δ_j) ≥ 0",
        sympy.re(real),
        x**2 + y**2 + x * e,
    )
    p, q, m, n = sympy.symbols("p q m n", real=True)  # v_i = p + iq, v_j = m + in
    r_i, r_j = sympy.symbols("mu_i mu_j", real=True)
    v_i, v_j = p + sympy.I * q, m + sympy.I * n
    terms = r_j**2 * v_i * v_i.conjugate() + r_i**2 * v_j * v_j.conjugate()
    terms += r_i * r_j * (v_i.conjugate() * v_j + v_j.conjugate() * v_i)
    same(
        "the (i, j) and (j, i) terms of v*Wv with H_ij add up to 2H_ij|μ_j v_i + μ_i v_j|²",
        sympy.expand(terms),
        sympy.expand((r_j * v_i + r_i * v_j) * (r_j * v_i + r_i * v_j).conjugate()),
    )
    proof.argued("so Re v*Wv ≥ v*Dv > 0, W is invertible, and with v = W⁻¹μ Re g = Re v*Wv ≥ 0")
    same("Re 1/(2δ_j + s) |2δ_j + s|² = 2δ_j + x > 0, so Re κ > 0", sympy.re(sympy.expand(e + x - sympy.I * y)), e + x)
    proof.argued("1/κ + 10 + 8g, of real part 10 or more, is not zero: no eigenvalue −s with Re s ≥ 0")


def inertia_proof(proof: Proof) -> None:
    """If kμᵀΣ⁻¹μ < 16, 𝓛 has as many eigenvalues with negative real part as there are pairs i ≤ j with δ_i + δ_j < 0.

    V = ½⟨R, J_D R⟩ + 2‖ρ‖² is a quadratic form of (S, ω) with as many negative directions as J_D. Along 𝓛 it changes by
    ‖X‖² + 4ρᵀΣρ + (μᵀρ) tr X, X the span's part of 𝓛(S, ω). As (tr X)² ≤ k‖X‖² and (μᵀρ)² ≤ (μᵀΣ⁻¹μ) ρᵀΣρ this is
    positive where kμᵀΣ⁻¹μ < 16. By the inertia theorem (Ostrowski and Schneider 1962) 𝓛 has the inertia of V.
    """
    parts_proof(proof)
    t, k, q, z = sympy.symbols("t k q z", positive=True)  # t = |tr X|, z = |μᵀρ|
    bound = t**2 / k + 4 * z**2 / q - t * z
    square = (t / sympy.sqrt(k) - sympy.sqrt(k) * z / 2) ** 2 + z**2 * (16 - k * q) / (4 * q)
    proof.fact("t²/k + 4z²/q − tz is a square plus z²(16 − kq)/(4q)", sympy.simplify(bound - square) == 0)
    proof.argued("(tr X)² ≤ k‖X‖² and (μᵀρ)² ≤ (μᵀΣ⁻¹μ) ρᵀΣρ (Cauchy and Schwarz), so V grows along 𝓛")
    proof.argued("V has as many negative directions as J_D, since (S, ω) ↦ (R, ρ) is invertible")
    proof.argued("a matrix that increases a non-degenerate form V has V's inertia (Ostrowski and Schneider 1962)")


def identity_covariance_proof(proof: Proof) -> None:
    """Heads N(m e_1, I): 𝓛 splits into 2×2 blocks, stable iff m² < 1, for all k."""
    _taken_apart(proof)
    m = sympy.Symbol("m", positive=True)
    k = 3  # S_11 and ω_1; S_1j and ω_j for each j ≥ 2; S_jl with j, l ≥ 2: three shows each kind, all j ≥ 2 are alike
    entries = {(i, j): sympy.Symbol(f"S_{i + 1}{j + 1}") for i in range(k) for j in range(i, k)}
    S = sympy.Matrix(k, k, lambda i, j: entries[(min(i, j), max(i, j))])
    omega = sympy.Matrix(sympy.symbols(f"omega_1:{k + 1}"))
    mean = sympy.Matrix([m] + [0] * (k - 1))
    unit = sympy.eye(k)
    second = unit + mean * mean.T
    third = (omega.T * mean)[0] * second + omega * mean.T + mean * omega.T
    span = sympy.expand(S * second + second * S - 2 * third)
    head = sympy.expand(second * omega - S * mean)
    first = (entries[(0, 0)], omega[0])
    block = sympy.Matrix([span[0, 0], head[0]]).jacobian(sympy.Matrix(first))
    proof.fact("(S_11, ω_1) move by themselves", (span[0, 0].free_symbols | head[0].free_symbols) <= set(first) | {m})
    proof.fact("their block has trace 3(1 + m²) > 0", sympy.expand(block.trace() - 3 * (1 + m**2)) == 0)
    proof.fact("and determinant 2(1 − m²)", sympy.expand(block.det() - 2 * (1 - m**2)) == 0)
    second_pair = (entries[(0, 1)], omega[1])
    side = sympy.Matrix([span[0, 1], head[1]]).jacobian(sympy.Matrix(second_pair))
    proof.fact(
        "(S_1j, ω_j) move by themselves", (span[0, 1].free_symbols | head[1].free_symbols) <= set(second_pair) | {m}
    )
    proof.fact("their block has trace 3 + m² > 0", sympy.expand(side.trace() - 3 - m**2) == 0)
    proof.fact("and determinant 2 − m²: it turns unstable later", sympy.expand(side.det() - 2 + m**2) == 0)
    rest = [sympy.expand(span[1, 1] - 2 * entries[(1, 1)]), sympy.expand(span[1, 2] - 2 * entries[(1, 2)])]
    proof.fact(
        "the other S_jl have eigenvalue 2 and act on nothing",
        all(not part.free_symbols & {entries[(1, 1)], entries[(1, 2)]} for part in rest),
    )
    proof.argued("for every k by exchanging the coordinates 2 to k, which leaves the law as it is")
    proof.argued("two eigenvalues with a positive sum have positive real part exactly if their product is positive")


def one_dimensional_proof(proof: Proof) -> None:
    """k = 1: the 2×2 matrix [[2m_2, −2m_3], [−m_1, m_2]] has both eigenvalues in the right half-plane iff m_2² >
    m_1m_3.
    """
    m_1, m_2, m_3, S, omega, weight, alpha, beta = sympy.symbols("m_1 m_2 m_3 S omega w alpha beta", real=True)
    words = stated_linearisation(get_learner("fo-maml")).expand()
    symbols = {"S": S, "omega": omega, "w_star_i": weight, "alpha": alpha, "beta": beta}
    moments = {weight: m_1, weight**2: m_2, weight**3: m_3}
    rates = [
        sympy.expand((before - commuting(after, symbols)) / (alpha * beta))
        for before, after in zip((S, omega), words[:2], strict=True)
    ]
    averaged = sympy.Matrix(
        [sum(rate.coeff(weight, power) * moments[weight**power] for power in (1, 2, 3)) for rate in rates]
    )
    matrix = sympy.Matrix([[2 * m_2, -2 * m_3], [-m_1, m_2]])
    proof.fact(
        "the stated linearisation at k = 1 is (S, ω) − αβ[[2m_2, −2m_3], [−m_1, m_2]](S, ω)",
        sympy.simplify(averaged - matrix * sympy.Matrix([S, omega])) == sympy.zeros(2, 1),
    )
    polynomial = sympy.Poly(matrix.charpoly("x").as_expr(), sympy.Symbol("x"))
    _, minus_trace, determinant = polynomial.all_coeffs()
    proof.fact("its trace is 3m_2 > 0", sympy.expand(minus_trace + 3 * m_2) == 0)
    proof.fact(
        "its determinant is 2(m_2² − m_1m_3)",
        sympy.expand(determinant - 2 * (m_2**2 - m_1 * m_3)) == 0,
    )
    u, v = sympy.symbols("u v", real=True)  # heads of two tasks, averaged over both
    pairs = sympy.Poly(u * v * (u - v) ** 2, u, v)
    third_by_first: dict[tuple[int, ...], sympy.Expr] = {(1, 3): m_1 * m_3, (3, 1): m_1 * m_3, (2, 2): m_2**2}
    averages = sum(value * third_by_first[powers] for powers, value in pairs.terms())
    proof.fact(
        "m_1m_3 − m_2² is half the average over all pairs of tasks of w_i w_j (w_i − w_j)²",
        sympy.expand(averages / 2 - (m_1 * m_3 - m_2**2)) == 0,
    )
    mean, deviation = sympy.symbols("mu sigma", real=True)
    normal = {m_1: mean, m_2: mean**2 + deviation**2, m_3: mean**3 + 3 * mean * deviation**2}
    proof.fact(
        "for heads N(μ, σ²) m_2² − m_1m_3 = σ²(σ² − μ²)",
        sympy.expand((m_2**2 - m_1 * m_3).subs(normal) - deviation**2 * (deviation**2 - mean**2)) == 0,
    )
