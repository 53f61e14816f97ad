"""Whose fault it is that a file cannot be read: the machine's stops the run, the file's leaves the file out."""

import errno
import os
import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from bad_images import IMAGE, NOISE, saved, unprivileged
from conftest import Command
from image_cache import assert_same, kept, load, make_root, watch_decoding

from al_lightning.data import decode as decode_module
from al_lightning.data import decode_all, look
from al_lightning.data.decode_all import COMPLAINT
from al_lightning.errors import DataError

STOPS = r"{} of 40 files cannot be read now, the first of them {}: {}\. The machine is at fault"
CACHES = pytest.mark.parametrize("cache", [True, False], ids=["cache", "memory"])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path)


@CACHES
def test_files_without_permission_stop_the_run(cache: bool, root: Path) -> None:
    for number in range(15):
        (root / "b" / f"{number:02}.png").chmod(0)
    with unprivileged(), pytest.raises(DataError, match=STOPS.format(15, "b/00.png", "Permission denied")):
        load(root, cache)
    for number in range(15):
        (root / "b" / f"{number:02}.png").chmod(0o644)
    assert load(root, cache).rejected == ()


@CACHES
@pytest.mark.parametrize("error", [errno.EIO, errno.ESTALE, errno.ENETDOWN, errno.EMFILE, errno.ENOENT])
@pytest.mark.parametrize("place", [look, decode_all])
def test_a_file_that_the_machine_fails_to_read_stops_the_run(
    place: object, error: int, cache: bool, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is read, when it is hashed, or when it is decoded; what the others came to is kept."""

    def open_at(path: Path) -> BytesIO:
        if path.name == "07.png":
            raise OSError(error, os.strerror(error))
        return opened(path)

    opened: Callable = look.open_at
    monkeypatch.setattr(place, "open_at", open_at)
    with pytest.raises(DataError, match=STOPS.format(2, "a/07.png", os.strerror(error))):
        load(root, cache)
    monkeypatch.undo()
    decoded = watch_decoding(monkeypatch)
    assert load(root, cache).rejected == ()
    assert len(decoded) == (2 if cache else 40)


@CACHES
@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), MemoryError("no memory")])
def test_what_the_machine_fails_to_decode_stops_the_run(
    error: Exception, cache: bool, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (root / "a" / "00.png").read_bytes()

    def decode(data: bytes, *arguments):
        if data == content:
            raise error
        return decode_module.decode(data, *arguments)

    monkeypatch.setattr(decode_all, "decode", decode)
    with pytest.raises(DataError, match=f"1 of 40 files .* a/00.png: .*{error.args[-1]}"):
        load(root, cache)
    monkeypatch.undo()
    assert load(root, cache).rejected == ()


@CACHES
@pytest.mark.parametrize("goes", [True, False])
def test_a_file_that_changes_or_goes_while_it_is_read_stops_the_run(
    goes: bool, cache: bool, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, opened = root / "a" / "00.png", look.open_at

    def open_at(path: Path):
        if path == file and goes:
            file.unlink(missing_ok=True)
        elif path == file:
            file.write_bytes(file.read_bytes() + b"more")
        return opened(path)

    monkeypatch.setattr(decode_all, "open_at", open_at)
    why = "No such file or directory" if goes else "it changed while it was read"
    with pytest.raises(DataError, match=f"1 of 40 files .* a/00.png: {why}"):
        load(root, cache)
    monkeypatch.undo()
    assert load(root, cache).rejected == ()


def test_a_fault_of_the_file_leaves_it_out(root: Path) -> None:
    (root / "a" / "00.png").write_bytes(b"hello")
    (root / "a" / "01.png").write_bytes(saved(NOISE, ".png")[:2000])
    os.mkfifo(root / "b" / "pipe.png")
    assert [path for path, _ in load(root).rejected] == ["a/00.png", "a/01.png", "b/pipe.png"]


def test_a_run_ends_with_one_line_and_goes_on_when_the_files_are_there(command: Command, tmp_path: Path) -> None:
    root = make_root(tmp_path)
    settings = ("dataset=folder", f"dataset.root={root}", "dataset.image_size=8", "al.initial_size=4")
    (root / "a" / "00.png").chmod(0)
    with unprivileged():
        ended = command(*settings, "al.query_size=2", "al.rounds=1")
    assert ended.code == 1
    (line,) = [line for line in ended.err.splitlines() if line.startswith("error:")]
    assert "1 of 40 files cannot be read now, the first of them a/00.png: Permission denied" in line
    (root / "a" / "00.png").chmod(0o644)
    assert command(*settings, "al.query_size=2", "al.rounds=1").code == 0


# --- what libraries say ----------------------------------------------------------------------------------------------


def broken_tiff(n_bytes: int = 9000) -> bytes:
    """Libtiff itself writes a line to standard error when it reads this."""
    tifffile = pytest.importorskip("tifffile")
    buffer = BytesIO()
    tifffile.imwrite(buffer, np.asarray(NOISE), photometric="rgb", compression="zlib")
    return buffer.getvalue()[:n_bytes]


def test_no_line_of_a_library_reaches_the_screen_and_the_reason_has_it(
    root: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = broken_tiff(100_000)
    for number in range(20):
        data = bytearray(whole)
        data[4000 + number] ^= 0xFF
        (root / "a" / f"{number:02}.tif").write_bytes(data)
    data = load(root)
    assert "Decode" not in capfd.readouterr().err
    reasons = dict(data.rejected)
    assert len(reasons) == 20
    assert all("cannot be decoded: decoder error -2 (ZIPDecode: Decoding error" in each for each in reasons.values())
    load(root)
    assert capfd.readouterr().err == ""


def test_what_a_library_says_of_a_good_file_is_told_once_with_its_name(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The libraries at hand complain of nothing that they can read: one that does is put in their place."""
    odd = {(root / "a" / f"{number:02}.png").read_bytes() for number in (3, 5, 8)}

    def decode(data: bytes, *arguments):
        if data in odd:
            os.write(2, b"TIFFReadDirectory: Warning,\n unknown field.\n")
            warnings.warn("and Python, too", stacklevel=1)
        return decode_module.decode(data, *arguments)

    plain = load(root, cache=False)
    monkeypatch.setattr(decode_all, "decode", decode)
    for cache in (True, True, False):
        capfd.readouterr()
        assert_same(load(root, cache), plain)
        lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("decoded")]
        said = f"a/03.png {COMPLAINT}: TIFFReadDirectory: Warning, unknown field., and so with 2 more"
        assert lines == [f"warning: {root}: {said}"]


def test_an_image_in_the_cache_has_its_notes(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("x", "y"):
        pixels = np.dstack([np.asarray(IMAGE) + np.uint8(name == "y"), np.zeros((8, 6), np.uint8)])
        (root / "b" / f"{name}.png").write_bytes(saved(pixels, ".png"))
    for _ in range(2):
        load(root)
        (warning,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
        assert warning.startswith(f"warning: {root}: b/x.png is transparent everywhere")
        assert warning.endswith(", and so with 1 more")
    assert (kept(root) / "images.npy").exists()


def test_standard_error_is_set_back_and_may_be_closed(root: Path) -> None:
    before = os.fstat(2)
    load(root)
    assert os.path.samestat(os.fstat(2), before)
    screen = os.dup(2)
    os.close(2)
    try:
        data = load(root, cache=False)
    finally:
        os.dup2(screen, 2)
        os.close(screen)
    assert_same(data, load(root))
