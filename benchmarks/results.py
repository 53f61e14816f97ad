"""`benchmarks/RESULTS.md` and `RESULTS-GPU.md`, a section a benchmark: each rewrites its own."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
RESULTS_GPU = Path(__file__).with_name("RESULTS-GPU.md")


def write_section(title: str, *lines: str, file: Path = RESULTS) -> None:
    """Put lines under a heading of a file, in place of those that are there, and print them."""
    text = "\n".join(lines).strip() + "\n"
    sections = re.split(
        r"^## ", file.read_text(encoding="utf-8") if file.exists() else "# Measured\n", flags=re.MULTILINE
    )
    kept = [section.rstrip() + "\n" for section in sections[1:] if not section.startswith(f"{title}\n")]
    file.write_text("\n## ".join(["# Measured\n", *sorted([*kept, f"{title}\n\n{text}"])]), encoding="utf-8")
    print(text)


def machine() -> str:
    """What a figure was measured on."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "pytorch-lightning"))
    return f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, {packages}"
