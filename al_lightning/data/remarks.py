"""What a person should know of the images of a folder: on standard error, and in the run's banner."""

import sys
from collections import defaultdict
from collections.abc import Sequence

from al_lightning.data import levels
from al_lightning.data.cache import Images
from al_lightning.data.levels import Levels


def remarks(root: str, pool: Sequence[str], images: Images, wanted: Levels) -> tuple[str, ...]:
    """Warn of what images have and their pixels do not, a line for each kind and not for each file.

    Args:
        root: as it was given.
        pool: paths that decide on the scale.
        images: all of them.
        wanted: `dataset.levels`.

    Returns:
        For the banner: how values of more than 8 bits become 8.
    """
    kinds = defaultdict(list)
    for path, notes in images.notes.items():
        for note in notes:
            kinds[note.partition(":")[0]].append((path, note))
    for found in kinds.values():
        path, note = found[0]
        others = f", and so with {len(found) - 1} more" if len(found) > 1 else ""
        print(f"warning: {root}: {path} {note}{others}", file=sys.stderr)
    if not images.scale:
        return ()
    spans = [images.spans[path] for path in pool if path in images.spans] or list(images.spans.values())
    if said := levels.too_few(wanted, images.scale, spans):
        print(f"warning: {root}: {said}", file=sys.stderr)
    beyond = [path for path, span in images.spans.items() if span.highest > images.scale.high]
    if beyond and wanted != "percentile":
        print(
            f"warning: {root}: {len(beyond)} 16-bit images have values above {images.scale.high} "
            f"(dataset.levels={wanted}), which are white like it, the first of them {beyond[0]}",
            file=sys.stderr,
        )
    return (levels.describe(wanted, images.scale),)
