"""The letters of the proofs: names for products that recur (α = 1 by the scaling symmetry), and their definitions.

Here α = 1 stands for B, w, w_{*,i}, β read as √α B, √α w, α w_{*,i}, β/α; ``steps.unit_alpha`` checks that a learner's
step allows it. The paper has s = k: the truth has as many columns as the learner, and the proofs use it.
"""

from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.words import Poly, letter

A_mix = letter("A_mix", "k", "s", "A", "A")
m_bar = letter("m_bar", "k", "1", "m", "m")
u_bar = letter("u_bar", "k", "1", "u", "u")
C_mix = letter("C_mix", "s", "k", "C", "C")
D_mix = letter("D_mix", "s", "k", "D", "D")
Z_mix = letter("Z_mix", "k", "k", "Z", "Z")
N_right = letter("N_right", "k", "k", "N", "N", symmetry=1)
M_right = letter("M_right", "k", "k", "M", r"M", symmetry=1)
Phi = letter("Phi", "k", "k", "Φ", r"\Phi", symmetry=1)
S_both = letter("S_both", "k", "k", "S", "S", symmetry=1)
T_span = letter("T_span", "k", "k", "T", "T", symmetry=1)
Gap = letter("Gap", "s", "s", "Γ", r"\Gamma", symmetry=1)
G_inv = letter("G_inv", "k", "k", "G⁻¹", "G^{-1}", symmetry=1)
F_mean = letter("F_mean", "k", "k", "F", "F")
N_any = letter("N_any", "k", "k", "N", "N")
N_tilde = letter("N_tilde", "k", "k", "Ñ", r"\tilde N")
C_mean = letter("C_mean", "s", "k", "C", "C")
Third = letter("Third", "s", "s", "Θ", r"\Theta", symmetry=1)
q_third = letter("q_third", "s", "1", "q", "q")
t_star = letter("t_star", "1", "1", "t", "t")
Bent = letter("Bent", "1", "1", "t_A", "t_A")
C_third = letter("C_third", "s", "k", "C_3", "C_3")
T_third = letter("T_third", "k", "k", "T_3", "T_3", symmetry=1)
rho_mean = letter("rho_mean", "1", "1", "ϱ", r"\varrho")
sigma_mean = letter("sigma_mean", "1", "1", "ς", r"\varsigma")
V_rest = letter("V_rest", "s", "r", "V", "V")
B_zero = letter("B_zero", "d", "k", "B_0", "B_0")
w_one = letter("w_one", "s", "1", "ŵ", r"\hat w")
x_form, y_form, z_form, m_form = (letter(f"{name}_form", "1", "1", name, name) for name in "xyzm")
grad_B = letter("grad_B", "d", "k", "∇_B", r"\nabla_B")
grad_w = letter("grad_w", "k", "1", "∇_w", r"\nabla_w")
B_next = letter("B_next", "d", "k", "B⁺", "B^+")
w_next = letter("w_next", "k", "1", "w⁺", "w^+")

DEFINITIONS: dict[str, str] = {
    "Delta": "I_k - B.T*B",
    "Y": "B_perp.T*B",
    "A_mix": "B.T*B_star",
    "m_bar": "Delta*w + A_mix*w_bar",
    "u_bar": "w - m_bar",
    "Psi": "Delta*w*w.T*Delta + Delta*w*w_bar.T*A_mix.T + A_mix*w_bar*w.T*Delta + A_mix*Psi_star*A_mix.T",
    "Phi": "Psi + w*w.T - w*m_bar.T - m_bar*w.T",
    "S_both": "Psi + Phi",
    "C_mix": "w_bar*w.T*Delta + Psi_star*A_mix.T",
    "Gap": "I_s - A_mix.T*G_inv*A_mix",
    "B_next": "B - beta*grad_B",
    "w_next": "w - beta*grad_w",
}
"""Each letter by letters defined before it; ∇_B and ∇_w are the learner's own averaged gradients."""

AVERAGES: dict[str, Poly] = {
    "Psi_star": a.w_star * a.w_star.T,
    "w_bar": a.w_star,
    "Third": (a.w.T * a.B.T * a.B_star * a.w_star) * a.w_star * a.w_star.T,
    "q_third": (a.w_star.T * a.w_star) * a.w_star,
    "t_star": a.w_star.T * a.w_star,
    "Bent": a.w_star.T * a.B_star.T * a.B * a.B.T * a.B_star * a.w_star,
}
"""Letters that are averages over the tasks, by one task's words."""

BASE = frozenset({"B", "w", "B_star", "B_perp", "G_inv", "F_mean", "C_mean", "V_rest", *AVERAGES})
"""What everything is expanded into. G⁻¹ is the inverse of BᵀB, known by its rule alone."""

IDENTITIES = {"I_k": "k", "I_s": "s", "I_d": "d", "I_p": "p"}
"""Identity matrices by name."""
