"""The labeling page by the clock: from key to image, from command to image, one by one and in a grid.

Images are those of class folders, enlarged to photos of 640 x 480; each file ends with a few bytes of its own, so that
no two have the same content.

    python benchmarks/page.py --images cifar10-jpeg/train --weights tf_efficientnet_lite0.safetensors --data data
"""

import argparse
import io
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import annotator
import httpx
import numpy as np
import torch
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from results import machine, write_section

from al_lightning.label.project import SETTINGS, STORE
from al_lightning.live.prepare import prepare
from al_lightning.live.refit import Refitter
from al_lightning.people.scan import scan
from al_lightning.people.store import Store

SIZE = (640, 480)
N_PICTURES = 500  # that differ to the eye
N_KEYS, PAUSE_MS = 300, 400  # between two keys
N_FIRST, FIRST_RUNS = 5000, 5
# What a person takes, in seconds: to see and name one image; to look at one of a screen; to click one out; to accept.
NAME, LOOK, CLICK, ACCEPT = 1.5, 0.2, 1.0, 1.0
N_REFITTED = 1000
N_LABELED, N_ONE_BY_ONE, SCREENS, SCREEN = 400, 40, 10, 24

# From the event of a key to the first frame after the next image is decoded and drawn.
WATCH = """() => {
  window.times = [];
  addEventListener('keydown', (event) => {
    const stage = document.getElementById('stage'), before = stage.dataset.item;
    const look = async () => {
      const image = stage.querySelector('img');
      if (!image || stage.dataset.item === before) return requestAnimationFrame(look);
      await image.decode();
      requestAnimationFrame(() => setTimeout(() => window.times.push(performance.now() - event.timeStamp)));
    };
    setTimeout(look);
  }, true);
}"""


def make_photos(images: Path, folder: Path, n: int) -> None:
    """So many photos below folders of a thousand each."""
    files = random.Random(0).sample(sorted(images.glob("*/*")), N_PICTURES)
    pictures = []
    for file in files:
        data = io.BytesIO()
        Image.open(file).convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(data, "JPEG", quality=90)
        pictures.append(data.getvalue())
    for number in range(n):
        below = folder / f"{number // 1000:03d}"
        below.mkdir(parents=True, exist_ok=True)
        (below / f"{number:06d}.jpg").write_bytes(pictures[number % N_PICTURES] + number.to_bytes(8, "big"))


@contextmanager
def served(root: Path, project: Path, *arguments: str) -> Iterator[str]:
    """The page of a project; gives its address."""
    command = [sys.executable, "-m", "al_lightning.label", str(root), "--project", str(project), "--no-browser"]
    process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield next(line.partition(" ")[2].strip() for line in process.stdout if line.startswith("address:"))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(annotator.WAIT)


def opened(address: str) -> tuple[httpx.Client, int]:
    """Somebody who labels without a browser."""
    client = httpx.Client(base_url=address.partition("?")[0], timeout=annotator.WAIT)
    client.get(address, follow_redirects=True).raise_for_status()
    return client, client.post("/api/annotators", json={"name": "script"}).raise_for_status().json()["id"]


def to_first_image(folder: Path) -> float:
    """Seconds from the command to the first picture, of a project that is new."""
    with TemporaryDirectory(dir=folder.parent) as temporary:
        start = time.perf_counter()
        with served(folder, Path(temporary, "project"), "--classes", "cat,dog", "--embedding", "pixels") as address:
            client, who = opened(address)
            while not (items := client.get("/api/next", params={"annotator": who, "n": 1, "have": ""}).json()["items"]):
                pass
            client.get(items[0]["url"]).raise_for_status()
            return time.perf_counter() - start


def key_to_image(folder: Path) -> np.ndarray:
    """Milliseconds from each key to the next image, while the model learns, `[N_KEYS]`."""
    with TemporaryDirectory(dir=folder.parent) as temporary:
        small = ("--embedding", "pixels", "dataset.image_size=8")
        with served(folder, Path(temporary, "project"), "--classes", "cat,dog", *small) as address:
            client, _ = opened(address)
            annotator.when(client, lambda state: state["learner"]["phase"] == "waiting", patience=3600)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.goto(address)
                page.fill("#name", "Ann")
                page.keyboard.press("Enter")
                page.wait_for_selector("#stage img")
                found = pressed(page)
                browser.close()
                return found


def pressed(page: Page) -> np.ndarray:
    """Press keys at a steady pace."""
    page.wait_for_timeout(5000)
    page.evaluate(WATCH)
    for number in range(N_KEYS):
        page.keyboard.press("12"[number % 2])
        page.wait_for_timeout(PAUSE_MS)
    page.wait_for_timeout(2000)
    return np.array(page.evaluate("window.times"))


def refits(images: Path, weights: str, data: Path) -> list[float]:
    """Seconds of refits at `N_REFITTED` labels, over all images there are."""
    with TemporaryDirectory() as temporary:
        project = Path(temporary)
        store = Store(project / STORE, create=True)
        [*_] = scan(images, store, [])
        said = {"root": str(images), "embedding": "timm", "strategy": "margin", "seed": 0}
        typed = [f"paths.data={data}", *annotator.settings(weights)]
        (project / SETTINGS).write_text(json.dumps(said | {"overrides": typed}))
        prepared = prepare(project, store, print)
        names = sorted({Path(path).parent.name for path in store.files()})
        truth = {state.item: names.index(Path(path).parent.name) for path, state in store.files().items()}
        order = np.random.default_rng(0).permutation(len(prepared.items))[: N_REFITTED + 50]
        labels, refit = {int(at): truth[prepared.items[at]] for at in order}, Refitter(prepared.with_classes(names))
        found = []
        for n in range(N_REFITTED, N_REFITTED + 50, 5):  # as answers come
            learned = refit(n, dict([*labels.items()][:n]), torch.empty(0, dtype=torch.int64))
            found.append(learned.seconds)
        return found[1:]  # the first one chooses the weight decay, as one does whenever the labels have doubled


def labels_a_minute(images: Path, weights: str, data: Path) -> tuple[float, float, float]:
    """One by one, and in a grid, at the pauses of a person; and the share of a screen that is clicked out."""
    with TemporaryDirectory() as temporary:
        root = Path(temporary, "photos")
        truth = annotator.photos(images, root, seed=0)
        classes = sorted({*truth.values()})
        settings = ["--embedding", "timm", *annotator.settings(weights), f"paths.data={data}"]
        with served(root, Path(temporary, "project"), "--classes", ",".join(classes), *settings) as address:
            client, who = opened(address)
            state = annotator.when(client, lambda state: state["learner"]["phase"] == "waiting")
            number = {each["name"]: each["id"] for each in state["classes"]}

            def next_one() -> dict[str, Any]:
                return client.get("/api/next", params={"annotator": who, "n": 1, "have": ""}).json()["items"][0]

            def say(action: str, source: str, said: Sequence[tuple[dict[str, Any], str]]) -> int:
                answers = [{"item": each["item"], "kind": "label", "class": number[name]} for each, name in said]
                body = {"annotator": who, "action": action, "seconds": 1.0, "answers": answers, "source": source}
                return client.post("/api/answers", json=body).raise_for_status().json()["event"]

            last = 0
            for each in range(N_LABELED):
                item = next_one()
                last = say(f"before-{each:04d}", "page", [(item, truth[item["name"]])])
            annotator.when(client, lambda state: annotator.has_learned(state, last))
            start = time.perf_counter()
            for each in range(N_ONE_BY_ONE):
                item = next_one()
                time.sleep(NAME)
                say(f"one-{each:06d}", "page", [(item, truth[item["name"]])])
            one_by_one = 60 * N_ONE_BY_ONE / (time.perf_counter() - start)
            n_accepted, n_out, start = 0, 0, time.perf_counter()
            for each in range(SCREENS):
                name = classes[each % len(classes)]
                query = {"annotator": who, "class": number[name], "n": SCREEN}
                items = client.get("/api/grid", params=query).raise_for_status().json()["items"]
                right = [(item, name) for item in items if truth[item["name"]] == name]
                time.sleep(LOOK * len(items) + CLICK * (len(items) - len(right)) + ACCEPT)
                say(f"grid-{each:05d}", "grid", right)
                n_accepted, n_out = n_accepted + len(right), n_out + len(items) - len(right)
            in_grid = 60 * n_accepted / (time.perf_counter() - start)
            return one_by_one, in_grid, n_out / (n_out + n_accepted)


def main() -> None:
    """Measure, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="class folders of images")
    parser.add_argument("--weights", default="", help="of EfficientNet-Lite0; else they are downloaded")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where features are kept")
    parser.add_argument("--items", type=int, default=100_000)
    args = parser.parse_args()
    n_images = sum(1 for _ in args.images.glob("*/*"))
    times_of_refits = refits(args.images, args.weights, args.data.resolve())
    one_by_one, in_grid, share_out = labels_a_minute(args.images, args.weights, args.data.resolve())
    with TemporaryDirectory() as temporary:
        few, many = Path(temporary, "few"), Path(temporary, "many")
        make_photos(args.images, few, N_FIRST)
        first = [to_first_image(few) for _ in range(FIRST_RUNS)]
        make_photos(args.images, many, args.items)
        times = key_to_image(many)
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    write_section(
        "The labeling page",
        f"By `benchmarks/page.py`, on {re.sub(', torch .*', '', machine())}; server, learner and Chromium (drawing in "
        "software) share these cores.",
        "",
        f"- From a key to the next image on the screen, {args.items:,} photos of {SIZE[0]} x {SIZE[1]}, a key every "
        f"{PAUSE_MS} ms while the model learns, n = {len(times)}: median {p50:.0f} ms, 95% {p95:.0f} ms, 99% {p99:.0f} "
        f"ms, at most {times.max():.0f} ms.",
        f"- From the command to the first image, {N_FIRST:,} photos in a new project, n = {FIRST_RUNS}: median "
        f"{np.median(first):.1f} s, at most {max(first):.1f} s; the photos are in memory.",
        f"- A refit at {N_REFITTED:,} labels and {n_images:,} images x 1,280 features, from labels to the next query "
        f"and a prediction of every image, n = {len(times_of_refits)}: median {np.median(times_of_refits):.2f} s, "
        f"at most {max(times_of_refits):.2f} s.",
        f"- Labels a minute, by a script that waits as a person might ({NAME} s to see and name one image; {LOOK} s to "
        f"look at one of a screen, {CLICK} s to click one out, {ACCEPT} s to accept a screen of {SCREEN}): one by one "
        f"{one_by_one:.0f}, in a grid {in_grid:.0f}, {in_grid / one_by_one:.1f} times as many. CIFAR-10, model of "
        f"{N_LABELED} labels, the surest of each class; {share_out:.0%} were clicked out and stay open.",
    )


if __name__ == "__main__":
    main()
