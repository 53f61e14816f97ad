"""The project folder: what the command was given, kept for when it goes on."""

import json
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from al_lightning.config.keys import nearest_option
from al_lightning.config.schema import options
from al_lightning.disk import replace_file
from al_lightning.errors import ConfigError, DataError, UserError
from al_lightning.live.settings import check
from al_lightning.people.records import tidy, twin
from al_lightning.people.store import STORE, Store
from al_lightning.runs.lock import FILE

SETTINGS, LIVE = "settings.json", "live"


class Settings(BaseModel):
    """What the command was given.

    Attributes:
        id: of the project, so that a browser never takes another one for it.
        root: the folder with the images.
        embedding: None: the best that is at hand.
        strategy: that chooses.
        seed: of all that is random in the learner.
        random_share: of the images that are handed out, drawn at random.
        twice: share of the labeled images that is asked of a second annotator.
        price: of an answer.
        budget: most answers that are asked for; None: no limit.
        target: accuracy from which on it is enough.
        worth: of a percentage point of accuracy, in the money of the price; None: nobody has said.
        overrides: further settings of a run, as `key=value`.
        port: that it was served at last: a browser keeps answers that are not sent by the address.
    """

    model_config = ConfigDict(extra="forbid")

    id: str = Field(default_factory=lambda: token_hex(8))
    root: str
    embedding: str | None = None
    strategy: str = "margin"
    seed: int = 0
    random_share: float = Field(default=0.2, ge=0, le=1)
    twice: float = Field(default=0.0, ge=0, le=1)
    price: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    budget: int | None = Field(default=None, ge=1)
    target: float = Field(default=0.9, gt=0, le=1)
    worth: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    overrides: list[str] = []
    port: int = 0

    def looking(self) -> tuple[Sequence[str], bool]:
        """Which images the learner leaves out, and whether it follows links out of the root: nobody is asked for more.

        Raises:
            ConfigError: a setting that is none.
        """
        try:
            node = OmegaConf.from_dotlist(self.overrides)
            exclude, links = (OmegaConf.select(node, f"dataset.{key}") for key in ("exclude", "follow_links"))
            if isinstance(exclude, str):
                raise ConfigError(f"dataset.exclude={exclude}: must be a list: dataset.exclude=[{exclude}]")
            return [*(exclude or ())], bool(links)
        except (OmegaConfBaseException, yaml.YAMLError) as error:
            raise ConfigError(f"{' '.join(self.overrides)}: {' '.join(str(error).split())}") from error


def default_folder(root: Path) -> Path:
    """Where the project of a folder of images is unless it is said."""
    return root.with_name(f"{root.name}-labels")


def is_project(folder: Path) -> bool:
    """Whether a folder is a project: it has settings or labels."""
    return (folder / SETTINGS).is_file() or (folder / STORE).is_file()


def read_project(folder: Path, given: dict[str, Any]) -> tuple[Settings, list[str]]:
    """The settings of a project to be made, or of the one that is there, whose lock is held. Writes nothing.

    Args:
        folder: of the project.
        given: settings that were given; of a project that is there the others stay as they are.

    Returns:
        The settings, and of a project that was there in words what has changed.

    Raises:
        ConfigError: of a setting.
        DataError: the settings that are there cannot be read.
        UserError: the folder is something else than a project.
    """
    _check_folder(folder)
    file = folder / SETTINGS
    before = _read(file) if file.is_file() else None
    for group, other in (("strategy", "ceiling"), ("embedding", "none")):  # of labels that nobody has; of no features
        known = [each for each in options(group) if each != other]
        if (name := given.get(group)) is not None and name not in known:
            near = nearest_option(name, known)
            hint = f"did you mean {near}? " if near else ""
            raise ConfigError(f"--{group} {name}: there is none of that name; {hint}there are: {', '.join(known)}")
    try:
        settings = Settings.model_validate((before.model_dump() if before else {}) | given)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise ConfigError(f"{option} {first['input']}: {first['msg'][0].lower()}{first['msg'][1:]}") from error
    try:
        check(folder, settings.model_dump())
    except ConfigError as error:
        if "overrides" in given or not settings.overrides:
            raise
        kept = " ".join(settings.overrides)
        raise ConfigError(f"{error}; the project has the settings {kept}: a bare none takes them back") from error
    changes = []
    if before and before.root != settings.root:
        _check_root(folder, before.root, Path(settings.root))
    if before:
        old, new = before.model_dump(), settings.model_dump()
        changes = [f"{key}: {_shown(old[key])} -> {_shown(new[key])}" for key in new if old[key] != new[key]]
    return settings, changes


def _check_folder(folder: Path) -> None:
    """Refuse what is there and is no project, or cannot be used as one.

    Raises:
        ConfigError: a file is where a folder has to be.
        UserError: the folder has other files.
    """
    for each in (folder, folder / LIVE):
        if os.path.lexists(each) and not each.is_dir():
            raise ConfigError(f"{each}: must be a folder, and is none; move it away, or choose with --project")
    if not folder.exists() or is_project(folder):
        return
    if other := sorted(each.name for each in folder.iterdir() if each.name != FILE):
        raise UserError(f"{folder}: is no project of labels, and has other files ({other[0]}): choose with --project")


def check_classes(folder: Path, names: Sequence[str]) -> None:
    """Refuse classes that differ from others in upper and lower case only: more of them are never meant.

    Args:
        folder: of the project; it need not be there.
        names: to be added.

    Raises:
        ConfigError: names them and the others.
    """
    known = list[str]()
    if (folder / STORE).is_file():
        with closing(Store(folder / STORE)) as store:
            known += store.classes().values()
    twins = {}
    for name in map(tidy, names):
        if other := twin(name, known):
            twins[name] = other
        else:
            known.append(name)
    if twins:
        raise ConfigError(
            f"--classes {', '.join(twins)}: there {'is' if len(twins) == 1 else 'are'} {', '.join(twins.values())}, "
            "and only upper and lower case differ: write them so, or choose other names"
        )


def _check_root(folder: Path, before: str, root: Path) -> None:
    """Refuse a folder of other images, which would all count as gone.

    Raises:
        UserError: it has none of the project's files.
    """
    if not (folder / STORE).is_file():
        return
    with closing(Store(folder / STORE)) as store:
        files = store.files()
    if files and not any((root / path).is_file() for path in files):
        raise UserError(
            f"{folder}: is the project of {before}, and none of its {len(files):,} files is in {root}: name that "
            "folder, wherever it is now, or choose another project with --project"
        )


def write(folder: Path, settings: Settings) -> None:
    """Keep the settings of a project."""
    replace_file(folder, SETTINGS, (settings.model_dump_json(indent=2) + "\n").encode())


def _read(file: Path) -> Settings:
    try:
        return Settings.model_validate(json.loads(file.read_bytes()))
    except (OSError, ValueError) as error:  # a ValidationError is one
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise DataError(
            f"{file}: the settings of the project cannot be read: {reason}; mend the file, or delete it and give the "
            "options again: labels are not in it"
        ) from error


def _shown(value: Any) -> str:
    return " ".join(value) if isinstance(value, list) else "none" if value is None else str(value)
