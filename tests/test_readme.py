"""What the README shows is run as it stands, on small settings."""

import re
import shlex
from pathlib import Path

import pytest
from conftest import TINY, Command, fast
from PIL import Image
from processes import run_command
from run_folders import only_run

import al_lightning
from al_lightning.config.schema import conf_dir
from al_lightning.dashboard.__main__ import main as dashboard
from al_lightning.people.records import Given
from al_lightning.people.scan import scan
from al_lightning.people.store import Store
from al_lightning.report import load
from al_lightning.report.__main__ import main as report

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [line.split("  #")[0].strip() for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
INLINE = re.findall(r"`(python -m al_lightning [^`]*)`", README)
RUNS = [command for command in COMMANDS if command.startswith("python -m al_lightning ")]


def photos(cwd: Path) -> None:
    """One folder a class, and a file that names the classes, too."""
    for name, level in (("cat", 0), ("dog", 255)):
        (cwd / "photos" / name).mkdir(parents=True)
        for i in range(60):
            Image.new("RGB", (20 + i, 30), (level, i, i)).save(cwd / "photos" / name / f"{i}.jpg")
    rows = "".join(f"{name}/{i}.jpg,{name if i < 50 else ''}\n" for name in ("cat", "dog") for i in range(60))
    (cwd / "photos" / "metadata.csv").write_text(f"file_name,label\n{rows}")


@pytest.mark.usefixtures("one_figure")
@pytest.mark.parametrize("line", [line for line in RUNS if not re.search("experiment=|resume=", line)])
def test_a_run_that_the_readme_shows_runs(line: str, command: Command, tmp_path: Path, request) -> None:
    cwd = tmp_path / "cwd"
    cwd.mkdir()
    if "dataset=mnist" in line:
        (cwd / "data").symlink_to(request.getfixturevalue("real"))
    if "dataset=folder" in line:
        photos(cwd)
    if "oracle.store=photos-labels" in line:
        store = Store(cwd / "photos-labels" / "labels.sqlite", create=True)
        [*_] = scan(cwd / "photos", store, [])
        for label in (store.add_class("cat"), store.add_class("dog")):
            store.answer(store.add_annotator("ann"), f"answer-{label}", [Given(label, "label", label)], "page")
    arguments = [each for each in shlex.split(line)[3:] if not each.startswith("seed=0,1")]
    if "dataset=mnist" in line:
        arguments.append("dataset.subset=2000")  # of the 60,000, which take their time to score
    if "embedding=timm" in line:
        arguments += [f"embedding.model={TINY}", f"embedding.weights={request.getfixturevalue('weights')}"]
    ended = command(*arguments, "al.rounds=1", "logger=wandb", "logger.mode=offline", cwd=cwd)
    assert ended.code == 0, ended.err
    if "oracle=people" in line:
        assert "waiting for" in ended.out
        return
    study = re.search(r"study=(\w+)", line)
    folder = cwd / "multirun_outputs" / (study[1] if study else "default")
    assert list(folder.glob("wandb/offline-run-*")), "what `wandb sync` is shown with"
    assert f"python -m al_lightning.report multirun_outputs/{folder.name}" in COMMANDS
    assert report([str(folder)]) == 0
    assert (folder / "report" / "report.html").stat().st_size > 10_000


def test_a_run_goes_on_as_the_readme_shows(command: Command) -> None:
    assert command("al.rounds=1").code == 0
    run = only_run(Path.cwd())
    shown = [shlex.split(line.replace("<run>", run.name))[3:] for line in RUNS if "resume=" in line]
    ended = [command(*arguments) for arguments in shown]
    assert [each.code for each in ended] == [0, 0]
    assert "finished before" in ended[0].out
    assert len((run / "rounds.csv").read_text().splitlines()) == 1 + 21


@pytest.mark.usefixtures("one_figure")
def test_a_study_is_compared_as_the_readme_shows(command: Command, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("wandb_workspaces", reason="the extra `dashboard` is not installed")
    assert (
        command("--multirun", "study=digits", "strategy=random,margin", "logger=wandb", "logger.mode=offline").code == 0
    )
    shown = [shlex.split(line)[2:] for line in COMMANDS if re.search(r"\.(report|dashboard) .*digits", line)]
    assert len(shown) == 7
    for module, *arguments in shown:
        if module == "al_lightning.report":
            assert report(arguments) == 0
            out = capfd.readouterr().out
            assert ("page: " in out) == ("--latex" not in arguments) and ("tabular" in out) == ("--latex" in arguments)
        else:
            needs_key = not {"--dry-run", "--mirror"} & set(arguments)
            assert dashboard(arguments) == int(needs_key), "there is no key"
    assert (Path.cwd() / "multirun_outputs/digits/report/dashboard.json").exists()
    (snippet,) = [text for kind, text in BLOCKS if kind == "python" and "al_lightning.report" in text]
    exec(snippet)
    assert "margin" in capfd.readouterr().out


def test_every_column_of_the_table_is_in_the_readme(command: Command) -> None:
    assert command("al.rounds=0").code == 0
    ours = [column for column in load(Path.cwd()).columns if "/" not in column]
    assert [column for column in ours if f"`{column}`" not in README] == ["round", "n_paid"]


@pytest.mark.parametrize("line", [line for line in INLINE if "experiment=" in line])
def test_an_experiment_that_the_readme_shows_composes(line: str, tmp_path: Path) -> None:
    done = run_command([*shlex.split(line)[3:], "--cfg", "job"], tmp_path)
    assert done.code == 0, done.err


def test_every_command_of_the_readme_is_known() -> None:
    known = (
        "make ",
        "source ",
        "python -m al_lightning ",
        "python -m al_lightning.report ",
        "python -m al_lightning.dashboard ",
        *(f"python -m al_lightning.{name} " for name in ("label", "predict", "export", "exchange")),
        "wandb leet ",
        "wandb sync ",
    )
    assert [line for line in COMMANDS if not line.startswith(known)] == []


def test_the_strategy_of_the_readme_runs(tmp_path: Path) -> None:
    for kind, text in BLOCKS:
        named = re.match(r"# (my_\S+)\n", text)
        if named:
            file = tmp_path / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            assert kind in ("python", "yaml")
    shown = re.search(r"`AL_LIGHTNING_ALLOW=my_package python (-m al_lightning .*?)`", README, re.DOTALL)
    assert shown
    typed = fast(tuple(shown[1].split()[2:]))
    own = {"AL_LIGHTNING_ALLOW": "my_package", "PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path)}
    done = run_command(typed, tmp_path, own)
    assert done.code == 0, done.err
    assert list(tmp_path.glob("multirun_outputs/default/digits-cnn-least_second-*"))


def test_the_model_of_a_run_is_used_as_the_readme_shows(
    command: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command("al.rounds=0").code == 0
    (run_folder,) = (tmp_path / "cwd" / "multirun_outputs" / "default").glob("digits-*")
    file = tmp_path / "seven.png"
    Image.new("RGBA", (40, 30)).save(file)
    (snippet,) = [text for kind, text in BLOCKS if kind == "python" and "al_lightning.load" in text]
    exec(snippet, {"run_folder": run_folder, "file": file})
    assert capfd.readouterr().out.strip() in al_lightning.load(run_folder).classes


def test_a_run_is_started_from_python_as_the_readme_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = al_lightning.run
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(al_lightning, "run", lambda overrides: run(fast(tuple(overrides))), raising=False)
    (snippet,) = [text for kind, text in BLOCKS if kind == "python" and "al_lightning.run" in text]
    exec(snippet)
    state, folder, accuracy = capsys.readouterr().out.splitlines()[-1].split()
    assert (state, tmp_path / folder) == ("finished", only_run(tmp_path)) and 0 <= float(accuracy) <= 1


def options_shown(group: str) -> list[str]:
    """The options that the README has for a group: in its row of the keys, and of strategies in their own table."""
    if group == "strategy":
        (table,) = re.findall(r"\| `strategy=` \|.*\n((?:\|.*\n)+)", README)
        return re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    (cell,) = re.findall(rf"^\| `{group}` \| [^|]* \| (.*) \|$", README, re.MULTILINE)
    return re.findall(r"`(\w+)`", cell)


OWN = [folder.name for folder in sorted(conf_dir().iterdir()) if folder.is_dir() and folder.name != "hydra"]


@pytest.mark.parametrize("group", OWN)
def test_the_readme_has_the_options_that_there_are(group: str) -> None:
    assert sorted(options_shown(group)) == sorted(file.stem for file in (conf_dir() / group).glob("*.yaml"))
