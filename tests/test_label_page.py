"""The labeling page in a browser, beside the real server."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_project import CLASSES, Served, hand_over, make_photos
from playwright.sync_api import Browser, BrowserContext, Page, Request, Response

from al_lightning.people.answers import Answers

HOSTILE = "<script>document.title='taken'</script><b>x"
N = 220


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("images") / "photos", N)


@pytest.fixture
def served(tmp_path: Path, images: Path) -> Iterator[Served]:
    found = Served(Path(shutil.copytree(images, tmp_path / "photos")))
    yield found
    found.kill()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    found = browser.new_context(viewport={"width": 1200, "height": 800})
    found.set_default_timeout(15_000)
    yield found
    found.close()


def opened(context: BrowserContext, served: Served, said: list[str], name: str = "Ann") -> Page:
    """The page, with somebody's name; what is wrong on it, and addresses of others, are added to `said`."""
    page = context.new_page()
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text))

    def asked(request: Request) -> None:
        if not request.url.startswith(f"http://127.0.0.1:{served.port}/"):
            said.append(request.url)

    page.on("request", asked)
    page.goto(served.address)
    page.wait_for_selector("#ask-name[open]")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#stage img")
    return page


def shown(page: Page, names: dict[int, str]) -> tuple[int, str]:
    item = int(page.get_attribute("#stage[data-item]", "data-item") or 0)
    return item, names[item][:3]


def press(page: Page, key: str) -> None:
    """Press a key that brings another image."""
    before = page.get_attribute("#stage", "data-item")
    page.keyboard.press(key)
    page.wait_for_selector(f"#stage[data-item]:not([data-item='{before}'])")


def saved(page: Page) -> None:
    page.wait_for_selector("#saved:text-is('All saved')")
    assert page.evaluate("Object.keys(localStorage).filter(key => key.includes('/out/'))") == []


def different(found: dict[int, int], wanted: dict[int, int]) -> dict[int, tuple[int | None, int | None]]:
    """By image, the class in the store and the one that was given, where they are not the same."""
    both = {item: (found.get(item), wanted.get(item)) for item in found | wanted}
    return {item: pair for item, pair in both.items() if pair[0] != pair[1]}


def answers(served: Served) -> Answers:
    store, found = served.store(), Answers()
    found.add(store.events())
    store.close()
    return found


def test_two_browsers_get_no_image_twice(browser: Browser, served: Served) -> None:
    """They label all images together; what one has on the screen, or will have next, the other never sees."""
    said: list[str] = []
    contexts = [browser.new_context(), browser.new_context()]
    pages = [opened(context, served, said, name) for context, name in zip(contexts, ("Ann", "Bo"), strict=True)]
    seen: list[list[int]] = [[], []]
    for _ in range(60):
        for page, mine in zip(pages, seen, strict=True):
            mine.append(int(page.get_attribute("#stage[data-item]", "data-item") or 0))
            press(page, "1")
    for page in pages:
        saved(page)
    store = served.store()
    labels = [(event.item, event.annotator) for event in store.events() if event.kind == "label"]
    store.close()
    assert len(labels) == len({item for item, _ in labels}) == 120
    assert [{item for item, by in labels if by == who} for who in (1, 2)] == [{*mine} for mine in seen]
    assert not said
    for context in contexts:
        context.close()


def test_200_images_by_keys_alone(context: BrowserContext, served: Served) -> None:
    said: list[str] = []
    page, names = opened(context, served, said), served.names()
    labels: dict[int, int] = {}
    states: dict[int, str] = {}

    def label(i: int) -> None:
        item, name = shown(page, names)
        labels[item] = 1 + CLASSES.index(name)
        press(page, str(labels[item]) if i % 5 else f"Numpad{labels[item]}")

    for i in range(60):
        label(i)
    states[shown(page, names)[0]] = "skip"
    press(page, "s")
    states[shown(page, names)[0]] = "unsure"
    press(page, "u")
    flagged = shown(page, names)[0]
    page.keyboard.press("f")
    page.wait_for_selector("#flag[aria-pressed=true]")
    label(1)

    # Undo: a mistake is mended, also when the page was loaded anew since.
    item, name = shown(page, names)
    press(page, str(2 - CLASSES.index(name)))
    press(page, "Backspace")
    assert shown(page, names)[0] == item
    label(1)
    saved(page)
    page.reload()
    page.wait_for_selector("#stage img")
    press(page, "Backspace")
    assert shown(page, names)[0] == item
    label(1)

    page.keyboard.press("n")
    page.keyboard.type(HOSTILE)
    page.keyboard.press("Enter")
    page.wait_for_selector("#classes button >> nth=2")
    labels[shown(page, names)[0]] = 3
    press(page, "3")

    # The grid: all of a class but one, which gets the other class; undone, and done again.
    saved(page)
    hand_over(served)
    page.wait_for_selector("#order:has-text('Model of 40 labels')")
    page.keyboard.press(".")
    while len(labels) < 190:
        page.wait_for_selector("#view-grid .tile, #view-grid .empty:not([hidden]):text-is('No images are left here.')")
        if not page.query_selector("#view-grid .tile"):
            page.keyboard.press("PageDown")
            continue
        before = page.evaluate("[...document.querySelectorAll('#view-grid .tile')].map(each => each.title)")
        first = f"#view-grid .tile:first-child[title='{before[0]}']"
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Space")
        page.keyboard.press("3")
        for again in (True, False):
            page.keyboard.press("Enter")
            page.wait_for_selector(first, state="detached")
            if again:
                page.keyboard.press("Backspace")
                page.wait_for_selector(first)
        of_name = {name: item for item, name in names.items()}
        labels |= {of_name[name]: 3 if i == 1 else 1 + CLASSES.index(name[:3]) for i, name in enumerate(before)}
        page.keyboard.press("3")  # once more: those taken out stay open
    page.keyboard.press(",")
    while len(labels) < 205:
        label(1)
    saved(page)
    found = answers(served)
    assert different(found.labels, labels) == {}
    assert (found.states, found.flagged) == (states, {flagged})
    assert HOSTILE in page.inner_text("#classes")
    assert page.title() == "Label images"
    assert said == []


def test_nothing_is_lost_when_the_server_dies(context: BrowserContext, served: Served) -> None:
    page, names = opened(context, served, []), served.names()
    acknowledged: set[str] = set()

    def heard(response: Response) -> None:
        if response.url.endswith("/api/answers") and response.ok:
            acknowledged.add(json.loads(response.request.post_data or "")["action"])

    page.on("response", heard)
    rng, pressed, other = np.random.default_rng(0), dict[int, int](), context.new_page()
    for kill in range(10):
        for _ in range(int(rng.integers(1, 9))):
            item, name = shown(page, names)
            pressed[item] = 1 + CLASSES.index(name)
            press(page, str(pressed[item]))
        if kill % 3 == 0:
            saved(page)  # else answers are on their way
        served.kill()
        before = {event.action for event in events(served)}
        assert acknowledged <= before
        item, name = shown(page, names)
        pressed[item] = 1 + CLASSES.index(name)
        press(page, str(pressed[item]))  # it goes on without a server, and says so
        page.wait_for_selector("#saved.waits")
        served.start()
        if kill in (1, 4):
            page.wait_for_selector("#notice:has-text('The server was started anew')")  # its answers were refused
        # Either gives the browser the new token; loading the page anew takes all from it but what it has stored.
        (page if kill == 5 else other).goto(served.address)
        saved(page)
    found = answers(served)
    assert different(found.labels, pressed) == {}
    assert len(events(served)) == len(pressed), "an answer is there twice"


def events(served: Served) -> list[Any]:
    store = served.store()
    found = store.events()
    store.close()
    return found


def test_several_pages_share_what_is_not_sent(context: BrowserContext, served: Served) -> None:
    pages, names = [opened(context, served, [])], served.names()
    pages.append(context.new_page())
    pages[1].goto(served.address)
    pages[1].wait_for_selector("#stage img")
    served.kill()
    pressed = {}
    for i in range(12):
        item, name = shown(pages[i % 2], names)
        pressed[item] = 1 + CLASSES.index(name)
        press(pages[i % 2], str(pressed[item]))
    served.start()
    pages[1].goto(served.address)
    for page in pages:
        saved(page)
    assert different(answers(served).labels, pressed) == {}
    assert len(events(served)) == len({event.action for event in events(served)})
