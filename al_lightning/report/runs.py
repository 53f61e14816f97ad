"""Run folders as a table. Nothing here writes into a run folder, or keeps its lock."""

import json
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from al_lightning.config import identity
from al_lightning.config.effects import ALWAYS, Effect, counts, leaves, of
from al_lightning.errors import DataError
from al_lightning.report.bounds import marked
from al_lightning.runs.folder_state import SET_ASIDE, SWEEPS
from al_lightning.runs.lock import HOLDER, is_open
from al_lightning.runs.rounds import read_json

# Settings that have a column of their own, or are held against each other as images.
_OWN_COLUMN = {"seed", "dataset.name", "dataset.root"}
# A run that never queries does not depend on them, or has them as the axis of its curve.
OF_QUERYING = ("al.initial_size", "al.query_size", "al.pool_sample", "al.candidates", "al.n_neighbors")
OF_COMMITTEE = ("model.members", "model.ensemble", "model.sampling")  # they change what is asked for, and nothing else
_YAML = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast
_TEXT = ("fit/reason", "stop/reason", "stop/act", "control/verdict")  # with fit/ok, the columns that hold no numbers
_NEEDED = ("round", "n_labeled", "test/acc")
_HEAD = ("folder", "study", "dataset", "model", "strategy", "setting", "method", "seed", "state", "one_shot")


class NotMeasuredError(Exception):
    """A run in which nothing was measured; the message says why."""


@dataclass(frozen=True)
class _Run:
    folder: Path
    rows: pd.DataFrame
    settings: dict[str, Any]  # by dotted key
    state: str
    one_shot: bool
    images: str  # fingerprint of the data; empty where it is not known

    def __getitem__(self, key: str) -> Any:
        return self.settings.get(key)


def find(folders: Iterable[str | Path]) -> Iterator[Path]:
    """Run folders in some folders, at any depth, in order of their paths, each once.

    Those that were set aside are left out.

    Raises:
        DataError: one of the folders is not there.
    """
    seen: set[str] = set()
    for folder in folders:
        if not Path(folder).is_dir():
            raise DataError(f"{folder}: there is no such folder; give a run folder, a study, or a folder of studies")
        for parent, inside, files in os.walk(folder):
            if _is_run(files, inside):
                inside.clear()  # a run of 150 rounds has 150 folders
                if (real := os.path.realpath(parent)) not in seen:
                    seen.add(real)
                    yield Path(parent)
            inside[:] = sorted(name for name in inside if name not in (SET_ASIDE, SWEEPS))


def is_run(folder: Path) -> bool:
    """Whether a folder is a run folder; a `rounds.csv` of the user's own does not make one."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return _is_run(names, names)


def _is_run(files: Collection[str], folders: Collection[str]) -> bool:
    """By what lies in it; a damaged run may lack its configuration, and is to be named."""
    if "config.yaml" in files:
        return "rounds.csv" in files or "summary.json" in files
    return "rounds.csv" in files and ("rounds" in folders or "summary.json" in files)


def load(*folders: str | Path) -> pd.DataFrame:
    """Load the rounds of all runs in some folders: finished, running, stopped and failed ones.

    Args:
        *folders: run folders, studies, or folders of studies.

    Returns:
        A row a round: who it belongs to, then the columns of `rounds.csv` as they are.

        - `folder`: of the run; `study, dataset, model, strategy, seed` as its `config.yaml` says.
        - `setting`: what a comparison holds fixed: the data set, and every setting outside of the strategy that
          differs between the loaded runs of that data set, such as `mnist, model=cnn`.
        - `method`: the strategy, and those of its own settings that differ between its runs in a setting, such as
          `kmeans n_clusters=10`.
        - `state`: `finished`, `running`, `waiting` (for answers), `stopped` (killed or interrupted) or `failed`.
        - `one_shot`: the run was planned to train once and never to query. Its initial size is no part of `setting`.

        `attrs["notes"]` is a tuple of sentences: which runs could not be read, and why.

    Raises:
        DataError: a folder is not there, or there is no readable run with a round.
    """
    runs: list[_Run] = []
    notes: list[str] = []
    for folder in find(folders):
        try:
            runs.append(_read(folder, notes))
        except FileNotFoundError as error:  # or begun anew, or set aside, while this reads
            name = Path(error.filename or "").name
            what = "it has no committed round" if name == "rounds.csv" else f"{name} is not there"
            notes.append(f"{folder}: left out: {what}.")
        except NotMeasuredError as error:
            notes.append(f"{folder}: left out: {error}, so there is nothing to compare.")
        except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
            notes.append(f"{folder}: left out: damaged: {' '.join(str(error).split())}; give its command again.")
    if not runs:
        raise DataError("; ".join([f"{', '.join(map(str, folders))}: no run with a committed round in there", *notes]))
    settings = _settings(runs)
    methods = _methods(runs, settings)
    head = [
        {
            "folder": str(run.folder),
            "study": _printable(run["study"]),
            **{group: _printable(run[f"{group}.name"]) for group in ("dataset", "model", "strategy")},
            "setting": _printable(setting),
            "method": _printable(method),
            "seed": int(run["seed"]),
            "state": run.state,
            "one_shot": run.one_shot,
        }
        for run, setting, method in zip(runs, settings, methods, strict=True)
    ]
    lengths = [len(run.rows) for run in runs]
    heads = pd.DataFrame(head).loc[[i for i, n in enumerate(lengths) for _ in range(n)]].reset_index(drop=True)
    table = pd.concat([heads, pd.concat([run.rows for run in runs], ignore_index=True)], axis=1)
    table.attrs["notes"] = tuple(map(_printable, notes))
    return table


def _read(folder: Path, notes: list[str]) -> _Run:
    for name in ("config.yaml", "rounds.csv", "summary.json", HOLDER):  # a link leads out, a pipe never ends
        with suppress(FileNotFoundError):
            if not stat.S_ISREG((folder / name).lstat().st_mode):
                raise ValueError(f"{name} is not a plain file")
    settings = dict(leaves(identity.public(read_config(folder))))
    settings.pop("format", None)
    for key in ("study", "seed", "dataset.name", "model.name", "strategy.name"):
        if key not in settings:
            raise ValueError(f"config.yaml has no {key}")
    int(settings["seed"])
    try:
        rows = pd.read_csv(folder / "rounds.csv")
        values = rows.drop(columns=[column for column in ("fit/ok", *_TEXT) if column in rows]).astype(float)
        if "fit/ok" in rows:
            rows["fit/ok"] = rows["fit/ok"].astype("boolean")
        for column in [column for column in _TEXT if column in rows]:
            rows[column] = rows[column].astype("string").map(_printable, na_action="ignore")
    except (ValueError, TypeError) as error:
        raise ValueError(f"rounds.csv: {error}") from error
    if missing := [column for column in _NEEDED if column not in rows]:
        raise ValueError(f"rounds.csv has no column {missing[0]}")
    if clash := [column for column in _HEAD if column in rows]:
        raise ValueError(f"rounds.csv has a column {clash[0]}, which is not its own")
    if "fit/steps" in values:
        has_model = values["fit/steps"].notna() | values["test/acc"].notna()  # not yet, in a round before any labels
        rows, values = rows.loc[has_model].reset_index(drop=True), values.loc[has_model]
    if bool(values["test/acc"].isna().to_numpy().all()) and (len(values) or "fit/steps" in values):
        raise NotMeasuredError("it has no test part" if len(values) else "it ended before anything was trained")
    numbers = values[list(_NEEDED)].to_numpy()
    least = 0 if "n_skipped" in rows else 1  # answers may all be no labels
    if rows.empty or not np.isfinite(numbers).all() or (np.diff(numbers[:, 1]) < least).any():
        raise ValueError("rounds.csv does not hold a row a round, with no fewer labels in each")
    summary = read_json(folder / "summary.json")
    if summary is None:
        notes.append(f"{folder}: summary.json cannot be read; whether the run has finished is not known.")
        summary = {}
    planned = summary.get("rounds_planned")
    one_shot = len(rows) == 1 and (planned == 1 if planned is not None else settings.get("al.rounds") == 0)
    images = str(summary.get("data_fingerprint") or "")
    return _Run(folder, rows, settings, _state(folder, summary.get("state"), notes), one_shot, images)


def read_config(folder: Path) -> Any:
    """What `config.yaml` of a run folder holds."""
    with (folder / "config.yaml").open(encoding="utf-8") as file:
        return yaml.load(file, _YAML)


def _state(folder: Path, said: object, notes: list[str]) -> str:
    """What has become of a run: a killed process leaves `running` and its name behind, but holds no lock."""
    if said == "finished":
        return "finished"
    try:
        if (folder / HOLDER).exists() and is_open(folder):
            return "running"
    except OSError as error:
        notes.append(f"{folder}: its lock cannot be asked ({error.strerror}); whether the run goes on is not known.")
    return str(said) if said in ("failed", "waiting") else "stopped"


def _settings(runs: Sequence[_Run]) -> list[str]:
    """What a comparison holds fixed, for every run."""
    names = [str(run["dataset.name"]) for run in runs]
    for members in _groups(names):
        group = [runs[i] for i in members]
        keys = [key for key in _keys(group) if _compared(key)]
        for key in _differing(group, keys):
            # `model.name`, `optimizer.name`: a choice from a group is spelled as on the command line.
            shown = key.removesuffix(".name")
            for i in members:
                if not _off(key, runs[i][key]) and not (runs[i].one_shot and key in OF_QUERYING):
                    names[i] += f", {shown}={_text(runs[i][key])}"
    for members in _groups(names):  # two folders of images may have one name
        if len({runs[i].images for i in members} - {""}) > 1:
            for i in members:
                names[i] += f", images={runs[i].images[:8] or 'unknown'}"
    return names


def _methods(runs: Sequence[_Run], settings: Sequence[str]) -> list[str]:
    """The strategy with what tells its variants apart within a setting, for every run."""
    names = [marked(str(run["strategy.name"])) + _committee(run) for run in runs]
    for members in _groups([None if run.one_shot else pair for run, *pair in zip(runs, settings, names, strict=True)]):
        group = [runs[i] for i in members]
        if group[0].one_shot:
            continue
        keys = _differing(group, [key for key in _keys(group) if key.startswith("strategy.")])
        short = [key.rpartition(".")[2] for key in keys]
        for key, last in zip(keys, short, strict=True):
            shown = last if short.count(last) == 1 else key.removeprefix("strategy.")
            for i in members:
                if not _off(key, runs[i][key]):
                    names[i] += f" {shown}={_text(runs[i][key])}"
    return names


def _committee(run: _Run) -> str:
    own = [(key, run[key]) for key in OF_COMMITTEE if key in run.settings and counts(key, run[key])]
    return "".join(f" {key.rpartition('.')[2]}={_text(value)}" for key, value in own)


def _differing(runs: Sequence[_Run], keys: Iterable[str]) -> list[str]:
    """Keys whose values differ between runs that made the same choice from the key's group.

    ResNet-18 has a stem and the small network a width: that follows from `model=cnn` and need not be said.
    """
    found = []
    for key in keys:
        name = f"{key.partition('.')[0]}.name"
        values: dict[str, set[str]] = {}
        for run in runs:
            choice = "" if key == name or not _compared(name) else _text(run[name])
            if key not in OF_QUERYING or not run.one_shot:
                # A run may be older than the setting.
                value = run.settings.get(key, None if of(key).absent is ALWAYS else of(key).absent)
                values.setdefault(choice, set()).add("" if _off(key, value) else _text(value))
        if any(len(distinct) > 1 for distinct in values.values()):
            found.append(key)
    return found


def _compared(key: str) -> bool:
    own = key in (*_OWN_COLUMN, *OF_COMMITTEE) or key.startswith("strategy.")
    return of(key).effect is Effect.RESULT and not own


def _off(key: str, value: object) -> bool:
    """Whether a setting is switched off, or only spells out what others decide."""
    return value is None or value is False or bool(of(key).alike and not counts(key, value))


def _keys(runs: Iterable[_Run]) -> list[str]:
    """All keys that occur, choices from a group first."""
    return sorted({key for run in runs for key in run.settings}, key=lambda key: (not key.endswith(".name"), key))


def _groups(keys: Sequence[object]) -> list[list[int]]:
    """Positions of equal keys."""
    groups: dict[str, list[int]] = {}
    for position, key in enumerate(keys):
        groups.setdefault(repr(key), []).append(position)
    return list(groups.values())


def _text(value: object) -> str:
    """A value as one would type it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # 1 and 1.0 are one setting
    return value if isinstance(value, str) else re.sub(r",\s", ",", json.dumps(value, default=str))


def _printable(value: object) -> str:
    """Text without the signs that steer a terminal: a run folder may come from elsewhere."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(value))
