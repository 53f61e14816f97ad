"""What the learner hands over: a query in the store, which says of new files below `live/` of a project."""

import json
import shutil
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from al_lightning.disk import place, replace_file
from al_lightning.live.prepare import Prepared
from al_lightning.live.refit import FIRST, Learned, nearest_labeled
from al_lightning.models.convex import ConvexClassifier
from al_lightning.people.records import LIVE
from al_lightning.people.store import Store
from al_lightning.runs import environment, stored
from al_lightning.runs.rounds import Round, to_files

KEPT = 2  # files of as many queries: who has just looked which one is the newest can still read it


def hand_over(folder: Path, store: Store, prepared: Prepared, learned: Learned, event: int) -> int:
    """Write what a refit has come to, and return the id of its query in the store.

    Args:
        folder: `live/` of the project.
        store: of the project.
        prepared: the images.
        learned: of the refit.
        event: the last one that it knows of.
    """
    items, query = np.array(prepared.items), learned.query
    asked = [] if query is None else items[query.indices.cpu().numpy()].tolist()
    scores = None if query is None or query.scores is None else query.scores.tolist()
    n_labeled = len(learned.pool.trained_on)
    strategy = prepared.settings["strategy"]["name"] if learned.model else FIRST
    row = {"asker": LIVE, "round": None, "strategy": strategy, "seed": prepared.settings["seed"], "event": event}
    number = store.add_query(row | {"n_labeled": n_labeled, "seconds": learned.seconds}, asked, scores)
    near = {
        int(items[at]): [(int(items[other]), like) for other, like in rows]
        for at, rows in nearest_labeled(learned).items()
    }
    write_json(folder, f"why-{number}.json", near)
    if learned.log_probabilities is not None:
        write_arrays(
            folder,
            f"predictions-{number}.npz",
            _predictions(items, learned)
            | {"query": np.int64(number), "event": np.int64(event), "n_labeled": np.int64(n_labeled)},
        )
    for name in ("predictions", "why"):
        numbers = sorted(int(file.stem.partition("-")[2]) for file in folder.glob(f"{name}-*"))
        for old in numbers[:-KEPT]:
            (folder / f"{name}-{old}{'.npz' if name == 'predictions' else '.json'}").unlink(missing_ok=True)
    return number


def _predictions(items: np.ndarray, learned: Learned) -> dict[str, np.ndarray]:
    """Classes by their ids in the store, which count from 1."""
    assert learned.log_probabilities is not None
    best = learned.log_probabilities.exp().topk(2)
    known = np.flatnonzero(items)  # the store has them
    known = known[np.argsort(items[known], kind="stable")]
    probability = best.values.numpy()[known]
    return {
        "item": items[known].astype(np.int64),
        "first": (best.indices.numpy()[known, 0] + 1).astype(np.int16),
        "second": (best.indices.numpy()[known, 1] + 1).astype(np.int16),
        "probability": probability[:, 0].astype(np.float32),
        "margin": (probability[:, 0] - probability[:, 1]).astype(np.float32),
    }


def write_model(
    project: Path, prepared: Prepared, learned: Learned, number: int, calibration: dict[str, float] | None
) -> None:
    """Make `model/` of the project the folder of a run whose last round is this refit, at one stroke.

    Args:
        project: the folder.
        prepared: the images.
        learned: of the refit; it has a model.
        number: of its query.
        calibration: of its probabilities; None: there are too few labels.
    """
    model, data = learned.model, learned.pool.data
    assert isinstance(model, ConvexClassifier) and data.embedding is not None
    here = environment.current(prepared.device, "", "", 0, data.embedding, None)
    row: dict[str, Any] = {"round": 0, "n_labeled": len(learned.pool.trained_on), **model.fit_columns()}
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    confusion = np.zeros((len(data.classes),) * 2, np.int64)
    done = Round(row, [], confusion, data.classes, here, weights=weights, calibration=calibration)
    summary = {"state": "live", "finished": True, "query": number, "classes": list(data.classes), "levels": data.levels}
    summary |= {"image_shape": [data.channels, *data.image_size], "n_labeled": row["n_labeled"], **here}
    folder = project / "live" / f"model-{number}"
    (folder / "rounds").mkdir(parents=True, exist_ok=True)
    place(folder / "rounds" / "000", to_files(done))
    replace_file(folder, "config.yaml", stored.text(prepared.cfg).encode())
    replace_file(folder, "summary.json", json.dumps(summary, indent=2).encode())
    link = project / "live" / ".model"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("live", folder.name))
    link.replace(project / "model")
    models = sorted((project / "live").glob("model-*"), key=lambda each: int(each.name.partition("-")[2]))
    for old in models[:-KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def write_json(folder: Path, name: str, value: Any) -> None:
    """Replace a JSON file."""
    replace_file(folder, name, json.dumps(value).encode())


def write_arrays(folder: Path, name: str, arrays: Mapping[str, Any]) -> None:
    """Replace a file of arrays."""
    data = BytesIO()
    np.savez(data, **arrays)
    replace_file(folder, name, data.getvalue())
