"""A finished run, mirrored in Weights & Biases after its end."""

from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf

from al_lightning.config import schema
from al_lightning.config.instantiate import instantiate
from al_lightning.config.loggers import wandb_node
from al_lightning.config.schema import ActiveLearning, conf_dir
from al_lightning.errors import DataError
from al_lightning.runs import same_images
from al_lightning.runs.folder_state import committed
from al_lightning.runs.rounds import read_json
from al_lightning.runs.run_info import RunInfo
from al_lightning.tracking import label_set, wandb_account
from al_lightning.tracking.wandb_mirror import WandbMirror


def mirror(folder: Path) -> str:
    """Mirror a run, unless it has been mirrored to its end before.

    Its images are loaded: they are shown, and have to be those that it was made with.

    Args:
        folder: of the run.

    Returns:
        What became of it, to follow the name of the run.

    Raises:
        ConfigError, DataError: it is no finished run, is damaged, or its images are not there.
    """
    summary = read_json(folder / "summary.json")
    if not summary or not summary.get("finished"):
        raise DataError(f"{folder}: no finished run; an unfinished one is mirrored when its command goes on")
    cfg = cast(DictConfig, OmegaConf.load(folder / "config.yaml"))
    settings = schema.resolved(cfg)
    rounds, damage = committed(folder)
    if damage:
        raise DataError(f"{folder}/rounds/{damage}; the run's command mends it")
    images = same_images.load(folder, settings)
    plan = images.plan(ActiveLearning(**settings["al"]))
    logger = wandb_node(settings["logger"])
    if logger is None:  # as it would be by default
        logger = OmegaConf.to_container(OmegaConf.load(conf_dir() / "logger" / "wandb.yaml"))
    info = RunInfo(folder, settings["study"], settings, plan, images.data, rounds[-1].environment, tuple(rounds))
    whole = [each for each in wandb_account.local_folders(info) if (each / label_set.FOLDER).exists()]
    if whole:
        return f"mirrored already: {sorted(whole)[-1]}"
    mirror = instantiate("logger", logger, returns=WandbMirror)
    mirror.start(info)
    mirror.finish("finished", summary)
    made = sorted(wandb_account.local_folders(info))
    return f"mirrored: {made[-1]}" if made else "not mirrored: W&B is disabled"
