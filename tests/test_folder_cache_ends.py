"""The cache of decoded images where it cannot be had, in several processes, and after ends that nobody planned."""

import fcntl
import os
import pty
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest
from bad_images import unprivileged
from conftest import Command
from image_cache import assert_same, draw, kept, load, make_root, watch_decoding
from rich.progress import Progress, TaskID

from al_lightning.data import decode as decode_module
from al_lightning.data import decode_all as module
from al_lightning.data import threads
from al_lightning.data.cache_folder import MANIFEST
from al_lightning.data.folder import folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    return watch_decoding(monkeypatch)


# --- it cannot be had -----------------------------------------------------------------------------------------------


@contextmanager
def read_only(cache: Path) -> Iterator[None]:
    cache.mkdir()
    cache.chmod(0o555)
    with unprivileged():
        yield


@contextmanager
def below_a_file(cache: Path) -> Iterator[None]:
    cache.touch()
    yield


@contextmanager
def full(cache: Path) -> Iterator[None]:
    """No file may be larger than 5,000 bytes: the lock can be had, the images cannot."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("state", "why"), [(read_only, "Permission denied"), (below_a_file, "Not a directory"), (full, "File too large")]
)
def test_without_a_place_to_write_the_images_are_decoded_in_memory(
    state: Callable[[Path], AbstractContextManager[None]], why: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = root.parent / "cache"
    with state(cache):
        data = load(root)
    assert_same(data, load(root, cache=False))
    assert capsys.readouterr().err == (
        f"warning: dataset.cache={cache}: cannot be used: {why}; images are decoded in memory\n"
    )
    assert [file.name for file in cache.rglob("*") if file.is_file()] in ([], [".lock"])


def test_a_complete_cache_is_used_where_nothing_can_be_written(
    root: Path, decoded: list[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = load(root)
    kept(root).chmod(0o555)
    kept(root).parent.chmod(0o555)
    decoded.clear()
    capsys.readouterr()
    with unprivileged():
        assert_same(load(root), expected)
    assert not decoded
    assert capsys.readouterr().err == ""


# --- several, and ends that nobody planned ----------------------------------------------------------------------------


def test_the_second_of_two_waits_and_decodes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting, begun, calls, real = threading.Event(), threading.Event(), [], fcntl.flock

    def flock(handle: int, operation: int) -> None:
        if operation == fcntl.LOCK_EX:
            waiting.set()
        real(handle, operation)

    def decode(*arguments):
        calls.append(arguments)
        begun.set()
        if not waiting.wait(20):
            waiting.set()
            raise ValueError("nobody waits")
        return decode_module.decode(*arguments)

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.setattr(module, "decode", decode)
    with ThreadPoolExecutor(2) as executor:
        first = executor.submit(load, root)
        assert begun.wait(60)
        second = executor.submit(load, root)
        assert_same(first.result(), second.result())
    assert len(calls) == 40
    assert first.result().rejected == ()
    assert f"waiting for another process that decodes {root}" in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("chunk", [1, 20])
def test_an_interrupt_does_not_wait_for_what_is_left(chunk: int, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, released, calls, waited = threading.Event(), threading.Event(), [], []

    def decode(*arguments):
        calls.append(arguments)
        if len(calls) > chunk:
            begun.set()
            waited.append(released.wait(20))
        return decode_module.decode(*arguments)

    def interrupt(progress: Progress, task: TaskID, **unused: object) -> None:
        if progress.tasks[task].description == "decode images":  # it comes with the first chunk
            begun.wait(20)
            raise KeyboardInterrupt

    monkeypatch.setattr(threads, "CHUNK", chunk)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    monkeypatch.setattr(module, "decode", decode)
    monkeypatch.setattr(Progress, "update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load(root)
    released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("images"):
            thread.join()
    assert len(calls) == chunk + 1
    assert all(waited), "the interrupt came out only when the call that ran had ended"
    assert [file.name for file in kept(root).iterdir()] == [".lock"]
    monkeypatch.undo()
    assert_same(load(root), load(root, cache=False))


KILLED = """
import os, shutil, signal, sys
from al_lightning.data import decode_all
from al_lightning.data.folder import folder

def dying(function, calls):
    def call(*arguments):
        call.left -= 1
        if not call.left:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    call.left = calls
    return call

root, kept = sys.argv[1:]
for point in range(5):
    shutil.copytree(kept, f"{kept}-{point}")
    child = os.fork()
    if not child:
        if point:
            os.fsync = dying(os.fsync, point)  # of the images, of the folder, of the manifest, of the folder
        else:
            decode_all.decode = dying(decode_all.decode, 3)
        folder(root, [8, 6], 3, 0.25, 0, f"{kept}-{point}")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, point
"""


def test_a_process_may_die_at_any_point(
    root: Path, decoded: list[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    load(root)
    for number in range(5):
        draw(root / "a" / f"new{number}.png", 100 + number)
    (root / "b" / "00.png").unlink()
    line = [sys.executable, "-c", KILLED, str(root), str(tmp_path / "cache")]
    subprocess.run(line, cwd=Path(__file__).parents[1], check=True, capture_output=True, timeout=300)
    expected = load(root, cache=False)
    for point in range(5):
        cache = tmp_path / f"cache-{point}"
        assert_same(folder(str(root), [8, 6], 3, 0.25, 0, str(cache)), expected)
        decoded.clear()
        assert_same(folder(str(root), [8, 6], 3, 0.25, 0, str(cache)), expected)
        assert not decoded
        assert sorted(file.name for file in cache.glob("*/*")) == [".lock", "images.npy", MANIFEST]
    assert "damaged" not in capsys.readouterr().err


# --- what is said -----------------------------------------------------------------------------------------------------


def test_a_terminal_shows_a_bar_and_no_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        with suppress(OSError):  # how the other end of a terminal says that it is closed
            while data := os.read(ours, 4096):
                shown.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        load(root)
        monkeypatch.undo()
    reader.join()
    os.close(ours)
    text = b"".join(shown).decode()
    assert "decode images" in text
    assert "40/40" in text
    assert "decoded 40 images" not in text


def test_the_jobs_of_a_sweep_decode_once_and_the_runs_have_one_name(command: Command, root: Path) -> None:
    arguments = ("--multirun", "dataset=folder", f"dataset.root={root}", "dataset.image_size=8", "al.initial_size=8")
    ended = command(*arguments, "al.query_size=2", "al.rounds=0", "seed=0,1")
    assert ended.code == 0, ended.err
    assert [line for line in ended.err.splitlines() if "decoded" in line] == [
        f"decoded 40 images of {root} into data/folder-cache/{kept(root).name.replace('8x6', '8x8')}"
    ]
    elsewhere = command(
        *arguments, "al.query_size=2", "al.rounds=0", "seed=0", f"dataset.cache={root.parent / 'other'}"
    )
    assert "skipped" in elsewhere.out
    assert len(list(Path("multirun_outputs/default").glob("folder-*"))) == 2
