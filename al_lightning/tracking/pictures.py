"""Pictures of a round: its confusion matrix, and the images that it asked for."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont

NAMED_CLASSES = 20  # more do not fit along the axes of a confusion matrix
SIDE, MARGIN = 480, 130  # of the matrix and of its titles and names, in pixels
MOST, LEAST = np.array([8, 48, 107]), np.array([247, 251, 255])  # colors of a share of 1 and of 0
MIN_PIXELS = 64  # smaller images are enlarged: the page would blur them


def draw_confusion(confusion: np.ndarray, classes: Sequence[str], title: str) -> PIL.Image.Image:
    """Draw a confusion matrix, `int64 [K, K]` with true classes as rows; colors are shares of a row.

    With Pillow, because matplotlib takes ten times as long, and a round waits for it.
    """
    n = len(confusion)
    shares = confusion / confusion.sum(1, keepdims=True).clip(1)
    colors = (LEAST + shares[..., None] * (MOST - LEAST)).astype(np.uint8)
    cell = SIDE // n or 1
    matrix = PIL.Image.fromarray(colors).resize((cell * n, cell * n), PIL.Image.Resampling.NEAREST)
    picture = PIL.Image.new("RGB", (MARGIN + matrix.width + 20, 40 + matrix.height + MARGIN), "white")
    picture.paste(matrix, (MARGIN, 40))
    draw, font, small = ImageDraw.Draw(picture), ImageFont.load_default(15), ImageFont.load_default(12)
    middle, right, bottom = MARGIN + matrix.width // 2, MARGIN + matrix.width, 40 + matrix.height
    draw.rectangle((MARGIN - 1, 39, right, bottom), outline="black")
    draw.text((middle, 20), title, "black", font, anchor="mm")
    draw.text((middle, picture.height - 12), "predicted", "black", font, anchor="mm")
    _upward(picture, "true", font, (12, 40 + matrix.height // 2), anchor="mm")
    if len(classes) <= NAMED_CLASSES:
        centers = [round((i + 0.5) * cell) for i in range(n)]
        for center, name in zip(centers, classes, strict=True):
            draw.text((MARGIN - 6, 40 + center), name[:16], "black", small, anchor="rm")
            _upward(picture, name[:16], small, (MARGIN + center, bottom + 6), anchor="rm")
        for (row, column), count in np.ndenumerate(confusion):
            if count:
                color = "white" if shares[row, column] > 0.5 else "black"
                where = (MARGIN + centers[column], 40 + centers[row])
                draw.text(where, str(count), color, small, anchor="mm")
    return picture


def _upward(
    picture: PIL.Image.Image,
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    where: tuple[int, int],
    *,
    anchor: str,
) -> None:
    """Write from bottom to top, at the middle (`mm`) or the end (`rm`) of the text."""
    strip = PIL.Image.new("RGB", (round(font.getlength(text)) + 2, 20), "white")
    ImageDraw.Draw(strip).text((1, 10), text, "black", font, anchor="lm")
    strip = strip.rotate(90, expand=True)
    picture.paste(strip, (where[0] - 10, where[1] - (strip.height // 2 if anchor == "mm" else 0)))


def draw_image(pixels: np.ndarray) -> PIL.Image.Image:
    """Draw `uint8 [C, H, W]` with C 1 or 3; small images are enlarged by whole factors."""
    picture = PIL.Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    factor = max(1, MIN_PIXELS // max(picture.size))
    return picture.resize((picture.width * factor, picture.height * factor), PIL.Image.Resampling.NEAREST)
