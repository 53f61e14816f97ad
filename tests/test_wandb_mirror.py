import csv
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import wandb
from mirrored_runs import N_ROUNDS, SORTED_BY, SUMMARY, make_info, make_mirror, make_round, mirrored_run, records

from al_lightning.runs.folder_state import committed
from al_lightning.runs.run_folder import RunFolder
from al_lightning.runs.run_info import RunInfo
from al_lightning.tracking import wandb_account
from al_lightning.tracking.wandb_account import run_id

pytestmark = pytest.mark.usefixtures("no_account")


def assert_history_is_rounds_csv(info: RunInfo, history: list[dict]) -> None:
    with (info.folder / "rounds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [entry["step"]["num"] for entry in history] == [int(row["round"]) for row in rows]
    for row, entry in zip(rows, history, strict=True):
        logged = {
            key: value
            for key, value in entry["item"].items()
            if not key.startswith(("_", "confusion.", "queries.", "queried/"))
        }
        assert set(logged) == set(row)
        assert (logged.pop("fit/reason"), logged.pop("fit/ok")) == (row.pop("fit/reason"), row.pop("fit/ok") == "true")
        np.testing.assert_array_equal(
            [float(logged[column]) for column in row], [float(value) for value in row.values()]
        )


def summary_of(log: dict[str, list[dict]]) -> dict:
    return {key: value for part in log["summary"] for key, value in part["update"].items()}


def test_offline_log_holds_the_run(tmp_path, capfd):
    before = dict(os.environ)
    mirror = make_mirror()
    info = mirrored_run(tmp_path / "multirun" / "study a" / "tiny-cnn-margin-s3-01234567", mirror)
    mirror.finish("finished", SUMMARY)
    mirror.finish("failed", {})
    # WANDB_SERVICE is how wandb finds its own process again.
    assert {**os.environ, "WANDB_SERVICE": ""} == {**before, "WANDB_SERVICE": ""}
    assert wandb.run is None
    assert capfd.readouterr() == ("", "")

    log = records(info)
    assert_history_is_rounds_csv(info, log["history"])
    assert [entry.get("exit_code", 0) for entry in log["exit"]] == [0]  # a zero may be left out

    [run] = log["run"]
    assert run["run_group"] == "study a" and run["display_name"] == info.folder.name and run["project"] == "test"
    assert sorted(run["tags"]) == ["cnn", "margin", "mine", "tiny", "x" * 64]
    config = run["config"]["update"]
    assert (config["dataset"], config["model"], config["strategy"], config["seed"]) == ("tiny", "cnn", "margin", 3)
    assert config["dataset.name"] == "tiny" and config["al.query_size"] == 4
    assert config["strategy.score.n_clusters"] == 12 and config["al.budget"] is None
    assert config["method"] == "margin n_clusters=12"

    columns = [name for name, value in make_round(0).row.items() if "/" in name and not isinstance(value, str)]
    axes = {metric["name"]: metric["step_metric"] for metric in log["metric"] if "name" in metric}
    assert axes == dict.fromkeys([*columns, "queried/class_entropy"], "n_labeled")

    expected = SORTED_BY | {"final/acc": 0.75, "final/nll": 0.5, "state": "finished"}
    assert expected.items() <= summary_of(log).items()

    first, last = log["history"][0]["item"], log["history"][-1]["item"]
    assert first["queries.captions"] == ["cat / dog", "dog / dog"]
    assert "queries.captions" not in last
    [folder] = (info.folder.parent / "wandb").glob("offline-run-*")
    with PIL.Image.open(folder / "files" / first["queries.filenames"][1]) as picture:
        pixels = np.asarray(picture)[::16, ::16].transpose(2, 0, 1)  # enlarged from 4 to 64 pixels
    np.testing.assert_array_equal(pixels, info.data.pool.images[1])


def test_failed_before_the_first_round(tmp_path):
    mirror, info = make_mirror(), make_info(tmp_path / "study" / "run")
    mirror.start(info)
    mirror.finish("failed", {"state": "failed"})
    log = records(info)
    assert log["exit"] == [{"exit_code": 1}]
    assert summary_of(log)["state"] == "failed" and not {"history", "artifact"} & log.keys()


def killed(path: Path) -> None:
    mirrored_run(path, make_mirror(), upto=2)
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_overwritten_run_is_another_one(tmp_path):
    ids = []
    for overwrite in (False, True):
        with RunFolder(tmp_path / "study" / "run", overwrite):
            pass
        mirror = make_mirror()
        info = mirrored_run(tmp_path / "study" / "run", mirror)
        mirror.finish("finished", SUMMARY)
        assert_history_is_rounds_csv(info, records(info)["history"])
        ids.append(run_id(info))
    assert ids[0] != ids[1]
    [replaced] = (tmp_path / "study" / "wandb-replaced").iterdir()
    assert replaced.name.endswith(ids[0])


@pytest.mark.faults
def test_killed_run_is_replayed(tmp_path, monkeypatch):
    path = tmp_path / "study" / "run"
    monkeypatch.delenv("WANDB_SERVICE", raising=False)
    process = multiprocessing.get_context("spawn").Process(target=killed, args=(path,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL and len(committed(path)[0]) == 2

    mirror = make_mirror()
    info = mirrored_run(path, mirror)
    mirror.finish("finished", SUMMARY)
    log = records(info)  # of the only folder
    assert_history_is_rounds_csv(info, log["history"])
    assert all("confusion.path" in entry["item"] for entry in log["history"])
    assert all("queries.count" in entry["item"] for entry in log["history"][:-1])
    assert len(list((path.parent / "wandb-replaced").glob(f"offline-run-*-{run_id(info)}"))) == 1


class Server:
    """What a mirror sees of a run that is online."""

    def __init__(self, starting_step: int = 0, fails: bool = False) -> None:
        self.starting_step, self.fails = starting_step, fails
        self.logged, self.exits, self.artifacts, self.summary = [], [], [], {}
        self.dir = "study/wandb/offline-run-1-x/files"

    def init(self, **arguments) -> "Server":
        if self.fails and arguments["mode"] == "online":
            raise wandb.Error("no route\nto host")
        self.arguments = arguments
        return self

    def define_metric(self, name: str, step_metric: str) -> None: ...

    def log(self, contents: dict, step: int, commit: bool) -> None:
        self.logged.append((step, contents["round"]))

    def log_artifact(self, artifact: wandb.Artifact) -> None:
        self.artifacts.append(artifact.name)

    def finish(self, exit_code: int) -> None:
        self.exits.append(exit_code)


def replayed(tmp_path, monkeypatch, server: Server, has_key: bool = True) -> None:
    monkeypatch.setattr(wandb_account, "logged_in", lambda: has_key)
    monkeypatch.setattr(wandb, "init", server.init)
    monkeypatch.setattr(wandb, "teardown", lambda: None)
    monkeypatch.chdir(tmp_path)
    Path(server.dir).mkdir(parents=True)
    path = tmp_path / "study" / "run"
    mirrored_run(path, make_mirror("disabled"), upto=3)
    mirror = make_mirror("online")
    mirrored_run(path, mirror)
    mirror.finish("interrupted", {})


def test_online_sends_what_the_server_lacks(tmp_path, monkeypatch):
    server = Server(starting_step=2)
    replayed(tmp_path, monkeypatch, server)
    assert server.arguments["mode"] == "online" and server.arguments["resume"] == "allow"
    assert server.logged == [(2, 2), (3, 3)] and len(server.artifacts) == 1
    assert server.exits == [1]


@pytest.mark.parametrize(
    ("fails", "has_key", "reason"), [(True, True, "no route to host"), (False, False, "no API key")]
)
def test_goes_on_offline_where_online_cannot_be_had(tmp_path, monkeypatch, capsys, fails, has_key, reason):
    server = Server(fails=fails)
    replayed(tmp_path, monkeypatch, server, has_key)
    assert server.arguments["mode"] == "offline"
    assert server.logged == [(number, number) for number in range(N_ROUNDS)]
    [line] = capsys.readouterr().err.splitlines()
    assert reason in line and "wandb sync study/wandb/offline-run-1-x" in line


def test_an_error_ends_the_mirror_and_not_the_run(tmp_path, monkeypatch, capsys):
    server = Server()
    monkeypatch.setattr(server, "log", lambda *_, **__: 1 / 0)
    replayed(tmp_path, monkeypatch, server)
    [line] = capsys.readouterr().err.splitlines()
    assert "mirror stopped" in line and "division" in line
    assert server.exits == [1] and len(committed(tmp_path / "study" / "run")[0]) == N_ROUNDS


def test_disabled_does_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr(wandb, "setup", lambda settings: 1 / 0)
    mirror = make_mirror("online")
    mirrored_run(tmp_path / "study" / "run", mirror)
    mirror.finish("finished", SUMMARY)
    assert not (tmp_path / "study" / "wandb").exists() and capsys.readouterr().err == ""


def test_after_its_process_has_died_the_next_run_has_another(tmp_path, capfd):
    mirrored_run(tmp_path / "study" / "one", make_mirror(), upto=1)
    services = [int(child) for child in children() if b"wandb-core" in Path(f"/proc/{child}/cmdline").read_bytes()]
    assert services
    for service in services:
        os.kill(service, signal.SIGKILL)
    mirror = make_mirror()
    info = mirrored_run(tmp_path / "study" / "two", mirror)
    mirror.finish("finished", SUMMARY)
    assert_history_is_rounds_csv(info, records(info)["history"])
    assert capfd.readouterr().err == ""


def children() -> list[str]:
    """Of this process, all its threads'."""
    return " ".join(file.read_text() for file in Path("/proc/self/task").glob("*/children")).split()
