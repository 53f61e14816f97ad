"""The command that would settle what the seeds so far leave open, and how long it would take."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from al_lightning.report.compare import REFERENCE, Comparison
from al_lightning.report.runs import leaves, read_config
from al_lightning.report.verdict import LEAST_SEEDS, MOST_SEEDS, OPEN, UNKNOWN
from al_lightning.words import counted, duration

FEW = 10  # seeds to be listed one by one
ENOUGH = 5  # seeds that a study without a verdict is brought to
_GROUPS = ("dataset", "embedding", "model", "optimizer", "trainer", "logger")
# Of one run, or given by the command itself.
_NOT_TYPED = {"seed", "study", "resume", "overwrite", "skip_changed", "debug", "dry_run", "experiment", "train.profile"}
_NOT_TYPED |= {"moved_from", "named_by"}
_PLAIN = re.compile(r"[\w./:+-]+")


def settle(comparison: Comparison) -> tuple[str, ...]:
    """What to type for a verdict on what has none yet.

    Without a reference that is the reference, with fewer than three seeds those up to five; else the seeds that the
    strategy which needs the fewest more is short of.

    Args:
        comparison: of one setting.

    Returns:
        A sentence and the command; a sentence alone where no command would do; nothing where nothing is open.
    """
    wanted = _wanted(comparison)
    if wanted is None:
        return ()
    methods, seeds, why = wanted
    if not seeds:
        return (why,)
    have = _seeds_of(comparison)
    new = sum(seed not in have[method] for method in methods for seed in seeds)
    strategies = [_strategy(comparison, method) for method in methods]
    if comparison.reference is None:
        strategies, new = [REFERENCE], len(seeds)
    took = _seconds(comparison) * new
    why += f" ({counted(new, 'run')}{f', about {duration(took)} one after the other' if took > 0 else ''})"
    last = {str(method): rows.iloc[-1] for method, rows in comparison.rounds.groupby("method")}
    # Of random nothing is typed that random does not look at.
    typed = [_typed(Path(last[m]["folder"]), _strategy(comparison, m)) for m in methods if m != comparison.reference]
    if None in typed:
        return (f"{why}: {', '.join(strategies)} with seeds {', '.join(map(str, seeds))}, else set as these runs are.",)
    settings = {key: value for each in typed if each for key, value in each.items()}
    words = [f"study={_word(last[methods[0]]['study'])}", *(f"{key}={value}" for key, value in settings.items())]
    words += [f"seed={_sweep(seeds)}", f"strategy={','.join(strategies)}"]  # all strategies of a seed come first
    return f"{why}:", " ".join(["python -m al_lightning --multirun", *map(shlex.quote, words)])


def _wanted(comparison: Comparison) -> tuple[list[str], list[int], str] | None:
    """Methods, seeds, and what they are for."""
    if not comparison.methods:
        return None
    have = _seeds_of(comparison)
    if comparison.reference is None:
        return [comparison.methods[0]], sorted(have[comparison.methods[0]]), f"To compare with {REFERENCE}, run it"
    rows = comparison.verdicts.to_dict("records")
    few = [row["method"] for row in rows if row["verdict"] in (OPEN, UNKNOWN) and row["seeds"] < LEAST_SEEDS]
    if few:
        # One command has one setting of a strategy; its other variants have theirs after the next report.
        methods = [REFERENCE, *{_strategy(comparison, method): method for method in reversed(few)}.values()]
        return methods, _seeds(have, methods, ENOUGH), "For a verdict, run more seeds"
    unclear = [row for row in rows if row["verdict"] == OPEN and not np.isnan(row["more_seeds"])]
    if not unclear:
        return None
    nearest = min(unclear, key=lambda row: row["more_seeds"])
    if np.isinf(nearest["more_seeds"]):
        return [], [], f"More than {MOST_SEEDS} more seeds would be needed to find differences as small as those seen."
    methods = [REFERENCE, nearest["method"]]
    seeds = _seeds(have, methods, nearest["seeds"] + int(nearest["more_seeds"]))
    return methods, seeds, f"To settle {nearest['method']} against {REFERENCE}, run more seeds"


def _seeds_of(comparison: Comparison) -> dict[str, set[int]]:
    """The seeds of each method that take part, or would where nothing can be compared."""
    table = comparison.areas if len(comparison.areas) else comparison.rounds
    found = {method: set() for method in comparison.methods}
    return found | {str(method): set(map(int, rows["seed"])) for method, rows in table.groupby("method")}


def _strategy(comparison: Comparison, method: str) -> str:
    return str(comparison.rounds.loc[comparison.rounds["method"] == method, "strategy"].iloc[0])


def _sweep(seeds: Sequence[int]) -> str:
    """Seeds as Hydra's sweeper takes them."""
    if len(seeds) > FEW and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"range({seeds[0]},{seeds[-1] + 1})"
    return ",".join(map(str, seeds))


def _seeds(have: Mapping[str, set[int]], methods: Sequence[str], enough: int) -> list[int]:
    """The seeds that some methods lack of so many in common: those that the first has, then new ones."""
    ours = sorted(have[methods[0]], key=lambda seed: (-sum(seed in have[method] for method in methods), seed))
    new = (seed for seed in count() if seed not in have[methods[0]])
    return sorted(s for s in [*ours, *islice(new, enough)][:enough] if any(s not in have[m] for m in methods))


def _typed(folder: Path, strategy: str) -> dict[str, str] | None:
    """What makes the settings of a run, but for its strategy, seed and study; None where they cannot be composed."""
    from hydra.errors import HydraException  # Hydra takes a quarter of a second to import
    from omegaconf.errors import OmegaConfBaseException

    try:
        settings = dict(leaves(read_config(folder)))
        said = {"experiment": settings["experiment"]} if settings.get("experiment") else {}
        usual = _composed(said | {"strategy": strategy})
        for group in (*_GROUPS, "optimizer"):  # again: that of a head is another one until it is typed
            if (name := settings.get(f"{group}.name", "none")) != usual[f"{group}.name"]:
                said[group] = name
                usual = _composed(said | {"strategy": strategy})
        if (data := settings["paths.data"]) != usual["paths.data"]:  # other settings follow from it
            said["paths.data"] = _word(data)
        usual = _composed(said | {"strategy": strategy})
    except (OSError, KeyError, yaml.YAMLError, HydraException, OmegaConfBaseException):
        return None  # of another version, or from a folder of configurations that is not here
    own = {key: value for key, value in settings.items() if key in usual and value != usual[key] and _is_typed(key)}
    return said | {key: _word(value) for key, value in own.items()}


def _is_typed(key: str) -> bool:
    return key not in _NOT_TYPED and not key.startswith("strategy.") and not key.endswith("._target_")


def _composed(typed: Mapping[str, str]) -> dict[str, Any]:
    """The configuration that a command line gives, by dotted key."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from al_lightning.config.schema import conf_dir  # which also registers the schema

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", [f"{key}={value}" for key, value in typed.items()])
        return dict(leaves(OmegaConf.to_container(cfg, resolve=True)))


def _word(value: object) -> str:
    """A value as Hydra's command line takes it."""
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _seconds(comparison: Comparison) -> float:
    """Of a run, the median over the finished ones; nan where none says."""
    rounds = comparison.rounds
    phases = [column for column in rounds if str(column).startswith("seconds/")]
    totals = rounds.loc[rounds["state"] == "finished"].groupby("folder")[phases].sum().sum(axis=1)
    return float(totals.median()) if phases and len(totals) else float("nan")
