#!/usr/bin/env python3
"""Set up and run Seepage with nothing but Python 3.11+ and pip.

    python3 run.py demo              set up, then audit two models trained on real data (about 2 minutes)
    python3 run.py test              set up, then run the fast tests
    python3 run.py test --slow       the slow tests too (real data sets, many trainings)
    python3 run.py seepage ...       set up, then any command of `seepage`

Options before other arguments:
    --extras a,b    install optional parts too: onnx, parquet, tabular
    --gpu           install PyTorch's CUDA build instead of the CPU build

It makes `.venv` beside this file. The CPU build of PyTorch is asked for by its exact name, so that the
CUDA build (3 GB) can never come in its place: where no CPU build can be found, set-up stops and says so.
"""

import hashlib
import os
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "seepage-set-up"
CONSTRAINTS = ROOT / "constraints-cpu.txt"
TORCH = "2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"


def stop(message: str) -> None:
    sys.exit(f"run.py: {message}")


def pip(*arguments: str) -> bool:
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", *arguments]
    return subprocess.run(command, cwd=ROOT).returncode == 0


def install_torch(gpu: bool) -> None:
    if gpu or sys.platform != "linux":
        if not pip(f"torch=={TORCH}"):
            stop(f"pip could not install torch=={TORCH}; its message is above")
        return
    wanted = f"torch=={TORCH}+cpu"
    # First from wherever this machine's pip is told to look, then from PyTorch's own index of CPU builds.
    quiet = subprocess.run([str(PYTHON), "-m", "pip", "install", "--quiet", wanted], capture_output=True, cwd=ROOT)
    if quiet.returncode != 0 and not pip(wanted, "--extra-index-url", CPU_INDEX):
        stop(
            f"no CPU build of PyTorch {TORCH} was found. Make {CPU_INDEX} reachable, or put the wheel into a folder "
            "and set PIP_FIND_LINKS to it; with --gpu the CUDA build (3 GB) is installed instead"
        )


def set_up(extras: set[str], gpu: bool) -> None:
    """Make `.venv` hold the package and the extras; do nothing where it does already."""
    content = (ROOT / "pyproject.toml").read_bytes() + CONSTRAINTS.read_bytes() + str(gpu).encode()
    digest = hashlib.sha256(content + sys.version.encode()).hexdigest()
    there = STAMP.read_text().split() if STAMP.exists() else [""]
    if there[0] == digest and extras <= set(there[1:]):
        return
    if there[0] == digest:
        extras = extras | set(there[1:])
    print("Setting up .venv (once, a minute or two) ...", flush=True)
    STAMP.unlink(missing_ok=True)
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    install_torch(gpu)
    package = f".[{','.join(sorted(extras))}]" if extras else "."
    constraints = [] if gpu else ["--constraint", str(CONSTRAINTS)]
    if not pip(*constraints, "--editable", package):
        stop("pip could not install the package; its message is above")
    STAMP.write_text(" ".join([digest, *sorted(extras)]))


def take(arguments: list[str], name: str) -> str | None:
    """The value of an option, removed from the arguments."""
    for position, argument in enumerate(arguments):
        if argument == name and position + 1 < len(arguments):
            del arguments[position]
            return arguments.pop(position)
        if argument.startswith(name + "="):
            return arguments.pop(position).split("=", 1)[1]
    return None


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] not in ("demo", "test", "seepage"):
        print(__doc__)
        return 0 if arguments in ([], ["-h"], ["--help"]) else 2
    if sys.version_info < (3, 11):  # noqa: UP036 - this file must speak for itself to older Pythons
        stop(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    verb, *rest = arguments
    extras = set(filter(None, (take(rest, "--extras") or "").split(",")))
    gpu = "--gpu" in rest
    rest = [argument for argument in rest if argument != "--gpu"]
    set_up(extras | ({"test"} if verb == "test" else set()), gpu)
    if verb != "test":
        return subprocess.run([str(PYTHON), "-m", "seepage", *(["demo"] if verb == "demo" else []), *rest]).returncode
    if "--slow" in rest:
        rest = ["-m", "slow or not slow", *(argument for argument in rest if argument != "--slow")]
    # One thread a process: threads of several processes that share the cores wait for each other.
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([str(PYTHON), "-m", "pytest", "-n", "auto", *rest], cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
