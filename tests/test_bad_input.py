"""What cannot work: exit code 2, a short message that names the key and what is allowed, nothing written."""

from pathlib import Path

import pytest
import torch
from conftest import Command, Ended
from PIL import Image


def assert_refused(ended: Ended, *fragments: str) -> None:
    assert ended.code == 2, ended.err
    lines = ended.err.splitlines()
    assert len(lines) < 10
    assert "Traceback" not in ended.err
    assert any(line.startswith("error: ") for line in lines)
    for fragment in fragments:
        assert fragment in ended.err
    assert list(Path.cwd().iterdir()) == []


SIZE = "must be a whole number of images, at least"
REFUSED = [
    # what does not exist: what does
    ("dataset=mnits", "mnist, svhn"),
    ("experiment=nope", "paper_baseline, paper_small"),
    ("hydra/launcher=slurmy", "basic, joblib"),
    ("trainr=cpu", "did you mean trainer?"),
    ("sead=1", "did you mean seed?", "study, batch_size"),
    ("al.query_sise=10", "did you mean al.query_size?", "initial_size, initial, query_size"),
    ("model.widht=4", "did you mean model.width?"),
    ("dataset.augment.crup=3", "dataset.augment has: crop, flip"),
    ("optimizer.learning_rate=1", "lr, weight_decay"),
    ("model.stem=small", "model has: members, ensemble, sampling, name, _target_, width"),  # a key of the other model
    ("+unknown=1", "seed, study, batch_size"),
    ("+al.unknown=1", "al has: initial_size, initial,"),
    ("+strategy.unknown=1", "no such setting", "score"),
    ("+dataset.augment.crup=3", "crop, flip"),
    # of another type
    ("batch_size=abc", "Integer"),
    ("seed=1.5", "Integer"),
    ("al.rounds=true", "Integer"),
    ("al.initial_size=abc", "int, float"),
    ("al=3", "ActiveLearning"),
    ("dry_run=maybe", "bool"),
    ("model.width=abc", "valid integer"),
    ("optimizer.lr=abc", "valid number"),
    ("dataset.augment.flip=maybe", "a valid boolean"),
    ("strategy.score=margin", "callable"),
    ("strategy=null", "margin, margin_diverse"),
    ("~seed", "cannot be taken away"),
    ("~strategy.score", "score"),
    ("~trainer.accelerator", "accelerator"),
    ("+dataset._partial_=true", "_partial_"),
    ("strategy.score._partial_=3", "valid boolean"),
    ("dataset.augment=3", "a valid dictionary"),
    ("+dataset.augment={1:2}", "must be text"),
    # out of range
    ("al.initial_size=-1", "must be a whole number of images, at least 0"),
    ("al.initial_size=1", "at least 2"),
    ("al.initial_size=-3", SIZE),
    ("al.initial_size=nan", "finite number"),
    ("al.initial_size=1.5", SIZE),
    ("al.query_size=0", SIZE),
    ("al.val_size=-1", SIZE),
    ("al.rounds=-1", "at least 0"),
    ("al.rounds=null", "al.budget=null"),
    ("al.budget=0", "at least 1"),
    ("al.n_clusters=1", "at least 2"),
    ("al.mc_samples=0", "at least 1"),
    ("al.pool_sample=0", SIZE),
    ("al.pool_sample=19", "at least 20 are needed"),
    ("al.initial=maybe", "must be one of random, balanced, typiclust"),
    ("al.pool_batch_size=0", "at least 1"),
    ("al.scoring_precision=16", "fp32", "bf16"),
    ("model.live_taps=2", "a valid boolean"),
    ("trainer.gradient_clip_val=abc", "valid number"),
    ("+trainer.gradient_clip_algorithm=abc", "norm"),
    ("batch_size=1", "at least 2"),
    ("seed=-1", "from 0 to 4294967295"),
    ("train.min_steps=-1", "at least 0"),
    ("train.engine=quick", "fast", "plain"),
    ("train.schedule=step", "constant, linear, cosine"),
    ("trainer.max_epochs=0", "at least 1"),
    ("trainer.max_epochs=1.5", "whole number"),
    ("trainer.devices=0", "whole number from 1"),
    ("trainer.precision=abc", "32-true"),
    ("model.width=0", "greater than or equal to 1"),
    ("model.dropout=1", "less than 1"),
    ("model.dropout=nan", "finite number"),
    ("dataset.augment.crop=-1", "greater than or equal to 0"),
    ("trainer.devices=true", "whole number from 1"),
    ("seed=1" + 400 * "0", "whole number of at most 19 digits"),
    ("paths.data=" + 5000 * "x", "at most 4096 characters"),
    ("paths.data='\udcff'", "UTF-8"),
    # more than can be meant, or than a machine has memory for
    ("batch_size=65537", "at most 65536"),
    ("al.pool_batch_size=65537", "at most 65536"),
    ("al.mc_samples=10001", "at most 10000"),
    ("train.min_steps=1000001", "at most 1000000"),
    ("trainer.max_epochs=100001", "at most 100000"),
    ("model.width=1025", "less than or equal to 1024"),
    ("optimizer.lr=1e30", "at most 1000"),
    ("dataset.augment.crop=9", "less than or equal to 8"),
    # what is the framework's to decide
    ("trainer.logger=true", "must be false"),
    ("~trainer.enable_checkpointing", "must be false"),
    ("+trainer.limit_test_batches=0", "the loop decides it"),
    # sizes that do not fit the pool of 1,437
    ("al.initial_size=2000", "the pool has 1437"),
    ("al.val_size=1430", "the pool has 1437"),
    ("al.rounds=71", "at most 70 rounds fit"),
    ("al.budget=10", "already cost 20 labels"),
    # Hydra's own
    ("foo", "key=value"),
    ("al.rounds=[1,", "key=value"),
    ("al.rounds=${nope}", "'nope' not found"),
    ("study=${oc.env:AL_LIGHTNING_NO_SUCH}", "'AL_LIGHTNING_NO_SUCH' not found"),
    ("seed=${seed}", "seed"),
    ("strategy=-0.5", "margin, margin_diverse"),
    ("+=", "+="),
    # names of folders
    ("study=a/b", "letters, digits"),
    ("study=..", "letters, digits"),
    ("study=", "letters, digits"),
    ("study='a=b'", "letters, digits"),
    ("study='a,b'", "letters, digits"),
    ("strategy.name=a/b", "letters, digits"),
]


@pytest.mark.parametrize(("argument", "allowed"), [(argument, allowed) for argument, *allowed in REFUSED])
def test_a_setting_that_cannot_work_is_refused(command, argument: str, allowed: list[str]) -> None:
    key = argument.lstrip("+~").split("=")[0]
    assert_refused(command(argument), key, *allowed)


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["strategy=kmeans", "strategy.score.n_clusters=1"], ["strategy.score.n_clusters=1", "2"]),
        (["model=gal2017", "model.hidden_dropout=1"], ["model.hidden_dropout=1", "less than 1"]),
        (["strategy=bald", "strategy.score.mc_samples=0"], ["strategy.score.mc_samples=0", "1"]),
        (["strategy=kmeans", "strategy.score.n_clusters=${al.nope}"], ["strategy.score.n_clusters", "'al.nope'"]),
        (["strategy=kmeans", "al.n_clusters=30", "al.pool_sample=25"], ["al.n_clusters=30", "25 images"]),
        (["strategy=kmeans", "al.n_clusters=1400"], ["al.n_clusters=1400", "1397"]),  # unlabeled in the last query
        (["optimizer.lr=-1"], ["optimizer", "learning rate: -1"]),
        (["optimizer=sgd", "optimizer.momentum=-1"], ["optimizer", "momentum value: -1"]),
        (["trainer.accelerator=abc"], ["trainer", "auto", "cpu"]),
        (["logger=wandb", "logger.mode=abc"], ["logger.mode=abc", "'online', 'offline' or 'disabled'"]),
        (["dataset=folder"], ["dataset.root", "no value is set"]),
        (["dataset=folder", "dataset.root=/no/such"], ["dataset.root=/no/such", "<root>/<class>/"]),
        (["study=a=b"], ["study=a=b"]),
        (["study=a,b"], ["study=a,b"]),
    ],
    ids=" ".join,
)
def test_settings_that_cannot_work_are_refused(command, arguments: list[str], fragments: list[str]) -> None:
    assert_refused(command(*arguments), *fragments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(command) -> None:
    assert_refused(command("trainer=gpu"), "trainer.accelerator=gpu", "cpu or auto")


def test_a_folder_of_one_class_is_refused(command, tmp_path: Path) -> None:
    (tmp_path / "one" / "cat").mkdir(parents=True)
    for shade in range(5):
        Image.new("L", (8, 8), shade).save(tmp_path / "one" / "cat" / f"{shade}.png")
    assert_refused(command("dataset=folder", f"dataset.root={tmp_path / 'one'}"), "dataset.root=", "at least 2 classes")


def test_an_output_folder_that_cannot_be_made_is_refused(command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_refused(command(f"paths.output_root={tmp_path / 'file' / 'runs'}"), "paths.output_root")


def test_fewer_clusters_than_classes_run_with_a_warning(command) -> None:
    ended = command("strategy=kmeans", "al.n_clusters=5", "al.rounds=1")
    assert ended.code == 0
    assert "al.n_clusters=5" in ended.out + ended.err


# --- targets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "argument"),
    [
        ("strategy._target_", "strategy._target_=os.system"),
        ("strategy.score._target_", "strategy.score._target_=os.system"),
        ("strategy.score._target_", "strategy.score={_target_:torch.hub.load,_partial_:true}"),
        ("dataset._target_", "dataset._target_=torch.load"),
        ("model._target_", "model._target_=builtins.eval"),
        ("model._target_", "model._target_=al_lightning.acquisition.scores.torch.load"),
        ("dataset._target_", "dataset._target_=al_lightning.data.sources.Path"),
        ("dataset._target_", "dataset._target_=al_lightning.data.sources._part"),
        ("dataset._target_", "dataset._target_=al_lightning.runs.run_folder.RunFolder"),
        ("dataset._target_", "dataset._target_=null"),
        ("optimizer._target_", "optimizer._target_=subprocess.run"),
        ("trainer.benchmark[0]._target_", "+trainer.benchmark=[{_target_:os.system,command:'touch pwned'}]"),
        ("callbacks.x._target_", "+callbacks.x={_target_:os.system,command:'touch pwned'}"),
        ("strategy.score.x[1].a._target_", "+strategy.score.x=[1,{a:{_target_:builtins.eval}}]"),
    ],
)
def test_only_listed_targets_are_called(command, key: str, argument: str) -> None:
    assert_refused(command(argument), key, "AL_LIGHTNING_ALLOW=your_package")


def test_a_target_that_returns_something_else_is_refused(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "our_lab.py").write_text("def nothing(**shape):\n    return None\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AL_LIGHTNING_ALLOW", "our_lab")
    for key, kind in (("dataset", "ImageData"), ("model", "Backbone"), ("trainer", "Trainer")):
        assert_refused(command(f"{key}._target_=our_lab.nothing"), f"{key}._target_=our_lab.nothing", kind)


def test_a_strategy_that_needs_more_memory_than_there_is_is_refused(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "big_lab.py").write_text(
        "import torch\ndef hungry(pool, *, rows: int):\n    return torch.empty(len(pool), rows)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AL_LIGHTNING_ALLOW", "big_lab")
    for rows in (10**12, 10**18):
        ended = command("strategy.score._target_=big_lab.hungry", f"+strategy.score.rows={rows}")
        assert_refused(ended, f"strategy.score.rows={rows}", "needs more memory than there is")


def test_a_users_own_package_is_called_when_the_environment_names_it(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_lab.py").write_text("def brightness(pool):\n    return pool.features.mean(1)\n")
    strategy = tmp_path / "conf" / "strategy" / "brightness.yaml"
    strategy.parent.mkdir(parents=True)
    strategy.write_text(
        "name: brightness\n_target_: al_lightning.acquisition.select.top\n_partial_: true\n"
        "score:\n  _target_: my_lab.brightness\n  _partial_: true\n"
    )
    monkeypatch.syspath_prepend(tmp_path)  # as PYTHONPATH does
    arguments = ("--config-dir", str(tmp_path / "conf"), "strategy=brightness", "al.rounds=1")
    assert_refused(command(*arguments), "strategy.score._target_=my_lab.brightness", "AL_LIGHTNING_ALLOW")
    monkeypatch.setenv("AL_LIGHTNING_ALLOW", "other,my_lab")
    assert command(*arguments).code == 0
    (folder,) = Path("multirun_outputs/default").glob("digits-cnn-brightness-s0-*")
    assert len((folder / "rounds.csv").read_text().splitlines()) == 1 + 2


@pytest.mark.parametrize(
    "argument",
    [
        *("optimizer={}", "dataset={}", "experiment={}", "study={}", "strategy._target_=al_lightning.strategy.{}"),
        *("paths.data=a/{}", "paths.output_root=a/{}", "dataset=folder dataset.root={}", "resume=a/{}"),
        *("--config-dir /{}", "--config-path /{}", "--config-name {}", "hydra.searchpath=[file:///{}]"),
    ],
)
def test_a_name_that_no_file_system_takes_is_refused(argument: str, command: Command) -> None:
    ended = command(*argument.format(300 * "x").split())
    assert (ended.code, ended.err[:7]) == (2, "error: ") and "Traceback" not in ended.err
