"""Asking the oracle: what is asked, what is answered, and what that makes of the masks."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from al_lightning.acquisition.callback import AcquisitionCallback
from al_lightning.contract import told
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import UNKNOWN, ImageData
from al_lightning.errors import DataError, UserError
from al_lightning.oracle import Oracle, labels, ledger
from al_lightning.oracle.ledger import CONTROL, TRAIN, VALIDATION
from al_lightning.runs.rounds import Round
from al_lightning.runs.run_folder import RunFolder


class OracleError(UserError):
    """An oracle that fails, or answers what it was not asked; what was answered before stands."""


def initial_query(data: ImageData, val: Tensor, initial: Tensor) -> list[dict[str, Any]]:
    """What is asked before round 0, as rows of `queries.csv`.

    Args:
        data: the images.
        val: data set indices of those whose labels are for validation.
        initial: and of the initial set.
    """
    queried = [(use, index) for use, part in ((VALIDATION, val), (TRAIN, initial)) for index in part.tolist()]
    return [
        {"round": -1, "rank": rank, "index": index, "id": data.pool.ids[index], "use": use}
        for rank, (use, index) in enumerate(queried)
    ]


def query(number: int, pool: PoolDataModule, choosing: AcquisitionCallback) -> list[dict[str, Any]]:
    """What was chosen, as rows of `queries.csv` that have no answers yet."""
    assert choosing.query is not None
    chosen, control = choosing.query.indices.tolist(), choosing.control.tolist()
    scores, predicted = choosing.query.scores, choosing.predicted
    indices = [*chosen, *control]
    columns = zip(
        indices,
        [*([""] * len(chosen) if scores is None else scores.tolist()), *[""] * len(control)],
        [None] * len(indices) if predicted is None else predicted.tolist(),
        [*[TRAIN] * len(chosen), *[CONTROL] * len(control)],
        strict=True,
    )
    return [
        {
            "round": number,
            "rank": rank,
            "index": index,
            "id": pool.data.pool.ids[index],
            "score": score,
            "predicted": label,
            "predicted_name": None if label is None else pool.data.classes[label],
            "use": use,
        }
        for rank, (index, score, label, use) in enumerate(columns)
    ]


def ask(oracle: Oracle, rows: Sequence[Mapping[str, Any]], folder: RunFolder, pool: PoolDataModule, name: str) -> int:
    """Ask the oracle for what a query lacks, and add its answers to the ledger and to the masks.

    Args:
        oracle: that knows, or will know.
        rows: of the query, as it was committed.
        folder: of the run.
        pool: of the run.
        name: of the oracle, for messages.

    Returns:
        How many images have no answer yet.

    Raises:
        OracleError: it fails, or answers what it was not asked.
    """
    classes = pool.data.classes
    if gone := ledger.gone(rows, folder.answered, {*pool.data.gone}):
        folder.append(gone, classes)  # nobody can look at them: a query does not wait for them
    if given := ledger.given(rows, folder.answered, pool.data.given, pool.data.pool.labels):
        folder.append(given, classes)
    if known := folder.events_of(rows):  # by an earlier process, which had come further
        labels.apply(pool, known, folder.queried)
    question = ledger.unanswered(rows, folder.answered, classes)
    if question is None:
        return 0
    try:
        given = oracle.ask(replace(question, folder=folder.path, before=folder.queried.keys()))
        answers = ledger.new_events(given, question, folder.queried, folder.ledger.events)
    except UserError:
        raise
    except Exception as error:  # a user's own oracle may raise anything
        raise OracleError(f"{folder.path}: oracle={name}: {told(error)}") from error
    folder.append(answers, classes)
    labels.apply(pool, answers, folder.queried)
    return len(question.indices) - len({each.index for each in answers} & {*question.indices})


def restore(pool: PoolDataModule, folder: RunFolder, kept: Sequence[Round]) -> None:
    """Bring the masks to what the committed rounds have asked for, and what was answered.

    Raises:
        DataError: the rounds are of another pool.
    """
    queried = {
        index: image
        for rows in (folder.initial or [], *(done.queries for done in kept))
        for index, image in ledger.queried(rows).items()
    }
    if max(queried, default=0) >= len(pool.labels):
        raise DataError(f"{folder.path}: its rounds are of another pool; begin anew with overwrite=true")
    known = pool.data.pool.labels.tolist()
    other = [e for e in folder.ledger.events if e.by == ledger.GIVEN and known[e.index] not in (e.answer, UNKNOWN)]
    if other:
        print(
            f"warning: {folder.path}: {len(other)} of the labels that it began with are others now, the first that of "
            f"{other[0].id}: it keeps what it began with; to begin anew, overwrite=true",
            file=sys.stderr,
        )
    labels.apply(pool, [event for event in folder.ledger.events if event.index in queried], queried)
