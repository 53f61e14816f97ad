"""What only a GPU can show: engines and devices against each other, exact resume, memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY
from hydra import compose, initialize_config_dir
from run_folders import differences, only_run
from torch import Tensor

from al_lightning import build
from al_lightning.acquisition import ceiling, kmeans, probcover, typiclust
from al_lightning.acquisition.candidates import Candidates
from al_lightning.clock import Clock
from al_lightning.config import schema
from al_lightning.data import memory
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.embedding import networks
from al_lightning.models import convex
from al_lightning.models.graph import GraphClassifier
from al_lightning.models.inference import evaluating
from al_lightning.models.learner import Learner, Scoring
from al_lightning.runs import environment
from al_lightning.testing import contracts, make_example
from al_lightning.trainer import make_trainer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings(
        "ignore:You defined a `validation_step`", "ignore:`isinstance.treespec", "ignore:.*does not have many workers.*"
    ),
]
GPU = torch.device("cuda", 0)
N = 600
DRAW = torch.Generator().manual_seed(0)
KINDS = torch.randint(256, (5, 1, 16, 16), generator=DRAW)
NOISE = 60 * torch.randn(N, 1, 16, 16, generator=DRAW)
IMAGES = (KINDS.repeat(N // 5, 1, 1, 1) + NOISE).clamp(0, 255).to(torch.uint8)
PART = ImageSet(IMAGES, torch.arange(N) % 5, list(map(str, range(N))))
DATA = ImageData(PART, PART, tuple("abcde"))
# It takes labels that nobody has, which these pools do not give: tests/test_ceiling.py.
STRATEGIES = sorted({file.stem for file in (schema.conf_dir() / "strategy").glob("*.yaml")} - {ceiling.NAME})


def settings_of(*overrides: str) -> build.Settings:
    small = ["trainer=gpu", "batch_size=16", "train.min_steps=0", "trainer.max_epochs=3"]
    if "model=resnet18" not in overrides:
        small += ["model=cnn", "model.width=8"]
    with initialize_config_dir(str(schema.conf_dir()), version_base="1.3"):
        return schema.resolved(compose("config", [*small, *overrides]))


class Rounds:
    """Fits that follow each other, with as many labels as are asked for."""

    def __init__(self, *overrides: str, dtype: torch.dtype = torch.float32) -> None:
        self.settings, self.dtype = settings_of(*overrides), dtype
        engine = self.settings["train"]["engine"]
        self.pool = PoolDataModule(DATA, 16, 256, seed=0, whole_epochs=engine != "plain")
        self.classifier = build.classifiers(self.settings, DATA, GPU)

    def fit(self, number: int, n_labeled: int) -> dict[str, Tensor]:
        """The weights at the end, on the host."""
        known, self.pool.round = int(self.pool.labeled_mask.sum()), number
        self.pool.label(torch.arange(known, n_labeled), PART.labels[known:n_labeled], since=number)
        model = self.classifier(number, n_labeled).to(self.dtype)
        trainer = make_trainer(self.settings, self.settings["trainer"]["max_epochs"], [])
        torch.manual_seed(number)
        trainer.fit(model, datamodule=self.pool)
        trainer.test(model, datamodule=self.pool, verbose=False)
        return {key: value.cpu().clone() for key, value in model.state_dict().items()}


EXACT = ["train.schedule=constant", "optimizer.lr=0.0009765625"]  # the same number in single precision


@pytest.mark.parametrize("other", ["plain", "fast"])
@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["optimizer=sgd"],
        ["dataset.augment.crop=2", "dataset.augment.flip=true"],
        ["trainer.gradient_clip_val=0.01", "model=gal2017", "model.width=4"],
        ["model=resnet18"],
    ],
    ids=["default", "sgd", "augmented", "clipped", "resnet18"],
)
def test_graphs_end_every_round_with_the_weights_of_the_other_engines(
    overrides: list[str], other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """In double precision, with dropout, over sizes of batches that come, go and come again."""
    made = [*EXACT, "trainer=deterministic", *overrides]
    expected, replayed = (Rounds(*made, f"train.engine={engine}", dtype=torch.float64) for engine in (other, "graph"))
    for number, n_labeled in enumerate((20, 37, 70, 74)):
        ours, theirs = replayed.fit(number, n_labeled), expected.fit(number, n_labeled)
        for key, value in theirs.items():
            torch.testing.assert_close(ours[key], value, rtol=1e-6, atol=1e-8)
    assert "train.engine=graph" not in capsys.readouterr().err, "it fell back"


@pytest.mark.parametrize("options", [["trainer.precision=bf16-mixed"], ["train.schedule=cosine", "optimizer=adamw"]])
def test_graphs_learn_with_every_option(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    runs = Rounds("train.engine=graph", "trainer.max_epochs=20", *options)
    for number, n_labeled in enumerate((100, 200, 300)):
        runs.fit(number, n_labeled)
    model = runs.classifier(3, 300)
    assert isinstance(model, GraphClassifier)
    runs.fit(3, 300)
    assert model.confusion.diagonal().sum() > 0.9 * N
    assert "train.engine=graph" not in capsys.readouterr().err, "it fell back"


@pytest.mark.parametrize("engine", ["fast", "graph"])
def test_memory_is_as_large_after_150_rounds_as_after_5(engine: str) -> None:
    runs = Rounds(f"train.engine={engine}", "trainer.max_epochs=1")
    taken = []
    for number in range(150):
        runs.fit(number, 40 + 3 * number)
        taken.append((torch.cuda.memory_allocated(GPU), torch.cuda.memory_reserved(GPU)))
    # Graphs of the sizes up to 16 have all been captured by then.
    settled = taken[60 if engine == "graph" else 5]
    assert taken[-1][0] <= 1.02 * settled[0] and taken[-1][1] <= 1.05 * settled[1]


def same_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    """K-means with the same algorithm on both devices; that it finds what scikit-learn finds is tested elsewhere."""

    def cluster(features: Tensor, k: int, rng: np.random.Generator, weights: Tensor | None = None) -> Tensor:
        return kmeans.lloyd(features.cpu(), k, rng, None if weights is None else weights.cpu()).to(features)

    for module in (kmeans, probcover, typiclust):
        monkeypatch.setattr(module, "cluster", cluster)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_keeps_its_contracts_on_the_gpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of given tensors, in both precisions, the choice is that of the CPU but for what rounding explains."""
    same_clusters(monkeypatch)
    strategy = build.make_strategy(settings_of(f"strategy={name}", "al.n_clusters=4", "al.mc_samples=8"))
    for dtype in (torch.float64, torch.float32):
        contracts.agree(strategy, make_example(), make_example().to(dtype, "cuda"))


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_chooses_on_the_gpu_what_it_chooses_on_the_cpu(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    same_clusters(monkeypatch)
    settings = settings_of(f"strategy={name}", "al.n_clusters=5", "al.mc_samples=20")
    model = build.make_classifier(settings, DATA, 0, 20)
    chosen = []
    for device in (torch.device("cpu"), GPU):
        model.to(device).train()
        with evaluating(model), environment.tf32(False):
            images, indices = DATA.pool.images.to(device), torch.arange(0, N, 2)
            pool = Candidates(Learner(model, images, Scoring(128, Clock())), indices, np.random.default_rng(0))
            query = build.make_strategy(settings)(pool, 40)
        assert query.indices.device.type == device.type, "the choice left the device"
        chosen.append(set(query.indices.tolist()))
    assert len(chosen[0] & chosen[1]) >= 39, "one may change places with its equal"


def test_features_and_a_head_on_them_are_those_of_the_cpu(weights: Path, tmp_path: Path) -> None:
    found, heads = [], []
    for device in (torch.device("cpu"), GPU):
        embedder = networks.timm(DATA, model=TINY, weights=str(weights), image_size=32)
        with environment.tf32(False):
            found.append(embedder.embed(DATA, tmp_path / device.type, device))
        mean, deviation = found[0].statistics
        features = ((found[0].pool.float() - mean) / deviation).to(device)
        labels = PART.labels.to(device)
        heads.append(convex.fit(features.double(), labels, 5, 0.01, 1e-6, 2000).weight.cpu())
        under = convex.fit_under_dropout(features, labels, 5, 0.5, np.random.default_rng(0))
        assert under.weight.device.type == device.type
    torch.testing.assert_close(found[0].pool.float(), found[1].pool.float(), rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(heads[0], heads[1], rtol=1e-3, atol=1e-4)


def test_kmeans_finds_on_the_gpu_what_scikit_learn_finds() -> None:
    features = torch.randn(3000, 16, generator=DRAW) + 4 * torch.eye(16)[torch.arange(3000) % 12]
    theirs = kmeans.cluster(features, 12, np.random.default_rng(0))
    ours = kmeans.cluster(features.to(GPU), 12, np.random.default_rng(0)).cpu()
    inertia = [torch.cdist(features, centroids).amin(1).square().sum().item() for centroids in (ours, theirs)]
    assert inertia[0] <= 1.001 * inertia[1]


@pytest.mark.parametrize("engine", ["fast", "graph"])
@pytest.mark.parametrize("strategy", ["bald", "kmeans"])
def test_a_run_that_goes_on_is_the_run_that_was_left_alone(engine: str, strategy: str, tmp_path: Path) -> None:
    def run(place: str, rounds: int) -> None:
        line = ["-m", "al_lightning", f"strategy={strategy}", "trainer=deterministic", "trainer.accelerator=gpu"]
        line += [f"train.engine={engine}", "model=cnn", "trainer.max_epochs=2", "logger=none", f"al.rounds={rounds}"]
        (tmp_path / place).mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, *line], cwd=tmp_path / place, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
        assert "train.engine=graph" not in done.stderr, "it fell back"

    run("whole", 4)
    for rounds in (1, 2, 4):
        run("parts", rounds)
    assert differences(*(only_run(tmp_path / place) for place in ("whole", "parts"))) == []


def test_images_that_stay_on_the_host_stream_to_the_device() -> None:
    indices = torch.tensor([3, 1, 41], device="cuda")
    for images in (PART.images, PART.images.cuda()):
        taken = memory.take(images, indices)
        assert taken.device == indices.device and torch.equal(taken.cpu(), PART.images[[3, 1, 41]])


def test_a_run_whose_images_stay_on_the_host_chooses_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    resident = Rounds("trainer=deterministic").fit(0, 100)
    monkeypatch.setattr("al_lightning.data.datamodule.fits", lambda images, device: False)
    streamed = Rounds("trainer=deterministic").fit(0, 100)
    for key, value in resident.items():
        torch.testing.assert_close(streamed[key], value)
