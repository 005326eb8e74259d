"""How the page looks, as far as no browser is needed to see it: contrast, tables on a phone, figures made lighter."""

import re
from importlib.resources import files
from itertools import groupby

import numpy as np
import pytest

from metarep.reports.page import blocks as b
from metarep.reports.page import rendering as pages
from metarep.reports.page.drawings import FILE_STYLE
from metarep.reports.page.markup import at_least, at_most, inline_html
from metarep.reports.page.output import InputError, write_files
from metarep.reports.page.style import new_figure, rendered, style
from metarep.reports.page.svg import inline_svg, width
from metarep.theory.claims.record import Verdict

CSS = (files("metarep.reports.page") / "templates" / "report.css").read_text(encoding="utf-8")
AA = 4.5
"""WCAG 2.2, success criterion 1.4.3: the least contrast of text."""


def _colours(css: str) -> dict[str, str]:
    return {name: value for name, value in re.findall(r"--([a-z]+): ?(#[0-9a-f]{3,6})\b", css)}


def _scheme(name: str) -> dict[str, str]:
    light, dark, paper = (_colours(part) for part in re.findall(r":root ?\{(.*?)\}", CSS, re.S))
    return {"light": light, "dark": light | dark, "paper": light | paper, "file": _colours(FILE_STYLE)}[name]


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two colours (#rrggbb or #rgb)."""

    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(2 * c for c in colour[1:])
        channels = np.array([int(digits[i : i + 2], 16) for i in (0, 2, 4)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_of_known_colours():
    assert contrast("#fff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # the well-known grey just too light


@pytest.mark.parametrize("scheme", ["light", "dark", "paper"])
def test_text_stands_out(scheme):
    colours = _scheme(scheme)
    verdicts = {verdict.value.lower().replace("_", "") for verdict in Verdict}
    assert verdicts <= set(colours)
    for name in {"ink", "soft", "link", *verdicts}:
        assert contrast(colours[name], colours["ground"]) >= AA, name
    for name in ("ink", "link"):  # code, and what a link led to
        assert contrast(colours[name], colours["raised"]) >= AA, name


def test_a_command_is_broken_between_its_words_only():
    assert inline_html("`a --b c<d`") == "<code><span>a</span> <span>--b</span> <span>c&lt;d</span></code>"
    assert inline_html("`x y`") == "<code>x y</code>"


def test_punctuation_stays_with_its_formula():
    page = inline_html("so $x$, and $y$ (as $z$).")
    assert re.sub(r"<math.*?</math>", "M", page) == (
        'so <span class="keep">M,</span> and M (as <span class="keep">M).</span>'
    )


def test_files_have_the_colours_of_the_page():
    page, file = _scheme("light"), _scheme("file")
    assert {"ground", "ink", "soft", "edge", "refuted", "link"} <= set(file)
    assert all(page[name] == value for name, value in file.items() if name != "c")


def _page(*blocks: b.Block) -> str:
    return pages.html_page(b.Document("t", "s", blocks, ()))


def test_tables_with_sentences_name_their_cells():
    """Such tables are lists on a phone, where no header is seen; the others stay tables and are scrolled."""
    short = b.Table(("a", "n"), (("x", "1"),), frozenset({1}))
    sentences = b.Table(("a", "why $x^2$", "n"), (("x", "word " * 20, "1"), ("y", "", "2")), frozenset({2}))
    assert "data-title=" not in _page(short)
    page = _page(sentences)
    assert page.count('data-title="a"') == 2
    assert page.count('class="prose" role="cell">') == 2  # they need no name
    assert page.count('role="row"') == 2


def test_wide_figures_scroll_and_only_the_first_panel_repeats_the_words():
    with style():
        wide, narrow = (rendered(new_figure(inches, 2), "svg") for inches in (8, 3))
    assert width(wide) == pytest.approx(576)
    page = _page(b.Picture((("w", wide), ("n", narrow)), "what is seen"))
    assert page.count('class="panel wide scroll"') == 1
    assert page.count("what is seen") == 1
    assert 'aria-label="Panel 2 of 2 of this figure."' in page


def test_lighter_figures_draw_the_same():
    """Coordinates to a tenth of a point, no ids that nothing refers to, the page's font."""
    x = np.linspace(0, 1, 50)
    with style():
        figure = new_figure(3, 3)
        figure.subplots().plot(x, np.sin(9 * x), "o-")
    svg = rendered(figure, "svg").decode()
    inside = inline_svg(svg.encode(), "f", "a curve")
    before, after = (
        re.findall(r'\bd="([^"]+)"', text)
        for text in (re.sub(r'<g id="patch_1">.*?</g>', "", svg, count=1, flags=re.S), inside)
    )
    assert len(before) == len(after) > 5
    for one, other in zip(before, after, strict=True):
        assert re.findall("[a-z]", other) == [sign for sign, _ in groupby(re.findall("[a-z]", one.lower()))]
        exact = np.array(re.findall(r"-?\d+(?:\.\d+)?", one), dtype=float).reshape(-1, 2)
        steps = np.array(re.findall(r"-?\d*\.\d+|-?\d+", other), dtype=float).reshape(-1, 2)
        if "C" not in one:  # whose places are all counted from where the curve begins
            np.testing.assert_allclose(steps.cumsum(axis=0), exact, rtol=0, atol=0.05 + 1e-5)
    referred = set(re.findall(r'(?:href="|url\()#([^")]+)', inside))
    assert set(re.findall(r'\bid="([^"]+)"', inside)) == referred != set()
    assert "font-family" not in inside
    assert len(inside) < 0.4 * len(svg)


def test_bounds_are_rounded_outward():
    assert at_most(5.44e-10) == r"$6 \times 10^{-10}$"
    assert at_most(9.5e-4) == "$10^{-3}$"
    assert at_most(3e-9) == r"$3 \times 10^{-9}$"
    assert at_least(0.99898, 3) == "0.998"
    assert at_least(0.261, 3) == "0.261"


def test_symbols_outside_of_formulas_have_scripts():
    seen = inline_html(
        "B_{*⊥}ᵀB⁺ with σ_1 of R^k, w_{*,i}, B_*M, m_in, H_ij, ^{1/2} and `B_star`; see B_star, two_words"
    )
    assert "B<sub>*⊥</sub>ᵀB⁺" in seen
    for part in (
        "σ<sub>1</sub>",
        "R<sup>k</sup>",
        "w<sub>*,i</sub>",
        "B<sub>*</sub>M",
        "m<sub>in</sub>",
        "H<sub>ij</sub>",
    ):
        assert part in seen
    assert seen.endswith("<code>B_star</code>; see B_star, two_words")
    assert inline_html("x_{<}") == "x<sub>&lt;</sub>"


def test_no_file_is_replaced_before_every_new_one_is_written(tmp_path):
    first, taken = tmp_path / "first.txt", tmp_path / "taken.txt"
    first.write_text("old")
    taken.mkdir()
    with pytest.raises(InputError, match="it is a folder"):
        write_files(tmp_path, {"first.txt": "new", "taken.txt": "new"})
    assert first.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"first.txt", "taken.txt"}
    write_files(tmp_path, {"first.txt": "new", "in/second.txt": b"new"})
    assert first.read_text() == (tmp_path / "in" / "second.txt").read_text() == "new"
