"""A strategy, a score, a data set of the user's own: what is wrong with it is said before anything trains."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command, Ended
from run_folders import only_run
from test_bad_input import assert_refused

from al_lightning.streams import seeded

CODE = """
import random
import numpy as np
import torch
from torch import Tensor
from al_lightning.acquisition.select import Query
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.data.sources import digits

def fewer(pool, n): return Query(pool.indices[: max(1, n // 2)])
def more(pool, n): return Query(pool.indices[: n + 5])
def nothing(pool, n): return Query(pool.indices[:0])
def twice(pool, n): return Query(pool.indices[:1].repeat(n))
def positions(pool, n): return Query(torch.arange(n))
def a_list(pool, n): return Query(pool.indices[:n].tolist())
def an_array(pool, n): return Query(pool.indices[:n].numpy())
def short(pool, n): return Query(pool.indices[:n].int())
def bare(pool, n): return pool.indices[:n]
def raising(pool, n): return {}["no such key"]
def late(pool, n): return Query(pool.indices[: n - (len(pool) > 1000)])
def unsteady(pool, n): return Query(pool.indices[torch.from_numpy(np.random.default_rng().permutation(len(pool))[:n])])
def from_globals(pool, n):
    drawn = torch.rand(len(pool)) + torch.from_numpy(np.random.rand(len(pool))) + random.random()
    random.shuffle(places := drawn.topk(2 * n).indices.tolist())
    return Query(pool.indices[places[:n]])

def column(pool): return pool.log_probabilities.amax(1, keepdim=True)
def matrix(pool): return pool.log_probabilities
def integers(pool): return pool.log_probabilities.argmax(1)
def array(pool): return pool.log_probabilities.amax(1).numpy()
def not_a_number(pool): return pool.log_probabilities.amax(1) * float("nan")
def infinite(pool): return pool.log_probabilities.amax(1) / 0
def sampled(pool): return next(pool.samples(1)).amax((1, 2))

def parts(images=None, labels=None, ids=None, test=None, classes=tuple("0123456789")):
    pool = digits().pool
    def of(given, own): return own if given is None else given(own)
    made = ImageSet(of(images, pool.images), of(labels, pool.labels), of(ids, pool.ids))
    return ImageData(made, of(test, digits().test), classes)
def floats(): return parts(images=Tensor.float)
def last(): return parts(images=lambda x: x.repeat(1, 3, 1, 1).permute(0, 2, 3, 1))
def two_channels(): return parts(images=lambda x: x.repeat(1, 2, 1, 1))
def negative(): return parts(labels=lambda y: y - 2)
def untold(): return parts(test=lambda t: ImageSet(t.images, t.labels - 1, t.ids))
def too_high(): return parts(labels=lambda y: y + 1)
def small_labels(): return parts(labels=Tensor.int)
def one_short(): return parts(labels=lambda y: y[:-1])
def same_ids(): return parts(ids=lambda ids: ["a"] * len(ids))
def larger_test(): return parts(test=lambda t: ImageSet(t.images.repeat(1, 1, 2, 2), t.labels, t.ids))
def no_pool(): return parts(images=lambda x: x[:0], labels=lambda y: y[:0], ids=lambda _: ())
def one_class(): return parts(labels=torch.zeros_like, classes=("a",))
def named(): return parts(ids=lambda ids: [f"bild_ü{i}" for i in ids], classes=("Füße", *"123456789"))
def no_file(): return open("/no/such/file")
def shuffled():
    order = np.random.permutation(1437)
    random.shuffle(ids := [str(i) for i in range(1437)])
    return parts(images=lambda x: x[order], labels=lambda y: y[order], ids=lambda _: ids)
"""
SCORE = (
    "name: {0}\n_target_: al_lightning.acquisition.select.top\n_partial_: true\n"
    "score: {{_target_: {1}, _partial_: true}}\n"
)


@pytest.fixture
def own(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command, which may call `own_lab`: its strategies, scores and data sets are options by their names."""
    (tmp_path / "own_lab.py").write_text(CODE, encoding="utf-8")
    for group in ("strategy", "dataset"):
        (tmp_path / "conf" / group).mkdir(parents=True)
    for name in [line[4:].partition("(")[0] for line in CODE.splitlines() if line.startswith("def ")]:
        arguments = next(line for line in CODE.splitlines() if line.startswith(f"def {name}("))
        strategy = f"name: {name}\n_target_: own_lab.{name}\n_partial_: true\n"
        text = strategy if "(pool, n)" in arguments else SCORE.format(name, f"own_lab.{name}")
        (tmp_path / "conf/strategy" / f"{name}.yaml").write_text(text, encoding="utf-8")
        text = f"name: {name}\n_target_: own_lab.{name}\naugment: {{crop: 0, flip: false}}\n"
        (tmp_path / "conf/dataset" / f"{name}.yaml").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_lab", raising=False)

    def run(*arguments: str, **options: Path) -> Ended:
        monkeypatch.setenv("AL_LIGHTNING_ALLOW", "own_lab")
        return command("--config-dir", str(tmp_path / "conf"), *arguments, **options)

    return run


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fewer", "returned 1 of 3 images"),
        ("more", "returned 6 of 1 images"),
        ("nothing", "returned 0 of 1 images"),
        ("twice", "only 1 different images in 3 entries"),
        ("positions", "they are not positions"),
        ("a_list", "is a list; it has to be an int64 tensor [n]"),
        ("an_array", "is a int64 numpy.ndarray [1]; it has to be"),
        ("short", "is a int32 tensor [1]; it has to be"),
        ("bare", "it returned a int64 tensor [1], not a Query"),
        ("raising", "own_lab.py, line"),
        ("column", "what own_lab.column returned is a float32 tensor [128, 1]; it has to be a float tensor [128]"),
        ("matrix", "what own_lab.matrix returned is a float32 tensor [128, 10]"),
        ("integers", "what own_lab.integers returned is a int64 tensor [128]"),
        ("array", "what own_lab.array returned is a float32 numpy.ndarray [128]"),
        ("not_a_number", "128 of 128 scores"),
        ("infinite", "128 of 128 scores"),
    ],
)
def test_a_strategy_that_returns_something_else_is_refused(own: Command, name: str, said: str) -> None:
    assert_refused(own(f"strategy={name}"), f"strategy={name}: asked for", said)


@pytest.mark.parametrize(
    ("arguments", "typed"),
    [
        (["strategy=bald", "model.dropout=0"], "model.dropout=0: "),
        (["strategy=bald", "al.mc_samples=1"], "al.mc_samples=1: "),
        (["strategy=sampled"], "al.mc_samples=1: "),
    ],
    ids=" ".join,
)
def test_dropout_samples_that_are_all_the_same_are_refused(own: Command, arguments: list[str], typed: str) -> None:
    assert_refused(own(*arguments), typed)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("floats", "ImageSet.images is a float32 tensor [1437, 1, 8, 8]; it has to be a uint8 tensor [N, C, H, W]"),
        ("last", "images.permute(0, 3, 1, 2)"),
        ("two_channels", "with 1 or 3 channels"),
        ("negative", "ImageSet.labels has -2"),
        ("untold", "ImageData.test has images whose label nobody knows"),
        ("too_high", "ImageData.pool has the label 10; 10 classes have 0 to 9"),
        ("small_labels", "ImageSet.labels is a int32 tensor [1437]"),
        ("one_short", "1437 images, 1436 labels and 1437 ids"),
        ("same_ids", "'a' more than once"),
        ("larger_test", "[1, 8, 8] (C, H, W), but ImageData.test of [1, 16, 16]"),
        ("no_pool", "ImageData.pool has no images"),
        ("one_class", "at least 2"),
        ("no_file", "FileNotFoundError"),
    ],
)
def test_a_data_set_that_is_something_else_is_refused(own: Command, name: str, said: str) -> None:
    assert_refused(own(f"dataset={name}"), f"dataset={name}: own_lab.{name}: ", said, "own_lab.py, line ")


def test_what_the_trial_cannot_show_ends_the_run_after_the_fit_with_the_strategy_s_name(own: Command) -> None:
    ended = own("strategy=late", "al.initial_size=390")
    assert ended.code == 1 and "Traceback" not in ended.err
    assert "round 0: strategy=late: it returned 19 of 20 images; no round was committed" in ended.err


def test_a_strategy_that_nobody_can_repeat_is_warned_of(own: Command) -> None:
    said = "strategy={}: asked twice the same, it chose other images"
    assert said.format("unsteady") in own("strategy=unsteady", "al.rounds=1", "study=a").err
    assert said.format("from_globals") not in own("strategy=from_globals", "al.rounds=1", "study=b").err


@pytest.mark.parametrize("arguments", [["strategy=from_globals"], ["dataset=shuffled"]], ids=" ".join)
def test_what_draws_from_global_generators_is_seeded(own: Command, arguments: list[str], tmp_path: Path) -> None:
    queries = []
    for place in ("a", "b"):
        random.seed(place)
        np.random.seed(ord(place))  # noqa: NPY002
        assert own(*arguments, cwd=tmp_path / place).code == 0
        queries.append((only_run(tmp_path / place) / "queries.csv").read_bytes())
    assert queries[0] == queries[1]
    assert own(*arguments, "seed=1", cwd=tmp_path / "c").code == 0
    assert (only_run(tmp_path / "c") / "queries.csv").read_bytes() != queries[0]


def test_seeding_leaves_the_global_generators_as_they_were() -> None:
    def drawn() -> tuple[float, float, float]:
        return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002

    def begin() -> None:
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)

    begin()
    untouched = drawn()
    begin()
    with seeded(2**63 - 1):
        once = drawn()
    assert drawn() == untouched != once
    with seeded(2**63 - 1):
        assert drawn() == once


@pytest.mark.parametrize(
    ("code", "target", "said"),
    [
        ("", "lab_{}.nope", "lab_{} has no nope"),
        ("def margins(pool): return 0", "lab_{}.margin", "did you mean margins? it has: margins"),
        ("import nothing_of_that_name", "lab_{}.s", "No module named 'nothing_of_that_name' ("),
        ("1 / 0", "lab_{}.s", "lab_{} cannot be imported: ZeroDivisionError: division by zero ("),
        ("def s(pool) return 0", "lab_{}.s", "lab_{} cannot be imported: SyntaxError: "),
        ("raise SystemExit", "lab_{}.s", "lab_{} cannot be imported: SystemExit ("),
        (None, "lab_{}.s", "there is no module lab_{}; Python looks for it in"),
    ],
)
def test_a_target_that_is_not_there_is_told_apart_from_a_module_that_fails(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str | None, target: str, said: str
) -> None:
    name = tmp_path.name[-20:]  # a module of its own: what was imported once stays
    if code is not None:
        (tmp_path / f"lab_{name}.py").write_text(f"\n{code}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AL_LIGHTNING_ALLOW", f"lab_{name}")
    ended = command(f"strategy.score._target_={target.format(name)}")
    place = [f"lab_{name}.py, line 2"] if code and ("cannot be" in said or "No module" in said) else []
    assert_refused(ended, f"strategy.score._target_={target.format(name)}: ", said.format(name), *place)


@pytest.mark.skipif(torch.cuda.is_available(), reason="half precision is for a GPU")
def test_a_precision_that_cannot_be_had_is_refused(command: Command) -> None:
    said = "cannot be had on this cpu device, where it would be bfloat16; use 32-true or bf16-mixed"
    assert_refused(command("trainer.precision=16-mixed"), "trainer.precision=16-mixed: ", said)


def test_what_is_written_is_utf8_whatever_the_locale(own: Command, tmp_path: Path) -> None:
    """A process with an ASCII locale writes the views of a run anew that holds other letters."""
    assert own("dataset=named", "al.rounds=1").code == 0
    run = only_run(tmp_path / "cwd")
    before = {name: (run / name).read_bytes() for name in ("queries.csv", "rounds.csv")}
    assert (
        "Füße".encode() in before["queries.csv"] and "Füße".encode() in (run / "rounds/001/confusion.csv").read_bytes()
    )
    script = (
        "import locale, sys; from pathlib import Path; from al_lightning.runs.run_folder import RunFolder\n"
        "assert 'utf' not in locale.getpreferredencoding(False).lower()\n"
        "with RunFolder(Path(sys.argv[1])) as folder:\n    folder.write_views(); assert len(folder.rounds) == 2\n"
    )
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-c", script, run], env={**os.environ, **locale}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert {name: (run / name).read_bytes() for name in before} == before


def test_no_file_is_opened_in_the_encoding_of_the_locale(tmp_path: Path) -> None:
    """What a linter cannot infer, a run and its report show: Python warns wherever an encoding is left open."""
    script = (
        "import sys, warnings; warnings.filterwarnings('error', category=EncodingWarning, module='al_lightning')\n"
        "from conftest import fast, run_here; from al_lightning.report.__main__ import main\n"
        "for _ in range(2): assert run_here(*fast(('al.rounds=1',))) == 0\n"
        "assert run_here('--multirun', *fast(('al.rounds=1', 'seed=0,1'))) == 0\n"
        "main(['multirun_outputs/default'])\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    line = [sys.executable, "-X", "warn_default_encoding", "-c", script]
    done = subprocess.run(line, env={**os.environ, "PYTHONPATH": paths}, cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
