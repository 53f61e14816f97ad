"""What the labeling command refuses, in one line and with nothing made."""

import json
from pathlib import Path

import pytest
from label_servers import Client, photos_in, serving

from al_lightning.label.command import run
from al_lightning.people.store import Store

CLASSES = ("--classes", "cat,dog")


def ended(arguments: list[str]) -> int | str | None:
    """How the command ends, in this process; argparse ends by an exception."""
    try:
        return run(arguments)
    except SystemExit as end:
        return end.code


def test_a_class_in_other_case_is_a_slip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = photos_in(tmp_path, 1)
    with serving(photos, *CLASSES) as (address, _):
        refused = Client(address).http.post("/api/classes", json={"name": "Dog "})
        assert (refused.status_code, "'Dog': there is 'dog'" in refused.json()["error"]) == (422, True)
    for typed, said in (("bird,Cat,DOG", "Cat, DOG: there are cat, dog"), ("bird,Bird", "Bird: there is bird")):
        assert ended([str(photos), "--no-browser", "--classes", typed]) == 2
        out, err = capsys.readouterr()
        assert not out and err.startswith(f"error: --classes {said}, ") and err.count("\n") == 1
    store = Store(tmp_path / "photos-labels" / "labels.sqlite")
    assert [*store.classes().values()] == ["cat", "dog"]
    store.close()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--help"], 0, "--random-share"),
        ([], 2, "type: python -m al_lightning.label photos --classes cat,dog ("),
        (["nowhere"], 2, "nowhere: must be a folder"),
        (["photos", "--strategy", "magrin"], 2, "did you mean margin?"),
        (["photos", "--random-share", "1.5"], 2, "--random-share 1.5"),
        (["photos", "--budget", "many"], 2, "--budget many"),
        (["photos", "--classes", "x" * 61], 2, "1 to 60"),
        (["photos", "cat"], 2, "KEY=VALUE"),
        (["photos", "--project", "."], 1, "is no project of labels"),
        (["photos", "--project", "file"], 2, "file: must be a folder"),
        (["photos", "--host", "203.0.113.9"], 1, "--host 203.0.113.9 --port 0: is no address of this machine"),
        (["photos", "--host", "no.such.host.invalid"], 1, "no.such.host.invalid: no machine of this name is known"),
        (["photos", "--host", "no..host"], 1, "no..host: no machine of this name is known"),
        (["photos", "--port", "99999"], 2, "--port 99999: must be"),
        (["photos", "--strategy", "ceiling"], 2, "there is none of that name"),
        (["photos", "dataset.exclude=dog_*"], 2, "dataset.exclude=[dog_*]"),
        (["photos", "model.members=3"], 2, "model.members=3: the learner"),
        (["photos", "seed=abc"], 2, "seed=abc: "),
        (["photos", "strategy.noise=1,2"], 2, "strategy.noise=1,2: must be one value; a list stands in brackets"),
        (["photos", "strategy.noize=1"], 2, "did you mean strategy.noise?"),
        (["photos", "strategy.noise={"], 2, "strategy.noise={: "),
        (["photos", "--embedding", "file"], 2, "embedding.path: no value is set"),
        (["empty"], 1, "there are no images"),
    ],
)
def test_the_command_says_what_is_wrong(
    arguments: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    photos_in(tmp_path, 1)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    assert ended([*arguments, "--no-browser"]) == code
    assert sorted(tmp_path.rglob("*")) == before  # nothing is made
    out, err = capsys.readouterr()
    assert said in (err if code else out)
    assert not code or (err.startswith("error: ") and err.count("\n") == 1)


def test_a_project_that_is_damaged_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos, project = photos_in(tmp_path, 2), tmp_path / "photos-labels"
    with serving(photos, "--classes", "cat,dog"):
        pass

    def start() -> tuple[int | str | None, str]:
        return ended([str(photos), "--no-browser"]), capsys.readouterr().err

    (project / "settings.json").write_text("{")
    code, said = start()
    assert code == 1 and "labels are not in it" in said and "Traceback" not in said
    (project / "settings.json").unlink()
    with serving(photos) as (address, _):  # as it says
        assert [each["name"] for each in Client(address).get("state")["classes"]] == ["cat", "dog"]
    (project / "live").rename(project / "before")
    (project / "live").touch()
    assert start() == (
        2,
        f"error: {project}/live: must be a folder, and is none; move it away, or choose with --project\n",
    )
    (project / "live").unlink()
    # Settings of an earlier version, which kept what cannot work.
    said = json.loads((project / "settings.json").read_text())
    (project / "settings.json").write_text(json.dumps(said | {"overrides": ["strategy.old=1"]}))
    code, said = start()
    assert code == 2 and "has the settings strategy.old=1: a bare none takes them back" in said
    with serving(photos, "none"):
        pass
    data = bytearray((project / "labels.sqlite").read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    for each in project.glob("labels.sqlite*"):
        each.unlink()
    (project / "labels.sqlite").write_bytes(data)
    code, said = start()
    assert code == 1 and said.startswith("error: ") and "Traceback" not in said
