"""Small folders of images, and what is taken of them."""

from pathlib import Path
from typing import Any

from PIL import Image

from al_lightning.data.folder import folder
from al_lightning.data.images import ImageData


def draw(root: Path, *paths: str) -> None:
    """An image of one shade at each path, another shade each; PNG whatever it is called."""
    for shade, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), shade).save(root / path, "PNG")


def tree(root: Path, counts: dict[str, int]) -> None:
    """Folders of so many images."""
    draw(root, *(f"{path}/{number}.png" for path, count in counts.items() for number in range(count)))


def load(root: Path, **options: Any) -> ImageData:
    return folder(str(root), 4, 1, 0.2, 0, **options)


def ids(data: ImageData) -> set[str]:
    """All that is used."""
    return {*data.pool.ids, *data.test.ids}
