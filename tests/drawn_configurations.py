"""Command lines drawn over every key of conf/, most of them wrong in some way, and what the command makes of them.

`tally(300, seed=0)` counts the outcomes of 300 of them: `broken` and `traceback` are faults of the program.
"""

import io
import os
import re
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from functools import cache
from inspect import signature
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import yaml
from conftest import FAST, run_here
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from omegaconf import DictConfig, ListConfig, OmegaConf
from PIL import Image

from al_lightning.config.instantiate import locate
from al_lightning.config.schema import conf_dir, options

BASE = FAST | {"al.rounds": "1"}
USUAL = {f"{key}={value}" for key, value in BASE.items()}
# Keys that would fetch files, were they true. The proxy below stands in the way of those that get past.
FETCH = ("dataset.download", "model.pretrained")
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
ENVIRONMENT = {**NO_NETWORK, "WANDB_MODE": "disabled"}
HYDRA_KEYS = ("run.dir", "sweep.dir", "sweep.subdir", "job.name", "job.chdir", "output_subdir", "verbose", "mode")
HYDRA_KEYS += ("callbacks", "searchpath", "job_logging", "launcher", "sweeper.params", "sweeper.max_batch_size")

TINY = ("0", "1", "2", "3", "0.0", "0.1", "0.5", "true", "false", "null")
WRONG_TYPE = ("abc", "[]", "[1,2]", "[[1],{a:2}]", "{}", "{a:1}", "{a:{b:[1]}}", "{1:2}", "1.0", "2.5", "'3'", "''", "")
# Whole numbers start where nothing that can be meant is left: a correct program would run for hours on less.
OUT_OF_RANGE = ("-1", "-0.5", "1e30", "-1e30", "nan", "inf", "-inf", "1e-320", f"{2**63}", f"{-(2**63) - 1}")
OUT_OF_RANGE += ("1" + "0" * 400, "1" * 5000, "2000000", "10000000", "1000000000", "1000000000000")
WRONG_UNIT = ("10%", "5px", "0.1.2", "1e", "100 images", "2h", "1_000", "1,5", "0x10", "1/2", "½", "٣")
TEXT = ("größe", "画像", "🦊", "x" * 300, "x" * 5000, "a b", "'a\nb'", "a/b", "../up", "/dev/null/x", "/proc/x", "..")
TEXT += ("~", "C:\\x", '"', "'", "'a", "[1", "{a:", "(", "a=b", "a,b", "a:b", "$", "${", "\udcff", "\t", "#", "\\", "@")
INTERPOLATION = ("${nope}", "${oc.env:AL_LIGHTNING_NOPE}", "${nope:1}", "${al}", "${seed}", "${.name}", "${}", "${..}")
INTERPOLATION += (
    "${dataset}",
    "a${study}",
    "${oc.create:{a:1}}",
    "${hydra:run.dir}",
    "${al.${study}}",
    "${oc.decode:'['}",
)
FUNCTION = ("range(3)", "choice(1,2)", "int(abc)", "sort(1)", "nope(1)", "glob(*)", "interval(0,1)", "shuffle(1,2)")
TARGET = ("os.system", "builtins.eval", "nope", "al_lightning.data.nope", "al_lightning.acquisition.scores.margin")
TARGET += ("torch.optim.SGD", "al_lightning.models.backbones.cnn", "al_lightning.data.sources.digits")
VALUE = st.one_of(
    *map(st.sampled_from, (TINY, TINY, TINY, WRONG_TYPE, OUT_OF_RANGE, WRONG_UNIT, TEXT, INTERPOLATION, FUNCTION)),
    st.text(max_size=8).filter(lambda text: not set(text) & set("/~\0")),  # no path out of the folder
)
# What is done to a key besides giving it another value; parts in braces are drawn when they occur.
KINDS = {
    "deleted": "~{path}",
    "deleted with its value": "~{path}={value}",
    "added": "+{path}={value}",
    "added or overridden": "++{path}={value}",
    "added below": "+{path}.extra={value}",
    "added anywhere": "+{value}={value}",
    "misspelled": "{short}={value}",
    "twice": "{path}={default} && {path}={value}",
    "itself": "{path}=${{{path}}}",
    "other target": "{path}._target_={target}",
    "added target": "+{path}={{_target_:{target},_partial_:true}}",
    "group": "{group}={value}",
    "group elsewhere": "{group}@{package}={value}",
    "option elsewhere": "+{option}",
    "deleted group": "~{group}",
    "no key": "{value}",
}
GROUPS = {path.name: options(path.name) for path in sorted(conf_dir().iterdir()) if path.is_dir()}
PARTS = {
    "value": VALUE,
    "target": st.sampled_from(TARGET),
    "group": st.sampled_from(list(GROUPS)),
    "package": st.sampled_from([*GROUPS, "al", "x", "_global_", ":", "hydra.run", ""]),
    "option": st.sampled_from([f"{a}@{b}={option}" for a, names in GROUPS.items() for option in names for b in GROUPS]),
}


class Key(NamedTuple):
    """A key of the composed configuration and what it is, as typed."""

    path: str
    value: str


@cache
def _bases() -> list[tuple[dict[str, str], list[Key]]]:
    """Settings of a run of a second, under every option of every group by itself, and all keys that they have."""
    bases = [(BASE, _keys(BASE))]
    for group, option in ((group, option) for group, names in GROUPS.items() for option in names):
        text = (conf_dir() / group / f"{option}.yaml").read_text()
        base = BASE | {group: option}
        if "\ndownload:" in text:
            base["dataset.download"] = "false"
        if "root: ???" in text:
            base |= {"dataset.root": "../photos", "al.initial_size": "4", "al.query_size": "2"}
        if group == "experiment":
            # These have the width of the small network.
            model = "cnn" if option.endswith("_small") and "gal" not in option else "resnet18"
            base |= {"model": model, "al.initial_size": "20", "al.query_size": "20", "hydra.mode": "RUN"}
        if base["model"] != "cnn":
            del base["model.width"]
            base |= {"dry_run": "true", "al.pool_batch_size": "32"}  # a ResNet takes seconds for what a small CNN does
        bases.append((base, _keys(base)))
    return bases


def _keys(base: dict[str, str]) -> list[Key]:
    """All keys of a configuration, sections too, and those that its targets would take besides."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = compose("config", [f"{key}={value}" for key, value in base.items()])
    keys = [*_walk(cfg, ""), *(Key(f"hydra.{key}", "x") for key in HYDRA_KEYS)]
    keys += 2 * [key for key in keys if key.path[:1] != "+"]  # to be drawn more often
    return [key for key in keys if key.path and key.path.lstrip("+") not in FETCH]


def _walk(node: Any, path: str) -> Iterator[Key]:
    if isinstance(node, DictConfig):
        for key in map(str, node):
            name = f"{path}.{key}" if path else key
            if OmegaConf.is_interpolation(node, key) or OmegaConf.is_missing(node, key):
                yield Key(name, "1")
            else:
                yield from _walk(node[key], name)
        if "_target_" in node:
            yield from (Key(f"++{path}.{name}", "1") for name in signature(locate(node._target_)).parameters)
    is_leaf = not isinstance(node, DictConfig | ListConfig)
    yield Key(path, {"None": "null", "True": "true", "False": "false"}.get(str(node), str(node)) if is_leaf else "{}")


def arguments() -> st.SearchStrategy[list[str]]:
    """Quick configurations with one to three things changed, mostly to what cannot work."""
    return _arguments(_bases())


@st.composite
def _arguments(draw: st.DrawFn, bases: list[tuple[dict[str, str], list[Key]]]) -> list[str]:
    base, keys = draw(st.sampled_from(bases))
    changes = draw(st.lists(_change(keys), min_size=1, max_size=3))
    typed = [argument for change in changes for argument in change]
    changed = {argument.lstrip("+~").split("=")[0] for argument in typed}
    flags = ["--multirun"] if draw(st.integers(0, 9)) == 9 else []
    return [*flags, *typed, *(f"{key}={value}" for key, value in base.items() if key not in changed)]


@st.composite
def _change(draw: st.DrawFn, keys: list[Key]) -> list[str]:
    """One or two arguments that change one key or group."""
    kind = draw(st.sampled_from(["near"] * 8 + ["value"] * 12 + list(KINDS)))
    path, default = draw(st.sampled_from(keys))
    if kind == "near":
        return [f"{path}={draw(st.sampled_from(_near(default)))}"]
    if kind == "value":
        return [f"{path}={draw(VALUE)}"]
    parts = {"path": path, "default": default, "short": path[:1] + path[2:]}
    for name, strategy in PARTS.items():
        if f"{{{name}}}" in KINDS[kind]:
            parts[name] = draw(strategy)
    return KINDS[kind].format(**parts).split(" && ")


def _near(value: str) -> list[str]:
    """What might as well have been the value of a key."""
    if value in ("true", "false"):
        return ["true", "false"]
    try:
        number = yaml.safe_load(value)
        return [value, str(number + 1), str(number / 2), str(number // 2)]
    except (TypeError, yaml.YAMLError):
        return [value]


def outcome(arguments: list[str], cwd: Path) -> tuple[str, str]:
    """Run the command in this process and hold it against what it promises of every configuration.

    Args:
        arguments: the command line, complete.
        cwd: a folder that is made for this; the folder above it must hold nothing else.

    Returns:
        `run` (exit code 0, a run folder with its rounds), `refused` (2: a short message names the key, nothing was
        written), `failed` (1, with a short message), `traceback`, or `broken` where one of these is not as it should
        be; and what was printed to stderr, after the fault where there is one.
    """
    cwd.mkdir(parents=True)
    if any("../photos" in argument for argument in arguments):
        _save_photos(cwd.parent / "photos")
    # As a terminal has them: stderr prints what it cannot encode in another way, stdout does not.
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
    try:
        with chdir(cwd), patch.dict(os.environ, ENVIRONMENT), redirect_stdout(out), redirect_stderr(err):
            for variable in ("AL_LIGHTNING_ALLOW", "WANDB_API_KEY"):
                os.environ.pop(variable, None)
            code = run_here(*arguments)
    except Exception as error:
        return "traceback", "".join(traceback.format_exception(error))
    printed, said = (stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined]
    if "Traceback" in said + printed and not any("debug" in argument for argument in arguments):
        return "traceback", said
    state = {0: "run", 1: "failed", 2: "refused"}.get(code, "broken")  # type: ignore[call-overload]
    fault = _fault(state, arguments, printed, said, cwd)
    return ("broken", f"{fault}\n{said}") if fault else (state, said)


def _fault(state: str, arguments: list[str], printed: str, said: str, cwd: Path) -> str | None:
    """What is not as it should be."""
    # Hydra makes the folder that is typed before it hands on.
    own = {cwd / argument.partition("=")[2] for argument in arguments if argument.startswith("hydra.run.dir=")}
    files = [path for path in cwd.parent.rglob("*") if path not in {cwd, *own} and not _is_apart(path)]
    if state == "run":
        return (
            None if _is_done(printed, sum(path.name == "rounds.csv" for path in files)) else "exit code 0, but no run"
        )
    lines = said.splitlines()
    messages = [line for line in lines if line.startswith(("error: ", "job "))]
    if not messages or (len(messages) > 1 and messages[0].startswith("error: ")):
        return f"{len(messages)} messages"
    if len(lines) >= 10 * len(messages) and not any("debug" in argument for argument in arguments):
        return f"{len(lines)} lines"
    if state == "refused" and files:
        return f"refused, but there is {files[0]}"
    shown = [argument.encode(errors="backslashreplace").decode() for argument in arguments]  # as a terminal has them
    if state == "refused" and not any(name in said for argument in shown for name in _names(argument)):
        return "no key is named"
    if state == "failed" and "files are missing" not in said and " diverged: " not in said:
        return "exit code 1 without a reason"
    return None


def _is_done(printed: str, n_runs: int) -> bool:
    """Whether as many runs are there as the command says; of a dry run its plan."""
    if swept := re.search(r"^(\d+) jobs, (\d+) runs", printed, re.MULTILINE):
        return 0 < n_runs == int(swept[2]) <= int(swept[1])
    return n_runs == ("what would run" not in printed and "estimated time: " not in printed)


def _is_apart(path: Path) -> bool:
    """The photos, and the cache that they are decoded into, which is before all else can be checked."""
    return bool({"photos", "folder-cache"} & {*path.parts}) or any(path.rglob("folder-cache"))


def _names(argument: str) -> set[str]:
    """What a message may call the key of an argument: the key, a section that it is in, or the text as typed."""
    if argument in USUAL:
        return set()
    keys = argument.lstrip("+~").split("=")[0].split("@")
    parts = [key.split(".") for key in keys]
    sections = {".".join(each[: i + 1]) for each in parts for i in range(len(each))}
    return {name for name in (*sections, argument[:40]) if name}


def _save_photos(root: Path) -> None:
    for label, name in enumerate("ab"):
        (root / name).mkdir(parents=True)
        for shade in range(30):
            Image.new("RGB", (8, 8), (8 * shade, 255 * label, 0)).save(root / name / f"{shade}.png")


def tally(n: int, seed: int) -> Counter[str]:
    """Counts of the outcomes of n drawn configurations; what is wrong with the program is printed."""
    counts, number = Counter[str](), count()

    @seeded(seed)
    @settings(
        max_examples=n,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(arguments())
    def draw(line: list[str]) -> None:
        state, message = outcome(line, Path(folder) / str(next(number)) / "cwd")
        counts[state] += 1
        if state in ("broken", "traceback"):
            print(f"{state}: {line}\n{message}\n", flush=True)

    with TemporaryDirectory() as folder:
        draw()
    return counts
