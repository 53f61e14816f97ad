"""Small runs whose rounds are committed and mirrored offline, and what W&B has written of them."""

import math
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from run_folders import inspected
from run_writer import answer, row_of

from al_lightning.config.plan import Plan
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.models.measures import MEASURES
from al_lightning.runs.rounds import Diagnostics, Round
from al_lightning.runs.run_folder import RunFolder
from al_lightning.runs.run_info import RunInfo
from al_lightning.tracking.wandb_account import run_id
from al_lightning.tracking.wandb_mirror import WandbMirror

N_ROUNDS = 4
CLASSES = ("cat", "dog")
PLAN = Plan(pool_size=20, initial_size=5, query_size=4, val_size=2, rounds=N_ROUNDS - 1)
GROUPS = {"dataset": {"name": "tiny", "root": "data"}, "model": {"name": "cnn"}}
STRATEGY = {"name": "margin", "score": {"n_clusters": 12}}
SETTINGS = {"seed": 3, "al": {"query_size": 4, "budget": None}, "strategy": STRATEGY} | GROUPS
SORTED_BY = {"n_labeled": 17, "aubc": 2 / 3, "labels_to_90": 11.5, "labels_to_95": None}
SUMMARY = SORTED_BY | {"state": "finished", "final": {"acc": 0.75, "nll": 0.5}, "versions": {"torch": "2"}}
ENVIRONMENT = {"device": "cpu", "threads": 1, "data_fingerprint": "0123456789abcdef"}


def make_round(number: int) -> Round:
    generator = np.random.default_rng(number)
    values = {f"{part}/{name}": float(generator.random()) for part in ("test", "val") for name in MEASURES}
    if number == 0:
        values["test/auroc"] = math.nan
    last = number == N_ROUNDS - 1
    queries = [
        {
            "round": number,
            "rank": i,
            "index": 4 * number + i,
            "id": f"i{i}",
            "score": 0.5,
            "label": i % 2,
            "predicted": 1,
        }
        for i in range(0 if last else 4)
    ]
    shown = Diagnostics(np.zeros((15, 3)))
    confusion = generator.integers(0, 9, (2, 2))
    return Round(row_of(number, PLAN, values, fit_ok=number != 1), queries, confusion, CLASSES, ENVIRONMENT, shown)


def commit(folder: RunFolder, done: Round) -> None:
    """Commit a round, and the answers to its query; before the first one, validation on 12 and 13, and 15 to 19."""
    if folder.initial is None:
        uses = {12: "val", 13: "val"} | dict.fromkeys(range(15, 20), "train")
        initial = [{"round": -1, "rank": i, "index": i, "id": f"i{i}", "use": use} for i, use in uses.items()]
        folder.commit_initial(initial, CLASSES)
        answer(folder, initial, [i % 2 for i in uses], CLASSES)
    folder.commit(done)
    answer(folder, done.queries, [row["label"] for row in done.queries], CLASSES)


def make_info(path: Path, rounds: tuple[Round, ...] = ()) -> RunInfo:
    images = torch.arange(20 * 3 * 4 * 4).reshape(20, 3, 4, 4).byte()
    part = ImageSet(images, torch.arange(20) % 2, list(map(str, range(20))))
    return RunInfo(path, path.parent.name, SETTINGS, PLAN, ImageData(part, part, CLASSES), ENVIRONMENT, rounds)


def make_mirror(mode: Literal["online", "offline", "disabled"] | None = "offline", images: int = 2) -> WandbMirror:
    return WandbMirror(project="test", entity=None, mode=mode, tags=["mine", "x" * 80], images=images)


def mirrored_run(path: Path, mirror: WandbMirror, upto: int = N_ROUNDS) -> RunInfo:
    """Go on with a run up to some number of rounds, committed and mirrored; `finish` is left to the caller."""
    with RunFolder(path) as folder:
        info = make_info(path, tuple(folder.rounds))
        mirror.start(info)
        for number in range(len(folder.rounds), upto):
            commit(folder, make_round(number))
            mirror.round(folder.rounds[-1])
    return info


def records(info: RunInfo) -> dict[str, list[dict]]:
    """Records by type of the one log of a run that has not been set aside."""
    [log] = (info.folder.parent / "wandb").glob(f"*run-*-{run_id(info)}/run-{run_id(info)}.wandb")
    by_type: dict[str, list[dict]] = {}
    for record in inspected(log):
        by_type.setdefault(record["type"], []).append(record[record["type"]])
    return by_type
