"""What goes on beside the requests: a learner that crashes, work that goes wrong, a browser that is opened."""

import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
from label_servers import Client, add_live_query, command, environment, photos_in, serving, store_of, write_predictions
from playwright.sync_api import Browser

from al_lightning.label.desk import Desk
from al_lightning.label.learner import MOST_STARTS
from al_lightning.label.scanning import Scanning
from al_lightning.people.store import STORE, Store

CLASSES = ("--classes", "cat,dog")
CRASHING = """
import sys
from pathlib import Path
from al_lightning.people.store import STORE, Store
project, server = sys.argv[1:]
with (Path(project) / "starts").open("a") as file:
    print(server, file=file)
row = {"asker": "live", "round": None, "strategy": "margin", "seed": 0, "event": 0, "n_labeled": 0, "seconds": 0.1}
Store(Path(project) / STORE).add_query(row, [1])
sys.exit("out of order")
"""

STOPPED = """
import os, sys
class Stopped:
    def find_spec(name, path=None, target=None):
        if name.endswith({library!r}):
            os.kill(os.getpid(), {number})
sys.meta_path.insert(0, Stopped)
"""


def test_a_learner_that_always_crashes_is_given_up(tmp_path: Path) -> None:
    """Also one that asks before it does; it is told whose process it works for."""
    starts = tmp_path / "photos-labels" / "starts"

    def started() -> list[str]:
        return starts.read_text().split() if starts.exists() else []

    with serving(photos_in(tmp_path, 2), *CLASSES, learner=CRASHING) as (address, process):
        state = Client(address).state_when(
            lambda state: state["learner"]["phase"] == "failed" or len(started()) > 2 * MOST_STARTS
        )
        assert "with exit code 1: out of order" in state["learner"]["message"]
        assert started() == [str(process.pid)] * MOST_STARTS


def test_work_that_goes_wrong_is_said_once_and_goes_on(tmp_path: Path) -> None:
    photos = photos_in(tmp_path, 2)
    live = tmp_path / "photos-labels" / "live"
    with serving(photos, *CLASSES) as (address, _):
        ann = Client(address)
        store = Store(live.parent / STORE)
        (live / f"why-{add_live_query(store, [2, 1])}.json").write_text('{"cat": []}', encoding="utf-8")
        (problem,) = ann.state_when(lambda state: state["problems"])["problems"]
        assert problem.startswith("what the learner says cannot be brought up to date: ")
        assert ann.next(2)
    # Also at the start, until there is something that can be read.
    with serving(photos) as (address, _):
        ann = Client(address)
        assert ann.get("state")["problems"] == [problem]
        write_predictions(live, add_live_query(store, [2, 1]), {1: (1, 0.9), 2: (2, 0.8)})
        assert ann.state_when(lambda state: state["model"])["problems"] == []
    said = (tmp_path / "server.err").read_text(encoding="utf-8")
    assert said.count("error: ValueError: ") == said.count("Traceback") == 2


def test_a_scan_that_goes_wrong_ends_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def steps() -> Iterator[tuple[int, int]]:
        yield 1, 2
        raise OSError("the disk is gone")

    store, ended = store_of(tmp_path, 2), Event()
    desk = Desk(store, 0.0, 0)
    scanning = Scanning(steps(), Store(store.path), desk, 2, ended.set)
    scanning.start()
    assert ended.wait(60)
    assert (scanning.done, len(desk.files)) == (None, 2)
    assert scanning.problem == "the folder was not looked through to its end: OSError: the disk is gone"
    assert "error: OSError: the disk is gone" in capsys.readouterr().err


def test_a_browser_is_called_without_the_token(tmp_path: Path, browser: Browser) -> None:
    """Who lists the processes of the machine does not see it; the page opens all the same."""
    program, called = tmp_path / "browser", tmp_path / "called"
    program.write_text(f'#!/bin/sh\necho "$@" > {called}\n', encoding="utf-8")
    program.chmod(0o700)
    with serving(photos_in(tmp_path, 2), *CLASSES, browser=program) as (address, _):
        while not called.exists() or not (asked := called.read_text().strip()):
            pass
        file = tmp_path / "photos-labels" / "live" / "open.html"
        assert (asked, file.stat().st_mode & 0o777) == (file.as_uri(), 0o600)
        page = browser.new_page()
        page.goto(asked)
        page.wait_for_selector("#ask-name[open]")
        assert page.url == address.partition("?")[0]
        page.close()


@pytest.mark.parametrize("library", ["starlette", "uvicorn", "cleanlab"])
def test_without_the_extra(tmp_path: Path, library: str) -> None:
    own = environment(tmp_path)
    (tmp_path / "without" / "sitecustomize.py").write_text(f"import sys\nsys.modules[{library!r}] = None\n")
    done = subprocess.run(command(photos_in(tmp_path, 1)), env=own, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        f"error: {library}: not installed: pip install 'al-lightning[label]'\n",
    )


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("library", ["argparse", "numpy", "uvicorn", "_highspy._core"])
def test_a_server_that_is_stopped_before_it_serves(tmp_path: Path, library: str, asked: signal.Signals) -> None:
    """While it imports, also libraries in C, which make another error of what is raised in them."""
    own = environment(tmp_path)
    (tmp_path / "without" / "sitecustomize.py").write_text(STOPPED.format(library=library, number=int(asked)))
    done = subprocess.run(
        command(photos_in(tmp_path, 1), "--no-browser"), env=own, capture_output=True, text=True, check=False
    )
    said = f"stopped by {asked.name}; the same command goes on\n"
    assert (done.returncode, done.stdout, done.stderr) == (128 + asked, "", said)
    assert not (tmp_path / "photos-labels").exists()


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_server_that_is_stopped_in_a_request(tmp_path: Path, asked: signal.Signals) -> None:
    with serving(photos_in(tmp_path, 1), *CLASSES, ends_with=asked) as (address, process):
        client = Client(address)
        half = b'{"name": "a'
        with socket.create_connection((client.http.base_url.host, client.http.base_url.port or 0)) as sent:
            head = client.http.build_request("POST", "/api/classes", json={"name": "a cat"})
            lines = [f"POST {head.url.path} HTTP/1.1", *(f"{key}: {value}" for key, value in head.headers.items())]
            sent.sendall("\r\n".join([*lines, "", ""]).encode() + half)
            client.get("state")  # by then it is read
            process.send_signal(asked)
            answer = sent.recv(4096)
    assert answer.startswith(b"HTTP/1.1 503 ")
    said = (tmp_path / "server.err").read_text(encoding="utf-8").splitlines()
    assert [each for each in said if not each.startswith("error: the learner has ended")] == []
