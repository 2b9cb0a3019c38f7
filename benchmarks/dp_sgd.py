"""DP-SGD: our stacked engine beside a loop with Opacus, on the same models and as many steps, one thread.

    python benchmarks/dp_sgd.py

Prints seconds a model and step, and the ratio. Opacus gets Poisson batches of the same expected size, per-sample
gradients by its hooks, and the same noise and clip.
"""

import argparse
import functools
import time
import warnings

import numpy as np
import torch

import seepage
from seepage.defences import defended
from seepage.models.plan import one_thread
from seepage.models.records import Records
from seepage.models.train import train_models

CASES = {
    "digits MLP 64-128-10, batch 64": ("digits", functools.partial(seepage.MLP, hidden=(128,)), 64, 40.0),
    "Location30 MLP 446-1024-512-256-128-30, batch 128": (
        "location30", functools.partial(seepage.MLP, hidden=(1024, 512, 256, 128), activation="tanh"), 128, 1.0,
    ),
    "Fashion-MNIST CNN 16-32, batch 64": ("fashion-mnist", functools.partial(seepage.CNN, widths=(16, 32)), 64, 8.0),
}  # fmt: skip


def ours(recipe: seepage.Recipe, records: Records, columns: list[np.ndarray]) -> float:
    start = time.perf_counter()
    train_models(recipe, records, columns, list(range(len(columns))))
    return time.perf_counter() - start


def opacus(recipe: seepage.Recipe, records: Records, columns: list[np.ndarray]) -> float:
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    start = time.perf_counter()
    for seed, column in enumerate(columns):
        rng = np.random.default_rng(seed)
        module = GradSampleModule(recipe.build(records.input_shape, records.n_classes, seed).train())
        optimiser = DPOptimizer(
            torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9),
            noise_multiplier=1.0, max_grad_norm=1.0, expected_batch_size=recipe.batch_size,
        )  # fmt: skip
        for _ in range(-int(-recipe.epochs * len(column) // recipe.batch_size)):
            drawn = torch.from_numpy(column[rng.random(len(column)) < recipe.batch_size / len(column)])
            optimiser.zero_grad()
            logits = module(records.batch(drawn))
            torch.nn.functional.cross_entropy(logits, records.labels[drawn]).backward()
            optimiser.step()
    return time.perf_counter() - start


ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ask.add_argument("--models", type=int, default=4)
ask.add_argument("--members", type=int, default=800)
arguments = ask.parse_args()
warnings.simplefilter("ignore")

print("| case | ours, ms a model and step | Opacus | ratio |\n|---|---|---|---|")
for name, (data, model, batch_size, epochs) in CASES.items():
    pool = seepage.load(data)
    records = Records.of(pool.subset(np.arange(min(len(pool), 5000))))
    rng = np.random.default_rng(0)
    columns = [np.sort(rng.permutation(len(records.inputs))[: arguments.members]) for _ in range(arguments.models)]
    plain = seepage.Recipe(model, seepage.SGD(lr=0.05, momentum=0.9), epochs=epochs, batch_size=batch_size)
    recipe = defended(plain, "dp-sgd", noise_multiplier=1.0, max_norm=1.0)
    n_steps = arguments.models * -int(-epochs * arguments.members // batch_size)
    with one_thread():
        ours(recipe, records, columns)  # once before, so that neither pays for first calls
        mine, theirs = ours(recipe, records, columns), opacus(recipe, records, columns)
    print(f"| {name} | {1e3 * mine / n_steps:.1f} | {1e3 * theirs / n_steps:.1f} | {theirs / mine:.1f} |", flush=True)
