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
_GROUPS = ("dataset", "model", "optimizer", "trainer", "logger")
# Of one run, or given by the command itself.
_NOT_TYPED = {"seed", "study", "resume", "overwrite", "debug", "dry_run", "experiment", "train.profile"}
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
    of = {str(method): rows for method, rows in comparison.rounds.groupby("method")}
    run = of[methods[-1]].iloc[-1]
    strategies = list(dict.fromkeys(of[method]["strategy"].iloc[0] for method in methods))
    new = sum(seed not in set(of[method]["seed"]) for method in methods for seed in seeds)
    if comparison.reference is None:
        strategies, new = [REFERENCE], len(seeds)
    took = _seconds(comparison) * new
    why += f" ({counted(new, 'run')}{f', about {duration(took)} one after the other' if took > 0 else ''})"
    typed = _typed(Path(run["folder"]), strategies[-1])
    if typed is None:
        return (f"{why}: {', '.join(strategies)} with seeds {', '.join(map(str, seeds))}, else set as these runs are.",)
    given = [f"strategy={','.join(strategies)}", f"seed={_sweep(seeds)}"]
    words = [f"study={_word(run['study'])}", *typed, *given]
    return f"{why}:", " ".join(["python -m al_lightning --multirun", *map(shlex.quote, words)])


def _wanted(comparison: Comparison) -> tuple[list[str], list[int], str] | None:
    """Methods, seeds, and what they are for."""
    if not comparison.methods:
        return None
    have = {str(m): set(map(int, rows["seed"])) for m, rows in comparison.rounds.groupby("method")}
    if comparison.reference is None:
        return [comparison.methods[0]], sorted(have[comparison.methods[0]]), f"To compare with {REFERENCE}, run it"
    rows = comparison.verdicts.to_dict("records")
    few = [row["method"] for row in rows if row["verdict"] in (OPEN, UNKNOWN) and row["seeds"] < LEAST_SEEDS]
    if few:
        methods = [REFERENCE, *few]
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


def _strategy(comparison: Comparison, method: str) -> str:
    named = comparison.rounds.loc[comparison.rounds["method"] == method, "strategy"]
    return str(named.iloc[0]) if len(named) else method


def _typed(folder: Path, strategy: str) -> list[str] | None:
    """What makes the settings of a run, but for its strategy, seed and study; None where they cannot be composed."""
    from hydra.errors import HydraException  # Hydra takes a quarter of a second to import
    from omegaconf.errors import OmegaConfBaseException

    try:
        settings = dict(leaves(read_config(folder)))
        said = [f"experiment={settings['experiment']}"] if settings.get("experiment") else []
        usual = _composed([*said, f"strategy={strategy}"])
        said += [
            f"{group}={name}"
            for group in _GROUPS
            if (name := settings[f"{group}.name"]) is not None and name != usual[f"{group}.name"]
        ]
        usual = _composed([*said, f"strategy={strategy}"])
    except (OSError, KeyError, yaml.YAMLError, HydraException, OmegaConfBaseException):
        return None  # of another version, or from a folder of configurations that is not here
    return said + [
        f"{key}={_word(value)}"
        for key, value in settings.items()
        if key in usual and value != usual[key] and _is_typed(key)
    ]


def _is_typed(key: str) -> bool:
    return key not in _NOT_TYPED and not key.startswith("strategy.") and not key.endswith("._target_")


def _composed(overrides: list[str]) -> dict[str, Any]:
    """The configuration that a command line gives, by dotted key."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from al_lightning.config import conf_dir  # which also registers the schema

    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return dict(leaves(OmegaConf.to_container(compose("config", overrides), resolve=True)))


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
