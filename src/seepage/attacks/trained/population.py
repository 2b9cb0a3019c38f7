"""Models of the attacker's own, trained on the population, pass by pass, in an order that only the records decide."""

import dataclasses
import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import nn

from seepage.errors import InputError
from seepage.models.architectures import CNN, MLP
from seepage.models.device import choose_device, device_of
from seepage.models.engines import Single
from seepage.models.plan import one_thread
from seepage.models.recipe import Factory, Recipe
from seepage.models.records import Records
from seepage.signals.functions import row_blocks
from seepage.signals.view import View

LEAST_SIDE = 8  # images smaller than that leave the default CNN nothing to pool
AT_ONCE = 1024  # records that a model answers in one call

Inputs = Callable[[np.ndarray], np.ndarray]  # rows of the view -> what a model gets


def in_order(view: View, rows: np.ndarray) -> Int64[np.ndarray, " rows"]:
    """The rows of a mask, sorted by what their records hold: batches must not depend on where records stand.

    Records alike are sorted by label, then by the target's answers; what ties even then is interchangeable.
    """
    if ("order",) not in view._cache:
        inputs, digests = view.records.inputs, []
        for block in row_blocks(len(inputs), int(np.prod(inputs.shape[1:]))):
            flat = np.ascontiguousarray(inputs[block]).reshape(-1, int(np.prod(inputs.shape[1:])))
            digests += [int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "big") for row in flat]
        told = [] if view.outputs is None else view.outputs[:, view.target_column, 0].T
        told = [*told, *([view.labels] if view.labelled else [])]
        view._cache["order",] = np.lexsort([*told, np.array(digests, dtype=np.uint64)])
    order = view._cache["order",]
    return order[rows[order]]


def inputs_of(view: View, *, by: Int64[np.ndarray, " known"] | None) -> Inputs:
    """Records as a model gets them; standardised by the mean and deviation of those rows, for images a channel's."""
    if by is None:
        return lambda rows: view.records.batch(rows).astype(np.float32)
    known = view.records.batch(by).astype(np.float64)
    axes = (0, 2, 3) if known.ndim == 4 else (0,)
    mean, deviation = known.mean(axis=axes, keepdims=True), known.std(axis=axes, keepdims=True)
    slope = 1.0 / np.where(deviation > 0, deviation, 1.0)
    return lambda rows: ((view.records.batch(rows) - mean) * slope).astype(np.float32)


def is_image(view: View) -> bool:
    shape = view.records.inputs.shape[1:]
    return len(shape) == 3 and min(shape[1:]) >= LEAST_SIDE


def copied(view: View, known: Int64[np.ndarray, " known"]) -> tuple[Factory, Inputs]:
    """What the target's copies are built with, and the inputs for it.

    Where it is known what the references are built with, both are theirs; else a small network that suits the
    records, which are standardised by the known ones.
    """
    if view.architecture is not None:
        return view.architecture, inputs_of(view, by=None)
    return (CNN if is_image(view) else MLP), inputs_of(view, by=known)


def train(
    recipe: Recipe,
    inputs: Float32[np.ndarray, "rows *shape"],
    labels: np.ndarray,
    n_outputs: int,
    *,
    seed: int,
    after_epoch: Callable[[nn.Module], Any] = lambda module: None,
) -> nn.Module:
    """Train one model on all rows.

    Args:
        recipe: how; batches larger than the rows are as large as these.
        inputs: (rows, ...).
        labels: (rows, ...), whatever the recipe's objective takes.
        n_outputs: of the model.
        seed: of weights, batches and dropout.
        after_epoch: is shown the model in eval mode after every pass; a true answer ends the training.

    Returns:
        The model in eval mode.

    Raises:
        InputError: there are no rows.
        TrainingError: the training diverged.
    """
    if len(inputs) == 0:
        raise InputError("expected records of the population to train on: got none")
    device = choose_device()
    records = Records(torch.from_numpy(inputs).to(device), torch.from_numpy(labels).to(device), n_outputs)
    recipe = dataclasses.replace(recipe, batch_size=min(recipe.batch_size, len(inputs)))
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for a module that draws from torch's own generator
        training = Single(recipe, records, [np.arange(len(inputs))], [seed])
        epoch = 0
        while training.steps_left:
            training.step()
            if training.streams[0].epoch(training.steps_done) > epoch:
                epoch += 1
                stop = after_epoch(training.module.eval())
                training.module.train()
                if stop:
                    break
        return training.models()[0]


def answers(module: nn.Module, inputs: Float32[np.ndarray, "rows *shape"]) -> Float32[np.ndarray, "rows outputs"]:
    """What a module in eval mode answers."""
    device, parts = device_of(module), []
    with torch.no_grad():
        for start in range(0, len(inputs), AT_ONCE):
            batch = torch.from_numpy(inputs[start : start + AT_ONCE]).to(device)
            parts.append(module(batch).cpu().numpy())
    return np.concatenate(parts)
