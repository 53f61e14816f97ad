"""The command, its files, and the page in a browser."""

import json
import os
import re
import socket
import subprocess
import sys
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path

import pytest
from studies import HOSTILE, Run, study, write

from al_lightning.report.__main__ import main

FIGURES = (
    *("learning-curves", "measures", "measures-alike", "confusion", "reliability", "class-balance"),
    *("overlap", "scores", "pool-map", "seconds"),
)


class Outline(HTMLParser):
    """What an HTML page is made of: tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_files_are_where_the_command_says(demo: Path) -> None:
    made = {file.name for file in (demo / "figures").iterdir()}
    for suffix in ("svg", "png", "pdf"):
        assert {f"digits-{name}.{suffix}" for name in (*FIGURES, "clusters")} <= made
        assert {f"cifar100-{name}.{suffix}" for name in ("learning-curves", "measures", "confusion")} <= made
        assert f"cifar100-scores.{suffix}" not in made, "no run has them"
        assert f"mnist-learning-curves.{suffix}" in made, "one-shot runs alone are a curve"
    assert all((demo / "figures" / name).stat().st_size > 2000 for name in made if not name.endswith(".csv"))
    made = {file.name for file in (demo / "tables").iterdir()}
    assert {"digits-verdict.csv", "digits-verdict.md", "digits-verdict.tex", "mnist-one_shot.csv"} <= made
    assert (demo / "report.html").stat().st_size < 10e6


def test_the_page_needs_nothing_and_runs_nothing(demo: Path) -> None:
    html = (demo / "report.html").read_text()
    page = Outline(html)
    assert {"script", "iframe", "object", "embed", "base", "form"}.isdisjoint(tag for tag, _ in page.tags)
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("src", "href", "xlink:href", "srcset", "action"):
                linked = tag == "a" and "download" in attributes and (demo / str(value)).is_file()
                assert linked or (value or "").startswith(("data:", "#")), (tag, name, value)
    assert set(re.findall(r"https?://[^\s\"'<)]+", html)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    assert not re.search(r"url\((?!#)", html), "a style that loads something"


def test_names_are_shown_as_text(demo: Path) -> None:
    page = Outline((demo / "report.html").read_text())
    text = "".join(page.text)
    assert not {"b", "i", "script"} & {tag for tag, _ in page.tags}
    for name in (*HOSTILE[:3], "<i>own</i>", "a <b>study & more"):
        assert name in text, name


def test_identifiers_are_unique_and_every_picture_says_what_it_shows(demo: Path) -> None:
    page = Outline((demo / "report.html").read_text())
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    used = set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", (demo / "report.html").read_text()))
    assert used <= set(identifiers)
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert all(attributes.get("aria-label") for tag, attributes in page.tags if tag == "svg")


def test_the_same_runs_give_the_same_figures(tmp_path: Path) -> None:
    study(tmp_path / "study", ("random", "margin"), range(2), Run(rounds=3))
    for out in ("once", "again"):
        assert main([str(tmp_path / "study"), "--out", str(tmp_path / out)]) == 0
    for file in (tmp_path / "once" / "figures").iterdir():
        assert file.read_bytes() == (tmp_path / "again" / "figures" / file.name).read_bytes(), file.name


def fingerprint(folder: Path) -> dict[str, tuple[int, int, str]]:
    """All files and folders with their times of change and contents, the report's aside."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        name = path.relative_to(folder)
        if name.parts[:1] != ("report",) and path != folder:
            about = path.stat()
            data = path.read_bytes() if path.is_file() else b""
            found[str(name)] = (about.st_mtime_ns, about.st_ino, sha256(data).hexdigest())
    return found


def test_a_live_study_is_reported_and_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "live"
    study(folder, ("random", "margin"), range(2), Run())
    write(folder, Run("entropy", rounds=2, planned=6, state="failed"))
    (folder / "digits-cnn-bald-s0-empty").mkdir()
    begun = folder / "digits-cnn-bald-s1-begun"  # killed before its first round
    (begun / "rounds" / ".000").mkdir(parents=True)
    (begun / "config.yaml").write_text("seed: 1\n")
    damaged = write(folder, Run("margin", seed=2))
    for name in ("summary.json", "pool.npz", "queries.csv", "rounds/005/confusion.csv", "rounds/005/reliability.csv"):
        (damaged / name).write_bytes(b"\xff\x00 half")
    (damaged / "rounds" / "000" / "scores.csv").write_bytes(b"low,high\n1")
    (damaged / "rounds" / "000" / "queries.png").unlink()
    (damaged / "rounds" / "000" / "queries.png").symlink_to("/etc/hostname")
    held = write(folder, Run("kmeans", rounds=3, planned=6, state="running"))
    (held / "rounds" / ".003").mkdir()
    (held / ".lock").touch()
    (held / ".holder").write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    lock = (
        "import fcntl, sys; file = open(sys.argv[1]); fcntl.flock(file, fcntl.LOCK_EX); print('held', flush=True); "
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", lock, held / ".lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout and process.stdout.readline() == "held\n"
        before = fingerprint(folder)
        assert main([str(folder)]) == 0
        assert fingerprint(folder) == before
        assert main([str(held), "--out", str(tmp_path / "alone")]) == 0, "a single run, held by its process"
        assert fingerprint(folder) == before
    finally:
        process.communicate()
    html = (folder / "report" / "report.html").read_text()
    for state in ("finished", "running", "failed"):
        assert f"<td>{state}</td>" in html
    for name in ("summary.json", "queries.csv", "confusion.csv", "reliability.csv"):
        assert re.search(rf"<li>[^<]*{name}[^<]*(left out|cannot be read)", html), (
            f"the page says that {name} is damaged"
        )
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--target", "95"], "an accuracy is above 0 and at most 1"),
        (["--target", "nan"], "an accuracy is above 0 and at most 1"),
        (["--target", "-1", "--measure", "nll"], "a negative log likelihood is above 0"),
        (["--target", "inf", "--measure", "nll"], "a negative log likelihood is above 0"),
        (["--measure", "ece"], "invalid choice: 'ece'"),
        (["--target", "high"], "high: not a number"),
        (["--cost-per-label", "-1"], "money is 0 or more"),
        (["--out", "{run}/report"], "in a run folder"),
    ],
)
def test_bad_arguments_are_refused(
    tmp_path: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write(tmp_path / "study", Run())
    with pytest.raises(SystemExit) as refused:
        main([str(run), *(argument.format(run=run) for argument in arguments)])
    assert refused.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(run.glob("report*"))


def test_no_runs_and_no_place_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert "no run with a committed round" in capsys.readouterr().err
    assert not (tmp_path / "report").exists()
    write(tmp_path / "study", Run())
    (tmp_path / "file").touch()
    assert main([str(tmp_path / "study"), "--out", str(tmp_path / "file")]) == 1
    assert "name another folder with --out" in capsys.readouterr().err
