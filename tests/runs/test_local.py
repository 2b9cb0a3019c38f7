"""Units are carried out whatever happens to the processes that they run in."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

from seepage.errors import InputError, MissingExtraError, SeepageError, StorageError, TrainingError
from seepage.runs import Inline, Processes
from seepage.runs.local import ATTEMPTS, _Worker, worker_environment


def nothing(position, fraction):
    pass


def run(executor, task, units):
    return dict(executor.map(task, units, nothing))


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


# Reached only where something is broken: on a busy machine what takes a second takes many.
PATIENCE_S = 120


def wait_until(condition, seconds=PATIENCE_S):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def square(unit, report):
    report(0.5)
    return {"square": unit["n"] ** 2, "pid": os.getpid()}


@dataclass(frozen=True)
class Marks:
    """Leaves a line for each attempt; kills its own process in the first `deaths` attempts at unit `fatal`."""

    folder: Path
    fatal: int = -1
    deaths: int = 0

    def __call__(self, unit, report):
        with open(self.folder / f"attempts-{unit}", "a") as file:
            file.write(f"{os.getpid()}\n")
        if unit == self.fatal and len(self.attempts(unit)) <= self.deaths:
            print("my last words", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        (self.folder / f"done-{unit}").touch()
        return unit * 10

    def attempts(self, unit):
        return (self.folder / f"attempts-{unit}").read_text().split()


@pytest.mark.parametrize("executor", [Inline(), Processes(1), Processes(2)], ids=["inline", "one", "two"])
def test_every_unit_is_carried_out_once_and_says_how_far_it_is(executor):
    heard = []
    units = [{"n": n} for n in range(5)]
    found = dict(executor.map(square, units, lambda position, fraction: heard.append((position, fraction))))
    assert {position: value["square"] for position, value in found.items()} == {n: n * n for n in range(5)}
    assert sorted(heard) == [(n, 0.5) for n in range(5)]
    pids = {value["pid"] for value in found.values()}
    if isinstance(executor, Inline):
        assert pids == {os.getpid()}
    else:
        assert os.getpid() not in pids
        assert len(pids) <= executor.workers


def test_no_units_need_no_workers():
    assert run(Processes(2), square, []) == {}


def test_a_killed_worker_takes_only_its_unit_with_it_and_that_is_tried_again(tmp_path):
    task = Marks(tmp_path, fatal=1, deaths=1)
    assert run(Processes(2), task, [0, 1, 2, 3]) == {0: 0, 1: 10, 2: 20, 3: 30}
    assert [len(task.attempts(unit)) for unit in range(4)] == [1, 2, 1, 1]
    assert len(set(task.attempts(1))) == 2


def test_a_unit_that_always_kills_its_worker_is_given_up_and_named(tmp_path):
    task = Marks(tmp_path, fatal=2, deaths=99)
    finished = []
    with pytest.raises(TrainingError, match=r"died 3 times on unit 3 of 4, 2 (?s:.*)my last words"):
        finished.extend(position for position, _ in Processes(1).map(task, [0, 1, 2, 3], nothing))
    assert len(task.attempts(2)) == ATTEMPTS == 3
    assert finished == [0, 1]
    assert (tmp_path / "done-0").exists()
    assert (tmp_path / "done-1").exists()


@dataclass(frozen=True)
class Raises:
    error: Exception

    def __call__(self, unit, report):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [InputError("an empty column"), StorageError("no room"), MissingExtraError("ray", "ray", "this cluster")],
    ids=lambda error: type(error).__name__,
)
def test_our_own_errors_arrive_as_themselves(error):
    with pytest.raises(type(error)) as caught:
        run(Processes(1), Raises(error), [0])
    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)
    assert "test_local.py" in str(caught.value.__cause__)  # where in the worker it was raised


def test_an_error_class_of_a_script_arrives_as_itself():
    class Own(SeepageError):
        pass

    with pytest.raises(Own, match="mine"):
        run(Processes(1), lambda unit, report: Raises(Own("mine"))(unit, report), [0])


def test_other_errors_arrive_with_their_text_and_place():
    with pytest.raises(TrainingError, match=r"ZeroDivisionError: by nothing(?s:.*)test_local"):
        run(Processes(1), Raises(ZeroDivisionError("by nothing")), [0])


def test_a_full_disk_in_a_worker_is_told_as_one():
    with pytest.raises(StorageError, match=r"the disk is full.*No space left"):
        run(Processes(1), Raises(OSError(28, "No space left on device")), [0])


def test_an_exit_is_a_death():
    with pytest.raises(TrainingError, match="died 3 times"):
        run(Processes(1), Raises(SystemExit(0)), [0])


def test_a_result_that_is_no_json_is_an_error_and_not_a_broken_message():
    with pytest.raises(TrainingError, match="not JSON serializable"):
        run(Processes(1), lambda unit, report: {1, 2}, [0])


def chatty(unit, report):
    print('{"kind": "done", "value": "forged"}', flush=True)
    os.write(1, b'{"kind": "error"}\nhalf a line')
    subprocess.run(["echo", "a child of mine"], check=True)
    sys.stderr.write("x" * 200_000)  # more than a pipe holds
    return "\n genuine \u2028 \u00e9"


def test_printing_in_a_task_disturbs_no_message():
    assert run(Processes(2), chatty, [0, 1, 2]) == dict.fromkeys(range(3), "\n genuine \u2028 \u00e9")


def test_closures_and_lambdas_are_carried():
    offset = [100]
    assert run(Processes(1), lambda unit, report: unit + offset[0], [1, 2]) == {0: 101, 1: 102}


def test_workers_have_one_thread():
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    assert run(Processes(1), lambda unit, report: [os.environ[name] for name in names], [0]) == {0: ["1"] * 3}


def test_workers_are_told_no_secret_of_their_parent(monkeypatch):
    secrets = ("AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "GITHUB_TOKEN", "OMPANY_PASSWORD", "MY_PATH", "PYTHO")
    needed = ("CUDA_VISIBLE_DEVICES", "TORCH_HOME", "SEEPAGE_OWN", "LC_TIME", "OPENBLAS_CORETYPE")
    for name in (*secrets, *needed):
        monkeypatch.setenv(name, f"value of {name}")
    there = run(Processes(1), lambda unit, report: dict(os.environ), [0])[0]
    assert not [name for name in secrets if name in there]
    assert {name: there[name] for name in needed} == {name: f"value of {name}" for name in needed}
    assert there["PATH"] == os.environ["PATH"]
    assert there["OMP_NUM_THREADS"] == "1"


def test_a_recipe_s_own_variables_are_passed_on_by_name():
    parent = {"HF_TOKEN": "1", "MY_ONE": "2", "MY_TWO": "3", "OTHER": "4", "PATH": "/bin"}
    there = worker_environment(parent | {"SEEPAGE_INHERIT": "HF_TOKEN, MY_*"})
    assert {name: there[name] for name in parent if name in there} == {
        "HF_TOKEN": "1", "MY_ONE": "2", "MY_TWO": "3", "PATH": "/bin"
    }  # fmt: skip
    assert parent.keys() <= worker_environment(parent | {"SEEPAGE_INHERIT": "*"}).keys()


class SeepageWarning(UserWarning):
    pass


SeepageWarning.__module__ = "seepage.tests"


def test_a_warning_of_this_package_reaches_the_parent():
    def task(unit, report, kind=SeepageWarning):
        warnings.warn("to whom it concerns", kind, stacklevel=1)
        warnings.warn("for the log alone", UserWarning, stacklevel=1)

    with pytest.warns(SeepageWarning, match="to whom it concerns") as heard:
        run(Processes(1), task, [0])
    assert len(heard) == 1


def test_abandoning_a_map_ends_its_workers():
    results = Processes(2).map(square, [{"n": n} for n in range(4)], nothing)
    _, value = next(results)
    assert is_alive(value["pid"])
    results.close()
    assert not is_alive(value["pid"])


def test_ended_workers_leave_no_thread_behind_that_listens():
    for _ in range(3):
        with pytest.raises(TrainingError):
            run(Processes(2), Raises(KeyError("x")), list(range(2)))
    wait_until(lambda: not [t for t in threading.enumerate() if "_listen" in t.name])


def test_a_worker_that_is_ended_before_anybody_listened_to_it_is_heard_out(monkeypatch):
    listen, late = _Worker._listen, threading.Event()

    def slowly(self, inbox):
        if self.name == 1:  # until the other worker's error has ended them both
            late.set()
            wait_until(lambda: self.process.poll() is not None)
        listen(self, inbox)

    monkeypatch.setattr(_Worker, "_listen", slowly)
    with pytest.raises(TrainingError):
        run(Processes(2), Raises(KeyError("x")), list(range(2)))
    assert late.is_set()
    wait_until(lambda: not [t for t in threading.enumerate() if "slowly" in t.name])


def script(tmp_path, body):
    """Start a script of a user's own, without a `__main__` guard, from a folder whose names shadow others."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "cwd").mkdir()
    (tmp_path / "cwd" / "base64.py").write_text("raise SystemExit('the working folder is not on the path')")
    (tmp_path / "scripts" / "neighbour.py").write_text("FACTOR = 7")
    path = tmp_path / "scripts" / "mine.py"
    path.write_text(textwrap.dedent(body))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.Popen(
        [sys.executable, str(path), str(tmp_path)],
        cwd=tmp_path / "cwd",
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_script_needs_no_main_guard_and_runs_once(tmp_path):
    process = script(
        tmp_path,
        """
        import neighbour
        from seepage.runs import Processes

        print("started")

        class Task:
            def __init__(self, offset):
                self.offset = offset

            def __call__(self, unit, report):
                return (lambda n: n * neighbour.FACTOR + self.offset)(unit)

        print(sorted(dict(Processes(2).map(Task(1), [1, 2, 3], lambda p, f: None)).values()))
        """,
    )
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (out, err) == ("started\n[8, 15, 22]\n", "")


WITH_RECORDS = """
    import os, pathlib, sys, time
    from seepage.runs import Processes

    folder, records = pathlib.Path(sys.argv[1]), b"the records" * 100_000

    def task(unit, report):
        (folder / f"seen-{unit}").write_text(str(len(records)))
        time.sleep(3600)

    list(Processes(2).map(task, [0, 1], lambda p, f: None))
"""


def test_nothing_of_the_records_is_left_of_a_killed_parent(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    process = script(tmp_path, WITH_RECORDS)
    try:
        wait_until(lambda: all((tmp_path / f"seen-{n}").exists() for n in (0, 1)) or process.poll() is not None)
        assert list((tmp_path / "temporary").iterdir()) == []  # not even while it runs
        process.kill()
        process.communicate(timeout=PATIENCE_S)
        assert list((tmp_path / "temporary").iterdir()) == []
    finally:
        process.kill()
        process.communicate()


SLEEPERS = """
    import os, pathlib, sys, time
    from seepage.runs import Processes

    folder = pathlib.Path(sys.argv[1])

    def task(unit, report):
        (folder / f"pid-{unit}.part").write_text(str(os.getpid()))
        os.replace(folder / f"pid-{unit}.part", folder / f"pid-{unit}")
        time.sleep(3600)

    list(Processes(2).map(task, [0, 1], lambda p, f: None))
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_a_parent_that_ends_leaves_no_worker_behind(tmp_path, sent):
    process = script(tmp_path, SLEEPERS)
    pids = [tmp_path / "pid-0", tmp_path / "pid-1"]
    try:
        wait_until(lambda: all(pid.exists() for pid in pids) or process.poll() is not None)
        workers = [int(pid.read_text()) for pid in pids]
        assert all(map(is_alive, workers))
        process.send_signal(sent)
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode != 0
        wait_until(lambda: not any(map(is_alive, workers)))
        assert ("KeyboardInterrupt" in err) == (sent == signal.SIGINT)
        assert "Exception in thread" not in err
    finally:
        process.kill()
        process.communicate()


def test_inline_raises_our_errors_as_they_are_and_others_as_one_of_ours():
    error = InputError("x")
    with pytest.raises(InputError) as caught:
        run(Inline(), Raises(error), [0])
    assert caught.value is error
    for error in (ZeroDivisionError("by nothing"), StopIteration("at the end")):
        with pytest.raises(TrainingError, match=f"a training failed: {type(error).__name__}: {error}") as caught:
            run(Inline(), Raises(error), [0])
        assert caught.value.__cause__ is error


def test_units_arrive_as_the_json_that_they_are():
    unit = {"key": "\u00e9\n", "models": [1, 2], "none": None}
    assert run(Processes(1), lambda unit, report: unit, [unit]) == {0: json.loads(json.dumps(unit))}
