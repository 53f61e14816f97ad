"""A finished run is mirrored afterwards, once; what the environment says of W&B."""

from pathlib import Path

import pytest
from conftest import Command
from run_folders import mirrored_rounds, only_run

from al_lightning.dashboard.__main__ import main
from al_lightning.tracking.wandb_mirror import WandbMirror

pytestmark = pytest.mark.usefixtures("no_network")


def settings_of(mirror: WandbMirror) -> tuple[str, tuple[str, ...]]:
    return mirror.project, mirror.tags


def test_a_finished_run_is_mirrored_once(tmp_path: Path, command: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert command(cwd=tmp_path).code == 0
    study = only_run(tmp_path).parent
    assert main(["--mirror", str(study)]) == 0
    first = capfd.readouterr().out
    assert mirrored_rounds(study) == [0, 1, 2]
    folders = sorted((study / "wandb").glob("offline-run-*"))
    assert main(["--mirror", str(study)]) == 0
    again = capfd.readouterr().out
    assert ": mirrored: " in first and ": mirrored already: " in again
    assert sorted((study / "wandb").glob("offline-run-*")) == folders


def test_an_unfinished_run_is_not_mirrored(tmp_path: Path, command: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert command("optimizer=sgd", "optimizer.lr=1000", "train.min_steps=200", cwd=tmp_path).code == 1
    assert main(["--mirror", str(only_run(tmp_path).parent)]) == 1
    assert "no finished run" in capfd.readouterr().err


def test_the_environment_fills_what_the_configuration_leaves_open(monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of(WandbMirror(None, None, None, [], 0)) == ("al_lightning", ())
    monkeypatch.setenv("WANDB_PROJECT", "pets")
    monkeypatch.setenv("WANDB_TAGS", "a, b,")
    assert settings_of(WandbMirror(None, None, None, [], 0)) == ("pets", ("a", "b"))
    assert settings_of(WandbMirror("own", None, None, ["c"], 0)) == ("own", ("c",))


def test_a_folder_of_the_environment_is_where_wandb_writes(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    monkeypatch.setenv("WANDB_DIR", str(place))
    assert command("logger=wandb", "logger.mode=offline", "al.rounds=1", cwd=tmp_path).code == 0
    assert len(list((place / "wandb").glob("offline-run-*"))) == 1
    assert not (only_run(tmp_path).parent / "wandb").exists()


@pytest.mark.parametrize("variable", [True, False])
def test_a_mode_that_does_not_exist_is_found_before_anything_is_trained(
    variable: bool, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = ["logger=wandb", *([] if variable else ["logger.mode=ofline"])]
    with monkeypatch.context() as patch:
        patch.setattr("al_lightning.loop.fit_choose_test", lambda *_, **__: pytest.fail("a round began"))
        if variable:
            patch.setenv("WANDB_MODE", "ofline")
        done = command(*typed, cwd=tmp_path)
    assert done.code == 2 and "ofline" in done.err
