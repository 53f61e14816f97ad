"""What is shown of image files: each as it looks, and a reason in place of what cannot be shown."""

from collections.abc import Callable
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from label_servers import Client, photos_in, serving
from PIL import Image

from al_lightning.label.previews import Previews, UnreadableError

RED, WHITE = (255, 0, 0), (255, 255, 255)


def halves(size: tuple[int, int], color: tuple[int, ...] = RED, mode: str = "RGB") -> Image.Image:
    """The left half in a color, the right one black."""
    image = Image.new(mode, size)
    image.paste(color, (0, 0, size[0] // 2, size[1]))
    return image


def jpeg(path: Path) -> None:
    halves((4000, 3000)).save(path, "JPEG")


def on_its_side(path: Path) -> None:
    """Stored with its left side up; red is on top."""
    exif = Image.Exif()
    exif[0x0112] = 6
    halves((600, 300)).save(path, "JPEG", exif=exif)


def transparent(path: Path) -> None:
    image = halves((40, 20), (255, 0, 0, 255), "RGBA")
    image.save(path, "PNG")


def deep_tiff(path: Path) -> None:
    """12 bits of 16, brightest on the left; an 8-bit reader would show black."""
    values = np.full((300, 600), 100, np.uint16)
    values[:, :300] = 4000
    Image.fromarray(values).save(path, "TIFF")


def palette(path: Path) -> None:
    halves((40, 20)).quantize(4).save(path, "GIF")


@pytest.mark.parametrize(
    ("make", "side", "size", "kind", "first", "last"),
    [
        (jpeg, 1600, (1600, 1200), "JPEG", RED, (0, 0, 0)),
        (jpeg, 320, (320, 240), "JPEG", RED, (0, 0, 0)),
        (on_its_side, 320, (160, 320), "JPEG", RED, (0, 0, 0)),
        (transparent, 320, (40, 20), "PNG", RED, WHITE),
        (deep_tiff, 1600, (600, 300), "JPEG", WHITE, (0, 0, 0)),
        (palette, 320, (40, 20), "PNG", RED, (0, 0, 0)),
    ],
)
def test_an_image_as_it_looks(
    tmp_path: Path,
    make: Callable[[Path], None],
    side: int,
    size: tuple[int, int],
    kind: str,
    first: tuple[int, int, int],
    last: tuple[int, int, int],
) -> None:
    make(tmp_path / "image")
    data = (tmp_path / "image").read_bytes()
    made = Previews().get(tmp_path, ["gone", "image"], blake2b(data, digest_size=16).hexdigest(), side)
    with Image.open(BytesIO(made.data)) as shown:
        assert (shown.size, shown.format, made.media_type) == (size, kind, f"image/{kind.lower()}")
        for place, color in (((2, 2), first), ((size[0] - 3, size[1] - 3), last)):
            assert shown.convert("RGB").getpixel(place) == pytest.approx(color, abs=8)


def test_a_file_that_became_another_image_is_not_shown(tmp_path: Path) -> None:
    """An answer would be of what is seen, and kept for what was there."""
    jpeg(tmp_path / "image")
    with pytest.raises(UnreadableError, match="has changed"):
        Previews().get(tmp_path, ["image"], "0" * 32, 320)
    with pytest.raises(UnreadableError, match="No such file"):
        Previews().get(tmp_path, ["gone"], "0" * 32, 320)


def test_what_cannot_be_shown_is_not_asked_for(tmp_path: Path) -> None:
    photos = photos_in(tmp_path, 3)
    (photos / "000.png").write_bytes((photos / "000.png").read_bytes()[:60])
    (photos / "001.png").write_bytes(b"no image at all")
    with serving(photos, "--random-share", "1") as (address, _):
        ann = Client(address)
        ann.state_when(lambda state: state["n_open"] == 3)
        found = {each["name"]: each for each in ann.next(3)}
        for name in ("000.png", "001.png"):
            answer = ann.http.get(found[name]["url"])
            assert (answer.status_code, answer.headers["cache-control"]) == (422, "no-store")
            assert name in answer.json()["error"]
        answer = ann.http.get(found["002.png"]["thumb"])
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        state = ann.get("state")
        assert (state["n_open"], state["n_unreadable"], state["n_items"]) == (1, 2, 3)
        assert [each["name"] for each in ann.next(3)] == ["002.png"]
