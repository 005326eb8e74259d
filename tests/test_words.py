"""The word calculus: its normal form, its derivative, and what goes wrong when they are broken."""

from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from reading import read
from sympy.matrices.expressions import Transpose

from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus import words as word_module
from metarep.theory.calculus.evaluation import evaluate_words
from metarep.theory.calculus.expressions import (
    TaskMean,
    add,
    latex,
    latex_terms,
    matrix_symbol,
    mul,
    text,
    to_sympy,
    to_words,
)
from metarep.theory.calculus.proofs import Proof
from metarep.theory.calculus.resolvent import gradient_with_G, reduce_G
from metarep.theory.calculus.traces import trace
from metarep.theory.calculus.words import (
    ALPHABET,
    ONE,
    Poly,
    Rule,
    find_letter,
    gradient,
    identity,
    letter,
    letter_poly,
    zero,
)
from metarep.theory.calculus.written import closed_form, in_words
from metarep.theory.dynamics.structure import moment_words

ATOMS = {"B": a.B, "w": a.w, "theta_i": a.theta, "B_star": a.B_star, "w_star_i": a.w_star}


def random_arrays(seed: int, d: int, k: int, n: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = {"B": (d, k), "w": (k,), "theta_i": (d, n), "B_star": (d, k), "w_star_i": (k, n)}
    return {name: rng.integers(-3, 4, shape) / 2 for name, shape in shapes.items()}


@st.composite
def words(draw: st.DrawFn, rows: str = "1", cols: str = "1", longest: int = 6) -> Poly:
    """A random product of letters with the given outer shape, as a polynomial in normal form."""
    product, size = identity(rows), rows
    pieces = [(p, q) for atom in ATOMS.values() for p, q in ((atom, atom.shape), (atom.T, atom.T.shape))]
    for _ in range(draw(st.integers(0, longest))):
        fitting = [p for p, (r, _) in pieces if r == size]
        product = product * draw(st.sampled_from(fitting))
        size = product.shape[1] if product.shape != ("1", "1") else "1"
    closing = {
        ("d", "1"): a.theta,
        ("k", "1"): a.w,
        ("s", "1"): a.w_star,
        ("1", "k"): a.w.T,
        ("1", "d"): a.theta.T,
        ("1", "s"): a.w_star.T,
    }
    if size != cols:
        product = product * (
            closing[(size, cols)] if "1" in (size, cols) else closing[(size, "1")] * closing[("1", cols)]
        )
    return product


def test_scalars_are_pulled_out_and_are_their_own_transposes() -> None:
    left = a.w.T * a.B.T * a.theta
    right = a.theta.T * a.B * a.w
    assert left == right
    assert a.B * a.w * left == a.B * a.w * right == left * (a.B * a.w)
    assert a.theta * (a.w.T * a.w) * a.w.T == (a.w.T * a.w) * (a.theta * a.w.T)


def test_different_words_stay_different() -> None:
    assert a.B * a.B.T * a.B != a.B
    assert a.w * a.w.T != (a.w.T * a.w) * identity("k")
    assert a.B.T * a.B * a.w * a.w.T != a.w * a.w.T * a.B.T * a.B
    assert a.theta * a.w.T != a.B * a.w * a.w.T


def test_shape_is_part_of_equality() -> None:
    assert zero("d", "k") != zero("k", "d")
    assert identity("k") != identity("d")
    assert a.w.T * a.w != (a.w.T * a.w) * identity("k")  # the same terms: a number, and that number times I


def test_what_cancels_leaves_nothing() -> None:
    assert not a.B - a.B
    assert len((a.Q + a.M.T * a.M) * (a.Q - a.M.T * a.M)) == 4
    assert not (a.w.T * a.B.T * a.theta) * a.w - a.w * (a.theta.T * a.B * a.w)
    assert not (a.w.T * (a.Q - a.Q.T) * a.w)


def test_symmetric_and_skew_letters() -> None:
    assert a.S.T == a.S
    assert a.A.T == -a.A
    assert not a.omega.T * a.A * a.omega  # xᵀAx = 0
    assert (a.omega.T * a.S * a.V * a.S * a.omega).degree("S") == (a.omega.T * a.omega).degree("omega") == 2
    assert a.omega.T * a.A * a.h == -(a.h.T * a.A * a.omega)


@settings(max_examples=60)
@given(words(), words(), st.integers(0, 2**16))
def test_normal_form_keeps_the_value(first: Poly, second: Poly, seed: int) -> None:
    arrays = random_arrays(seed, 3, 2, 1)  # one task: an average of one is multiplicative
    scalars = {"alpha": 2.0}
    one, two = (float(evaluate_words(p, arrays, scalars)[0, 0]) for p in (first, second))
    product = float(evaluate_words(first * second.scaled(3, alpha=1) + first, arrays, scalars)[0, 0])
    # entries are multiples of ½ of modulus ≤ 3/2, words have at most 15 letters: every sum is exact in doubles
    assert product == one * two * 6 + one


@settings(max_examples=60)
@given(words(), st.integers(0, 2**16), st.sampled_from(["B", "w"]))
def test_gradient_is_the_derivative(word: Poly, seed: int, name: str) -> None:
    arrays = {
        key: np.vectorize(Fraction, otypes=[object])(value) for key, value in random_arrays(seed, 3, 2, 1).items()
    }
    slope = evaluate_words(gradient(word, name), arrays, {})
    direction = np.vectorize(Fraction, otypes=[object])(
        np.random.default_rng(seed + 1).integers(-2, 3, arrays[name].shape)
    )
    degree = max(word.degree(name), 1)

    def along(step: int) -> Fraction:
        moved = {**arrays, name: arrays[name] + Fraction(step) * direction}
        return evaluate_words(word, moved, {})[0, 0]

    # the word is a polynomial of that degree in the step: its linear coefficient from exact interpolation
    nodes = list(range(degree + 1))
    variable = sympy.Symbol("x")
    values = [sympy.Rational(along(x).numerator, along(x).denominator) for x in nodes]
    linear = sympy.Poly(sympy.interpolate(list(zip(nodes, values, strict=True)), variable), variable).coeff_monomial(
        variable
    )
    expected = (slope.reshape(direction.shape) * direction).sum()
    assert sympy.Rational(expected.numerator, expected.denominator) == linear


def test_a_skew_letters_sign_is_kept_by_what_changes_words() -> None:
    form = a.omega.T * a.A * a.h
    assert gradient(form, "omega") == a.A * a.h
    assert gradient(form, "h") == -(a.A * a.omega)  # Aᵀ = −A
    assert gradient(a.omega.T * a.A * a.A * a.omega, "omega") == a.A * a.A * a.omega * 2
    assert gradient(a.omega.T * a.V * a.A * a.h, "V") == -(a.omega * a.h.T * a.A)
    assert gradient(a.omega.T * a.A * a.V * a.h, "V") == -(a.A * a.omega * a.h.T)
    # along h in place of ω and w̄ in place of h: hᵀAh = 0, and of (ωᵀAh)², which is product by product, a sign each
    assert not form.polarise({"omega": "h"})
    for old, new in (("omega", "w_bar"), ("h", "w_bar")):
        changed = form.substitute({old: a.w_bar})
        assert form.polarise({old: new}) == changed
        assert (form * a.V).polarise({old: new}) == changed * a.V
        assert (form * form).polarise({old: new}) == form * changed * 2

    core = next(iter((a.V * a.omega * a.omega.T).terms))[2]
    left, right = core[:2], core[2:]
    form_inside = bytes([find_letter("h").code + 1, find_letter("A").code, find_letter("omega").code])  # hᵀAω
    changed = (a.V * a.omega * a.omega.T).map_words(lambda word: (1, ONE, left + form_inside + right))
    assert changed == (a.V * a.omega * a.omega.T) * (a.h.T * a.A * a.omega)
    row = (a.omega.T * a.V).map_words(lambda word: (1, ONE, form_inside + word))
    assert row == (a.h.T * a.A * a.omega) * (a.omega.T * a.V)
    rows = (a.omega.T * a.V).map_words(lambda word: (1, ONE, form_inside * 2 + word))
    assert rows == (a.h.T * a.A * a.omega) * (a.h.T * a.A * a.omega) * (a.omega.T * a.V)


def test_a_word_is_cut_at_every_number_in_it() -> None:
    number = a.w.T * a.w
    assert (a.w * a.w.T).map_words(lambda word: (1, ONE, word * 3)) == number * number * (a.w * a.w.T)
    assert not a.B.scaled(0)
    assert not a.B.scaled(0, alpha=1)


@settings(max_examples=40)
@given(words("d", "k"), words("d", "k"))
def test_sympy_there_and_back(first: Poly, second: Poly) -> None:
    both = first.scaled(2, alpha=1, beta=-1) - second
    without_traces = both.part(lambda count: True)
    if any(scalars for _, scalars, _ in without_traces.terms):
        assert text(to_sympy(both))
        assert "\\" not in text(to_sympy(both))
        return
    assert to_words(to_sympy(both)) == both


def test_sympy_expressions_become_the_same_words_in_any_order_of_brackets() -> None:
    B, w, theta = (matrix_symbol(name) for name in ("B", "w", "theta_i"))
    residual = B * w - theta
    assert to_words(Transpose(residual) * residual) == (a.B * a.w - a.theta).T * (a.B * a.w - a.theta)
    assert to_words((B.T * B) ** 2 * w) == a.B.T * a.B * a.B.T * a.B * a.w


def test_product_of_two_averages_is_refused() -> None:
    w_i = matrix_symbol("w_i")
    average = TaskMean(mul(w_i, Transpose(w_i)))
    with pytest.raises(ValueError, match="name it first"):
        to_words(mul(average, average))
    with pytest.raises(ValueError, match="name it first"):
        to_words(mul(average, w_i))
    assert to_words(add(average, average)) == (to_words(mul(w_i, Transpose(w_i)))) * 2


def test_a_named_average_is_one_too() -> None:
    """w̄_* w̄_*ᵀ is not Ψ_*, although both have the word w_{*,i}w_{*,i}ᵀ under an average."""
    mean, head, second = (matrix_symbol(name) for name in ("w_bar", "w_star_i", "Psi_star"))
    for product in (mul(mean, Transpose(mean)), mul(head, Transpose(mean)), mul(second, mean), second**2):
        with pytest.raises(ValueError, match="name it first"):
            to_words(product, moment_words())
        assert to_words(product)  # as letters of their own they may be multiplied
    B_star = matrix_symbol("B_star")
    assert to_words(mul(B_star, mean), moment_words()) == a.B_star * a.w_star
    assert to_words(Transpose(mean), moment_words()) == a.w_star.T
    assert to_words(TaskMean(mean), moment_words()) == a.w_star
    adapted = matrix_symbol("B_i")
    assert to_words(sympy.Inverse(mul(Transpose(adapted), adapted)), {"B_i": a.B}) == a.G
    with pytest.raises(ValueError, match="no letter stands for this inverse"):
        to_words(sympy.Inverse(mul(Transpose(adapted), adapted)))
    assert to_words(add(B_star, mul(B_star, second)), moment_words()) == a.B_star + a.B_star * a.w_star * a.w_star.T


def test_what_does_not_look_inside_a_trace_raises() -> None:
    squared = trace(a.B.T * a.B) * a.w
    for blind in (
        lambda: squared.substitute({"B": a.B * 2}),
        lambda: squared.substitute({"B": a.B * 2, "w": a.w * 2}),
        lambda: squared.polarise({"B": "dB"}),
        lambda: squared.degree("B"),
        lambda: gradient(a.w.T * squared, "B"),
        lambda: (squared * identity("1")).rewrite((Rule("B'", "B", ""),)),
    ):
        with pytest.raises(ValueError, match=r"B stands inside tr\(BBᵀ\), where this does not look"):
            blind()
    assert squared.substitute({"w": a.w * 2}) == squared * 2
    assert squared.rewrite((Rule("B'", "theta_i", None),)) == squared  # no θ is inside
    assert gradient(a.w.T * squared, "w") == squared * 2


def test_rewriting_uses_rules_and_their_transposes() -> None:
    rules = (Rule("B_perp'", "B_star", None), Rule("Q", "Q'", ""))
    assert not (a.B_perp.T * a.B_star * a.w_star).rewrite(rules)
    assert not (a.w_star.T * a.B_star.T * a.B_perp).rewrite(rules)
    assert (a.w.T * a.Q * a.Q.T * a.w).rewrite(rules) == a.w.T * a.w
    assert (a.B_perp.T * a.B).rewrite(rules) == a.B_perp.T * a.B
    assert (a.w.T * a.B.T * a.B * a.w).rewrite((Rule("B'", "B", "Q"),)) == a.w.T * a.Q * a.w
    named = (Rule("B", "w", "theta_i"),)
    assert (a.B_star.T * a.B * a.w).rewrite(named) == a.B_star.T * a.theta
    assert (a.w.T * a.B.T * a.B_star).rewrite(named) == a.theta.T * a.B_star


def test_substitution_is_simultaneous_and_checks_shapes() -> None:
    swapped = (a.B * a.w).substitute({"B": a.B * a.Q, "w": a.Q.T * a.w})
    assert swapped.rewrite((Rule("Q", "Q'", ""),)) == a.B * a.w
    with pytest.raises(ValueError, match="its replacement"):
        a.w.substitute({"w": a.theta})
    with pytest.raises(ValueError, match="unknown letter"):
        a.w.substitute({"nonsense": a.w})
    number = a.w.T * a.w
    assert (number * identity("k")).substitute({"w": a.s_bar}) == (a.s_bar.T * a.s_bar) * identity("k")


def test_balance_and_the_truth_are_rules() -> None:
    assert (a.B.T * a.B * a.w).rewrite([a.BALANCED]) == a.w.scaled(alpha=-1)
    assert (a.M * a.M.T * a.h).rewrite([a.AT_TRUTH]) == a.h.scaled(alpha=-1)
    assert a.B @ a.w == a.B * a.w


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot multiply"):
        a.B * a.theta
    with pytest.raises(ValueError, match="cannot add"):
        a.B + a.w
    with pytest.raises(ValueError, match="1×1 polynomial only"):
        gradient(a.B, "B")
    with pytest.raises(ValueError, match="already registered"):
        letter("B", "d", "k", "B", "B")


def test_the_alphabet_holds_128_letters(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_CODES", "_TRANSPOSE", "_ENDS_IN_ONE", "_SIGN"):
        monkeypatch.setattr(word_module, name, getattr(word_module, name).copy())
    monkeypatch.setattr(word_module, "ALPHABET", ALPHABET[:1] * 127)
    with pytest.raises(ValueError, match="only a square one can be symmetric"):
        letter("oblong", "d", "k", "x", "x", symmetry=1)
    last = letter("last", "d", "k", "x", "x")
    assert last.T.T == last != last.T
    assert gradient(a.theta.T * last * a.w, "last") == a.theta * a.w.T
    with pytest.raises(ValueError, match="alphabet is full: 128 letters"):
        letter("one more", "d", "k", "x", "x")


def test_a_number_is_a_scalar_whichever_way_it_is_written() -> None:
    number = letter("number", "1", "1", "t", "t")
    assert number == number.T == identity("1") * number
    assert gradient(number * number, "number") == number * 2
    assert number.substitute({"number": a.w.T * a.w}) == a.w.T * a.w


def test_a_row_is_a_letter_like_any_other() -> None:
    row = letter("row", "1", "k", "x", "x")
    assert row * a.w == a.w.T * row.T
    assert (row * a.w) * row.T == row.T * (a.w.T * row.T)
    assert gradient(row * a.w, "row") == a.w.T


def test_what_the_normal_form_rests_on_is_checked() -> None:
    # wᵀΨv = vᵀΨw is one word: a Ψ that is not symmetric would make the answer depend on which of the two was kept
    with pytest.raises(ValueError, match="'Psi' is symmetric, its replacement is not"):
        (a.w.T * a.Psi * a.dw).substitute({"Psi": a.Q})
    with pytest.raises(ValueError, match="'A' is skew, its replacement is not"):
        a.A.substitute({"A": a.S})
    assert a.A.substitute({"A": a.V - a.V.T}) == a.V - a.V.T
    with pytest.raises(ValueError, match="no direction of 'B'"):
        a.B.polarise({"B": "w"})
    with pytest.raises(ValueError, match="no direction of 'S'"):
        a.S.polarise({"S": "V"})
    # hᵀA = −(Ah)ᵀ: the transposed rule would have the wrong sign
    with pytest.raises(ValueError, match="skew letter 'A'"):
        (a.h.T * a.A).rewrite([Rule("A", "h", "omega")])
    with pytest.raises(ValueError, match="skew letter 'A'"):
        (a.V * a.S).rewrite([Rule("V", "S", "A")])


def test_strip_left_needs_the_letter() -> None:
    assert (a.B * a.w * a.w.T).strip_left("B") == a.w * a.w.T
    with pytest.raises(ValueError, match="does not begin with"):
        (a.theta * a.w.T).strip_left("B")


def test_writing_keeps_the_order_and_the_signs() -> None:
    B, w, theta, r = (matrix_symbol(name) for name in ("B", "w", "theta_i", "r_i"))
    alpha = sympy.Symbol("alpha", positive=True)
    assert text(add(mul(B, w), mul(-1, theta))) == "B w − θ_i"
    assert text(add(w, mul(-1, alpha, Transpose(B), r))) == "w − α Bᵀ r_i"
    assert latex(add(w, mul(-1, alpha, Transpose(B), r))) == r"w - \alpha B^\top r_{i}"
    assert text(mul(add(B, mul(-2, B)), w)) == "(B − 2 B) w"
    assert text(to_sympy(zero("d", "k"))) == text(to_sympy(zero("1", "1"))) == "0"
    assert text(mul(add(mul(-1, B), mul(2, B)), w)) == "(−B + 2 B) w"
    assert text(to_sympy(identity("k").scaled(Fraction(-1, 2), alpha=2))) == "−1/2 α² I"


def test_scalars_are_read_and_written() -> None:
    half, sigma = sympy.Rational(1, 2), a.scalar_symbol("m_in")
    assert to_words(mul(half, matrix_symbol("B"))) == a.B * Fraction(1, 2)
    assert to_words(mul(2 / sigma, matrix_symbol("B"))) == a.B.scaled(2, m_in=-1)
    assert (text(sigma), latex(sigma)) == ("m_in", "m_{in}")


def test_an_identity_and_nothing_have_their_letters_sizes() -> None:
    for expression in (to_sympy(identity("k")), to_sympy(zero("d", "k"))):
        assert to_words(expression).shape == tuple(map(str, expression.shape))


def test_a_polynomial_knows_what_it_was_made_from() -> None:
    form = a.theta.T * a.B * a.w
    assert zero("d", "k").made is None
    for made, how in (
        (a.B + a.dB, ("add", a.B, a.dB)),
        (-a.B, ("times", a.B, -1)),
        (a.B * 2, ("times", a.B, 2)),
        (a.B * a.w, ("mul", a.B, a.w)),
        (a.B.T, ("T", a.B)),
        (a.B.scaled(2, alpha=1), ("scaled", a.B, 2, (1, *ONE[1:]))),
        (form.substitute({"w": a.dw}), ("substitute", form, {"w": a.dw})),
        (form.rewrite([Rule("B", "w", "r_i")]), ("rewrite", form, (Rule("B", "w", "r_i"),))),
        (form.polarise({"w": "dw"}), ("polarise", form, {"w": "dw"})),
        (gradient(form, "B"), ("gradient", form, "B")),
    ):
        assert made.made == how


def test_abbreviations_are_letters_without_relations() -> None:
    found = find_letter("B_i10")
    with pytest.raises(ValueError, match="unknown letter"):
        find_letter("B_i0")
    assert find_letter("B_i16").per_task
    with pytest.raises(ValueError, match="unknown letter"):
        find_letter("B_i17")
    assert repr(RESIDUAL) == "Poly(d×1, 2 words)"
    assert (found.rows, found.cols, found.symmetry, found.per_task, found.inside) == ("d", "k", 0, True, frozenset())


def test_letters_know_how_they_are_written() -> None:
    assert find_letter("theta_i").per_task
    assert find_letter("Psi_star").text == "Ψ_*"


# --- closed forms

RESIDUAL = a.B * a.w - a.theta
ADAPTED = a.w - (a.B.T * RESIDUAL).scaled(alpha=1)
MADE = (
    RESIDUAL,
    -RESIDUAL,
    -(RESIDUAL - a.theta),
    RESIDUAL.T,
    (RESIDUAL * a.w.T).T,
    (a.B * ADAPTED - a.theta) * ADAPTED.T,
    -a.B.T * RESIDUAL,
    a.B_star.T * (-a.B * a.w),
    RESIDUAL * -a.w.T,
    a.B + RESIDUAL * -a.w.T,
    a.w.T * a.w * RESIDUAL,
    (a.B * a.w).substitute({"w": ADAPTED, "B": a.B - RESIDUAL * a.w.T}),
    RESIDUAL.substitute({"theta_i": a.B_star * a.w_star}).T * a.B,
    3 * RESIDUAL.scaled(-2, alpha=2),
    zero("d", "1") - RESIDUAL,
    RESIDUAL + zero("d", "1"),
    RESIDUAL.scaled(1),
    identity("1") * RESIDUAL,
    to_words(mul(-1, add(matrix_symbol("B"), mul(2, matrix_symbol("B"))), matrix_symbol("w"))),
)


@pytest.mark.parametrize("made", MADE, ids=closed_form)
def test_closed_forms_are_what_they_were_expanded_from(made: Poly) -> None:
    assert read(closed_form(made)) == made
    assert not in_words(made) or read(in_words(made)) == made


def test_closed_forms_are_as_written() -> None:
    assert closed_form(a.B * ADAPTED) == r"B \left(w - \alpha B^\top \left(B w - \theta_i\right)\right)"
    assert closed_form((a.B * a.w).substitute({"w": ADAPTED})) == closed_form(a.B * ADAPTED)
    assert closed_form(-a.B * a.w) == "-B w"
    assert closed_form(identity("1") * -1 * (a.B * a.w)) == "-B w"
    assert closed_form((-a.B * a.w) * -1) == "B w"
    assert closed_form(RESIDUAL.T.T * a.w.T.T.T) == r"\left(B w - \theta_i\right) w^\top"
    assert closed_form(identity("1").scaled(-1, alpha=1) * (a.B * a.w)) == r"-\alpha B w"
    assert closed_form((identity("1") + identity("1").scaled(alpha=1)) * a.B) == r"\left(1 + \alpha\right) B"
    assert closed_form(a.w.T * a.w * RESIDUAL) == r"w^\top w \left(B w - \theta_i\right)"
    assert closed_form(RESIDUAL * a.w.T) == r"\left(B w - \theta_i\right) w^\top"
    assert closed_form(3 * RESIDUAL) == r"3 \left(B w - \theta_i\right)"
    assert closed_form(RESIDUAL * Fraction(-1, 2)) == r"\tfrac{-1}{2} \left(B w - \theta_i\right)"
    assert closed_form(a.B * (identity("k") - a.B.T * a.B)) == r"B \left(I - B^\top B\right)"


def test_terms_are_listed_in_reading_order() -> None:
    """Low powers first, then short words."""
    terms = [("1", "w"), (r"\alpha", r"B^\top \theta_i"), (r"-\alpha", r"B^\top B w")]
    assert latex_terms(ADAPTED) == latex_terms((a.B.T * -RESIDUAL).scaled(alpha=1) + a.w) == terms
    assert text(to_sympy(ADAPTED)) == "w + α Bᵀ θ_i − α Bᵀ B w"
    assert text(to_sympy(a.w.scaled(alpha=-1) + a.Q * a.w + a.w)) == "w + Q w + α⁻¹ w"


def test_what_nobody_reads_is_not_written() -> None:
    long = ADAPTED
    for _ in range(4):
        long = long.substitute({"w": ADAPTED})
    assert closed_form(long) == in_words(long) == ""
    assert in_words(RESIDUAL, few=2) == r"-\theta_i + B w"
    assert in_words(RESIDUAL, few=1) == ""
    powers = [a.Q.scaled(alpha=power) for power in range(13)]
    assert in_words(sum(powers[:12], zero("k", "k")))
    assert in_words(sum(powers, zero("k", "k"))) == ""


# --- writing, products, averages


def test_expressions_are_written_as_built() -> None:
    B, w, A, w_i = (matrix_symbol(name) for name in ("B", "w", "A", "w_i"))
    alpha, beta = sympy.symbols("alpha beta", positive=True)
    residual = add(mul(B, w), mul(-1, matrix_symbol("theta_i")))
    written = {
        Transpose(residual): ("(B w − θ_i)ᵀ", r"\left(B w - \theta_i\right)^\top"),
        TaskMean(residual): ("mean_i[B w − θ_i]", r"\frac1n\sum_{i=1}^n \left(B w - \theta_i\right)"),
        TaskMean(mul(B, w_i)): ("mean_i[B w_i]", r"\frac1n\sum_{i=1}^n B w_{i}"),
        sympy.Inverse(mul(Transpose(B), B)): ("(Bᵀ B)⁻¹", r"\left(B^\top B\right)^{-1}"),
        sympy.MatPow(A, 3): ("(A)^3", r"\left(A\right)^3"),
        mul(-1, add(B, B), w): ("−(B + B) w", r"-\left(B + B\right) w"),
        add(mul(-1, B), B): ("−B + B", "-B + B"),
        mul(A, A): ("A A", "A A"),
        sympy.MatMul(-1, B, -1, w, evaluate=False): ("B w", "B w"),
        sympy.Trace(A): ("(A)", r"\left(A\right)"),
        alpha**2 / 3: ("1/3 α²", r"\tfrac{1}{3} \alpha^{2}"),
        alpha**-12: ("α⁻¹²", r"\alpha^{-12}"),
        -alpha * beta: ("−α β", r"-\alpha \beta"),
        alpha - 2: ("−2 + α", r"-2 + \alpha"),
        2 / alpha: ("2 α⁻¹", r"2 \alpha^{-1}"),
        2 * alpha * sympy.Trace(A): ("2 α (A)", r"2 \alpha \left(A\right)"),
    }
    for expression, (plain, tex) in written.items():
        assert (text(expression), latex(expression)) == (plain, tex)


def test_letters_are_symmetric_skew_or_neither_and_differ_by_task_or_not() -> None:
    assert {x.symmetry for x in ALPHABET} <= {-1, 0, 1}
    for found in ALPHABET:
        word = letter_poly(found.code)
        assert word.shape == (found.rows, found.cols)
        assert word.T.shape == (found.cols, found.rows)
        assert (word * found.symmetry == word.T) is bool(found.symmetry)
        assert word == word.T.T
    named = {x.name for x in ALPHABET if x.symmetry == 1}
    assert {"Psi", "Psi_star", "Delta", "Delta_bar", "Q_head", "G", "dG", "S"} <= named
    assert not named & {"Q", "U", "V", "M", "A", "Y", "B", "theta_i"}
    assert {"theta_i", "w_star_i", "r_i", "B_i3", "v_i", "u_i", "X_in", "z_in", "X_out", "z_out"} <= a.PER_TASK
    assert not a.PER_TASK & {"B", "w", "B_star", "B_perp", "Psi", "Psi_star", "w_bar", "theta_bar", "s_bar", "g_bar"}


def test_what_vanishes_in_a_product_leaves_the_rest() -> None:
    """A term whose words are zero (xᵀAx for a skew A) is passed over; those after it are not."""
    row = a.omega.T * a.A
    for sum_ in (a.omega + a.h, a.h + a.omega):
        assert row * sum_ == row * a.h
    assert (a.omega.T + a.h.T) * (a.A * a.omega) == a.h.T * a.A * a.omega


def test_symbols_are_of_positive_numbers_and_sizes() -> None:
    """SymPy may then take a root, and a dimension is one symbol wherever it is asked for."""
    alpha = a.scalar_symbol("alpha")
    assert sympy.sqrt(alpha**2) == alpha
    assert to_sympy(zero("d", "k")).shape == matrix_symbol("B").shape
    assert all(size.is_integer and size.is_positive for size in matrix_symbol("B").shape)
    assert matrix_symbol("w").shape[1] == 1


def test_powers_of_sums_are_products() -> None:
    Delta = matrix_symbol("Delta")
    assert to_words(sympy.MatPow(Delta, 3)) == a.Delta * a.Delta * a.Delta
    for power in (sympy.Integer(0), sympy.Integer(-2), sympy.Symbol("k")):
        with pytest.raises(ValueError, match="no words for MatPow"):
            to_words(sympy.MatPow(Delta, power, evaluate=False))
    with pytest.raises(ValueError, match="no words for"):
        to_words(sympy.HadamardProduct(Delta, Delta))


def test_values_of_rows_are_those_of_columns_turned() -> None:
    arrays = random_arrays(5, 3, 2, 4)
    column = a.B.T * a.B * a.w + a.w
    by_words = evaluate_words(column, arrays, {})
    np.testing.assert_array_equal(by_words[:, 0], arrays["B"].T @ arrays["B"] @ arrays["w"] + arrays["w"])
    np.testing.assert_array_equal(evaluate_words(column.T, arrays, {}), by_words.T)
    mean = evaluate_words(a.w * (a.w_star.T * a.w_star), arrays, {"alpha": 1})
    heads = arrays["w_star_i"]
    np.testing.assert_allclose(mean[:, 0], arrays["w"] * np.square(heads).sum(0).mean(), rtol=1e-15)
    # a size is known from a letter's columns, too
    np.testing.assert_array_equal(evaluate_words(identity("k"), {"B": arrays["B"]}, {}), np.eye(2))
    gram = evaluate_words(a.w.T * a.w + identity("1"), {"w": arrays["w"]}, {})
    assert gram.tolist() == [[arrays["w"] @ arrays["w"] + 1]]
    batch = {name: np.stack([value, 2 * value, 3 * value]) for name, value in arrays.items()}
    for word, degree in (
        (a.w * (a.w_star.T * a.w_star), 3),
        (a.B * (a.w_star.T * a.w_star), 3),
        (a.theta * a.w.T, 2),
        (a.w.T * a.B.T, 2),
        (a.B.T, 1),
    ):
        one, many = (evaluate_words(word, values, {}) for values in (arrays, batch))
        np.testing.assert_allclose(many, [one * scale**degree for scale in (1, 2, 3)], rtol=1e-14)


def test_an_inverse_beside_its_matrix_is_reduced_place_by_place() -> None:
    gram, one = a.B.T * a.B, identity("k")
    for ridge in (True, False):
        beside = one - a.G.scaled(ridge=1) if ridge else one
        assert reduce_G(a.G * gram, ridge) == reduce_G(gram * a.G, ridge) == beside
        assert reduce_G(a.G * gram * a.Q * a.G * gram, ridge) == beside * a.Q * beside
        assert reduce_G(a.G * a.Q * gram + a.Q, ridge) == a.G * a.Q * gram + a.Q
        scalar = a.w.T * a.G * gram * a.w
        assert reduce_G(scalar * a.B, ridge) == (a.w.T * beside * a.w) * a.B
        reduced = reduce_G(scalar, ridge)
        assert gradient_with_G(scalar, "B", ridge) == gradient_with_G(reduced, "B", ridge)
        assert gradient_with_G(scalar, "w", ridge) == reduce_G(gradient(reduced, "w"), ridge)


def test_a_proof_counts_what_it_decides_and_keeps_the_first_that_fails() -> None:
    proof = Proof()
    assert (proof.holds, proof.complete, proof.comparisons, proof.remainder) == (False, False, 0, "")
    proof.equal("I = I", identity("k"), identity("k"))
    assert (proof.holds, proof.complete, proof.why) == (True, True, "1 identity decided in words")
    proof.fact("B occurs", True)
    assert proof.why == "1 identity and 1 further fact decided in words"
    proof.fact("w occurs", True)
    proof.vanishes("B − B", a.B - a.B)
    assert proof.why == "2 identities and 2 further facts decided in words"
    assert proof.comparisons == 4
    assert [what for what, _, _ in proof.identities] == ["I = I", "B − B"]
    assert proof.facts == ["B occurs", "w occurs"]
    assert proof.rewritten(a.B_perp.T * a.B_star, "orthogonal", Rule("B_perp'", "B_star", None)) == zero("p", "s")
    assert proof.expanded("B", a.B) == proof.substituted("B", a.B) == a.B
    assert [step.what.split()[0] for step in proof.steps[-3:]] == ["use", "expand", "substitute"]
    proof.argued("a theorem")
    assert (proof.holds, proof.complete) == (True, False)
    proof.fact("M occurs", False)
    assert (proof.holds, proof.remainder) == (False, "not so: M occurs")
    proof.equal("B = 2B", a.B, a.B * 2)
    proof.fact("Q occurs", False)
    assert proof.remainder == "not so: M occurs"
    other = Proof()
    other.equal("B = 2B", a.B, a.B * 2)
    assert [step.what for step in proof.steps if "occurs" in step.what] == [f"{x} occurs" for x in "BwMQ"]
    assert (other.holds, other.remainder) == (False, "B = 2B: left − right = −B")
    other.equal("w = 2w", a.w, a.w * 2)
    assert other.remainder.startswith("B = 2B")


def test_a_proof_shows_more_of_what_it_compares_than_of_what_it_comes_by() -> None:
    two, three = RESIDUAL, RESIDUAL + a.B_star * a.w_star
    proof = Proof()
    proof.expanded("two", two)
    proof.expanded("three", three)
    proof.equal("three", three, three)
    shown = [step.what for step in proof.steps]
    assert shown[:2] == [r"expand two: $-\theta_i + B w$", "expand three: a sum of 3 words"]
    assert shown[2] == f"compare three: ${closed_form(three)}$, as the other side, is ${in_words(three)}$"
    proof.equal("one", a.B, a.B)
    assert proof.steps[-1].what == "compare one: either side is $B$"
    for count, remainder in ((12, "…: left − right = Q + "), (13, "…: left − right = 13 words")):
        other = Proof()
        other.equal("…", sum((a.Q.scaled(alpha=power) for power in range(count)), zero("k", "k")), zero("k", "k"))
        assert other.remainder.startswith(remainder)
