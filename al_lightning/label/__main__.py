"""`python -m al_lightning.label photos`: label images in the browser while a model learns beside you."""

import sys
from collections.abc import Sequence

from al_lightning.signals import Interrupted, importing, raised, told


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve the page until Ctrl-C or SIGTERM; returns the exit code: 130 or 143 where it was stopped before."""
    try:
        with raised():
            with importing():
                from al_lightning.label.command import run
            return run(arguments)
    except Interrupted as stop:
        return told(stop)


if __name__ == "__main__":
    sys.exit(main())
