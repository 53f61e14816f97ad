"""People answer: what a run asks for is put to them, and what they have said so far is taken."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from al_lightning.data.images import UNKNOWN, ImageData, ImageSet
from al_lightning.errors import ConfigError, DataError
from al_lightning.oracle import SKIP, UNSURE, Answer, Question
from al_lightning.oracle.table import from_table
from al_lightning.people.answers import Answers
from al_lightning.people.store import STORE, Store


class People:
    """Answers with what people have said on the page of `al_lightning.label`, or in a table.

    Args:
        data: the images.
        seed: of the run.
        store: folder of the project whose page they use.
        exchange: `csv`: they fill in `to_label.csv` of the run folder instead.

    Raises:
        ConfigError: none of both is given, or both are.
        DataError: there is no such store.
    """

    def __init__(
        self, data: ImageData, seed: int, *, store: str | None = None, exchange: Literal["csv"] | None = None
    ) -> None:
        if (store is None) == (exchange is None):
            raise ConfigError(
                "oracle=people: give it the project where they label, oracle.store=DIR, or oracle.exchange=csv"
            )
        if exchange and all(re.fullmatch("[0-9a-f]{32}", name) for name in data.pool.ids):
            raise ConfigError(
                "oracle.exchange=csv dataset.ids=content: the table would name images by sums of their files, which "
                "nobody can look at; dataset.ids=path"
            )
        self._data, self._seed, self._store = data, seed, None if store is None else opened(store)

    def ask(self, question: Question) -> Sequence[Answer]:
        """The answers so far, and those to earlier questions of the run that have changed.

        Raises:
            DataError: an image is not in the store, or a table is not filled in as it should be.
        """
        if self._store is None:
            return from_table(question)
        items = {digest: item for item, digest in self._store.items().items()}
        if lacking := [each for each in question.ids if each not in items]:
            raise DataError(
                f"{self._store.path}: {len(lacking)} of the images are not in the store, the first is {lacking[0]}: "
                "start al_lightning.label on the folder once, and give the run dataset.ids=content"
            )
        _put(question, [items[each] for each in question.ids], self._store, self._seed)
        wanted = {*question.indices, *question.before}
        index = {items[each]: at for at, each in enumerate(self._data.pool.ids) if at in wanted and each in items}
        return _answers(question.classes, index, self._store)


def opened(store: str) -> Store:
    """The store of a project; `store` is its folder, or the database in it."""
    path = Path(store).expanduser()
    return Store(path / STORE if path.is_dir() else path)


def with_known(data: ImageData, store: Store, only: Collection[str] | None = None) -> ImageData:
    """A data set with the labels that a store has.

    Args:
        data: images whose ids are sums of their files.
        store: what is known.
        only: ids of the images whose labels count; None: all.
    """
    answers, items, classes = Answers(), {digest: item for item, digest in store.items().items()}, store.classes()
    answers.add(store.events())
    number = {name: at for at, name in enumerate(data.classes)}
    known = [answers.labels.get(items.get(each, 0)) if only is None or each in only else None for each in data.pool.ids]
    labels = [UNKNOWN if each is None else number.get(classes[each], UNKNOWN) for each in known]
    pool = ImageSet(data.pool.images, torch.tensor(labels, dtype=torch.int64), data.pool.ids)
    return replace(data, pool=pool)


def _put(question: Question, items: Sequence[int], store: Store, seed: int) -> None:
    """Put a question to people, where the last one of the run was another."""
    asker = str(question.folder.resolve())
    last = [each for each in store.queries() if each.asker == asker][-1:]
    if not {*items} <= {item for each in last for item, _ in store.queried(each.id)}:
        row = {"asker": asker, "round": question.round, "strategy": "", "seed": seed, "event": 0, "n_labeled": 0}
        store.add_query(row | {"seconds": None}, items)


def _answers(classes: Sequence[str], index: Mapping[int, int], store: Store) -> list[Answer]:
    """What people have said of images, whose positions are those of their ids in the store.

    A class that the run does not have is `unsure`.
    """
    found, names, annotators = Answers(), store.classes(), store.annotators()
    found.add(store.events())
    number, given = {name: at for at, name in enumerate(classes)}, []
    for item, at in index.items():
        label, state = names.get(found.labels.get(item, 0), ""), found.state(item)
        if label and label not in number:
            print(f"warning: {store.path}: image {item} is of the class {label}, which the run does not have: no label")
            label, state = "", UNSURE
        if label or state in (SKIP, UNSURE):
            last = max(found.deciding(item), key=lambda each: each.id)
            answer = number[label] if label else state
            given.append(Answer(at, answer, annotators[last.annotator], last.at, f"event {last.id}"))
    return given
