"""A child process with limits, in which a model file that somebody else wrote is opened and asked.

The parent sends batches and the child answers, both as .npy bytes: nothing that crosses the pipe can name a class to
build. The child is this very file, run as a script, so it imports only what it needs to answer. Limits on memory,
processor time and file size stop what is known to go wrong (an ONNX file of 142 bytes can ask for 4 TB, or loop for
ever); they are no sandbox against a bug in the parser itself, for which there are containers.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import select
import struct
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np

MEMORY_BYTES = 8 << 30
OPENING_TIME_S = 60.0  # of which importing the library takes seconds on a slow disk
BATCH_TIME_S = 120.0

_LENGTH = struct.Struct("<Q")
_OK, _ERROR = b"+", b"!"

# -I keeps the environment and the working directory out of the import path; the parent's own path is handed over.
_START = (
    "import json, runpy, sys; sys.path[:] = json.loads(sys.argv[1]); runpy.run_path(sys.argv[2], run_name='__main__')"
)


def encode(array: np.ndarray) -> bytes:
    """The array as .npy bytes."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def decode(payload: bytes) -> np.ndarray:
    """The array that these .npy bytes are, whose header is believed only as far as the bytes bear it out.

    Raises:
        ValueError: they are no array of plain numbers.
    """
    buffer = io.BytesIO(payload)
    if np.lib.format.read_magic(buffer) != (1, 0):
        raise ValueError("expected version 1 of the .npy format")
    shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(buffer)
    if dtype.kind not in "fiub" or fortran_order:
        raise ValueError(f"expected plain numbers in C order, got dtype {dtype}")
    body = payload[buffer.tell() :]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(body):
        raise ValueError(f"an array of shape {shape} does not fill {len(body)} bytes")
    return np.frombuffer(body, dtype=dtype).reshape(shape)


class Sandbox:
    """One model, open in a child process of its own.

    Args:
        engine: "onnx" or "lightgbm".
        path: the model file. Only its bytes are read: an ONNX file cannot reach other files.
        output_name: which output of an ONNX graph to return; needed where several could be meant.
        memory_bytes: address space that the child may take, beside four times the file.
        batch_time_s: processor time for one batch; its answer is waited for four times as long.

    Raises:
        SandboxError: the child could not open the file within its limits.
    """

    def __init__(
        self,
        engine: str,
        path: Path | str,
        *,
        output_name: str | None = None,
        memory_bytes: int = MEMORY_BYTES,
        batch_time_s: float = BATCH_TIME_S,
    ):
        if sys.platform == "win32":
            raise SandboxError("a process with limits needs Linux or macOS: use a container with either")
        self._wall_time_s = 4 * max(batch_time_s, OPENING_TIME_S)
        self._folder = tempfile.TemporaryDirectory(prefix="seepage-")
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _START, json.dumps([entry for entry in sys.path if entry]), __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.name,
            env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},  # no secrets of the parent's
        )
        self._finalizer = weakref.finalize(self, _end, self._child, self._folder)
        settings = {
            "engine": engine,
            "file": str(Path(path).resolve()),
            "output": output_name,
            "memory_bytes": memory_bytes + 4 * Path(path).stat().st_size,
            "opening_time_s": math.ceil(max(batch_time_s, OPENING_TIME_S)),
            "batch_time_s": math.ceil(batch_time_s),
        }
        self.facts: dict[str, Any] = json.loads(self._ask(json.dumps(settings).encode()))
        self._wall_time_s = 4 * batch_time_s

    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """What the model answers to one batch.

        Raises:
            SandboxError: the model refused the batch, ran into a limit, or its answer is no array of numbers.
        """
        answer = self._ask(encode(inputs))
        try:
            return decode(answer)
        except ValueError as error:
            self.close()
            raise SandboxError(f"the model's answer is not a plain array: {error}") from error

    def close(self) -> None:
        """Ends the child."""
        self._finalizer()

    def _ask(self, message: bytes) -> bytes:
        if not self._finalizer.alive:
            raise SandboxError("the model's process has ended: load the file again")
        try:
            self._child.stdin.write(_LENGTH.pack(len(message)) + message)
            self._child.stdin.flush()
            deadline = time.monotonic() + self._wall_time_s
            status = self._read(1, deadline)
            answer = self._read(*_LENGTH.unpack(self._read(_LENGTH.size, deadline)), deadline)
        except (BrokenPipeError, EOFError) as error:
            code = self._child.wait()
            self.close()
            raise SandboxError(f"the model's process died ({_death(code)})") from error
        except BaseException:
            self.close()  # half an answer may be in the pipe: whoever asked next would get it
            raise
        if status != _OK:
            raise SandboxError(answer.decode(errors="replace")[:2000])
        return answer

    def _read(self, n_bytes: int, deadline: float) -> bytes:
        if n_bytes > MEMORY_BYTES:
            raise SandboxError(f"the model's answer to one batch is {n_bytes} bytes long")
        parts = []
        while n_bytes:
            if not select.select([self._child.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise SandboxError(f"the model did not answer within {self._wall_time_s:.0f} s")
            part = os.read(self._child.stdout.fileno(), min(n_bytes, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            n_bytes -= len(part)
        return b"".join(parts)


class SandboxError(Exception):
    """The child could not do what it was asked; the message says why."""


def _end(child: subprocess.Popen, folder: tempfile.TemporaryDirectory) -> None:
    child.kill()
    child.wait()
    child.stdout.close()
    with contextlib.suppress(BrokenPipeError):  # the rest of a message that it no longer took
        child.stdin.close()
    folder.cleanup()


def _death(code: int) -> str:
    reasons = {-24: "out of processor time", -25: "it tried to write a file", -9: "killed, perhaps out of memory"}
    return reasons.get(code, f"signal {-code}" if code < 0 else f"exit code {code}")


# From here on: the child.


def _limit(memory_bytes: int) -> None:
    import resource

    limits = ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0))
    for which, limit in limits:
        hard = resource.getrlimit(which)[1]
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(which, (limit, limit))


def _limit_time(batch_time_s: int) -> None:
    """Sets the limit anew for every batch: a long audit is no offence, a batch without end is."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = math.ceil(used.ru_utime + used.ru_stime) + batch_time_s
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _open_onnx(content: bytes, output: str | None):
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    if len(session.get_inputs()) != 1:
        names = [entry.name for entry in session.get_inputs()]
        raise ValueError(f"expected a graph with one input, this one has {len(names)}: {names}")
    graph_input = session.get_inputs()[0]
    dtypes = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
    if graph_input.type not in dtypes:
        raise ValueError(f"expected a graph that takes a tensor of floats, this one takes {graph_input.type}")
    dtype = dtypes[graph_input.type]
    outputs = {entry.name: entry.type for entry in session.get_outputs()}
    if output is None:
        scores = [name for name, kind in outputs.items() if kind in dtypes]
        if len(scores) != 1:
            raise ValueError(
                f"expected one output that is a tensor of floats, the outputs are {outputs}: name one with "
                "output_name= (--output-name), and export scikit-learn models with options={'zipmap': False}"
            )
        output = scores[0]
    elif output not in outputs:
        raise ValueError(f"there is no output '{output}', the outputs are {list(outputs)}")
    elif not outputs[output].startswith("tensor(") or "string" in outputs[output]:
        raise ValueError(
            f"the output '{output}' is a {outputs[output]}, expected a tensor of numbers: export scikit-learn models "
            "with options={'zipmap': False}, and classes as numbers"
        )
    fixed = graph_input.shape[0] if graph_input.shape else None
    facts = {
        "input_shape": [n if isinstance(n, int) else None for n in graph_input.shape],
        "dtype": np.dtype(dtype).name,
        "output": output,
    }

    def run(inputs: np.ndarray) -> np.ndarray:
        inputs = inputs.astype(dtype)
        if isinstance(fixed, int) and fixed != len(inputs):  # exported with a batch size that cannot be changed
            padding = np.zeros((-len(inputs) % fixed, *inputs.shape[1:]), dtype)
            padded = np.concatenate([inputs, padding])
            parts = [
                session.run([output], {graph_input.name: part})[0] for part in np.split(padded, len(padded) // fixed)
            ]
            return np.concatenate(parts)[: len(inputs)]
        return session.run([output], {graph_input.name: inputs})[0]

    return run, facts


def _open_lightgbm(content: bytes, output: str | None):
    import lightgbm

    text = content.decode()
    booster = lightgbm.Booster(model_str=text)
    head = text.partition("feature_names=")[0]
    facts = {
        "header": head[:10_000],
        "rounds": booster.current_iteration(),
        "n_features": booster.num_feature(),
        "columns": booster.feature_name(),
    }
    return lambda inputs: booster.predict(inputs.reshape(len(inputs), -1), raw_score=True, num_threads=1), facts


def _serve() -> None:
    pipe_in, pipe_out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not look like an answer

    def receive() -> bytes:
        header = pipe_in.read(_LENGTH.size)
        if len(header) < _LENGTH.size:
            raise SystemExit  # the parent is gone
        return pipe_in.read(*_LENGTH.unpack(header))

    def send(status: bytes, answer: bytes) -> None:
        pipe_out.write(status + _LENGTH.pack(len(answer)) + answer)
        pipe_out.flush()

    settings = json.loads(receive())
    _limit(settings["memory_bytes"])
    _limit_time(settings["opening_time_s"])
    try:
        with open(settings["file"], "rb") as file:
            content = file.read()
        open_engine = {"onnx": _open_onnx, "lightgbm": _open_lightgbm}[settings["engine"]]
        run, facts = open_engine(content, settings["output"])
        send(_OK, json.dumps(facts).encode())
        del content
    except Exception as error:  # whatever it is, the parent must hear of it
        send(_ERROR, f"{type(error).__name__}: {error}".encode())
        raise SystemExit from error
    while True:
        message = receive()
        try:
            _limit_time(settings["batch_time_s"])
            send(_OK, encode(np.asarray(run(decode(message)))))
        except Exception as error:
            send(_ERROR, f"{type(error).__name__}: {error}".encode())


if __name__ == "__main__":
    _serve()
