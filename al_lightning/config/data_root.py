"""Where a data set lies: one spelling for one folder."""

import os
from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig, OmegaConf


def settle(cfg: DictConfig) -> None:
    """Make a `dataset.root` that was typed the real path of the folder, so that it is found from everywhere.

    One that was typed as a folder in a relative `paths.data` stays relative: they move together. An `oracle.store`
    likewise is a real path.
    """
    if store := OmegaConf.select(cfg, "oracle.store"):
        cfg.oracle.store = str(real(store))
    root, data = OmegaConf.select(cfg, "dataset.root"), cfg.paths.data
    if not isinstance(root, str):
        return
    within = inside(data, root, real)
    if within is None or Path(root).expanduser().is_absolute():
        cfg.dataset.root = str(real(root))
        if within is not None:
            cfg.paths.data = str(real(data))
    else:
        cfg.dataset.root = str(Path(data, within))


def inside(data: str, root: str, absolute: Callable[[str], Path]) -> str | None:
    """Where a folder lies in `paths.data`, from there; None where it lies elsewhere."""
    folder, top = absolute(root), absolute(data)
    return folder.relative_to(top).as_posix() if data and folder.is_relative_to(top) else None


def real(path: str) -> Path:
    """The absolute path, links followed."""
    return Path(os.path.realpath(Path(path).expanduser()))


def lexical(path: str) -> Path:
    """The absolute path by its spelling alone: a folder that gave way to a link to where it is now has it still."""
    return Path(os.path.normpath(Path.cwd() / Path(path).expanduser()))
