"""`python -m al_lightning`: compose the configuration, run it, and say in the exit code how it ended.

0: done, or done before. 1: failed. 2: the configuration was refused. 130: interrupted from the keyboard. 143: asked to
stop by another signal.
"""

import os
import sys
import time
import traceback
from concurrent.futures.process import BrokenProcessPool
from typing import Any, cast

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from al_lightning import (
    command_line,
    config,
    data_root,
    explain,
    hydra_settings,
    output,
    resume,
    signals,
    stored,
    sweep,
)
from al_lightning.errors import ConfigError, UserError
from al_lightning.signals import Interrupted


@hydra.main(config_path=str(config.conf_dir()), config_name="config", version_base="1.3")
def job(cfg: DictConfig) -> float | None:
    """What Hydra calls, once for a run and for every job of a sweep.

    Returns:
        Area under the budget curve, for sweepers that optimize; None where there is none.
    """
    with output.lenient():  # here too: a launcher's processes have no `main`
        return _job(cfg)


def _job(cfg: DictConfig) -> float | None:
    hydra_config = HydraConfig.get()
    overrides = cast(list[str], OmegaConf.to_container(hydra_config.overrides.task))  # unresolved: ${...} is as typed
    if hydra_config.mode == RunMode.RUN:
        try:
            return _run(_settings(cfg, overrides))[1]
        except UserError as error:
            if explain.wants_traceback(cfg):
                traceback.print_exc()
            sys.exit(_say(str(error), error.exit_code))
    # A job that fails is for the table and the exit code: raising would stop the jobs after it.
    number, jobs = hydra_config.job.num + 1, sweep.known()
    what, aubc = jobs.settings(overrides), None
    how: dict[str, Any] = {"state": "failed"}
    sweep.record(sweep.Job(number, what, "interrupted"))  # all that is known if this process is killed
    if not cfg.dry_run:  # which has one table
        print(f"{jobs.name(number)}: {what}", flush=True)
    try:
        cfg = _settings(cfg, overrides)
        how["folder"] = str(config.run_folder(cfg))
        if sweep.claim(f"{how['folder']} {cfg.al.rounds} {cfg.al.budget}"):
            how, aubc = _run(cfg)
        else:
            how["state"] = "same"
    except UserError as error:
        how |= {"state": "refused" if isinstance(error, ConfigError) else "failed", "message": str(error)}
        if explain.wants_traceback(cfg):
            traceback.print_exc()
    except Exception as error:
        how["message"] = f"{type(error).__name__}: {error}"
        traceback.print_exc()
    except Interrupted:
        how["state"] = "interrupted"
        raise
    finally:
        done = sweep.Job(number, what, **how)
        sweep.record(done)
    said = f"{jobs.name(number)} {done.state} ({what})"
    if done.exit_code:
        print(f"{said}: {explain.short(done.message)}", file=sys.stderr)
    if not cfg.dry_run:
        print(f"{said}{jobs.left(sweep.jobs())}", flush=True)
    return aubc


def _settings(cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """What is to be run: the composed configuration, or that of the run folder it names."""
    hydra_settings.check(
        cast(DictConfig, HydraConfig.get())
    )  # again: a sweeper that is not Hydra's own makes its jobs by itself
    if OmegaConf.select(cfg, "resume", throw_on_resolution_failure=False) is not None:
        return resume.stored_settings(cfg, overrides)
    config.typed(cfg)  # what is wrong here is said before the imports that take seconds
    data_root.settle(cfg)
    path = config.run_folder(cfg)
    if not path.exists():
        found, nearest = stored.earlier(path, config.resolved(cfg))
        if found:
            print(f"{found}: made by an earlier version, with these settings")
            cfg.resume, cfg.named_by = str(found), stored.read(found).named_by
        elif nearest:
            print(f"note: {nearest}; {path.name} begins anew", file=sys.stderr)
    return cfg


def _run(cfg: DictConfig) -> tuple[dict[str, Any], float | None]:
    """Run one configuration.

    Returns:
        How it ended, as `sweep.Job` has it, and the area under the budget curve.
    """
    with signals.raised():  # here too, likewise
        import torch

        from al_lightning import estimate, loop

        n_gpus = 0 if cfg.trainer.accelerator == "cpu" else torch.cuda.device_count()
        with sweep.gpu(n_gpus) as gpu:
            if n_gpus > 1:
                torch.cuda.set_device(gpu)  # the current device is the one that a Trainer is made for
            if cfg.dry_run:
                if HydraConfig.get().mode == RunMode.RUN:
                    estimate.dry_run(cfg)
                    return {}, None
                return estimate.forecast(cfg).row, None
            start = time.monotonic()
            outcome = loop.run(cfg)
            seconds = time.monotonic() - start
    how = {"state": outcome.state, "folder": str(outcome.folder), "seconds": seconds}
    return how, outcome.summary.get("aubc")


def main() -> int:
    """The command; returns the exit code."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra would print errors itself and exit with 1
    os.environ["MPLBACKEND"] = "agg"  # a notebook's may not be there for this process: importing matplotlib would fail
    if threads := os.environ.get("OMP_NUM_THREADS"):
        # joblib gives a job its share of the cores by this variable and MKL's, leaving alone the one that the user has
        # set; PyTorch follows MKL's.
        os.environ.setdefault("MKL_NUM_THREADS", threads.partition(",")[0])
    typed = sys.argv[1:]
    with output.lenient(), sweep.journal():
        try:
            with signals.raised():
                line = command_line.read(typed)
                if line.shows:
                    print(line.shows)
                    return 0
                sys.argv[1:] = line.arguments  # Hydra reads them there
                if line.sweep:
                    sweep.begin(line.sweep)
                job()
        except Interrupted as stop:
            print(f"stopped by {stop}; the same command goes on", file=sys.stderr)
            return stop.exit_code
        except BrokenProcessPool:
            # By the system where memory ran out, mostly; the launcher has ended the other processes.
            print("error: a process of the sweep was killed; the same command goes on", file=sys.stderr)
            return 1
        except Exception as error:
            if not explain.is_before_jobs(error):
                raise
            if explain.wants_traceback(typed):
                traceback.print_exc()
            return _say(explain.explain(error, typed), ConfigError.exit_code)
        finally:
            done = sweep.jobs()
            if done:
                sweep.print_table(done)
        failed = [job.exit_code for job in done if job.exit_code]
        return 0 if not failed else 2 if set(failed) == {2} and len(failed) == len(done) else 1


def _say(message: str, exit_code: int) -> int:
    print(f"error: {explain.short(message)}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    # Under its own name: Hydra's launchers start processes that import the task by it.
    from al_lightning.__main__ import main as command

    sys.exit(command())
