"""Rank 0's side: starts the others, tells them what to do, and sees when one of them dies."""

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from select import select
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, distributed

from al_lightning import ranks
from al_lightning.data.datamodule import PoolDataModule
from al_lightning.errors import UserError
from al_lightning.followers.messages import DONE, READY, Fit, Start
from al_lightning.models.classifier import Classifier
from al_lightning.models.shares import Look, share_weights
from al_lightning.ranks import Rank
from al_lightning.signals import Interrupted

# Seconds after the death of one in which rank 0 has to come to its end: at first by what its own group tells it, then
# by a signal to itself, then by force.
BY_ITSELF, BY_FORCE = 5.0, 20.0


class RankError(UserError):
    """A process of a run has died; the rounds that were committed stand."""


class Lead:
    """Rank 0, and what it knows of the others; they are started when they are first needed.

    Args:
        start: what each of them begins with, but for its own number and the port.
        device: of rank 0.

    Attributes:
        rank: 0 of so many.
    """

    def __init__(self, start: Start, device: torch.device) -> None:
        self.rank, self._start, self._device = start.rank, start, device
        self._processes: list[subprocess.Popen[bytes]] = []
        self._died, self._over = threading.Event(), threading.Event()
        self._death, self._has_weights = "", False
        self._is_main = threading.current_thread() is threading.main_thread()

    def fit(self, number: int, epochs: int, pool: PoolDataModule) -> None:
        """Have the others fit what the round trains on."""
        if not self._processes:
            self._begin()
        self._has_weights, indices = False, pool.trained_on
        self._tell(Fit(number, epochs, indices, pool.labels[indices]))

    def begin(self, model: Classifier, look: Look) -> Sequence[int]:
        """See :class:`al_lightning.models.shares.Others`."""
        borders = look.borders(self.rank.of)
        if borders[1] == len(look.indices):  # there is nothing for them
            return borders
        self._tell(replace(look, indices=look.indices.cpu(), with_weights=not self._has_weights))
        if not self._has_weights:
            share_weights(model)
        self._has_weights = True
        return borders

    def collect(self, out: Tensor, borders: Sequence[int]) -> None:
        """See :class:`al_lightning.models.shares.Others`."""
        for number, process in enumerate(self._processes, start=1):
            begin, end = borders[number : number + 2]
            if begin < end:
                self._hear(process, DONE)  # signals are heard meanwhile
                distributed.recv(out[begin:end], number)

    def release(self) -> None:
        """The others have nothing more to do in this round."""
        self._tell(None)

    def close(self, is_well: bool) -> None:
        """End the others: those that are well, and wait for the next round, leave the group first."""
        self._over.set()
        if is_well:
            with suppress(OSError):
                self._tell(None)
            ranks.leave()
        for process in self._processes:
            assert process.stdin and process.stdout
            process.stdout.close()
            with suppress(OSError):
                process.stdin.close()  # which they take for the end
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        ranks.leave()

    def explained(self, error: BaseException) -> RankError | None:
        """The death that an exception comes from; None where it has another reason."""
        if isinstance(error, Interrupted | KeyboardInterrupt):
            is_it = self._died.is_set() and (isinstance(error, KeyboardInterrupt) or error.by_keyboard)
        else:
            # A connection that breaks is seen before the process behind it has ended. What fails a strategy is its
            # error's cause.
            is_it = any(isinstance(each, RuntimeError | OSError) for each in _causes(error))
            is_it = is_it and self._died.wait(BY_ITSELF)
        return RankError(self._death) if is_it else None

    def _begin(self) -> None:
        meeting = ranks.store(0, self.rank.of)
        # Their own session: what a terminal tells the command is not for them, and they end with it in any case.
        command = [sys.executable, "-P", "-m", "al_lightning.followers"]  # PYTHONPATH has what this process has
        path = os.pathsep.join([str(Path(each).absolute()) for each in sys.path])
        for number in range(1, self.rank.of):
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": path},
            )
            self._processes.append(process)
            threading.Thread(target=self._watch, args=(number, process), daemon=True).start()
        for number, process in enumerate(self._processes, start=1):
            rank = replace(self.rank, number=number)
            _send(process, replace(self._start, rank=rank, port=meeting.port))
        for process in self._processes:
            self._hear(process, READY)
        ranks.join(self.rank, meeting, self._device)

    def _watch(self, number: int, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        if self._over.is_set() or self._died.is_set():
            return
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._death = (
            f"{self._start.folder}: rank {number} of {self.rank.of} {how}, and the others have stopped; "
            "the rounds before stand, and the same command goes on"
        )
        self._died.set()
        if not self._over.wait(BY_ITSELF) and self._is_main:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        if not self._over.wait(BY_FORCE - BY_ITSELF):
            print(f"error: {self._death}", file=sys.stderr, flush=True)
            os._exit(RankError.exit_code)

    def _tell(self, message: Any) -> None:
        for process in self._processes:
            _send(process, message)

    def _hear(self, process: subprocess.Popen[bytes], expected: bytes) -> None:
        assert process.stdout is not None
        if not select([process.stdout], [], [], ranks.PATIENCE.total_seconds())[0]:
            number = 1 + self._processes.index(process)
            raise RankError(
                f"{self._start.folder}: rank {number} of {self.rank.of} has not answered for {ranks.PATIENCE}; "
                "the rounds before stand, and the same command goes on"
            )
        if process.stdout.readline() != expected:
            raise ConnectionError("a rank has not answered")  # it has died, which is seen by now, or soon


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__


def _send(process: subprocess.Popen[bytes], message: Any) -> None:
    assert process.stdin is not None
    pickle.dump(message, process.stdin)
    process.stdin.flush()


class Release(pl.Callback):
    """The last one of rank 0: what it had to ask the others is asked."""

    def __init__(self, lead: Lead) -> None:
        self._lead = lead

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let them go on too."""
        self._lead.release()


@contextmanager
def leading(start: Start, device: torch.device) -> Iterator[Lead | None]:
    """Around the rounds of a run: rank 0 of several; None where there is one device.

    Raises:
        RankError: another rank has died.
    """
    if start.rank.of == 1:
        yield None
        return
    lead, is_well = Lead(start, device), False
    try:
        yield lead
        is_well = True
    except BaseException as error:
        if death := lead.explained(error):
            raise death from error
        raise
    finally:
        lead.close(is_well)


def rank_zero(n: int, device: torch.device) -> Rank:
    """Rank 0 of so many."""
    return Rank(0, n, torch.cuda.current_device() if device.type == "cuda" else 0)
