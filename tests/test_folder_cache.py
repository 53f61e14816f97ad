"""The cache of decoded images: it never shows, except that nothing is decoded twice."""

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from image_cache import HOW, assert_same, draw, kept, load, make_root, watch_decoding

from al_lightning.data import decode as decode_module
from al_lightning.data.cache_folder import MANIFEST, read_manifest, write_manifest
from al_lightning.data.folder import folder
from al_lightning.data.look import RACY_NS
from al_lightning.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_root(tmp_path)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    return watch_decoding(monkeypatch)


def age(root: Path, seconds: float = 10) -> None:
    """Let the last look at the files be later than it was, so that what is recorded of them is trusted."""
    manifest = read_manifest(kept(root), decode_module.decoder(HOW))
    later = manifest.looked_ns + int(seconds * 1e9)
    write_manifest(kept(root), replace(manifest, looked_ns=later))


# --- it does not show -----------------------------------------------------------------------------------------------


def _add(files: list[Path], rng: random.Random) -> None:
    draw(files[0].with_name(f"new{rng.random()}.png"), rng.randrange(10**6))


def _rename(files: list[Path], rng: random.Random) -> None:
    file = rng.choice(files)
    file.rename(file.with_name(f"other{rng.random()}.jpg"))


def _copy(files: list[Path], rng: random.Random) -> None:
    source, other = rng.sample(files, 2)
    shutil.copy2(source, other.with_name(f"copy{rng.random()}.png"))


def _overwrite(files: list[Path], rng: random.Random) -> None:
    """Another content in the same file, of the same size and with the times set back."""
    file = rng.choice(files)
    before = file.stat()
    draw(file, rng.randrange(10**6))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _spoil(files: list[Path], rng: random.Random) -> None:
    rng.choice(files).write_bytes(rng.randbytes(rng.randrange(3)))


def _touch(files: list[Path], rng: random.Random) -> None:
    rng.choice(files).touch()


def _swap(files: list[Path], rng: random.Random) -> None:
    one, other = rng.sample(files, 2)
    one.rename(one.with_suffix(".part"))
    other.rename(one)
    one.with_suffix(".part").rename(other)


def _delete(files: list[Path], rng: random.Random) -> None:
    rng.choice(files).unlink()


CHANGES = (_add, _rename, _copy, _overwrite, _spoil, _touch, _swap, _delete)


@pytest.mark.parametrize("seed", range(4))
def test_only_contents_that_are_new_are_decoded_whatever_happens(seed: int, root: Path, decoded: list[bytes]) -> None:
    """Against loading without a cache, and against a set of the contents that were there the last time."""
    rng = random.Random(seed)
    before: set[bytes] = set()
    for _ in range(15):
        files = sorted(root.glob("*/*"))
        now = {file.read_bytes() for file in files}
        decoded.clear()
        data = load(root)
        assert sorted(decoded) == sorted(now - before)
        assert_same(data, load(root, cache=False))
        manifest = read_manifest(kept(root), decode_module.decoder(HOW))
        assert {str(root / path) for path in manifest.files} == set(map(str, files))
        assert len(manifest.contents) == len(now)
        if rng.random() < 0.5:
            age(root)
        before = now
        for change in rng.sample(CHANGES, rng.randrange(4)):
            change(sorted(root.glob("*/*")), rng)


def test_a_file_of_the_same_size_and_time_is_seen_to_have_changed(root: Path) -> None:
    file = root / "a" / "00.png"
    before = load(root)
    age(root)
    _overwrite([file], random.Random(0))
    after = load(root)
    assert before.fingerprint() != after.fingerprint()
    assert_same(after, load(root, cache=False))


@pytest.mark.parametrize(("slack", "seen"), [(-1, False), (0, True)])
def test_a_file_that_looks_unchanged_is_read_unless_it_is_older_than_the_look(
    slack: int, seen: bool, root: Path
) -> None:
    """A change within a tick of the clock leaves no trace but in the content: as if this one had been so quick."""
    file = root / "a" / "00.png"
    before = load(root)
    _overwrite([file], random.Random(0))
    status = file.stat()
    manifest = read_manifest(kept(root), decode_module.decoder(HOW))
    entry = manifest.files["a/00.png"]._replace(ctime_ns=status.st_ctime_ns)
    assert entry[:4] == (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
    looked_ns = entry.ctime_ns + RACY_NS - slack
    files = {**manifest.files, "a/00.png": entry}
    write_manifest(kept(root), replace(manifest, looked_ns=looked_ns, files=files))
    assert (load(root).fingerprint() != before.fingerprint()) is seen


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose cache is filled, with images that cannot be decoded too; not to be changed."""
    root = tmp_path_factory.mktemp("filled") / "data"
    for name in "ab":
        (root / name).mkdir(parents=True)
        for number in range(4):
            draw(root / name / f"{number}.png", 4 * (name == "b") + number)
        (root / name / "bad.png").write_text(name)
    load(root)
    return root


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["images.npy", MANIFEST]), place=st.floats(0, 1), bits=st.integers(0, 255))
def test_a_damaged_cache_is_built_anew(name: str, place: float, bits: int, filled: Path, decoded: list[bytes]) -> None:
    """One byte another, or, with no bit to turn, all bytes from there on missing."""
    expected, file = load(filled), kept(filled) / name
    content = bytearray(file.read_bytes())
    position = round(place * (len(content) - 1))
    content[position] ^= bits
    file.write_bytes(content if bits else content[:position])
    assert_same(load(filled), expected)
    decoded.clear()
    assert_same(load(filled), expected)
    assert not decoded


@pytest.mark.parametrize("other", [lambda rows: rows[:3], lambda rows: rows[..., :4], lambda rows: rows.astype(int)])
def test_images_of_another_shape_are_damage(other: Callable[[np.ndarray], np.ndarray], root: Path) -> None:
    expected = load(root)
    np.save(kept(root) / "images.npy", other(np.load(kept(root) / "images.npy")))
    assert_same(load(root), expected)


def test_damage_is_said_once(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load(root)
    rows = np.load(kept(root) / "images.npy", mmap_mode="r+")
    rows[7, 0, 0, 0] ^= 1
    rows.flush()
    capsys.readouterr()
    load(root)
    warning, done = capsys.readouterr().err.splitlines()
    assert warning == f"warning: {kept(root)}: images.npy is damaged: all images are decoded again"
    assert done == f"decoded 40 images of {root} into {kept(root)}"
    load(root)
    assert capsys.readouterr().err == ""


def test_nothing_is_decoded_for_another_split_or_under_another_name_of_the_root(
    root: Path, decoded: list[bytes], tmp_path: Path
) -> None:
    load(root)
    decoded.clear()
    (tmp_path / "link").symlink_to(root)
    other = folder(str(tmp_path / "link"), [8, 6], 3, 0.5, 7, str(tmp_path / "cache"))
    assert not decoded
    assert_same(other, folder(str(root), [8, 6], 3, 0.5, 7))
    for size, channels in (([6, 8], 3), ([8, 6], 1)):
        decoded.clear()
        assert_same(
            folder(str(root), size, channels, 0.25, 0, str(tmp_path / "cache")),
            folder(str(root), size, channels, 0.25, 0),
        )
        assert len(decoded) == 2 * 40


def test_another_decoder_decodes_anew(root: Path, decoded: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    load(root)
    decoded.clear()
    monkeypatch.setattr(decode_module, "VERSION", 0)
    load(root)
    assert len(decoded) == 40


def test_other_settings_have_a_cache_of_their_own(root: Path, decoded: list[bytes]) -> None:
    arguments = (str(root), [8, 6], 3, 0.25, 0, str(root.parent / "cache"))
    load(root)
    decoded.clear()
    folder(*arguments, levels=12)
    with pytest.raises(DataError, match=r"exceeds limit of 30 pixels: .* raise dataset\.max_pixels"):
        folder(*arguments, max_pixels=30)
    assert len(decoded) == 80
    decoded.clear()
    load(root)
    assert not decoded


def test_a_cache_inside_the_root_is_not_a_class(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (folder(str(root), [8, 6], 3, 0.25, 0, str(root / "cache")) for _ in range(2))
    assert_same(first, second)
    assert second.classes == ("a", "b")
    assert "warning" not in capsys.readouterr().err  # of a class without images
