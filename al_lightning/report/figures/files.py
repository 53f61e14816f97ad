"""Figures as files, and as elements of an HTML page."""

import re
import warnings
from base64 import b64encode
from dataclasses import dataclass
from html import escape
from io import BytesIO, StringIO
from itertools import count
from pathlib import Path

from matplotlib import rc_context

from al_lightning.report.figures.style import SETTINGS, THEMED, WIDTH, Drawing


@dataclass(frozen=True)
class Shown:
    """A figure as the page holds it.

    Attributes:
        title: the heading above it.
        caption: how to read it.
        svg: an element of an HTML page; it holds no address, and no identifier that another figure has.
        files: the names of its files, the kind of each first, such as `PDF`.
        folded: what stands in its place until the reader opens it; empty where it is open.
    """

    title: str
    caption: str
    svg: str
    files: tuple[tuple[str, str], ...]
    folded: str


def save(drawing: Drawing, folder: Path, prefix: str) -> Shown:
    """Save a figure as `<prefix>-<name>.svg`, `.png` and `.pdf`, and what it shows as `.csv` where that is a table."""
    stem = f"{prefix}-{drawing.name}"
    text, png, pdf = StringIO(), BytesIO(), BytesIO()
    with rc_context({**SETTINGS, "svg.hashsalt": stem}), warnings.catch_warnings():
        # Which letters are missing depends on the fonts of this machine; the SVG leaves them to the browser's.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        drawing.figure.savefig(text, format="svg", dpi=150, metadata={"Date": None, "Title": drawing.alt})
        about = {"Title": _latin(drawing.alt)}
        # A picture without a ground is black on black in many a viewer.
        settings = {"facecolor": "white", "metadata": about, "pil_kwargs": {"compress_level": 3}}
        drawing.figure.savefig(png, format="png", dpi=150, **settings)
        drawing.figure.savefig(pdf, format="pdf", dpi=200, metadata={**about, "CreationDate": None})
    files = {"svg": text.getvalue().encode(errors="replace"), "pdf": pdf.getvalue(), "png": png.getvalue()}
    if drawing.data is not None:
        files["csv"] = drawing.data.to_csv(index=False, lineterminator="\n").encode(errors="replace")
    for suffix, data in files.items():
        write(folder / f"{stem}.{suffix}", data)
    return Shown(
        title=drawing.title,
        caption=drawing.caption,
        svg=inline(text.getvalue(), drawing.alt, float(drawing.figure.get_size_inches()[0]) / WIDTH),
        files=tuple((suffix.upper(), f"{folder.name}/{stem}.{suffix}") for suffix in files),
        folded=drawing.folded,
    )


def write(file: Path, data: bytes) -> None:
    """Write a file whole or not at all: a browser may be reading the one before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.part")
    part.write_bytes(data)
    part.replace(file)


def inline(svg: str, alt: str, share: float) -> str:
    """What an HTML page holds of an SVG file of matplotlib's.

    Args:
        svg: the file.
        alt: what it shows.
        share: of the page's width, from 0 to 1.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<title>.*?</title>|<!--.*?-->", "", body, flags=re.DOTALL)
    # Groups are numbered anew in every figure, and nothing refers to them; what is referred to has a salted hash.
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in used else "", body)
    body = re.sub(r"\s*<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    # A figure in the page takes the page's colors; the file keeps its own.
    body = re.sub(r'style="[^"]*"', lambda found: _COLOR.sub(_themed, found[0]), body)
    box = re.search(r'viewBox="[^"]*"', body)
    head = (
        f'<svg role="img" aria-label="{escape(alt)}" {box[0] if box else ""} style="--share:{share:.4g}" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg">'
    )
    return re.sub(r"\n\s*", "\n", head + body[body.index(">") + 1 :])


def data_uri(png: bytes) -> str:
    """A PNG as an address that holds it."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


def slug(text: str, taken: set[str]) -> str:
    """A file name's worth of a text, not in `taken`, and put there."""
    base = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "setting"
    name = next(name for n in count(1) if (name := base if n == 1 else f"{base}-{n}") not in taken)
    taken.add(name)
    return name


_COLOR = re.compile("|".join(THEMED))


def _themed(found: re.Match[str]) -> str:
    return f"var({THEMED[found[0]]})"


def _latin(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")  # all that a PNG's text may hold
