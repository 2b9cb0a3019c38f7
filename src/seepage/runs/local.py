"""A supervised pool of local processes, one thread each.

Each worker is a fresh interpreter (`python -m seepage.runs.worker`), so a user's script needs no
`__main__` guard and nothing is forked under a running thread pool. A worker that dies takes only its
unit with it: the unit is tried again, three times in all, in a new worker. A parent that dies takes its
workers with it, because they watch the pipe that it holds open.

The task, with all records in it, is handed over in a file that has no name: nothing is left of it when its last
reader ends, however that happens. Workers share its pages in memory.
"""

import base64
import json
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, cast

import cloudpickle

from seepage.errors import SeepageError, StorageError, TrainingError
from seepage.runs.executor import Progress, Task, Unit

ATTEMPTS = 3
LAST_LINES_S = 5.0  # how long what an ended worker said last may take to be read

# One thread a process: OpenMP's threads spin when processes share the cores. Blocks of memory are kept,
# because handing gradients back to the system after each step costs a page fault for each page of them.
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
}


# What a worker takes from its parent: where things are, the language, and what numerical libraries read. Passwords,
# tokens and all else stay out. Names that end in * stand for all that begin so.
INHERITED = (
    "PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TEMP", "TMP", "TZ", "LANG", "LANGUAGE", "LC_*", "XDG_CACHE_HOME",
    "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_*", "PYTHON*", "VIRTUAL_ENV", "CONDA_PREFIX",
    "CUDA*", "CUBLAS*", "CUDNN*", "NVIDIA*", "HIP*", "ROCR*", "TORCH*", "PYTORCH*",
    "OMP_*", "GOMP_*", "KMP_*", "MKL_*", "OPENBLAS_*", "BLIS_*", "VECLIB_*", "NUMEXPR_*", "MALLOC_*", "SEEPAGE_*",
    "SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "APPDATA", "LOCALAPPDATA", "USERPROFILE",
)  # fmt: skip
# Names, separated by commas, of what a recipe of one's own needs besides.
ALSO_INHERITED = "SEEPAGE_INHERIT"


def worker_environment(parent: Mapping[str, str]) -> dict[str, str]:
    """The environment variables of a worker, from those of its parent."""
    patterns = (*INHERITED, *(name.strip() for name in parent.get(ALSO_INHERITED, "").split(",")))
    names, beginnings = set(patterns), tuple(p[:-1] for p in patterns if p.endswith("*"))
    kept = {name: value for name, value in parent.items() if name in names or name.startswith(beginnings)}
    return kept | WORKER_ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}


class _Worker:
    def __init__(self, name: int, task: int, inbox: queue.Queue):
        self.name = name
        self.position: int | None = None
        self.log = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - lives as long as the worker
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "seepage.runs.worker", str(task)],
            pass_fds=[task],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=worker_environment(os.environ),
            start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends its workers
            text=True,
        )
        self.questions, self.answers = cast(IO[str], self.process.stdin), cast(IO[str], self.process.stdout)
        self.listener = threading.Thread(target=self._listen, args=(inbox,), daemon=True)
        self.listener.start()

    def _listen(self, inbox: queue.Queue) -> None:
        for line in self.answers:
            inbox.put((self, json.loads(line)))
        inbox.put((self, {"kind": "gone"}))

    def give(self, position: int, unit: Unit) -> None:
        self.position = position
        try:
            self.questions.write(json.dumps(unit) + "\n")
            self.questions.flush()
        except BrokenPipeError:
            pass  # it is gone already: its listener says so, and the unit is tried again

    def last_words(self) -> str:
        self.log.seek(0)
        return self.log.read()[-2000:].decode(errors="replace").strip()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.listener.join(LAST_LINES_S)  # it may not have begun to read yet
        self.questions.close()
        self.answers.close()
        self.log.close()


class Processes:
    """Units spread over `workers` local processes."""

    def __init__(self, workers: int):
        self.workers = workers

    def map(self, task: Task, units: Sequence[Unit], progress: Progress) -> Iterator[tuple[int, Any]]:
        """See `Executor.map`.

        Raises:
            TrainingError: a unit killed its worker three times, or the task raised an error of its own.
            SeepageError: whatever error of this package the task raised.
        """
        waiting = list(reversed(range(len(units))))
        attempts = [0] * len(units)
        inbox: queue.Queue = queue.Queue()
        with tempfile.TemporaryFile() as task_file:
            cloudpickle.dump(task, task_file)
            task_file.flush()
            busy: set[_Worker] = set()

            def start() -> None:
                worker = _Worker(len(busy), task_file.fileno(), inbox)
                busy.add(worker)
                hand_out(worker)

            def hand_out(worker: _Worker) -> None:
                position = waiting.pop()
                attempts[position] += 1
                worker.give(position, units[position])

            try:
                for _ in range(min(self.workers, len(units))):
                    start()
                finished = 0
                while finished < len(units):
                    worker, message = inbox.get()
                    if message["kind"] == "progress":
                        progress(worker.position, message["fraction"])
                    elif message["kind"] == "done":
                        finished += 1
                        yield worker.position, message["value"]
                        worker.position = None
                        if waiting:
                            hand_out(worker)
                    elif message["kind"] == "warning":
                        warnings.warn_explicit(_unpickled(message["pickle"]), None, filename="seepage", lineno=0)
                    elif message["kind"] == "error":
                        raise _error(message)
                    elif worker.position is not None and worker in busy:
                        words = worker.last_words()
                        busy.discard(worker)
                        worker.end()
                        if attempts[worker.position] >= ATTEMPTS:
                            raise TrainingError(
                                f"a worker process died {ATTEMPTS} times on unit {worker.position + 1} of "
                                f"{len(units)}, {json.dumps(units[worker.position])[:200]} (out of memory?); "
                                f"finished units are kept. Its last words: {words or 'none'}"
                            )
                        waiting.append(worker.position)
                        start()
            finally:
                for worker in busy:
                    worker.end()


class RaisedInWorker(Exception):
    """The traceback of an error in a worker, as text."""


def _error(message: dict) -> SeepageError:
    if message["pickle"]:
        error = _unpickled(message["pickle"])
        error.__cause__ = RaisedInWorker(message["traceback"])  # a pickled error leaves its own behind
        return error
    if message["no_space"]:
        return StorageError(f"the disk is full: {message['text']}; finished units are kept, free some space and go on")
    return TrainingError(f"a training failed: {message['text']}\n{message['traceback']}")


def _unpickled(text: str) -> Any:
    return pickle.loads(base64.b64decode(text))
