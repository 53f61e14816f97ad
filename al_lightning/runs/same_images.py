"""A run is of the images that it was made with: those that are there now are held against them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from al_lightning import build
from al_lightning.config.plan import Begun, Plan, make_plan
from al_lightning.config.schema import ActiveLearning
from al_lightning.data import growing, listing, masks
from al_lightning.data.images import ImageData
from al_lightning.data.listing import Listing
from al_lightning.errors import ConfigError, DataError
from al_lightning.oracle.ledger import VALIDATION
from al_lightning.runs import rounds
from al_lightning.runs.folder_state import LISTING, Standing, standing
from al_lightning.runs.rounds import INITIAL, DamagedError, read_json


@dataclass(frozen=True)
class GrowingPool:
    """A pool that may grow, of a run that has begun.

    Attributes:
        rows: the run's list of images, those that have come and the test part included.
        before: the file with that list, as it was read.
        size: images that were asked for or can be: those that are gone and never were count no more.
        begun: what the run has asked for.
    """

    rows: Listing
    before: bytes
    size: int
    begun: Begun | None


@dataclass(frozen=True)
class Images:
    """The images of a run.

    Attributes:
        data: every image where the run has it.
        fingerprint: of the images, which rounds to come keep.
        pool: where it may grow; None where it may not, or the run has not begun.
        n_given: images whose labels were known before anything was asked, where those of others were not.
        embedding_key: of the features that the run has had so far; empty: there are none.
    """

    data: ImageData
    fingerprint: str
    pool: GrowingPool | None = None
    n_given: int = 0
    embedding_key: str = ""

    def plan(self, al: ActiveLearning) -> Plan:
        """The rounds, with the sizes of the rounds to come as they follow from the pool as it is now.

        Raises:
            ConfigError: the sizes do not fit into the pool or the budget.
        """
        if self.pool:
            return make_plan(al, self.pool.size, 0, self.pool.begun, self.n_given)
        return make_plan(al, self.data.pool_size, len(self.data.gone), n_given=self.n_given)

    def as_now(self, summary: dict[str, Any]) -> dict[str, Any]:
        """A summary with the size that the pool has now."""
        if not self.pool:
            return summary
        begun = asdict(self.pool.begun) if self.pool.begun else None
        return {**summary, "pool_size": self.pool.size, "n_gone": 0, "begun": begun}

    def unwritten(self, path: Path, *, begins: bool) -> Listing | None:
        """The list of images that a run folder lacks; None where it has it.

        Args:
            path: the folder, which this process holds.
            begins: whether nothing of the run is committed yet.

        Raises:
            DataError: another process has gone on with the run since the images were loaded.
        """
        if not self.pool:
            return listing.listing(self.data) if begins or not (path / LISTING).exists() else None
        if (path / LISTING).read_bytes() != self.pool.before:
            raise DataError(f"{path}: another process has just gone on with it; give the same command again")
        return self.pool.rows if listing.to_csv_gz(self.pool.rows) != self.pool.before else None


def load(path: Path, settings: dict[str, Any]) -> Images:
    """The images for a run that may have begun, see :func:`_load`, and what its features and its initial set were."""
    images, known = _load(path, settings), {}
    if not settings["overwrite"] and _began(path) is not None:
        known = read_json(path / "summary.json") or {}
    embedding = known.get("embedding") or {}
    n_given = known.get("n_given", int(images.data.given.sum()))
    return replace(images, n_given=n_given, embedding_key=embedding.get("key", ""))


def _load(path: Path, settings: dict[str, Any]) -> Images:
    """Load the images for a run that may have begun.

    With the simulated oracle they are those that it began with. With another one images of the pool may come and go
    between two processes, see :func:`al_lightning.data.growing.continued`: those that have come can be asked for, those
    that are gone cannot be asked for or trained on any more, though their answers stay in the ledger. The mean and
    deviation that pixels are normalized with are those of the pool as it is: each round keeps the fingerprint of what
    it has seen. What would move the scale that `dataset.levels` takes from the pool would change all of them, and is
    refused. Where `dataset.imbalance`, `dataset.subset` or `dataset.repeat` choose from the pool, it may not grow.

    Args:
        path: the run folder, which need not be there.
        settings: the resolved configuration.

    Raises:
        ConfigError, DataError: images that cannot be had.
        DataError: they are not those of what is committed; says what came, went and changed, and what to type.
    """
    node, refused = settings["dataset"], None
    began = None if settings["overwrite"] else _began(path)
    is_further = began is not None and build.store_of(settings) is not None
    now = build.load_whole(settings, _classes(path) if is_further else None)
    if began is None or is_further:  # labels that come later are answers
        now = build.with_known(now, settings, _given(path) if is_further else None)
    try:
        data = build.masked(now, settings)
    except ConfigError as error:
        if began is None:
            raise
        data, refused = now, error  # there may have been more images when it began
    simulated = build.is_simulated(settings)
    fingerprint = data.fingerprint(pool_labels=simulated)  # what people answer need not be what a file says
    if began is None:
        return Images(data, fingerprint)
    changed, left, why_not = "", None, ""
    try:
        before, classes = listing.from_csv_gz((path / LISTING).read_bytes()), _classes(path)
        if not simulated and not masks.chosen(node):
            try:
                return _with_new(path, data, before, classes)
            except DataError as error:
                changed = str(error)
        elif began == fingerprint:
            return Images(data, fingerprint)
        pool, test = ([each for each in before if each.part == part] for part in ("pool", "test"))
        before = [*masks.originals(pool, node), *test]
        changed = changed or listing.differences(before, listing.listing(now))
        if not (changed or began):
            return Images(data, fingerprint)
        needed = np.isin(np.arange(len(pool)), _queried(standing(path))).reshape(node.get("repeat", 1), -1).max(0)
        left = masks.apply(listing.as_before(before, classes, now, needed), node, known_only=simulated)
    except DataError as error:
        why_not = str(error)
    except (OSError, ValueError, KeyError, IndexError, DamagedError):  # or of a version that kept no list
        if began in ("", fingerprint):
            return Images(data, fingerprint)
    if refused and not changed:
        raise refused
    if left and settings["skip_changed"]:
        print(f"{path}: goes on with the images it began with: {changed}; {len(left.gone)} of the pool are gone")
        return Images(left, began)
    go_on = "go on with those that are left by skip_changed=true, " if left else ""
    lost = f"; it cannot go on without {why_not}" if why_not else ""
    raise DataError(
        f"{path}: the images have changed since this run began{': ' if changed else ''}{changed}{lost}. "
        f"Put them back and give the same command again, {go_on}or begin anew with overwrite=true (not beside resume=)"
    )


def _began(path: Path) -> str | None:
    """The fingerprint of the images of what was committed last; empty where it is lost, None where nothing is there."""
    committed = rounds.folders(path)
    if not committed and not (path / "rounds" / INITIAL).exists():
        return None
    # The query before round 0 has no environment of its own.
    files = [*(folder / "environment.json" for folder in reversed(committed)), path / "summary.json"]
    kept = ((read_json(file) or {}).get("data_fingerprint") for file in files)
    return next(filter(None, kept), "")


def _classes(path: Path) -> Sequence[str]:
    """Names of the classes of a run that has begun; those of format 1 are in its summary only."""
    initial = path / "rounds" / INITIAL
    if initial.exists():
        return rounds.read_initial(initial)[1]
    summary = read_json(path / "summary.json") or {}
    return summary["classes"]


def _given(path: Path) -> set[str]:
    """Ids of the images whose labels were known when a run began."""
    try:
        return {each.id for each in listing.from_csv_gz((path / LISTING).read_bytes()) if each.name}
    except (OSError, ValueError):  # lost: that is told where the images are held against it
        return set()


def _with_new(path: Path, data: ImageData, before: Listing, classes: Sequence[str]) -> Images:
    """The images of a run whose pool may have grown.

    Args:
        path: the run folder.
        data: as it is now.
        before: the run's list of images.
        classes: names, of the run.

    Raises:
        DataError: something else has changed.
    """
    summary = read_json(path / "summary.json") or {}
    if new := sorted({*data.classes} - {*classes}):
        came = f"{len(new)} class{'es' if len(new) > 1 else ''} came ({', '.join(new)})"
        raise DataError(f"{came}, and those of a run stay the same")
    try:
        rows = growing.continued(before, listing.listing(data), drawn=data.drawn)
    except DataError as error:
        was, now = summary.get("levels"), data.levels
        if was and now and tuple(was) != now:
            raise DataError(
                f"{error}: what came moves the scale of all, which dataset.levels takes from the pool, "
                f"from {was[0]}...{was[1]} to {now[0]}...{now[1]}"
            ) from error
        raise
    n_pool = sum(each.part == "pool" for each in rows)
    data = listing.as_before(rows, classes, data, np.zeros(n_pool, dtype=bool))
    fingerprint, came = data.fingerprint(pool_labels=False), len(rows) - len(before)
    if came or fingerprint != summary.get("data_fingerprint", fingerprint):
        print(f"{path}: the pool has {'grown' if came else 'changed'}: {came} new images, {len(data.gone)} gone")
    found = standing(path)
    queried, begun = set(_queried(found)), None
    if found.initial is not None:
        n_val = sum(row["use"] == VALIDATION for row in found.initial)
        n_queries = sum(bool(done.queries) for done in found.rounds)
        begun = Begun(n_queries, len(queried), len(found.initial) - n_val, n_val)
    size = n_pool - len({*data.gone} - queried)
    return Images(data, fingerprint, GrowingPool(rows, (path / LISTING).read_bytes(), size, begun))


def _queried(found: Standing) -> Sequence[int]:
    """Positions of the images that a run has asked for."""
    return [row["index"] for query in (found.initial or [], *(done.queries for done in found.rounds)) for row in query]
