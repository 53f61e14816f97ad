"""From gray values of up to 16 bits to the 256 levels that a model sees: one scale for a whole data set."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from al_lightning.errors import ConfigError

Levels = str | int  # auto, percentile, or bits

BITS = range(8, 17)
SENSORS = (8, 10, 12, 14, 16)  # bits that devices have
FEW = 32  # of 256 levels
TAILS = (0.1, 99.9)  # percentiles of an image's pixels
ODD_FILES = (1, 99)  # percentiles of the files, so that one odd image does not set the scale


class Scale(NamedTuple):
    """The values that become 0 and 255; those beyond become the same."""

    low: int
    high: int


class Span(NamedTuple):
    """Of the values in one image: the lowest, two percentiles (0.1 and 99.9), the highest."""

    lowest: int
    low: int
    high: int
    highest: int


FULL = Scale(0, 65535)


def check(levels: Levels) -> None:
    """Refuse what is not a way to scale.

    Raises:
        ConfigError: naming what there is.
    """
    if isinstance(levels, bool) or not (levels in ("auto", "percentile") or levels in BITS):
        raise ConfigError(f"dataset.levels={levels}: must be auto, percentile, or a number of bits from 8 to 16.")


def span(values: np.ndarray, levels: Levels) -> Span:
    """How far an image's values reach, `[H, W]` or `[H, W, C]`.

    Raises:
        ValueError: more than 16 bits, or negative values where the scale begins at 0.
    """
    lowest, highest = int(values.min()), int(values.max())
    if lowest < -32768 or highest > 65535:
        raise ValueError("more than 16 bits a pixel: save it with 8 or 16")
    if lowest < 0 and levels != "percentile":
        raise ValueError(f"int16 with values down to {lowest}: dataset.levels=percentile can scale negative values")
    low, high = np.percentile(values, TAILS, method="nearest")
    return Span(lowest, int(low), int(high), highest)


def fixed(levels: Levels) -> Scale | None:
    """The scale where the files have no say in it."""
    return Scale(0, 2 ** int(levels) - 1) if levels in BITS else None


def scale(levels: Levels, spans: Sequence[Span]) -> Scale | None:
    """The scale for a data set, from the images of the pool; None where no image needs one.

    `auto` is as many bits as the largest value takes, of those that devices have. `percentile` reaches from the
    images' darkest to their brightest values, without the tails of either the pixels or the files.
    """
    if not spans:
        return None
    if levels != "percentile":
        needed = max(each.highest for each in spans).bit_length()
        return fixed(levels) or Scale(0, 2 ** next(bits for bits in SENSORS if bits >= needed) - 1)
    return _reach(spans)


def to_8_bits(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Scale linearly, `uint8` of the same shape."""
    return (((values - float(scale.low)) * (255 / (scale.high - scale.low))).clip(0, 255) + 0.5).astype(np.uint8)


def describe(levels: Levels, scale: Scale) -> str:
    """The scale in words."""
    return f"16-bit values {scale.low} to {scale.high} become 0 to 255 (dataset.levels={levels})"


def too_few(levels: Levels, scale: Scale, spans: Sequence[Span]) -> str:
    """What to say where the images of the pool take few of the 256 levels; empty where they take enough."""
    low, high = _reach(spans)
    used = round((high - low) * 255 / (scale.high - scale.low)) + 1
    if levels == "percentile" or used >= FEW:
        return ""
    return (
        f"16-bit images have values from {low} to {high}, which become {used} of 256 levels with "
        f"dataset.levels={levels} ({scale.low} to {scale.high}): dataset.levels=percentile spreads them"
    )


def _reach(spans: Sequence[Span]) -> Scale:
    low = int(np.percentile([each.low for each in spans], ODD_FILES[0], method="lower"))
    high = int(np.percentile([each.high for each in spans], ODD_FILES[1], method="higher"))
    return Scale(low, max(high, low + 1))
