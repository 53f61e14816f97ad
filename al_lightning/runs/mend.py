"""What a crash, or a damaged disk, has left in a run folder is put in order before the run goes on."""

import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from al_lightning.disk import place, replace_file
from al_lightning.runs import rounds
from al_lightning.runs.folder_state import SET_ASIDE, Standing, standing
from al_lightning.runs.ledger_file import FILE, LedgerFile
from al_lightning.runs.rounds import INITIAL

OWN = re.compile(r"\.(\d{3,}|initial)(\.old)?")  # in `rounds`: one that is being written, and the one it replaces


def mend(path: Path) -> Standing:
    """Remove half-written files; name what is damaged, and move it to `set-aside/` with the rounds after it.

    Args:
        path: the run folder, which this process holds.

    Returns:
        What stands.

    Raises:
        OSError: it cannot be written.
    """
    _finish_commit(path / "rounds")
    found, initial = standing(path), path / "rounds" / INITIAL
    if found.initial is not None and not initial.exists():  # of an earlier version
        replace_file(path, FILE, b"".join(event.line() for event in found.ledger.events))
        place(initial, rounds.initial_files(found.initial, found.rounds[0].classes))
        found = replace(found, ledger=LedgerFile(path / FILE))
    if not found.damage:
        return found
    stands = f"going on after round {len(found.rounds) - 1}" if found.rounds else "beginning anew"
    print(f"warning: {path}/{found.damage}; {stands}", file=sys.stderr)
    # The ledger first: without it the rounds that have seen more are found damaged again if this is cut short.
    if found.ledger.is_cut:
        lost = shutil.copyfile(path / FILE, _free(path / FILE, path / SET_ASIDE))
        print(f"warning: {lost}: answers that are asked for again", file=sys.stderr)
        replace_file(path, FILE, found.ledger.data)
    for folder in rounds.folders(path)[len(found.rounds) :]:
        set_aside(folder, path / SET_ASIDE)
    if found.initial is None and initial.exists():
        set_aside(initial, path / SET_ASIDE)
    return found


def _finish_commit(folder: Path) -> None:
    """Finish, or take back, the commit that a process was killed in."""
    for left_over in folder.glob(".*"):
        if not OWN.fullmatch(left_over.name):
            continue  # of a file manager or a file system: .DS_Store, ._001, .nfs...
        whole = left_over.with_name(left_over.name.strip(".").removesuffix(".old"))
        if left_over.suffix == ".old" and not whole.exists():  # killed between the two renames of a commit
            left_over.rename(whole)
        else:
            shutil.rmtree(left_over)


def set_aside(what: Path, place: Path) -> Path:
    """Move a file or folder into a folder, under a name that is free there; returns where it is now."""
    return what.rename(_free(what, place))


def _free(what: Path, place: Path) -> Path:
    place.mkdir(exist_ok=True)
    number = 1
    while (target := place / f"{what.name}.{number}").exists():
        number += 1
    return target
