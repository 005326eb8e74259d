"""The symbols of the paper: each letter's name, shape, and how it is written. Dimensions are symbolic everywhere.

Dimensions: d ambient; k the learner's width; s the true rank (the paper has s = k; kept apart so that a wider learner
can be studied); p = d − s the dimension of the complement of col(B_*).
"""

import sympy

from metarep.theory.calculus.words import ALPHABET, Poly, Rule, abbreviate, find_letter, letter, scalar_powers

# the learner's parameters, and one task
B = letter("B", "d", "k", "B", "B")
w = letter("w", "k", "1", "w", "w")
theta = letter("theta_i", "d", "1", "θ_i", r"\theta_i", per_task=True)
B_star = letter("B_star", "d", "s", "B_*", "B_*")
w_star = letter("w_star_i", "s", "1", "w_{*,i}", "w_{*,i}", per_task=True)
B_perp = letter("B_perp", "d", "p", "B_{*⊥}", r"B_{*\perp}")

# intermediates of an outer step (per task), by the paper's order of events; j counts inner steps. Proofs are about few
# of these, where they are letters.
MOST_STEPS, _MOST_IN_WORDS = 16, 3
INTERMEDIATES: dict[str, Poly] = {}
for _name, _rows, _cols in (
    ("r", "d", "1"),
    ("w", "k", "1"),
    ("B", "d", "k"),
    ("a", "d", "1"),
    ("P", "d", "k"),
    ("q", "k", "1"),
):
    for _tag in ("", *map(str, range(1, MOST_STEPS + 1))):
        _sub = f"i,{_tag}" if _tag else "i"
        _written = {"a": ("ρ", r"\rho"), "P": ("Λ", r"\Lambda"), "q": ("λ", r"\lambda")}.get(_name, (_name, _name))
        _braced = f"{{{_sub}}}" if _tag else _sub
        _symbol = f"{_name}_i{_tag}", _rows, _cols, f"{_written[0]}_{_braced}", f"{_written[1]}_{{{_sub}}}"
        if int(_tag or 0) > _MOST_IN_WORDS:
            abbreviate(*_symbol, per_task=True)
        else:
            INTERMEDIATES[_symbol[0]] = letter(*_symbol, per_task=True)
for _name, _rows, _cols in (("v", "d", "1"), ("g", "k", "1"), ("u", "d", "1")):
    INTERMEDIATES[f"{_name}_i"] = letter(f"{_name}_i", _rows, _cols, f"{_name}_i", f"{_name}_i", per_task=True)

# a task's samples: features as rows, label noise
X_in = letter("X_in", "m_in", "d", "X_in", r"X_{in}", per_task=True)
z_in = letter("z_in", "m_in", "1", "z_in", r"z_{in}", per_task=True)
X_out = letter("X_out", "m_out", "d", "X_out", r"X_{out}", per_task=True)
z_out = letter("z_out", "m_out", "1", "z_out", r"z_{out}", per_task=True)

# averages over the tasks
Psi = letter("Psi", "k", "k", "Ψ", r"\Psi", symmetry=1)
Psi_star = letter("Psi_star", "s", "s", "Ψ_*", r"\Psi_*", symmetry=1)
w_bar = letter("w_bar", "s", "1", "w̄_*", r"\bar w_*")
theta_bar = letter("theta_bar", "d", "1", "θ̄", r"\bar\theta")
s_bar = letter("s_bar", "k", "1", "s", "s")
g_bar = letter("g_bar", "k", "1", "ḡ", r"\bar g")

# abbreviations of the closed forms
Delta = letter("Delta", "k", "k", "Δ", r"\Delta", symmetry=1)
Delta_bar = letter("Delta_bar", "d", "d", "Δ̄", r"\bar\Delta", symmetry=1)
Q_head = letter("Q_head", "k", "k", "Q", "Q", symmetry=1)

# exact inner solve of the head: (BᵀB + λI) G = I
G = letter("G", "k", "k", "G", "G", symmetry=1)
dG = letter("dG", "k", "k", "δG", r"\delta G", symmetry=1)

# symmetry groups
Q = letter("Q", "k", "k", "Q", "Q")
U = letter("U", "d", "d", "U", "U")
V = letter("V", "s", "s", "V", "V")

# neighbourhood of B = B_*M: B = B_*(I + E)M + B_{*⊥}Y with E = A − S/2 (S symmetric, A skew), w = αMᵀh + Mᵀω/α
M = letter("M", "s", "k", "M", "M")
S = letter("S", "s", "s", "S", "S", symmetry=1)
A = letter("A", "s", "s", "A", "A", symmetry=-1)
Y = letter("Y", "p", "k", "Y", "Y")
omega = letter("omega", "s", "1", "ω", r"\omega")
h = letter("h", "s", "1", "h", "h")
dB = letter("dB", "d", "k", "δB", r"\delta B")
dw = letter("dw", "k", "1", "δw", r"\delta w")

OVER_ALPHA = scalar_powers(alpha=-1)
BALANCED = Rule("B'", "B", "", OVER_ALPHA)
"""αBᵀB = I."""
AT_TRUTH = Rule("M", "M'", "", OVER_ALPHA)
"""αMMᵀ = I."""

SCALAR_TEXT = {"alpha": "α", "beta": "β", "c": "c", "alpha_B": "α_B", "alpha_w": "α_w", "ridge": "λ", "sigma": "σ"}
SCALAR_LATEX = {
    "alpha": r"\alpha",
    "beta": r"\beta",
    "c": "c",
    "alpha_B": r"\alpha_B",
    "alpha_w": r"\alpha_w",
    "ridge": r"\lambda",
    "sigma": r"\sigma",
    "m_in": r"m_{in}",
    "m_out": r"m_{out}",
}

DIMENSIONS = {name: sympy.Symbol(name, integer=True, positive=True) for name in ("d", "k", "s", "p", "m_in", "m_out")}


def _dimension(name: str) -> sympy.Expr:
    return sympy.Integer(1) if name == "1" else DIMENSIONS[name]


def matrix_symbol(name: str) -> sympy.MatrixSymbol:
    """The SymPy matrix symbol of a letter, with symbolic dimensions. ``ValueError`` if the letter is unknown."""
    found = find_letter(name)
    return sympy.MatrixSymbol(name, _dimension(found.rows), _dimension(found.cols))


def scalar_symbol(name: str) -> sympy.Symbol:
    """The SymPy symbol of a scalar such as α."""
    return sympy.Symbol(name, positive=True)


PER_TASK = frozenset(found.name for found in ALPHABET if found.per_task)
"""Names of the letters that differ by task; an average over tasks binds them."""
