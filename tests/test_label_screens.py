"""The labeling page on screens of three widths, light and dark: sizes, contrast, texts of users; by mouse, by touch."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from label_project import CLASSES, Served, disagree, hand_over, make_photos
from label_servers import Client
from playwright.sync_api import Browser, Page, Route
from test_label_page import HOSTILE, answers, opened, saved

AHEAD = re.compile(r"/api/grid\?.*have=")  # a screen of the grid that comes after another one
VIEWS = ("label", "grid", "doubtful", "review", "labeled", "map", "panel")
FULL = {
    "label": "#suggestion:not(:disabled)",
    "grid": "#view-grid .tile >> nth=3",
    "doubtful": "#view-doubtful .card",
    "review": "#view-review .card >> nth=3",
    "labeled": "#view-labeled .card",
    "map": "#map-said:has-text('images')",
    "panel": "svg.curve",
}
ESTIMATE = {
    "accuracy": 0.91,
    "low": 0.87,
    "high": 0.94,
    "n": 140,
    "n_labeled": 300,
    "expected": {"labels": 100, "gain": 0.011, "low": 0.002, "high": 0.02, "money": 100.0, "minutes": 6.2},
    "enough": {"said": True, "why": "the accuracy is at least 0.9"},
}
CURVE = {
    "points": [
        {"n_labeled": n, "accuracy": 1 - 20 / n, "low": 1 - 30 / n, "high": 1 - 12 / n, "n": n} for n in (50, 90, 300)
    ],
    "classes": [{"id": id_, "n": 12, "accuracy": 0.8, "low": 0.6, "high": 0.9} for id_ in (1, 2, 3)],
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    photos = make_photos(tmp_path_factory.mktemp("screens") / "photos", 60)
    shutil.move(photos / "cat-000.png", photos / f"cat-000 {HOSTILE.replace('/', '')}.png")
    found = Served(
        photos,
        [
            "--classes",
            ",".join([*CLASSES, HOSTILE, "a name that is rather long", *"efghijkl"]),
            "--budget",
            "500",
            "--random-share",
            "0",
        ],
    )
    disagree(found)
    hand_over(found)
    yield found
    found.kill()


def measured(page: Page) -> None:
    """An accuracy, in place of the days that it takes to measure one."""

    def state(route: Route) -> None:
        answer = route.fetch()
        learner = {"phase": "ready", "done": 0, "total": 0, "message": f"features: {'unbroken' * 20}"}
        changed = {"estimate": ESTIMATE, "learner": learner, "problems": ["The map cannot be drawn: no room"]}
        route.fulfill(response=answer, json={**answer.json(), **changed})

    page.route("**/api/state*", state)
    page.route("**/api/curve", lambda route: route.fulfill(body=json.dumps(CURVE), content_type="application/json"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 800, 390])
def test_every_view_fits_the_screen(
    browser: Browser, served: Served, width: int, scheme: Literal["light", "dark"]
) -> None:
    said: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, has_touch=width < 500)
    context.on("page", measured)
    page = opened(context, served, said)
    page.wait_for_selector("#notice:has-text('no room')")
    for view in VIEWS:
        page.click(f"#tab-{view}")
        page.wait_for_selector(FULL[view])
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width, f"{view} scrolls sideways"
        for name, script in {"pale": PALE, "small": SMALL, "cut": CUT, "overlapping": OVERLAPPING}.items():
            assert page.evaluate(script) == [], f"{view}: {name}"
    for dialog, button in {"#help": "#open-help", "#ask-name": "#open-name"}.items():
        page.click(button)
        assert page.evaluate(PALE) + page.evaluate(SMALL) == []
        page.evaluate(f"document.querySelector('{dialog}').close()")
    assert page.evaluate(COLORS) == []
    page.click("#tab-label")
    assert HOSTILE in page.inner_text("#classes")
    assert "features: unbroken" in page.inner_html("#view-panel")
    assert page.title() == "Label images"
    assert said == []
    context.close()


def test_the_checks_would_have_told(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content(
        "<style>:root { --page: #fff; --accent: #ddd } button { overflow: hidden; width: 20px; white-space: nowrap }"
        "p { margin: -9px 0 }</style><main><p style='color: #888; background: #fff'>pale</p><p>below</p>"
        "<button>long text</button></main>"
    )
    for script in (PALE, SMALL, CUT, OVERLAPPING, COLORS):
        assert page.evaluate(script) != []
    page.close()


@pytest.mark.parametrize("touch", [False, True])
def test_without_a_keyboard(browser: Browser, tmp_path: Path, touch: bool) -> None:
    served, said = (
        Served(make_photos(tmp_path / "photos", 60), ["--classes", "cat,dog", "--random-share", "0"]),
        list[str](),
    )
    hand_over(served)
    context = browser.new_context(has_touch=touch, viewport={"width": 390 if touch else 1200, "height": 800})
    page = opened(context, served, said)
    press = page.tap if touch else page.click
    names, of_name = served.names(), {name: item for item, name in served.names().items()}
    labels = {}
    for selector, label in (("#suggestion", None), ("#classes button >> nth=1", 2)):
        item = int(page.get_attribute("#stage[data-item]", "data-item") or 0)
        labels[item] = label or 1 + CLASSES.index(names[item][:3])
        press(selector)
        page.wait_for_selector(f"#stage:not([data-item='{item}'])")
    press("#actions [data-key=f]")
    flagged = int(page.get_attribute("#stage", "data-item") or 0)
    press("#zoom [data-key='+']")
    page.wait_for_selector("#stage.enlarged")

    press("#tab-grid")
    page.wait_for_selector("#view-grid .tile")
    titles = page.evaluate("[...document.querySelectorAll('#view-grid .tile')].map(each => each.title)")
    press("#view-grid .tile >> nth=1")
    if not touch:
        page.click("#view-grid .tile >> nth=3", modifiers=["Shift"])
        page.click("#view-grid .tile >> nth=2")
    out = [1] if touch else [1, 3]
    selected = "[...document.querySelectorAll('#view-grid .tile')].map(each => each.ariaSelected)"
    assert page.evaluate(selected) == ["false" if i in out else "true" for i in range(len(titles))]
    press("#view-grid button.main")
    labels |= {of_name[name]: 1 for i, name in enumerate(titles) if i not in out}
    page.wait_for_selector(f"#view-grid .tile[title='{titles[0]}']", state="detached")

    press("#tab-map")
    page.wait_for_selector("#map-said:has-text('60 images')")
    box = page.locator("#map").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2)
    page.mouse.up()
    page.wait_for_selector("#region .tile")
    titles = page.evaluate("[...document.querySelectorAll('#region .tile')].map(each => each.title)")
    page.select_option("#region select >> nth=0", label="dog  (2)")
    press("#region button.main")
    labels |= {of_name[name]: 2 for name in titles}
    saved(page)
    found = answers(served)
    served.kill()
    assert (found.labels, found.flagged, said) == (labels, {flagged}, [])
    context.close()


def test_what_is_open_here_and_what_is_not(browser: Browser, tmp_path: Path) -> None:
    """The next screen is there before it is wanted; what goes to somebody else leaves the page, which says so."""
    served = Served(make_photos(tmp_path / "photos", 90), ["--classes", "cat,dog", "--random-share", "0"])
    hand_over(served)
    said, of_name = list[str](), {name: item for item, name in served.names().items()}
    context = browser.new_context(viewport={"width": 800, "height": 700})
    context.clock.install()
    page = opened(context, served, said)
    tiles = "[...document.querySelectorAll('#view-grid .tile')].map(each => [each.title, each.ariaSelected])"

    def next_screen(key: str) -> None:
        first, _ = page.evaluate(tiles)[0]
        page.keyboard.press(key)
        page.wait_for_selector(f"#view-grid .tile[title='{first}']", state="detached")
        page.wait_for_selector("#view-grid .tile")

    def given_to(name: str, *wanted: str) -> list[str]:
        bob = Client(served.address, name)
        items = bob.get("region", annotator=bob.id, items=",".join(str(of_name[each]) for each in wanted))["items"]
        return [each["name"] for each in items]

    def others_take(*wanted: str) -> None:
        served.kill()
        served.start()  # it knows no more who has what open
        assert given_to("Bob", *wanted) == [*wanted]
        assert context.request.get(served.address).ok  # the cookie of its new token
        page.clock.fast_forward("03:00")

    with page.expect_response(AHEAD):
        page.click("#tab-grid")
        page.wait_for_selector("#view-grid .tile >> nth=7")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    out, _ = page.evaluate(tiles)[1]
    with page.expect_response(AHEAD):
        next_screen("Enter")
    assert given_to("Bob", out) == [out]

    page.route("**/api/grid?*", lambda route: route.abort())
    next_screen("Enter")
    (gone, _), (out, _), *rest = page.evaluate(tiles)
    assert rest
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    others_take(gone)
    page.wait_for_selector("#notice:has-text('1 image left this screen')")
    assert page.evaluate(tiles) == [[out, "false"], *rest]

    page.click("#tab-label")
    gone = served.names()[int(page.get_attribute("#stage[data-item]", "data-item") or 0)]
    others_take(gone)
    page.wait_for_selector(f"#notice:has-text('{gone} left this screen')")
    page.wait_for_selector(f"#stage:not([data-item='{of_name[gone]}']) img")
    served.kill()
    context.close()


# Texts that do not stand out from what is behind them by 4.5 (WCAG 2.2, contrast minimum), 3 where they are large.
BRIGHT = r"""
  const parts = color => {
    const c = document.createElement('canvas').getContext('2d');
    c.fillStyle = color;
    c.fillRect(0, 0, 1, 1);
    return [...c.getImageData(0, 0, 1, 1).data];
  };
  const bright = color => parts(color).slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const lab = color => {
    const probe = document.body.appendChild(document.createElement('i'));
    probe.style.color = `color-mix(in oklab, ${color} 100%, black 0%)`;
    const found = getComputedStyle(probe).color.match(/-?[\d.]+(e-?\d+)?/g).slice(0, 3).map(Number);
    probe.remove();
    return found;
  };
  const contrast = (a, b) => (Math.max(bright(a), bright(b)) + 0.05) / (Math.min(bright(a), bright(b)) + 0.05);
  const seen = each => each.checkVisibility({ visibilityProperty: true }) && each.getBoundingClientRect().width > 1;
"""
PALE = f"""(() => {{ {BRIGHT}
  const behind = each => {{ for (; each; each = each.parentElement) {{
    const ground = getComputedStyle(each).backgroundColor; if (parts(ground)[3] === 255) return ground; }} }};
  return [...document.querySelectorAll('body *')].filter(seen)
    .filter(each => [...each.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
    .map(each => {{ const style = getComputedStyle(each);
      return [each, style, contrast(each.closest('svg') ? style.fill : style.color, behind(each))]; }})
    .filter(([, style, found]) => found < (parseFloat(style.fontSize) >= 24 ? 3 : 4.5))
    .map(([each, , found]) => `${{each.outerHTML.slice(0, 80)}} ${{found.toFixed(2)}}`);
}})()"""
# Colors that mean something, of less contrast to the page than 3; classes near each other in OKLab, or in its L.
COLORS = f"""(() => {{ {BRIGHT}
  const style = getComputedStyle(document.documentElement), of = name => style.getPropertyValue(name);
  const classes = [...Array(10).keys()].map(i => `--class-${{i}}`);
  const pale = [...classes, '--accent', '--edge', '--point'].filter(name => contrast(of(name), of('--page')) < 3);
  const labs = classes.map(name => lab(of(name)));
  const close = labs.flatMap((a, i) => labs.slice(i + 1).filter(b =>
    Math.hypot(...a.map((each, k) => each - b[k])) < 0.1 || Math.abs(a[0] - b[0]) < 0.01));
  return [...pale, ...close];
}})()"""
# What is pressed, and has less than 44 pixels a side.
SMALL = f"""(() => {{ {BRIGHT}
  return [...document.querySelectorAll('button, select, input, [role=option], canvas')].filter(seen)
    .filter(each => Math.min(each.getBoundingClientRect().width, each.getBoundingClientRect().height) < 43.9)
    .map(each => each.outerHTML.slice(0, 80));
}})()"""
# Buttons whose text does not fit into them.
CUT = f"""(() => {{ {BRIGHT}
  return [...document.querySelectorAll('button')].filter(seen)
    .filter(each => each.scrollWidth > each.clientWidth + 1 || each.scrollHeight > each.clientHeight + 1)
    .map(each => each.outerHTML.slice(0, 80));
}})()"""
OVERLAPPING = f"""(() => {{ {BRIGHT}
  const all = [...document.querySelectorAll('main :is(button, select, input, .tile, .card img, p, h2)')].filter(seen)
    .filter(each => !each.closest('.hero') && !each.closest('.side'));
  const boxes = all.map(each => each.getBoundingClientRect());
  return all.flatMap((a, i) => all.slice(i + 1).filter((b, j) => {{
    const [p, q] = [boxes[i], boxes[i + 1 + j]];
    return !a.contains(b) && Math.min(p.right, q.right) - Math.max(p.left, q.left) > 1
      && Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top) > 1;
  }}).map(b => a.outerHTML.slice(0, 60) + b.outerHTML.slice(0, 60)));
}})()"""
