"""Lightning's loggers as mirrors of a run: what they hold, beside each other, over a restart, and when they fail."""

from pathlib import Path

import pytest
import yaml
from conftest import Command
from run_folders import differences, only_run, table
from test_bad_input import assert_refused

LIGHTNING = "pytorch_lightning.loggers"


def logged(folder: Path, logger: str = "csv") -> list[dict[str, str]]:
    """The rows of a CSVLogger of a run."""
    return table(folder.parent / logger / folder.name / "metrics.csv")


def assert_mirrors(folder: Path, logger: str = "csv") -> None:
    """Every round is there once, in order, with its numbers."""
    rows = table(folder / "rounds.csv")
    assert [row["step"] for row in logged(folder, logger)] == [row["round"] for row in rows]
    for row, mirrored in zip(rows, logged(folder, logger), strict=True):
        for name in ("n_labeled", "n_paid", "fit/steps", "fit/loss", "test/acc", "test/nll", "seconds/fit"):
            assert float(mirrored[name]) == float(row[name])


def test_a_logger_holds_the_rounds_and_the_settings_and_changes_nothing(command: Command, tmp_path: Path) -> None:
    assert command("logger=csv", cwd=tmp_path / "with").code == 0
    assert command("logger=none", cwd=tmp_path / "without").code == 0
    folder = only_run(tmp_path / "with")
    assert_mirrors(folder)
    hparams = (folder.parent / "csv" / folder.name / "hparams.yaml").read_text(encoding="utf-8")
    settings = yaml.safe_load(hparams)
    assert settings["strategy"] == "margin" and settings["model.width"] == 4 and settings["seed"] == 0
    assert differences(folder, only_run(tmp_path / "without")) == []


def test_a_run_that_goes_on_is_logged_anew_and_once(command: Command, tmp_path: Path) -> None:
    for rounds in (0, 1, 2):
        assert command("logger=csv", f"al.rounds={rounds}").code == 0
    folder = only_run(tmp_path / "cwd")
    assert_mirrors(folder)
    assert command("logger=csv", "al.rounds=2").out.count("finished before") == 1
    assert_mirrors(folder)
    replaced = sorted(path.name for path in (folder.parent / "csv-replaced").iterdir())
    assert replaced == [f"{folder.name}.1", f"{folder.name}.2"]


@pytest.mark.parametrize(
    "several",
    [
        ["logger=csv", "+logger@logger.other=csv"],
        ["logger=none", "+logger@logger.csv=csv", f"+logger.other._target_={LIGHTNING}.CSVLogger"],
        ["logger=wandb", "logger.mode=offline", "+logger@logger.csv=csv", "+logger@logger.other=csv"],
    ],
)
def test_several_loggers_at_once(several: list[str], command: Command, tmp_path: Path, no_account: None) -> None:
    done = command(*several, "al.rounds=1")
    assert done.code == 0 and not done.err, done.err
    folder = only_run(tmp_path / "cwd")
    assert_mirrors(folder, "csv")
    assert_mirrors(folder, "other")
    assert (folder.parent / "wandb").exists() == ("logger=wandb" in several)


def test_a_logger_of_the_users_choice_of_place_numbers_its_versions(command: Command, tmp_path: Path) -> None:
    place = f"+logger.save_dir={tmp_path / 'mine'}"
    for rounds in (0, 1):
        assert command("logger=csv", place, f"al.rounds={rounds}").code == 0
    name = only_run(tmp_path / "cwd").name
    versions = sorted((tmp_path / "mine" / name).iterdir())
    assert [version.name for version in versions] == ["version_0", "version_1"]
    assert [row["step"] for row in table(versions[1] / "metrics.csv")] == ["0", "1"]


def test_a_logger_that_fails_is_said_and_the_run_goes_on(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monitor = "+callbacks.lr._target_=pytorch_lightning.callbacks.LearningRateMonitor"
    done = command("logger=csv", f"+logger.save_dir={tmp_path / 'file'}", monitor, "+trainer.log_every_n_steps=1")
    assert done.code == 0 and "Traceback" not in done.err
    assert "LightningMirror.start failed, the run goes on: " in done.err
    assert "CSVLogger failed, the run goes on: " in done.err
    assert len(table(only_run(tmp_path / "cwd") / "rounds.csv")) == 3


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("logger._target_=os.system", "logger._target_=os.system: not a target"),
        (f"logger._target_={LIGHTNING}.csv_logs.os.system", "not a target"),
        (f"logger._target_={LIGHTNING}.Logger", "not a target"),
        ("+logger.other._target_=os.system", "logger.other._target_=os.system: not a target"),
        ("+logger.prefx=a", "logger.prefx=a"),
        ("+logger.version=3.5", "logger.version=3.5"),
        ("logger=none +logger.csv.prefix=a", "names no logger; give logger.csv._target_"),
        ("logger=tensorbord", "did you mean tensorboard?"),
    ],
)
def test_a_logger_that_cannot_be_is_refused(given: str, said: str, command: Command) -> None:
    settings = given.split()
    assert_refused(command(*([] if settings[0].startswith("logger=") else ["logger=csv"]), *settings), said)


@pytest.mark.parametrize("option", ["tensorboard", "mlflow"])
def test_a_logger_whose_package_is_missing_says_what_to_install(
    option: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Missing(str):
        __slots__ = ()

        def __bool__(self) -> bool:
            return False

    for package in ("tensorboard", "tensorboardX"):
        name = f"lightning_fabric.loggers.tensorboard._{package.upper()}_AVAILABLE"
        monkeypatch.setattr(name, Missing(f"pip install {package}"))
    monkeypatch.setattr(f"{LIGHTNING}.mlflow._MLFLOW_AVAILABLE", Missing("pip install mlflow"))
    assert_refused(command(f"logger={option}"), f"logger._target_={LIGHTNING}.", f"pip install {option}")


def test_tensorboard_holds_the_rounds_once(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import (  # pyright: ignore[reportMissingImports]
        EventFileLoader,
    )

    for rounds in (1, 2):
        assert command("logger=tensorboard", f"al.rounds={rounds}").code == 0
    folder = only_run(tmp_path / "cwd")
    (file,) = (folder.parent / "tensorboard" / folder.name).glob("events.out.tfevents.*")
    seen = {}
    for event in EventFileLoader(str(file)).Load():
        for value in event.summary.value:
            if value.tag == "test/acc":
                assert event.step not in seen
                seen[event.step] = value.tensor.float_val[0]
    rows = table(folder / "rounds.csv")
    assert seen == pytest.approx({int(row["round"]): float(row["test/acc"]) for row in rows})
