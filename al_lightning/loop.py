"""A run: fit, choose, test, commit, round after round."""

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from al_lightning import build, config, oracle
from al_lightning.acquisition.callback import AcquisitionCallback
from al_lightning.clock import Clock
from al_lightning.data.datamodule import UNLABELED, PoolDataModule
from al_lightning.errors import DataError
from al_lightning.instantiate import instantiate
from al_lightning.plan import Plan
from al_lightning.run_folder import Round, RunFolder, is_intact, read_json
from al_lightning.streams import Stream, torch_seed
from al_lightning.summary import covers, summarize
from al_lightning.tracking import Observer, RunInfo
from al_lightning.tracking.console import ConsoleReporter, describe


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        folder: the run folder.
        state: `finished`, or `skipped` when it had been finished before.
        summary: what `summary.json` holds.
    """

    folder: Path
    state: str
    summary: dict[str, Any]


def run(cfg: DictConfig) -> Outcome:
    """Run what a composed configuration says, or go on where an earlier process stopped.

    Raises:
        ConfigError: settings that cannot work; nothing has been trained or written.
        DataError: images that cannot be had.
        LockedError: another process is at it.
    """
    typed, settings = config.typed(cfg), config.resolved(cfg)
    path = config.run_folder(cfg)
    earlier = read_json(path / "summary.json")
    if earlier and covers(earlier, typed.al) and is_intact(path / "rounds" / f"{earlier['rounds_done'] - 1:03d}"):
        print(f"{path}: finished before, {describe(earlier)}")
        return Outcome(path, "skipped", earlier)
    data, plan, device = build.prepare(typed, settings)
    pool = PoolDataModule(data, typed.batch_size, typed.al.pool_batch_size, typed.seed)
    console = ConsoleReporter()
    mirrors = [instantiate("logger", settings["logger"])] if "_target_" in settings["logger"] else []
    observers: list[Observer] = [console, *mirrors]
    with RunFolder(path) as folder:
        images = data.fingerprint()
        if earlier and earlier.get("data_fingerprint", images) != images:
            raise DataError(f"{path}: the images have changed since this run began; start anew with study=...")
        kept = _restore(pool, plan, folder.rounds)
        run_info = RunInfo(path, typed.study, settings, plan, data, images, str(device), tuple(kept))
        folder.write_summary(summarize(run_info, kept, "running"))
        folder.write_config(OmegaConf.to_yaml(cfg, resolve=True))
        folder.write_rejected(data.rejected)
        folder.write_duplicates(data.duplicates)
        gc.freeze()  # what is there now stays: the collections below need not go through it
        state, clock = "failed", Clock(device)
        try:
            for observer in observers:
                observer.start(run_info)
            for number in range(len(kept), plan.rounds + 1):
                done = _round(number, settings, pool, plan, clock, console)
                gc.collect()  # Trainer and model hold each other: 180 MB a round that would wait for Python to look
                folder.commit(done)
                folder.write_summary(summarize(run_info, folder.rounds, "running"))
                for observer in observers:
                    observer.round(done)
            state = "finished"
        except (KeyboardInterrupt, SystemExit) as error:
            state = "interrupted"
            if isinstance(error.__context__, KeyboardInterrupt):  # Lightning turns Ctrl-C in a fit into exit code 1
                raise KeyboardInterrupt from None
            raise
        finally:
            gc.unfreeze()
            summary = summarize(run_info, folder.rounds, state)
            folder.write_summary(summary)
            for observer in observers:
                observer.finish(state, summary)
    return Outcome(path, state, summary)


def _round(
    number: int, settings: build.Settings, pool: PoolDataModule, plan: Plan, clock: Clock, console: ConsoleReporter
) -> Round:
    """One round up to its commit: fresh weights and a fresh Trainer, fit, choose, test, ask the oracle."""
    pool.round, is_last = number, number == plan.rounds
    n_labeled = plan.n_labeled(number)
    epochs, steps = build.fit_length(settings, n_labeled)
    model = build.make_classifier(settings, pool.data, number, n_labeled)
    choosing = AcquisitionCallback(
        build.make_strategy(settings), plan.query_size, pool, clock, console.bar("score", plan.n_unlabeled(number))
    )
    callbacks = [console.fit_bar(f"round {number}/{plan.rounds}  fit", steps), *([] if is_last else [choosing])]
    trainer = build.make_trainer(settings, epochs, callbacks)
    torch.manual_seed(torch_seed(settings["seed"], Stream.DROPOUT, number))
    with clock.phase("fit"):
        trainer.fit(model, datamodule=pool)
    with clock.phase("test"):
        measures = dict(trainer.test(model, datamodule=pool, verbose=False)[0])
        confusion = model.confusion.cpu().numpy()
        if plan.val_size:
            measures |= trainer.validate(model, pool.validation_batches(), verbose=False)[0]
    queries = [] if is_last else _answer(number, pool, choosing)
    row: dict[str, Any] = {"round": number, "n_labeled": n_labeled, "n_paid": plan.n_paid(number)}
    row |= {name: float(f"{value:.7g}") for name, value in measures.items()}  # they come as single precision
    row |= {f"seconds/{phase}": round(seconds, 4) for phase, seconds in clock.seconds().items()}
    clock.restart()  # the commit of this round and its mirror count as `other` of the next
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()} if is_last else None
    return Round(row, queries, confusion, pool.labeled_since.numpy().copy(), pool.val_mask.numpy().copy(), weights)


def _answer(number: int, pool: PoolDataModule, choosing: AcquisitionCallback) -> list[dict[str, Any]]:
    """Ask the oracle, add its labels for the next round, and return the rows of `queries.csv`."""
    assert choosing.query is not None and choosing.predicted is not None
    indices, scores = choosing.query.indices.cpu(), choosing.query.scores
    labels = oracle.simulated(pool.data, indices)
    pool.label(indices, labels, since=number + 1)
    columns = zip(
        indices.tolist(),
        scores.tolist() if scores is not None else [""] * len(indices),
        labels.tolist(),
        choosing.predicted.tolist(),
        strict=True,
    )
    names = ("index", "score", "label", "predicted")
    return [
        {"round": number, "rank": rank, "id": pool.data.pool.ids[values[0]], **dict(zip(names, values, strict=True))}
        for rank, values in enumerate(columns)
    ]


def _restore(pool: PoolDataModule, plan: Plan, rounds: Sequence[Round]) -> list[Round]:
    """Bring the masks to where the committed rounds left them, or draw the first sets.

    A last round asked for nothing: when more rounds are wanted, it is run again, now with a query.

    Returns:
        The rounds that stand.
    """
    kept = list(rounds)
    if kept and not kept[-1].queries and kept[-1].number < plan.rounds:
        kept.pop()
    if kept:
        labeled_since, val_mask = (torch.from_numpy(a) for a in (kept[-1].labeled_since, kept[-1].val_mask))
        val = val_mask.nonzero().squeeze(1)
        pool.keep_for_validation(val, oracle.simulated(pool.data, val))
        for since in labeled_since[labeled_since != UNLABELED].unique().tolist():
            indices = (labeled_since == since).nonzero().squeeze(1)
            pool.label(indices, oracle.simulated(pool.data, indices), since)
    else:
        val, initial = pool.draw(plan)
        pool.keep_for_validation(val, oracle.simulated(pool.data, val))
        pool.label(initial, oracle.simulated(pool.data, initial), since=0)
    return kept
