"""`python -m al_lightning.followers`, a process of a run that has several devices; a run starts it.

It ends when the process that has started it does, however that ends.
"""

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from queue import SimpleQueue
from typing import Any

from al_lightning.errors import UserError
from al_lightning.signals import handed_on

PATIENCE = 10.0  # seconds until an error is this process's own


def main() -> None:
    """Follow what is said on standard input; answers go to standard output, where nothing else goes."""
    for number in handed_on():  # rank 0 gets them too, and ends this process
        signal.signal(number, signal.SIG_IGN)
    for name in [name for name in os.environ if name.startswith("PL_")]:  # rank 0 goes without them too
        del os.environ[name]
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    said: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_listen, args=(said,), daemon=True).start()
    start = said.get()
    from al_lightning.followers.follow import follow

    try:
        follow(start, said.get, answers)
        os._exit(0)
    except BaseException as error:
        # It may be another rank's end, or the same everywhere: rank 0 says so, and ends this process.
        if not isinstance(error, UserError):
            time.sleep(PATIENCE)
        if isinstance(error, UserError):
            print(f"error: {error}", file=sys.stderr)
        else:
            traceback.print_exc()
        os._exit(1)  # the group may wait for those that are there still


def _listen(said: "SimpleQueue[Any]") -> None:
    while True:
        try:
            said.put(pickle.load(sys.stdin.buffer))
        except (EOFError, OSError, pickle.UnpicklingError):
            os._exit(0)


if __name__ == "__main__":
    main()
