"""The page of a report in a browser: on screens of three widths, light and dark, and on paper."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from studies import HOSTILE, Run, study

from al_lightning.report.__main__ import main


def opened(browser: Browser, address: str, width: int, **context: Any) -> tuple[Page, list[str], list[str]]:
    """A page, the addresses that it asked for, and what it said on its console."""
    page, requests, said = browser.new_page(viewport={"width": width, "height": 900}, **context), [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    return page, [each for each in requests if not each.startswith("data:")], said


def unfold(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 800, 390])
def test_the_page_fits_the_screen(browser: Browser, demo: Path, width: int, scheme: str) -> None:
    address = (demo / "report.html").as_uri()
    page, requests, said = opened(browser, address, width, color_scheme=scheme)
    assert requests == [address]
    assert said == []
    assert HOSTILE[0] in page.inner_text("body")
    unfold(page)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width, "the page scrolls sideways"
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    assert page.evaluate(CLIPPED) == []
    assert page.evaluate(OVERLAPPING) == []
    assert page.evaluate(SMALLEST) >= 6, "CSS pixels of the smallest text in a figure"
    assert page.evaluate(PALE) == [], "text of less contrast than 4.5"


def test_the_answer_is_seen_without_scrolling(tmp_path: Path, browser: Browser) -> None:
    strategies = ("random", "margin", "uncertainty", "entropy", "kmeans", "bald")
    study(tmp_path / "study", strategies, range(5), Run(rounds=6))
    assert main([str(tmp_path / "study")]) == 0
    page, _, _ = opened(browser, (tmp_path / "study" / "report" / "report.html").as_uri(), 1440)
    bottom = "document.querySelector('{}').getBoundingClientRect().bottom"
    assert 0 < page.evaluate(bottom.format(".lead")) < page.evaluate(bottom.format("table.verdict")) < 900
    rows = "[...document.querySelectorAll('table.verdict tr')].map(row => row.getBoundingClientRect().height)"
    assert max(page.evaluate(rows)) < 40, "a line a strategy"
    links = "[...document.querySelectorAll('nav a')].map(link => link.hash.slice(1))"
    tops = f"{links}.map(id => document.getElementById(id).getBoundingClientRect().top)"
    assert page.evaluate(f"{links}.length") > 10
    assert page.evaluate(tops) == sorted(page.evaluate(tops)), "the contents are in the order of the page"


def test_what_scrolls_in_its_box_can_be_reached_by_keyboard(browser: Browser, demo: Path) -> None:
    page, _, _ = opened(browser, (demo / "report.html").as_uri(), 390)
    unfold(page)
    boxes = "[...document.querySelectorAll('.wide')].filter(box => box.scrollWidth > box.clientWidth)"
    assert page.evaluate(f"{boxes}.length") > 5, "figures and tables that are wider than a telephone"
    assert page.evaluate(f"{boxes}.every(box => box.tabIndex === 0)")


def test_figures_take_the_colors_of_the_scheme(browser: Browser, demo: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    text = "getComputedStyle(document.querySelector('figure svg text')).fill"
    seen = []
    for scheme in ("light", "dark"):
        page, _, _ = opened(browser, (demo / "report.html").as_uri(), 1000, color_scheme=scheme)
        white = "document.querySelectorAll('figure svg path[style*=\"#ffffff\"]').length"
        assert page.evaluate(white) == 0, "a white ground"
        seen.append((page.evaluate(ground), page.evaluate(text)))
    assert seen[0][0] == "rgb(255, 255, 255)"
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] != seen[1][1]


def test_paper_is_white_and_shows_what_is_folded(browser: Browser, demo: Path) -> None:
    page, _, _ = opened(browser, (demo / "report.html").as_uri(), 703, color_scheme="dark")  # A4 less its margins
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("[...document.querySelectorAll('details:not([open]) figure svg')].length") > 0
    assert page.evaluate(
        "[...document.querySelectorAll('figure svg')].every(svg => svg.getBoundingClientRect().height)"
    )
    shaded = "[...document.querySelectorAll('td.shaded')]"
    assert page.evaluate(f"{shaded}.length") > 0
    assert page.evaluate(f"{shaded}.every(cell => getComputedStyle(cell).printColorAdjust === 'exact')")
    assert page.evaluate(
        "[...document.querySelectorAll('h2, h3, h4')].every(h => getComputedStyle(h).breakAfter === 'avoid')"
    )
    assert page.evaluate("document.querySelector('figure svg').getBoundingClientRect().right") <= 703


# Texts of figures that leave their figure.
CLIPPED = """[...document.querySelectorAll('figure svg')].flatMap(svg => {
  const all = svg.getBoundingClientRect();
  return [...svg.querySelectorAll('text')].filter(text => {
    const box = text.getBoundingClientRect();
    return box.left < all.left - 1 || box.right > all.right + 1 || box.top < all.top - 1 || box.bottom > all.bottom + 1;
  }).map(text => text.textContent);
})"""
# Pairs of bold texts, the names at the ends of lines, that cover each other by more than a hair.
OVERLAPPING = """[...document.querySelectorAll('figure svg')].flatMap(svg => {
  const boxes = [...svg.querySelectorAll('text')].filter(text => /bold|700/.test(text.getAttribute('style')))
    .map(text => [text.textContent, text.getBoundingClientRect()]);
  return boxes.flatMap(([a, p], i) => boxes.slice(i + 1).filter(([b, q]) =>
    Math.min(p.right, q.right) - Math.max(p.left, q.left) > 2 &&
    Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 0.35 * Math.min(p.height, q.height)).map(([b]) => [a, b]));
})"""
SMALLEST = """Math.min(...[...document.querySelectorAll('figure svg text')].map(text =>
  parseFloat(getComputedStyle(text).fontSize) * Math.hypot(text.getScreenCTM().a, text.getScreenCTM().b)))"""
# Texts that do not stand out from the page by 4.5 (WCAG 2.2, contrast minimum); those in cells of figures aside.
PALE = """(() => {
  const bright = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const page = bright(getComputedStyle(document.body).backgroundColor);
  return [...document.querySelectorAll('body *')].filter(each => each.textContent.trim() && !each.children.length)
    .map(each => [each, getComputedStyle(each)[each.closest("svg") ? "fill" : "color"]])
    .filter(([each, color]) => each.closest('body') && !(each.closest('svg') && color === 'rgb(255, 255, 255)'))
    .filter(([, color]) => (Math.max(bright(color), page) + 0.05) / (Math.min(bright(color), page) + 0.05) < 4.5)
    .map(([each, color]) => `${each.tagName} ${color} ${each.textContent.trim().slice(0, 40)}`);
})()"""


def test_the_browser_would_have_told(tmp_path: Path, browser: Browser) -> None:
    file = tmp_path / "page.html"
    file.write_text("<img src=missing.png><script>console.error('told')</script><script>throw 1</script>")
    _, requests, said = opened(browser, file.as_uri(), 1000)
    assert requests[1:] == [(tmp_path / "missing.png").as_uri()]
    assert len(said) >= 3
