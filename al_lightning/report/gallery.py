"""Queried images as the page shows them: each with its label and what the model took it for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import pandas as pd
import PIL.Image

from al_lightning.report.details import Details
from al_lightning.report.figures.files import data_uri

TILES = 10  # images that a run keeps of a query, see al_lightning.runs.diagnostics
CAPTION = (
    "The first images of a query, in the order of their ranks; a few rounds of one run a method. Below each image: its "
    "label, then what the model predicted when it queried it (✓ right, ✗ wrong, and a frame around the image)."
)


@dataclass(frozen=True)
class Tile:
    """A queried image.

    Attributes:
        source: the image as an address that holds it.
        alt: what it is.
        label: its class; empty where it is not known.
        predicted: the model's class with a mark; empty where it is not known.
        kind: `right`, `wrong` or empty.
    """

    source: str
    alt: str
    label: str
    predicted: str
    kind: str


@dataclass(frozen=True)
class Strip:
    """Queried images of one round."""

    round: int
    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Gallery:
    """Queried images of the run that stands for a method."""

    method: str
    seed: int
    strips: Sequence[Strip]


def galleries(details: Details) -> list[Gallery]:
    """One a method that has pictures of its queries."""
    made = []
    for method, strips in details.strips.items():
        queries = details.queries_of(method).sort_values(by="rank")
        shown = [
            Strip(number, tuple(_tiles(png, queries.loc[queries["round"] == number].head(TILES), details.classes)))
            for number, png in strips
        ]
        if any(strip.tiles for strip in shown):
            made.append(Gallery(method, details.shown[method], shown))
    return made


def cut(png: bytes, count: int) -> list[bytes]:
    """The images of a strip, as PNGs: it holds `count` of one size side by side.

    Raises:
        ValueError: its width is not that of so many images.
    """
    with PIL.Image.open(BytesIO(png)) as strip:
        if not count or strip.width % count:
            raise ValueError(f"{strip.width} pixels are not the width of {count} images side by side")
        side = strip.width // count
        tiles = []
        for i in range(count):
            file = BytesIO()
            strip.crop((i * side, 0, (i + 1) * side, strip.height)).save(file, "PNG")
            tiles.append(file.getvalue())
    return tiles


def _tiles(png: bytes, queries: pd.DataFrame, classes: Sequence[str]) -> Iterator[Tile]:
    """Nothing where the picture and the table do not belong together, or the picture is damaged."""
    try:
        images = cut(png, len(queries))
    except (ValueError, OSError, PIL.Image.DecompressionBombError):
        return
    for image, row in zip(images, queries.to_dict("records"), strict=True):
        label, predicted = (_name(int(row[key]), classes) for key in ("label", "predicted"))
        kind = "" if not (label and predicted) else "right" if row["label"] == row["predicted"] else "wrong"
        mark = {"right": "✓ ", "wrong": "✗ "}.get(kind, "")
        known = [f"label {label}" if label else "", f"predicted {predicted}" if predicted else ""]
        alt = ", ".join([f"image {int(row['index'])}", *filter(None, known)])
        yield Tile(data_uri(image), alt, label, mark + predicted, kind)


def _name(number: int, classes: Sequence[str]) -> str:
    """Of a class; its number where the classes have no names, and nothing where it is not known."""
    if number < 0:
        return ""
    return classes[number] if number < len(classes) else str(number)
