"""Time the training of N reference models four ways, beside the floor that this machine allows.

    python benchmarks/reference_training.py                     every case, about ten minutes on two cores
    python benchmarks/reference_training.py --case digits -n 64

The ways:
    loop     one after another with torch's DataLoader and optimiser, default threads: the usual script
    single   Seepage's one-by-one engine, one process a core, one thread a process
    stacked  Seepage's stacked engine, one process a core
    planned  what Seepage's planner chooses, its own timing included

The floor is arithmetic at the rate of this machine's own matrix product on all cores at once, plus the
bytes that the optimiser must move (read weights, gradients and moments, write weights and moments) at the
rate of this machine's own memory. Both are measured here. Nothing can be much faster; nothing is included
for activations, batches or Python.

Each way runs in a fresh process. Starting workers is part of its wall time, importing torch in the
parent is not.
"""

import argparse
import functools
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Case:
    about: str
    n: int
    epochs: float
    batch_size: int


CASES = {
    "digits": Case("MLP 64-128-10, digits, Adam", n=64, epochs=100, batch_size=64),
    "binary": Case("MLP 600-256-100, 20,000 binary records, Adam", n=48, epochs=10, batch_size=64),
    "cnn": Case("CNN, 4,000 CIFAR-10 images, SGD with momentum", n=16, epochs=5, batch_size=64),
}
WAYS = ("loop", "single", "stacked", "planned")


def setting(name: str, case: Case):
    """The recipe and the pool of a case."""
    import seepage

    if name == "digits":
        pool = seepage.load("digits")
        model, optimiser = functools.partial(seepage.MLP, hidden=(128,)), seepage.Adam(lr=2e-3)
    elif name == "binary":
        rng = np.random.default_rng(0)
        centres = rng.random((100, 600)) < 0.3
        labels = rng.integers(0, 100, 20_000)
        inputs = centres[labels] ^ (rng.random((20_000, 600)) < 0.2)
        pool = seepage.Pool(inputs.astype(np.float32), labels, name="binary", n_classes=100)
        model, optimiser = functools.partial(seepage.MLP, hidden=(256,)), seepage.Adam(lr=1e-3)
    else:
        pool = seepage.load("cifar10").subset(np.arange(4000))
        model, optimiser = seepage.CNN, seepage.SGD(lr=0.05, momentum=0.9)
    return seepage.Recipe(model, optimiser, epochs=case.epochs, batch_size=case.batch_size), pool


def usual_loop(recipe, pool, columns) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    inputs, labels = torch.from_numpy(pool.batch()), torch.from_numpy(pool.labels)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for column in columns.T:
        chosen = torch.from_numpy(np.flatnonzero(column))
        data = TensorDataset(inputs[chosen], labels[chosen])
        loader = DataLoader(data, batch_size=recipe.batch_size, shuffle=True)
        module = recipe.build(pool.inputs.shape[1:], pool.n_classes, 0).to(device)
        if type(recipe.optimiser).__name__ == "Adam":
            optimiser = torch.optim.Adam(module.parameters(), lr=recipe.optimiser.lr)
        else:
            optimiser = torch.optim.SGD(module.parameters(), lr=recipe.optimiser.lr, momentum=recipe.optimiser.momentum)
        for _ in range(int(recipe.epochs)):
            for x, y in loader:
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(module(x.to(device)), y.to(device)).backward()
                optimiser.step()


def run_way(way: str, name: str, case: Case) -> dict:
    """Train the N models one way; the caller is a process of its own."""
    import torch

    from seepage.models.plan import n_cores
    from seepage.signals.collect import collect

    recipe, pool = setting(name, case)
    columns = np.random.default_rng(1).random((len(pool), case.n)) < 0.5
    start, before = time.perf_counter(), cpu_s()
    chosen = None
    if way == "loop":
        usual_loop(recipe, pool, columns)
    else:
        fixed = {} if way == "planned" else {"engine": way, "workers": n_cores()}
        if torch.cuda.is_available():
            fixed.pop("workers", None)
        chosen = collect(recipe, pool, columns, root_seed=0, **fixed).plan
    answer = {"wall_s": time.perf_counter() - start, "cpu_s": cpu_s() - before}
    if chosen is not None:
        answer["plan"] = f"{chosen.engine}, {chosen.workers} workers, chunk {chosen.chunk}"
    return answer


def cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def measure_rates(_: int) -> tuple[float, float]:
    """This core's matrix-product rate (FLOP/s) and memory rate (byte/s), while the other cores do the same."""
    import torch

    torch.set_num_threads(1)
    a, b = torch.randn(512, 512), torch.randn(512, 512)
    big = torch.zeros(16 << 20)  # 64 MB: more than any cache
    for _ in range(3):
        a @ b
        big.add_(1.0)
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < 1.5:
        a @ b
        n += 1
    flops = n * 2 * 512**3 / (time.perf_counter() - start)
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < 1.5:
        big.add_(1.0)
        n += 1
    return flops, n * 2 * big.numel() * 4 / (time.perf_counter() - start)


def floor_s(name: str, case: Case, flops: float, bandwidth: float) -> float:
    """Seconds for all trainings: arithmetic at `flops` plus optimiser traffic at `bandwidth` (all cores)."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    recipe, pool = setting(name, case)
    module = recipe.build(pool.inputs.shape[1:], pool.n_classes, 0)
    inputs, labels = torch.from_numpy(pool.batch(slice(0, case.batch_size))), torch.from_numpy(pool.labels)
    counter = FlopCounterMode(display=False)
    with counter:
        recipe.objective(module(inputs), labels[: case.batch_size]).backward()
    n_bytes = sum(p.numel() * 4 for p in module.parameters())
    # Adam reads weight, gradient and two moments and writes three of them; momentum SGD has one moment.
    passes = 7 if type(recipe.optimiser).__name__ == "Adam" else 5
    n_steps = case.n * case.epochs * (len(pool) / 2) / case.batch_size
    return n_steps * (counter.get_total_flops() / flops + passes * n_bytes / bandwidth)


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--case", choices=CASES, action="append", help="default: all")
    ask.add_argument("--way", choices=WAYS, action="append", help="default: all")
    ask.add_argument("-n", type=int, help="number of reference models")
    ask.add_argument("--epochs", type=float)
    ask.add_argument("--repeats", type=int, default=1, help="runs of each way, in turn; the median counts")
    ask.add_argument("--one", nargs=2, metavar=("WAY", "CASE"), help=argparse.SUPPRESS)
    arguments = ask.parse_args()
    cases = {
        name: Case(case.about, arguments.n or case.n, arguments.epochs or case.epochs, case.batch_size)
        for name, case in CASES.items()
    }
    if arguments.one:
        way, name = arguments.one
        print(json.dumps(run_way(way, name, cases[name])))
        return
    n_cores = len(os.sched_getaffinity(0))
    with multiprocessing.get_context("spawn").Pool(n_cores) as pool:
        rates = pool.map(measure_rates, range(n_cores), chunksize=1)
    flops, bandwidth = sum(r[0] for r in rates), sum(r[1] for r in rates)
    print(f"{n_cores} cores: {flops / 1e9:.0f} GFLOP/s, {bandwidth / 1e9:.1f} GB/s, one thread each, all at once\n")
    for name in arguments.case or CASES:
        case = cases[name]
        floor = floor_s(name, case, flops, bandwidth)
        print(f"{name}: {case.about}; {case.n} models, {case.epochs:g} epochs, batch {case.batch_size}")
        runs: dict[str, list[dict]] = {}
        ways = arguments.way or WAYS
        for _ in range(arguments.repeats):
            for way in ways:
                command = [
                    sys.executable,
                    __file__,
                    "--one",
                    way,
                    name,
                    "-n",
                    str(case.n),
                    "--epochs",
                    str(case.epochs),
                ]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    sys.exit(done.stderr)
                runs.setdefault(way, []).append(json.loads(done.stdout.splitlines()[-1]))
        print(f"  {'way':9} {'wall s':>8} {'cpu s':>8} {'loop / way':>11} {'floor / way':>12}")
        middle = {way: sorted(of_way, key=lambda r: r["wall_s"])[len(of_way) // 2] for way, of_way in runs.items()}
        for way, run in middle.items():
            ratio = f"{middle['loop']['wall_s'] / run['wall_s']:.2f}" if "loop" in middle else "-"
            share = f"{floor / run['wall_s']:.2f}"
            print(
                f"  {way:9} {run['wall_s']:8.2f} {run['cpu_s']:8.2f} {ratio:>11} {share:>12}  {run.get('plan', '')}",
                flush=True,
            )
        print(f"  {'floor':9} {floor:8.2f}\n")


if __name__ == "__main__":
    main()
