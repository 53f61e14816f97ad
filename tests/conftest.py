"""The command, run in the test's own process: importing PyTorch anew for each would take minutes."""

import fcntl
import gc
import gzip
import os
import re
import shutil
import signal
import socket
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hypothesis import settings
from lightning_fabric.utilities import registry
from processes import Ended, run_command

from al_lightning import signals
from al_lightning.__main__ import main
from al_lightning.report.figures import files

if TYPE_CHECKING:
    from playwright.sync_api import Browser

for number in (signal.SIGINT, signal.SIGHUP):  # a shell's background jobs and `nohup` have them ignored
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

settings.register_profile("seeded", derandomize=True, deadline=None)  # the machines that run this are slow and noisy
settings.load_profile("seeded")

# The archives of MNIST, and of CIFAR-10 as JPEG files in class folders.
REAL = Path(os.environ.get("AL_LIGHTNING_DATA") or Path(__file__).parents[2] / "shared" / "data")


@pytest.fixture(scope="session", autouse=True)
def hurried() -> Iterator[None]:
    """What takes its time and changes nothing here is left out; processes of their own do it all."""
    gc.set_threshold(20_000, 10, 50)  # each of the old ones goes through all of PyTorch
    get_mode = Hydra.get_mode

    def mode(self: Hydra, config_name: str | None, overrides: list[str]) -> Any:
        """Hydra composes twice, the first time to see `hydra.mode`, which is null where nothing of Hydra's is set."""
        may_be_set = re.search(r"hydra|experiment|--config|-c[dpn]\b", " ".join(sys.argv))
        return get_mode(self, config_name, overrides) if may_be_set else None

    with (
        # Ray's workers would give way to the tests beside them, and one cluster change what the next asks for.
        patch.dict(os.environ, RAY_worker_niceness="0", RAY_AUTH_MODE="disabled"),
        patch.object(os, "fsync", lambda _: None),  # nobody pulls the plug
        patch.object(Hydra, "get_mode", mode),
        patch.object(registry, "entry_points", cache(entry_points)),  # each Trainer goes through all packages
        patch.object(files, "SETTINGS", {**files.SETTINGS, "pdf.fonttype": 3}),  # cutting out a font takes long
    ):
        yield


@pytest.fixture(scope="module", autouse=True)
def its_own_handlers() -> Iterator[None]:
    """Signals are handled as before once a file's tests are over: libraries leave handlers, and the next ones fail."""
    before = {number: signal.getsignal(number) for number in signals.handed_on()}
    yield
    left = {number: handler for number in before if (handler := signal.getsignal(number)) is not before[number]}
    for number in left:
        signal.signal(number, before[number])
    assert not left


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that one of the processes of this session makes, and all look at."""
    base = factory.getbasetemp()
    place = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / f"{name}.made").exists():
            (place / name).mkdir()
            make(place / name)
            (place / f"{name}.made").touch()
    return place / name


# Settings of a run of a second, where a test says nothing else.
FAST = {
    "dataset": "digits",
    "model": "cnn",
    "model.width": "4",
    "train.min_steps": "2",
    "train.max_cycles": "1",  # two steps fit nothing
    "trainer.max_epochs": "1",
    "al.rounds": "2",
    "logger": "none",
}


Command = Callable[..., Ended]


def fast(arguments: tuple[str, ...]) -> list[str]:
    """The arguments, and those of FAST that they leave open. Options stay first: Hydra wants it so."""
    typed = {argument.lstrip("+~").split("=")[0] for argument in arguments}
    if "resume" in typed:  # the run has its settings
        return list(arguments)
    if "model=linear" in arguments:  # it has no width
        typed.add("model.width")
    return [*arguments, *(f"{key}={value}" for key, value in FAST.items() if key not in typed)]


def run_here(*arguments: str) -> object:
    """Runs the command in this process and in the folder that it is in, and returns the exit code."""
    GlobalHydra.instance().clear()
    with patch.object(sys, "argv", ["al-lightning", *arguments]):
        try:
            return main()
        except SystemExit as error:
            return error.code


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Runs the command in a folder, by default an empty one, as a user would in a shell without W&B settings."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")  # main() sets it, and this sets it back
    for variable in ("AL_LIGHTNING_ALLOW", "WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(variable, raising=False)

    def run(*arguments: str, cwd: Path = tmp_path / "cwd") -> Ended:
        cwd.mkdir(exist_ok=True)
        monkeypatch.chdir(cwd)
        capfd.readouterr()
        code = run_here(*fast(arguments))
        said = capfd.readouterr()
        return Ended(code, said.out, said.err)

    return run


def own_oracle(place: Path, code: str, monkeypatch: pytest.MonkeyPatch, **arguments: object) -> None:
    """Has `oracle=crowd` below `conf/` of a folder: the class People of this code, with these arguments."""
    (place / "people_of_test.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(place)
    monkeypatch.delitem(sys.modules, "people_of_test", raising=False)
    monkeypatch.setenv("AL_LIGHTNING_ALLOW", "people_of_test")
    (place / "conf" / "oracle").mkdir(parents=True)
    node = {"name": "crowd", "_target_": "people_of_test.People", **arguments}
    (place / "conf" / "oracle" / "crowd.yaml").write_text("\n".join(f"{key}: {value}" for key, value in node.items()))


def run_process(*arguments: str, cwd: Path) -> Ended:
    """Runs the command in a process of its own."""
    return run_command(fast(arguments), cwd)


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a run of a strategy that nothing has happened to, made once."""
    import kill_points
    from run_folders import only_run

    def make(place: Path) -> None:
        assert kill_points.run(place, f"strategy={place.name.partition('-')[2]}") == 0

    return lambda strategy: only_run(made_once(tmp_path_factory, f"uninterrupted-{strategy}", make))


@pytest.fixture
def one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports draw their learning curves only: a test of something else need not wait for eleven figures."""
    from al_lightning.report import page

    monkeypatch.setattr(page, "FIGURES", dict([*page.FIGURES.items()][:1]))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with what a report can meet, reported: hostile names, runs in progress, one-shot runs, k-means."""
    from studies import HOSTILE, Run, study, write

    from al_lightning.report.__main__ import main as report

    hostile = "a <b>study & more"

    def make(place: Path) -> None:
        folder = place / hostile
        study(folder, ("random", "margin", "<i>own</i>"), range(3), Run(classes=HOSTILE))
        write(folder, Run("bald", rounds=3, planned=6, state="running", classes=HOSTILE))
        for k in (10, 15):
            study(folder, ["kmeans"], range(2), Run(clusters=k, classes=HOSTILE))
        for size in (70, 1000):
            write(folder, Run(rounds=1, initial=size, classes=HOSTILE))
        for size in (100, 500, 1500):
            study(folder, ["random"], range(2), Run(dataset="mnist", rounds=1, initial=size, pool=5000))
        close = [f"a strategy of a name as long as they come, number {i}" for i in range(10)]
        for run in study(folder, close, range(2), Run(dataset="cifar100"), gains=[0.0001 * i for i in range(10)]):
            for name in ("pool.npz", "reliability.csv", "scores.csv", "queries.png"):  # which older runs have not
                for file in run.rglob(name):
                    file.unlink()
        for file in folder.glob("digits-*/summary.json"):  # of another program: what no file name can be
            file.write_text(file.read_text().replace("u001b[31m", "u001b[31m\\udcff"))
        assert report([str(folder), "--cost-per-label", "0.05"]) == 0

    return made_once(tmp_path_factory, "demo", make) / hostile / "report"


@pytest.fixture
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """W&B as on a machine where nobody has logged in."""
    for name in [name for name in os.environ if name.startswith("WANDB_") and name != "WANDB_SERVICE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, no_account: None) -> None:
    """No key, and no way to reach anybody outside of this machine."""
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:  # W&B's own process
            raise AssertionError(f"a request to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)


TINY = "test_efficientnet"  # a network of timm with 360,000 weights


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with weights of that network, as a classifier has them."""
    timm = pytest.importorskip("timm", reason="the extra `timm` is not installed")
    import torch
    from safetensors.torch import save_file

    def make(place: Path) -> None:
        torch.manual_seed(0)
        state = timm.create_model(TINY).state_dict()
        save_file({key: value.contiguous() for key, value in state.items()}, place / "tiny.safetensors")

    return made_once(tmp_path_factory, "weights", make) / "tiny.safetensors"


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MNIST, and 20 training and 5 test images of every class of CIFAR-10."""
    from torchvision.datasets import MNIST  # which takes seconds to import

    archives = [REAL / name for name, _ in MNIST.resources]
    cifar = REAL / "cifar10-jpeg.tar.xz"
    if missing := [file.name for file in (*archives, cifar) if not file.exists()]:
        pytest.skip(f"needs real images: {', '.join(missing)} in {REAL}; AL_LIGHTNING_DATA names another folder")

    def make(place: Path) -> None:
        taken = Counter()
        with tarfile.open(cifar, "r|xz") as tar:
            for member in tar:
                parent = Path(member.name).parent
                if member.isfile() and taken[parent] < (5 if parent.parts[:1] == ("test",) else 20):
                    taken[parent] += 1
                    tar.extract(member, place / "cifar10-jpeg", filter="data")
        (raw := place / "MNIST" / "raw").mkdir(parents=True)
        for file in archives:
            (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))

    return made_once(tmp_path_factory, "real", make)


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Chromium, where it is installed."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("Chromium is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield launched
        launched.close()
