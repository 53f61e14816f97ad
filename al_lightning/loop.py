"""A run: fit, choose, test, commit, ask, round after round."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from al_lightning import asking, build, signals
from al_lightning.acquisition.callback import AcquisitionCallback
from al_lightning.acquisition.choose import StrategyError
from al_lightning.clock import Clock
from al_lightning.config import callbacks, schema
from al_lightning.config.plan import Plan
from al_lightning.contract import out_of_memory
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.listing import to_csv_gz
from al_lightning.data.memory import largest_batch
from al_lightning.data.state import state as state_of
from al_lightning.errors import ConfigError, UserError
from al_lightning.models.classifier import Classifier
from al_lightning.models.fit_check import FitCheck
from al_lightning.models.learner import Scoring
from al_lightning.models.measuring import Measured, measure_round
from al_lightning.profiling import profiled
from al_lightning.runs import diagnostics, environment, same_images, stored
from al_lightning.runs.folder_state import lacking
from al_lightning.runs.rounds import Diagnostics, Round, read_json
from al_lightning.runs.run_folder import RunFolder, WriteError
from al_lightning.runs.run_info import RunInfo
from al_lightning.runs.summary import covers, limit, summarize
from al_lightning.signals import Interrupted
from al_lightning.streams import Stream, seeded, torch_seed
from al_lightning.tracking import Observer, Observers, loggers
from al_lightning.tracking.console import ConsoleReporter, describe


class RoundError(UserError):
    """A round that could not be finished; those before it stand."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        folder: the run folder.
        state: `finished`, `resumed` (and finished, after rounds of an earlier process), `re-run` (and finished, after
            it had failed), `skipped` when it had been finished before, or `waiting` for answers of the oracle.
        summary: what `summary.json` holds.
    """

    folder: Path
    state: str
    summary: dict[str, Any]


def run(cfg: DictConfig, prefix: str = "") -> Outcome:
    """Run what a composed configuration says, or go on where an earlier process stopped.

    Args:
        cfg: the configuration.
        prefix: of every line that is printed, where several runs print at once.

    Raises:
        ConfigError: settings that cannot work; nothing has been trained or written.
        DataError: images that cannot be had, or that are not those of the rounds before.
        LockedError: another process runs it.
        RoundError: a fit that diverged, a strategy that cannot choose, or not enough memory.
        OracleError: an oracle that cannot answer.
        WriteError: a disk that is full or cannot be written.
    """
    typed, settings = schema.typed(cfg), schema.resolved(cfg)
    path = schema.run_folder(cfg)
    earlier = None if typed.overwrite else read_json(path / "summary.json")
    files = state_of(settings["dataset"], (typed.paths.output_root, typed.paths.data))
    unchanged = earlier is not None and bool(files) and earlier.get("data_state") == files
    loaded = None if unchanged else same_images.load(path, settings)
    if earlier and covers(now := loaded.as_now(earlier) if loaded else earlier, typed.al):
        if not (missing := lacking(path, earlier["rounds_done"])):
            print(f"{path}: finished before, {describe(earlier)}{limit(typed.al, now)}")
            return Outcome(path, "skipped", earlier)
        print(f"{path}: was finished, but {missing}: made again")
    images = loaded or same_images.load(path, settings)
    data = images.data
    plan, device = build.prepare(typed, settings, data, images.plan(typed.al))
    pool = PoolDataModule(
        data,
        typed.batch_size,
        typed.al.pool_batch_size or largest_batch(data.image_size, device),
        typed.seed,
        pool_sample=plan.pool_sample,
        whole_epochs=typed.train.engine != "plain",
    )
    classifier, oracle = build.classifiers(settings, data, device), build.make_oracle(settings, data)
    console = ConsoleReporter(prefix)
    mirrors = loggers.mirrors(settings["logger"], path)
    observers = Observers([console, *mirrors])
    with RunFolder(path, typed.overwrite) as folder:
        if (n_done := len(folder.rounds)) > plan.rounds + 1:
            raise ConfigError(
                f"al.rounds={typed.al.rounds} al.budget={typed.al.budget}: {path} has {n_done - 1} queries already; "
                f"give it al.rounds={n_done - 1} or more, or begin anew with overwrite=true"
            )
        kept = _kept(folder.rounds, plan)
        here = environment.current(device, images.fingerprint, files, plan.n_gone)
        if kept:
            here = environment.going_on(path, kept[-1].environment, here, grows=images.pool is not None)
        run_info = RunInfo(path, typed.study, settings, plan, data, here, tuple(kept))
        folder.write_summary(summarize(run_info, kept, "running"))
        folder.write_config(stored.text(cfg))
        if (rows := images.unwritten(path, begins=folder.initial is None)) is not None:
            folder.write_images(to_csv_gz(rows), diagnostics.pool_map(data))
        folder.write_rejected(data.rejected)
        folder.write_duplicates(data.duplicates)
        if folder.initial is None:
            folder.commit_initial(asking.initial_query(pool, plan), data.classes)
        asking.restore(pool, folder, kept)
        gc.freeze()  # what is there now stays: the collections below need not go through it
        state, clock, waiting = "failed", Clock(device), 0
        try:
            with environment.threads(here["threads"]), environment.tf32(typed.train.tf32):
                observers.start(run_info)
                query = kept[-1].queries if kept else folder.initial or []
                waiting = asking.ask(oracle, query, folder, pool, typed.oracle["name"])
                for number in range(len(kept), plan.rounds + 1):
                    if waiting:
                        break
                    seen = folder.ledger.position()
                    with _named(number, path, typed.strategy["name"]), profiled(typed.train.profile) as operations:
                        done = _round(number, run_info, pool, classifier, clock, console, mirrors)
                    done = replace(done, operations=operations, environment={**here, "ledger": seen})
                    gc.collect()  # Trainer and model hold each other: 180 MB a round that would wait for Python to look
                    folder.commit(done)
                    waiting = asking.ask(oracle, done.queries, folder, pool, typed.oracle["name"])
                    folder.write_summary(summarize(run_info, folder.rounds, "running"))
                    observers.round(done)
            state = "waiting" if waiting else "finished"
        except (Interrupted, KeyboardInterrupt):
            state = "interrupted"
            signals.heard()
            raise
        finally:
            gc.unfreeze()
            summary = summarize(run_info, folder.rounds, state, waiting)
            _end(folder, observers, state, summary)
    if state == "finished" and earlier and earlier.get("state") == "failed":
        state = "re-run"
    elif state == "finished" and kept:
        state = "resumed"
    return Outcome(path, state, summary)


def _end(folder: RunFolder, observers: Observers, state: str, summary: dict[str, Any]) -> None:
    try:
        folder.write_summary(summary)
    except WriteError:
        if state == "finished":  # otherwise there is something else to say: what stopped the run
            raise
    finally:
        observers.finish(state, summary)


@contextmanager
def _named(number: int, path: Path, strategy: str) -> Iterator[None]:
    """Say which round it was that could not be finished, and whose strategy."""
    before = f"the {number} rounds before it stand" if number else "no round was committed"
    try:
        yield
    except StrategyError as error:
        raise RoundError(f"{path}: round {number}: strategy={strategy}: {error}; {before}") from error
    except callbacks.CallbackError as error:
        raise RoundError(f"{path}: round {number}: {error}; {before}") from error
    except FloatingPointError as error:
        raise RoundError(
            f"{path}: round {number} diverged: {error}; {before}. "
            "Try a lower optimizer.lr, or trainer.precision=32-true where it is another"
        ) from error
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0]
        raise RoundError(
            f"{path}: round {number} ran out of memory: {reason}; {before}. Try a smaller batch_size or "
            "al.pool_batch_size"
        ) from error


def _round(
    number: int,
    run: RunInfo,
    pool: PoolDataModule,
    classifier: Callable[[int, int], Classifier],
    clock: Clock,
    console: ConsoleReporter,
    mirrors: Sequence[Observer],
) -> Round:
    """One round up to its commit: fresh weights and a fresh Trainer, fit, choose, test.

    Without labels to train on there is no model: what is asked then does not need one, and nothing is measured.
    """
    settings, plan = run.settings, run.plan
    pool.round, is_last = number, number == plan.rounds
    n_labeled = int(pool.labeled_mask.sum())
    epochs, steps = build.fit_length(settings, n_labeled)
    choosing = AcquisitionCallback(
        build.make_strategy(settings),
        plan.query_size,
        pool,
        Scoring(
            pool.eval_batch_size,
            clock,
            console.bar("score", plan.n_candidates(number)),
            build.SCORING[settings["al"]["scoring_precision"]],
        ),
    )
    check = FitCheck(pool, build.fit_rule(settings), epochs)
    logging = loggers.FitLogging(mirrors, steps // max(1, epochs) if pool.whole_epochs else 1)
    own = callbacks.make_callbacks(settings, logging.has_loggers)
    all_callbacks = [
        *(logging, *own.values(), *([callbacks.Renewal()] if own else [])),
        console.fit_bar(f"round {number}/{plan.rounds}  fit", steps),
        check,
        *([] if is_last else [choosing]),
    ]
    model, parts = None, [part for part, there in (("test", len(pool.data.test)), ("val", plan.val_size)) if there]
    measured = Measured({}, len(pool.data.classes))
    if steps:
        with clock.phase("fit"), seeded(torch_seed(settings["seed"], Stream.DROPOUT, number)):
            model = classifier(number, n_labeled)
            trainer = build.make_trainer(settings, epochs, all_callbacks)
            with callbacks.fit(trainer, own):
                trainer.fit(model, datamodule=pool)
        with clock.phase("test"):
            measured = measure_round(trainer, model, pool, parts)
    elif not is_last:
        choosing.strategy = build.first_strategy(settings, pool.data)
        choosing.choose(None)
    queries = [] if is_last else asking.query(number, pool, choosing)
    shown = Diagnostics(measured.reliability)
    if query := choosing.query:
        shown = Diagnostics(
            measured.reliability,
            diagnostics.score_histogram(query),
            diagnostics.strip(pool.data.pool.images[query.indices[: diagnostics.TILES].cpu()]),
        )
    row: dict[str, Any] = {"round": number, "n_labeled": n_labeled, "n_paid": pool.n_paid, "n_skipped": pool.n_skipped}
    row |= check.row(steps) | measured.row(parts)
    row |= {f"seconds/{phase}": round(seconds, 4) for phase, seconds in clock.seconds().items()}
    clock.restart()  # the commit of this round and its mirror count as `other` of the next
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()} if is_last and model else None
    return Round(row, queries, measured.confusion, pool.data.classes, run.environment, shown, weights)


def _kept(rounds: Sequence[Round], plan: Plan) -> list[Round]:
    """The committed rounds that stand.

    A last round has a model and no query, others have it the other way round. One that is to be what it was not,
    because more rounds are wanted or fewer, is run again.
    """
    again = rounds and bool(rounds[-1].queries) is (rounds[-1].number == plan.rounds)
    return list(rounds[:-1] if again else rounds)
