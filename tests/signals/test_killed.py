"""A run is killed at many moments, driver and workers in turn, and always ends with the same bits."""

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

N_MODELS, N_MOMENTS, PATIENCE_S = 10, 20, 300

SCRIPT = """
    import functools, sys
    import numpy as np
    import seepage
    from seepage.signals.collect import collect

    rng = np.random.default_rng(0)
    pool = seepage.Pool(rng.normal(size=(400, 20)).astype(np.float32), rng.integers(0, 3, 400))
    recipe = seepage.Recipe(functools.partial(seepage.MLP, hidden=(32,)), seepage.SGD(0.1), epochs=25, batch_size=16)
    columns = rng.random((400, int(sys.argv[2]))) < 0.5
    found = collect(
        recipe, pool, columns, root_seed=3, engine="single", workers=2, folder=sys.argv[1], keep_weights=True,
        weights_cache=sys.argv[1] + "-cache",
    )
    np.save(sys.argv[1] + "/logits.npy", found.logits)
"""


def start(folder):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, str(folder.parent / "script.py"), str(folder), str(N_MODELS)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def workers_of(driver):
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rsplit(")", 1)[1].split()[1])
            if parent == driver.pid and b"seepage.runs.worker" in (stat.parent / "cmdline").read_bytes():
                found.append(int(stat.parent.name))
        except OSError:
            continue  # it ended
    return sorted(found)


def committed(folder):
    """Content and time of every unit, of every model on the cache, and of the manifest."""
    files = [*units(folder), *Path(f"{folder}-cache").rglob("*.safetensors"), folder / "manifest.json"]
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files if file.exists()}


def units(folder):
    return list(folder.glob("units/*.safetensors"))


def digests(folder):
    """Of the answers and of every model's weights."""
    weights = sorted((folder / "weights").glob("*.safetensors"))
    files = [folder / "logits.npy", *weights]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


@pytest.mark.slow
def test_twenty_kills_lose_nothing_that_was_committed_and_change_no_bit(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    whole = start(tmp_path / "whole")
    said = whole.communicate(timeout=PATIENCE_S)[1]
    assert (whole.returncode, said) == (0, "")
    assert len(digests(tmp_path / "whole")) == 1 + N_MODELS
    rng = np.random.default_rng(20)
    n_committed = []
    for moment in range(N_MOMENTS):
        folder = tmp_path / f"killed-{moment}"
        n_units, further_s = int(rng.integers(0, N_MODELS)), float(rng.uniform(0, 0.3))
        driver, end = start(folder), time.monotonic() + PATIENCE_S
        while len(units(folder)) < n_units or not workers_of(driver):
            assert driver.poll() is None, driver.stderr.read()
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)
        time.sleep(further_s)
        if moment % 2 == 0:
            driver.kill()
            driver.communicate(timeout=PATIENCE_S)
            time.sleep(0.5)  # until its workers have seen it
            before = committed(folder)
            driver = start(folder)
        else:
            workers = workers_of(driver)
            before = committed(folder)
            if workers:  # or it was just done
                os.kill(workers[int(rng.integers(len(workers)))], signal.SIGKILL)
        said = driver.communicate(timeout=PATIENCE_S)[1]
        assert (driver.returncode, said) == (0, ""), moment
        after = committed(folder)
        assert {file: after[file] for file in before} == before, moment
        assert digests(folder) == digests(tmp_path / "whole"), moment
        n_committed.append(len(before))
    assert len(set(n_committed)) > 4  # early, in the middle and late
