"""Memory of a run on a pool of a million embeddings: a file of features in half precision, and tiny images.

Rewrites its section of RESULTS.md.

    python benchmarks/million.py --place /tmp/million
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from results import machine, write_section

N, D, QUERY = 1_000_000, 512, 1_000
TEST, CLASSES, BLOCK = 1_000, 10, 10_000
DATA_SET = """
import numpy as np, torch
from al_lightning.data.images import ImageData, ImageSet

def million(n, place):
    labels = torch.from_numpy(np.load(place + "/labels.npy"))
    images = torch.from_numpy(np.load(place + "/images.npy", mmap_mode="c"))
    ids = [str(i) for i in range(len(labels))]
    parts = [ImageSet(images[part], labels[part], ids[part]) for part in (slice(None, n), slice(n, None))]
    return ImageData(*parts, tuple("0123456789"))
"""
RUN = """
import sys
from al_lightning.__main__ import main
code = main()
with open("/proc/self/status", encoding="ascii") as lines:
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


def prepare(place: Path, n: int, d: int) -> None:
    """Features `[n, d]` of ten overlapping classes, and a data set that they belong to."""
    place.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    labels, centers = rng.integers(CLASSES, size=n + TEST), 0.1 * rng.standard_normal((CLASSES, d))
    np.save(place / "labels.npy", labels)
    rows = np.lib.format.open_memmap(place / "features.npy", "w+", np.float16, (n + TEST, d))
    for start in range(0, n + TEST, BLOCK):
        some = labels[start : start + BLOCK]
        rows[start : start + len(some)] = rng.standard_normal((len(some), d)) + centers[some]
    rows.flush()
    images = np.lib.format.open_memmap(place / "images.npy", "w+", np.uint8, (n + TEST, 1, 4, 4))
    for start in range(0, n + TEST, BLOCK):
        bits = np.arange(start, min(start + BLOCK, n + TEST))[:, None] >> (2 * np.arange(16))  # all images differ
        images[start : start + BLOCK] = (bits % 256).reshape(-1, 1, 4, 4)
    images.flush()
    (place / "million.py").write_text(DATA_SET, encoding="utf-8")
    (place / "conf" / "dataset").mkdir(parents=True, exist_ok=True)
    node = f"name: million\n_target_: million.million\nn: {n}\nplace: {place}\n"
    (place / "conf" / "dataset" / "million.yaml").write_text(node, encoding="utf-8")


def most_memory(
    strategy: str, place: Path, query_size: int, *more: str, timeout: float | None = None
) -> tuple[int, list[float]]:
    """MiB that the process of a run held at most, and seconds to score and choose, a query.

    Args:
        strategy: its name.
        place: of :func:`prepare`.
        query_size: images a query.
        more: settings of the run.
        timeout: seconds for all of it.

    Raises:
        subprocess.TimeoutExpired: they were not enough.
    """
    typed = [
        *("--config-dir=conf", "dataset=million", "embedding=file", "embedding.path=features.npy", "model=linear"),
        *("al.initial_size=1000", f"al.query_size={query_size}", "al.rounds=1", "logger=none"),
        *(f"strategy={strategy}", f"study={strategy}", *more),
    ]
    shutil.rmtree(place / "multirun_outputs", ignore_errors=True)
    known = {"PYTHONPATH": os.pathsep.join(filter(None, (str(place), os.environ.get("PYTHONPATH"))))}
    done = subprocess.run(
        [sys.executable, "-c", RUN, *typed],
        cwd=place,
        env={**os.environ, **known, "AL_LIGHTNING_ALLOW": "million"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=True,
        timeout=timeout,
    )
    (file,) = place.glob(f"multirun_outputs/{strategy}/*/rounds.csv")
    with file.open(newline="", encoding="utf-8") as lines:
        rows = [*csv.DictReader(lines)][:-1]  # the last round chooses nothing
    seconds = [float(row["seconds/score"]) + float(row["seconds/select"]) for row in rows]
    return int(done.stderr.split()[-1]) // 1024, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--place", type=Path, required=True, help="folder for a gigabyte of features")
    place = parser.parse_args().place.resolve()
    prepare(place, N, D)
    measured = {strategy: most_memory(strategy, place, QUERY) for strategy in ("margin", "entropy", "bald")}
    write_section(
        "A million embeddings",
        f"By `python benchmarks/million.py` on {machine()}. A run on {N:,} x {D} features of a file in half precision "
        f"({N * D * 2 / 2**30:.2f} GiB, mapped, and part of what is counted), 1,000 labels, a query of 1,000, "
        "`model=linear`; BALD with 100 samples. One run each.",
        "",
        "| strategy | most memory | score and choose |",
        "|---|---|---|",
        *(f"| {name} | {memory} MiB | {seconds:.1f} s |" for name, (memory, (seconds,)) in measured.items()),
    )


if __name__ == "__main__":
    main()
