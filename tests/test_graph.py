"""The graph engine, as far as a CPU goes: all of it but the capture, in whose place a step is run as it is."""

from collections.abc import Callable

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor, nn

from al_lightning import build
from al_lightning.config import schema
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.models import graph
from al_lightning.runs import environment
from al_lightning.trainer import make_trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore:You defined a `validation_step`", "ignore:`isinstance.treespec", "ignore:.*does not have many workers.*"
)
N = 90
IMAGES = torch.randint(256, (N, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
PART = ImageSet(IMAGES, torch.arange(N) % 3, [str(i) for i in range(N)])
DATA = ImageData(PART, PART, tuple("abc"))
LABELED = (20, 37, 37, 70)  # images of every round: batches of 10; 13 and 12 twice; 14
CPU = torch.device("cpu")
Step = Callable[[], None]


def settings_of(*overrides: str) -> build.Settings:
    small = ["model=cnn", "model.width=2", "trainer=cpu", "batch_size=16", "train.min_steps=0", "trainer.max_epochs=3"]
    with initialize_config_dir(str(schema.conf_dir()), version_base="1.3"):
        return schema.resolved(compose("config", [*small, *overrides]))


class Recorder:
    """Runs a step a few times, as a capture does, and replays it by running it."""

    def __init__(self) -> None:
        self.captures = self.replays = 0

    def __call__(self, step: Step, generator: torch.Generator) -> Step:
        self.captures += 1
        for _ in range(3):
            step()

        def replay() -> None:
            self.replays += 1
            step()

        return replay


def rounds(settings: build.Settings, dtype: torch.dtype, capture: object = None) -> list[dict[str, Tensor]]:
    """The weights at the end of every round, and what the model says of the images."""
    pool = PoolDataModule(DATA, settings["batch_size"], 32, seed=0, whole_epochs=settings["train"]["engine"] != "plain")
    classifier = build.classifiers(settings, DATA, CPU)
    ends = []
    for number, n_labeled in enumerate(LABELED):
        pool.round = number
        known = int(pool.labeled_mask.sum())
        pool.label(torch.arange(known, n_labeled), PART.labels[known:n_labeled], since=number)
        model = classifier(number, n_labeled).to(dtype)
        if capture and not number:
            model.capture = capture  # type: ignore[assignment]
        trainer = make_trainer(settings, settings["trainer"]["max_epochs"], [])
        torch.manual_seed(number)
        trainer.fit(model, datamodule=pool)
        trainer.test(model, datamodule=pool, verbose=False)
        ends.append({key: value.clone() for key, value in model.state_dict().items()})
        ends[-1]["confusion"] = model.confusion
    return ends


@pytest.fixture
def willing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine takes a CPU for a GPU."""
    monkeypatch.setattr(graph, "refusal", lambda *settings: "")


EXACT = ["train.schedule=constant", "optimizer.lr=0.0009765625"]  # the same number in single precision


@pytest.mark.usefixtures("willing")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["optimizer=sgd", "train.schedule=linear"],
        ["optimizer=adamw", "dataset.augment.crop=2", "dataset.augment.flip=true"],
        ["trainer.precision=bf16-mixed"],
        ["trainer.gradient_clip_val=0.01", "model=gal2017", "model.width=4"],
    ],
    ids=["default", "sgd", "augmented", "bf16", "clipped"],
)
def test_it_ends_every_round_with_the_weights_of_the_fast_engine(overrides: list[str], dtype: torch.dtype) -> None:
    recorder = Recorder()
    expected = rounds(settings_of("train.engine=fast", *EXACT, *overrides), dtype)
    replayed = rounds(settings_of("train.engine=graph", *EXACT, *overrides), dtype, recorder)
    for ours, theirs in zip(replayed, expected, strict=True):
        for key, value in theirs.items():
            torch.testing.assert_close(
                ours[key], value, rtol=1e-6, atol=1e-8, msg=lambda text, key=key: f"{key}: {text}"
            )
    assert recorder.captures == 4, "sizes of batches: 10, 13, 12, 14"
    assert recorder.replays == 3 * sum(-(-n // 16) for n in LABELED)


@pytest.mark.usefixtures("willing")
def test_without_a_schedule_the_weights_are_those_to_the_bit() -> None:
    expected = rounds(settings_of("train.engine=fast", *EXACT), torch.float64)
    replayed = rounds(settings_of("train.engine=graph", *EXACT), torch.float64, Recorder())
    assert all(torch.equal(o[key], t[key]) for o, t in zip(replayed, expected, strict=True) for key in t)


@pytest.mark.usefixtures("willing")
def test_nothing_that_a_graph_knows_the_address_of_is_moved_between_rounds() -> None:
    settings = settings_of("train.engine=graph", *EXACT)
    classifier, addresses = build.classifiers(settings, DATA, CPU), []
    pool = PoolDataModule(DATA, 16, 32, seed=0, whole_epochs=True)
    pool.label(torch.arange(20), PART.labels[:20], since=0)
    for number in range(3):
        model = classifier(number, 20)
        assert isinstance(model, graph.GraphClassifier)
        model.capture = Recorder()
        trainer = make_trainer(settings, 2, [])
        trainer.fit(model, datamodule=pool)
        trainer.test(model, datamodule=pool, verbose=False)
        optimizer = model.new_optimizer()
        held = [*model.parameters(), *model.buffers(), *graph._state(optimizer), optimizer.param_groups[0]["lr"]]
        addresses.append([tensor.data_ptr() for tensor in held])
    assert len(addresses[0]) > 20
    assert addresses[0] == addresses[1] == addresses[2]


@pytest.mark.usefixtures("willing")
def test_what_cannot_be_captured_is_run_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    def spoiled(step: Step, generator: torch.Generator) -> Step:
        step()
        generator.manual_seed(7)
        torch.rand(5)
        raise RuntimeError("operation not permitted when stream is capturing\nCUDA kernel errors might be ...")

    augmented = [*EXACT, "dataset.augment.crop=2", "dataset.augment.flip=true"]
    expected = rounds(settings_of("train.engine=fast", *augmented), torch.float64)
    run_as_is = rounds(settings_of("train.engine=graph", *augmented), torch.float64, spoiled)
    assert all(torch.equal(o[key], t[key]) for o, t in zip(run_as_is, expected, strict=True) for key in t)
    line = (
        "train.engine=graph: operation not permitted when stream is capturing; as with train.engine=fast from here on"
    )
    assert capsys.readouterr().err.splitlines() == [line], "of four sizes"


def test_an_optimizer_whose_state_does_not_begin_at_zero_is_refused() -> None:
    others = (torch.optim.NAdam, torch.optim.Rprop, torch.optim.ASGD)
    for optimizer in (made([nn.Parameter(torch.zeros(1))], capturable=True) for made in others):
        assert type(optimizer).__name__ in graph.refusal({"precision": 32}, optimizer, torch.device("cuda"))


@pytest.mark.parametrize(
    ("overrides", "device", "reason"),
    [
        ([], "cpu", "no CUDA device"),
        (["trainer.precision=16-mixed"], "cuda", "16-mixed"),
        (["+trainer.detect_anomaly=true"], "cuda", "detect_anomaly"),
        (
            ["optimizer=sgd", "optimizer.fused=false"],
            "cuda",
            "SGD with optimizer.fused=true",
        ),
        (["optimizer=sgd", "optimizer.nesterov=false", "+optimizer.dampening=0.1"], "cuda", "SGD"),
        ([], "cuda", ""),
        (["optimizer=sgd"], "cuda", ""),
        (["optimizer=adamw", "optimizer.fused=false", "trainer.precision=bf16-mixed"], "cuda", ""),
    ],
)
def test_why_a_run_cannot_have_it(overrides: list[str], device: str, reason: str) -> None:
    settings = settings_of(*overrides)
    optimizer = build.make_classifier(settings, DATA, 0, 20).new_optimizer()
    refused = graph.refusal(settings["trainer"], optimizer, torch.device(device))
    assert (reason in refused) if reason else not refused


def test_without_a_gpu_the_command_says_so_and_runs_as_fast(command, tmp_path) -> None:
    ended = {engine: command(f"train.engine={engine}", cwd=tmp_path / engine) for engine in ("fast", "graph")}
    assert [each.code for each in ended.values()] == [None, None] or [each.code for each in ended.values()] == [0, 0]
    line = "train.engine=graph: there is no CUDA device; as with train.engine=fast from here on\n"
    assert (ended["fast"].err, ended["graph"].err) == ("", line)
    fast, graphs = (next((tmp_path / engine).glob("multirun_outputs/*/digits*/queries.csv")) for engine in ended)
    assert fast.read_text() == graphs.read_text()


class Unmoved(pl.LightningModule):
    """Minds being moved."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.moved = nn.Linear(2, 1), False

    def cpu(self) -> "Unmoved":
        self.moved = True
        return super().cpu()

    def training_step(self, batch: list[Tensor], batch_index: int) -> Tensor:
        return self.layer(batch[0]).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize(("strategy", "moved"), [(graph.Resident(CPU), False), (SingleDeviceStrategy(CPU), True)])
def test_the_model_stays_on_the_device_after_a_fit(strategy: SingleDeviceStrategy, moved: bool) -> None:
    settings = settings_of()
    quiet = {key: settings["trainer"][key] for key in ("logger", "enable_checkpointing", "enable_model_summary")}
    trainer = pl.Trainer(accelerator="cpu", max_epochs=1, strategy=strategy, enable_progress_bar=False, **quiet)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.ones(2, 2)))
    trainer.fit(model := Unmoved(), data)
    assert model.moved is moved
    assert trainer.state.finished


def test_on_a_gpu_its_trainer_leaves_the_model_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as a Trainer looks before it trains."""
    for name, value in (("is_available", True), ("device_count", 1), ("current_device", 0)):
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    trainer = make_trainer(settings_of("trainer=default", "train.engine=graph"), 1, [])
    assert isinstance(trainer.strategy, graph.Resident)
    assert trainer.strategy.root_device == torch.device("cuda", 0)
    for overrides in (["trainer=cpu", "train.engine=graph"], ["trainer=default"]):
        trainer = make_trainer(settings_of(*overrides), 1, [])
        assert not isinstance(trainer.strategy, graph.Resident)


def test_fp32_is_fp32_unless_tf32_is_asked_for() -> None:
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    for allowed in (False, True):
        with environment.tf32(allowed):
            assert torch.backends.cudnn.allow_tf32 is torch.backends.cuda.matmul.allow_tf32 is allowed
            torch.get_float32_matmul_precision()  # what Lightning asks for, which minds two ways of setting it
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before
