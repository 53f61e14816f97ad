"""A folder that is there whole or not at all, and that only another export may take the place of."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from al_lightning.disk import swap, sync, write
from al_lightning.errors import ConfigError

MARK = "export.json"  # in every folder that was made here


@contextmanager
def placing(out: Path, about: Mapping[str, Any], *, overwrite: bool) -> Iterator[Path]:
    """A folder to be filled, which is `out` after the block, or is gone if the block fails.

    Args:
        out: where it goes.
        about: what `export.json` says of it.
        overwrite: whether it may take the place of an earlier export.

    Raises:
        ConfigError: there is something already, and it is no export or is to stay.
    """
    out = out.resolve()
    if out.exists() and not overwrite:
        raise ConfigError(f"--out {out}: is there already; name another folder, or give --overwrite")
    if out.exists() and not (out / MARK).is_file():
        raise ConfigError(f"--out {out}: --overwrite replaces earlier exports only, and this has no {MARK}")
    part = out.with_name(f".{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        write(part / MARK, json.dumps(about, ensure_ascii=False, indent=2).encode() + b"\n")
        for each in (*part.rglob("*"), part):
            sync(each)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    swap(part, out)
