"""What speaks against a comparison is said beside its headline: failed fits, runs that learned nothing, accuracy."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from omegaconf import OmegaConf
from report_runs import one, table
from studies import Run, study, write
from test_conf import composed

from al_lightning.config.schema import conf_dir
from al_lightning.report import load
from al_lightning.report.cautions import cautions
from al_lightning.report.compare import compare
from al_lightning.report.details import read
from al_lightning.report.runs import leaves, read_config
from al_lightning.report.settle import settle

RISING = {10: 0.5, 20: 0.6, 30: 0.7}


def said(rounds: pd.DataFrame, confusion: np.ndarray | None = None, classes: tuple[str, ...] = ("a", "b")) -> list[str]:
    comparison = one(rounds)
    matrices = {} if confusion is None else dict.fromkeys(comparison.methods, confusion)
    return cautions(comparison, replace(read(comparison), classes=classes, confusion=matrices))


def test_failed_fits_are_cautioned_against_from_5_in_100_on() -> None:
    rounds = table(
        {method: {seed: {10 * i: 0.5 + 0.01 * i for i in range(1, 21)} for seed in (0, 1)} for method in "ab"}
    )
    assert said(rounds) == [], "an old run does not say"
    rounds["fit/ok"] = pd.Series(True, rounds.index, dtype="boolean")
    assert said(rounds) == []
    rounds.loc[:1, "fit/ok"] = False  # 2 of 40 of a
    rounds.loc[40, "fit/ok"] = False  # 1 of 40 of b
    assert said(rounds) == [
        "Fits failed: a 2 of 40 did not learn their labeled images. A fit that failed is not a result."
    ]


def test_runs_that_learned_nothing_are_named() -> None:
    rounds = table({"random": {0: RISING}, "bald": {seed: {10: 0.5, 20: 0.51, 30: 0.49} for seed in range(5)}})
    even = np.array([[50, 50], [50, 50]])
    (caution,) = said(rounds, even)
    assert caution == (
        "bald seed 0, bald seed 1, bald seed 2 and 2 more learned nothing (bald seed 0: near chance in all 3 rounds: "
        "accuracy 0.49 to 0.51, a guess among 2 classes 0.50). What is said of them is noise."
    )
    assert said(rounds) == [], "the number of test images is not known"


def test_accuracy_that_misleads_is_told_with_the_share_of_the_largest_class() -> None:
    rounds = table({"random": {0: {10: 0.9, 20: 0.999}}})
    rounds["test/balanced_acc"] = 0.5
    nothing, misleading = said(rounds, np.array([[0, 2], [0, 1998]]), ("defect", "fine"))
    assert nothing.startswith(
        "random seed 0 learned nothing (random seed 0: near chance in all 2 rounds: accuracy 0.50"
    )
    assert misleading == (
        "Accuracy misleads here: in the end it is 1.00, balanced over the classes 0.50; 99.9% of the test images are "
        "fine. Use --measure balanced_acc."
    )
    rounds["test/balanced_acc"] = rounds["test/acc"] - 0.05
    assert said(rounds, np.array([[500, 0], [0, 500]])) == []


def overrides(command: str) -> dict[str, str]:
    start, *words = shlex.split(command.removeprefix("python -m al_lightning "))
    assert start == "--multirun"
    return dict(word.split("=", 1) for word in words)


def test_the_command_settles_the_nearest_open_question(tmp_path: Path) -> None:
    # what differs from the configuration files is typed: al.rounds=5, al.query_size=10, model=cnn, ...
    study(tmp_path / "my study", ("random", "margin", "entropy"), range(5), Run(), gains=[0, 0.0045, 0.001])
    study(tmp_path / "my study", ("kmeans",), range(5), Run(), gains=[0.05])
    (comparison,) = compare(load(tmp_path))
    assert comparison.verdicts.set_index("method").loc["kmeans", "verdict"] == "better"
    unclear = comparison.verdicts.query("verdict == 'not distinguishable'").sort_values("more_seeds").iloc[0]
    why, command = settle(comparison)
    runs, strategies = 2 * int(unclear["more_seeds"]), f"random,{unclear['method']}"
    assert why.startswith(f"To settle {unclear['method']} against random, run more seeds ({runs} runs, about ")
    typed = overrides(command)
    assert typed["strategy"] == strategies and typed["study"] == "'my study'"
    assert typed["seed"] == ",".join(str(seed) for seed in range(5, 5 + int(unclear["more_seeds"])))
    assert (typed["model"], typed["logger"], typed["al.rounds"], typed["al.query_size"]) == ("cnn", "none", "5", "10")
    assert not [key for key in typed if key.startswith(("strategy.", "dataset", "paths"))], "as usual"


def test_what_the_command_types_are_the_settings_of_the_run(tmp_path: Path) -> None:
    from hydra import compose, initialize_config_dir

    (run, _) = study(tmp_path / "s", ("margin",), range(2), Run(clusters=15))
    _, command = settle(compare(load(tmp_path))[0])
    typed = overrides(command) | {"strategy": "margin", "seed": "0"}
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = OmegaConf.to_container(compose("config", [f"{k}={v}" for k, v in typed.items()]), resolve=True)
    composed = dict(leaves(cfg))
    for key, value in leaves(read_config(run)):
        if key in composed and not key.startswith("strategy.") and not key.endswith("_target_"):
            assert composed[key] == value, key


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_command_names_the_embedding_and_the_optimizer_of_its_head(optimizer: str, tmp_path: Path) -> None:
    for run in study(tmp_path / "s", ("random", "margin"), range(2), Run(), gains=[0, 0.002]):
        settings = yaml.safe_load((run / "config.yaml").read_text())
        own = [f"strategy={settings['strategy']['name']}", f"seed={settings['seed']}", "study=s"]
        cfg = composed("embedding=pixels", "model=linear", f"optimizer={optimizer}", *own)
        (run / "config.yaml").write_text(OmegaConf.to_yaml(cfg, resolve=True))
    (comparison,) = compare(load(tmp_path))
    typed = overrides(settle(comparison)[1])
    assert (typed["embedding"], typed["model"]) == ("pixels", "linear") and not [key for key in typed if "." in key]
    assert composed(
        *(f"{key}={value}" for key, value in typed.items() if key not in ("seed", "strategy"))
    ).optimizer == (composed("model=linear", f"optimizer={optimizer}").optimizer)


def test_the_command_says_nothing_of_what_a_run_was_before(tmp_path: Path) -> None:
    for run in study(tmp_path / "s", ("margin",), range(2), Run()):
        with (run / "config.yaml").open("a") as file:
            file.write("named_by: 1\nmoved_from: photos\n")
    _, command = settle(compare(load(tmp_path))[0])
    assert "named_by" not in overrides(command)


def test_many_seeds_are_a_range(tmp_path: Path) -> None:
    study(tmp_path / "s", ("random", "margin"), range(5), Run(), gains=[0, 0.002])
    _, command = settle(compare(load(tmp_path))[0])
    assert re.fullmatch(r"range\(5,\d+\)", overrides(command)["seed"])


def test_with_two_seeds_the_command_is_for_five(tmp_path: Path) -> None:
    study(tmp_path / "s", ("random",), range(4), Run())
    study(tmp_path / "s", ("margin",), (2, 7), Run(), gains=[0.002])
    (comparison,) = compare(load(tmp_path))
    why, command = settle(comparison)
    # 2 is there; 0, 1, 3 are random's, 4 or 7 the fifth
    assert overrides(command)["strategy"] == "random,margin" and overrides(command)["seed"] == "0,1,3,4"
    assert why.startswith("For a verdict, run more seeds (5 runs, about "), "margin 0, 1, 3, 4 and random 4"


def test_variants_of_a_strategy_do_not_mix_in_one_command(tmp_path: Path) -> None:
    study(tmp_path / "s", ("random",), range(5), Run())
    for clusters in (10, 15):
        study(tmp_path / "s", ("kmeans",), (0, 1), Run(clusters=clusters), gains=[0.001])
    write(tmp_path / "s", Run("margin", rounds=3, planned=6, state="interrupted"))
    why, command = settle(compare(load(tmp_path))[0])
    typed = overrides(command)
    # margin's seed 0 stopped before the end: it goes on
    assert (typed["strategy"], typed["al.n_clusters"], typed["seed"]) == ("random,margin,kmeans", "10", "0,1,2,3,4")
    assert why.startswith("For a verdict, run more seeds (8 runs"), "three of kmeans, five of margin"


def test_without_random_the_command_runs_it(tmp_path: Path) -> None:
    study(tmp_path / "s", ("margin",), (3, 5), Run())
    (comparison,) = compare(load(tmp_path))
    why, command = settle(comparison)
    assert (overrides(command)["strategy"], overrides(command)["seed"]) == ("random", "3,5")
    assert why.startswith("To compare with random, run it (2 runs")


def test_where_nothing_is_open_there_is_no_command(tmp_path: Path) -> None:
    study(tmp_path / "s", ("random", "margin"), range(5), Run(), gains=[0, 0.05])
    (comparison,) = compare(load(tmp_path))
    assert settle(comparison) == ()
    write(tmp_path / "once", Run(rounds=1))
    assert settle(compare(load(tmp_path / "once"))[0]) == ()


def test_settings_of_another_version_get_words_in_place_of_a_command(tmp_path: Path) -> None:
    for run in study(tmp_path / "s", ("random", "margin"), range(2), Run()):
        config = run / "config.yaml"
        config.write_text(config.read_text().replace("name: cnn", "name: another"))
    (comparison,) = compare(load(tmp_path))
    (words,) = settle(comparison)
    assert words.endswith("random, margin with seeds 2, 3, 4, else set as these runs are.")
