"""What people type by mistake, and what they are told; names as they were typed; what help and version show."""

import re
from pathlib import Path

import pytest
from conftest import Command
from test_bad_input import assert_refused

from al_lightning import __version__


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("lr=0.1", "did you mean optimizer.lr?"),
        ("epochs=5", "did you mean trainer.max_epochs?"),
        ("rounds=3", "did you mean al.rounds?"),
        ("al.round=3", "did you mean al.rounds?"),
        ("query_size=3", "did you mean al.query_size?"),
        ("queries=3", "did you mean al.query_size?"),
        ("train.min_step=3", "did you mean train.min_steps?"),
        ("dropout=0.1", "did you mean model.dropout?"),
        ("strategy=margn", "did you mean margin?"),
        ("model=resnet", "did you mean resnet18?"),
        ("--strategy margin", "settings are typed without dashes: strategy=margin"),
        ("--strategy=margin", "settings are typed without dashes: strategy=margin"),
        ("--lr 0.1", "settings are typed without dashes: optimizer.lr=0.1"),
        ("--config-dir nope", "there is no such folder"),
        ("strategy=[random,margin]", "--multirun strategy=random,margin"),
        ("--multirun strategy=[random,margin]", "--multirun strategy=random,margin"),
        ("dataset=[digits,mnist]", "--multirun dataset=digits,mnist"),
        ("model=[cnn,gal2017]", "--multirun model=cnn,gal2017"),
        ("--multirun seed=", "there is no value after the ="),
        ("--multirun seed=range(0,0)", "the sweep has no job"),
        ("--multirun seed=0,1 hydra/launcher=joblib hydra.launcher.n_jobs=0", "must be at least 1"),
        ("trainer.gradient_clip_val=-1", "must be at least 0"),
        (f"study={'a' * 65}", "1 to 64 letters"),
        ("study=null", "study"),
        ("hydra.launcher.njobs=2", "did you mean hydra.launcher.n_jobs? hydra/launcher=joblib has it"),
        ("hydra.launcher.n_jobs=2", "hydra/launcher=joblib has it"),
        ("hydra/launcher=joblib hydra.launcher.njobs=2", "hydra.launcher has: _target_, n_jobs, backend"),
        ("hydra.sweper.max_batch_size=2", "did you mean hydra.sweeper.max_batch_size? hydra has: run, sweep, launcher"),
        ("hydra.sweeper.max_batchsize=2", "did you mean hydra.sweeper.max_batch_size? hydra.sweeper has: _target_"),
        ("--multi-run seed=0,1", "--multi-run: there is no such flag; did you mean --multirun?"),
        ("--mutlirun seed=0,1", "did you mean --multirun?"),
        ("--config_dir=conf", "did you mean --config-dir?"),
        ("~lr", "~lr: there is no such key; did you mean optimizer.lr?"),
        ("~stratgy", "~stratgy: there is no such key; did you mean strategy?"),
        ("~optimizer.lrr", "did you mean optimizer.lr? optimizer has: name"),
        ("~hydra.luncher", "did you mean hydra.launcher?"),
        ("~al.budget", "~al.budget: this key cannot be taken away; give it a value"),
        ("--dry-run", "settings are typed without dashes: dry_run=true"),
        ("--overwrite strategy=margin", "settings are typed without dashes: overwrite=true"),
        ("--dry-run false", "settings are typed without dashes: dry_run=false"),
        ("--no-debug", "settings are typed without dashes: debug=false"),
        ("paths.output_root=", "paths.output_root='': must name a folder"),
        ("paths.data=''", "paths.data='': must name a folder"),
        ("dataset=folder dataset.root=''", "dataset.root='': must name a folder"),
        ("dataset=folder dataset.root=photos dataset.cache=", "dataset.cache='': must name a folder, or null"),
    ],
)
def test_a_mistake_is_told_with_what_was_meant(typed: str, meant: str, command: Command) -> None:
    assert_refused(command(*typed.split(" ")), meant)


@pytest.mark.parametrize("path", ["~/photos", "/x/a(b)", "/x/a=b", "/x/it's", "/x/R&D", "/x/Photos (2023)"])
def test_a_path_with_odd_characters_is_read_or_told_how_to_quote(path: str, command: Command) -> None:
    done = command("dataset=folder", f"dataset.root={path}")
    assert done.code == 2
    quoted = path.replace("\\", "\\\\")
    if "cannot be read as key=value" in done.err:
        assert f'dataset.root="{quoted}"' in done.err.replace("'\"'\"'", "'")
        done = command("dataset=folder", f'dataset.root="{path}"')
    assert_refused(done, "must be a folder")
    assert Path(path).expanduser().name in done.err


@pytest.mark.parametrize("study", ["2024_01_15", "2024_1_15", "1.10", "1e3", "true", "007", "0x1F"])
def test_a_study_has_the_name_that_was_typed(study: str, command: Command, tmp_path: Path) -> None:
    assert command(f"study={study}", "al.rounds=0", "paths.output_root=20_24").code == 0
    assert [path.name for path in (tmp_path / "cwd/20_24").iterdir()] == [study]


def test_a_home_is_found_for_runs_too(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert command('paths.output_root="~/runs"', "al.rounds=0").code == 0
    assert list((tmp_path / "home/runs/default").glob("digits-*"))
    assert not (tmp_path / "cwd" / "~").exists()


def test_a_study_given_to_resume_is_told(command: Command) -> None:
    assert command("al.rounds=0").code == 0
    done = command("resume=multirun_outputs/default")
    assert done.code == 2 and "a study, not a run" in done.err and "digits-cnn-margin-s0-" in done.err


def test_a_folder_of_studies_given_to_resume_is_told(command: Command) -> None:
    for study in ("one", "two"):
        assert command("al.rounds=0", f"study={study}").code == 0
    done = command("resume=multirun_outputs")
    assert done.code == 2 and "resume=multirun_outputs: a folder of studies, not a run" in done.err
    assert "one/digits-cnn-margin-s0-" in done.err and "two/digits-cnn-margin-s0-" in done.err


def test_to_overwrite_nothing_is_said_and_moves_nothing(command: Command, tmp_path: Path) -> None:
    done = command("overwrite=true", "al.rounds=0")
    assert done.code == 0 and "there was nothing to move" in done.out
    assert not list(tmp_path.rglob("set-aside"))
    assert "what was there is now" in command("overwrite=true", "al.rounds=0").out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# @package _global_\nal:\n  rounds: 1\nlr: 0.1\n", ["mine.yaml:4: lr", "optimizer.lr"]),
        ("al: {rounds: 1}\n", ["mine.yaml", "@package _global_"]),
        ("a: [1\n", ["mine.yaml", "line 2", "expected"]),
        ("# @package _global_\ndefaults: [override /strategy: nope]\n", ["nope", "kmeans"]),
    ],
)
def test_a_broken_file_of_the_user_is_named(text: str, said: list[str], command: Command, tmp_path: Path) -> None:
    file = tmp_path / "my" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    assert_refused(command("--config-dir", str(tmp_path / "my"), "experiment=mine"), *said)


def test_help_fits_on_a_screen(command: Command) -> None:
    done = command("--help")
    assert done.code == 0
    lines = done.out.splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 120
    keys = [line for line in lines if re.match(r"  [a-z._]+ {2,}\S+ {2,}\S", line)]
    assert len(keys) == 15 and sum("python -m al_lightning " in line for line in lines) == 3


def test_version_is_this_programs(command: Command) -> None:
    assert command("--version").out.startswith(f"al_lightning {__version__} (")


def test_a_dry_run_of_a_sweep_is_one_table_with_a_sum(command: Command) -> None:
    assert command("seed=1", "strategy=random").code == 0
    done = command("--multirun", "seed=0,1", "strategy=random,margin", "dry_run=true")
    assert done.code == 0 and done.out.count("what would run") == 1 and "al:\n" not in done.out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in done.out.splitlines() if "│" in line]
    settings = [row[1] for row in rows if row[0].isdigit()]
    assert settings == [f"seed={seed} strategy={name}" for seed in (0, 1) for name in ("random", "margin")]
    assert [row[2] for row in rows if row[0].isdigit()] == ["new", "new", "done", "new"]
    assert rows[-1][:2] == ["sum", "4 runs, 1 at a time"] and rows[-1][3] == "9"


def test_a_sweep_says_which_job_how_many_and_how_to_compare(command: Command) -> None:
    done = command("--multirun", "seed=range(0,3)", "al.rounds=0")
    for number, seed in enumerate(range(3), 1):
        assert f"job {number}/3: seed={seed}" in done.out
    assert re.search(r"job 1/3 finished \(seed=0\); 2 to go, about \d", done.out)
    assert "to compare them: python -m al_lightning.report multirun_outputs/default" in done.out
