"""One round up to its commit: fit, choose, test."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytorch_lightning as pl
import torch

from al_lightning import asking, build
from al_lightning.acquisition.callback import AcquisitionCallback
from al_lightning.acquisition.choose import StrategyError
from al_lightning.acquisition.initial import first_strategy
from al_lightning.acquisition.select import Query
from al_lightning.clock import Clock
from al_lightning.committee import fit_members
from al_lightning.config import callbacks
from al_lightning.contract import out_of_memory
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.errors import UserError
from al_lightning.followers.lead import Lead, Release
from al_lightning.models.calibration import calibration
from al_lightning.models.classifier import Classifier
from al_lightning.models.fit_check import FitCheck
from al_lightning.models.inference import evaluating
from al_lightning.models.learner import Learner, Scoring
from al_lightning.models.measuring import Measured, measure_round
from al_lightning.profiling import profiled
from al_lightning.ranks import ALONE
from al_lightning.runs import diagnostics
from al_lightning.runs.rounds import Diagnostics, Round
from al_lightning.runs.run_info import RunInfo
from al_lightning.stopping.watching import Watching
from al_lightning.streams import Stream, seeded, torch_seed
from al_lightning.tracking import Observer, loggers
from al_lightning.tracking.console import ConsoleReporter
from al_lightning.trainer import make_trainer


class RoundError(UserError):
    """A round that could not be finished; those before it stand."""


@dataclass(frozen=True)
class Tools:
    """What all rounds of a run are made with.

    Attributes:
        run: what was known at its start.
        pool: the images and their masks.
        classifier: makes that of a round, from its number and that of its labels.
        clock: of the phases of a round.
        console: shows how far a fit and a pass are.
        mirrors: whose loggers a fit logs to.
        has_committee: whether further members are fitted, and sample predictions.
        lead: of the other processes; None: there are none.
    """

    run: RunInfo
    pool: PoolDataModule
    classifier: Callable[[int, int], Classifier]
    clock: Clock
    console: ConsoleReporter
    mirrors: Sequence[Observer]
    has_committee: bool
    lead: Lead | None


def fit_choose_test(before: Sequence[Round], tools: Tools, seen: dict[str, Any]) -> Round:
    """One round: a fresh model and a fresh Trainer; it chooses in the last hook of the fit.

    Without labels to train on there is no model: what is chosen then does not need one, and nothing is measured.

    Args:
        before: the rounds that are committed.
        tools: of the run.
        seen: how far the ledger is.

    Raises:
        RoundError: a fit that diverged, a strategy that cannot choose, or not enough memory.
    """
    with _named(len(before), tools.run), profiled(tools.run.settings["train"]["profile"]) as operations:
        done = _round(before, tools)
    return replace(done, operations=operations, environment={**done.environment, "ledger": seen})


def _round(before: Sequence[Round], tools: Tools) -> Round:
    run, pool, clock, settings = tools.run, tools.pool, tools.clock, tools.run.settings
    number, is_last = len(before), run.plan.is_last([done.row for done in before])
    pool.round = number
    n_labeled = int(pool.labeled_mask.sum())
    epochs, steps = build.fit_length(settings, n_labeled)
    choosing, check = _choosing(number, tools, has_model=steps > 0), FitCheck(pool, build.fit_rule(settings), epochs)
    own, shown = _callbacks(number, tools, epochs, steps)
    watching = Watching(run.plan, pool, settings["al"], before)
    in_fit, members = [] if is_last or tools.has_committee else [choosing], {}
    parts = [part for part, size in (("test", len(pool.data.test)), ("val", run.plan.val_size)) if size]
    model, device, measured = None, torch.device("cpu"), Measured({}, len(pool.data.classes))
    if steps:
        if lead := tools.lead:
            lead.fit(number, epochs, pool)
        with clock.phase("fit"), seeded(torch_seed(settings["seed"], Stream.DROPOUT, number)):
            model = tools.classifier(number, n_labeled)
            hooks = [*shown, check, *watching.callbacks, *in_fit, *([Release(lead)] if lead else [])]
            trainer = make_trainer(settings, epochs, hooks, lead.rank if lead else ALONE)
            with callbacks.fit(trainer, own):
                trainer.fit(model, datamodule=pool)
        if tools.has_committee and not is_last:
            members = _choose_by_committee(tools, model, trainer.strategy.root_device, choosing)
        with clock.phase("test"):
            trainer = make_trainer(settings, epochs, shown) if lead else trainer  # rank 0 measures on its own
            measured = measure_round(trainer, model, pool, parts)
        device = trainer.strategy.root_device
        model.trainer = pool.trainer = None  # they would hold each other, and all images, when the run is over
    elif not is_last:
        choosing.choose(None)
    row: dict[str, Any] = {"round": number, "n_labeled": n_labeled, "n_paid": pool.n_paid, "n_skipped": pool.n_skipped}
    row |= check.row(steps) | (model.fit_columns() if model else {}) | members | measured.row(parts)
    row |= watching.columns(row, model)
    ends = is_last or run.plan.is_stopped_by(row.get("stop/act"))
    queries = [] if ends else asking.query(number, pool, choosing)
    diagnosed = _diagnostics(measured, None if ends else choosing.query, pool)
    row |= {f"seconds/{phase}": round(seconds, 4) for phase, seconds in clock.seconds().items()}
    clock.restart()  # the commit of this round and its mirror count as `other` of the next
    weights = {name: tensor.cpu() for name, tensor in model.state_dict().items()} if ends and model else None
    environment = run.environment | watching.kept()
    done = Round(row, queries, measured.confusion, pool.data.classes, environment, diagnosed, weights)
    return replace(done, calibration=_calibration(model.to(device), pool)) if ends and model else done


def _calibration(model: Classifier, pool: PoolDataModule) -> dict[str, Any] | None:
    """From the labels for validation, where there are any."""
    held_out = pool.val_mask.nonzero().squeeze(1)
    if not len(held_out):
        return None
    with evaluating(model):
        found = Learner(model, pool.images, Scoring(pool.eval_batch_size)).of(held_out).log_probabilities
    return calibration(found.cpu().numpy(), pool.labels[held_out].numpy())


def _choose_by_committee(
    tools: Tools, model: Classifier, device: torch.device, choosing: AcquisitionCallback
) -> dict[str, Any]:
    """Fit the further members of a committee, and choose with all; returns columns of `rounds.csv`."""
    run, pool = tools.run, tools.pool
    with tools.clock.phase("fit"):
        committee, columns = fit_members(run.settings, pool, model, run.plan, tools.console)
    for each in (model, *committee.members):
        each.to(device)
    choosing.choose_with(model, committee)
    return columns


def _choosing(number: int, tools: Tools, has_model: bool) -> AcquisitionCallback:
    run, pool = tools.run, tools.pool
    data = pool.data
    strategy = build.make_strategy(run.settings, data) if has_model else first_strategy(run.plan.initial, data)
    bar = tools.console.bar("score", run.plan.n_candidates(number))
    scoring = Scoring(
        pool.eval_batch_size, tools.clock, bar, build.SCORING[run.settings["al"]["scoring_precision"]], tools.lead
    )
    return AcquisitionCallback(strategy, run.plan.query_size, pool, scoring, run.plan.n_control)


def _callbacks(number: int, tools: Tools, epochs: int, steps: int) -> tuple[dict[str, pl.Callback], list[pl.Callback]]:
    """The user's callbacks by name, and in their order all that come before the fit is checked."""
    logging = loggers.FitLogging(tools.mirrors, steps // max(1, epochs) if tools.pool.whole_epochs else 1)
    own = callbacks.make_callbacks(tools.run.settings, logging.has_loggers)
    bar = tools.console.fit_bar(f"round {number}/{tools.run.plan.rounds}  fit", steps)
    return own, [logging, *own.values(), *([callbacks.Renewal()] if own else []), bar]


def _diagnostics(measured: Measured, query: Query | None, pool: PoolDataModule) -> Diagnostics:
    if query is None:
        return Diagnostics(measured.reliability)
    images = pool.data.pool.images[query.indices[: diagnostics.TILES].cpu()]
    return Diagnostics(measured.reliability, diagnostics.score_histogram(query), diagnostics.strip(images))


@contextmanager
def _named(number: int, run: RunInfo) -> Iterator[None]:
    """Say which round it was that could not be finished, and whose strategy."""
    path, strategy = run.folder, run.settings["strategy"]["name"]
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
