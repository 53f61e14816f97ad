"""How long a run may take."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch.nn.functional import cross_entropy

from al_lightning import build, checking
from al_lightning.config import schema
from al_lightning.config.plan import Plan
from al_lightning.data.images import ImageData
from al_lightning.embedding.make import expecting, make_embedder
from al_lightning.models.inference import evaluating
from al_lightning.runs import same_images
from al_lightning.runs.folder_state import committed
from al_lightning.runs.keep import keep
from al_lightning.words import duration

TRIAL_STEPS = 3


def remaining(settings: build.Settings, plan: Plan, row: Mapping[str, Any]) -> float:
    """Seconds that the rounds after this one may take: a fit by its steps, a pass by its images, the rest as here."""
    number = row["round"]
    per_step = row["seconds/fit"] / max(1, build.fit_length(settings, plan.n_labeled(number))[1])
    choosing = row["seconds/score"] + row["seconds/select"]
    per_image = choosing / max(1, plan.n_candidates(number))
    return _total(settings, plan, number + 1, per_step, per_image, row["seconds/test"] + row["seconds/other"])


@dataclass(frozen=True)
class Forecast:
    """What a configuration would run.

    Attributes:
        folder: of the run.
        state: `new`, `goes on`, or `done` where there is nothing left to do.
        start: the first round to do.
        plan: its labels.
        seconds: that it may take.
        device: where.
    """

    folder: Path
    state: str
    start: int
    plan: Plan
    seconds: float
    device: torch.device

    @property
    def row(self) -> dict[str, Any]:
        """As `sweep.Job` has it."""
        labels = self.plan.n_paid(self.plan.rounds)
        return {
            "state": self.state,
            "folder": str(self.folder),
            "fits": max(0, self.plan.rounds + 1 - self.start),
            "labels": labels,
            "seconds": self.seconds,
        }


def forecast(cfg: DictConfig) -> Forecast:
    """What a configuration would run, and how long it might take; nothing is trained or written.

    Raises:
        ConfigError, DataError: as a run.
    """
    typed, settings = schema.typed(cfg), schema.resolved(cfg)
    folder = schema.run_folder(cfg)
    images = same_images.load(folder, settings)
    plan = images.plan(typed.al)
    embedder = make_embedder(settings, images.data)
    data = expecting(images.data, embedder and embedder.n_features, settings)
    checked = checking.check(settings, data, plan)
    device = checked.device
    start = 0 if typed.overwrite else len(keep(folder, committed(folder)[0], plan, typed.al))
    state = "new" if not start else "goes on" if start <= plan.rounds else "done"
    seconds = trial(settings, plan, data, device, start) if start <= plan.rounds else 0.0
    if checked.has_committee:
        asked = build.members(settings)
        seconds *= 2 if asked.goes_on else asked.n  # but for the last round; the fits are nearly all of it
    return Forecast(folder, state, start, plan, seconds, device)


def dry_run(cfg: DictConfig) -> Forecast:
    """Show what a configuration would run, and return it.

    Raises:
        ConfigError, DataError: as a run.
    """
    found, settings = forecast(cfg), schema.resolved(cfg)
    print(OmegaConf.to_yaml(cfg, resolve=True))
    print(f"{' round':>6} {'labels':>8} {'paid':>8} {'epochs':>8} {'steps':>8}")
    for number in range(found.start, found.plan.rounds + 1):
        n_labeled = found.plan.n_labeled(number)
        epochs, steps = build.fit_length(settings, n_labeled)
        print(f"{number:>6} {n_labeled:>8} {found.plan.n_paid(number):>8} {epochs:>8} {steps:>8}")
    print(f"run folder: {found.folder} ({found.state}, {found.start} of {found.plan.rounds + 1} rounds are there)")
    time = duration(found.seconds)
    print(f"estimated time: {time} on {found.device}, without what the strategy does with the features")
    return found


def trial(settings: build.Settings, plan: Plan, data: ImageData, device: torch.device, start: int = 0) -> float:
    """Seconds that a run may take from a round on, from a few timed steps of a model that is thrown away.

    What the strategy does with the features is not in it.
    """
    per_step, per_image = _rates(settings, plan, data, device)
    uses_features = settings["strategy"]["name"] != "random"
    return _total(settings, plan, start, per_step, per_image * uses_features, per_image * len(data.test))


_TIMED: dict[str, tuple[float, float]] = {}  # the jobs of a sweep differ in their seeds and strategies mostly


def _rates(settings: build.Settings, plan: Plan, data: ImageData, device: torch.device) -> tuple[float, float]:
    """Seconds of a step and of an image that is scored; those of equal settings are timed once in a process."""
    first = plan.n_labeled(0) or max(build.LEAST, plan.query_size)
    size = first if build.is_convex(settings) else min(settings["batch_size"], first)
    al = {key: settings["al"][key] for key in ("pool_batch_size", "scoring_precision")}
    relevant = [size, al, *(settings[key] for key in ("dataset", "model", "optimizer", "trainer"))]
    key = json.dumps(relevant, sort_keys=True)
    if key not in _TIMED:
        _TIMED[key] = _timed(settings, size, data, device)
    return _TIMED[key]


def _timed(settings: build.Settings, size: int, data: ImageData, device: torch.device) -> tuple[float, float]:
    model = build.make_classifier(settings, data, 0, size, weight_decay=0.01).to(device)
    images, labels = data.inputs[0][:size].to(device), data.pool.labels[:size].clamp(min=0).to(device)

    optimizer = None if build.is_convex(settings) else model.new_optimizer()

    def step() -> None:
        if optimizer is None:
            model.training_step((images, labels), 0)
            return
        optimizer.zero_grad()
        cross_entropy(model(images), labels).backward()
        optimizer.step()

    per_step = _seconds(step, device)
    size = build.batch_sizes(settings, data, device)[1]
    pool = data.inputs[0][:size].to(device)
    with evaluating(model):
        outputs = model.frozen_backbone(build.SCORING[settings["al"]["scoring_precision"]])
        return per_step, _seconds(lambda: outputs(model.normalized(pool)), device) / len(pool)


def _seconds(step: Any, device: torch.device) -> float:
    step()  # the first call allocates
    start = perf_counter()
    for _ in range(TRIAL_STEPS):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (perf_counter() - start) / TRIAL_STEPS


def _total(
    settings: build.Settings, plan: Plan, start: int, per_step: float, per_image: float, per_round: float
) -> float:
    rounds = range(start, plan.rounds + 1)
    steps = sum(build.fit_length(settings, plan.n_labeled(r))[1] for r in rounds)
    images = sum(plan.n_candidates(r) for r in rounds if r < plan.rounds)
    return steps * per_step + images * per_image + len(rounds) * per_round
