"""How W&B is used and where its folders lie: as configured, or as its environment variables say."""

import os
from collections.abc import Set
from hashlib import sha256
from pathlib import Path

from al_lightning.runs.folder_state import SET_ASIDE
from al_lightning.runs.run_info import RunInfo

MODES = ("online", "offline", "disabled")
PROJECT = "al_lightning"  # where neither the configuration nor WANDB_PROJECT names one


def resolve_mode(configured: str | None) -> str:
    """How W&B is used: `WANDB_MODE` if set, else as configured, else online with a known key and offline without.

    Args:
        configured: one of MODES, or None.

    Returns:
        One of MODES.

    Raises:
        ValueError: another mode.
    """
    mode = named_mode(configured)
    if mode is None:
        import wandb

        try:
            return "online" if logged_in() else "offline"
        except wandb.Error:
            return "online"  # there is a key, but a malformed one: going online will say so
    return mode


def named_mode(configured: str | None) -> str | None:
    """The mode that `WANDB_MODE` or the configuration names, else None; errors as :func:`resolve_mode`."""
    mode = os.environ.get("WANDB_MODE") or configured
    mode = {"run": "online", "dryrun": "offline"}.get(mode, mode) if mode else None  # W&B's older names
    if mode not in (None, *MODES):
        raise ValueError(f"WANDB_MODE or logger.mode is {mode!r}; allowed: {', '.join(MODES)}")
    return mode


def project(configured: str | None) -> str:
    """The project: as configured, else `WANDB_PROJECT`, else this program's name."""
    return configured or os.environ.get("WANDB_PROJECT") or PROJECT


def tags(configured: list[str]) -> list[str]:
    """Tags as configured, else those of `WANDB_TAGS`, which commas part."""
    return configured or [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag.strip()]


def place(run: Path) -> Path:
    """The folder in which W&B makes its `wandb`: `WANDB_DIR`, else the study of a run folder."""
    return Path(os.environ.get("WANDB_DIR") or run.parent)


def logged_in() -> bool:
    """Whether W&B knows a key; it is neither asked for nor checked."""
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    return bool(wandb.api.api_key)


def run_id(run: RunInfo) -> str:
    """The id of a run in W&B, 16 hex digits: the same whenever the run goes on, another one after `overwrite=true`."""
    return run_ids(run.folder, run.study)[-1]


def run_ids(folder: Path, study: str) -> list[str]:
    """The ids of a run in W&B, by its folder, and before it those of the runs that were set aside for it."""
    set_aside = (folder.parent / SET_ASIDE).glob(f"{folder.name}.*")
    name = f"{study}/{folder.name}"
    names = [name, *(f"{name}/{number}" for number, _ in enumerate(set_aside, 1))]
    return [sha256(each.encode()).hexdigest()[:16] for each in names]


def local_folders(run: RunInfo) -> set[Path]:
    """W&B's folders of a run on this disk, and of those that were set aside for it."""
    return {
        folder
        for id_ in run_ids(run.folder, run.study)
        for folder in (place(run.folder) / "wandb").glob(f"*run-*-{id_}")
    }


def set_aside(run: RunInfo, keep: Set[Path]) -> None:
    """Move a run's folders, but for those to keep, from `wandb` to `wandb-replaced` beside it."""
    for folder in local_folders(run) - keep:
        replaced = place(run.folder) / "wandb-replaced"
        replaced.mkdir(exist_ok=True)
        folder.rename(replaced / folder.name)
