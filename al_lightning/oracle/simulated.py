"""The oracle of a simulation: the data set's own labels, at once, some of them wrong where that is asked for."""

from collections.abc import Mapping, Sequence

import numpy as np

from al_lightning.data.images import ImageData
from al_lightning.errors import ConfigError
from al_lightning.oracle import Answer, Question
from al_lightning.streams import Stream, generator


class Simulated:
    """Answers with the labels of the data set.

    Args:
        data: whose labels they are.
        seed: of the run; of the noise.
        noise: probability that an answer is another class, drawn uniformly: one for all, or by the name of the true
            class, where a class that is not named has none. Which answers are wrong does not depend on who asks when.

    Raises:
        ConfigError: a probability outside of [0, 1], or a class that there is not.
    """

    def __init__(self, data: ImageData, seed: int, *, noise: float | Mapping[str, float] = 0.0) -> None:
        self._labels = data.pool.labels.numpy()
        each = _by_class(noise, data.classes)
        if each.any():
            self._labels = _flipped(self._labels, each, generator(seed, Stream.NOISE))

    def ask(self, question: Question) -> Sequence[Answer]:
        """All answers."""
        return [Answer(index, int(self._labels[index]), "simulated") for index in question.indices]


def _by_class(noise: float | Mapping[str, float], classes: Sequence[str]) -> np.ndarray:
    named = noise if isinstance(noise, Mapping) else dict.fromkeys(classes, noise)
    if unknown := sorted(set(named) - set(classes)):
        raise ConfigError(f"oracle.noise.{unknown[0]}: there is no such class; there are: {', '.join(classes)}")
    for name, share in named.items():
        if isinstance(share, bool) or not 0 <= share <= 1:
            key = f"oracle.noise.{name}" if isinstance(noise, Mapping) else "oracle.noise"
            raise ConfigError(f"{key}={share}: must be a probability from 0 to 1")
    return np.array([float(named.get(name, 0.0)) for name in classes])


def _flipped(labels: np.ndarray, noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Labels `int64 [N]`, some replaced by another class: K classes with probabilities of that, `float64 [K]`."""
    wrong = rng.random(len(labels)) < noise[labels]
    other = (labels + rng.integers(1, len(noise), len(labels))) % len(noise)
    return np.where(wrong, other, labels)
