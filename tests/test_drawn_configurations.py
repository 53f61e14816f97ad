"""Whatever is typed: a tiny run, or a short message that names the key. A traceback only for those who ask for it."""

from itertools import count

import pytest
from conftest import Command
from drawn_configurations import BASE, arguments, outcome
from hypothesis import HealthCheck, example, given, settings


def test_whatever_is_typed_runs_or_is_refused_in_a_few_lines(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, number = tmp_path_factory.mktemp("drawn"), count()

    @settings(
        max_examples=50, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    @example(["--multirun", *(f"{key}={value}" for key, value in BASE.items()), "seed=0,1"])
    @example(["--multirun", *(f"{key}={value}" for key, value in BASE.items()), "seed=0,1", "dry_run=true"])
    @given(arguments())
    def draw(line: list[str]) -> None:
        state, message = outcome(line, folder / str(next(number)) / "cwd")
        assert state in ("run", "refused", "failed"), message

    draw()


@pytest.mark.parametrize(
    "line",
    [
        ["al.rounds=-1"],  # a setting out of range
        ["al.rounds=abc"],  # what Hydra cannot compose
        ["dataset=nope"],
        ["hydra.job.chdir=true"],  # what this program does not take
        ["--multirun", "al.rounds=-1,-2"],  # jobs of a sweep
        ["--multirun", "al.nope=1,2"],
    ],
    ids=" ".join,
)
def test_debug_shows_the_traceback_of_a_users_mistake(line: list[str], command: Command) -> None:
    without, shown = command(*line), command(*line, "debug=true")
    assert without.code == shown.code == 2
    assert "Traceback" not in without.err
    assert "Traceback" in shown.err
    assert without.err.splitlines()[-1].split(": ")[-1] in shown.err
