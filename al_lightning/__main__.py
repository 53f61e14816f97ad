"""`python -m al_lightning`: compose the configuration, run it, and say in the exit code how it ended.

0: done, or done before. 1: failed. 2: the configuration was refused. 130: interrupted from the keyboard. 143: asked to
stop by another signal.
"""

import os
import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.plugins import Plugins
from omegaconf import DictConfig, OmegaConf

from al_lightning import api, signals
from al_lightning.command import command_line, elsewhere, explain, objective, output, sharing, stop, sweep
from al_lightning.command.sweep_table import show_table, spans
from al_lightning.config import schema
from al_lightning.errors import ConfigError, UserError
from al_lightning.ray_cluster import connected
from al_lightning.runs.lock import LockedError
from al_lightning.signals import Interrupted


@hydra.main(config_path=str(schema.conf_dir()), config_name="config", version_base=command_line.VERSION_BASE)
def job(cfg: DictConfig) -> float | None:
    """What Hydra calls, once for a run and for every job of a sweep.

    Returns:
        `al.objective` of a job, for sweepers that optimize; None where there is none.
    """
    with output.lenient(), signals.raised():  # here too: a launcher's processes have no `main`
        hydra_config = HydraConfig.get()
        # Unresolved: ${...} is as typed.
        overrides = cast(list[str], OmegaConf.to_container(hydra_config.overrides.task))
        if (folder := sweep.here()) is None:
            return _single(cfg, overrides)
        if stop.is_asked(folder):  # before a queue has come to this job
            return None
        with stop.heeded(folder, hydra_config.job.num + 1):
            return _job(cfg, overrides, folder, hydra_config.job.num + 1)


def _single(cfg: DictConfig, overrides: list[str]) -> None:
    try:
        _run(api.settings(cfg, overrides))
    except UserError as error:
        if explain.wants_traceback(cfg):
            traceback.print_exc()
        sys.exit(_say(str(error), error.exit_code))


def _job(cfg: DictConfig, overrides: list[str], folder: Path, number: int) -> float | None:
    # A job that fails is for the table and the exit code: raising would stop the jobs after it.
    jobs = sweep.known(folder)
    what = jobs.settings(overrides)
    how: dict[str, Any] = {"state": "failed"}
    sweep.record(folder, sweep.Job(number, what, "interrupted"))  # all that is known if this process is killed
    if not cfg.dry_run:  # which has one table
        print(f"{jobs.name(number)}: {what}", flush=True)
    try:
        os.chdir(HydraConfig.get().runtime.cwd)  # Ray's workers are where its cluster was started
        cfg = api.settings(cfg, overrides)
        _run_in_turn(cfg, folder, number, how)
    except UserError as error:
        how |= {"state": "refused" if isinstance(error, ConfigError) else "failed", "message": str(error)}
        if explain.wants_traceback(cfg):
            traceback.print_exc()
    except Exception as error:
        how["message"] = f"{type(error).__name__}: {error}"
        traceback.print_exc()
    except (Interrupted, SystemExit):  # the latter is submitit's, for a job that goes back into the queue
        how["state"] = "interrupted"
        raise
    finally:
        done = sweep.Job(number, what, **how)
        sweep.record(folder, done)
    said = f"{jobs.name(number)} {done.state} ({what})"
    if done.exit_code:
        print(f"{said}: {explain.short(done.message)}", file=sys.stderr)
    if not cfg.dry_run:
        print(f"{said}{jobs.left(sweep.jobs(folder))}", flush=True)
    return None if done.exit_code else done.objective


def _run_in_turn(cfg: DictConfig, folder: Path, number: int, how: dict[str, Any]) -> None:
    """Run a job of a sweep, unless another one has come to the same run, once no other runs in its run folder.

    Args:
        cfg: of the job.
        folder: of the sweep.
        number: of the job.
        how: is told how it ended, as `sweep.Job` has it.
    """
    run, al = schema.run_folder(cfg), schema.typed(cfg).al
    how["folder"] = str(run)
    with sharing.turn(folder, run):
        try:
            if sharing.claim(folder, f"{run} {cfg.al.rounds} {cfg.al.budget} {cfg.al.get('stop')}", number):
                how |= _run(cfg)
            else:
                how["state"] = "same"
        except LockedError as error:
            how |= {"state": "elsewhere", "message": error.who, "asked": asdict(al)}
        finally:
            if not cfg.dry_run:
                how |= objective.figures(run, al)  # now: a job that comes after may make the run longer


def _run(cfg: DictConfig) -> dict[str, Any]:
    """Run one configuration.

    Returns:
        How it ended, as `sweep.Job` has it.
    """
    with signals.postponed():
        import torch

        from al_lightning import loop
        from al_lightning.runs import estimate

    folder = sweep.here()
    n_gpus = 0 if cfg.trainer.accelerator == "cpu" else torch.cuda.device_count()
    with sharing.gpu(n_gpus, folder, each=cfg.trainer.devices) as gpu:
        if n_gpus > 1:
            torch.cuda.set_device(gpu)  # the current device is the first one that a Trainer is made for
        if cfg.dry_run:
            if folder is None:
                estimate.dry_run(cfg)
                return {}
            return estimate.forecast(cfg).row
        start = time.monotonic()
        outcome = loop.run(cfg, sweep.prefix())
        return {"state": outcome.state, "seconds": time.monotonic() - start}


def main() -> int:
    """The command; returns the exit code."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print errors itself and exit with 1
    os.environ["MPLBACKEND"] = "agg"  # a notebook's may not be there for this process: importing matplotlib would fail
    if threads := os.environ.get("OMP_NUM_THREADS"):
        # joblib gives a job its share of the cores by this variable and MKL's, leaving alone the one that the user has
        # set; PyTorch follows MKL's.
        os.environ.setdefault("MKL_NUM_THREADS", threads.partition(",")[0])
    program, *typed = sys.argv
    with output.lenient():
        try:
            with signals.raised():
                line = command_line.read(typed)
                if line.shows:
                    print(line.shows)
                    return 0
                sys.argv = [program, *line.arguments]  # Hydra reads them there
                Plugins.instance().register(command_line.OwnOptions)
                if line.sweep:
                    with _on_ray(line.ray) if line.ray else nullcontext():
                        return _sweep(line.sweep, typed, outlived=not (line.ray or line.sweep.at_once))
                job()
                return 0
        except Interrupted as stop:
            return signals.told(stop)
        except Exception as error:
            if not explain.is_before_jobs(error):
                raise
            if explain.wants_traceback(typed):
                traceback.print_exc()
            return _say(explain.explain(error, typed), ConfigError.exit_code)
        finally:
            sys.argv = [program, *typed]


def _on_ray(settings: dict[str, Any]) -> AbstractContextManager[object]:
    return connected("hydra/launcher=ray", "hydra/launcher=joblib", settings["init"], settings["remote"])


def _sweep(known: sweep.Sweep, typed: Sequence[str], outlived: bool) -> int:
    """Run the jobs of a sweep, by way of Hydra; returns the exit code.

    Args:
        known: of the sweep.
        typed: the command line.
        outlived: by the jobs, which a cluster has.
    """
    made, folder, exit_code = sweep.begin(known), Path(known.folder), 0
    done: list[sweep.Job] = []
    try:
        with stop.told(known):
            job()
        elsewhere.wait(folder)
    except Interrupted:
        signals.heard()
        raise
    except BrokenProcessPool:
        # By the system where memory ran out, mostly; the launcher has ended the other processes.
        exit_code = _say("a process of the sweep was killed; the same command goes on", 1)
    except Exception as error:  # of the launcher or the sweeper: no job raises one
        if explain.is_before_jobs(error) and (isinstance(error, explain.REFUSALS) or not sweep.jobs(folder)):
            raise
        if explain.wants_traceback(typed):
            traceback.print_exc()
        said = " ".join(str(error).splitlines()[:2]).rstrip(".")  # submitit adds a whole log
        exit_code = _say(f"the sweep ended early: {type(error).__name__}: {said}; the same command goes on", 1)
    finally:
        done = sweep.jobs(folder)
        if done:
            show_table(known, done)
        failed, missing = [each.exit_code for each in done if each.exit_code], known.missing(done)
        is_open = missing or any(each.state == "interrupted" for each in done)  # a cluster may begin one again
        sweep.end(made, not (exit_code or failed or missing), is_queued=bool(is_open) and outlived)
    if missing and not exit_code:
        exit_code = _say(f"no outcome of job {spans(missing)}; the same command makes up for it", 1)
    return exit_code or (0 if not failed else 2 if set(failed) == {2} and len(failed) == len(done) else 1)


def _say(message: str, exit_code: int) -> int:
    print(f"error: {explain.short(message)}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    # Under its own name: Hydra's launchers start processes that import the task by it.
    from al_lightning.__main__ import main as command

    sys.exit(command())
