"""How long a run may take."""

from collections.abc import Mapping
from time import perf_counter
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch.nn.functional import cross_entropy

from al_lightning import build, config
from al_lightning.data.images import ImageData
from al_lightning.data.memory import largest_batch
from al_lightning.inference import undisturbed
from al_lightning.plan import Plan

TRIAL_STEPS = 3


def remaining(settings: build.Settings, plan: Plan, row: Mapping[str, Any]) -> float:
    """Seconds that the rounds after this one may take: a fit by its steps, a pass by its images, the rest as here."""
    number = row["round"]
    per_step = row["seconds/fit"] / build.fit_length(settings, plan.n_labeled(number))[1]
    choosing = row["seconds/score"] + row["seconds/select"]
    per_image = choosing / max(1, plan.n_candidates(number))
    return _total(settings, plan, number + 1, per_step, per_image, row["seconds/test"] + row["seconds/other"])


def dry_run(cfg: DictConfig) -> None:
    """Show what a configuration would run, and how long it might take; nothing is trained or written.

    Raises:
        ConfigError, DataError: as a run.
    """
    typed, settings = config.typed(cfg), config.resolved(cfg)
    data = build.load_data(settings)
    plan, device = build.prepare(typed, settings, data)
    print(OmegaConf.to_yaml(cfg, resolve=True))
    print(f"{' round':>6} {'labels':>8} {'paid':>8} {'epochs':>8} {'steps':>8}")
    for number in range(plan.rounds + 1):
        epochs, steps = build.fit_length(settings, plan.n_labeled(number))
        print(f"{number:>6} {plan.n_labeled(number):>8} {plan.n_paid(number):>8} {epochs:>8} {steps:>8}")
    seconds = duration(trial(settings, plan, data, device))
    print(f"run folder: {config.run_folder(cfg)}")
    print(f"estimated time: {seconds} on {device}, without what the strategy does with the features")


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def trial(settings: build.Settings, plan: Plan, data: ImageData, device: torch.device) -> float:
    """Seconds that a whole run may take, from a few timed steps of a model that is thrown away.

    What the strategy does with the features is not in it.
    """
    model = build.make_classifier(settings, data, 0, plan.n_labeled(0)).to(device)
    optimizer = model.configure_optimizers()["optimizer"]
    size = min(settings["batch_size"], plan.n_labeled(0))
    images, labels = data.pool.images[:size].to(device), data.pool.labels[:size].to(device)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(model(images), labels).backward()
        optimizer.step()

    per_step = _seconds(step, device)
    size = settings["al"]["pool_batch_size"] or largest_batch(data.image_size, device)
    pool = data.pool.images[:size].to(device)
    with undisturbed(model):
        outputs = model.frozen_backbone(build.SCORING[settings["al"]["scoring_precision"]])
        per_image = _seconds(lambda: outputs(model.normalized(pool)), device) / len(pool)
    uses_features = settings["strategy"]["name"] != "random"
    return _total(settings, plan, 0, per_step, per_image * uses_features, per_image * len(data.test))


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
