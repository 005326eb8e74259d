"""The report's page in headless Chromium; ``pytest -m browser`` runs these tests, nothing else does."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import browser as b
import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select
from small_report import ABOVE, REFUTED, write_small_report
from test_attacks import ATTACKS, every_block

from metarep.reports.page.rendering import html_page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def driver() -> Iterator[b.webdriver.Chrome]:
    with b.browser() as running:
        yield running


@pytest.fixture(scope="session")
def page(driver, tmp_path_factory: pytest.TempPathFactory) -> Path:  # the browser first: without one nothing is built
    return write_small_report(tmp_path_factory.mktemp("browser"))


# --- what must not be found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_fetched_and_the_console_is_empty(driver, page, scheme):
    b.show(driver, page, scheme=scheme)
    b.open_all(driver)
    assert b.console_lines(driver) == []
    assert b.requests(driver) == []


@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("width", [b.PHONE, b.DESK])
def test_everything_fits_and_can_be_read(driver, page, width, opened):
    b.show(driver, page, width)
    if opened:
        b.open_all(driver)
    for finder in (b.overflowing, b.clipped_labels, b.labels_on_labels, b.small_text):
        assert finder(driver) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough(driver, page, scheme):
    """WCAG 2 AA: 4.5 for text of any size, in figures against what is painted below it."""
    b.show(driver, page, scheme=scheme)
    b.open_all(driver)
    assert b.faint_text(driver) == []


def test_links_headings_and_names(driver, page):
    b.show(driver, page)
    b.open_all(driver)
    for finder in (b.broken_links, b.heading_jumps, b.nameless_pictures):
        assert finder(driver) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, b.DESK])
def test_axe_finds_nothing(driver, page, width, scheme):
    """With one thing of each section open, and claims of every kind."""
    b.show(driver, page, width, scheme)
    b.open_some(driver, "claim-update-maml", "claim-theorem-fo-anil", "claim-fo-anil-large-head", f"claim-{REFUTED}")
    assert b.axe(driver) == []


def test_every_chapter_is_typeset_and_light(page):
    text = page.read_text()
    assert text.count('class="level2') >= 12
    assert "\\" not in text
    assert "untypeset" not in text
    assert len(text.encode()) < 2_350_000  # the quick profile's is up to 1.3 times as large, and 3 MB is the limit


# --- how it behaves


def _place(driver) -> str:
    return driver.current_url.partition("#")[2]


def _at_the_top(driver, anchor: str) -> bool:
    """Whether the reader now sees that element."""
    return driver.execute_script(
        "const box = document.getElementById(arguments[0]).getBoundingClientRect();"
        "return box.height > 0 && box.top > -2 && box.top < innerHeight",
        anchor,
    )


def _graph_links(driver, within: str) -> dict[str, WebElement]:
    found = driver.find_elements(By.CSS_SELECTOR, f"{within} a")
    return {link.get_dom_attribute("href"): link for link in found}


@pytest.mark.parametrize("width", [b.PHONE, b.DESK])
def test_a_click_in_the_graph_leads_to_the_claim(driver, page, width):
    b.show(driver, page, width)
    links = _graph_links(driver, "svg.deps.all")
    assert len(links) > 80
    for anchor in ("claim-update-maml", "claim-fo-maml-gaussian", f"claim-{ABOVE}"):
        links[f"#{anchor}"].click()
        assert _place(driver) == anchor
        assert _at_the_top(driver, anchor)


def test_a_refuted_claim_shows_in_what_rests_on_it(driver, page):
    b.show(driver, page)
    b.open_all(driver)
    links = _graph_links(driver, "svg.deps.all")
    above, below = links[f"#claim-{ABOVE}"], links[f"#claim-{REFUTED}"]
    assert above.get_dom_attribute("aria-label") == f"{ABOVE}: supported; rests on {REFUTED}, which is refuted"
    assert (below.get_dom_attribute("aria-label") or "").startswith(f"{REFUTED}: refuted, expected supported")
    colour = {
        name: driver.execute_script(
            "return getComputedStyle(arguments[0].querySelector('circle'))[arguments[1]]", *what
        )
        for name, what in {"ring": (above, "stroke"), "own": (above, "fill"), "refuted": (below, "fill")}.items()
    }
    assert colour["ring"] == colour["refuted"]
    assert colour["own"] == "none"  # the ring is drawn round the disc, which keeps its own status
    section = driver.find_element(By.ID, f"claim-{ABOVE}")
    assert f"It rests on {REFUTED}, which is refuted." in section.text
    assert REFUTED in driver.find_element(By.ID, "graph").text


def test_pointing_at_a_claim_brings_out_what_it_rests_on(driver, page):
    b.show(driver, page)
    edges = "return [...document.querySelectorAll('svg.deps.all .edge')].map(e => getComputedStyle(e).stroke)"
    before = driver.execute_script(edges)
    ActionChains(driver).move_to_element(_graph_links(driver, "svg.deps.all")[f"#claim-{ABOVE}"]).perform()
    after = driver.execute_script(edges)
    assert 0 < sum(x != y for x, y in zip(before, after, strict=True)) < len(before) / 2


def test_the_keyboard_reaches_the_graph_and_shows_where_it_is(driver, page):
    b.show(driver, page)
    driver.execute_script("document.querySelector('#graph .scroll').focus()")
    reached = []
    for _ in range(4):
        driver.switch_to.active_element.send_keys(Keys.TAB)
        focused = driver.switch_to.active_element
        outline = focused.value_of_css_property("outline-style"), focused.value_of_css_property("outline-width")
        assert outline == ("solid", "2px")
        reached.append(focused.get_dom_attribute("href"))
    assert reached == list(_graph_links(driver, "svg.deps.all"))[:4]
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert f"#{_place(driver)}" == reached[-1]


def test_the_keyboard_opens_what_is_closed(driver, page):
    b.show(driver, page)
    details = driver.find_element(By.CSS_SELECTOR, "#figure-1 details")
    details.find_element(By.TAG_NAME, "summary").send_keys(Keys.ENTER)
    assert details.get_property("open")


def test_the_first_tab_offers_to_skip_the_header(driver, page):
    b.show(driver, page)
    driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    skip = driver.switch_to.active_element
    assert skip.text.startswith("Skip")
    assert 0 <= skip.rect["x"] < b.DESK


def _picture(driver) -> bytes:
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    return base64.b64decode(shot["data"])


def test_without_scripting_there_is_nothing_less(driver, page):
    """With it the page has buttons that copy and a form that finds, and is the same otherwise."""
    seen = []
    for disabled in (False, True):
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": disabled})
        try:
            b.show(driver, page)
            root = driver.execute_cdp_cmd("DOM.getDocument", {"depth": 0})["root"]["nodeId"]
            seen.append(driver.execute_cdp_cmd("DOM.getOuterHTML", {"nodeId": root})["outerHTML"])
        finally:
            driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    scripted, plain = seen
    assert plain.count(' role="search" hidden=""') == 1
    scripted, buttons = re.subn(r'<button type="button" class="copy">Copy</button>', "", scripted)
    assert buttons > 100
    assert scripted == plain.replace(' role="search" hidden=""', ' role="search"')


def test_a_link_opens_what_it_leads_to(driver, page):
    b.show(driver, page)
    entry = driver.find_element(By.ID, "claim-update-maml")
    assert not entry.is_displayed()  # it is in the entry of its family
    driver.execute_script("location.hash = '#claim-update-maml'")
    driver.implicitly_wait(0)
    assert entry.find_element(By.TAG_NAME, "p").is_displayed()


def test_claims_are_found(driver, page):
    b.show(driver, page)
    entries = driver.find_elements(By.CSS_SELECTOR, "#claims details.entry")
    leaves = [e for e in entries if not e.find_elements(By.CSS_SELECTOR, "details.entry")]
    driver.find_element(By.NAME, "text").send_keys("envelope")
    by_text = [e for e in leaves if e.get_property("hidden") is False]
    assert 0 < len(by_text) < len(leaves) / 4
    driver.find_element(By.NAME, "text").clear()
    Select(driver.find_element(By.NAME, "status")).select_by_value("PROVED")
    Select(driver.find_element(By.NAME, "learner")).select_by_value("maml")
    found = [e for e in leaves if e.get_property("hidden") is False]
    assert found
    assert all(e.get_dom_attribute("data-status") == "PROVED" for e in found)
    assert driver.find_element(By.TAG_NAME, "output").text == f"{len(found)} of {len(leaves)}"


def test_print(driver, page):
    """On paper is a summary: what is open, nothing of it cut off, and nothing that only leads elsewhere."""
    b.show(driver, page, 720, media="print")  # A4 between its margins
    assert b.overflowing(driver) == []
    assert not driver.find_element(By.TAG_NAME, "nav").is_displayed()
    pdf = base64.b64decode(driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})["data"])
    assert pdf.startswith(b"%PDF")
    assert 5 < len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 25


# --- the finders find

PLANTED = {
    "overflowing": '<div style="width: 3000px">wide</div>',
    "broken_links": '<a href="#nowhere">nowhere</a>',
    "console_lines": '<script>console.error("planted")</script>',
    "requests": '<link rel="stylesheet" href="other.css">',
    "heading_jumps": "<h2>two</h2><h4>four</h4>",
    "nameless_pictures": '<svg width="9" height="9"></svg>',
    "axe": '<p role="nonsense">wrong</p>',
    "faint_text": '<p style="color: #8a8a8a">faint</p>',
    "small_text": '<p style="font-size: 6px">small</p>',
    "clipped_labels": '<svg aria-label="x" width="50" height="30"><text x="40" y="20">clipped</text></svg>',
    "labels_on_labels": '<svg aria-label="x" width="99" height="30"><text y="9">one</text><text y="9">two</text></svg>',
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(driver, page, tmp_path, name):
    """The page with one thing wrong: its finder, which finds nothing in the page as it is, finds that."""
    copy = tmp_path / "page.html"
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text())
    copy.write_text(text.replace("<footer>", f"{PLANTED[name]}<footer>"))
    b.show(driver, copy)
    assert len(getattr(b, name)(driver)) in (1, 2)  # as the page as a whole is then too wide as well


@pytest.mark.parametrize("policy", [True, False])
def test_no_script_of_an_attack_runs(driver, tmp_path, policy):
    """The page of all attacks, with its policy (which speaks up where it had to forbid something) and without."""
    text = html_page(every_block(*ATTACKS))
    if not policy:
        text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    text = text.replace("hit()", "document.title = 'hit'")
    for name, content in (("attacks", text), ("planted", f"{text}<script>document.title = 'hit'</script>")):
        (tmp_path / f"{name}.html").write_text(content)
    b.show(driver, tmp_path / "attacks.html")
    b.open_all(driver)
    assert driver.title != "hit"
    assert b.console_lines(driver) == []
    assert b.requests(driver) == []
    b.show(driver, tmp_path / "planted.html")
    assert (driver.title == "hit") != policy
