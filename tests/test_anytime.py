"""The anytime verdict against its formula in plain loops, against the sign test, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from al_lightning.stopping.anytime import ALPHA, BETS, Anytime, accuracy_lower_bound, anytime


def evidence(values: list[float], m: float) -> float:
    """Mean over all bets, of both signs, of prod (1 + b x) / (1 + b m)."""
    total = 0.0
    for bet in BETS:
        for b in (bet, -bet):
            product = 1.0
            for x in values:
                product *= (1 + b * x) / (1 + b * m)
            total += product / (2 * len(BETS))
    return total


def bounds_by_loops(values: list[float], alpha: float) -> list[float]:
    found = []
    for end in (-1.0, 1.0):
        out, inside = end, sum(values) / len(values)
        for _ in range(60):
            middle = (out + inside) / 2
            out, inside = (middle, inside) if evidence(values, middle) >= 1 / alpha else (out, middle)
        found.append(out)
    return found


def rounds_of(values: np.ndarray, size: int) -> list[np.ndarray]:
    return [values[i : i + size] for i in range(0, len(values), size)]


@pytest.mark.parametrize("alpha", [0.05, 0.2])
@pytest.mark.parametrize("shift", [0.0, 0.4, -0.7])
def test_the_bounds_are_those_of_the_formula(alpha: float, shift: float) -> None:
    rng = np.random.default_rng(0)
    ternary = rng.choice([-1.0, 0.0, 1.0], size=60, p=[(1 - shift) / 3, 1 / 3, (1 + shift) / 3])
    for values in (ternary, rng.uniform(-1, 1, 60) * (1 - abs(shift)) + shift):
        for i, each in enumerate(anytime(rounds_of(values, 7), alpha)):
            so_far = values[: 7 * (i + 1)].tolist()
            assert each.n == len(so_far) and each.mean == pytest.approx(np.mean(so_far))
            assert [each.lower, each.upper] == pytest.approx(bounds_by_loops(so_far, alpha), abs=1e-9)
            assert each.lower < each.mean < each.upper


def test_on_ones_and_zeros_it_is_a_sign_test_of_the_images_on_which_the_heads_disagree() -> None:
    for better in range(0, 60, 3):
        for worse in range(0, 30, 3):
            e = np.mean([(1 + b) ** better * (1 - b) ** worse for b in (*BETS, *(-b for b in BETS))])
            expected = "undecided" if e < 1 / ALPHA else "better" if better > worse else "worse"
            for agree in (0, 500):
                assert anytime([[1] * better + [0] * agree + [-1] * worse])[0].verdict == expected


def test_without_data_nothing_is_known() -> None:
    assert anytime([]) == []
    none, some = anytime([[], [1, 0, 1]])
    assert (none.n, none.lower, none.upper, none.verdict) == (0, -1, 1, "undecided")
    assert math.isnan(none.mean) and some == anytime([[1, 0, 1]])[0]


@pytest.mark.parametrize(("value", "verdict"), [(0, "undecided"), (1, "better"), (-1, "worse")])
def test_all_alike(value: int, verdict: str) -> None:
    found = anytime([[value] * 20] * 50)
    assert {each.verdict for each in found} == {verdict}
    assert all(-1 <= each.lower <= value <= each.upper <= 1 for each in found)
    widths = [each.upper - each.lower for each in found]
    assert widths == sorted(widths, reverse=True) and widths[-1] < 0.03
    assert (found[-1].lower == -found[-1].upper) == (value == 0)


def test_a_sequence_that_turns_is_judged_by_its_average_so_far() -> None:
    found = [each.verdict for each in anytime([[1] * 20] * 5 + [[-1] * 20] * 20)]
    assert found[4] == "better" and found[9] == "undecided" and found[-1] == "worse"


def test_neither_rounds_nor_order_matter_to_what_is_known_after_them() -> None:
    rng = np.random.default_rng(1)
    values = rng.choice([-1.0, 0.0, 1.0], size=120, p=[0.1, 0.6, 0.3])
    at_once, one_by_one = anytime([values])[-1], anytime(rounds_of(values, 1))
    for size in (7, 20, 60):
        found = anytime(rounds_of(values, size))
        assert found == [one_by_one[each.n - 1] for each in found]
        assert found[-1] == at_once
    for other in (np.sort(values), rng.permutation(values)):
        assert anytime(rounds_of(other, 20))[-1].lower == pytest.approx(at_once.lower, abs=1e-9)
    mirrored = anytime([-values])[-1]
    assert (mirrored.lower, mirrored.upper) == pytest.approx((-at_once.upper, -at_once.lower))


@pytest.mark.parametrize("bad", [1.001, -2, math.nan, math.inf])
def test_what_is_no_difference_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="between -1 and 1"):
        anytime([[0], [1, bad]])


@pytest.mark.parametrize("changes", [False, True], ids=["constant", "changing"])
def test_few_sequences_ever_miss_the_running_average(changes: bool) -> None:
    """Heads that disagree on every image: the widest spread, on which the level is spent the most."""
    rng, runs, rounds, size = np.random.default_rng(2), 400, 40, 10
    missed = naive = 0
    for _ in range(runs):
        means = np.repeat(rng.uniform(-0.5, 0.5, rounds) if changes else np.full(rounds, 0.3), size)
        values = np.where(rng.random(rounds * size) < (1 + means) / 2, 1.0, -1.0)
        n = np.arange(size, rounds * size + 1, size)
        average = means.cumsum()[n - 1] / n
        found = anytime(rounds_of(values, size))
        missed += any(not each.lower <= m <= each.upper for each, m in zip(found, average, strict=True))
        half = 1.96 * np.sqrt(1 - average**2) / np.sqrt(n)  # of an interval for one look
        naive += (np.abs(values.cumsum()[n - 1] / n - average) > half).any()
    assert 0 < missed <= stats.binom.ppf(0.999, runs, ALPHA) < naive


def test_better_is_found_where_it_is() -> None:
    rng = np.random.default_rng(3)
    last = [anytime([rng.choice([-1, 0, 1], size=1000, p=[0.025, 0.9, 0.075])])[0] for _ in range(50)]
    assert sum(each.verdict == "better" for each in last) >= 45
    assert isinstance(last[0], Anytime) and all(each.verdict != "worse" for each in last)


@pytest.mark.parametrize("alpha", [0.05, 0.001])
@pytest.mark.parametrize("n", [1, 17, 500])
def test_the_lower_bound_is_the_accuracy_at_which_so_many_right_are_as_rare_as_the_level(n: int, alpha: float) -> None:
    assert accuracy_lower_bound(0, n, alpha) == 0
    for correct in {1, (n + 1) // 2, n}:
        bound = accuracy_lower_bound(correct, n, alpha)
        tail = sum(math.comb(n, k) * bound**k * (1 - bound) ** (n - k) for k in range(correct, n + 1))
        assert tail == pytest.approx(alpha) and bound < correct / n
    assert accuracy_lower_bound(n, n, alpha) == pytest.approx(alpha ** (1 / n))


def test_no_validation_labels_show_nothing() -> None:
    assert accuracy_lower_bound(0, 0) == 0
