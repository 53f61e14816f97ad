"""Whether BatchNorm's statistics should be taken anew after a fit: each fit is measured without and with it.

On random labels and on images held out from the training part, as in choose_defaults.py. The rule, fixed beforehand:
`train.bn_recalibrate` is on by default where in no setting the 95% interval of the mean difference lies below 0, and
the worst fit of every setting gets no worse. Rewrites its section of benchmarks/RESULTS.md.

    python benchmarks/bn_recalibration.py --data data
"""

import argparse
import statistics
import sys

from choose_defaults import fit, hold_out
from hydra import compose, initialize_config_dir
from results import machine, write_section
from scipy.stats import t

from al_lightning import build, config
from al_lightning.recalibration import Recalibration

SEEDS = range(100, 110)  # not those of the results
STUDIES = {
    # settings: (images held out, numbers of labels, seeds)
    "dataset=digits": (287, (20, 50, 200, 500), SEEDS[:5]),
    "dataset=digits model=cnn": (287, (20, 50, 200, 500), SEEDS[:5]),
    "dataset=mnist": (5_000, (100, 300, 600, 1000), SEEDS[:3]),
    "dataset=mnist experiment=paper": (5_000, (60, 300), SEEDS[:3]),
    "dataset=mnist experiment=paper_small": (5_000, (60, 300, 780, 1500), SEEDS),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="data", help="folder that holds MNIST/raw")
    arguments = parser.parse_args()
    build.quiet_lightning()
    rows = []
    for study, (held_out, sizes, seeds) in STUDIES.items():
        for labels in sizes:
            pairs = [both(study, arguments.data, held_out, labels, seed) for seed in seeds]
            rows.append(row(study, labels, pairs))
            print(rows[-1], file=sys.stderr)
    write_section(
        "BatchNorm recalibration",
        f"By `python benchmarks/bn_recalibration.py` on {machine()}.",
        "Accuracy on held-out training images of the same fits, without and with `train.bn_recalibrate`; random labels.",
        "",
        "| settings | labels | fits | mean without | mean with | difference, 95% interval | worst without | with |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
    )


def both(study: str, root: str, held_out: int, labels: int, seed: int) -> tuple[float, float]:
    """Accuracy of one fit, before and after recalibration."""
    with initialize_config_dir(str(config.conf_dir()), version_base="1.3"):
        settings = config.resolved(compose("config", [*study.split(), f"paths.data={root}", f"seed={seed}"]))
    trainer, model, pool = fit(settings, hold_out(build.load_data(settings), held_out), labels)
    before = trainer.test(model, datamodule=pool, verbose=False)[0]["test/acc"]
    Recalibration(pool).on_train_end(trainer, model)
    return before, trainer.test(model, datamodule=pool, verbose=False)[0]["test/acc"]


def row(study: str, labels: int, pairs: list[tuple[float, float]]) -> str:
    """A row of the table."""
    without, with_ = zip(*pairs, strict=True)
    differences = [after - before for before, after in pairs]
    mean = statistics.mean(differences)
    half = t.ppf(0.975, len(pairs) - 1) * statistics.stdev(differences) / len(pairs) ** 0.5
    means = " | ".join(f"{statistics.mean(values):.4f}" for values in (without, with_))
    return (
        f"| `{study}` | {labels} | {len(pairs)} | {means} | {mean:+.4f}, {mean - half:+.4f} to {mean + half:+.4f} "
        f"| {min(without):.4f} | {min(with_):.4f} |"
    )


if __name__ == "__main__":
    main()
