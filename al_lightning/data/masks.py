"""Which images of a pool take part in a run, and how often: class imbalance, a part of the pool, redundancy.

These keys of `dataset` work for every data set, a user's own too, because they are applied to what it loaded into. What
is drawn depends on no seed: all runs of a study are of the same images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from al_lightning.config.plan import to_images
from al_lightning.data.images import UNKNOWN, ImageData, ImageSet
from al_lightning.errors import ConfigError
from al_lightning.streams import Stream, generator

OFF = {"imbalance": None, "subset": None, "repeat": 1}  # the keys, at the values that change nothing


def chosen(node: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that change something, in the order in which they do."""
    return {key: node[key] for key, off in OFF.items() if node.get(key, off) != off}


def apply(data: ImageData, node: Mapping[str, Any], *, known_only: bool = False) -> ImageData:
    """Let a part of a pool take part, and append copies of the pool to it. The test part stays as it is.

    `imbalance` leaves a long tail of classes, see :func:`long_tail`; `subset` leaves so many images of that, or such a
    fraction, see :func:`stratified`. Both are a mask: images, labels and ids stay whole, and an index is still that of
    the data set. With `repeat=k` the pool is there k times: image i of N is at i, N + i, 2N + i, ..., its copies have
    the ids `<id>#2`, `<id>#3`, ..., and the mask is that of the originals.

    Args:
        data: as loaded; images of it may be gone.
        node: settings of the data set. Their types and ranges have been checked.
        known_only: images whose label nobody knows take no part.

    Raises:
        ConfigError: more images are wanted than there are, a class would have none, an id is that of a copy, or nobody
            knows the labels that are needed.
    """
    data = _with_labels(data, known_only=known_only)
    if not (on := chosen(node)):
        return data
    labels, n = data.pool.labels.numpy(), len(data.pool)
    taking = np.ones(n, dtype=bool) if data.mask is None else data.mask.numpy()
    if not {*on} <= {"repeat"} and (n_unknown := int((labels[taking] == UNKNOWN).sum())):
        said = " ".join(f"dataset.{key}={on[key]}" for key in on if key != "repeat")
        raise ConfigError(f"{said}: takes the labels of all images, and nobody knows those of {n_unknown:,}")
    has = counts = np.bincount(labels[taking & (labels != UNKNOWN)], minlength=len(data.classes))
    if (factor := on.get("imbalance")) is not None:
        said = f"dataset.imbalance={factor}"
        _none_empty(has, said, data.classes, "it has none to begin with")
        counts = _none_empty(long_tail(has, factor), said, data.classes, "use a smaller factor")
    if (size := on.get("subset")) is not None:
        there = int(counts.sum())
        if (wanted := to_images(size, there)) > there:
            left = " that dataset.imbalance leaves" if "imbalance" in on else ""
            raise ConfigError(f"dataset.subset={size}: the pool has {there} images{left}; at most so many can be kept")
        enough = -(-there // int(counts[counts > 0].min()))
        parts = np.where(counts > 0, stratified(counts, wanted), -1)
        counts = _none_empty(parts, f"dataset.subset={size}", data.classes, f"{enough} images have some of every class")
        counts = np.maximum(counts, 0)
    mask = data.mask if (counts == has).all() else torch.from_numpy(_drawn(labels, counts))
    said = " ".join(f"dataset.{key}={value}" for key, value in on.items())
    times, n_taking = on.get("repeat", 1), n if mask is None else int(mask.sum())
    note = f"{said}: {n_taking:,} of {n:,} images of the pool take part"
    if n_taking == counts.sum():  # the classes of all are known
        note += f", {counts.max():,} to {counts.min():,} of a class"
    if times > 1:
        note += f", each {times} times"
    gone = [each for each in data.gone if mask is None or mask[each]]
    return replace(
        data,
        pool=_repeated(data.pool, times) if times > 1 else data.pool,
        mask=mask if mask is None else mask.repeat(times),
        gone=tuple(copy * n + each for copy in range(times) for each in gone),
        notes=(*data.notes, note),
    )


def _with_labels(data: ImageData, *, known_only: bool) -> ImageData:
    """Say how many images of a pool have a label, where not all have; and leave out the others."""
    known, n = data.pool.labels != UNKNOWN, len(data.pool)
    if known.all():
        return data
    n_known = int((known if data.mask is None else known & data.mask).sum())
    if known_only and not n_known:
        raise ConfigError(
            "oracle=simulated: answers with labels that are known, and nobody knows any: name them in a file, "
            "dataset.labels=FILE, or give an oracle of your own"
        )
    so = "only these are candidates" if known_only else "a run begins with them"
    note = f"{n_known:,} of {n:,} images of the pool have a label{': ' + so if n_known else ''}"
    mask = data.mask
    if known_only:
        mask = known if mask is None else known & mask
    gone = tuple(each for each in data.gone if mask is None or mask[each])
    return replace(data, mask=mask, gone=gone, notes=(*data.notes, note))


def long_tail(has: np.ndarray, factor: float) -> np.ndarray:
    """Images of each class in a long tail (Cui et al. 2019, "Class-Balanced Loss", as CIFAR-10-LT and CIFAR-100-LT).

    Class c of K keeps n · factor^(-c / (K - 1)), rounded down. n is the largest that every class has enough images
    for: in a balanced data set as many as a class has. With a factor of 1 all classes keep as many as the smallest has.

    Args:
        has: `int64 [K]`, images of each class.
        factor: images of the first class for one of the last, at least 1.
    """
    shares = float(factor) ** (-np.arange(len(has)) / (len(has) - 1))
    n = np.floor((has / shares).min() + 1e-6)  # for what is a whole number but for the last bit
    return np.floor(n * shares + 1e-6).astype(np.int64)


def stratified(has: np.ndarray, n: int) -> np.ndarray:
    """Images of each class among n that have the shares of all, within one image: by largest remainders.

    Args:
        has: `int64 [K]`, images of each class.
        n: at most all of them.
    """
    parts, remainders = np.divmod(has * n, has.sum())
    parts[np.argsort(-remainders, kind="stable")[: n - parts.sum()]] += 1
    return parts


def originals(rows: Any, node: Mapping[str, Any]) -> Any:
    """The rows of a pool without those of its copies."""
    return rows[: len(rows) // node.get("repeat", 1)]


def _drawn(labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """`bool [N]`, so many images of each class: the first in an order of the pool, so that fewer are a part of more."""
    order = generator(0, Stream.DATA).permutation(len(labels))
    mask = np.zeros(len(labels), dtype=bool)
    for each, count in enumerate(counts):
        mask[order[labels[order] == each][:count]] = True
    return mask


def _none_empty(counts: np.ndarray, said: str, classes: Sequence[str], hint: str) -> np.ndarray:
    if (counts == 0).any():
        raise ConfigError(f"{said}: class {classes[int((counts == 0).argmax())]} would have no image; {hint}")
    return counts


def _repeated(pool: ImageSet, times: int) -> ImageSet:
    copies = tuple(f"{each}#{number}" for number in range(2, times + 1) for each in pool.ids)
    if clash := {*pool.ids} & {*copies}:
        raise ConfigError(
            f"dataset.repeat={times}: an image of the pool has the id {min(clash)}, which a copy would have; rename it"
        )
    return ImageSet(pool.images.repeat(times, 1, 1, 1), pool.labels.repeat(times), (*pool.ids, *copies))
