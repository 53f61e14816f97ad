"""The pictures and tables of docs/ from three studies: docs/report.png and docs/study/.

    make paper-small
    python -m al_lightning experiment=training_size_small
    python -m al_lightning experiment=n_clusters_small
    python benchmarks/pictures.py multirun_outputs/{paper_small,training_size_small,n_clusters_small}

It writes `report/` in each study, as `python -m al_lightning.report` does. The page is photographed by Chromium.
"""

import argparse
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from al_lightning.report.__main__ import main as report

DOCS = Path(__file__).parents[1] / "docs"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Name in docs/study/, then which study it is of and the name of its figure.
FIGURES = {
    "learning-curves": (0, "learning-curves"),
    "class-balance": (0, "class-balance"),
    "pool-map": (0, "pool-map"),
    "training-size": (1, "learning-curves"),
    "clusters": (2, "clusters"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("strategies", "sizes", "clusters"):
        parser.add_argument(name, type=Path, help=f"the study of {name}")
    arguments = parser.parse_args()
    studies = (arguments.strategies, arguments.sizes, arguments.clusters)
    for study in studies:
        if report([str(study)]):
            raise SystemExit(f"no report on {study}")
    photograph(studies[0] / "report" / "report.html", DOCS / "report.png")
    for name, (study, figure) in FIGURES.items():
        (found,) = (studies[study] / "report" / "figures").glob(f"*-{figure}.png")
        with Image.open(found) as picture:  # a palette is a third of the size
            picture.convert("RGB").quantize(256).save(DOCS / "study" / f"{name}.png", optimize=True)
    for old in (file for suffix in ("csv", "md") for file in (DOCS / "study").glob(f"*.{suffix}")):
        old.unlink()
    for table in (studies[0] / "report" / "tables").iterdir():
        if table.suffix in (".csv", ".md") and table.name != "mnist-curve.md":  # which only points to the CSV
            shutil.copyfile(table, DOCS / "study" / table.name.removeprefix("mnist-"))


def photograph(page: Path, picture: Path) -> None:
    """What a reader sees first of a page, 1,440 pixels wide, down to the end of the first figure."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
        tab.goto(page.resolve().as_uri())
        tab.evaluate("document.querySelector('h1 + p').remove()")  # the time of reading
        height = tab.evaluate("Math.ceil(document.querySelector('figure').getBoundingClientRect().bottom) + 16")
        tab.screenshot(path=picture, full_page=True, clip={"x": 0, "y": 0, "width": 1440, "height": height})
        browser.close()


if __name__ == "__main__":
    main()
