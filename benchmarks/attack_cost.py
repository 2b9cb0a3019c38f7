"""Seconds of scoring 10,000 records, attack by attack, once the answers that all attacks share are there.

    python3 benchmarks/attack_cost.py                       # every attack, one thread
    python3 benchmarks/attack_cost.py --attacks lira-online,fes-mia-ss-5-shot --references 64

10,000 records to audit, 2,000 of a population, 100 known; 16 references; 9 queries a record; 10 classes; records of
1 x 16 x 16 bytes; an MLP with 128 features as the live target. Answers are drawn, not trained: time does not depend on
what they say. What asks the live target about each record is timed on 200 of them and scaled up. The ratio is to
lira-online in the same run.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from seepage.attacks import ATTACKS
from seepage.data import Pool
from seepage.models.architectures import MLP
from seepage.models.target import TargetModel
from seepage.signals.view import View

N, N_POPULATION, N_KNOWN, N_CLASSES, N_QUERIES = 10_000, 2_000, 100, 10, 9
FEWER = 200  # audited records where an attack asks the live target about each many times
ASKS_ABOUT_EACH = ("noise", "boundary")
BASELINE = "lira-online"


def records(n: int, rng: np.random.Generator) -> tuple[Pool, TargetModel]:
    """Records of noise and a target that is never trained but calls the classes equally often; 70 % labelled so."""
    inputs = rng.integers(0, 256, (n, 1, 16, 16), dtype=np.uint8)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = MLP((1, 16, 16), N_CLASSES)
    target = TargetModel.wrap(module)
    images = inputs.astype(np.float32) / 255
    with torch.no_grad():
        logits = target.logits(images)
        module.head.bias -= torch.from_numpy(logits.mean(axis=0))
        module.head.weight /= torch.from_numpy(logits.std(axis=0, keepdims=True).T)
    labels = np.where(rng.random(n) < 0.7, target.labels(images), rng.integers(0, N_CLASSES, n))
    return Pool(inputs, labels, n_classes=N_CLASSES, scale=1 / 255), target


def world(n_references: int, rng: np.random.Generator) -> View:
    n = N + N_POPULATION + N_KNOWN
    pool, target = records(n, rng)
    labels = pool.labels
    logits = rng.normal(0, 2, (n, 1 + n_references, N_QUERIES, N_CLASSES)).astype(np.float32)
    logits[np.arange(n), :, :, labels] += 3
    population = np.arange(n) < N_POPULATION
    is_in = (rng.random((n, n_references)) < 0.5) & ~population[:, None]
    known = np.full(n, -1, dtype=np.int8)
    known[N_POPULATION : N_POPULATION + N_KNOWN] = np.arange(N_KNOWN) % 2
    return View.from_logits(
        logits,
        labels,
        target_column=0,
        reference_columns=np.arange(1, 1 + n_references),
        reference_in=is_in,
        reference_out=~is_in,
        population=population,
        known=known,
        gradient_norm=target.gradient_norm(pool.batch(), labels),
        features=target.features(pool.batch()),
        records=pool,
        model=target,
        architecture=MLP,
    )


def with_fewer(view: View, n_audited: int) -> View:
    audited = np.flatnonzero(view.audited)[:n_audited]
    return replace(view, audited=np.isin(np.arange(view.n_samples), audited))


def timed(name: str, view: View, repeats: int) -> float:
    """The least of some runs, each on a view that has computed nothing yet but the scalar signals."""
    seconds = []
    for _ in range(repeats):
        fresh = replace(view)
        start = time.perf_counter()
        ATTACKS[name].score(fresh, rng=np.random.default_rng(0))
        seconds.append(time.perf_counter() - start)
        if seconds[-1] > 5:
            break
    return min(seconds)


ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ask.add_argument("--attacks", help="names separated by commas; by default all")
ask.add_argument("--references", type=int, default=16)
ask.add_argument("--repeats", type=int, default=3)
arguments = ask.parse_args()
torch.set_num_threads(1)
threadpool_limits(1)
view = world(arguments.references, np.random.default_rng(0))
for signal in view.signals:
    view.target(signal)
names = arguments.attacks.split(",") if arguments.attacks else list(ATTACKS)
baseline = timed(BASELINE, view, arguments.repeats)
print("| attack | seconds per 10,000 records | times lira-online | timed on |\n|---|---|---|---|")
for name in names:
    n_timed = FEWER if name in ASKS_ABOUT_EACH else N
    seconds = timed(name, view if n_timed == N else with_fewer(view, n_timed), arguments.repeats) * N / n_timed
    print(f"| {name} | {seconds:.3g} | {seconds / baseline:.3g} | {n_timed:,} |", flush=True)
