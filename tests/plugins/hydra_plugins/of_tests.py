"""A launcher and a sweeper as people install them: jobs on another machine, and trials that are told a number."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudpickle
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

JOB = "import pickle, sys; launcher, job = pickle.load(open(sys.argv[1], 'rb')); launcher.run(*job)"


class ElsewhereLauncher(Launcher):
    """Runs the jobs in processes that have nothing of this one but what was pickled, as submitit does.

    Args:
        lost: positions of jobs of which nothing is heard.
    """

    def __init__(self, lost: Sequence[int] = ()) -> None:
        self.lost = lost

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        logs = Path(self.config.hydra.sweep.dir) / ".logs"
        logs.mkdir(parents=True)
        keep = ("PATH", "PYTHONPATH", "OMP_NUM_THREADS", "HOME")
        environment = {name: os.environ[name] for name in keep if name in os.environ}
        for position, overrides in enumerate(job_overrides, initial_job_idx):
            if position in self.lost:
                continue
            job = logs / f"{position}.pickle"
            job.write_bytes(cloudpickle.dumps((self, (list(overrides), position))))
            with (logs / f"{position}.log").open("w") as log:
                subprocess.run([sys.executable, "-c", JOB, job], env=environment, stdout=log, stderr=log, check=True)
        return [JobReturn(status=JobStatus.COMPLETED) for _ in job_overrides]

    def run(self, overrides: list[str], position: int) -> None:
        """One job, in its own process."""
        setup_globals()
        config = self.hydra_context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.num = position
        HydraConfig.instance().set_config(config)
        run_job(
            hydra_context=self.hydra_context,
            task_function=self.task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )


class TrialSweeper(BasicSweeper):
    """Needs a number of every job, and keeps them as Optuna's sweeper keeps its results."""

    def __init__(self, direction: str | None = None) -> None:
        super().__init__(max_batch_size=None)
        self.direction = direction

    def sweep(self, arguments: list[str]) -> Any:
        """Run all and write what they returned."""
        assert self.config is not None
        told = [float(job.return_value) for batch in super().sweep(arguments) for job in batch]
        OmegaConf.save(OmegaConf.create(told), f"{self.config.hydra.sweep.dir}/optimization_results.yaml")


@dataclass
class Elsewhere:
    """Settings of the launcher."""

    _target_: str = "hydra_plugins.of_tests.ElsewhereLauncher"
    lost: list[int] = field(default_factory=list)


@dataclass
class Trial:
    """Settings of the sweeper."""

    _target_: str = "hydra_plugins.of_tests.TrialSweeper"
    direction: str | None = None


ConfigStore.instance().store(group="hydra/launcher", name="elsewhere", node=Elsewhere, provider="tests")
ConfigStore.instance().store(group="hydra/sweeper", name="trial", node=Trial, provider="tests")
