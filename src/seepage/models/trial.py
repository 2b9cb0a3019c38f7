"""Can this recipe train on these records? It is tried on two of them before anything long begins."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from seepage.data import Pool
from seepage.errors import InputError
from seepage.models.batches import check_batch_size
from seepage.models.engines import Single
from seepage.models.recipe import Recipe
from seepage.models.records import Records
from seepage.outside import check_kinds, from_outside

TRIED_RECORDS = 2


def is_recipe(recipe: Any, where: str) -> Recipe:
    """The recipe itself.

    Args:
        where: the function that it was given to, for the message.

    Raises:
        InputError: it is something else.
    """
    if isinstance(recipe, Recipe):
        return recipe
    what = f"the class {recipe.__name__}" if isinstance(recipe, type) else f"a {type(recipe).__name__}"
    raise InputError(
        f"{where}: recipe= must say how a torch network is trained, as seepage.Recipe(seepage.MLP, epochs=50) does, "
        f"got {what}; a network of your own: Recipe(lambda input_shape, n_classes: YourModule(...), version='1')"
    )


def try_recipe(recipe: Any, pool: Pool, where: str) -> Recipe:
    """Build a model, take one step on two records in train mode, and ask it about them in eval mode.

    Args:
        recipe: how models will be trained.
        pool: the records, with labels.
        where: the function that they were given to, for the message.

    Raises:
        InputError: it is no recipe; its module, objective, optimiser or procedure fails on these records; or its
            models do not give one row of logits a record.
    """
    recipe = is_recipe(recipe, where)
    check_kinds(where, pool=(pool, Pool))
    if len(pool) > TRIED_RECORDS:  # otherwise these are some of those to train on
        check_batch_size(recipe.batch_size, len(pool))
    two = pool.subset(np.unique([0, len(pool) - 1]))
    records = Records.of(two)
    n = len(two)
    rows = torch.arange(n)
    plain = replace(recipe, procedure=None, wrapper=None, stop=None, epochs=1, batch_size=min(recipe.batch_size, n))
    about = f"{n} records of shape {records.input_shape} ({two.inputs.dtype}), labels of {two.n_classes} classes"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with from_outside(f"{where}: the recipe's model cannot be built for {about}"):
            recipe.skeleton(records.input_shape, records.n_classes)
        with from_outside(f"{where}: the recipe's model, objective or optimiser fails in a training step on {about}"):
            training = Single(plain, records, [np.arange(n)], [0])
            _check_logits(training.module, records.batch(rows[: plain.batch_size]), records.n_classes, where)
            training.step()
        with from_outside(f"{where}: the recipe's model fails in eval mode on {about}"), torch.no_grad():
            _check_logits(training.module.eval(), records.batch(rows), records.n_classes, where)
        if recipe.procedure is not None:
            with from_outside(f"{where}: {type(recipe.procedure).__name__} cannot train the recipe's model on {about}"):
                recipe.procedure.try_on(plain, records)
    return recipe


def _check_logits(module: torch.nn.Module, inputs: torch.Tensor, n_classes: int, where: str) -> None:
    logits = module(inputs)
    if not isinstance(logits, torch.Tensor):
        raise InputError(
            f"{where}: the recipe's model answers with a {type(logits).__name__}, expected one tensor of logits "
            f"({len(inputs)}, {n_classes}): return the logits alone"
        )
    if logits.ndim != 2 or len(logits) != len(inputs) or logits.shape[1] < n_classes:
        raise InputError(
            f"{where}: the recipe's model answers {len(inputs)} records with the shape {tuple(logits.shape)}, expected "
            f"logits ({len(inputs)}, {n_classes}): its factory is called with (input shape, number of classes)"
        )
