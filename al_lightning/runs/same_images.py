"""A run is of the images that it was made with: those that are there now are held against them."""

from pathlib import Path
from typing import Any

import numpy as np

from al_lightning import build
from al_lightning.config.targets import public
from al_lightning.data import listing, masks
from al_lightning.data.images import ImageData
from al_lightning.errors import DataError
from al_lightning.runs import rounds
from al_lightning.runs.folder_state import LISTING, standing
from al_lightning.runs.rounds import read_json


def load(path: Path, settings: dict[str, Any]) -> tuple[ImageData, str]:
    """Load the images for a run that may have begun.

    Args:
        path: the run folder, which need not be there.
        settings: the resolved configuration.

    Returns:
        The images, in the order that the run began with; and the fingerprint of those that it began with.

    Raises:
        ConfigError, DataError: images that cannot be had.
        DataError: they are not those of the committed rounds; says what came, went and changed, and what to type.
    """
    data = build.load_data(settings)
    simulated = public(settings["oracle"]["_target_"]) == "al_lightning.oracle.Simulated"
    fingerprint = data.fingerprint(pool_labels=simulated)  # what people answer need not be what a file says
    committed = [] if settings["overwrite"] else rounds.folders(path)
    began = read_json(committed[-1] / "environment.json") if committed else None
    if not began or began.get("data_fingerprint") == fingerprint:
        return data, fingerprint
    changed, left, why_not = "", None, ""
    try:
        before = listing.from_csv_gz((path / LISTING).read_bytes())
        now, node = masks.as_loaded(data, settings["dataset"]), settings["dataset"]
        pool, test = ([each for each in before if each.part == part] for part in ("pool", "test"))
        before = [*masks.originals(pool, node), *test]
        changed = listing.differences(before, listing.listing(now))
        found = standing(path)
        queried = [row["index"] for query in (found.initial or [], *(r.queries for r in found.rounds)) for row in query]
        needed = np.isin(np.arange(len(pool)), queried).reshape(node.get("repeat", 1), -1).max(0)
        classes = (read_json(path / "summary.json") or {})["classes"]
        left = masks.apply(listing.as_before(before, classes, now, needed), node)
    except DataError as error:
        why_not = str(error)
    except (OSError, ValueError, KeyError, IndexError):  # damaged, or of a version that kept no list
        pass
    if left and settings["skip_changed"]:
        print(f"{path}: goes on with the images it began with: {changed}; {len(left.gone)} of the pool are gone")
        return left, began["data_fingerprint"]
    go_on = "go on with those that are left by skip_changed=true, " if left else ""
    lost = f"; it cannot go on without {why_not}" if why_not else ""
    raise DataError(
        f"{path}: the images have changed since this run began{': ' if changed else ''}{changed}{lost}. "
        f"Put them back and give the same command again, {go_on}or begin anew with overwrite=true (not beside resume=)"
    )
