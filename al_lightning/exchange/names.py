"""Names that every file system takes, each once."""

import re
from pathlib import PurePosixPath

from al_lightning.data.names import alike, is_left_behind

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # Windows has no files of these names
_LONGEST = 255  # bytes


def safe(name: str) -> str:
    """A name for a folder: without what some system forbids, and none that is hidden or passed over."""
    name = _cut(_FORBIDDEN.sub("_", name), _LONGEST - 55).rstrip(" .")
    is_odd = not name or name.startswith(".") or is_left_behind(name) or _DEVICES.fullmatch(name)
    return f"_{name}" if is_odd else name


def free(name: str, taken: dict[str, int]) -> str:
    """A name that nothing has yet, also where case does not count: the name itself, or `name_2`.

    Args:
        name: of a file or folder.
        taken: what has been given so far; takes the new one.
    """
    if alike(name) not in taken:
        taken[alike(name)] = 1
        return name
    suffix = PurePosixPath(name).suffix
    while True:
        taken[alike(name)] += 1
        number = f"_{taken[alike(name)]}"
        other = _cut(name.removesuffix(suffix), _LONGEST - len(f"{number}{suffix}".encode())) + number + suffix
        if alike(other) not in taken:
            taken[alike(other)] = 1
            return other


def _cut(text: str, length: int) -> str:
    """The beginning of a text, of at most so many bytes."""
    return text.encode()[:length].decode(errors="ignore")
