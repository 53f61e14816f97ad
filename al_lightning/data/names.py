"""What the name of a file or folder says of it: a picture, no picture, or what a machine has left there."""

import os
import re
from collections.abc import Iterable
from fnmatch import translate
from pathlib import PurePosixPath
from unicodedata import category, normalize

from al_lightning.data.decode import SUFFIXES

# What file managers, network drives, archives and tools leave among pictures, their thumbnails above all. Names with a
# leading dot are skipped anyway.
_LEFT_BEHIND = frozenset(
    {
        *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "@__thumb", "@synoresource", "#recycle", "#snapshot"),
        *("$recycle.bin", "$extend", "system volume information", "lost+found"),
        *("__macosx", "network trash folder", "temporary items", "icon\r"),
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "__pycache__", "wandb"),
    }
)
_LEFT_BEHIND_PATTERN = re.compile(r"found\.\d{3}|syno(photo|file)_thumb.*|~\$.*", re.DOTALL)
# Hidden folders that hold a tool's files: not worth a word, whatever pictures are in them.
_TOOLS = frozenset(
    {
        *(".git", ".hg", ".svn", ".cache", ".config", ".local", ".venv", ".tox", ".nox", ".vscode", ".idea"),
        *(".ipynb_checkpoints", ".ruff_cache", ".pytest_cache", ".mypy_cache", ".hypothesis", ".npm"),
        *(".thumbnails", ".thumbs", ".thumb", ".picasaoriginals", ".@__thumb", ".trash", ".trashes", ".appledouble"),
        *(".spotlight-v100", ".fseventsd", ".documentrevisions-v100", ".temporaryitems", ".snapshot", ".snapshots"),
    }
)

# Files that nobody takes for pictures: passed over without a word.
_NO_PICTURES = frozenset(
    {
        *(
            ".txt",
            ".md",
            ".rst",
            ".log",
            ".json",
            ".jsonl",
            ".ndjson",
            ".geojson",
            ".xml",
            ".csv",
            ".tsv",
            ".yaml",
            ".yml",
        ),
        *(".toml", ".ini", ".cfg", ".conf", ".html", ".htm", ".css", ".js", ".db", ".sqlite", ".lnk", ".url", ".pdf"),
        *(
            ".doc",
            ".docx",
            ".odt",
            ".rtf",
            ".xls",
            ".xlsx",
            ".ods",
            ".ppt",
            ".pptx",
            ".py",
            ".ipynb",
            ".m",
            ".sh",
            ".bat",
        ),
        *(
            ".exe",
            ".dll",
            ".names",
            ".data",
            ".list",
            ".idx",
            ".lock",
            ".md5",
            ".sha1",
            ".sha256",
            ".sfv",
            ".mat",
            ".npy",
        ),
        *(
            ".npz",
            ".pkl",
            ".pickle",
            ".pt",
            ".pth",
            ".onnx",
            ".h5",
            ".hdf5",
            ".parquet",
            ".arrow",
            ".tfrecord",
            ".lmdb",
        ),
        *(".safetensors", ".zip", ".tar", ".gz", ".bz2", ".xz", ".zst", ".tgz", ".7z", ".rar", ".mp4", ".m4v", ".mov"),
        *(".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".mts", ".m2ts", ".mp3", ".wav", ".m4a"),
        *(".flac", ".ogg", ".aac", ".srt", ".xmp", ".aae", ".thm", ".pp3", ".dop"),
    }
)

_EXTRA = "needs the extra images: pip install 'al-lightning[images]'; or save it as PNG or JPEG"
_RAW = "raw data of a camera: develop it to TIFF or JPEG"
_DRAWING = "a drawing, not pixels: save it as PNG"
# Why a picture cannot be decoded, where there is more to say than that.
_REASONS = {
    **dict.fromkeys((".heic", ".heif", ".hif", ".heics", ".heifs", ".avif", ".avifs"), _EXTRA),
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf"), _RAW),
    **dict.fromkeys((".rw2", ".pef", ".srw", ".x3f", ".3fr", ".erf", ".kdc", ".mrw", ".iiq", ".rwl", ".raw"), _RAW),
    **dict.fromkeys((".svg", ".svgz", ".eps", ".ps", ".ai", ".wmf", ".emf", ".cdr"), _DRAWING),
    **dict.fromkeys((".dcm", ".dicom"), "DICOM cannot be decoded: convert it to PNG or TIFF"),
    ".jxl": "JPEG XL cannot be decoded: save it as PNG or JPEG",
}


def normal(name: str) -> str:
    """A name in NFC: systems spell accents in one or in two characters, and mean the same."""
    return normalize("NFC", name)


def alike(name: str) -> str:
    """Equal for names that look the same, or nearly so: case, spaces around, invisible and wide characters."""
    visible = "".join(character for character in normalize("NFKC", name) if category(character) != "Cf")
    return " ".join(visible.casefold().split())


def printable(path: str) -> str:
    r"""A path for people: bytes that are not UTF-8 become `\x..`."""
    return os.fsencode(path).decode(errors="backslashreplace")


def is_utf8(name: str) -> bool:
    """Whether a name that the file system gave can be written down."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_left_behind(name: str) -> bool:
    """Whether a machine, and no person, has put this there."""
    folded = name.casefold()
    return folded in _LEFT_BEHIND or bool(_LEFT_BEHIND_PATTERN.fullmatch(folded))


def is_tools(name: str) -> bool:
    """Whether a hidden folder is a tool's or a system's own."""
    return name.casefold() in _TOOLS or name.casefold().startswith(".trash-")


def why_not(name: str) -> str | None:
    """Why a file is left out by its name.

    Returns:
        Nothing for one that is to be decoded, known by its suffix or without one: then its content decides. None for
        one that is no picture.
    """
    suffix = PurePosixPath(name).suffix.lower()
    # What follows the dot of `IM.1.2.840` or `photo 12. may` is none.
    if suffix in SUFFIXES or len(suffix) < 2 or suffix[1:].isdigit() or " " in suffix:
        return ""
    if suffix in _NO_PICTURES:
        return None
    return _REASONS.get(suffix, f"{suffix} files cannot be decoded: save it as PNG or JPEG")


def is_picture(name: str) -> bool:
    """Whether the suffix is that of a picture that can be decoded."""
    return PurePosixPath(name).suffix.lower() in SUFFIXES


class Patterns:
    """Glob patterns of names or of paths relative to the root, in any normal form.

    Attributes:
        unused: the patterns that nothing has matched so far.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._compiled = [
            (each, re.compile(translate(normal(each).rstrip("/").removeprefix("./")))) for each in patterns
        ]
        self.unused = {each for each, _ in self._compiled}

    def match(self, path: str) -> bool:
        """Whether one of them matches the path, or its last part."""
        if not self._compiled:
            return False
        path = normal(path)
        name = path.rpartition("/")[2]
        matching = {each for each, pattern in self._compiled if pattern.match(path) or pattern.match(name)}
        self.unused -= matching
        return bool(matching)
