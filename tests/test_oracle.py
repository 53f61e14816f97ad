"""Who answers a query in time, and what a run makes of the answers."""

import csv
import json
import shutil
import signal
from collections import Counter
from pathlib import Path

import kill_points
import pytest
from conftest import Command, own_oracle
from kill_points import Point
from run_folders import differences, only_run

import al_lightning
from al_lightning.contract import ContractError
from al_lightning.oracle import SKIP, UNSURE, Answer, Question
from al_lightning.oracle.ledger import Event, Queried, new_events, read, with_answers

# People who answer from a file, and write down what they were asked.
PEOPLE = """
import json
from pathlib import Path
from al_lightning.oracle import Answer

class People:
    def __init__(self, data, seed, *, answers: str, patience: int = 1000):
        self.data, self.place, self.patience = data, Path(answers), patience

    def ask(self, question):
        with (self.place / "asked.jsonl").open("a") as file:
            file.write(json.dumps([question.round, list(question.indices)]) + "\\n")
        told = json.loads((self.place / "answers.json").read_text()) if (self.place / "answers.json").exists() else {}
        known = [
            Answer(index, told.get(str(index), int(self.data.pool.labels[index])), "ann", source=f"e{index}")
            for index in question.indices
        ]
        return known[: self.patience]
"""


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Path:
    """The folder where they keep their answers; `oracle=crowd` asks them."""
    own_oracle(tmp_path, PEOPLE, monkeypatch, answers=tmp_path, patience=1000)
    return tmp_path


def ask(people: Path, *settings: str) -> tuple[str, ...]:
    return ("--config-dir", str(people / "conf"), "oracle=crowd", *settings)


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def ledger(folder: Path) -> list[Event]:
    file = folder / "ledger.jsonl"
    return read(file.read_bytes())[0] if file.exists() else []


# --- people ----------------------------------------------------------------------------------------------------------


def test_a_run_waits_for_its_answers_and_goes_on_to_the_same_end(people: Path, command: Command) -> None:
    """A few answers at a time, against all at once: the same queries, measures and model."""
    assert command(*ask(people), cwd=people / "whole").code == 0
    (people / "asked.jsonl").unlink()
    states, folder = [], Path()
    for _ in range(9):
        ended = command(*ask(people, "oracle.patience=8"), cwd=people / "slow")
        assert ended.code == 0, ended.err
        folder = only_run(people / "slow")
        states.append(json.loads((folder / "summary.json").read_text())["state"])
        if "waiting for 12 answers of crowd" in ended.out:
            assert rows(folder, "queries.csv")[-1]["label"] == ""
            with pytest.raises(al_lightning.errors.DataError, match="no finished run"):
                al_lightning.load(folder)
    assert states == ["waiting"] * 2 + ["waiting"] * 4 + ["finished"] * 3  # 20 + 20 + 20 labels, 8 a process
    asked = [tuple(json.loads(line)) for line in (people / "asked.jsonl").read_text().splitlines()]
    assert [(number, len(indices)) for number, indices in asked] == [
        *((-1, 20), (-1, 12), (-1, 4), (0, 20), (0, 12), (0, 4), (1, 20), (1, 12), (1, 4)),
    ]
    whole = only_run(people / "whole")
    assert rows(folder, "queries.csv") == rows(whole, "queries.csv")
    odd = [name for name in differences(folder, whole) if name != "queries.csv"]
    assert odd == [], "the patience is a setting, and so the folders have two names; all else is the same"


def test_skipped_images_cost_and_are_no_labels(people: Path, command: Command) -> None:
    assert command(*ask(people), "al.rounds=1").code == 0
    first = only_run(people / "cwd")
    initial = [int(row["index"]) for row in rows(first, "queries.csv") if row["round"] == "-1"]
    told = {initial[0]: SKIP, initial[1]: UNSURE, initial[2]: SKIP}
    (people / "answers.json").write_text(json.dumps(told))
    shutil.rmtree(first)
    assert command(*ask(people), "al.rounds=3").code == 0
    folder = only_run(people / "cwd")
    table = rows(folder, "rounds.csv")
    assert [row["n_labeled"] for row in table] == ["17", "37", "57", "77"]
    assert [row["n_paid"] for row in table] == ["20", "40", "60", "80"]
    assert [row["n_skipped"] for row in table] == ["3"] * 4
    queries = rows(folder, "queries.csv")
    assert Counter(row["label_name"] for row in queries if not row["label"]) == {SKIP: 2, UNSURE: 1}
    assert len({row["index"] for row in queries}) == len(queries), "none is asked for again"


def test_a_validation_set_that_nobody_could_label_measures_nothing(people: Path, command: Command) -> None:
    assert command(*ask(people, "al.val_size=3", "oracle.patience=0")).code == 0
    folder = only_run(people / "cwd")
    asked = rows(folder / "rounds" / "initial", "queries.csv")
    (people / "answers.json").write_text(json.dumps({row["index"]: UNSURE for row in asked if row["use"] == "val"}))
    shutil.rmtree(folder)
    ended = command(*ask(people, "al.val_size=3", "al.rounds=1"))
    assert (ended.code, ended.err) == (0, "")
    table = rows(only_run(people / "cwd"), "rounds.csv")
    assert [(row["n_labeled"], row["n_skipped"], row["val/acc"]) for row in table] == [("20", "3", ""), ("40", "3", "")]


def test_a_run_that_was_never_told_a_label_ends_and_has_no_model(people: Path, command: Command) -> None:
    (people / "answers.json").write_text(json.dumps(dict.fromkeys(map(str, range(2000)), SKIP)))
    ended = command(*ask(people, "al.rounds=1"))
    assert (ended.code, ended.err) == (0, "")
    with pytest.raises(al_lightning.errors.DataError, match="has no model: there were no labels to fit one to"):
        al_lightning.load(only_run(people / "cwd"))


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ('[Answer(question.indices[0], 99, "ann")]', "answered 99 for image"),
        ('[Answer(question.indices[0], True, "ann")]', "answered True for image"),
        ('[Answer(question.indices[0], "cat", "ann")]', "answered 'cat' for image"),
        ('[Answer(10**6, 1, "ann")]', "answered for image 1000000, and nobody asked for it"),
        ('[Answer(question.indices[0], 1, "ann")] * 2', "twice"),
        ("[1]", "answered with a int, not an Answer"),
        ('[Answer(__import__("numpy").int64(question.indices[0]), 1, "ann")]', "an index is an int"),
        ("[Answer(question.indices[0], 1, self)]", "are text"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_what_is_no_answer_is_refused_and_named(answers: str, said: str, people: Path, command: Command) -> None:
    code = PEOPLE.replace("return known[: self.patience]", f"return {answers}")
    (people / "people_of_test.py").write_text(code)
    import importlib
    import sys

    sys.modules.pop("people_of_test", None)
    importlib.invalidate_caches()
    ended = command(*ask(people))
    assert ended.code == 1
    assert "oracle=crowd: " in ended.err and said in ended.err and "warning" not in ended.err
    assert ledger(only_run(people / "cwd")) == []


def test_a_correction_counts_from_the_next_round_on() -> None:
    question = Question(1, [7, 8], ["i7", "i8"], ["cat", "dog"])
    asked = {7: Queried(1, "i7", "train"), 8: Queried(1, "i8", "train"), 3: Queried(0, "i3", "train")}
    before = [Event(3, "i3", 0, 0, "ann", "", "a")]
    answers = [Answer(8, 1, "ann", source="b"), Answer(3, 0, "ann", source="a"), Answer(3, 1, "bob", source="c")]
    made = new_events(answers, question, asked, before)
    assert [(event.index, event.answer, event.round, event.by) for event in made] == [
        (8, 1, 1, "ann"),
        (3, 1, 0, "bob"),
    ]
    with pytest.raises(ContractError, match="again; a correction has a source of its own"):
        new_events([Answer(3, 1, "bob")], question, asked, before)
    last = {event.index: event for event in [*before, *made]}
    assert [row["label_name"] for row in with_answers([{"index": 3}, {"index": 7}], last, ("cat", "dog"))] == [
        "dog",
        "",
    ]


# --- killed ----------------------------------------------------------------------------------------------------------


@pytest.mark.faults
@pytest.mark.parametrize(
    ("point", "kept"),
    [
        (Point("other", "al_lightning.oracle.simulated:Simulated.ask", 1, after=True), 0),
        (Point("other", "al_lightning.oracle.simulated:Simulated.ask", 2), 1),
        (Point("other", "al_lightning.runs.ledger_file:LedgerFile.append", 2, after=True), 1),
        (Point("other", f"{kill_points.FOLDER}._grow", 2), 1),
    ],
    ids=str,
)
def test_killed_between_a_commit_and_its_answers(point: Point, kept: int, uninterrupted, tmp_path: Path) -> None:
    assert kill_points.kill(point, tmp_path) == -signal.SIGKILL
    assert kill_points.n_committed(tmp_path) == kept
    assert kill_points.run(tmp_path) == 0
    folder = only_run(tmp_path)
    assert kill_points.lost(folder, uninterrupted("margin")) == []
    events = ledger(folder)
    assert len({event.index for event in events}) == len(events), "nobody was asked twice"


@pytest.mark.parametrize("torn", [b'{"index": 3, "id"', b"{"])
def test_a_line_that_was_half_written_is_cut_off(torn: bytes, uninterrupted, tmp_path: Path, command: Command) -> None:
    shutil.copytree(uninterrupted("margin").parents[2], tmp_path / "cwd")
    folder = only_run(tmp_path / "cwd")
    whole = (folder / "ledger.jsonl").read_bytes()
    (folder / "ledger.jsonl").write_bytes(whole + torn)
    assert command(*kill_points.ARGUMENTS, "al.rounds=4").code == 0
    assert (folder / "ledger.jsonl").read_bytes().startswith(whole)
    assert len(ledger(folder)) == 20 * 5


@pytest.mark.parametrize("change", ["answer", "lost", "no answer", "gone"])
def test_a_ledger_that_is_not_what_the_rounds_saw_is_set_aside(
    change: str, uninterrupted, tmp_path: Path, command: Command
) -> None:
    shutil.copytree(uninterrupted("margin").parents[2], tmp_path / "cwd")
    folder = only_run(tmp_path / "cwd")
    lines = (folder / "ledger.jsonl").read_text().splitlines(keepends=True)
    if change == "gone":
        (folder / "ledger.jsonl").unlink()
    else:
        others = {"answer": lines[45].replace('"answer": ', '"answer": 1'), "lost": "", "no answer": "?\n"}
        (folder / "ledger.jsonl").write_text("".join([*lines[:45], others[change], *lines[46:]]))
    ended = command(*kill_points.ARGUMENTS)
    assert ended.code == 0, ended.err
    assert "ledger.jsonl is not what this round has seen" in ended.err
    stands = "beginning anew" if change == "gone" else "going on after round 1"
    assert stands in ended.err
    assert kill_points.lost(folder, uninterrupted("margin")) == []
    assert (folder / "set-aside" / "ledger.jsonl.1").exists() == (change != "gone")


@pytest.mark.parametrize("what", ["initial", "ledger"])
def test_what_was_answered_stands_though_something_else_is_damaged(
    what: str, uninterrupted, tmp_path: Path, command: Command
) -> None:
    """The ledger where the initial query is damaged, and the rounds where a line after all of theirs is."""
    shutil.copytree(uninterrupted("margin").parents[2], tmp_path / "cwd")
    folder = only_run(tmp_path / "cwd")
    whole = (folder / "ledger.jsonl").read_bytes()
    if what == "initial":
        (folder / "rounds" / "initial" / "classes.json").write_text("[")
    else:
        (folder / "ledger.jsonl").write_bytes(whole + b"?\n")
    ended = command(*kill_points.ARGUMENTS)
    assert ended.code == 0, ended.err
    line = len(whole.splitlines()) + 1
    said = "rounds/initial: classes.json" if what == "initial" else f"ledger.jsonl: line {line} is no answer"
    assert said in ended.err
    assert (folder / "ledger.jsonl").read_bytes() == whole
    assert kill_points.lost(folder, uninterrupted("margin")) == []
