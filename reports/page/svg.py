"""A figure's SVG file as an element of a page, with nothing in it that nobody sees: a page has some hundred figures."""

import html
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import groupby
from xml.etree import ElementTree

from metarep.reports.page.style import INK

OWN = frozenset(("d", "x", "y", "width", "height", "href", "id", "transform", "clip-path", "opacity", "viewBox"))
"""Attributes of an element itself; what is inside of it inherits all others."""
_PLACE = frozenset(("d", "x", "y", "href", "id", "transform"))
"""What neighbours that look alike differ by."""
ROOT = {"fill": "currentColor", "stroke-linejoin": "round", "stroke-linecap": "butt"}
"""What everything inherits: the page's colour of text, and Matplotlib's own style."""


@dataclass
class _Node:
    tag: str
    attributes: dict[str, str]
    inside: list["_Node"] = field(default_factory=list)
    text: str = ""


def width(svg: bytes) -> float:
    """How wide a figure is drawn, in points."""
    found = re.search(rb'viewBox="[-\d.]+ [-\d.]+ ([\d.]+)', svg)
    return float(found[1]) if found else 0.0


def inline_svg(svg: bytes, name: str, alt: str) -> str:
    """An SVG file as an element inside a page: no ground of its own, the page's text colour and font, ids that no other
    figure has and no more of them than it needs, coordinates to a tenth of a point.
    """
    root = ElementTree.fromstring(svg)
    used = dict.fromkeys(re.findall(r'(?:href="|url\()#([^")]+)', svg.decode()))
    ids = {used_id: f"{name}-{number}" for number, used_id in enumerate(used)}
    nodes = [node for child in root for node in _read(child, ids, 10)]
    texts = [node for node in _all(nodes) if node.tag == "text"]
    common = {
        name: Counter(node.attributes[name] for node in texts if name in node.attributes).most_common(1)
        for name in ("font-size", "text-anchor")
    }
    shared = ROOT | {name: found[0][0] for name, found in common.items() if found}
    targets = {node.attributes["id"]: node.attributes for node in _all(nodes) if "id" in node.attributes}
    shape = {"viewBox": root.get("viewBox", "")}
    inside = "".join(_written(node, shared, targets) for node in _together(nodes))
    return f'<svg role="img" aria-label="{html.escape(alt)}"{_attributes(shape | shared)}>{inside}</svg>'


def _all(nodes: list[_Node]) -> list[_Node]:
    return [one for node in nodes for one in (node, *_all(node.inside))]


def _read(element: ElementTree.Element, ids: dict[str, str], per_point: int) -> list[_Node]:
    """The element, or what is in it where the element itself does nothing. ``per_point``: steps of coordinates."""
    tag = element.tag.rpartition("}")[2]
    if tag in ("metadata", "style") or element.get("id") == "patch_1":  # the figure's white ground
        return []
    per_point = 100 if tag == "defs" else per_point  # marks are small
    attributes = _declared(element)
    given = {name: _shown(name, value, ids, per_point) for name, value in attributes.items() if name != "font-family"}
    node = _Node(tag, {name: value for name, value in given.items() if value}, [], (element.text or "").strip())
    node.inside = [one for child in element for one in _read(child, ids, per_point)]
    if tag == "text":
        node.attributes.setdefault("text-anchor", "start")
        node.inside = _words(node.inside)
    if tag not in ("g", "defs"):
        return [node]
    if not node.attributes and tag == "g":
        return node.inside
    if len(node.inside) == 1 and tag == "g" and not OWN & {"clip-path", "opacity"} & node.attributes.keys():
        only = node.inside[0]
        if "transform" not in node.attributes or not only.attributes.keys() & {"transform", "clip-path", "x", "y"}:
            only.attributes = node.attributes | only.attributes
            return [only]
    return [node] if node.inside else []


def _declared(element: ElementTree.Element) -> dict[str, str]:
    """Attributes, and the declarations of a style as such: SVG has attributes for all that Matplotlib declares, and the
    page's policy allows no styles.
    """
    attributes = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    declared = (part.partition(":") for part in attributes.pop("style", "").split(";") if part.strip())
    return attributes | {name.strip(): value.strip() for name, _, value in declared}


def _shown(name: str, value: str, ids: dict[str, str], per_point: int) -> str:
    if name == "id":
        return ids.get(value, "")
    if name == "d":
        return short_path(value, per_point)
    if name in ("x", "y", "width", "height"):
        return _number(round(float(value) * per_point), per_point)
    if name == "transform":
        value = re.sub(r" ?rotate\(-0[^)]*\)", "", value)
        return re.sub(r"-?\d+\.\d+", lambda number: _number(round(float(number[0]) * 100), 100), value).strip()
    if name == "href":
        return f"#{ids[value[1:]]}"
    value = re.sub(r"url\(#([^)]+)\)", lambda used: f"url(#{ids[used[1]]})", value)
    return value.replace(INK, "currentColor").removesuffix("px")


def _number(steps: int, per_point: int) -> str:
    text = f"{steps / per_point:.{len(str(per_point)) - 1}f}".rstrip("0").rstrip(".")
    return re.sub(r"^(-?)0\.", r"\1.", text) if steps else "0"


def short_path(path: str, per_point: int) -> str:
    """A path in steps of so many per point from each place to the next, which are short numbers."""
    parts: list[str] = []
    here = start = (0, 0)
    last = ""
    for sign, numbers in re.findall(r"([MLQCz])([^MLQCz]*)", path, re.IGNORECASE):
        flat = [round(float(number) * per_point) for number in numbers.split()]
        places = list(zip(flat[::2], flat[1::2], strict=True))
        if sign in "zZ":
            parts.append("z")
            here, last = start, "z"
            continue
        if sign == "L" and places == [here] and last == "l":
            continue
        steps = [step - at for place in places for step, at in zip(place, here, strict=True)]
        letter = sign.lower()
        numbers = [_number(step, per_point) for step in steps]
        text = "".join(n if n[0] == "-" or not i else f" {n}" for i, n in enumerate(numbers))
        again = letter == last != "m"
        parts.append((text if text[0] == "-" else f" {text}") if again else letter + text)
        here, last = places[-1], letter
        start = here if sign == "M" else start
    return "".join(parts)


def _words(pieces: list[_Node]) -> list[_Node]:
    """Letters and digits of a formula that stand side by side as one piece."""
    joined: list[_Node] = []
    end = 0.0
    for piece in pieces:
        at = piece.attributes
        if joined and at.get("x"):
            before = joined[-1]
            same = {k: v for k, v in at.items() if k != "x"} == {k: v for k, v in before.attributes.items() if k != "x"}
            near = float(at["x"]) - end < 0.86 * float(at.get("font-size", 10))
            if same and near and all(re.fullmatch(r"[\d.−]+|[a-z]+", text) for text in (before.text, piece.text)):
                before.text += piece.text
                end = float(at["x"])
                continue
        end = float(at.get("x") or 0)
        joined.append(piece)
    return joined


def _together(nodes: list[_Node]) -> list[_Node]:
    """Neighbours that differ by their place alone in a group of what they have in common."""
    grouped: list[_Node] = []
    for looks, alike in groupby(nodes, _looks):
        run = list(alike)
        if len(run) < 3 or not looks:
            grouped += run
            continue
        for node in run:
            node.attributes = {name: value for name, value in node.attributes.items() if name in _PLACE}
        grouped.append(_Node("g", dict(looks), run))
    return grouped


def _looks(node: _Node) -> tuple[tuple[str, str], ...]:
    """What a line, a mark or a label has besides its place; nothing where a group would not be the same."""
    if node.tag not in ("path", "use", "text") or node.attributes.keys() & {"opacity", "transform"}:
        return ()
    if node.tag == "use" and "clip-path" in node.attributes:
        return ()
    return tuple((name, value) for name, value in node.attributes.items() if name not in _PLACE)


def _written(node: _Node, above: dict[str, str], targets: dict[str, dict[str, str]]) -> str:
    """The element without what it inherits. What it defines is used elsewhere, and inherits there."""
    above = {} if node.tag == "defs" else above
    told = targets.get(node.attributes.get("href", "").removeprefix("#"), {}) if node.tag == "use" else {}
    own = {
        name: value
        for name, value in node.attributes.items()
        if name in OWN or (name not in told and above.get(name) != value)
    }
    below = above | {name: value for name, value in own.items() if name not in OWN}
    inside = html.escape(node.text, quote=False)
    inside += "".join(_written(child, below, targets) for child in _together(node.inside))
    start = f"{node.tag}{_attributes(own)}"
    return f"<{start}>{inside}</{node.tag}>" if inside else f"<{start}/>"


def _attributes(attributes: dict[str, str]) -> str:
    return "".join(f' {name}="{html.escape(value)}"' for name, value in attributes.items())
