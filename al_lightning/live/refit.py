"""One refit: the head on all labels that there are, and what it makes of every image."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from al_lightning import build
from al_lightning.acquisition.callback import AcquisitionCallback
from al_lightning.acquisition.initial import first_strategy
from al_lightning.acquisition.select import Query
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.live.prepare import Prepared
from al_lightning.models.classifier import Classifier
from al_lightning.models.inference import evaluating
from al_lightning.models.kept_weight_decay import KeptWeightDecay
from al_lightning.models.learner import Learner, Scoring
from al_lightning.trainer import make_trainer

QUEUE = 50  # images that are ranked: more than are answered before the next refit
NEIGHBORS = 5  # labeled ones that are shown beside an image
FIRST = "typiclust"  # chooses while there is no model
BLIND = 1000  # images that a first query is chosen from at most, for each that it asks for


@dataclass(frozen=True)
class Learned:
    """What a refit has come to.

    Attributes:
        query: the images to ask for; positions in the pool.
        pool: with the masks that it was made with.
        model: None where there are too few labels for one.
        log_probabilities: `float32 [N, K]` of all images; likewise.
        seconds: that it took.
    """

    query: Query | None
    pool: PoolDataModule
    model: Classifier | None
    log_probabilities: Tensor | None
    seconds: float


class Refitter:
    """Refits, one after the other; the weight decay is chosen anew when the labels have doubled.

    Args:
        prepared: the images.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.prepared, self._make = prepared, KeptWeightDecay(self._classifier, ())

    def _classifier(self, number: int, n_labeled: int, weight_decay: float | None) -> Classifier:
        return build.make_classifier(self.prepared.settings, self.prepared.data, number, n_labeled, weight_decay)

    def __call__(self, number: int, labels: Mapping[int, int], left_out: Tensor) -> Learned:
        """Fit, choose, and predict every image.

        Args:
            number: of the refit, which keys everything random.
            labels: classes by position in the pool.
            left_out: `int64 [m]`, positions of images that were answered and have no label.

        Raises:
            StrategyError: the strategy cannot choose.
        """
        start, settings, data = time.perf_counter(), self.prepared.settings, self.prepared.data
        pool = PoolDataModule(data, *build.batch_sizes(settings, data, self.prepared.device), settings["seed"])
        pool.round = number
        positions = torch.tensor(sorted(labels), dtype=torch.int64)
        pool.label(positions, torch.tensor([labels[each] for each in positions.tolist()], dtype=torch.int64), since=0)
        pool.leave_out(left_out)
        n_open, has_model = int(pool.unlabeled_mask.sum()), len({*labels.values()}) > 1
        strategy = build.make_strategy(settings, data) if has_model else first_strategy(FIRST, data)
        scoring = Scoring(pool.eval_batch_size)
        choosing = AcquisitionCallback(strategy, min(QUEUE, n_open), pool, scoring)
        if not has_model:
            if n_open:
                pool.pool_sample = QUEUE * BLIND
                choosing.choose(None)
            return Learned(choosing.query, pool, None, None, time.perf_counter() - start)
        model = self._make(number, len(labels))
        trainer = make_trainer(settings, 1, [])
        trainer.fit(model, datamodule=pool)
        found, others = torch.empty(len(data.pool), len(data.classes)), torch.ones(len(data.pool), dtype=torch.bool)
        with evaluating(model.to(trainer.strategy.root_device)):
            learner = Learner(model, pool.images, scoring)
            if n_open:  # whose predictions are there: a second pass over all would take as long as the first
                candidates = choosing.choose(learner)
                found[candidates.indices.cpu()] = candidates.log_probabilities.cpu()
                others[candidates.indices.cpu()] = False
            found[others] = learner.of(others.nonzero().squeeze(1)).log_probabilities.cpu()
        model.trainer = pool.trainer = None  # they would hold each other
        return Learned(choosing.query, pool, model, found, time.perf_counter() - start)


def nearest_labeled(learned: Learned) -> dict[int, list[tuple[int, float]]]:
    """For every queried image the labeled ones whose embedding is the most like it, and their cosine similarities."""
    embedding, labeled = learned.pool.data.embedding, learned.pool.trained_on
    if learned.query is None or embedding is None or not len(labeled):
        return {}
    asked = learned.query.indices.cpu()
    rows, others = (normalize(embedding.pool[each].float(), dim=1) for each in (asked, labeled))
    best = (rows @ others.T).topk(min(NEIGHBORS, len(labeled)))
    pairs = zip(asked.tolist(), labeled[best.indices].tolist(), best.values.tolist(), strict=True)
    return {item: list(zip(near, like, strict=True)) for item, near, like in pairs}
