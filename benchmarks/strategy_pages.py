"""A page a strategy, docs/strategies/NAME.md, and an index: from docstrings, conf/strategy and the leaderboard.

python benchmarks/strategy_pages.py
"""

import argparse
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from leaderboard_page import difference, row_of
from leaderboard_runs import load
from leaderboard_tables import BOUNDS, Cell, cells_of
from torch import Tensor

from al_lightning.acquisition.candidates import Candidates
from al_lightning.acquisition.choose import Strategy, StrategyError, choose
from al_lightning.config import schema
from al_lightning.config.instantiate import instantiate
from al_lightning.config.targets import located
from al_lightning.errors import UserError
from al_lightning.testing import Example, make_example
from al_lightning.words import listed, plus_minus

ROOT = Path(__file__).parents[1]
SECTIONS = ("Formula", "Source", "Cost", "Use when", "Avoid when")
HEADER = re.compile(rf"^({'|'.join(SECTIONS)}|Args|Returns|Raises|Examples):[ \n]?", re.MULTILINE)
NOT_ATTAINABLE = "labels that nobody has"
OF_CODE = {"_target_", "_partial_", "name"}
CANDIDATES, MC_SAMPLES, N_CLUSTERS, N = 200, 8, 4, 5  # where strategies are tried


@dataclass(frozen=True)
class Page:
    """What is known of a strategy.

    Attributes:
        name: of its file in conf/strategy.
        asks_for: the first line of that file.
        node: what stands in it.
        comments: of its settings, by name.
        function: the strategy, or its score.
        about: what its docstring begins with.
        sections: of its docstring, by title.
    """

    name: str
    asks_for: str
    node: dict[str, Any]
    comments: dict[str, str]
    function: Callable[..., Any]
    about: str
    sections: dict[str, str]


def read(name: str) -> Page:
    """Look it up in conf/strategy, and the function that is named there.

    Raises:
        SystemExit: the docstring lacks a part, or the file its first comment.
    """
    text = (schema.conf_dir() / "strategy" / f"{name}.yaml").read_text(encoding="utf-8")
    node = yaml.safe_load(text)
    module, _, attribute = located(node.get("score", node)["_target_"]).rpartition(".")
    function = getattr(importlib.import_module(module), attribute)
    about, *pieces = HEADER.split(inspect.getdoc(function) or "")
    sections = {title: inspect.cleandoc(body) for title, body in zip(pieces[::2], pieces[1::2], strict=True)}
    if missing := [title for title in SECTIONS if title not in sections]:
        where = f"{inspect.getfile(function)}, {function.__name__}"
        raise SystemExit(f"error: {where}: its docstring lacks {listed([f'{title}:' for title in missing])}")
    if not text.startswith("# "):
        raise SystemExit(f"error: conf/strategy/{name}.yaml: a comment in its first line should say what it asks for")
    comments = dict(re.findall(r"^ *(\w+): .*?  # (.*)$", text, re.MULTILINE))
    return Page(name, text.splitlines()[0].removeprefix("# "), node, comments, function, about.strip(), sections)


def needs(node: dict[str, Any]) -> str:
    """What it cannot do without, found by trying it without a model, an embedding, dropout, and with other labels."""
    pool = make_example(CANDIDATES)
    try:
        strategy = _made(node)
    except UserError:  # there is a setting that only a run can fill in
        return NOT_ATTAINABLE
    if _chosen(strategy, pool) is None:
        return NOT_ATTAINABLE
    found = []
    if _chosen(strategy, replace(pool, dropout=0.0)) is None:
        found.append("dropout samples or a committee")
    elif not _works_blindly(strategy, pool, None):
        by_rows = _works_blindly(strategy, pool, pool.rows)
        by_model = _chosen(strategy, replace(pool, on_embedding=False)) is not None
        found.append(" or ".join(["an embedding"] * by_rows + ["a model"] * by_model))
    others = (pool.labels.roll(1), torch.zeros_like(pool.labels))
    if any(_chosen(strategy, pool) != _chosen(strategy, replace(pool, labels=labels)) for labels in others):
        found.append("labels")
    return listed(found) or "nothing"


def _made(node: dict[str, Any]) -> Strategy:
    values = {"${al.mc_samples}": MC_SAMPLES, "${al.n_clusters}": N_CLUSTERS}

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        return values.get(value, value) if isinstance(value, str) else value

    return instantiate("strategy", filled(node), partial=True)


def _asked(strategy: Strategy, candidates: Candidates) -> list[int] | None:
    """The images that it chooses; None where it cannot."""
    try:
        with torch.inference_mode():
            return choose(strategy, candidates, N, 0).indices.tolist()
    except (UserError, StrategyError):
        return None


def _chosen(strategy: Strategy, pool: Example) -> list[int] | None:
    return _asked(strategy, pool.candidates())


def _works_blindly(strategy: Strategy, pool: Example, embedding: Tensor | None) -> bool:
    """Whether it chooses without a model, by the embedding or without one."""
    return _asked(strategy, Candidates(None, pool.indices, np.random.default_rng(0), None, embedding)) is not None


def written(page: Page, cells: Sequence[Cell]) -> str:
    """The page.

    Args:
        page: what is known of the strategy.
        cells: of the leaderboard; none where it has not been run.
    """
    file = Path(inspect.getfile(page.function)).relative_to(ROOT)
    parts = [
        f"# {page.name}",
        _prose(page.about),
        f"`strategy={page.name}`, from [{file.name}](../../{file.as_posix()}). **Needs** {needs(page.node)}.",
        f"**Formula**\n\n```text\n{page.sections['Formula']}\n```",
        *(f"**{title}** {_prose(page.sections[title])}" for title in SECTIONS if title != "Formula"),
    ]
    if rows := [*_settings(page.node, "strategy", page)]:
        parts += ["## Settings", "\n".join(["| setting | value | meaning |", "| --- | --- | --- |", *rows])]
    if rows := [*_results(page.name, cells)]:
        heads = ["setting", "query", "strategy", "place", "seeds", "AUBC", "− random (95% interval)", "at the end"]
        head = [row_of(heads), row_of(["---", "---:", "---", *["---:"] * 5])]
        parts += [
            "## On the leaderboard",
            "\n".join([*head, *rows]),
            "AUBC ± its standard deviation over seeds; the difference is paired by seed, its interval not adjusted. "
            "All strategies, and what was run: [leaderboard](../leaderboard.md).",
        ]
    return "\n\n".join([*parts, "[All strategies](README.md)"]) + "\n"


def _prose(text: str) -> str:
    """Markdown that shows the words as they are; what stands between backticks is code."""
    text = re.sub(r":\w+:`[\w.]*?(\w+)`", r"`\1`", text)
    pieces = text.split("`")
    return "`".join(re.sub(r"([*_<\[\]\\])", r"\\\1", piece) if i % 2 == 0 else piece for i, piece in enumerate(pieces))


def _settings(node: dict[str, Any], path: str, page: Page) -> Iterator[str]:
    """A row a setting: its key, its value, and the comment of the file, else what the docstring has."""
    explained = dict(re.findall(r"^(\w+): (.*(?:\n +.*)*)", page.sections.get("Args", ""), re.MULTILINE))
    for key, value in node.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{path}.{key}", page)
        elif key not in OF_CODE:
            shown = re.sub(r"^\$\{(.*)\}$", r"\1", "null" if value is None else str(value))
            meaning = page.comments.get(key) or re.sub(r"\s+", " ", explained.get(key, ""))
            yield f"| `{path}.{key}` | `{shown}` | {_prose(meaning)} |"


def _results(name: str, cells: Sequence[Cell]) -> Iterator[str]:
    """A row a cell and variant of the strategy."""
    for cell in cells:
        areas = [row.aubc for row in cell.ranked]
        for variant, row in cell.rows.items():
            if variant == name or variant.startswith(f"{name}, "):
                place = "" if variant in BOUNDS else f"{1 + sum(area > row.aubc for area in areas)} of {len(areas)}"
                area, gain = plus_minus(row.aubc, row.sd), difference(row.gain.difference, row.gain.half_width)
                yield row_of([cell.setting, cell.query_size, variant, place, row.n, area, gain, f"{row.final:.3f}"])


def index(pages: Sequence[Page]) -> str:
    """The page that lists them."""
    about = (
        "`strategy=NAME`. What one needs was found by trying it: a model that has been fitted, an embedding of the "
        "images, samples of predictions (by dropout or `model.members`), or, beside the model, the labels that it was "
        "fitted to. How they do: [leaderboard](../leaderboard.md). How to add one: "
        "[CONTRIBUTING.md](../../CONTRIBUTING.md)."
    )
    rows = [f"| [`{page.name}`]({page.name}.md) | {page.asks_for} | {needs(page.node)} |" for page in pages]
    return f"# Strategies\n\n{about}\n\n| name | asks for | needs |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"


def all_pages(runs: Path) -> dict[str, str]:
    """Every page by the name of its file.

    Args:
        runs: the table of the leaderboard; may be missing.
    """
    cells = cells_of(load(runs)) if runs.exists() else []
    pages = [read(name) for name in schema.options("strategy")]
    return {"README.md": index(pages)} | {f"{page.name}.md": written(page, cells) for page in pages}


def main() -> None:
    """Write them all, and remove those of strategies that are gone."""
    parser = argparse.ArgumentParser(description="Write a page a strategy, and an index.")
    parser.add_argument("--runs", type=Path, default=ROOT / "docs" / "leaderboard" / "runs.csv")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "strategies")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    made = all_pages(args.runs)
    for file in args.out.glob("*.md"):
        if file.name not in made:
            file.unlink()
    for name, text in made.items():
        (args.out / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
