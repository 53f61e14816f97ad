"""The keys that there are, and the nearest of them, or the nearest option, to one that does not exist."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path

from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import DictConfig, OmegaConf

# What people call them who come from elsewhere, where the spelling does not lead there.
SYNONYMS = {
    "lr": "optimizer.lr",
    "learning_rate": "optimizer.lr",
    "epochs": "trainer.max_epochs",
    "n_epochs": "trainer.max_epochs",
    "bs": "batch_size",
    "gpu": "trainer=gpu",
    "gpus": "trainer=gpu",
    "cpu": "trainer=cpu",
    "device": "trainer.accelerator",
    "steps": "train.min_steps",
    "scheduler": "train.schedule",
    "queries": "al.query_size",
    "iterations": "al.rounds",
    "cycles": "al.rounds",
    "labels": "al.budget",
    "init_size": "al.initial_size",
    "k": "al.n_clusters",
    "data": "dataset",
    "data_dir": "paths.data",
    "output_dir": "paths.output_root",
    "out": "paths.output_root",
    "network": "model",
    "backbone": "model",
    "arch": "model",
    "method": "strategy",
    "acquisition": "strategy",
    "wandb": "logger",
    "output": "paths.output_root",
}
NEAR = 0.7  # of difflib's ratio: below it a hint misleads more often than it helps
NOT_ALONE = ("name", "_target_", "_partial_")  # every group has them


def of(node: DictConfig, prefix: str = "") -> list[str]:
    """All keys below a node, sections too, without Hydra's own."""
    found = []
    for key in map(str, node):
        if key == "hydra" and not prefix:
            continue
        found.append(f"{prefix}{key}")
        is_value = not (OmegaConf.is_interpolation(node, key) or OmegaConf.is_missing(node, key))
        if is_value and isinstance(node[key], DictConfig):
            found += of(node[key], f"{prefix}{key}.")
    return found


def unknown(typed: str, key: str, cfg: DictConfig, folders: Sequence[Path]) -> str:
    """The message for a key that does not exist: the nearest that does, and those beside it.

    Args:
        typed: how it was given.
        key: its full name.
        cfg: the composed configuration.
        folders: with the files of options.
    """
    of_hydra = key.startswith("hydra.")
    known = of(cfg.hydra, "hydra.") if of_hydra else of(cfg)
    known = [each for each in known if not f"{each}.".startswith(f"{key}.")]  # it may have been added with +
    owner = key.rpartition(".")[0]
    while owner and not any(each.startswith(f"{owner}.") for each in known):
        owner = owner.rpartition(".")[0]
    beside = [each.rpartition(".")[2] for each in known if each.rpartition(".")[0] == owner]
    hint = _hint(key, known, _of_plugins(known) if of_hydra else _of_options(folders, known))
    whose = f"{owner} has" if owner else "there are"
    return f"{typed}: there is no such key; {hint}{whose}: {', '.join(beside)}"


def nearest(key: str, known: Sequence[str]) -> str | None:
    """The key that was probably meant: by what else it is called, by its last part, or by its spelling."""
    key = key.replace("-", "_").lower()
    parent, _, name = key.rpartition(".")
    if key in known:
        return key
    if (meant := SYNONYMS.get(name)) and meant.partition("=")[0] in known:
        return meant
    if name not in NOT_ALONE and (same := [each for each in known if each.rpartition(".")[2] == name]):
        return min(same, key=lambda each: each.count("."))

    def likeness(other: str) -> float:
        above, _, last = other.rpartition(".")
        whole, part = (SequenceMatcher(None, *pair).ratio() for pair in ((other, key), (last, name)))
        return max(whole, part - 0.05 * (above != parent))  # the neighbor of equal spelling first

    best = max(known, key=likeness, default=None)
    return best if best and likeness(best) >= NEAR else None


def nearest_option(option: str, options: Sequence[str]) -> str | None:
    """The option that was probably meant."""
    near = get_close_matches(option.lower(), options, n=1, cutoff=NEAR)
    return near[0] if near else None


def _hint(key: str, known: Sequence[str], elsewhere: dict[str, str]) -> str:
    if key in elsewhere:
        return f"{elsewhere[key]} has it; "
    meant = nearest(key, [*known, *elsewhere])
    if meant is None:
        return ""
    return f"did you mean {meant}? " + (f"{elsewhere[meant]} has it; " if meant in elsewhere else "")


def _of_options(folders: Sequence[Path], known: Sequence[str]) -> dict[str, str]:
    """The keys that other options of the groups have, and one that does: `{"model.stem": "model=resnet18"}`."""
    found: dict[str, str] = {}
    for group, option, node in _option_files(folders):
        for key in of(node, f"{group}."):
            if key not in known and not key.startswith(f"{group}.defaults"):
                found.setdefault(key, f"{group}={option}")
    return found


def _of_plugins(known: Sequence[str]) -> dict[str, str]:
    """Likewise of the installed launchers and sweepers: `{"hydra.launcher.n_jobs": "hydra/launcher=joblib"}`."""
    found: dict[str, str] = {}
    for group in ("launcher", "sweeper"):
        for option, stored in ConfigStore.instance().repo["hydra"][group].items():
            for key in of(stored.node, f"hydra.{group}.") if isinstance(stored, ConfigNode) else ():
                if key not in known:
                    found.setdefault(key, f"hydra/{group}={Path(option).stem}")
    return found


def _option_files(folders: Sequence[Path]) -> Iterator[tuple[str, str, DictConfig]]:
    for file in (file for folder in folders for file in sorted(folder.glob("*/*.yaml"))):
        text = file.read_text(encoding="utf-8", errors="replace")
        if "@package _global_" in text:
            continue
        try:
            node = OmegaConf.create(text)
        except Exception:  # a user's file that is broken is not what is asked about here
            continue
        if isinstance(node, DictConfig):
            yield file.parent.name, file.stem, node
