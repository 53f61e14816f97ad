"""`al.stop`: what each rule sees, held against plain formulas, and what it does to a run."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command
from run_folders import contents, differences, only_run, table, untimed
from scipy import stats
from sklearn.metrics import cohen_kappa_score

import al_lightning
from al_lightning.data.sources import digits
from al_lightning.stopping import stop_set
from al_lightning.stopping.rules import WINDOW, expected_gain, kappa

HEAD = ("embedding=pixels", "model=linear", "al.initial_size=20", "al.query_size=20")
RUN = (*HEAD, "al.rounds=5", "al.val_size=60")
KINDS = "labels, money, accuracy, stable, gain"


def numbers(folder: Path, column: str) -> list[float]:
    return [float(row[column] or "nan") for row in table(folder / "rounds.csv")]


def without(rows: list[dict[str, str]], prefix: str = "stop/") -> list[dict[str, str]]:
    return [{name: value for name, value in row.items() if not name.startswith(prefix)} for row in rows]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["al.stop=[never]"], f"al.stop=never: must be NAME:VALUE or NAME:VALUE:act; NAME is one of {KINDS}"),
        (
            ["al.stop=[labels:many]"],
            f"al.stop=labels:many: must be NAME:VALUE or NAME:VALUE:act; NAME is one of {KINDS}",
        ),
        (
            ["al.stop=[labels:0]"],
            "al.stop=labels:0: must be labels:VALUE or labels:VALUE:act; VALUE is labels paid for at most, 1 or more",
        ),
        (
            ["al.stop=[stable:0.9:acts]"],
            "al.stop=stable:0.9:acts: must be stable:VALUE or stable:VALUE:act; VALUE is an agreement of successive "
            "models, from 0 to 1",
        ),
        (
            ["al.stop=[accuracy:95]", "al.val_size=60"],
            "al.stop=accuracy:95: must be accuracy:VALUE or accuracy:VALUE:act; VALUE is an accuracy to be reached, "
            "from 0 to 1, on the labels of al.val_size",
        ),
        (
            ["al.stop=[stable:nan]"],
            "al.stop=stable:nan: must be stable:VALUE or stable:VALUE:act; VALUE is an agreement of successive models, "
            "from 0 to 1",
        ),
        (["al.stop=[labels:50,labels:60:act]"], "al.stop=['labels:50', 'labels:60:act']: a rule of each kind at most"),
        (["al.stop=[gain:1]"], "al.stop=gain:1 al.val_size=0: the rule looks at validation labels; give it some"),
        (
            ["al.stop=[accuracy:0.9]"],
            "al.stop=accuracy:0.9 al.val_size=0: the rule looks at validation labels; give it some",
        ),
        (["al.stop=[money:5]", "al.price=0"], "al.price=0.0: must be above 0"),
    ],
)
def test_what_is_no_rule_is_refused(command: Command, tmp_path: Path, settings: list[str], message: str) -> None:
    ended = command(*HEAD, *settings)
    assert (ended.code, ended.err.strip()) == (2, f"error: {message}")
    assert not (tmp_path / "cwd" / "multirun_outputs").exists()


def test_what_each_rule_sees_is_what_its_formula_gives(command: Command, tmp_path: Path, monkeypatch) -> None:
    looks, written = [], stop_set.written
    monkeypatch.setattr(stop_set, "written", lambda predicted: looks.append(predicted) or written(predicted))
    rules = "al.stop=[labels:130,money:5,accuracy:0.6,stable:0.8,gain:5]"
    ended = command(*RUN, rules, "al.price=0.05")
    folder = only_run(tmp_path / "cwd")
    rows = table(folder / "rounds.csv")
    paid = [80 + 20 * i for i in range(6)]
    assert numbers(folder, "stop/labels") == paid and rows[0]["stop/labels"] == "80"
    assert numbers(folder, "stop/money") == pytest.approx([n / 20 for n in paid])
    accuracy = numbers(folder, "val/acc")
    for i, (value, bound) in enumerate(zip(accuracy, numbers(folder, "stop/accuracy"), strict=True)):
        correct, level = round(60 * value), 0.05 * (1 / (i + 1) - 1 / (i + 2))  # of all rounds: 0.05 together
        assert stats.binom.sf(correct - 1, 60, bound) == pytest.approx(level, rel=1e-4)
    classes = [[look[i] for i in sorted(look)] for look in looks]
    assert all(look.keys() == looks[0].keys() for look in looks) and len(looks[0]) == 1437 - 80
    agreed = [cohen_kappa_score(*pair) for pair in pairwise(classes)]
    assert numbers(folder, "stop/stable")[1:] == pytest.approx(agreed, rel=1e-5) and rows[0]["stop/stable"] == ""
    gains = numbers(folder, "stop/gain")
    labels = numbers(folder, "n_labeled")
    assert all(map(math.isnan, gains[:3]))
    assert gains[3:] == pytest.approx([expected_gain(labels[:n], accuracy[:n], 20) for n in (4, 5, 6)], rel=1e-5)
    for i, row in enumerate(rows):
        reached = {text.partition(": ")[0] for text in filter(None, row["stop/reason"].split("; "))}
        means = np.mean(agreed[i - WINDOW : i]) if i >= WINDOW else 0
        assert reached == {
            *(["labels:130"] if paid[i] + 20 > 130 else []),
            *(["money:5"] if (paid[i] + 20) / 20 > 5 else []),
            *(["accuracy:0.6"] if float(row["stop/accuracy"]) >= 0.6 else []),
            *(["stable:0.8"] if means >= 0.8 else []),
            *(["gain:5"] if 100 * gains[i] * 5 < 20 * 0.05 else []),
        }
        assert row["stop/act"] == "" and (f"would stop  {row['stop/reason']}" in ended.out or not reached)
    assert {"labels:130", "stable:0.8"} <= {text.partition(": ")[0] for text in rows[-1]["stop/reason"].split("; ")}


def test_cents_add_up(command: Command, tmp_path: Path) -> None:
    assert 100 * 0.07 > 7, "to a computer"
    assert command(*HEAD, "al.stop=[money:7:act]", "al.price=0.07", "al.query_size=40", "al.rounds=3").code in (0, None)
    assert numbers(only_run(tmp_path / "cwd"), "n_paid") == [20, 60, 100]


@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
def test_the_expected_gain_of_a_power_law_is_its_own(exponent: float) -> None:
    n = np.array([20, 40, 60, 80, 100, 120])
    accuracy = 1 - (0.04 + 1.5 * n**-exponent)
    gain = 1.5 * (120**-exponent - 150**-exponent)
    assert expected_gain(n.tolist(), accuracy.tolist(), 30) == pytest.approx(gain, rel=1e-6)
    assert expected_gain(n[:3].tolist(), accuracy[:3].tolist(), 30) is None
    assert expected_gain(n.tolist(), [0.9] * 6, 30) == pytest.approx(0, abs=1e-12)
    assert expected_gain(n.tolist(), accuracy[::-1].tolist(), 30) == pytest.approx(0, abs=1e-12), "no model unlearns"


def test_kappa_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    for classes in (2, 3, 10):
        for agree in (0.0, 0.5, 0.95):
            before = rng.integers(0, classes, 200)
            now = np.where(rng.random(200) < agree, before, rng.integers(0, classes, 200))
            assert kappa(before.tolist(), now.tolist()) == pytest.approx(cohen_kappa_score(before, now))
    assert kappa([3, 3], [3, 3]) == 1 and kappa([0, 0], [1, 1]) == 0


def test_rules_that_only_advise_change_nothing_of_the_run(command: Command, tmp_path: Path) -> None:
    for name, rules in (("with", ["al.stop=[labels:50,accuracy:0.1,stable:0.1,gain:0]"]), ("none", [])):
        assert command(*RUN, "strategy=bald", "model.dropout=0.3", *rules, cwd=tmp_path / name).code in (0, None)
    advised, plain = (only_run(tmp_path / name) for name in ("with", "none"))
    assert advised.name == plain.name
    assert differences(advised, plain) == ["rounds.csv"] and without(untimed(advised)) == untimed(plain)


@pytest.mark.parametrize(
    ("rule", "n_paid"),
    [
        ("labels:120:act", [80, 100, 120]),
        ("labels:119:act", [80, 100]),
        ("money:7:act", [80, 100, 120, 140]),
        ("accuracy:0.6:act", None),
        ("stable:0.75:act", None),
        ("gain:0:act", [80, 100, 120, 140]),  # as soon as there is a curve
    ],
)
def test_a_rule_that_acts_ends_the_run_and_without_it_the_run_goes_on_as_if_there_had_been_none(
    command: Command, tmp_path: Path, rule: str, n_paid: list[int] | None
) -> None:
    arguments = (*RUN, "al.price=0.05", "strategy=entropy")
    ended = command(*arguments, f"al.stop=[{rule}]", cwd=tmp_path / "stopped")
    folder = only_run(tmp_path / "stopped")
    rows = table(folder / "rounds.csv")
    assert ended.code in (0, None) and f"stopped  {rule}: " in ended.out
    assert n_paid in (None, [int(row["n_paid"]) for row in rows]) and len(rows) < 6
    assert rows[-1]["stop/act"] == rule and rows[-1]["stop/reason"].startswith(f"{rule}: ")
    assert not any(row["stop/act"] for row in rows[:-1])
    queries = table(folder / "queries.csv")
    assert max(int(row["round"]) for row in queries) == len(rows) - 2 and len(queries) == int(rows[-1]["n_paid"])
    assert '"state": "finished"' in (folder / "summary.json").read_text()
    test = digits().test
    with torch.inference_mode():
        right = al_lightning.load(folder).model(test.images).argmax(1) == test.labels
    assert right.float().mean().item() == pytest.approx(float(rows[-1]["test/acc"]), abs=1e-6)

    before = contents(folder)
    again = command(*arguments, f"al.stop=[{rule}]", cwd=tmp_path / "stopped")
    assert again.code in (0, None) and contents(folder) == before
    assert f"finished before, accuracy {float(rows[-1]['test/acc']):.4f}" in again.out
    assert again.out.strip().endswith(f"; al.stop={rule} ended it: for more, take it away")

    assert command(*arguments, cwd=tmp_path / "stopped").code in (0, None)
    assert command(*arguments, cwd=tmp_path / "plain").code in (0, None)
    plain = only_run(tmp_path / "plain")
    assert differences(folder, plain) == ["rounds.csv"] and without(untimed(folder)) == untimed(plain)


def test_a_run_that_was_stopped_by_its_number_goes_on_with_the_same_values(command: Command, tmp_path: Path) -> None:
    rules = "al.stop=[accuracy:0.99,stable:0.99,gain:0.001]"
    arguments = (*HEAD, "al.val_size=60", rules)
    for rounds in (2, 5):
        assert command(*arguments, f"al.rounds={rounds}", cwd=tmp_path / "twice").code in (0, None)
    assert command(*arguments, "al.rounds=5", cwd=tmp_path / "once").code in (0, None)
    twice, once = (only_run(tmp_path / name) for name in ("twice", "once"))
    assert differences(twice, once) == []
    assert all(numbers(once, "stop/stable")[1:]), "it has seen something"


def test_a_rule_may_be_changed_and_advise_from_now_on(command: Command, tmp_path: Path) -> None:
    for rule in ("labels:50:act", "labels:70:act", "labels:70"):
        assert command(*HEAD, "al.rounds=3", f"al.stop=[{rule}]").code in (0, None)
        rows = table(only_run(tmp_path / "cwd") / "rounds.csv")
        assert rows[-1]["stop/act"] == (rule if rule.endswith("act") else "")
        assert rows[-1]["n_paid"] == {"labels:50:act": "40", "labels:70:act": "60", "labels:70": "80"}[rule]


def test_without_labels_there_is_nothing_to_agree_with_yet(command: Command, tmp_path: Path) -> None:
    arguments = ("embedding=pixels", "model=linear", "al.initial_size=0", "al.query_size=20", "al.rounds=5")
    assert command(*arguments, "al.stop=[stable:0.1:act,labels:1000]").code in (0, None)
    seen = numbers(only_run(tmp_path / "cwd"), "stop/stable")
    assert list(map(math.isnan, seen)) == [True, True, False, False, False], "round 0 has no model; three are looked at"


def test_images_that_come_or_go_leave_the_places_of_the_others() -> None:
    from types import SimpleNamespace

    def drawn(size: int, gone: tuple[int, ...]) -> set[int]:
        there = torch.ones(size, dtype=torch.bool)
        there[list(gone)] = False
        none = torch.zeros(size, dtype=torch.bool)
        pool = SimpleNamespace(
            data=SimpleNamespace(there=there), val_mask=none, labeled_since=torch.full((size,), -1), seed=3, labels=none
        )
        return {*stop_set.StopSet(pool)._indices.tolist()}  # type: ignore[arg-type]

    usual = drawn(8000, ())
    gone = tuple(sorted(usual)[:5])
    assert len(usual) == stop_set.SIZE == len(drawn(8000, gone)) and usual - {*gone} <= drawn(8000, gone)
    assert len(usual & drawn(8100, ())) > stop_set.SIZE - 60
    assert stop_set.read(stop_set.written({3: 1, 70: 0})) == {3: 1, 70: 0} and stop_set.read("") == {}


def test_a_sweep_over_rules_runs_each(command: Command, tmp_path: Path) -> None:
    """They lead to one run: the later rule lets it go on."""
    rules = "al.stop=[labels:40:act],[labels:80:act]"
    head = ("embedding=pixels", "model=linear", "al.rounds=9", "al.initial_size=20", "al.query_size=20")
    assert command("--multirun", *head, rules).code in (0, None)
    rounds = pd.read_csv(only_run(tmp_path / "cwd") / "rounds.csv")
    assert rounds["n_labeled"].tolist() == [20, 40, 60, 80]
