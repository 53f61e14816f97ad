"""What a person sees while a run runs: a banner, a bar, one line a round, and where everything is."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from al_lightning.data.label_file import NO_CLASS
from al_lightning.data.twins import DROPPED
from al_lightning.runs.estimate import remaining
from al_lightning.runs.resume import command
from al_lightning.runs.rounds import Round
from al_lightning.runs.run_info import RunInfo
from al_lightning.words import duration

LONGEST = 8  # operations of a profile
HEADER = " round   labels      acc   bal.acc      nll      ece   seconds   left"


class ConsoleReporter:
    """Writes to standard output; without a terminal no bars and no colors.

    Args:
        prefix: of every line, where several runs print at once.
    """

    def __init__(self, prefix: str = "") -> None:
        self.console = Console(highlight=False, soft_wrap=True, emoji=False)  # labels:100: is no picture
        self._prefix = prefix
        self._progress: Progress | None = None

    def start(self, run: RunInfo) -> None:
        """Say what will run."""
        self._run = run
        plan, settings = run.plan, run.settings
        done = plan.begun.queries if plan.begun else 0
        shape = " x ".join(map(str, (run.data.channels, *run.data.image_size)))
        self._say(
            f"[bold]{run.folder.name}[/bold]\n"
            f"  data      {settings['dataset']['name']}: pool {plan.pool_size}, test {len(run.data.test)}, "
            f"{len(run.data.classes)} classes, {shape}\n"
            f"  labels    {plan.n_labeled(done)} + {plan.rounds - done} x {plan.query_size} = "
            f"{plan.n_labeled(plan.rounds)}"
            + (f", {plan.val_size} for validation" if plan.val_size else "")
            + (f"\n  features  {run.data.embedding.shown}" if run.data.embedding else "")
            + f"\n  model     {settings['model']['name']} on {run.environment['device']}\n  folder    {run.folder}"
        )
        for note in run.data.notes:
            self._say(f"  note      {note}", markup=False)
        if run.data.rejected:
            self._say(f"  left out  {len(run.data.rejected)} files, see rejected.csv in the folder")
        if run.data.duplicates:
            self._say(f"  duplicates  {_twins(run.data.duplicates)}; see duplicates.csv in the folder")
        if run.rounds:
            self._say(f"  goes on after round {run.rounds[-1].number}")
        self._say(HEADER)
        for done in run.rounds:
            self._line(done)

    def round(self, done: Round) -> None:
        """One line a round."""
        self._stop_bar()
        self._line(done, remaining(self._run.settings, self._run.plan, done.row))
        for row in done.operations[:LONGEST]:
            self._say(f"       {row['share']:>6.1%}  {row['phase']:<6}  {row['operation']}", markup=False)

    def finish(self, state: str, summary: dict[str, Any]) -> None:
        """Say how it ended and where everything is."""
        self._stop_bar()
        if state == "finished":
            self._say(f"finished: {describe(summary)}")
            for warning in _warnings(summary):
                self._say(f"[bold]warning: {warning}[/bold]")
        elif state == "waiting":
            text = f"waiting for {summary['waiting']} answers of {self._run.settings['oracle']['name']}"
            self._say(f"{text}; to go on: {command(self._run.folder)}, or the same command", markup=False)
        else:
            text = f"{state} after {summary['rounds_done']} rounds; to go on: {command(self._run.folder)}"
            self._say(text, markup=False)
        self._say(f"  {self._run.folder}/rounds.csv  queries.csv  summary.json", markup=False)

    def fit_bar(self, description: str, steps: int) -> pl.Callback:
        """A Lightning callback that moves a bar with every optimizer step."""
        return _FitBar(self.bar(description, steps), steps)

    def bar(self, description: str, total: int) -> Callable[[int], None]:
        """A function that shows a bar, when it is first called, and moves it to where it is told."""
        task: list[Any] = []

        def update(done: int) -> None:
            if not self.console.is_terminal:
                return
            if not task:
                self._stop_bar()
                self._progress = Progress(
                    TextColumn("  {task.description}"),
                    BarColumn(),
                    MofNCompleteColumn(),
                    TimeRemainingColumn(),
                    console=self.console,
                    transient=True,
                )
                self._progress.start()
                task.append(self._progress.add_task(description, total=total))
            if self._progress is not None:
                self._progress.update(task[0], completed=done)

        return update

    def _line(self, done: Round, left: float | None = None) -> None:
        row = done.row
        seconds = sum(value for name, value in row.items() if name.startswith("seconds/"))
        measures = ("acc", 8), ("balanced_acc", 9), ("nll", 8), ("ece", 8)
        shown = " ".join(_figure(row[f"test/{name}"], width) for name, width in measures)
        self._say(
            f" {row['round']:>5} {row['n_labeled']:>8} {shown} {seconds:>9.1f}   {duration(left) if left else '':<6}"
            + (_failed(row) if row["fit/ok"] is False else "")
            + (f" {n} members failed to fit" if (n := row.get("fit/members_failed")) else "")
        )
        if reason := row.get("stop/reason"):
            self._say(f"       {'stopped' if row.get('stop/act') else 'would stop'}  {reason}", markup=False)
        if (verdict := row.get("control/verdict", "undecided")) != "undecided":
            self._say(f"       chosen labels are {verdict} than random ones: {_verdict(row)}", markup=False)

    def _say(self, text: str, markup: bool = True) -> None:
        """Print lines, each with the job that it is of where several run side by side."""
        self.console.print("\n".join(self._prefix + line for line in text.split("\n")), markup=markup)

    def _stop_bar(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


class _FitBar(pl.Callback):
    """Counts the steps of a cycle; the bar of a fit that goes on begins anew."""

    def __init__(self, update: Callable[[int], None], steps: int) -> None:
        self._update, self._steps, self._done = update, steps, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epochs = trainer.max_epochs or 1
        # PyTorch's hook: Lightning does not see every step.
        self._hook = trainer.optimizers[0].register_step_post_hook(self._step)

    def _step(self, *unused: Any) -> None:
        self._done += 1
        self._update(self._done)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._done = self._steps * (trainer.current_epoch % self._epochs + 1) // self._epochs
        self._update(self._done)  # a CUDA graph calls no hook
        self._done %= self._steps

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._hook.remove()


def _twins(duplicates: Sequence[tuple[int, str, str, str]]) -> str:
    """How many distinct images are where they should not be, or too often; and how many files are dropped."""
    groups = defaultdict(list)
    for group, part, name, _ in duplicates:
        if part != DROPPED:
            groups[group].append((part, name))
    labeled = [[each for each in group if each[1] != NO_CLASS] for group in groups.values()]
    counts = {
        "in train and in test": sum(len({part for part, _ in group}) > 1 for group in groups.values()),
        "in more than one class": sum(len({name for _, name in group}) > 1 for group in labeled),
        "more than once in a class": sum(len({*group}) < len(group) for group in labeled),
        "dropped": sum(part == DROPPED for _, part, *_ in duplicates),
    }
    return "images " + ", ".join(f"{where}: {count}" for where, count in counts.items() if count)


def _warnings(summary: dict[str, Any]) -> Iterator[str]:
    """Why a run that went through is no result, or only in part."""
    if summary["learns_nothing"]:
        why = summary["learns_nothing"]
        yield f"this run has learned nothing: {why}. Try another optimizer.lr; rounds.csv has what each fit came to"
    if failed := summary["failed_fits"]:
        rounds = ", ".join(map(str, failed))
        yield (
            f"{len(failed)} of {summary['rounds_done']} fits failed, of round {rounds}: the labels trained on were not "
            "fitted, so what these rounds measured and asked says little about the strategy"
        )


def _verdict(row: dict[str, Any]) -> str:
    low, high = 100 * row["control/lower"], 100 * row["control/upper"]
    return f"{low:+.1f} to {high:+.1f} points (95%, however often it is looked at)"


def _figure(value: float | None, width: int) -> str:
    return f"{'-' if value is None else f'{value:.4f}':>{width}}"


def _failed(row: Mapping[str, Any]) -> str:
    """Why a fit has failed, in what it came to on the labels that it was given."""
    acc, loss, recall = (row[f"fit/{name}"] for name in ("acc", "loss", "min_recall"))
    return f" fit failed ({row['fit/reason']}): acc {acc:.3f}, loss {loss:.3f}, worst recall {recall:.2f}"


def describe(summary: dict[str, Any]) -> str:
    """One line on a finished run: accuracy, labels, area under the curve, labels to a target."""
    if summary["n_labeled"] == 0:
        return "no labels, and nothing was trained"
    if summary["aubc"] is None:
        return f"{summary['n_labeled']} labels, and no test part to measure on"
    text = f"accuracy {summary['final']['acc']:.4f} with {summary['n_labeled']} labels"
    if summary["rounds_done"] > 1:
        text += f", AUBC {summary['aubc']:.4f}"
    for target in (90, 95):
        labels = summary[f"labels_to_{target}"]
        text += f", {target}% " + (f"at {labels:.0f} labels" if labels is not None else "not reached")
    return text
