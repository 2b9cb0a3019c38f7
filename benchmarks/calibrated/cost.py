"""What the gates cost: seconds of each, and their share of a whole audit, measured in that audit."""

import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

import seepage
from calibrated import before
from calibrated.table import Table
from seepage.studies.audit import gates

GATES = ("blind_baseline", "near_copies", "knows_the_task", "scale", "direction", "own_columns", "reference_accuracy")


def tables(scale: float, seed: int) -> Iterator[Table]:
    torch.set_num_threads(2)
    n = round(100_000 * min(1.0, scale))
    yield Table(
        "Seconds of the gates in whole audits",
        ("audit", "whole audit", "all gates", "share", *GATES, "blind baseline before"),
        [digits(seed), table_of(n, seed), pictures(n, seed)],
    )


def timed(audit) -> tuple[float, float, dict[str, float]]:
    """Seconds of the audit, of all its gates and of each."""
    seconds: dict[str, float] = {}

    def measured(name, function):
        def call(*arguments, **options):
            start = time.perf_counter()
            result = function(*arguments, **options)
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
            return result

        return call

    kept = {name: getattr(gates, name) for name in (*GATES, "run_gates")}
    try:
        for name, function in kept.items():
            setattr(gates, name, measured(name, function))
        start = time.perf_counter()
        audit()
        whole = time.perf_counter() - start
    finally:
        for name, function in kept.items():
            setattr(gates, name, function)
    return whole, seconds.pop("run_gates"), seconds


def row(name: str, audit, old: float | None = None) -> list[str]:
    whole, together, each = timed(audit)
    cells = [f"{each.get(gate, 0.0):.2f}" for gate in GATES]
    return [
        name,
        f"{whole:.1f}",
        f"{together:.2f}",
        f"{together / whole:.1%}",
        *cells,
        "-" if old is None else f"{old:.2f}",
    ]


def digits(seed: int) -> list[str]:
    pool, rng = seepage.load("digits"), np.random.default_rng(seed)
    recipe = seepage.Recipe(seepage.MLP, optimiser=seepage.Adam(lr=2e-3), epochs=100)
    start = time.perf_counter()
    before.blind_p_value(pool.batch(), pool.labels, rng.random(len(pool)) < 0.5, rng)
    old = time.perf_counter() - start
    return row(
        f"digits, {len(pool):,} records, 64 references",
        lambda: seepage.audit_recipe(recipe, pool, references=64),
        old,
    )


def table_of(n: int, seed: int) -> list[str]:
    """A given network, no references: the cheapest audit that there is."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 20)).astype(np.float32)
    y = (x[:, 0] + rng.normal(size=n) > 0).astype(int)
    member = rng.random(n) < 0.5
    recipe = seepage.Recipe(partial(seepage.MLP, hidden=(32,)), epochs=2)
    model = seepage.train(recipe, seepage.Pool(x, y), member, rng=rng)
    lists = {"members": (x[member], y[member]), "nonmembers": (x[~member], y[~member])}
    return row(
        f"a table of 20 columns, {n:,} records, no references", lambda: seepage.audit(model, **lists, origin="declared")
    )


def pictures(n: int, seed: int) -> list[str]:
    """CIFAR-10 and its mirror image, by a given CNN, no references."""
    rng = np.random.default_rng(seed)
    pool = seepage.load("cifar10")
    inputs = np.concatenate([pool.inputs, pool.inputs[..., ::-1]])[:n]
    labels = np.concatenate([pool.labels, pool.labels])[:n]
    member = rng.random(n) < 0.5
    both = seepage.Pool(inputs, labels, n_classes=10, scale=1 / 255)
    few = both.subset(np.flatnonzero(member)[:2000])
    model = seepage.train(seepage.Recipe(seepage.CNN, epochs=2), few, np.ones(len(few), bool), rng=rng)
    membership = seepage.Membership.fixed(both, members=member, origin="declared", rng=rng)
    return row(
        f"images of 3 x 32 x 32, {n:,} records, no references",
        lambda: seepage.audit_recipe(None, both, membership, model=model),
    )
