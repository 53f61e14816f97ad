"""Which folders of a root are its training and its test part, by their names."""

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from al_lightning.data.names import normal
from al_lightning.errors import ConfigError

_WORDS = {
    **dict.fromkeys(("trainval", "training", "train"), "train"),
    **dict.fromkeys(("testing", "test"), "test"),
    **dict.fromkeys(("validation", "valid", "val", "evaluation", "eval", "dev"), "val"),
}
# A word between what is no letter: `seg_train`, `train2017`, `training_set`, `testset`; not `trained` or `contest`.
_PATTERN = re.compile(rf"(.*?)(?<![a-z])({'|'.join(_WORDS)})(?:set|data|images)?(?![a-z])(.*)", re.DOTALL)
# Names of kinds of files: pictures and what belongs to each of them.
_KINDS = frozenset(
    {
        *("image", "images", "img", "imgs", "mask", "masks", "label", "labels", "annotation", "annotations"),
        *("segmentation", "segmentations", "gt", "groundtruth", "ground_truth"),
    }
)


class Parts(NamedTuple):
    """What is read of a root.

    Attributes:
        pool: the folder that holds the classes of the pool, relative to the root; `.` is the root itself.
        test: the folder that holds those of the test part; None: it is split off the pool.
        said: what a person should know of it, or nothing.
    """

    pool: str
    test: str | None
    said: str = ""


def role(name: str) -> tuple[str, str] | None:
    """Whether a folder's name says `train`, `test` or `val`, and what else it says: `("train", "seg_*")`."""
    found = _PATTERN.fullmatch(normal(name).casefold())
    return (_WORDS[found[2]], f"{found[1]}*{found[3]}") if found else None


def find_parts(root: str, folders: Sequence[str]) -> Parts:
    """Find the parts among the folders of a root.

    Two names are a pair where they differ in the word only: `train` and `val`, `seg_train` and `seg_test`. A `val` is
    the test part where there is no `test`. A `train` that is the only folder holds the classes; one among others,
    with neither, is a class like them.

    Raises:
        ConfigError: more than one pair, or a part twice.
    """
    families: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in folders:
        if known := role(name):
            families[known[1]][known[0]].append(name)
    pairs = {rest: each for rest, each in families.items() if "train" in each and ("test" in each or "val" in each)}
    if not pairs:
        only = len(folders) == 1 and role(folders[0])
        return Parts(folders[0], None) if only and only[0] == "train" else Parts(".", None)
    chosen = pairs.get("*") or next(iter(pairs.values()))
    used = "test" if "test" in chosen else "val"
    if (len(pairs) > 1 and "*" not in pairs) or len(chosen["train"]) > 1 or len(chosen[used]) > 1:
        found = ", ".join(sorted(name for each in pairs.values() for names in each.values() for name in names))
        raise ConfigError(
            f"dataset.root={root}: more than one folder there could be the training or the test part: {found}; "
            "say which: dataset.parts=[TRAIN,TEST]."
        )
    pool, test = chosen["train"][0], chosen[used][0]
    said = [f"no test folder, so {test} is the test part"] if used == "val" else []
    if unread := sorted({*folders} - {pool, test}):
        said.append(f"only {pool} and {test} are read, not {', '.join(unread)}")
    return Parts(pool, test, "; ".join(said))


def check_are_classes(root: str, parts: Parts, files: Mapping[str, Iterable[str]]) -> None:
    """Refuse folders that are something else than classes, and say on standard error which may be.

    Args:
        root: as it was given, for the message.
        parts: what the folders were found in.
        files: of each folder with images, their paths below it.

    Raises:
        ConfigError: all are named like kinds of files; or all hold the same folders, and no image beside these.
    """
    if len(files) < 2:
        return
    names = ", ".join(sorted(files))
    as_classes = f"dataset.parts={'null' if parts.test is None else f'[{parts.pool},{parts.test}]'}"
    below = "" if parts.pool == "." else f"/{parts.pool}"
    if {name.casefold() for name in files} <= _KINDS:
        raise ConfigError(
            f"dataset.root={root}: its folders{f' in {parts.pool}' if below else ''} are named like kinds of files, "
            f"not like classes: {names}; give the one that holds a folder a class as dataset.root, "
            f"or, if they are the classes, {as_classes}."
        )
    inner = {name: {path.partition("/")[0] if "/" in path else "" for path in files[name]} for name in files}
    shared = set[str].intersection(*inner.values())
    if len(shared) > 1 and not any("" in each for each in inner.values()):
        some = sorted(shared)
        first, second = sorted(files)[:2]
        pair = (
            f" If one is for training and one for testing: dataset.parts=[{first},{second}]."
            if parts.test is None
            else ""
        )
        raise ConfigError(
            f"dataset.root={root}: its folders {names}{f' in {parts.pool}' if below else ''} all hold the same folders "
            f"({', '.join(some[:5])}{', ...' * (len(some) > 5)}), and no image beside these: which are the classes? "
            f"If the inner ones, give an outer one as the root: dataset.root={root}{below}/{first}.{pair} "
            f"If the outer ones are the classes: {as_classes}."
        )
    for name, folders in inner.items():
        if role(name) and len(folders) > 1 and "" not in folders:
            meant = f"dataset.root={root}{below}/{name}"
            print(f"note: {root}: {name} is taken for a class; if it holds the classes: {meant}", file=sys.stderr)
