"""What a run asked labels for: the labeled images as a W&B artifact, and how even the classes of a query are."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from al_lightning.data.images import UNKNOWN
from al_lightning.oracle import ledger
from al_lightning.runs.folder_state import standing
from al_lightning.runs.rounds import to_csv
from al_lightning.runs.run_info import RunInfo

if TYPE_CHECKING:
    import wandb

FOLDER = "label-set"  # in W&B's folder of a run, once its mirror is at its end


def class_entropy(labels: Sequence[int], n_classes: int) -> float | None:
    """How evenly the classes occur in a query: 0 for one class only, 1 for as even as a query of its size can be.

    Args:
        labels: class indices of the query, n of them.
        n_classes: K.

    Returns:
        Shannon's entropy of the shares of the classes over its maximum, log min(n, K); None where that is 0.
    """
    if min(len(labels), n_classes) < 2:
        return None
    shares = [count / len(labels) for count in Counter(labels).values()]
    return sum(share * math.log(1 / share) for share in shares) / math.log(min(len(labels), n_classes))


def log(run: "wandb.Run", info: RunInfo, run_id: str, last: int) -> None:
    """Log the label set of a run as an artifact: `labeled_since.csv`, `validation.csv` and `classes.csv`.

    Args:
        run: in W&B.
        info: of the run folder.
        run_id: of the run in W&B: folders of several studies can share a name.
        last: the last committed round.
    """
    import wandb

    found = standing(info.folder)
    queries = [found.initial or [], *(done.queries for done in found.rounds)]
    queried = {index: image for query in queries for index, image in ledger.queried(query).items()}
    answers = {event.index: event.answer for event in found.ledger.events}
    known = sorted(index for index in queried if isinstance(answers.get(index), int))
    labeled = np.array([index for index in known if queried[index].use != ledger.VALIDATION], dtype=np.int64)
    validation = np.array([index for index in known if queried[index].use == ledger.VALIDATION], dtype=np.int64)
    classes, of_pool = info.data.classes, info.data.pool.labels
    of_pool = of_pool if info.data.mask is None else of_pool[info.data.mask]
    of_pool = of_pool[of_pool != UNKNOWN]
    answered = np.array([answers[index] for index in labeled.tolist()], dtype=np.int64)
    pool, bought = (np.bincount(part, minlength=len(classes)) for part in (of_pool.numpy(), answered))
    since = [{"index": i, "since": queried[i].round + 1} for i in labeled.tolist()]
    files = {
        "labeled_since.csv": to_csv(("index", "since"), since),
        "validation.csv": to_csv(("index",), [{"index": i} for i in validation.tolist()]),
        "classes.csv": to_csv(
            ("class", "pool", "labeled"),
            [
                {"class": name, "pool": n, "labeled": m}
                for name, n, m in zip(classes, pool.tolist(), bought.tolist(), strict=True)
            ],
        ),
    }
    metadata = {
        "dataset": info.settings["dataset"]["name"],
        "data_fingerprint": info.environment["data_fingerprint"],
        "pool_size": info.data.pool_size,
        "n_labels": len(labeled),
        "n_validation": len(validation),
        "rounds": last + 1,
    }
    # Artifacts have ASCII names of at most 128 characters, folders may have others.
    name = re.sub("[^a-zA-Z0-9_.-]", "-", info.folder.name)[:100]
    artifact = wandb.Artifact(f"{name}-{run_id}", "label-set", metadata=metadata)
    place = Path(run.dir).parent / FOLDER
    place.mkdir()
    for name, data in files.items():
        (place / name).write_bytes(data)
        # In place: by default W&B uploads a copy in the user's home, which nobody else who has the study can reach.
        artifact.add_file(str(place / name), policy="immutable", skip_cache=True)
    run.log_artifact(artifact)
