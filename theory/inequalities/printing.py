"""A checked derivation as mathematics: each line in LaTeX, with its rule, the lines it uses and the rule's reason."""

import ast
from dataclasses import dataclass
from fractions import Fraction

from metarep.theory.calculus.words import Poly, find_letter
from metarep.theory.inequalities.catalogue import RULES
from metarep.theory.inequalities.core import Checked, Judgement, Line, Says
from metarep.theory.inequalities.letters import DEFINITIONS
from metarep.theory.inequalities.polynomials import Polynomial

SCALARS = {
    "beta": r"\beta", "mu": r"\mu", "eta": r"\eta", "omega": r"\omega", "rho": r"\rho", "sigma": r"\sigma",
    "zeta": r"\zeta", "xi": r"\xi", "upsilon": r"\upsilon", "tau": r"\tau", "tau_least": r"\tau_{\min}",
    "t": r"\bar t", "share": "s", "E": "E_0", "d0": r"\mathrm{dist}_0^2",
}  # fmt: skip
"""How the scalar variables are written; others stand for themselves."""
IDENTITY = {"I_k": "I", "I_s": "I", "I_d": "I", "I_p": "I"}


@dataclass(frozen=True)
class ProofLine:
    """One line to print: number, statement in LaTeX, the rule's name, the lines used, and the rule's reason."""

    number: int
    latex: str
    rule: str
    uses: tuple[int, ...]
    reason: str


def lines(checked: Checked) -> list[ProofLine]:
    """The accepted lines of a derivation, to print."""
    return [
        ProofLine(number, _shown(line, found), line.rule, line.uses, " ".join(RULES[line.rule].reason.split()))
        for number, (line, found) in enumerate(zip(checked.derivation.lines, checked.judgements, strict=False), 1)
    ]


def _shown(line: Line, found: Judgement) -> str:
    """A line's statement; what a rule about all steps concludes is written in the rule itself."""
    return RULES[line.rule].statement if found.kind in ("form", "floor") else statement(line.says, found)


def statement(says: Says, found: Judgement | None = None) -> str:
    """A statement in LaTeX, its bound as computed (``found``) or as written."""
    if says.kind == "equal":
        return f"{expression(says.of)} = {expression(says.bound)}"
    computed = found is not None and isinstance(found.bound, Polynomial) and not says.bound
    bound = polynomial(found.bound) if computed else expression(says.bound)  # type: ignore[union-attr, arg-type]
    match says.kind:
        case "each":
            return rf"\left\|{_name(says.of)}\right\| \le {bound} \text{{ for every task}}"
        case "norm":
            return rf"\left\|{expression(says.of)}\right\| \le {bound}"
        case "below" | "above":
            sign = r"\preceq" if says.kind == "below" else r"\succeq"
            if not _is_single(bound):
                bound = rf"\left({bound}\right)"
            return f"{expression(says.of)} {sign} {bound} I"
        case "distance":
            return rf"\mathrm{{dist}}(B, B_*)^2 \le {bound}"
        case "kept":
            return r"\text{what is kept holds for } (B_t, w_t) \text{ at every } t"
        case "forever":
            return rf"\mathrm{{dist}}(B_T, B_*) \le \prod_{{t < T}} \left({bound}\right) \text{{ for every }} T"
    raise ValueError(f"unknown kind of statement {says.kind!r}")


def _is_single(text: str) -> bool:
    return not any(sign in text for sign in (" + ", " - "))


def expression(text: str) -> str:
    """LaTeX of an expression of ``syntax``, as it was written."""
    return _latex(ast.parse(text.strip(), mode="eval").body)


def _latex(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.Name(id=name):
            return _name(name)
        case ast.Attribute(value=inner, attr="T"):
            return _base(inner) + r"^\top"
        case ast.UnaryOp(operand=inner):
            return f"-{_factor(inner)}"
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return f"{_latex(left)} + {_latex(right)}"
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return f"{_latex(left)} - {_term(right)}"
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return f"{_factor(left, product=True)} {_factor(right)}"
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return rf"\tfrac{{{_latex(left)}}}{{{_latex(right)}}}"
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"{_base(left)}^{{{_latex(right)}}}"
    raise ValueError(f"cannot print {ast.unparse(node)!r}")


def _sum(node: ast.expr) -> bool:
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub)


def _term(node: ast.expr) -> str:
    return rf"\left({_latex(node)}\right)" if _sum(node) else _latex(node)


def _factor(node: ast.expr, product: bool = False) -> str:
    is_product = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)
    plain = isinstance(node, ast.Name | ast.Constant | ast.Attribute) or (product and is_product)
    plain = plain or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Pow))
    return _latex(node) if plain else rf"\left({_latex(node)}\right)"


def _base(node: ast.expr) -> str:
    """What an exponent is put on: in brackets or braces where it has one already."""
    text = _factor(node)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Pow):
        return rf"\left({text}\right)"
    return f"{{{text}}}" if isinstance(node, ast.Name) and "^" in text else text


def _name(name: str) -> str:
    if name in IDENTITY:
        return IDENTITY[name]
    if name in SCALARS:
        return SCALARS[name]
    try:
        return find_letter(name).latex
    except ValueError:
        return name if len(name) == 1 else rf"\mathit{{{name}}}".replace("_", r"\_")


def polynomial(value: Polynomial | Poly) -> str:
    """LaTeX of a computed bound, term by term."""
    if isinstance(value, Poly):
        raise ValueError("a word polynomial is printed from its expression")
    if not value:
        return "0"
    text = ""
    for key, coefficient in sorted(value.terms.items(), key=lambda item: (sum(e for _, e in item[0]), item[0])):
        size = abs(coefficient)
        factors = [_number(size)] if size != 1 or not key else []
        factors += [_power(name, power) for name, power in key]
        sign = (" - " if coefficient < 0 else " + ") if text else ("-" if coefficient < 0 else "")
        text += sign + " ".join(factors)
    return text


def _letters(judgement: Judgement) -> set[str]:
    sides = (judgement.of, judgement.bound)
    return {name for side in sides if isinstance(side, Poly) for name in side.letters()}


def _power(name: str, power: int) -> str:
    base = _scalar(name)
    if power == 1:
        return base
    return f"{{{base}}}^{{{power}}}" if "^" in base else f"{base}^{{{power}}}"


def _number(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else rf"\tfrac{{{value.numerator}}}{{{value.denominator}}}"


def _scalar(name: str) -> str:
    return SCALARS.get(name, name if len(name) == 1 else rf"\mathit{{{name}}}".replace("_", r"\_"))


def setting(checked: Checked) -> list[tuple[str, str]]:
    """(what, LaTeX) of the statement: what is assumed, the start, what is kept, the ghosts, ranges and definitions."""
    proof = checked.derivation
    rows = [("assumed at every step", statement(says)) for says in proof.assumed]
    rows += [("at the start", statement(says)) for says in proof.start]
    rows += [("kept", statement(says)) for says in proof.kept]
    rows += [
        ("ghost", rf"{_scalar(s.name)}_0 = {expression(s.start)},\ {_scalar(s.name)}^+ = {expression(s.next)}")
        for s in proof.state
    ]
    rows += [
        ("range", rf"0 \le {_scalar(name)}" + (rf" \le {expression(upper)}" if upper else ""))
        for name, upper in proof.region.ranges
    ]
    rows += [("where", f"{expression(name)} = {expression(value)}") for name, value in proof.region.symbols]
    used = {name for judgement in checked.judgements for name in _letters(judgement)}
    defined = (*((name, value) for name, value in DEFINITIONS.items() if name in used), *proof.definitions)
    rows += [("definition", f"{_name(name)} = {expression(value)}") for name, value in defined]
    return rows


def chains(checked: Checked) -> list[ProofLine]:
    """The proof as a person would write it: a bound, its rewording and its weakening in one line, X = Y ≤ p ≤ q.

    Identities that serve one rewording are not shown apart; numbers and uses are those of the shorter list.
    """
    proof_lines, judgements = checked.derivation.lines[: len(checked.judgements)], checked.judgements
    users: dict[int, list[int]] = {}
    for number, line in enumerate(proof_lines, 1):
        for use in line.uses:
            users.setdefault(use, []).append(number)
    links: dict[int, list[int]] = {}  # last line of a chain -> its lines
    for number, line in enumerate(proof_lines, 1):
        before = line.uses[0] if line.rule in ("replace", "weaken") else 0
        grows = before in links and users[before] == [number] and judgements[before - 1].kind != "equal"
        links[number] = [*links.pop(before), number] if grows else [number]
        if line.rule == "replace" and users[line.uses[1]] == [number]:
            links.pop(line.uses[1], None)
    shown = {last: index for index, last in enumerate(links, 1)}
    result = []
    for last, chain in links.items():
        steps = [proof_lines[number - 1] for number in chain]
        uses = dict.fromkeys(use for step in steps for use in step.uses if use in shown)
        rules = dict.fromkeys("identity" if step.rule == "replace" else step.rule for step in steps)
        reasons = dict.fromkeys(" ".join(RULES[step.rule].reason.split()) for step in steps)
        first = steps[0]
        origin = proof_lines[first.uses[1] - 1].says.bound if first.rule == "replace" else ""
        latex = _chain([(step, judgements[number - 1]) for step, number in zip(steps, chain, strict=True)], origin)
        result.append(
            ProofLine(shown[last], latex, ", ".join(rules), tuple(shown[use] for use in uses), " ".join(reasons))
        )
    return result


def _chain(steps: list[tuple[Line, Judgement]], origin: str) -> str:
    """X_n = ... = X_1 ≤ p_1 ≤ ... ≤ p_m of successive rewordings and weakenings; ``origin``: what the first rewords."""
    if len(steps) == 1 and not origin:
        return _shown(*steps[0])
    kind = steps[0][1].kind

    def about(text: str) -> str:
        subject = expression(text) if kind != "distance" else r"\mathrm{dist}(B, B_*)^2"
        return rf"\left\|{subject}\right\|" if kind == "norm" else subject

    subjects = [about(origin)] if origin else []
    bounds: list[str] = []
    for line, found in steps:
        subject = about(line.says.of)
        bound = expression(line.says.bound) if line.says.bound else polynomial(found.bound)
        if kind in ("above", "below"):
            bound = f"{bound} I" if _is_single(bound) else rf"\left({bound}\right) I"
        subjects = subjects if subject in subjects else [subject, *subjects]
        if line.rule != "replace" or not bounds:
            bounds.append(bound)
    sign = {"above": r" \succeq ", "below": r" \preceq "}.get(kind, r" \le ")
    return " = ".join(subjects) + sign + sign.join(bounds)
