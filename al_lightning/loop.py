"""A run: fit, choose, test, commit, ask, round after round."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from al_lightning import asking, build, checking, signals
from al_lightning.acquisition.initial import draw
from al_lightning.acquisition.neighbors import neighbors
from al_lightning.clock import Clock
from al_lightning.config import schema
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.data.listing import to_csv_gz
from al_lightning.data.state import state as state_of
from al_lightning.embedding.make import expecting, make_embedder, store_root, with_embedding
from al_lightning.followers.lead import leading, rank_zero
from al_lightning.followers.messages import Start
from al_lightning.models.backbones.weights import digest
from al_lightning.one_round import Tools, fit_choose_test
from al_lightning.ranks import ALONE
from al_lightning.runs import diagnostics, environment, same_images, stored
from al_lightning.runs.folder_state import lacking
from al_lightning.runs.keep import keep
from al_lightning.runs.rounds import read_json
from al_lightning.runs.run_folder import RunFolder, WriteError
from al_lightning.runs.run_info import RunInfo
from al_lightning.runs.same_images import Images
from al_lightning.runs.summary import covers, limit, summarize
from al_lightning.signals import Interrupted
from al_lightning.tracking import Observers, loggers
from al_lightning.tracking.console import ConsoleReporter, describe


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
        RankError: another process of the run has died.
        OracleError: an oracle that cannot answer.
        WriteError: a disk that is full or cannot be written.
    """
    typed, settings, path = schema.typed(cfg), schema.resolved(cfg), schema.run_folder(cfg)
    earlier = None if typed.overwrite else read_json(path / "summary.json")
    files = state_of(settings["dataset"], (typed.paths.output_root, typed.paths.data))
    unchanged = earlier is not None and bool(files) and earlier.get("data_state") == files
    loaded = None if unchanged else same_images.load(path, settings)
    if earlier and _is_finished(path, earlier, loaded, typed.al):
        return Outcome(path, "skipped", earlier)
    images = loaded or same_images.load(path, settings)
    plan, embedder = images.plan(typed.al), make_embedder(settings, images.data)
    checked = checking.check(settings, expecting(images.data, embedder and embedder.n_features, settings), plan)
    device = checked.device
    # Features are shared with other runs: they are never of TF32.
    with environment.tf32(False), build.within_memory("embedding", settings["embedding"]):
        data = with_embedding(images.data, embedder, settings, device, images.embedding_key)
    rank = rank_zero(settings["trainer"]["devices"], device)
    pool = PoolDataModule(
        data,
        *build.batch_sizes(settings, data, device),
        typed.seed,
        pool_sample=plan.pool_sample,
        near=neighbors(data.embedding, store_root(settings), plan.n_neighbors) if plan.n_neighbors else None,
        whole_epochs=typed.train.engine != "plain" and not build.is_convex(settings),
        rank=ALONE if build.is_convex(settings) else rank,  # a convex fit is of all labeled images
    )
    oracle = build.make_oracle(settings, data)
    console, mirrors = ConsoleReporter(prefix), loggers.mirrors(settings["logger"], path)
    observers = Observers([console, *mirrors])
    with RunFolder(path, typed.overwrite) as folder:
        kept = keep(path, folder.rounds, plan, typed.al)
        weights = digest(settings["model"])
        here = environment.current(device, images.fingerprint, files, plan.n_gone, data.embedding, weights)
        if kept:
            here = environment.going_on(path, kept[-1].environment, here, grows=images.pool is not None)
        run_info = RunInfo(path, typed.study, settings, plan, data, here, tuple(kept))
        rows, features = [done.row for done in kept], data.embedding.key if data.embedding else ""
        start = Start(settings, str(path), rank, 0, here["threads"], images.fingerprint, features, rows)
        ask = partial(asking.ask, oracle, folder=folder, pool=pool, name=typed.oracle["name"])
        with (
            _until_its_end(folder, run_info, observers) as end,
            environment.threads(here["threads"]),
            environment.tf32(typed.train.tf32),
            leading(start, device) as lead,
        ):
            observers.start(run_info)
            _begin(folder, run_info, cfg, images, pool)
            classifier = build.classifiers(settings, data, device, rows)
            tools = Tools(run_info, pool, classifier, Clock(device), console, mirrors, checked.has_committee, lead)
            rounds = [*kept]
            end.waiting = ask(kept[-1].queries if kept else folder.initial or [])
            while not (end.waiting or plan.is_over([done.row for done in rounds])):
                done = fit_choose_test(rounds, tools, seen=folder.ledger.position())
                gc.collect()  # Trainer and model hold each other: 180 MB a round that would wait for Python to look
                folder.commit(done)
                rounds.append(replace(done, diagnostics=None, weights=None))
                end.waiting = ask(done.queries)
                folder.write_summary(summarize(run_info, folder.rounds, "running"))
                observers.round(done)
            end.state = "waiting" if end.waiting else "finished"
    if end.state == "finished" and earlier and earlier.get("state") == "failed":
        return Outcome(path, "re-run", end.summary)
    return Outcome(path, "resumed" if end.state == "finished" and kept else end.state, end.summary)


def _is_finished(path: Path, earlier: dict[str, Any], images: Images | None, al: schema.ActiveLearning) -> bool:
    """Whether a run has all that is asked for, and its folder all that it wrote; says so.

    Args:
        path: the run folder.
        earlier: its summary.
        images: those that are there now; None: as they were.
        al: sizes and limits that are asked for.
    """
    now = images.as_now(earlier) if images else earlier
    if not covers(now, al):
        return False
    if missing := lacking(path, earlier["rounds_done"]):
        print(f"{path}: was finished, but {missing}: made again")
        return False
    print(f"{path}: finished before, {describe(earlier)}{limit(al, now)}")
    return True


def _begin(folder: RunFolder, run: RunInfo, cfg: DictConfig, images: Images, pool: PoolDataModule) -> None:
    """Write what is known before the next round, the query before round 0 too; bring the masks to what is committed."""
    folder.write_summary(summarize(run, run.rounds, "running"))
    folder.write_config(stored.text(cfg))
    if (rows := images.unwritten(run.folder, begins=folder.initial is None)) is not None:
        folder.write_images(to_csv_gz(rows), diagnostics.pool_map(run.data))
    folder.write_rejected(run.data.rejected)
    folder.write_duplicates(run.data.duplicates)
    if folder.initial is None:
        folder.commit_initial(asking.initial_query(run.data, *draw(pool, run.plan)), run.data.classes)
    asking.restore(pool, folder, run.rounds)


@dataclass
class _End:
    """How a run ends, as far as it is known; `waiting`: images of its last query that have no answer."""

    state: str = "failed"
    waiting: int = 0
    summary: dict[str, Any] = field(default_factory=dict)


@contextmanager
def _until_its_end(folder: RunFolder, run: RunInfo, observers: Observers) -> Iterator[_End]:
    """Around the rounds: however they end, the summary says how, and the observers are told."""
    end = _End()
    gc.freeze()  # what is there now stays: collections need not go through it
    try:
        yield end
    except (Interrupted, KeyboardInterrupt, SystemExit):  # the last one is how submitit ends what it begins again later
        end.state = "interrupted"
        signals.heard()
        raise
    finally:
        gc.unfreeze()
        end.summary = summarize(run, folder.rounds, end.state, end.waiting)
        try:
            folder.write_summary(end.summary)
        except WriteError:
            if end.state == "finished":  # otherwise there is something else to say: what stopped the run
                raise
        finally:
            observers.finish(end.state, end.summary)
