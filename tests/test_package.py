"""What is shipped: the wheel, the source distribution, the lock file and the Makefile."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command that must succeed, away from this checkout's environment, and return its output."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    env = {key: value for key, value in os.environ.items() if key not in hidden}
    env |= {"WANDB_MODE": "disabled", "HYDRA_FULL_ERROR": "1", "PIP_NO_INPUT": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command} exited {done.returncode}:\n{done.stdout}"
    return done.stdout


# --- wheel ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, cwd=ROOT)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts folder of a new venv that holds the wheel and borrows this environment's dependencies."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False, symlinks=os.name != "nt")
    scheme = {"base": str(home), "platbase": str(home)}
    site = Path(sysconfig.get_path("purelib", "venv", scheme))
    scripts = Path(sysconfig.get_path("scripts", "venv", scheme))
    # A folder named in a .pth file comes after the venv's own, and the .pth files inside it are not read:
    # the dependencies are found, the editable install of this checkout is not.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = scripts / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=home)
    return scripts


def test_wheel_holds_every_module_and_config(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    modules = {
        path.relative_to(ROOT).as_posix()
        for kind in ("py", "html", "js", "css", "svg")
        for path in (ROOT / "al_lightning").rglob(f"*.{kind}")
    }
    configs = {f"al_lightning/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "conf").rglob("*.yaml")}
    wanted = {"al_lightning/py.typed", *modules, *configs}
    assert configs
    assert wanted <= held, f"not in the wheel: {sorted(wanted - held)}"
    strays = [name for name in held if not name.startswith(("al_lightning/", "al_lightning-"))]
    assert not strays


def test_wheel_runs_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    python = installed / "python"
    where = run(python, "-c", "import al_lightning; print(al_lightning.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent), f"imported {where.strip()}, not the wheel"

    run(python, "-m", "al_lightning", "--help", cwd=tmp_path)
    run(installed / "al-lightning", "dry_run=true", cwd=tmp_path)


# --- source distribution -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", out, cwd=ROOT)
    (archive,) = out.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(out, filter="data")
    return archive.with_name(archive.name.removesuffix(".tar.gz"))


def test_the_source_distribution_holds_what_its_tests_need_and_its_pages_link_to(unpacked: Path) -> None:
    folders = ("al_lightning", "benchmarks", "conf", "docs", "tests")
    own = {path.relative_to(ROOT) for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()}
    for page in ROOT.glob("*.md"):
        linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        own |= {Path(page.name), *map(Path, linked)}
    assert Path("LICENSE") in own | {Path(name) for name in PROJECT["license-files"]}
    is_made = re.compile(r"__pycache__|(^|/)\.venv/|\.hypothesis")
    assert [str(each) for each in sorted(own) if not is_made.search(str(each)) and not (unpacked / each).exists()] == []


def test_tests_pass_in_the_source_distribution(unpacked: Path) -> None:
    """Those that read its other files, and a few that run it; from there, as the program beside them."""
    chosen = ["tests/test_plan.py", "tests/test_conf.py", "tests/test_contributing.py", "tests/test_readme.py"]
    chosen += ["tests/test_identity.py", "tests/test_package.py"]
    subset = "lock or make_help or file_that_is_named or options or known or fingerprint"
    line = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *chosen, "-k", subset]
    done = run("env", f"PYTHONPATH={unpacked}", *line, cwd=unpacked)
    assert re.search(r"\d{2} passed", done) and "skipped" not in done.rpartition("\n")[2]


# --- lock file -----------------------------------------------------------------------------------------------------


def locked() -> list[tuple[Requirement, list[str]]]:
    """Return every requirement of the lock file with its hashes; two versions of one package differ by marker."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    pairs = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            requirement, *hashes = re.split(r"\s+--hash=", line.strip())
            pairs.append((Requirement(requirement), hashes))
    return pairs


def test_lock_pins_and_hashes_every_requirement() -> None:
    pairs = locked()
    assert pairs
    for requirement, hashes in pairs:
        pins = list(requirement.specifier)
        assert [pin.operator for pin in pins] == ["=="], f"{requirement} is not pinned"
        assert not pins[0].version.endswith(".*"), f"{requirement} is not pinned"
        assert hashes, f"{requirement} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", item) for item in hashes), f"{requirement} has a bad hash"


def test_lock_names_no_index_and_no_url() -> None:
    for number, line in enumerate((ROOT / "requirements.lock").read_text().splitlines(), start=1):
        assert "://" not in line, f"line {number} holds a URL"
        assert " @ " not in line, f"line {number} names a file or a URL"
        assert line.startswith(("#", "    --hash=")) or not line.lstrip().startswith("-"), f"line {number} is an option"


def test_lock_satisfies_pyproject() -> None:
    versions: dict[str, list[str]] = {}
    for requirement, _ in locked():
        (pin,) = requirement.specifier
        versions.setdefault(canonicalize_name(requirement.name), []).append(pin.version)
    for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]:
        wanted = Requirement(line)
        found = versions.get(canonicalize_name(wanted.name))
        assert found, f"{line} is not in requirements.lock: run make lock"
        for version in found:
            assert wanted.specifier.contains(version, prereleases=True), f"{line}, but {version} is locked"


# --- Makefile ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text()
    rules = set(re.findall(r"^([a-z][\w-]*):(?!=)", text, flags=re.MULTILINE))
    (phony,) = re.findall(r"^\.PHONY:(.*)$", text, flags=re.MULTILINE)
    assert rules == set(phony.split())

    listed = re.findall(r"^make (\S+) +\S", run("make", "--no-print-directory", cwd=ROOT), flags=re.MULTILINE)
    assert sorted(listed) == sorted(rules)
