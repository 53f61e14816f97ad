"""A run is of the images that it was made with: those that are there now are held against them."""

from pathlib import Path
from typing import Any

import numpy as np

from al_lightning import build, rounds
from al_lightning.data import listing
from al_lightning.data.images import ImageData
from al_lightning.errors import DataError
from al_lightning.folder_state import LISTING, standing
from al_lightning.rounds import read_json


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
    fingerprint = data.fingerprint()
    committed = [] if settings["overwrite"] else rounds.folders(path)
    began = read_json(committed[-1] / "environment.json") if committed else None
    if not began or began.get("data_fingerprint") == fingerprint:
        return data, fingerprint
    changed, left, why_not = "", None, ""
    try:
        before = listing.from_csv_gz((path / LISTING).read_bytes())
        changed = listing.differences(before, listing.listing(data))
        found = standing(path)
        queries = [found.initial or [], *(done.queries for done in found.rounds)]
        needed = np.zeros(sum(each.part == "pool" for each in before), dtype=bool)
        needed[[row["index"] for query in queries for row in query]] = True
        classes = (read_json(path / "summary.json") or {})["classes"]
        left = listing.as_before(before, classes, data, needed)
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
