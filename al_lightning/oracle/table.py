"""What is asked for as a table that anybody fills in, with whatever they like: `to_label.csv` of the run folder."""

import csv
import io
from collections.abc import Sequence

from al_lightning.data import label_file
from al_lightning.data.names import normal
from al_lightning.disk import replace_file
from al_lightning.errors import DataError
from al_lightning.oracle import SKIP, UNSURE, Answer, Question

FILE = "to_label.csv"


def from_table(question: Question) -> Sequence[Answer]:
    """The answers in the table. One that lacks an image of the question is written anew, with the labels that it has.

    A label is the name of a class, `skip` or `unsure`; a row without one is not answered yet.

    Raises:
        DataError: the table cannot be read, or has another label.
    """
    file, names = question.folder / FILE, [normal(name) for name in question.ids]
    found = label_file.read(question.folder, [file]) if file.exists() else {}
    known: dict[str, int | str] = {SKIP: SKIP, UNSURE: UNSURE}
    known |= {normal(name): number for number, name in enumerate(question.classes)}
    given = [(name, index, found.get(name, "")) for name, index in zip(names, question.indices, strict=True)]
    if odd := next(((name, label) for name, _, label in given if label and label not in known), None):
        raise DataError(
            f"{file}: {odd[0]} has the label {odd[1]!r}; there are: {', '.join([*question.classes, SKIP, UNSURE])}"
        )
    if not {*names} <= found.keys():
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("file_name", "label"))
        table.writerows((name, found.get(normal(name), "")) for name in question.ids)
        replace_file(question.folder, FILE, text.getvalue().encode())
    if n_open := sum(not label for *_, label in given):
        print(f"{file}: {n_open} of {len(given)} rows have no label; fill them in, and give the same command again")
    return [Answer(index, known[label], FILE) for _, index, label in given if label]
