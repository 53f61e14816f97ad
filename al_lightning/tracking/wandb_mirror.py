"""A run folder mirrored in Weights & Biases, round by round, online or offline.

The folder is the truth: whatever goes wrong here is said in one line, and the run computes on.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from al_lightning.runs.rounds import Round
from al_lightning.runs.run_info import RunInfo
from al_lightning.tracking import label_set, wandb_account
from al_lightning.tracking.pictures import draw_confusion, draw_image

# wandb is imported where it is used: it takes a second, and training need not wait for it.
if TYPE_CHECKING:
    import wandb

TAG_LENGTH = 64  # a longer tag makes W&B refuse the run
INIT_SECONDS = 30  # without an answer from the server, the mirror goes on offline
FINISH_SECONDS = 300  # what has not been uploaded by then stays on disk, for `wandb sync`
# One number a round: a share a class would be 100 charts for CIFAR-100, and no panel draws them by strategy.
CLASS_ENTROPY = "queried/class_entropy"


class WandbMirror:
    """An observer that shows a run in W&B: a row a round over `n_labeled`, confusion matrices, queried images.

    At its end, the labeled images are logged as an artifact.

    W&B starts with the first committed round, and is sent all rounds that it lacks. No method raises an error of W&B:
    the first one is printed to stderr and ends the mirror.

    Raises:
        ValueError: a mode that does not exist.

    Attributes:
        project: of W&B; None: `WANDB_PROJECT`, else `al_lightning`.
        entity: account or team; None: `WANDB_ENTITY`, else the one that is logged in.
        mode: `online`, `offline`, `disabled` or None, see `resolve_mode`.
        tags: besides data set, model and strategy; none: those of `WANDB_TAGS`.
        images: queried images shown a round; 0: none.
    """

    def __init__(
        self,
        project: str | None,
        entity: str | None,
        mode: Literal["online", "offline", "disabled"] | None,
        tags: list[str],
        images: Annotated[int, Field(ge=0)],
    ) -> None:
        wandb_account.named_mode(mode)  # one that does not exist is refused before anything is trained
        self.project = wandb_account.project(project)
        self.entity = entity
        self.mode = mode
        self.tags = tuple(wandb_account.tags(tags))
        self.images = images
        self._closed = False
        self._run: wandb.Run | None = None
        self._pending: dict[int, Round] = {}

    def start(self, run: RunInfo) -> None:
        """Take note of the run; W&B is left alone until there is something to show."""
        self._info = run
        self._pending = {done.number: done for done in run.rounds}
        self._last = max(self._pending, default=None)

    def round(self, done: Round) -> None:
        """Show a committed round, and before it those that W&B lacks."""
        if not self._closed:
            self._pending[done.number] = done
            self._last = done.number
            with self._harmless():
                self._send()

    def finish(self, state: str, summary: dict[str, Any]) -> None:
        """Show the summary and close the run in W&B, as failed unless `finished` or `waiting`. Once only."""
        if self._closed:
            return
        with self._harmless():
            self._send()
            if self._run is not None:
                run, self._run = self._run, None
                run.summary.update(_summary(summary) | {"state": state})
                self._log_labels(run)
                run.finish(exit_code=0 if state in ("finished", "waiting") else 1)
        self._closed = True

    def _log_labels(self, run: "wandb.Run") -> None:
        if self._last is None:
            return
        try:
            label_set.log(run, self._info, wandb_account.run_id(self._info), self._last)
        except Exception as error:  # the curves are worth more than this: the run is closed all the same
            print(f"W&B: the label set was not logged: {_line(error)}", file=sys.stderr)

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # network, key, disk, W&B's own process: none of them may end a run that computes
            self._closed = True
            where = wandb_account.place(self._info.folder) / "wandb" / f"*run-*-{wandb_account.run_id(self._info)}"
            print(
                f"W&B: the mirror stopped, the run does not: {_line(error)}; later: wandb sync {where}", file=sys.stderr
            )
            if self._run is not None:
                with suppress(Exception):
                    self._run.finish(exit_code=1)

    def _send(self) -> None:
        if self._run is None:
            self._open()
        if self._run is None:
            return
        for number in sorted(self._pending):
            done = self._pending[number]
            if number >= self._run.starting_step:  # the server has the earlier ones
                # One call a round: what is logged apart lands on another step. `commit`: not held back until the next.
                self._run.log(self._contents(done), step=number, commit=True)
            del self._pending[number]

    def _open(self) -> None:
        mode = wandb_account.resolve_mode(self.mode)
        if mode == "disabled":
            self._closed = True
            return
        import wandb

        folders = wandb_account.local_folders(self._info)
        earlier = {folder for folder in folders if folder.name.startswith("run-") or any(folder.glob("*.synced"))}
        # Rounds are sent anew, so an unsynced folder of an earlier process would only double them.
        wandb_account.set_aside(self._info, keep=earlier)
        try:
            if mode == "online" and not wandb_account.logged_in():
                raise wandb.Error("no API key: use `wandb login`")
            self._run = self._init(mode)
        except wandb.Error as error:
            if mode == "offline":
                raise
            wandb.teardown()  # W&B's process holds on to the id of the failed start
            wandb_account.set_aside(self._info, keep=earlier)
            self._run = self._init("offline")
            folder = Path(self._run.dir).parent
            print(f"W&B: not online: {_line(error)}; mirrored on disk, later: wandb sync {folder}", file=sys.stderr)
        except Exception:  # W&B's process has died since the last run of this one: another one takes its place
            with suppress(Exception):
                wandb.teardown()
            wandb_account.set_aside(self._info, keep=earlier)
            self._run = self._init(mode)

    def _init(self, mode: str) -> "wandb.Run":
        import wandb

        wandb.setup(wandb.Settings(silent=True))
        info, settings = self._info, self._info.settings
        names = [settings[group]["name"] for group in ("dataset", "model", "strategy")]
        run = wandb.init(
            project=self.project,
            entity=self.entity,
            mode=mode,  # pyright: ignore[reportArgumentType]  (one of MODES)
            dir=wandb_account.place(info.folder).absolute(),  # W&B's own process may have started in another folder
            id=wandb_account.run_id(info),
            name=info.folder.name,
            group=info.study,
            tags=list(dict.fromkeys(tag[:TAG_LENGTH] for tag in (*names, *self.tags))),
            config=flat_config(settings),
            resume="allow" if mode == "online" else None,
            reinit="create_new",  # a run that the user has open stays the one that `wandb.log` goes to
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                disable_code=True,
                save_code=False,
                init_timeout=INIT_SECONDS,
                finish_timeout=FINISH_SECONDS,
                finish_timeout_raises=True,
            ),
        )
        row = next(iter(self._pending.values())).row if self._pending else {}
        numbers = (name for name, value in row.items() if "/" in name and not isinstance(value, str))
        for metric in (*numbers, CLASS_ENTROPY):
            # By exact name: W&B's glob `*` fights with other definitions.
            run.define_metric(metric, step_metric="n_labeled")
        return run

    def _contents(self, done: Round) -> dict[str, Any]:
        """What is logged of a round: its row, its confusion matrix and the first images of its query."""
        import wandb

        data = self._info.data
        title = f"test images after training on {done.row['n_labeled']}"
        row = {name: value for name, value in done.row.items() if value is not None}
        contents = row | {"confusion": wandb.Image(draw_confusion(done.confusion, data.classes, title))}
        # Rounds that were read back from disk have text in their queries.
        queried = [
            wandb.Image(
                draw_image(data.pool.images[int(query["index"])].cpu().numpy()),
                caption=" / ".join(_name(query.get(key), data.classes) for key in ("label", "predicted")),
            )
            for query in done.queries[: self.images]
        ]
        contents |= {"queries": queried} if queried else {}
        answers = [int(query["label"]) for query in done.queries if query.get("label") not in ("", None)]
        evenness = label_set.class_entropy(answers, len(data.classes))
        return contents | ({CLASS_ENTROPY: evenness} if evenness is not None else {})


def flat_config(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted key, under `dataset`, `model` and `strategy` their plain names, and `method`.

    `method` is the strategy with its own settings, `kmeans n_clusters=12`: W&B groups curves by one key, and does not
    find keys with a dot reliably.
    """
    names = {group: settings[group]["name"] for group in ("dataset", "model", "strategy")}
    own = [(key.rpartition(".")[2], value) for key, value in _flatten(settings["strategy"]).items()]
    words = [f"{key}={value}" for key, value in own if key != "name" and not key.startswith("_")]
    return _flatten(settings) | names | {"method": " ".join([names["strategy"], *words])}


def _name(label: Any, classes: Sequence[str]) -> str:
    """The class that an image has, or that was predicted; ? where there is none."""
    return "?" if label in ("", None) else classes[int(label)]


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in settings.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _summary(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that W&B's table of runs is sorted by."""
    keys = ("aubc", "labels_to_90", "labels_to_95", "n_labeled")
    final = {f"final/{name}": value for name, value in summary.get("final", {}).items() if value is not None}
    return {key: summary[key] for key in keys if key in summary} | final
