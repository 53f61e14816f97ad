"""What a run folder holds, for whoever looks at it: the lock is asked, not taken, and nothing is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from al_lightning.oracle import ledger
from al_lightning.runs import rounds
from al_lightning.runs.ledger_file import FILE, LedgerFile
from al_lightning.runs.lock import HOLDER
from al_lightning.runs.rounds import INITIAL, DamagedError, Round

SET_ASIDE = "set-aside"
SWEEPS = ".sweep"  # in a study: a folder for each sweep that runs
LISTING = "images.csv.gz"


@dataclass(frozen=True)
class Standing:
    """What of a run stands.

    Attributes:
        initial: the rows of the query before round 0; None where it has not been committed.
        rounds: the committed rounds in order, up to the first that is missing or damaged, with their answers.
        ledger: all answers.
        damage: what is wrong with the next round, with all, or with the ledger; empty where nothing is.
    """

    initial: list[dict[str, Any]] | None
    rounds: list[Round]
    ledger: LedgerFile
    damage: str


def standing(path: Path) -> Standing:
    """Read a run folder.

    Raises:
        ConfigError: its rounds are of an earlier version, which kept too little to go on with.
    """
    found, damage = _rounds(path)
    classes: Sequence[str] = found[0].classes if found else ()
    initial, folder, answers = None, path / "rounds" / INITIAL, LedgerFile(path / FILE)
    try:
        if folder.exists():
            initial, classes = rounds.read_initial(folder)
    except DamagedError as error:
        return Standing(None, [], answers, f"rounds/{INITIAL}: {error}")
    if found and initial is None:
        if not (path / "rounds" / "000" / rounds.MASKS).exists():
            return Standing(None, [], answers, f"rounds/{INITIAL} is missing")
        from al_lightning.runs import earlier_rounds  # with PyTorch, which a report does not need

        initial, events = earlier_rounds.answers(path / "rounds" / "000", path / LISTING, found)
        answers.events = answers.events or events  # there are some where only the initial query is lost
    seen = [done.environment.get("ledger") for done in found]
    good = next((n for n in range(len(found), 0, -1) if not (at := seen[n - 1]) or answers.has(at)), 0)
    if good < len(found):
        damage = f"rounds/{found[good].number:03d}: {FILE} is not what this round has seen"
        answers.keep(at["events"] if good and (at := seen[good - 1]) else 0)  # the rest is not to be trusted
    elif answers.damage:
        damage = f"{FILE}: {answers.damage}"
    last = {event.index: event for event in answers.events}
    for query in (initial or [], *(done.queries for done in found[:good])):
        query[:] = ledger.with_answers(query, last, classes)
    return Standing(initial, found[:good], answers, damage)


def committed(path: Path) -> tuple[list[Round], str]:
    """The committed rounds of a run folder, and what is wrong with the next one, see :class:`Standing`."""
    found = standing(path)
    return found.rounds, found.damage


def _rounds(path: Path) -> tuple[list[Round], str]:
    found: list[Round] = []
    for folder in rounds.folders(path):
        try:
            if folder.name != f"{len(found):03d}":
                raise DamagedError(f"round {len(found)} is missing before it")
            found.append(rounds.read(folder))
        except DamagedError as error:
            return found, f"rounds/{folder.name}: {error}"
    return found, ""


def lacking(path: Path, n_rounds: int) -> str:
    """What is missing of a run that has finished, or was not closed; nothing if all is there and as it was written.

    Args:
        path: the run folder.
        n_rounds: that it had.
    """
    if (path / HOLDER).exists():
        return "its last process was killed"
    stands = standing(path)
    if stands.damage:
        return stands.damage
    if len(stands.rounds) < n_rounds:
        return f"rounds/{len(stands.rounds):03d} is missing"
    tables = rounds.views(stands.rounds, [stands.initial or [], *(done.queries for done in stands.rounds)])
    if missing := [name for name in ("config.yaml", *tables) if not (path / name).is_file()]:
        return f"{missing[0]} is missing"
    changed = [name for name, table in tables.items() if (path / name).read_bytes() != table]
    return f"{changed[0]} is not what its rounds and answers say" if changed else ""
