"""The parts that ranks take: of batches, whose gradients are those of the whole, and of passes, batch by batch."""

import itertools

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from test_bad_input import assert_refused
from torch import Tensor

from al_lightning import build, checking
from al_lightning.config import schema
from al_lightning.data.batches import BatchParts, TrainBatches
from al_lightning.data.sources import digits
from al_lightning.models.shares import Look
from al_lightning.ranks import Rank
from al_lightning.streams import Stream, torch_seed

DATA = digits()


def settings_of(*overrides: str) -> build.Settings:
    usual = ["dataset=digits", "train.engine=plain", "trainer=cpu", "train.min_steps=0"]
    with initialize_config_dir(str(schema.conf_dir()), version_base="1.3"):
        return schema.resolved(compose("config", [*usual, *overrides]))


@pytest.mark.parametrize("of", [1, 2, 3, 5])
def test_the_parts_of_a_batch_are_all_of_it_in_order_and_none_has_one_image(of: int) -> None:
    for n in range(2, 40):
        parts = [Rank(number, of).part(n) for number in range(of)]
        sizes = [end - begin for begin, end in parts]
        assert [*itertools.chain(*(range(*part) for part in parts))] == [*range(n)]
        assert 1 not in sizes and max(sizes) - min(size for size in sizes if size) <= 1


def gradients(of: int, n: int) -> list[Tensor]:
    """Of three batches of n images, on average over the ranks, as DDP averages them."""
    off = ["model.dropout=0", "model.hidden_dropout=0", "dataset.augment.crop=2", "dataset.augment.flip=true"]
    found = []
    for number in range(of):
        model = build.make_classifier(settings_of("model=gal2017", "model.width=2", *off), DATA, 0, n).double()
        model._generator.manual_seed(1)
        rng = np.random.default_rng(0)
        whole = TrainBatches(DATA.pool.images, DATA.pool.labels, torch.arange(3 * n), n, rng)
        for batch in BatchParts(whole, Rank(number, of)):
            model.training_step(batch, 0).backward()
        found.append([parameter.grad for parameter in model.parameters()])
    return [torch.stack(ranks).mean(0) for ranks in zip(*found, strict=True)]


@pytest.mark.parametrize(("of", "n"), [(2, 8), (2, 7), (3, 8), (3, 4), (3, 2)])
def test_the_average_of_the_parts_gradients_is_that_of_the_whole_batch(of: int, n: int) -> None:
    """Uneven and empty parts too, and of the same augmented images."""
    for part, whole in zip(gradients(of, n), gradients(1, n), strict=True):
        torch.testing.assert_close(part, whole, rtol=1e-9, atol=1e-12)


def test_shares_of_a_pass_are_whole_batches_of_it() -> None:
    for n, size, of in itertools.product((1, 63, 64, 65, 130, 200, 1417), (64, 100), (1, 2, 3, 5)):
        borders = Look("inputs", torch.arange(n), size, None).borders(of)
        assert borders[0] == 0 and borders[-1] == n and len(borders) == of + 1 and borders == sorted(borders)
        assert all(border % size == 0 for border in borders if border < n)
        whole = [max(1, n // size) * (end - begin > 0) for begin, end in itertools.pairwise(borders)]
        assert whole[0], "rank 0 has something to do in any case"
        counts = [(end - begin) // size for begin, end in itertools.pairwise(borders)]
        assert max(counts) - min(counts) <= 1
        begin = next(begin for begin, end in itertools.pairwise(borders) if end == n)
        assert n - begin >= size or begin == 0, "a short batch is filled up with images of its own share"


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["trainer.devices=2"], ["trainer.devices=2", "add train.engine=plain"]),
        (["trainer.devices=2", "train.engine=graph", "dry_run=true"], ["add train.engine=plain"]),
        (["trainer.devices=2", "train.engine=plain", "model.members=3"], ["model.members=3", "one device"]),
        (["trainer.devices=3", "train.engine=plain", "batch_size=5"], ["batch_size=5", "at least 6"]),
        (["trainer.devices=auto"], ["trainer.devices=auto", "whole number from 1"]),
        (["trainer.devices=-1"], ["trainer.devices=-1", "whole number from 1"]),
        (["trainer.devices=[0,1]"], ["trainer.devices=[0, 1]", "whole number from 1"]),
        (["trainer.devices=2", "+trainer.strategy=ddp", "train.engine=plain"], ["trainer.strategy", "trainer.devices"]),
    ],
    ids=" ".join,
)
def test_what_cannot_be_on_several_devices_is_refused(command, arguments: list[str], fragments: list[str]) -> None:
    assert_refused(command(*arguments), *fragments)


def test_more_gpus_than_there_are_are_refused(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    checking._check_devices(2, torch.device("cuda", 0))
    with pytest.raises(checking.ConfigError, match=r"trainer\.devices=3: PyTorch finds 2 GPUs on this machine"):
        checking._check_devices(3, torch.device("cuda", 0))
    with pytest.raises(checking.ConfigError, match="one mps device"):
        checking._check_devices(2, torch.device("mps"))


def test_every_rank_draws_its_own_dropout() -> None:
    seeds = [torch_seed(0, Stream.DROPOUT, 1, rank) for rank in range(4)]
    assert len({*seeds}) == 4 and seeds[0] == torch_seed(0, Stream.DROPOUT, 1)
