"""Examples worked out: the mathematics' own objects, both sides, what is left between them, and the command that
checks it again.
"""

from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from metarep.reports.chapters.claims.records import ClaimRecord, ExampleRecord
from metarep.reports.page import blocks as b
from metarep.reports.page.markup import plain_line
from metarep.theory.claims.objects import SYMBOLS
from metarep.theory.engine import decode
from metarep.theory.engine.showing import cells, note_on, number_text, objects_text, sides_text, sign_between

NOT_SHOWN = {"seed", "k", "d"}
"""An example with nothing else is random matrices that a check makes for itself, and there is nothing to be read."""


def worked_example(claim: ClaimRecord) -> tuple[b.Block, ...]:
    """The claim's generic example, folded: one in fractions if there is one, else in floats."""
    examples = [(item.kind, item.instance) for item in claim.evidence if item.instance is not None]
    shown = [(kind, example) for kind, example in examples if not set(example.objects) <= NOT_SHOWN]
    if not shown:
        return ()
    kind, example = shown[0]  # fractions come before floats
    sizes = {name: value for name, value in example.objects.items() if name in ("d", "k", "n")}
    said = ["fractions" if kind == "exact" else "floats, to six digits", *(f"{n} = {x}" for n, x in sizes.items())]
    return (b.Details(f"An example worked out ({', '.join(said)})", example_blocks(claim, example, sizes)),)


def counterexample(claim: ClaimRecord, example: ExampleRecord) -> tuple[b.Block, ...]:
    """The counterexample, in full view."""
    return (b.Paragraph("**Counterexample**"), *example_blocks(claim, example))


def example_blocks(claim: ClaimRecord, example: ExampleRecord, said: Collection[str] = ()) -> tuple[b.Block, ...]:
    """The objects but those that are ``said`` already, what is compared, both sides and their difference, and the
    command that checks it again.
    """
    objects, *sides = map(decode, (example.objects, example.left, example.right, example.difference))
    values = tuple(_value(SYMBOLS.get(x, rf"\text{{{x}}}"), (y,)) for x, y in objects.items() if x not in said)
    blocks: list[b.Block] = [b.Values(values, "\n".join(objects_text(objects)))]
    if note := note_on(objects):
        blocks.append(b.Paragraph(f"{note[0].upper()}{note[1:]}."))
    if example.left:
        named = zip(("left side", "right side", "difference"), sides, strict=True)
        values = tuple(_value(rf"\text{{{name}}}", side) for name, side in named)
        blocks += [b.Paragraph(f"Compared: {plain_line(example.compared)}.")] if example.compared else []
        blocks.append(b.Values(values, "\n".join(sides_text(*map(tuple, sides[:2])))))
        if long := [entry for side in sides[0] for entry in np.ravel(np.asarray(side, dtype=object)) if _long(entry)]:
            same = "on either side" if example.difference == (0,) else "on the left side"
            blocks.append(b.Paragraph(f"The first entry {same}, exactly: `{long[0]}`"))
        replay = claim.command.split(" --examples")[0]
        blocks.append(b.Paragraph(f"Again: `{replay} --replay report.json`"))
    return tuple(blocks)


def _long(entry: Any) -> bool:
    """Whether it is a fraction that is written as a decimal number."""
    return isinstance(entry, Fraction) and number_text(entry) != str(entry)


Value = tuple[str, tuple[str | tuple[tuple[str, ...], ...], ...]]


def _value(name: str, sides: Sequence[Any]) -> Value:
    """What stands before it, and its parts; of an array of more than two axes each matrix is one."""
    sign = r"\approx" if any(sign_between(side) != "=" for side in sides) else "="
    return f"{name} {sign}", tuple(part for side in sides for part in _parts(np.asarray(side, dtype=object)))


def _parts(value: np.ndarray) -> list[str | tuple[tuple[str, ...], ...]]:
    if value.ndim > 2:
        return [part for matrix in value for part in _parts(matrix)]
    if value.ndim == 0:
        return [number_text(value[()])]
    rows = cells(value)
    if len(rows) == 1 and len(rows[0]) == 1 and value.size > 1:  # its size and range
        return [rows[0][0]]
    return [tuple(map(tuple, rows if value.ndim == 2 else zip(*rows, strict=True)))]
