"""What formulas stand for: LaTeX of ours, read as words."""

import re
from collections.abc import Mapping

from metarep.theory.calculus import alphabet as a
from metarep.theory.calculus.words import ONE, SCALAR_SHAPE, Poly, identity

LETTERS = {r"\theta_i": a.theta, "B_*": a.B_star, "w_{*,i}": a.w_star, "B": a.B, "w": a.w, "I": identity("k")}


def read(written: str, known: Mapping[str, Poly] | None = None) -> Poly:
    """The polynomial that LaTeX stands for, under one average over the tasks; ``known``: what letters stand for."""
    letters = LETTERS | dict(known or {})
    signs = {r"\left(": "(", r"\right)": ")", r"^\top": ".T", "+": "+", "-": "-"}
    pattern = "|".join(map(re.escape, sorted((*letters, *signs), key=len, reverse=True)))
    code, operand = "", False
    scalar_power = r"(\\left\([^()]*\\right\))\^\{(\d)\}"
    written = re.sub(scalar_power, lambda found: " ".join([found[1]] * int(found[2])), written)
    written = written.replace(r"\frac1n\sum_{i=1}^n", "")
    for token in re.findall(rf"{pattern}|\\(?:alpha|beta)(?:\^\{{\d+\}})?|\d+|\S", written):
        power = re.fullmatch(r"\\(alpha|beta)(?:\^\{(\d+)\})?", token)
        starts = token in letters or token == r"\left(" or power or token.isdigit()
        scalar = f"one.scaled({power[1]}={power[2] or 1})" if power else ""
        name = f"letters[{token!r}]" if token in letters else ""
        code += ("*" if operand and starts else "") + (scalar or name or signs.get(token) or token)
        operand = token not in ("+", "-", r"\left(")
    return eval(code, {"letters": letters, "one": Poly(SCALAR_SHAPE, {(ONE, (), b""): 1})})
