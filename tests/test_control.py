"""`al.control`: which images it draws, what its columns say, and that they say it of heads that have not seen them."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command, own_oracle
from run_folders import differences, only_run, table
from scipy import stats
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.images import ImageData, ImageSet
from al_lightning.oracle.ledger import CONTROL, TRAIN
from al_lightning.stopping import control
from al_lightning.stopping.anytime import anytime
from al_lightning.streams import Stream, generator

RUN = ("embedding=pixels", "model=linear", "al.initial_size=20", "al.query_size=20", "al.control=0.3")
# Labels of three in four images.
PEOPLE = """
from al_lightning.oracle import Answer

class People:
    def __init__(self, data, seed):
        self.labels = data.pool.labels

    def ask(self, question):
        return [Answer(i, "skip" if i % 4 == 0 else int(self.labels[i]), "ann") for i in question.indices]
"""
# None in round 0: there is no model in round 1.
NO_MODEL = """
from al_lightning.oracle import Answer

class People:
    def __init__(self, data, seed):
        self.labels = data.pool.labels

    def ask(self, question):
        return [Answer(i, int(self.labels[i]) if question.round else "unsure", "ann") for i in question.indices]
"""


@pytest.mark.parametrize("sizes", [(), ("al.pool_sample=20",), ("al.initial_size=0",)], ids=str)
def test_a_share_of_each_query_is_random_and_the_rest_is_chosen_among_the_others(
    command: Command, tmp_path: Path, sizes: tuple[str, ...]
) -> None:
    for strategy in ("margin", "random"):
        arguments = (*(each for each in RUN if each.partition("=")[0] not in str(sizes)), *sizes)
        assert command(*arguments, "al.rounds=3", f"strategy={strategy}", cwd=tmp_path / strategy).code in (0, None)
    queries, others = (
        pd.read_csv(only_run(tmp_path / strategy) / "queries.csv").query("round >= 0")
        for strategy in ("margin", "random")
    )
    assert queries["index"].is_unique and queries["label"].notna().to_numpy().all()
    for _, rows in queries.groupby("round"):
        assert rows["use"].tolist() == [TRAIN] * 14 + [CONTROL] * 6 and rows["rank"].tolist() == list(range(20))
        assert rows.loc[rows["use"] == CONTROL, "score"].isna().to_numpy().all()
    first, again = (rows.query("round == 0 and use == 'control'")["index"].tolist() for rows in (queries, others))
    assert first == again, "whatever the strategy chooses"
    later = [queries.query(f"round == {i} and use == 'control'")["index"].tolist() for i in (1, 2)]
    assert not {*first} & {*later[0]} and not {*later[0]} & {*later[1]}


def toy(seed: int, labels: np.ndarray, features: np.ndarray) -> tuple[PoolDataModule, Any]:
    """A pool of images that are their own features, and what stands for a model."""
    images = torch.from_numpy(features.clip(0, 255).astype(np.uint8))[:, None, None]
    part = ImageSet(images, torch.from_numpy(labels), tuple(map(str, range(len(labels)))))
    data = ImageData(part, part, tuple(map(str, range(labels.max() + 1))))
    model = SimpleNamespace(
        normalized=lambda rows: rows.flatten(1) / 64 - 2,
        device=torch.device("cpu"),
        head=SimpleNamespace(out_features=len(data.classes)),
    )
    return PoolDataModule(data, 16, 16, seed), model


def test_they_are_drawn_uniformly_from_all_unlabeled_images_and_anew_in_each_round() -> None:
    labels = np.arange(60) % 3
    counts, seeds, n = np.zeros((2, 60)), 3000, 5
    for seed in range(seeds):
        pool, _ = toy(seed, labels, np.zeros((60, 2)))
        pool.pool_sample = 8  # of what a strategy looks at
        pool.label(torch.arange(10), pool.data.pool.labels[:10], since=0)
        for pool.round in (0, 1):
            drawn = pool.draw_control(n)
            assert len(drawn.unique()) == n
            counts[pool.round, drawn.numpy()] += 1
    assert counts[:, :10].sum() == 0 and (counts[0] != counts[1]).any()
    for of_round in counts:
        # Without replacement, counts vary less by the factor (N - n) / (N - 1).
        statistic = stats.chisquare(of_round[10:]).statistic * 49 / (50 - n)
        assert 1e-3 < stats.chi2.sf(statistic, 49) < 1 - 1e-3


def recomputed(folder: Path, features: np.ndarray, share: int) -> list[dict[str, Any]]:
    """The columns, plainly: from what was asked, what was answered, and scikit-learn."""
    asked, rows = pd.read_csv(folder / "queries.csv"), table(folder / "rounds.csv")
    answered = asked.dropna(subset=["label"]).astype({"label": int})
    label = dict(zip(answered["index"], answered["label"], strict=True))
    initial = answered.query("round == -1 and use == 'train'")["index"].tolist()
    found, differences_ = [], []
    for number in range(len(rows)):
        sets, tested = {CONTROL: [*initial], TRAIN: [*initial]}, []
        for earlier in range(number - 1):
            of = {
                use: answered.query(f"round == {earlier} and use == '{use}'").sort_values("rank")["index"].to_numpy()
                for use in sets
            }
            n = min(map(len, of.values()))
            order = generator(0, Stream.CONTROL_SHARE, earlier).permutation(len(of[TRAIN]))
            sets[CONTROL] += of[CONTROL][:n].tolist()
            sets[TRAIN] += of[TRAIN][order[:n]].tolist()
            assert n <= share
        assert len(sets[CONTROL]) == len(sets[TRAIN])
        if number > 1 and len(sets[TRAIN]) > len(initial) and rows[number - 1]["fit/weight_decay"]:
            tested = answered.query(f"round == {number - 1} and use == 'control'")["index"].tolist()
        right = {}
        for use, trained in sets.items():
            assert not {*tested} & {*trained}
            if tested:
                c = 1 / (len(trained) * float(rows[number - 1]["fit/weight_decay"]))
                head = LogisticRegression(C=c, tol=1e-8, max_iter=5000)
                head.fit(features[trained], [label[i] for i in trained])
                right[use] = head.predict(features[tested]) == [label[i] for i in tested]
        better, worse = ((right[a] & ~right[b]).sum() if tested else 0 for a, b in ((TRAIN, CONTROL), (CONTROL, TRAIN)))
        differences_.append([1.0] * better + [-1.0] * worse + [0.0] * (len(tested) - better - worse))
        now = anytime(differences_)[-1]
        found.append({"n": len(tested), "better": better, "worse": worse, "mean": now.mean, "verdict": now.verdict})
        found[-1] |= {"lower": now.lower, "upper": now.upper}
    return found


@pytest.mark.parametrize(
    "settings",
    [
        ("strategy=margin",),
        ("strategy=margin", "oracle.noise=0.3", "al.control=0.5", "al.query_size=15"),
        ("strategy=entropy", "al.initial_size=0", "al.val_size=30"),
        ("people", "al.control=0.5"),
        ("nobody", "al.initial_size=0"),
    ],
    ids=str,
)
def test_the_columns_are_those_of_a_plain_computation(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: tuple[str, ...]
) -> None:
    features, sizes, decays, right = [], [], [], control._right

    def noted(indices: Tensor, asked: Tensor, weight_decay: float, pool: PoolDataModule, model: Any) -> Tensor:
        features.append(model.normalized(pool.images).numpy())
        sizes.append(len(indices))
        decays.append(weight_decay)
        return right(indices, asked, weight_decay, pool, model)

    monkeypatch.setattr(control, "_right", noted)
    if code := {"people": PEOPLE, "nobody": NO_MODEL}.get(settings[0]):
        own_oracle(tmp_path, code, monkeypatch)
        settings = ("--config-dir", str(tmp_path / "conf"), "oracle=crowd", *settings[1:])
    typed = {each.partition("=")[0] for each in settings}
    arguments = (*settings, *(each for each in RUN if each.partition("=")[0] not in typed))
    assert command(*arguments, "al.rounds=6").code in (0, None)
    folder = only_run(tmp_path / "cwd")
    rows = table(folder / "rounds.csv")
    plain = recomputed(folder, features[0], 7 if "al.query_size=15" in settings else 10)
    assert len(rows) == 7 and sum(each["n"] for each in plain) >= 12 and any(e["better"] + e["worse"] for e in plain)
    assert sizes[::2] == sizes[1::2], "equally many labels"
    assert decays[::2] == [float(row["fit/weight_decay"]) for row in rows[-len(decays) // 2 - 1 : -1]]
    for row, expected in zip(rows, plain, strict=True):
        seen = {name.partition("/")[2]: value for name, value in row.items() if name.startswith("control/")}
        assert [int(seen[name]) for name in ("n", "better", "worse")] == [expected[n] for n in ("n", "better", "worse")]
        assert seen["verdict"] == expected["verdict"]
        for name in ("mean", "lower", "upper"):
            assert float(seen[name] or "nan") == pytest.approx(expected[name], rel=1e-5, nan_ok=True)


def test_the_heads_have_not_seen_the_images_that_they_predict() -> None:
    """Whoever has, knows that these look like one class and are of the other."""
    rng = np.random.default_rng(0)
    side = np.repeat([0, 1], 40)
    features = np.stack([np.where(side, 200, 50) + rng.normal(0, 10, 80), rng.normal(128, 10, 80)], 1)
    labels = side.copy()
    odd = [5, 6, 7, 8, 45, 46, 47, 48]
    labels[odd] = 1 - side[odd]
    pool, model = toy(0, labels, features)
    uses = {**dict.fromkeys(odd, CONTROL), **dict.fromkeys((9, 10, 49, 50), TRAIN)}
    queries = [
        [{"index": i, "use": use} for i, use in {0: CONTROL, 40: CONTROL, 1: TRAIN, 41: TRAIN}.items()],
        [{"index": i, "use": use} for i, use in uses.items()],
    ]
    pool.label(torch.tensor([2, 42]), torch.from_numpy(labels[[2, 42]]), since=0)
    for number, query in enumerate(queries):
        indices = [row["index"] for row in query]
        pool.label(torch.tensor(indices), torch.from_numpy(labels[indices]), since=number + 1)
    right = []
    plain = control._right
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control, "_right", lambda *given: right.append(plain(*given)) or right[-1])
        row = control.columns(queries, [{"fit/weight_decay": 1e-5}] * 2, pool, model)
    assert row["control/n"] == len(odd) and not torch.stack(right).any()


def test_a_run_that_goes_on_has_the_same_columns(command: Command, tmp_path: Path) -> None:
    for name, lengths in (("twice", (1, 3, 5)), ("once", (5,))):
        for rounds in lengths:
            assert command(*RUN, f"al.rounds={rounds}", cwd=tmp_path / name).code in (0, None)
    assert differences(only_run(tmp_path / "twice"), only_run(tmp_path / "once")) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("al.control=0.2",), "al.control=0.2: fits heads on an embedding; it needs embedding=... model=linear"),
        ((*RUN, "optimizer=adam"), "al.control=0.3: fits heads on an embedding; it needs embedding=... model=linear"),
        ((*RUN[:-1], "al.control=0.6"), "al.control=0.6: must be a share above 0 and at most 0.5, or null"),
        ((*RUN[:-1], "al.control=0"), "al.control=0.0: must be a share above 0 and at most 0.5, or null"),
        ((*RUN[:3], "al.query_size=1", RUN[-1]), "al.control=0.3 al.query_size=1: leaves nothing to choose"),
    ],
)
def test_what_it_cannot_be_used_with_is_refused(command: Command, settings: tuple[str, ...], message: str) -> None:
    ended = command(*settings)
    assert (ended.code, ended.err.strip()) == (2, f"error: {message}")


HALF = 15  # of a query
Choose = Callable[[Tensor, PoolDataModule, np.random.Generator], Tensor]


def verdicts(seed: int, labels: np.ndarray, features: np.ndarray, choose: Choose, rounds: int) -> list[str]:
    """What is said in every round of a run whose queries are half random and half chosen."""
    pool, model = toy(seed, labels, features)
    rng = np.random.default_rng(seed)
    rows, queries = [], []
    for pool.round in range(rounds + 1):
        rows.append({"fit/weight_decay": 0.01, **control.columns(queries, rows, pool, model)})
        drawn = pool.draw_control(HALF)
        rest = pool.candidates()
        chosen = choose(rest[~torch.isin(rest, drawn)], pool, rng)
        queries.append(
            [{"index": i, "use": use} for use, part in ((TRAIN, chosen), (CONTROL, drawn)) for i in part.tolist()]
        )
        indices = torch.cat([chosen, drawn])
        pool.label(indices, pool.data.pool.labels[indices], since=pool.round + 1)
    return [row["control/verdict"] for row in rows]


def uniform(candidates: Tensor, pool: PoolDataModule, rng: np.random.Generator) -> Tensor:
    return candidates[torch.from_numpy(rng.choice(len(candidates), HALF, replace=False))]


def of_all_classes_in_turn(candidates: Tensor, pool: PoolDataModule, rng: np.random.Generator) -> Tensor:
    labels = pool.data.pool.labels[candidates]
    wanted = [(HALF * pool.round + i) % len(pool.data.classes) for i in range(HALF)]
    return torch.stack([candidates[labels == label][0] for label in wanted])


def of_one_class(candidates: Tensor, pool: PoolDataModule, rng: np.random.Generator) -> Tensor:
    return candidates[pool.data.pool.labels[candidates] == 0][:HALF]


def test_where_choosing_cannot_help_it_rarely_says_that_it_does_or_harms() -> None:
    runs, said = 40, 0
    for seed in range(runs):
        rng = np.random.default_rng([seed, 1])
        labels = rng.integers(0, 3, 400)
        features = 128 + 40 * np.eye(3)[labels] + rng.normal(0, 40, (400, 3))  # heads are often wrong, and often differ
        said += {*verdicts(seed, labels, features, uniform, rounds=10)} != {"undecided"}
    assert said <= stats.binom.ppf(0.999, runs, 0.05)


@pytest.mark.parametrize(("choose", "verdict"), [(of_all_classes_in_turn, "better"), (of_one_class, "worse")])
def test_where_it_helps_or_harms_it_says_so(choose: Choose, verdict: str) -> None:
    last = []
    for seed in range(5):
        rng = np.random.default_rng([seed, 2])
        labels = rng.integers(0, 60, 1500)
        features = 64 + 128 * np.eye(60)[labels] + rng.normal(0, 5, (1500, 60))
        last.append(verdicts(seed, labels, features, choose, rounds=10)[-1])
    assert last.count(verdict) >= 4 and {*last} <= {verdict, "undecided"}
