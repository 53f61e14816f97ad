"""What becomes of runs that are killed, of odd images, of drawn configurations and of a long run: docs/reliability.md.

The kinds of harm are those of the tests (tests/kill_points.py, bad_images.py, drawn_configurations.py, soak.py); here
all of them are tried, there a part.

    python benchmarks/reliability.py            # all four tables
    python benchmarks/reliability.py images     # one of them: kills, images, configurations, soak
"""

import argparse
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import bad_images
import drawn_configurations
import kill_points
from run_folders import only_run
from soak import SETTLED, growth, soak

from al_lightning.words import duration

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
DRAWS, SEED, LONG = 400, 2026, 150
PHASES = {
    "any": "opening the folder",
    "fit": "training",
    "score": "scoring",
    "select": "selecting",
    "test": "testing",
    "other": "asking the oracle, writing",
}


def kills(tmp: Path) -> Iterable[str]:
    """Kill runs of every strategy at every point, give the command again, compare with runs that were left alone."""
    tally: dict[tuple[str, str], list[tuple[bool, int]]] = {}
    for strategy in kill_points.STRATEGIES:
        arguments = (f"strategy={strategy}",)
        assert kill_points.run(tmp / strategy, *arguments) == 0, kill_points.said(tmp / strategy)
        reference = only_run(tmp / strategy)
        for number, point in enumerate((*kill_points.POINTS, *kill_points.MIRRORED)):
            mirrored = point in kill_points.MIRRORED
            cwd, given = tmp / f"{strategy}-{number}", (*arguments, *(["logger=wandb"] if mirrored else []))
            code = kill_points.kill(point, cwd, *given)
            lost = kill_points.n_lost(cwd)
            again = kill_points.run(cwd, *given)
            missing = kill_points.lost(only_run(cwd), reference)
            survived = code == -9 and again == 0 and not missing
            if not survived:
                print(f"{strategy}, {point}: killed {code}, again {again}, differs in {missing}", file=sys.stderr)
            phase = "mirroring to W&B" if mirrored else PHASES[point.phase]
            tally.setdefault((strategy, phase), []).append((survived, lost))
    yield "| strategy | killed while | survived / tried | rounds run again, at most |"
    yield "|---|---|---|---|"
    tally["**all**", ""] = [each for tried in tally.values() for each in tried]
    for (strategy, phase), tried in tally.items():
        survived, again = sum(well for well, _ in tried), max(lost for _, lost in tried)
        yield f"| {strategy} | {phase} | {survived} / {len(tried)} | {again} |"


def images(tmp: Path) -> Iterable[str]:
    """Put a file of every kind among good ones."""
    yield "| kind of file | what becomes of it |"
    yield "|---|---|"
    for number, kind in enumerate(bad_images.KINDS):
        (tmp / str(number)).mkdir()
        yield f"| {kind.name} | {bad_images.outcome(kind, tmp / str(number))} |"


def configurations(tmp: Path) -> Iterable[str]:
    """Draw command lines over every key."""
    counts = drawn_configurations.tally(DRAWS, SEED)
    yield "| drawn | run | refused (exit 2) | failed with its reason (exit 1) | broken promise | traceback |"
    yield "|---|---|---|---|---|---|"
    states = ("run", "refused", "failed", "broken", "traceback")
    yield f"| {counts.total()} | {' | '.join(str(counts[state]) for state in states)} |"


def long_runs(tmp: Path) -> Iterable[str]:
    """Run many rounds, and look at what the process holds."""
    yield f"| run of {LONG} rounds | | round {SETTLED} | round 50 | round 100 | round {LONG} | growth |"
    yield "|---|---|---|---|---|---|---|"
    small = ("batch_size=8", "al.pool_batch_size=256")
    for name, arguments in {
        "margin": ("strategy=margin", *small),
        "bald": ("strategy=bald", *small),
        "kmeans": ("strategy=kmeans", *small),
        "margin, default batches": ("strategy=margin",),
        "margin, W&B offline": ("strategy=margin", "logger=wandb", "logger.mode=offline", *small),
    }.items():
        (tmp / name).mkdir()
        held = soak(tmp / name, LONG, *arguments)
        for what, unit in (("memory", 1024), ("files", 1), ("threads", 1)):
            shown = " | ".join(f"{held[number][what] / unit:.0f}" for number in (SETTLED, 50, 100, LONG))
            label = "memory, MiB" if what == "memory" else f"open {what}" if what == "files" else what
            yield f"| {name} | {label} | {shown} | {growth(held, what):+.1%} |"


TABLES: dict[str, Callable[[Path], Iterable[str]]] = {
    "kills": kills,
    "images": images,
    "configurations": configurations,
    "soak": long_runs,
}


def rewrite(name: str, lines: list[str]) -> None:
    """Put a table between its two marks in the page."""
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    assert begin and end, f"{PAGE}: the marks of {name} are missing"
    PAGE.write_text(before + begin + "\n".join(lines) + "\n" + end + after, encoding="utf-8")


def main() -> None:
    """Make the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], metavar="table", help=", ".join(TABLES))
    for name in parser.parse_args().tables or TABLES:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            lines = list(TABLES[name](Path(folder)))
        took = duration(time.perf_counter() - start)
        lines += [
            "",
            f"{took}, torch {torch.__version__.partition('+')[0]}, Python {platform.python_version()}.",
        ]
        rewrite(name, lines)
        print("\n".join(lines), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
