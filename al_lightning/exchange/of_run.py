"""The labels of a run: what its queries asked for and its oracle answered."""

from pathlib import Path
from typing import Any

from al_lightning.config.targets import public
from al_lightning.data.cache_folder import Manifest
from al_lightning.data.layout import find_images
from al_lightning.data.look import check_all_read, look
from al_lightning.data.search import NONE, Looking, resolved
from al_lightning.errors import DataError
from al_lightning.exchange.labels import Answer, Image, Labels
from al_lightning.people.answers import LABELED, OPEN
from al_lightning.people.records import LABEL

FOLDER = "al_lightning.dataset.folder"


def is_run(folder: Path) -> bool:
    """Whether this is a run folder."""
    return (folder / "config.yaml").is_file() and (folder / "rounds").is_dir()


def of_run(folder: Path) -> Labels:
    """Read the labels of a run, finished or not; labels that nobody asked for are not among them.

    Its images have a digest only with `dataset.ids=content`, and are files only with `dataset=folder`.

    Raises:
        ConfigError: its configuration cannot be read.
        DataError: another file of it, or its images, cannot be read.
    """
    # With PyTorch, which a project does not need.
    from al_lightning.data.listing import from_csv_gz
    from al_lightning.runs import stored
    from al_lightning.runs.folder_state import LISTING, standing
    from al_lightning.runs.rounds import INITIAL, DamagedError, read_initial

    settings = stored.read(folder)["dataset"]
    try:
        ids = [each.id for each in from_csv_gz((folder / LISTING).read_bytes()) if each.part == "pool"]
        _, classes = read_initial(folder / "rounds" / INITIAL)
    except (OSError, ValueError, DamagedError) as error:
        raise DataError(f"{folder}: the list of its images or its classes cannot be read: {error}") from error
    found = standing(folder)
    if found.damage:
        raise DataError(f"{folder}: damaged: {found.damage}; the run's command mends it")
    last = {each.index: each for each in found.ledger.events}
    root = Path(settings["root"]).expanduser() if public(settings["_target_"]) == FOLDER else None
    by_content = root is not None and settings.get("ids") == "content"
    paths = _paths(root, settings) if root is not None and by_content else {}

    def image(index: int, id_: str) -> Image:
        digest, path = (id_, paths.get(id_, "")) if by_content else ("", id_)
        if (event := last.get(index)) is None:
            return Image(digest, path, OPEN, None, [])
        label = classes[event.answer] if isinstance(event.answer, int) else None
        kind = LABEL if label is not None else str(event.answer)
        answer = Answer(index + 1, event.by, kind, label, event.at)
        return Image(digest, path, LABELED if label is not None else kind, label, [answer])

    return Labels(root, classes, [image(index, id_) for index, id_ in enumerate(ids)])


def _paths(root: Path, settings: Any) -> dict[str, str]:
    """The path of every content below a root."""
    known = {"exclude": settings.get("exclude") or (), "follow_links": bool(settings.get("follow_links"))}
    found = find_images(Looking(str(root), None, own_folders=settings.get("own_folders") or (), labels=NONE, **known))
    paths = sorted((path for each in found.pool.values() for path in each), reverse=True)
    seen = look(resolved(str(root)), paths, Manifest("", 0, {}, {}))
    check_all_read(root, len(paths), seen.failed)
    return {seen.files[path].content: path for path in paths if path in seen.files}
