"""Pictures of a round: its confusion matrix, and the images that it asked for."""

from collections.abc import Sequence

import numpy as np
import PIL.Image

NAMED_CLASSES = 20  # more do not fit along the axes of a confusion matrix
MIN_PIXELS = 64  # smaller images are enlarged: the page would blur them


def draw_confusion(confusion: np.ndarray, classes: Sequence[str], title: str) -> PIL.Image.Image:
    """Draw a confusion matrix, `int64 [K, K]` with true classes as rows; colors are shares of a row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 6.4), layout="tight")  # without pyplot: no window, no global state
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots()
    shares = confusion / confusion.sum(1, keepdims=True).clip(1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    if len(classes) <= NAMED_CLASSES:
        names = [name[:16] for name in classes]
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
        for (row, column), count in np.ndenumerate(confusion):
            if count:
                color = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize="small")
    canvas.draw()
    return PIL.Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def draw_image(pixels: np.ndarray) -> PIL.Image.Image:
    """Draw `uint8 [C, H, W]` with C 1 or 3; small images are enlarged by whole factors."""
    picture = PIL.Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    factor = max(1, MIN_PIXELS // max(picture.size))
    return picture.resize((picture.width * factor, picture.height * factor), PIL.Image.Resampling.NEAREST)
