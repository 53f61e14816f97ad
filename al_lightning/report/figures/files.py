"""Figures as files, and as elements of an HTML page."""

import re
import warnings
from base64 import b64encode
from html import escape
from io import BytesIO, StringIO
from itertools import count
from pathlib import Path

from matplotlib import rc_context

from al_lightning.report.figures.style import SETTINGS, WIDTH, Drawing


def save(drawing: Drawing, folder: Path, prefix: str) -> str:
    """Save a figure as `<prefix>-<name>.svg` and `.png`.

    Returns:
        The SVG as an element of an HTML page: it holds no address, and no identifier that another figure has.
    """
    stem = f"{prefix}-{drawing.name}"
    text = StringIO()
    with rc_context({**SETTINGS, "svg.hashsalt": stem}), warnings.catch_warnings():
        # Which letters are missing depends on the fonts of this machine; the SVG leaves them to the browser's.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        drawing.figure.savefig(text, format="svg", dpi=150, metadata={"Date": None, "Title": drawing.alt})
        png = BytesIO()
        drawing.figure.savefig(
            png, format="png", dpi=150, metadata={"Title": _latin(drawing.alt)}, pil_kwargs={"compress_level": 3}
        )
    write(folder / f"{stem}.svg", text.getvalue().encode(errors="replace"))
    write(folder / f"{stem}.png", png.getvalue())
    return inline(text.getvalue(), drawing.alt, float(drawing.figure.get_size_inches()[0]) / WIDTH)


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
    box = re.search(r'viewBox="[^"]*"', body)
    head = (
        f'<svg role="img" aria-label="{escape(alt)}" {box[0] if box else ""} style="width:{100 * share:.4g}%" '
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


def _latin(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")  # all that a PNG's text may hold
