"""Every file in conf/: it composes, what it names can be made, its keys are explained, its protocol is what it says."""

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from al_lightning import build, checking
from al_lightning.config import schema
from al_lightning.config.plan import make_plan, to_images
from al_lightning.data.sources import digits
from al_lightning.embedding.make import expecting
from al_lightning.errors import ConfigError, DataError

CONF = Path(__file__).parents[1] / "conf"
OPTIONS = {
    group.name: sorted(file.stem for file in group.glob("*.yaml")) for group in sorted(CONF.iterdir()) if group.is_dir()
}
POOL = {"mnist": 60_000, "cifar10": 50_000, "digits": 1_437}


@dataclass(frozen=True)
class Protocol:
    """What an experiment file promises: the sizes on each data set, its sweep, and settings that make it what it is."""

    sizes: dict[str, tuple[int, int, int, int]]  # initial set, query, fits, labels of the last fit
    settings: dict[str, Any] = field(default_factory=dict)
    sweep: dict[str, list[Any]] = field(default_factory=dict)


PAPER = {
    "model.name": "resnet18",
    "model.stem": "imagenet",
    "model.dropout": 0.5,
    "optimizer.name": "adam",
    "optimizer.lr": 5e-4,
    "batch_size": 64,
    "trainer.max_epochs": 100,
    "train.min_steps": 0,
    "train.schedule": "constant",
    "al.val_size": 0,
    "al.mc_samples": 100,
}
ALL = ["random", "margin", "uncertainty", "entropy", "kmeans", "bald"]
SEEDS = [0, 1, 2, 3, 4]
SMALL = {
    "model.name": "cnn",
    "model.width": 16,
    "model.dropout": 0.25,
    "optimizer.lr": 5e-3,
    "batch_size": 64,
    "al.pool_sample": 10_000,
    "train.min_steps": 150,
    "train.schedule": "cosine",
}
EXPECTED = {
    "cifar10_embedding": Protocol(
        {"cifar10": (100, 100, 20, 2_000)},
        {
            "dataset.name": "cifar10",
            "embedding.name": "timm",
            "embedding.image_size": 96,
            "model.name": "linear",
            "optimizer.name": "lbfgs",
            "study": "cifar10_embedding",
        },
        {"strategy": ALL, "seed": SEEDS},
    ),
    "paper": Protocol(
        {"mnist": (60, 60, 150, 9_000), "cifar10": (50, 50, 150, 7_500)},
        {**PAPER, "al.n_clusters": 12, "study": "paper"},
    ),
    "paper_baseline": Protocol(
        {"mnist": (9_000, 60, 1, 9_000), "cifar10": (7_500, 50, 1, 7_500)},
        {**PAPER, "strategy.name": "random", "study": "paper"},  # in one study, to be compared
    ),
    "training_size": Protocol(
        {"mnist": (60, 60, 1, 60)},
        {**PAPER, "strategy.name": "random", "study": "training_size"},
        {"al.initial_size": [100, *range(500, 5_501, 500)]},
    ),
    "n_clusters": Protocol(
        {"mnist": (60, 60, 150, 9_000)},
        {**PAPER, "strategy.name": "kmeans", "study": "n_clusters"},
        {"al.n_clusters": [10, 12, 15, 20, 25]},
    ),
    "paper_study": Protocol(
        {"mnist": (60, 60, 150, 9_000), "cifar10": (50, 50, 150, 7_500)},
        {**PAPER, "al.n_clusters": 12, "study": "paper"},
        {"dataset": ["mnist", "cifar10"], "strategy": ALL, "seed": SEEDS},
    ),
    "paper_small": Protocol(
        {"mnist": (60, 120, 13, 1_500), "cifar10": (50, 100, 13, 1_250)},
        {**SMALL, "study": "paper_small"},
        {"strategy": ALL, "seed": SEEDS},
    ),
    "training_size_small": Protocol(
        {"mnist": (60, 120, 1, 60)},
        {**SMALL, "study": "training_size_small"},
        {"strategy": ["random"], "al.initial_size": [100, *range(500, 5_501, 500)], "seed": SEEDS[:3]},
    ),
    "n_clusters_small": Protocol(
        {"mnist": (60, 120, 13, 1_500)},
        {**SMALL, "study": "n_clusters_small"},
        {"strategy": ["kmeans"], "al.n_clusters": [10, 12, 15, 20, 25], "seed": SEEDS[:3]},
    ),
    "gal2017": Protocol(
        {"mnist": (20, 10, 99, 1_000)},
        {
            "model.name": "gal2017",
            "model.dropout": 0.5,
            "model.hidden_dropout": 0.25,
            "optimizer.lr": 1e-3,
            "al.initial": "balanced",
            "al.pool_sample": 2_000,
            "al.mc_samples": 100,
            "study": "gal2017",
            "batch_size": 128,
            "trainer.max_epochs": 50,
            "train.schedule": "constant",
        },
    ),
    "gal2017_small": Protocol(
        {"mnist": (20, 40, 25, 980)},
        {
            "model.name": "gal2017",
            "al.pool_sample": 2_000,
            "al.mc_samples": 20,
            "study": "gal2017_small",
            "trainer.max_epochs": 10,
            "train.min_steps": 100,
            "al.initial": "balanced",
        },
    ),
    "quick": Protocol({"digits": (20, 20, 10, 200)}, {"model.name": "cnn", "train.min_steps": 100, "study": "quick"}),
}


def composed(*overrides: str, hydra: bool = False) -> DictConfig:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides), return_hydra_config=hydra)


def option_files(*groups: str) -> list[tuple[str, str]]:
    return [(group, option) for group in groups for option in OPTIONS[group]]


# --- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("group", "option"), option_files(*OPTIONS))
def test_every_option_composes_into_a_valid_configuration(group: str, option: str, tmp_path: Path) -> None:
    needed = {"folder": "dataset.root", "file": "embedding.path"}
    cfg = composed(f"{group}={option}", *([f"{needed[option]}={tmp_path}"] if option in needed else []))
    typed = schema.typed(cfg)
    assert (typed.experiment if group == "experiment" else getattr(typed, group)["name"]) == option
    assert re.fullmatch(r"[\w-]+-s0-[0-9a-f]{8}", schema.run_folder(cfg).name)


@pytest.mark.parametrize(("group", "option"), option_files("strategy", "model", "optimizer", "trainer", "logger"))
def test_every_option_makes_its_objects(group: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    chosen = {"model": "linear" if option == "lbfgs" else "cnn", "logger": "none", group: option}
    cfg = composed(*(f"{key}={value}" for key, value in chosen.items()))
    settings, data = schema.resolved(cfg), digits()
    if option in ("linear", "mlp", "lbfgs"):
        data = expecting(data, 64, settings)
    plan = make_plan(schema.typed(cfg).al, len(data.pool))
    if (group, option) == ("model", "timm") and not find_spec("timm"):
        with pytest.raises(ConfigError, match="the extra timm"):
            checking.check(settings, data, plan)
    elif (group, option) == ("trainer", "gpu") and not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"trainer\.accelerator=gpu"):
            checking.check(settings, data, plan)
    else:
        checking.check(settings, data, plan)


@pytest.mark.parametrize("option", OPTIONS["dataset"])
def test_every_data_set_loads_or_says_which_files_it_needs(option: str, tmp_path: Path) -> None:
    for name in ("0", "1"):
        (tmp_path / name).mkdir()
        for shade in range(5):
            Image.new("RGB", (9, 9), (shade, int(name), 0)).save(tmp_path / name / f"{shade}.png")
    settings = schema.resolved(composed(f"dataset={option}", f"++dataset.root={tmp_path}", f"paths.data={tmp_path}"))
    node = settings["dataset"]
    if option == "digits":
        del node["root"]
    if "download" in node:
        with pytest.raises(DataError, match=f"{option}: files are missing in {tmp_path}"):
            build.load_data({**settings, "dataset": {**node, "download": False}})
    else:
        assert len(build.load_data(settings).pool) in (1_437, 8)


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda file: str(file.relative_to(CONF)))
def test_every_key_is_explained(file: Path) -> None:
    """By a comment on its line, or above the block of lines that it is in; in config.yaml on its line."""
    section, explained, bare = "", False, []
    for line in file.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith("#"):
            explained = explained or not text.startswith("# @package")
        elif not text:
            explained = False
        else:
            section = section if line[0] in " -" else text.split(":")[0]
            is_leaf = not re.search(r"^- |:(\s+#.*)?$", text)
            enough = " # " in text or (explained and file.name != "config.yaml")
            if is_leaf and not enough and section not in ("defaults", "hydra"):
                bare.append(text)
    assert not bare


# --- experiments ----------------------------------------------------------------------------------------------------


def test_every_experiment_states_its_protocol_here() -> None:
    assert sorted(EXPECTED) == OPTIONS["experiment"]


@pytest.mark.parametrize(
    ("experiment", "dataset"), [(name, dataset) for name, protocol in EXPECTED.items() for dataset in protocol.sizes]
)
def test_an_experiment_has_the_protocol_that_it_promises(experiment: str, dataset: str) -> None:
    protocol = EXPECTED[experiment]
    cfg = composed(f"experiment={experiment}", f"dataset={dataset}")
    plan = make_plan(schema.typed(cfg).al, POOL[dataset])
    fits = plan.rounds + 1
    assert (plan.initial_size, plan.query_size, fits, plan.n_labeled(plan.rounds)) == protocol.sizes[dataset]
    assert {key: OmegaConf.select(cfg, key) for key in protocol.settings} == protocol.settings


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_the_baseline_trains_on_as_many_labels_as_the_last_round_of_the_paper(dataset: str) -> None:
    paper, baseline = (
        make_plan(schema.typed(composed(f"experiment={name}", f"dataset={dataset}")).al, POOL[dataset])
        for name in ("paper", "paper_baseline")
    )
    assert baseline.n_labeled(baseline.rounds) == paper.n_labeled(paper.rounds)


@pytest.mark.parametrize("experiment", OPTIONS["experiment"])
def test_an_experiment_sweeps_over_what_it_promises(experiment: str) -> None:
    hydra = composed(f"experiment={experiment}", hydra=True).hydra
    params = {key: str(values).split(",") for key, values in (hydra.sweeper.params or {}).items()}
    expected = EXPECTED[experiment].sweep
    assert params == {key: [str(value) for value in values] for key, values in expected.items()}
    assert (hydra.mode is not None and hydra.mode.name == "MULTIRUN") == bool(expected)
    for key, values in expected.items():
        for value in values:
            cfg = composed(f"experiment={experiment}", f"{key}={value}")
            chosen = OmegaConf.select(cfg, key)
            assert (chosen.name if isinstance(chosen, DictConfig) else chosen) == value
            al = schema.typed(cfg).al
            assert make_plan(al, POOL["mnist"]).n_labeled(0) == to_images(al.initial_size, POOL["mnist"])
