"""The server of a labeling project, through HTTP: answers, servers that die, several people, what the learner says."""

import json
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx
import numpy as np
import pytest
from label_servers import Client, add_live_query, command, environment, photos_in, serving, write_predictions

from al_lightning.people.store import Store

CLASSES = ("--classes", "cat,dog")


def test_answers_and_their_undoing(tmp_path: Path) -> None:
    photos = photos_in(tmp_path, 12)
    with serving(photos, *CLASSES, "--random-share", "0", "--price", "0.5") as (address, _):
        ann = Client(address)
        ann.state_when(lambda state: state["n_items"] == 12 and state["scanning"] is None)
        first, second, third, fourth = (each["item"] for each in ann.next(4))
        said = ann.answer(first, 1)
        assert said["state"]["classes"] == [{"id": 1, "name": "cat", "n": 1}, {"id": 2, "name": "dog", "n": 0}]
        ann.answer(second, "skip", "grid")
        ann.answer(third, "unsure", "map")
        flagged = ann.answer(third, "flag")
        # The same key press, sent twice, is one; another one is not taken for it.
        assert ann.answer(first, 1, action=said["action"])["event"] == said["event"]
        with pytest.raises(AssertionError, match="its id is that of another answer"):
            ann.answer(second, 2, action=said["action"])
        numbers = ("n_labeled", "n_skipped", "n_unsure", "n_flagged", "n_open", "spent")
        assert [ann.get("state")[key] for key in numbers] == [1, 1, 1, 1, 9, 1.5]
        # Backspace goes back over all of it, whatever was answered where; somebody else's answers stay.
        bob = Client(address, "Bob")
        bob.answer(fourth, 2)
        back = [ann.undo() for _ in range(5)]
        assert back[0]["undone"] == flagged["action"]
        assert [[item["item"] for item in each["items"]] for each in back] == [[third], [third], [second], [first], []]
        assert back[-1]["undone"] is None
        assert [back[-1]["state"][key] for key in numbers] == [1, 0, 0, 0, 11, 0.5]
        # What was undone is open on Ann's page again: Bob does not get it.
        assert not {first, second, third} & {each["item"] for each in bob.next(12)}
        chosen = ann.answer(first, 2)["action"]
        ann.answer(second, 2)
        assert ann.undo(chosen)["items"][0]["item"] == first
        seen = ann.get("labeled")["items"]
        assert [(each["item"], each["label"], each["by"]) for each in seen] == [(second, 2, "Ann"), (fourth, 2, "Bob")]
        assert [each["item"] for each in ann.get("labeled", before=seen[0]["event"])["items"]] == [fourth]
        # Another class of the same image is a disagreement, which a review decides.
        bob.answer(second, 1)
        (disputed,) = ann.get("review")["items"]
        assert {(each["annotator"], each["class"]) for each in disputed["answers"]} == {("Ann", 2), ("Bob", 1)}
        assert ann.answer(second, 1, "review")["state"]["n_disputed"] == 0
        before = ann.state_when(lambda state: state["kappa_n"] == 1)
    with serving(photos, ends_with=signal.SIGINT) as (address, _):
        after = Client(address).state_when(lambda state: state["scanning"] is None and state["kappa_n"] == 1)
    assert {key: after[key] for key in after if key != "learner"} == {
        key: before[key] for key in before if key != "learner"
    }


def test_no_acknowledged_answer_is_lost(tmp_path: Path) -> None:
    """Two clients answer as fast as they can while the server is killed, ten times."""
    photos, rng = photos_in(tmp_path, 4), np.random.default_rng(0)
    acknowledged: dict[str, tuple[int, str]] = {}
    for attempt in range(10):
        enough, wanted = Event(), len(acknowledged) + int(rng.integers(1, 30))

        def answer(client: Client, prefix: str, enough: Event = enough, wanted: int = wanted) -> None:
            for number in range(10_000):
                item, kind = number % 4 + 1, ("skip", "unsure", "flag", "unflag")[number % 3]
                action = f"{prefix}-{number:08}"
                try:
                    client.answer(item, kind, action=action)
                except httpx.TransportError:
                    return
                acknowledged[action] = item, kind
                if len(acknowledged) >= wanted:
                    enough.set()

        with serving(photos, *CLASSES, ends_with=signal.SIGKILL) as (address, process), ThreadPoolExecutor(2) as pool:
            for client in [Client(address, name) for name in ("Ann", "Bob")]:
                pool.submit(answer, client, f"{attempt}-{client.id}")
            assert enough.wait(60)
            process.kill()
    store = Store(photos.with_name("photos-labels") / "labels.sqlite")
    kept = {each.action: (each.item, each.kind) for each in store.events()}
    assert len(acknowledged) > 50
    assert {action: kept.get(action) for action in acknowledged} == acknowledged
    assert len(store.events()) == len(kept)


def test_nobody_gets_what_another_has(tmp_path: Path) -> None:
    photos = photos_in(tmp_path, 40)
    with serving(photos, *CLASSES, "--random-share", "0.4") as (address, _):
        clients = [Client(address, name) for name in ("Ann", "Bob", "Cy")]
        clients[0].state_when(lambda state: state["n_items"] == 40)

        def work(client: Client) -> list[int]:
            page, seen = list[int](), list[int]()
            while True:
                found = client.get("next", annotator=client.id, n=5 - len(page), have=",".join(map(str, page)))
                page += [each["item"] for each in found["items"]]
                if not page and found["done"]:
                    return seen
                if page:
                    seen.append(page[0])
                    client.answer(page.pop(0), 1 + len(seen) % 2)

        with ThreadPoolExecutor(3) as pool:
            seen = [*pool.map(work, clients)]
        assert sorted(item for each in seen for item in each) == [*range(1, 41)]
        assert all(seen)
        assert clients[0].get("state")["n_labeled"] == 40


def test_what_the_learner_and_a_run_hand_over(tmp_path: Path) -> None:
    photos = photos_in(tmp_path, 12)
    project = photos.with_name("photos-labels")
    with serving(photos, *CLASSES, "--random-share", "0") as (address, _):
        ann = Client(address)
        state = ann.state_when(lambda state: state["n_items"] == 12 and state["learner"]["phase"] == "failed")
        assert "al_lightning.live" in state["learner"]["message"]
        assert (state["model"], state["ordered_by"]) == (None, "random")
        assert {each["kind"] for each in ann.next(2)} == {"stored"}
        labeled, held = (each["item"] for each in ann.next(2))
        ann.answer(labeled, 1)
        rest = [item for item in range(1, 13) if item not in (labeled, held)]
        store, live = Store(project / "labels.sqlite"), project / "live"
        query = add_live_query(store, rest[5:9])
        (live / f"why-{query}.json").write_text(json.dumps({rest[5]: [[labeled, 0.75]]}), encoding="utf-8")
        write_predictions(live, query, {item: (1 + item % 2, 0.5 + item / 30) for item in range(1, 13)})
        (live / "doubtful.json").write_text(json.dumps({"event": 1, "items": [[labeled, 1, 2, 0.1]]}), encoding="utf-8")
        np.savez(live / "map.npz", item=np.array([1, 2, 99]), xy=np.array([[0, 0.5], [0.25, 1], [0, 0]], np.float32))
        state = ann.state_when(lambda state: state["model"])
        assert state["model"] == {"query": query, "n_labeled": 10, "event": 0}
        assert state["ordered_by"] == "strategy"

        bob = Client(address, "Bob")
        first, *_ = ranked = bob.next(4)
        assert [each["item"] for each in ranked] == rest[5:9]
        (why,) = first["why"]
        assert (why["item"], why["class"], why["similarity"], first["score"]) == (labeled, 1, 0.75, 1.0)
        had = f"{first['item']},{held},99"
        assert bob.get("next", annotator=bob.id, n=1, have=had)["lost"] == [held, 99]
        guess = first["guess"]
        assert guess["class"] == 1 + first["item"] % 2 == 3 - guess["second"]
        assert guess["probability"] == pytest.approx(0.5 + first["item"] / 30)

        grid = bob.get("grid", annotator=bob.id, n=2, **{"class": 2})
        shown = [each["item"] for each in grid["items"]]
        assert shown == sorted(shown, reverse=True)
        assert all(item % 2 for item in shown)
        (doubted,) = bob.get("doubtful")["items"]
        assert (doubted["item"], doubted["label"], doubted["suggested"]) == (labeled, 1, 2)
        bob.answer(labeled, 1, "doubtful")
        assert bob.get("doubtful") == {"items": [], "left": 0}
        on_map = bob.get("map")
        assert (on_map["items"], on_map["x"], on_map["y"]) == ([1, 2], [0, 0.25], [0.5, 1])
        assert on_map["predicted"] == [2, 1]

        row = {
            "asker": "runs/a",
            "round": 0,
            "strategy": "bald",
            "seed": 0,
            "event": 0,
            "n_labeled": 0,
            "seconds": None,
        }
        open_now = [
            item for item in rest if item not in {each["item"] for each in ann.next(1) + ranked + grid["items"]}
        ]
        store.add_query(row, open_now[:1])
        write_predictions(live, later := add_live_query(store, rest[5:9]), dict.fromkeys(range(1, 13), (1, 0.9)))
        ann.state_when(lambda state: state["model"]["query"] == later)  # then that of before has been seen, too
        (found,) = Client(address, "Cy").next(1)
        assert (found["kind"], found["item"]) == ("asked", open_now[0])


def test_going_on_says_what_changes(tmp_path: Path) -> None:
    photos = photos_in(tmp_path, 2)
    limits = [*("--embedding", "patches"), *("--budget", "9"), *("--worth", "2")]
    with serving(photos, "--classes", "cat", "--twice", "0.25", *limits) as (address, process):
        ann = Client(address)
        ann.answer(1, ann.post("classes", name=" <script>alert(1)</script> ")["id"])
        twice = subprocess.run(command(photos), env=environment(tmp_path), capture_output=True, text=True)
        assert (twice.returncode, twice.stdout) == (1, "")
        assert twice.stderr.startswith("error: ") and twice.stderr.count("\n") == 1
        assert f"process {process.pid} on " in twice.stderr
        assert ann.get("state")["classes"][1]["name"] == "<script>alert(1)</script>"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "of another.png").write_bytes((photos / "000.png").read_bytes())
    wrong = [*command(tmp_path / "other", "--no-browser", "--project", tmp_path / "photos-labels")]
    ended = subprocess.run(wrong, env=environment(tmp_path), capture_output=True, text=True)
    assert ended.returncode == 1 and "none of its 2 files is in" in ended.stderr
    moved = photos.rename(tmp_path / "elsewhere")
    again = [*command(moved, "--no-browser", "--project", tmp_path / "photos-labels"), "--price", "2", "seed=3"]
    again += [*("--embedding", "none"), *("--budget", "none"), *("--worth", "none")]
    with subprocess.Popen(again, env=environment(tmp_path), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = [
            line.rstrip() for line in iter(process.stdout.readline, "") if "address" not in line or process.terminate()
        ]
    assert process.returncode == 0
    assert {each for each in lines if each.startswith("changed")} == {
        f"changed: root: {photos} -> {moved}",
        "changed: price: 1.0 -> 2.0",
        "changed: overrides:  -> seed=3",
        "changed: embedding: patches -> none",
        "changed: budget: 9 -> none",
        "changed: worth: 2.0 -> none",
    }
    assert "labels: 1 of 2 classes: cat, <script>alert(1)</script>" in lines
