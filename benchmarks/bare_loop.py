"""Active learning by margin in plain PyTorch: the arithmetic of a run of al_lightning and nothing besides.

No Lightning, no configuration, no commits, no mirror, no measure but the accuracy, on the test part and on the labels
trained on. What the run computes with is used
here too: live taps, BatchNorm folded for scoring and test, channels last, the batch plan, the random streams.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from al_lightning.clock import Clock
from al_lightning.data.batches import epoch_plan
from al_lightning.data.images import ImageData
from al_lightning.models.backbones import Backbone
from al_lightning.models.inference import for_scoring
from al_lightning.models.live_taps import keep_live_taps
from al_lightning.streams import Stream, generator, torch_seed


@dataclass(frozen=True)
class Protocol:
    """What a run does.

    Attributes:
        seed: of all random streams.
        initial: images labeled at first, drawn at random.
        query: images labeled after each round but the last.
        rounds: queries.
        epochs: passes over the labeled images a fit.
        sample: unlabeled images that are scored, drawn anew each round.
        batch: images a training step.
        eval_batch: images a step without gradients.
        dropout: before the last layer.
        lr: learning rate of Adam at the start of a fit; it falls to 0 by half a cosine.
    """

    seed: int
    initial: int
    query: int
    rounds: int
    epochs: int
    sample: int
    batch: int
    eval_batch: int
    dropout: float
    lr: float


@dataclass(frozen=True)
class Done:
    """A round.

    Attributes:
        query: index and score of the images of its query, the most wanted first; none in the last.
        accuracy: on the test part.
        fitted: accuracy on the images trained on, without dropout: a fit that has failed shows there.
        seconds_fitted: that it took to see that.
    """

    query: list[tuple[int, float]]
    accuracy: float
    fitted: float
    seconds_fitted: float


def rounds(
    data: ImageData, backbone: Callable[[int, tuple[int, int]], Backbone], protocol: Protocol, clock: Clock
) -> Iterator[Done]:
    """Fit, choose, test and label, round after round.

    Args:
        data: pool and test part.
        backbone: makes the network from channels and size of the images.
        protocol: what to do.
        clock: counts `fit`, `score` (choosing included) and `test`.

    Yields:
        Every round.
    """
    images, labels, test = data.pool.images, data.pool.labels, data.test
    mean, deviation = (255 * torch.tensor(values).view(1, -1, 1, 1) for values in data.statistics)
    labeled = torch.zeros(len(labels), dtype=torch.bool)
    drawn = generator(protocol.seed, Stream.INITIAL).choice(len(labels), protocol.initial, replace=False)
    labeled[torch.from_numpy(drawn)] = True
    for number in range(protocol.rounds + 1):
        with clock.phase("fit"):
            torch.manual_seed(torch_seed(protocol.seed, Stream.WEIGHTS, number))
            made = backbone(data.channels, data.image_size)
            keep_live_taps(made.module, torch.zeros(1, data.channels, *data.image_size))
            network = made.module.to(memory_format=torch.channels_last)
            head = nn.Linear(made.n_features, len(data.classes))
            torch.manual_seed(torch_seed(protocol.seed, Stream.DROPOUT, number))
            model = nn.Sequential(network, nn.Dropout(protocol.dropout), head)
            trained_on = labeled.nonzero().squeeze(1)
            fit(model, images, labels, trained_on, (mean, deviation), number, protocol)
            start = perf_counter()
            with torch.inference_mode():
                folded = for_scoring(network.eval())
                batches = trained_on.split(protocol.eval_batch)
                predicted = torch.cat([head(folded((images[batch] - mean) / deviation)).argmax(1) for batch in batches])
                fitted = (predicted == labels[trained_on]).double().mean().item()
            looked = perf_counter() - start
        with clock.phase("test"), torch.inference_mode():
            batches = test.images.split(protocol.eval_batch)
            predicted = torch.cat([head(folded((batch - mean) / deviation)).argmax(1) for batch in batches])
            accuracy = (predicted == test.labels).float().mean().item()
        if number == protocol.rounds:
            yield Done([], accuracy, fitted, looked)
            return
        with clock.phase("score"), torch.inference_mode():
            rng = generator(protocol.seed, Stream.CANDIDATES, number)
            unlabeled = (~labeled).nonzero().squeeze(1)
            candidates = unlabeled[np.sort(rng.choice(len(unlabeled), protocol.sample, replace=False))]
            batches = candidates.split(protocol.eval_batch)
            features = torch.cat([folded((images[batch] - mean) / deviation) for batch in batches])
            best, scores = least_margin(head(features), number, protocol)
            query = candidates[best]
        labeled[query] = True
        yield Done(list(zip(query.tolist(), scores.tolist(), strict=True)), accuracy, fitted, looked)


def fit(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    labeled: Tensor,
    statistics: tuple[Tensor, Tensor],
    number: int,
    protocol: Protocol,
) -> None:
    """Train on the labeled images: all epochs of round `number`."""
    mean, deviation = statistics
    rng = generator(protocol.seed, Stream.BATCHES, number)
    plans = [epoch_plan(len(labeled), protocol.batch, rng) for _ in range(protocol.epochs)]
    steps = sum(map(len, plans))
    optimizer = torch.optim.Adam(model.parameters(), lr=protocol.lr, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    for plan in plans:
        for positions in plan:
            batch = labeled[torch.from_numpy(positions)]
            optimizer.zero_grad()
            cross_entropy(model((images[batch] - mean) / deviation), labels[batch]).backward()
            optimizer.step()
            schedule.step()


def least_margin(logits: Tensor, number: int, protocol: Protocol) -> tuple[Tensor, Tensor]:
    """Positions and scores of the images whose two highest probabilities differ least; a drawn order breaks ties."""
    top = logits.log_softmax(1).exp().topk(2, dim=1).values  # to the bit what a run computes
    scores = top[:, 1] - top[:, 0]
    order = torch.from_numpy(generator(protocol.seed, Stream.ACQUISITION, number).permutation(len(scores)))
    best = order[scores[order].sort(descending=True, stable=True).indices[: protocol.query]]
    return best, scores[best]
