"""A real browser for the tests of the report's page, and what it can find wrong with a page.

Every finder takes the driver with a page open and returns lines, one for each thing that is wrong: none is good.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_core_python.base import AXE_SCRIPT
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

Finder = Callable[[webdriver.Chrome], list[str]]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PHONE, DESK = 360, 1440
"""Widths in pixels that the page must fit."""


def _found(*names: str) -> str:
    for name in names:
        if (path := shutil.which(name)) is not None:
            return path
    pytest.fail(
        f"no {names[0]} on the PATH: the tests marked browser need Chromium and its driver "
        "(Debian: apt-get install chromium chromium-driver)",
        pytrace=False,
    )


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """Headless Chromium that logs its console and its requests. Nothing is downloaded: both programs must be there."""
    options = Options()
    options.binary_location = _found(*BROWSERS)
    # The pages are our own, and containers often lack what the sandbox needs.
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(_found("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


def show(driver: webdriver.Chrome, page: Path, width: int = DESK, scheme: str = "light", media: str = "") -> None:
    """Open a page in a window of that width, in light or dark, for the screen or (``media``) for print."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wishes = [
        {"name": "prefers-color-scheme", "value": scheme},
        {"name": "prefers-reduced-motion", "value": "reduce"},  # a click is there at once
    ]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": wishes})
    for log in ("browser", "performance"):
        driver.get_log(log)  # what other pages left
    driver.get("about:blank")  # a link to a place in the same page would not load it again
    driver.get(page.as_uri())


def open_all(driver: webdriver.Chrome) -> None:
    """Open whatever a reader can open."""
    driver.execute_script("for (const e of document.querySelectorAll('details')) e.open = true")


def open_some(driver: webdriver.Chrome, *anchors: str) -> None:
    """Open these, all that is inside them, and of each section the first thing that a reader can open."""
    driver.execute_script(
        "const all = (e, s) => [...e.querySelectorAll(s)];"
        "const firsts = all(document, 'section').map(s => s.querySelector('details')).filter(e => e);"
        "const named = arguments[0].map(id => document.getElementById(id));"
        "for (const e of [...firsts, ...named]) for (let p = e; p; p = p.parentElement) p.open = true;"
        "for (const e of named) for (const inner of all(e, 'details')) inner.open = true;",
        anchors,
    )


# --- finders


def console_lines(driver: webdriver.Chrome) -> list[str]:
    """Everything that the page wrote to the console."""
    return [f"{entry['level']}: {entry['message']}" for entry in driver.get_log("browser")]


def requests(driver: webdriver.Chrome) -> list[str]:
    """Everything fetched besides the page itself and what it carries."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    own = driver.current_url.partition("#")[0]
    return [url for url in urls if url != own and not url.startswith(("data:", "about:"))]


def axe(driver: webdriver.Chrome) -> list[str]:
    """What axe-core finds by all its rules: WCAG 2, A and AA, and best practices. What stays closed is taken out of the
    page first: nobody hears it, and axe would read it for minutes.
    """
    driver.set_script_timeout(300)
    driver.execute_script(
        "for (const e of document.querySelectorAll('details:not([open]) > :not(summary)')) e.remove();" + AXE_SCRIPT
    )
    found = driver.execute_async_script(
        "const [done] = arguments, options = {resultTypes: ['violations']};"
        "axe.run(document, options).then(result => done(result.violations), error => done(`${error}`));"
    )
    assert isinstance(found, list), found
    return [f"{rule['id']}: {node['target'][-1]}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]


def _script(body: str) -> Finder:
    """A finder in the page's own language: ``body`` calls ``found`` with each line."""
    text = (
        "const lines = [], found = line => lines.push(line);"
        "const words = e => (e.textContent || '').trim().replace(/\\s+/g, ' ').slice(0, 40);"
        "const name = e => `${e.tagName.toLowerCase()} ${e.getAttribute('class') || ''} “${words(e)}”`;"
        f"{body}; return lines"
    )
    return lambda driver: driver.execute_script(text)


overflowing = _script("""
    const scrolls = e => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX);
    const inside = e => { for (let p = e.parentElement; p; p = p.parentElement) if (scrolls(p)) return true; };
    if (document.documentElement.scrollWidth > innerWidth)
        found(`the page is ${document.documentElement.scrollWidth} wide in a window of ${innerWidth}`);
    for (const e of document.body.querySelectorAll('*')) {
        if (e.ownerSVGElement || e.matches('.skip') || inside(e)) continue;
        const box = e.getBoundingClientRect();
        if (box.width && (box.right > innerWidth + 0.5 || box.left < -0.5))
            found(`${name(e)} reaches from ${box.left} to ${box.right} in a window of ${innerWidth}`);
    }
""")

broken_links = _script("""
    for (const a of document.querySelectorAll('a')) {
        const link = a.getAttribute('href');
        if (a.download && link.startsWith('data:application/gzip;base64,')) continue;
        if (link === 'https://arxiv.org/abs/2202.03483') continue;  // the paper: the one link that leads away
        if (!link || !link.startsWith('#') || !document.getElementById(decodeURIComponent(link.slice(1))))
            found(`${name(a)} leads to ${link}`);
    }
""")

heading_jumps = _script("""
    let above = 0;
    for (const h of document.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
        const level = +h.tagName[1];
        if (level > above + 1) found(`${name(h)} below level ${above}`);
        if (above && level === 1) found(`${name(h)} is a second title`);
        above = level;
    }
    if (!above) found('no headings');
""")

nameless_pictures = _script("""
    for (const e of document.querySelectorAll('img, svg, [role=img]'))
        if (!(e.getAttribute('alt') || e.getAttribute('aria-label') || '').trim()) found(name(e));
    for (const e of document.querySelectorAll('a, summary'))
        if (!(e.getAttribute('aria-label') || e.textContent).trim()) found(name(e));
""")

# A label's box, on the screen, of its ink: the font's box is higher than its letters.
_INK = """
    const ink = text => {
        const box = text.getBBox(), m = text.getScreenCTM(), spare = 0.2 * box.height;
        const xs = [], ys = [];
        for (const x of [box.x, box.x + box.width]) for (const y of [box.y + spare, box.y + box.height - spare]) {
            xs.push(m.a * x + m.c * y + m.e);
            ys.push(m.b * x + m.d * y + m.f);
        }
        return {left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), bottom: Math.max(...ys)};
    };
    const visible = svg => svg.checkVisibility();
    const title = svg => `in “${svg.getAttribute('aria-label').slice(0, 60)}”`;
"""

clipped_labels = _script(
    _INK
    + """
    for (const svg of [...document.querySelectorAll('svg')].filter(visible)) {
        const frame = svg.getBoundingClientRect();
        for (const text of svg.querySelectorAll('text')) {
            const box = ink(text);
            const out = Math.max(frame.left - box.left, box.right - frame.right, frame.top - box.top,
                box.bottom - frame.bottom);
            // Where overflow shows, the neighbours are further away than this.
            const room = getComputedStyle(svg).overflow === 'visible' ? 5 : 0.5;
            if (out > room) found(`${name(text)} sticks out by ${out.toFixed(1)} ${title(svg)}`);
        }
    }
"""
)

labels_on_labels = _script(
    _INK
    + """
    const slanted = e => { const m = e.getScreenCTM(); return m.a * m.b !== 0; };  // whose boxes are too large
    for (const svg of [...document.querySelectorAll('svg')].filter(visible)) {
        const texts = [...svg.querySelectorAll('text')].filter(e => !slanted(e)).map(e => [e, ink(e)]);
        texts.forEach(([e, a], place) => { for (const [f, b] of texts.slice(place + 1)) {
            const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (width > 0.5 && height > 0.5) found(`${name(e)} and ${name(f)} ${title(svg)}`);
        } });
    }
"""
)

small_text = _script("""
    const size = e => {
        const matrix = e.ownerSVGElement && e.getScreenCTM();
        return parseFloat(getComputedStyle(e).fontSize) * (matrix ? Math.hypot(matrix.a, matrix.b) : 1);
    };
    const seen = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; node = walk.nextNode();) {
        const inside = node.parentElement, e = inside.closest('text') || inside;
        if (!node.data.trim() || seen.has(e) || e.closest('title, style, desc, math')) continue;
        seen.add(e);
        if (!e.checkVisibility()) continue;
        // Of a label its largest letters: scripts may be smaller.
        const high = Math.max(...(e.matches('text') ? [e, ...e.querySelectorAll('tspan')] : [e]).map(size));
        if (high < 8) found(`${name(e)} is ${high.toFixed(1)} pixels high`);
    }
""")

faint_text = _script("""
    const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
    const over = (top, below) => [0, 1, 2].map(i => top[3] * top[i] + (1 - top[3]) * below[i]);
    const light = c => c.slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
        return (x + 0.05) / (y + 0.05); };
    // Outermost first, so that each colour lies on what is behind it.
    const ground = e => { const all = []; for (let p = e; p; p = p.parentElement) all.unshift(p);
        return all.reduce((c, p) => over(parse(getComputedStyle(p).backgroundColor), c), [255, 255, 255]); };
    // What a drawing has painted below the middle of a label.
    const painted = e => {
        e.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});
        const box = e.getBoundingClientRect();
        for (const p of document.elementsFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2)) {
            if (p.ownerSVGElement !== e.ownerSVGElement) continue;
            const fill = getComputedStyle(p).fill;
            if (!p.closest('text') && p instanceof SVGGeometryElement && fill.startsWith('rgb')) return parse(fill);
        }
    };
    const seen = new Set(), walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; node = walk.nextNode();) {
        const e = node.parentElement;
        if (!node.data.trim() || seen.has(e) || e.closest('title, style, desc')) continue;
        seen.add(e);
        if (!e.checkVisibility()) continue;
        const drawn = e.ownerSVGElement, style = getComputedStyle(e);
        let behind = ground(e);
        const below = drawn && painted(e);
        if (below) behind = over(below, behind);
        let colour = parse(drawn ? style.fill : style.color);
        for (let p = e; p; p = p.parentElement) colour[3] *= getComputedStyle(p).opacity;
        const seenAs = over(colour, behind);
        if (ratio(seenAs, behind) < 4.5)
            found(`${name(e)}: ${ratio(seenAs, behind).toFixed(2)} (${seenAs} on ${behind})`);
    }
""")
