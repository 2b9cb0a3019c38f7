"""What a local worker process runs: units in on standard input, messages out on standard output."""

import base64
import errno
import json
import mmap
import os
import pickle
import queue
import sys
import threading
import traceback
import warnings
from typing import Any

import cloudpickle

from seepage.errors import SeepageError


def main(task_file: int) -> None:
    # Whatever the task prints must not mix with the messages.
    messages = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    units: queue.Queue = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            units.put(json.loads(line))
        os._exit(1)  # the parent is gone: stop in the middle; a unit that is not committed does not exist

    threading.Thread(target=read, daemon=True).start()

    def say(kind: str, **content) -> None:
        messages.write(json.dumps({"kind": kind, **content}) + "\n")

    shown = warnings.showwarning

    def show(message, category, *place, **where) -> None:
        if category.__module__.startswith("seepage."):
            say("warning", pickle=_pickled(message))  # for the user, who does not see what a worker prints
        else:
            shown(message, category, *place, **where)

    warnings.showwarning = show
    # Mapped, not read: all workers have the same open file, and with it one position in it.
    with os.fdopen(task_file, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        task = pickle.loads(content)
    while True:
        unit = units.get()
        try:
            say("done", value=task(unit, lambda fraction: say("progress", fraction=fraction)))
        except Exception as error:
            own = _pickled(error) if isinstance(error, SeepageError) else None
            no_space = isinstance(error, OSError) and error.errno == errno.ENOSPC
            text = f"{type(error).__name__}: {error}"
            say("error", text=text, pickle=own, no_space=no_space, traceback=traceback.format_exc()[-3000:])


def _pickled(value: Any) -> str:
    return base64.b64encode(cloudpickle.dumps(value)).decode()


if __name__ == "__main__":
    main(int(sys.argv[1]))
