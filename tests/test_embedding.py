"""Features of a frozen network: computed once, the same as by hand, whatever happens on the way."""

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import timm
import torch
from conftest import TINY
from run_folders import differences
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import al_lightning
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.data.sources import digits
from al_lightning.embedding import embed, networks, shards
from al_lightning.embedding.embed import stored
from al_lightning.embedding.embedder import Embedder, Extractor
from al_lightning.embedding.store import Store
from al_lightning.errors import ConfigError, DataError
from al_lightning.models.backbones.backbone import IMAGENET_STATISTICS

CPU = torch.device("cpu")


def images(n: int, channels: int = 3, side: int = 12, seed: int = 0) -> Tensor:
    return torch.randint(
        256, (n, channels, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def data_of(pool: Tensor, test: Tensor) -> ImageData:
    parts = [ImageSet(part, torch.arange(len(part)) % 2, [str(i) for i in range(len(part))]) for part in (pool, test)]
    return ImageData(parts[0], parts[1], ("cat", "dog"))


class Counting(nn.Module):
    """Sums of rows of pixels; remembers how many images it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def forward(self, batch: Tensor) -> Tensor:
        self.asked += len(batch)
        return batch.float().sum(3).flatten(1) / 255


def counting() -> tuple[Counting, Embedder]:
    module = Counting()
    return module, stored(Extractor(module, 36, "0123456789abcdef", "sums"))


# --- the store -------------------------------------------------------------------------------------------------------


def test_each_image_is_computed_once_and_a_changed_one_alone_anew(tmp_path: Path) -> None:
    data = data_of(images(50), images(9, seed=1))
    module, embedder = counting()
    found = embedder.embed(data, tmp_path, CPU)
    assert module.asked == 59
    for part, rows in ((data.pool, found.pool), (data.test, found.test)):
        assert torch.equal(rows, (part.images.float().sum(3).flatten(1) / 255).half())
    again, other = counting()
    pool = data.pool.images.flip(0).clone()  # in another order, and one of them changed
    pool[7] = 255 - pool[7]
    changed = other.embed(data_of(pool, data.test.images), tmp_path, CPU)
    assert again.asked == 1
    assert torch.equal(changed.pool, (pool.float().sum(3).flatten(1) / 255).half())
    copies, third = counting()
    third.embed(data_of(torch.cat([pool, pool]), data.test.images), tmp_path / "new", CPU)
    assert copies.asked == 59, "copies are one image"


def _embed_and_die(place: Path, after: int) -> None:
    module, embedder = counting()
    forward = module.forward

    def dying(batch: Tensor) -> Tensor:
        if module.asked >= after:
            os.kill(os.getpid(), signal.SIGKILL)
        return forward(batch)

    module.forward = dying  # type: ignore[method-assign]
    embedder.embed(data_of(images(300), images(20, seed=1)), place, CPU)


@pytest.mark.faults
def test_killed_five_times_it_goes_on_at_the_next_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "SHARD", 48)
    monkeypatch.setattr(shards, "BATCH", {"cpu": 16})
    context = multiprocessing.get_context("fork")
    for kill in range(5):
        process = context.Process(target=_embed_and_die, args=(tmp_path, 48 + 16))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert (tmp_path / "0123456789abcdef" / "digests.bin").stat().st_size == 16 * 48 * (kill + 1)
    (tmp_path / "0123456789abcdef" / "rows.f16").open("ab").write(b"half a row")
    module, embedder = counting()
    data = data_of(images(300), images(20, seed=1))
    found = embedder.embed(data, tmp_path, CPU)
    assert module.asked == 320 - 5 * 48
    assert torch.equal(found.pool, (data.pool.images.float().sum(3).flatten(1) / 255).half())


def _open(place: Path, barrier: Any) -> None:
    for number in range(60):
        barrier.wait()
        Store(place / str(number), 36, {"embedding": "sums"})


def test_two_processes_may_begin_a_store(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    both = [context.Process(target=_open, args=(tmp_path, barrier)) for _ in range(2)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert [each.exitcode for each in both] == [0, 0]


def test_a_damaged_store_is_said(tmp_path: Path) -> None:
    data, (_, embedder) = data_of(images(5), images(2, seed=1)), counting()
    embedder.embed(data, tmp_path, CPU)
    rows = tmp_path / "0123456789abcdef" / "rows.f16"
    rows.write_bytes(rows.read_bytes()[:-100])
    with pytest.raises(DataError, match="has 5 rows, of 7"):
        embedder.embed(data, tmp_path, CPU)
    (tmp_path / "0123456789abcdef" / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="is not of this embedding"):
        embedder.embed(data, tmp_path, CPU)


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "blocked").touch()
    with pytest.raises(DataError, match=r"paths\.data: the features cannot be kept in .*blocked: File exists"):
        counting()[1].embed(data_of(images(5), images(2, seed=1)), tmp_path / "blocked", CPU)


@pytest.mark.parametrize(("value", "said"), [(float("nan"), "no finite numbers"), (1e6, "no finite numbers")])
def test_features_that_are_no_numbers_are_refused(value: float, said: str, tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, batch: Tensor) -> Tensor:
            return torch.full((len(batch), 3), value)

    with pytest.raises(DataError, match=said):
        stored(Extractor(Odd(), 3, "a" * 16, "odd")).embed(data_of(images(4), images(2)), tmp_path, CPU)


def test_features_that_are_the_same_everywhere_are_refused(tmp_path: Path) -> None:
    black = torch.zeros(6, 1, 4, 4, dtype=torch.uint8)
    with pytest.raises(DataError, match="the same features"):
        stored(Extractor(nn.Sequential(nn.Flatten(), _Float()), 16, "b" * 16, "flat")).embed(
            data_of(black, black), tmp_path, CPU
        )


class _Float(nn.Module):
    def forward(self, batch: Tensor) -> Tensor:
        return batch.float()


def test_statistics_are_those_of_the_images_that_are_there(tmp_path: Path) -> None:
    data = data_of(images(40), images(5))
    found = replace(counting()[1].embed(data, tmp_path, CPU), there=torch.arange(40) % 3 > 0)
    rows = found.pool[found.there].double()
    torch.testing.assert_close(found.statistics[0].double(), rows.mean(0), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found.statistics[1].double(), rows.std(0, correction=0), rtol=1e-5, atol=1e-6)


# --- networks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_those_of_timms_own_loop(channels: int, weights: Path, tmp_path: Path) -> None:
    """Resized by the same function; BatchNorm is folded here, and the store keeps half precision."""
    data = data_of(images(20, channels), images(4, channels, seed=1))
    found = networks.timm(data, model=TINY, weights=str(weights), image_size=32).embed(data, tmp_path, CPU)
    network: Any = timm.create_model(TINY, num_classes=0).eval()
    network.load_state_dict(load_file(weights), strict=False)
    about = network.pretrained_cfg
    mean, deviation = (torch.tensor(about[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    shown = data.pool.images.expand(-1, 3, -1, -1).float() / 255
    shown = nn.functional.interpolate(shown, (32, 32), mode=about["interpolation"], antialias=True).clamp(0, 1)
    with torch.inference_mode():
        torch.testing.assert_close(found.pool.float(), network((shown - mean) / deviation), rtol=2e-3, atol=2e-3)


def test_what_is_asked_for_has_a_key_of_its_own(weights: Path, tmp_path: Path) -> None:
    data = data_of(images(4), images(2))
    other = tmp_path / "other.safetensors"
    tensors = load_file(weights)
    tensors["conv_stem.weight"] = tensors["conv_stem.weight"] + 1e-3
    save_file(tensors, other)
    made = [
        networks.timm(data, model=TINY, weights=str(file), image_size=size).embed(data, tmp_path, CPU)
        for file, size in ((weights, 32), (weights, 40), (other, 32), (weights, 32))
    ]
    keys = [each.key for each in made]
    assert len(set(keys)) == 3 and keys[0] == keys[3]


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"model": "test_eficientnet"}, ConfigError, "near it: .*test_efficientnet"),
        ({"model": TINY, "weights": "/no/such.safetensors"}, DataError, "embedding.weights=.*cannot be read"),
        ({"model": "test_vit", "weights": "{weights}"}, ConfigError, "is not of timm test_vit: it lacks"),
        (
            {"model": TINY},
            DataError,
            "no weights: .*; without a network: embedding.weights=FILE",
        ),
    ],
)
def test_a_network_that_cannot_be_had_is_told(
    settings: dict[str, str], error: type[Exception], said: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    given: Any = {key: value.format(weights=weights) for key, value in settings.items()}
    with pytest.raises(error, match=said):
        networks.timm(data_of(images(4), images(2)), **given)


def test_features_are_those_of_torchvision_s_own_network(tmp_path: Path) -> None:
    from torchvision import models

    torch.manual_seed(0)
    network: Any = models.shufflenet_v2_x0_5()
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    data = data_of(images(6, side=40), images(2, side=40))
    named: dict[str, Any] = {"model": "shufflenet_v2_x0_5", "weights": str(tmp_path / "w.safetensors")}
    embedder = networks.torchvision(data, image_size=40, **named)
    found = embedder.embed(data, tmp_path, CPU)
    network.fc = nn.Identity()
    mean, deviation = (torch.tensor(each).view(1, 3, 1, 1) for each in IMAGENET_STATISTICS)
    with torch.inference_mode():
        theirs = network.eval()((data.pool.images.float() / 255 - mean) / deviation)
    torch.testing.assert_close(found.pool.float(), theirs, rtol=2e-3, atol=2e-3)
    assert "224 x 224 bilinear" in networks.torchvision(data, **named).shown


@pytest.mark.parametrize("side", [1, 3, 200])
def test_images_of_any_size_are_taken(side: int, weights: Path, tmp_path: Path) -> None:
    data = data_of(images(6, 1, side), images(2, 1, side))
    found = networks.timm(data, model=TINY, weights=str(weights), image_size=32).embed(data, tmp_path, CPU)
    assert found.pool.isfinite().all() and found.pool.shape == (6, found.n_features)


# --- runs ------------------------------------------------------------------------------------------------------------

HEAD = ("dataset=digits", "embedding=pixels", "model=linear", "strategy=bald", "al.mc_samples=5", "paths.data=.")
SIZES = ("al.initial_size=20", "al.query_size=10", "logger=none")


def run(*settings: str) -> Path:
    outcome = al_lightning.run([*HEAD, *SIZES, *settings])
    assert outcome.state in ("finished", "resumed")
    return outcome.folder


def test_a_hidden_layer_on_features_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = run("model=mlp", "optimizer.lr=0.002", "al.initial_size=100", "al.rounds=2")
    rows: Any = pd.read_csv(folder / "rounds.csv")
    assert rows["test/acc"].tolist()[-1] > 0.85 and rows["fit/ok"].all()
    trained, test = al_lightning.load(folder), digits().test
    accuracy = (trained.model(test.images).argmax(1) == test.labels).float().mean()
    assert float(accuracy) == pytest.approx(rows["test/acc"].iloc[-1], abs=0.003)


def test_a_head_on_features_learns_goes_on_and_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weight decay is chosen anew when the labels have doubled, in one process or in two."""
    monkeypatch.chdir(tmp_path)
    whole = run("al.rounds=4")
    rows: Any = pd.read_csv(whole / "rounds.csv")
    assert rows["fit/ok"].tolist() == [True] * 5
    assert rows["fit/acc"].min() > 0.9 and rows["test/acc"].tolist()[-1] > 0.7
    decays = rows["fit/weight_decay"].tolist()
    assert decays[0] == decays[1] and decays[2:] == [decays[2]] * 3, "chosen with 20 and with 40 labels"
    trained, test = al_lightning.load(whole), digits().test
    accuracy = (trained.model(test.images).argmax(1) == test.labels).float().mean()
    assert float(accuracy) == pytest.approx(rows["test/acc"].iloc[-1], abs=0.003)
    part = run("al.rounds=1", "study=part")
    assert run("al.rounds=4", "study=part") == part
    assert differences(part, whole) == []
