"""Time and memory of scoring: LiRA over many references, RMIA over a large population, beside their floors.

    python3 benchmarks/scoring.py                 # goals: LiRA < 10 s, RMIA < 60 s and < 4 GiB
    python3 benchmarks/scoring.py --samples 10000 --models 64 --tests 100000 --population 100000

Every case runs in a process of its own, in one thread; the peak is that of the whole process up to the end of the
scoring, inputs included. The floor is one np.sort of the same values (LiRA's medians and RMIA's ranks both need one at
least), for signals one exp of every output.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

GIB = 1 << 30
GOALS = {"lira": (10.0, None), "signals": (None, None), "rmia": (60.0, 4 * GIB)}


def main() -> None:
    options = parse()
    if options.case:
        print(json.dumps(CASES[options.case](options)))
        return
    header = f"{'case':52} {'wall s':>8} {'floor s':>8} {'ratio':>6} {'peak GiB':>9} {'inputs GiB':>10}  goal"
    print(header, "-" * len(header), sep="\n")
    for case in CASES:
        environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        command = [sys.executable, __file__, "--case", case, *sys.argv[1:]]
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
        row = json.loads(done.stdout)
        print(
            f"{row['title']:52} {row['wall_s']:8.2f} {row['floor_s']:8.2f} {row['wall_s'] / row['floor_s']:6.1f} "
            f"{row['peak'] / GIB:9.2f} {row['inputs'] / GIB:10.2f}  {verdict(case, row)}"
        )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=100_000, help="records scored by LiRA")
    parser.add_argument("--models", type=int, default=256, help="references of LiRA")
    parser.add_argument("--classes", type=int, default=10, help="classes of the outputs that signals are made from")
    parser.add_argument("--tests", type=int, default=1_000_000, help="records scored by RMIA")
    parser.add_argument("--population", type=int, default=1_000_000, help="population records of RMIA")
    parser.add_argument("--rmia-references", type=int, default=8)
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    return parser.parse_args()


def verdict(case: str, row: dict) -> str:
    seconds, memory = GOALS[case]
    if seconds is None:
        return "-"
    met = row["wall_s"] < seconds and (memory is None or row["peak"] < memory)
    asked = f"< {seconds:.0f} s" + (f", < {memory / GIB:.0f} GiB" if memory else "")
    return f"{asked}: {'met' if met else 'MISSED'}"


def lira(options: argparse.Namespace) -> dict:
    import numpy as np

    from seepage.attacks import ATTACKS
    from seepage.signals.view import View

    rng = np.random.default_rng(0)
    phi = rng.normal(size=(options.samples, options.models + 1, 1))
    is_in = rng.random((options.samples, options.models)) < 0.5
    view = View(
        signals={"scaled-logit": phi},
        labels=np.zeros(options.samples, dtype=np.int64),
        target_column=0,
        reference_columns=np.arange(1, options.models + 1),
        reference_in=is_in,
        reference_out=~is_in,
    )
    title = f"lira-online, {options.samples:,} samples x {options.models} references"
    return measured(
        title,
        work=lambda: ATTACKS["lira-online"].score(view, rng=rng),
        floor=lambda: np.sort(phi[:, 1:, 0], axis=1),
        inputs=phi.nbytes + 2 * is_in.nbytes,
    )


def signals(options: argparse.Namespace) -> dict:
    import numpy as np

    from seepage.signals.functions import SIGNALS

    rng = np.random.default_rng(0)
    logits = rng.standard_normal((options.samples, options.models, 1, options.classes), dtype=np.float32)
    labels = rng.integers(0, options.classes, options.samples)

    def work():
        SIGNALS["scaled-logit"](logits, labels)

    def floor():
        flat = logits.reshape(-1)
        buffer = np.empty(1 << 16)
        for start in range(0, flat.size - buffer.size + 1, buffer.size):
            np.copyto(buffer, flat[start : start + buffer.size])
            np.exp(buffer, out=buffer)

    title = f"scaled logits of {logits.size // options.classes:,} outputs x {options.classes} (floor: exp)"
    return measured(title, work, floor, logits.nbytes)


def rmia(options: argparse.Namespace) -> dict:
    import numpy as np

    from seepage.attacks import ATTACKS
    from seepage.signals.view import View

    rng = np.random.default_rng(0)
    n_samples, n_references = options.tests + options.population, options.rmia_references
    phi = rng.normal(size=(n_samples, n_references + 1, 1))
    population = np.arange(n_samples) >= options.tests
    is_in = (rng.random((n_samples, n_references)) < 0.5) & ~population[:, None]
    view = View(
        signals={"scaled-logit": phi},
        labels=np.zeros(n_samples, dtype=np.int64),
        target_column=0,
        reference_columns=np.arange(1, n_references + 1),
        reference_in=is_in,
        reference_out=~is_in,
        population=population,
    )
    title = f"rmia-online, {options.tests:,} x {options.population:,}, {n_references} references"
    return measured(
        title,
        work=lambda: ATTACKS["rmia-online"].score(view, rng=rng),
        floor=lambda: np.sort(phi[:, 0, 0]),
        inputs=phi.nbytes + 2 * is_in.nbytes,
    )


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measured(title: str, work: Callable[[], object], floor: Callable[[], object], inputs: int) -> dict:
    wall_s = timed(work)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # before the floor adds its own copy
    return {"title": title, "wall_s": wall_s, "floor_s": timed(floor), "inputs": inputs, "peak": peak}


CASES = {"lira": lira, "signals": signals, "rmia": rmia}

if __name__ == "__main__":
    main()
