"""The learner beside people: refits as answers come, and what it hands over is what its model says."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import al_lightning
from al_lightning.live.held_out import held_out
from al_lightning.live.loop import learn
from al_lightning.live.map import positions
from al_lightning.live.prepare import Prepared, prepare
from al_lightning.live.refit import QUEUE, Refitter
from al_lightning.people.records import LIVE, Given, Query
from al_lightning.people.scan import scan
from al_lightning.people.store import Store
from al_lightning.predict import main as predict

HUES = {"red": 0, "green": 85, "blue": 170}
N = 90


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Images of three colors, one of them broken; the name says the color."""
    root, rng = tmp_path / "photos", np.random.default_rng(0)
    root.mkdir()
    for number in range(N):
        name, hue = [*HUES.items()][number % 3]
        pixels = np.stack([np.full((8, 8), hue), rng.integers(100, 256, (8, 8)), rng.integers(100, 256, (8, 8))], 2)
        Image.fromarray(pixels.astype(np.uint8), "HSV").convert("RGB").save(root / f"{number:03d}-{name}.png")
    (root / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    return root


def project(photos: Path, name: str = "project", embedding: str = "pixels") -> tuple[Path, Store, dict[int, str]]:
    """A project with the classes red and green; the files by image."""
    folder = photos.parent / name
    (folder / "live").mkdir(parents=True)
    store = Store(folder / "labels.sqlite", create=True)
    [*_] = scan(photos, store, [str(folder)])
    said = {
        "root": str(photos),
        "embedding": embedding,
        "strategy": "margin",
        "seed": 3,
        "overrides": ["dataset.image_size=8"],
    }
    (folder / "settings.json").write_text(json.dumps(said))
    store.add_class("red")
    store.add_class("green")
    return folder, store, {state.item: path for path, state in store.files().items()}


def answer(store: Store, item: int, file: str, kind: str = "label") -> None:
    names = {name: number for number, name in store.classes().items()}
    label = names[file.partition("-")[2].removesuffix(".png")] if kind == "label" else None
    store.answer(store.add_annotator("ann"), f"{kind}-{item}", [Given(item, kind, label)], "page")


def labeled(folder: Path, store: Store, act: Callable[[Query], object], until: int) -> tuple[list[str], Prepared]:
    """Have somebody act once on every query, until so many have been; returns what was said."""
    said, seen = list[str](), 0
    prepared = prepare(folder, store, said.append)

    def is_over() -> bool:
        nonlocal seen
        new = [each for each in store.queries(seen) if each.asker == LIVE]
        for query in new:
            seen = query.id
            act(query)
        return len([each for each in store.queries() if each.asker == LIVE]) >= until

    learn(folder, store, prepared, said.append, is_over)
    return said, prepared


def test_what_is_handed_over_is_what_the_model_says(photos: Path) -> None:
    folder, store, files = project(photos)
    before: dict[int, set[int]] = {}

    def act(query: Query) -> None:
        done = {event.item for event in store.events()}
        before[query.id] = {item for item, _ in store.queried(query.id)}
        assert not before[query.id] & done  # nobody is asked for what is answered
        if query.n_labeled > 12:
            store.add_class("blue")
        by_color = [
            [item for item, _ in store.queried(query.id) if name in files[item]] for name in store.classes().values()
        ]
        taken = [item for some in zip(*by_color, strict=False) for item in some]
        for number, item in enumerate(taken[:6]):
            answer(store, item, files[item], "skip" if number == 4 else "unsure" if number == 5 else "label")

    said, prepared = labeled(folder, store, act, until=9)
    assert said[0] == "waiting" and {*said[1:]} == {"ready"}
    queries = store.queries()
    assert [query.strategy for query in queries] == ["typiclust", *["margin"] * 8]
    assert [query.n_labeled for query in queries] == [0, 4, 8, 12, 16, 20, 24, 28, 32]
    assert all(len(each) == min(QUEUE, N - 6 * number) for number, each in enumerate(before.values()))
    last = np.load(folder / "live" / f"predictions-{queries[-1].id}.npz")
    assert len(last["item"]) == N and (np.diff(last["item"]) > 0).all() and int(last["n_labeled"]) == 32
    names = store.classes()
    right = [names[int(first)] in files[int(item)] for item, first in zip(last["item"], last["first"], strict=True)]
    assert np.mean(right) > 0.95
    near = json.loads((folder / "live" / f"why-{queries[-1].id}.json").read_text())
    known = {event.item for event in store.events() if event.kind == "label"}
    assert {int(item) for item in near} == before[queries[-1].id]
    assert all({other for other, _ in rows} <= known and len(rows) == 5 for rows in near.values())
    assert "broken.png" in {path for path, _ in prepared.data.rejected}


def test_the_last_model_is_that_of_a_run(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, store, files = project(photos, embedding="patches")
    assert predict([str(folder), str(photos)]) == 1 and "has no model yet" in capsys.readouterr().err
    store.add_class("blue")

    def act(query: Query) -> None:
        if query.n_labeled < 36:
            store.add_draws([(item, None, None, None, None) for item, _ in store.queried(query.id)[:12]])
            for item, _ in store.queried(query.id)[:12]:
                answer(store, item, files[item])

    def is_over() -> bool:
        for query in store.queries(len(seen)):
            seen.append(query)
            act(query)
        return (folder / "live" / "doubtful.json").exists()

    seen: list[Query] = []
    learn(folder, store, prepare(folder, store, print), lambda _: None, is_over)
    query = store.queries()[-1]
    trained = al_lightning.load(folder / "model")
    assert trained.classes == ("red", "green", "blue") and query.n_labeled == 36 and trained.temperature is not None
    last = np.load(folder / "live" / f"predictions-{query.id}.npz")
    images = torch.stack([trained.transform(photos / files[int(item)]) for item in last["item"]])
    with torch.inference_mode():
        probability, first = trained.model(images).softmax(1).max(1)
    assert first.tolist() == (last["first"] - 1).tolist()
    np.testing.assert_allclose(probability.numpy(), last["probability"], atol=2e-3)  # features are in half precision
    assert predict([str(folder), str(photos), "--out", str(tmp_path / "out.csv")]) == 0
    rows = [line.split(",") for line in (tmp_path / "out.csv").read_text().splitlines()]
    assert len(rows) == N + 2 and all(name in file for file, name, *_ in rows[1 : N + 1])
    assert rows[-1][0].endswith("broken.png") and rows[-1][1] == "" and rows[-1][-1]
    # What computes the features lies in the project, wherever that goes.
    moved = al_lightning.load(folder.rename(tmp_path / "elsewhere") / "model")
    with torch.inference_mode():
        assert torch.equal(moved.model(images), trained.model(images))


def test_the_same_answers_lead_to_the_same_queries(photos: Path) -> None:
    asked = []
    for name in ("one", "other"):
        folder, store, files = project(photos, name)
        store.add_class("blue")

        def act(query: Query, store: Store = store, files: dict[int, str] = files) -> None:
            for item, _ in store.queried(query.id)[:6]:
                answer(store, item, files[item])

        labeled(folder, store, act, until=4)
        asked.append([store.queried(query.id) for query in store.queries()])
    assert asked[0] == asked[1]


def test_a_wrong_label_is_doubtful_and_held_out_heads_are_calibrated(photos: Path) -> None:
    folder, store, files = project(photos)
    store.add_class("blue")
    prepared = prepare(folder, store, print).with_classes([*store.classes().values()])
    at = {files[item]: place for place, item in enumerate(prepared.items) if item}
    labels = {place: [*HUES].index(file[4:-4]) for file, place in at.items()}
    wrong = at["003-red.png"]
    labels[wrong] = 2
    learned = Refitter(prepared)(0, labels, torch.empty(0, dtype=torch.int64))
    assert learned.query is None  # there is nothing left to ask for
    found = held_out(learned, seed=0)
    assert found is not None and found.calibration(range(N)) is not None and found.calibration(()) is None
    assert [(place, label, other) for place, label, other, _ in found.doubtful()] == [(wrong, 2, 0)]


def test_a_map_has_a_place_for_every_image(photos: Path) -> None:
    folder, store, _ = project(photos)
    embedding = prepare(folder, store, print).data.embedding
    assert embedding is not None
    at, points = positions(embedding, 0)
    assert at.tolist() == [*range(N)] and points.min() == 0 and points.max() == 1
    near = np.linalg.norm(points[:, None] - points[None], axis=2).argsort(1)[:, 1]
    rows = embedding.pool.float().numpy()
    hue = np.array([int(row.reshape(3, -1).mean(1).argmax()) for row in rows])
    assert np.mean(hue[near] == hue) > 0.9


def test_weights_that_cannot_be_had_are_said_and_others_taken(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read at its import
    monkeypatch.setenv("HF_HOME", str(photos.parent / "empty"))
    folder, store, _ = project(photos)
    said = json.loads((folder / "settings.json").read_text()) | {
        "embedding": None,
        "overrides": [],
    }
    (folder / "settings.json").write_text(json.dumps(said))
    notes: list[str] = []
    prepared = prepare(folder, store, notes.append)
    assert prepared.settings["embedding"]["name"] in ("patches", "pixels")
    assert any("timm cannot be had" in note for note in notes)
