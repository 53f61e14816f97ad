"""What `--help` and `--version` show."""

import re
import shutil
import sys
import textwrap
from importlib.metadata import version as installed

from omegaconf import DictConfig, OmegaConf

from al_lightning import __version__
from al_lightning.config.schema import conf_dir, options

# The keys that are typed most, and the file of conf/ that explains each.
KEYS = {
    "dataset": "config",
    "strategy": "config",
    "model": "config",
    "experiment": "config",
    "logger": "config",
    "seed": "config",
    "study": "config",
    "al.initial_size": "config",
    "al.query_size": "config",
    "al.rounds": "config",
    "al.budget": "config",
    "optimizer.lr": "optimizer/adam",
    "trainer.max_epochs": "trainer/default",
    "dry_run": "config",
    "resume": "config",
}
PAGE = """\
Deep active learning on images: train on few labels, choose what to label next, repeat, compare.

  python -m al_lightning dataset=mnist strategy=margin
  python -m al_lightning --multirun dataset=mnist seed=0,1,2 strategy=random,margin
  python -m al_lightning dataset=folder dataset.root=photos dataset.image_size=64

Settings are key=value. Those typed most, with their defaults:

{keys}

The same command again goes on with a run that was stopped.
All keys, each with a comment: {conf}; as composed: --cfg job.
Hydra's own flags (--multirun, --config-dir, ...): --hydra-help.
The report on a study: python -m al_lightning.report multirun_outputs/STUDY"""


def version() -> str:
    """This program's version, and those of what it stands on."""
    names = {"torch": "torch", "lightning": "pytorch-lightning", "hydra": "hydra-core"}
    parts = ", ".join(f"{name} {installed(package)}" for name, package in names.items())
    return f"al_lightning {__version__} ({parts}, python {sys.version.split()[0]})"


def page(cfg: DictConfig) -> str:
    """The help.

    Args:
        cfg: the configuration as composed without settings, for the defaults.
    """
    rows = [(key, _default(key, cfg), _meaning(key, file)) for key, file in KEYS.items()]
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    room = max(30, shutil.get_terminal_size((100, 40)).columns - sum(widths) - 6)
    lines = [
        f"  {key:<{widths[0]}}  {default:<{widths[1]}}  {textwrap.shorten(meaning, room, placeholder=' ...')}"
        for key, default, meaning in rows
    ]
    return PAGE.format(keys="\n".join(lines), conf=conf_dir())


def _default(key: str, cfg: DictConfig) -> str:
    value = OmegaConf.select(cfg, key)
    if isinstance(value, DictConfig):
        value = value.name
    return {"None": "none", "False": "false"}.get(str(value), str(value))


def _meaning(key: str, file: str) -> str:
    """The comment on the key's line; of a group its options too."""
    name = key.rpartition(".")[2]
    text = (conf_dir() / f"{file}.yaml").read_text(encoding="utf-8")
    comment = re.search(rf"^\s*(?:- )?{name}: .*?  # (.*)$", text, re.MULTILINE)
    meaning = comment[1] if comment else ""
    return f"{meaning.partition(':')[0]}: {', '.join(options(key))}" if options(key) else meaning
