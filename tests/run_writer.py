"""Run folders without training, written by the program's own code: what a test reads is what a run leaves.

Numbers and images are made up, and there is no model. A damaged, foreign or older folder is a good one of these that
the test has damaged.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from al_lightning import asking
from al_lightning.acquisition.select import Query
from al_lightning.clock import PHASES
from al_lightning.config import identity, schema
from al_lightning.config.plan import Plan, make_plan
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.data.listing import listing, to_csv_gz
from al_lightning.models.fit_check import COLUMNS
from al_lightning.models.measures import MEASURES, N_BINS
from al_lightning.models.measuring import Measured
from al_lightning.oracle.ledger import Event
from al_lightning.runs import diagnostics, environment, stored
from al_lightning.runs.rounds import Diagnostics, Round
from al_lightning.runs.run_folder import RunFolder
from al_lightning.runs.run_info import RunInfo
from al_lightning.runs.summary import summarize

DIGITS = tuple("0123456789")
SECONDS = dict(zip((*PHASES, "other"), (1.2, 0.31, 0.012, 0.14, 0.05), strict=True))
SCORES = torch.linspace(np.exp(-3), 1, 1000).log().flip(0) / 3  # of candidates, from 0 to -1, the most wanted first


def write_run(
    study: Path,
    name: str,
    accuracy: Sequence[float],
    /,
    *,
    state: str = "finished",
    size: int = 20,
    pool: int = 1000,
    classes: tuple[str, ...] = DIGITS,
    failed: Collection[int] = (),
    **settings: Any,
) -> Path:
    """Write a run folder.

    Args:
        study: the folder around it.
        name: of the folder; empty: as the program names it.
        accuracy: of each round that is committed. A run that has not finished lacks one more.
        state: of its summary.
        size: `al.initial_size` and `al.query_size`.
        pool: images in its pool.
        classes: names.
        failed: rounds whose fit failed.
        **settings: by dotted key with `__` for the dot; others are those of a small run of `random` on `digits`.
    """
    usual = {"study": study.name, "al__initial_size": size, "al__query_size": size}
    config = configuration(**usual | {"al__rounds": len(accuracy) - (state == "finished")} | settings)
    data, listed, shown, here = images(pool, classes)
    plan = make_plan(config.al, data.pool_size)
    path = study / (name or identity.name(config.settings))
    run = RunInfo(path, study.name, config.settings, plan, data, here, ())
    assert not path.exists(), f"{path}: written before"
    assert len(accuracy) <= plan.rounds + 1, f"{path}: {len(accuracy)} rounds of {plan.rounds + 1}"
    order = _order(run)
    val, first = order[: plan.n_paid(0)].split((plan.val_size, plan.initial_size))
    with RunFolder(path) as folder:
        folder.write_config(config.text)
        folder.write_images(listed, shown)
        initial = asking.initial_query(cast(Any, data), val, first)
        folder.commit_initial(initial, classes)
        answer(folder, initial, _labels(data, initial), classes)
        for number, value in enumerate(accuracy):
            done = _round(run, number, value, order, number not in failed, folder.ledger.position())
            folder.commit(done)
            answer(folder, done.queries, _labels(data, done.queries), classes)
        folder.write_summary(summarize(run, folder.rounds, state))
    return path


def answer(
    folder: RunFolder, query: Sequence[Mapping[str, Any]], labels: Sequence[int], classes: Sequence[str]
) -> None:
    """Append answers to the ledger: the labels of a query that is committed."""
    pairs = zip(query, labels, strict=True)
    folder.append([Event(row["index"], row["id"], n, row["round"], "test", "") for row, n in pairs], classes)


def row_of(number: int, plan: Plan, values: Mapping[str, float], fit_ok: bool = True) -> dict[str, Any]:
    """A row of `rounds.csv`.

    Args:
        number: of the round.
        plan: of the run.
        values: measures by name, `test/acc` for example.
        fit_ok: whether its fit did not fail.
    """
    fit = (0.999, 0.01, 0.99, 150, 1, True, "") if fit_ok else (0.5, 0.7, 0.1, 600, 4, False, "plateau")
    labels = {"round": number, "n_labeled": plan.n_labeled(number), "n_paid": plan.n_paid(number), "n_skipped": 0}
    parts = dict.fromkeys(name.partition("/")[0] for name in values)
    seconds = {f"seconds/{phase}": round(took + 0.001 * number, 4) for phase, took in SECONDS.items()}
    return labels | dict(zip(COLUMNS, fit, strict=True)) | Measured(dict(values), 2).row([*parts]) | seconds


class Configuration(NamedTuple):
    """A configuration, as the program keeps it, as plain dictionaries, and its section `al`."""

    text: str
    settings: dict[str, Any]
    al: schema.ActiveLearning


@cache  # what it takes is most of what a run folder takes
def configuration(**settings: Any) -> Configuration:
    """A configuration as Hydra composes it.

    Args:
        **settings: by dotted key with `__` for the dot. A name that no file of its group has is one of the user's own.
    """
    usual = {"dataset": "digits", "model": "cnn", "strategy": "random", "logger": "none"}
    names = {group: settings.get(f"{group}__name", name) for group, name in usual.items()}
    files = {group: name if name in schema.options(group) else usual[group] for group, name in names.items()}
    cfg = deepcopy(_composed(*(f"{group}={file}" for group, file in files.items())))
    for key, value in settings.items():
        OmegaConf.update(cfg, key.replace("__", "."), value, force_add=True)
    al = cast(schema.ActiveLearning, OmegaConf.to_object(cfg.al))
    return Configuration(stored.text(cfg), schema.resolved(cfg), al)


@cache
def _composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(schema.conf_dir()), version_base="1.3"):
        return compose("config", [*overrides])


class Images(NamedTuple):
    """A data set, and what a run folder has of it."""

    data: ImageData
    listing: bytes
    map: dict[str, np.ndarray]
    environment: dict[str, Any]


@cache
def images(pool: int = 1000, classes: tuple[str, ...] = DIGITS) -> Images:
    """Gray images whose classes lie on a circle, in the plane of their first two principal components."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, len(classes), pool)
    angle = 2 * np.pi * labels / len(classes)
    x, y = (value[:, None, None] + 0.3 * rng.standard_normal((pool, 1, 1)) for value in (np.cos(angle), np.sin(angle)))
    half = np.where(np.arange(8) < 4, -1, 1)
    pixels = 127 + 40 * (x * half + y * half[:, None]) + 10 * rng.standard_normal((pool, 8, 8))
    tested = np.repeat(np.arange(len(classes)), _confusion(len(classes)).sum(1))
    parts = [
        ImageSet(torch.from_numpy(part[:, None].clip(0, 255).astype(np.uint8)), torch.from_numpy(of), ids)
        for part, of, ids in (
            (pixels, labels, tuple(map(str, range(pool)))),
            (np.zeros((len(tested), 8, 8)), tested, tuple(map(str, range(len(tested))))),
        )
    ]
    data = ImageData(parts[0], parts[1], classes)
    here = environment.current(torch.device("cpu"), data.fingerprint())
    return Images(data, to_csv_gz(listing(data)), diagnostics.pool_map(data), here)


def _labels(data: ImageData, query: Sequence[Mapping[str, Any]]) -> list[int]:
    return data.pool.labels[[row["index"] for row in query]].tolist()


def _order(run: RunInfo) -> Tensor:
    """The images of the pool in the order in which they are queried; the initial set is the same for every strategy."""
    seed, n = run.settings["seed"], run.plan.n_paid(0)
    order = np.random.default_rng(seed).permutation(run.plan.pool_size)
    np.random.default_rng([seed, sum(json.dumps(run.settings["strategy"]).encode())]).shuffle(order[n:])
    return torch.from_numpy(order)


def _round(run: RunInfo, number: int, accuracy: float, order: Tensor, fit_ok: bool, seen: dict[str, Any]) -> Round:
    data, n = run.data, run.plan.query_size
    first = run.plan.n_paid(number)
    queries, query = [], None
    if number < run.plan.rounds:
        scored = run.settings["strategy"]["name"] != "random"
        query = Query(order[first : first + n], *((SCORES[:n], SCORES) if scored else ()))
        none = torch.empty(0, dtype=torch.int64)
        chosen = SimpleNamespace(query=query, control=none, predicted=data.pool.labels[query.indices])
        queries = asking.query(number, cast(Any, SimpleNamespace(data=data)), cast(Any, chosen))
    measures = (accuracy, accuracy - 0.004, accuracy - 0.006, 1 - (1 - accuracy) / 8, 3 * (1 - accuracy), 0.02)
    values = {f"test/{name}": value for name, value in zip(MEASURES, measures, strict=True)}
    shown = Diagnostics(
        _reliability(),
        query and diagnostics.score_histogram(query),
        query and diagnostics.strip(data.pool.images[query.indices[: diagnostics.TILES]]),
    )
    here = {**run.environment, "ledger": seen}
    return Round(
        row_of(number, run.plan, values, fit_ok), queries, _confusion(len(data.classes)), data.classes, here, shown
    )


@cache
def _confusion(classes: int) -> np.ndarray:
    return np.random.default_rng(3).poisson(1.2, (classes, classes)) + 90 * np.eye(classes, dtype=int)


@cache
def _reliability() -> np.ndarray:
    bins = np.arange(N_BINS)
    n, confidence = np.where(bins < 3, 0, (1.6**bins).astype(int)), (bins + 0.5) / N_BINS
    return np.stack([n, n * confidence, n * confidence**1.2], 1)
