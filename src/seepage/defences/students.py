"""A student: a model of the recipe's kind that learns what teachers answered."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn

from seepage.defences.one_by_one import Report
from seepage.models.held_out import HeldOut
from seepage.models.optimisers import SGD, Steps
from seepage.models.recipe import BestValidation, Recipe, cross_entropy
from seepage.models.records import Records
from seepage.models.stopping import EVALUATION_BATCH
from seepage.models.train import train_models


@torch.no_grad()
def answers(module: nn.Module, records: Records, rows: np.ndarray) -> Float32[Tensor, "rows classes"]:
    """Logits of the records at `rows`, in eval mode; the module's mode is put back."""
    was_training = module.training
    module.eval()
    parts = torch.from_numpy(np.asarray(rows)).to(records.inputs.device).split(EVALUATION_BATCH)
    logits = torch.cat([module(records.batch(part)) for part in parts])
    module.train(was_training)
    return logits


def distillation_loss(
    logits: Float[Tensor, "batch classes"],
    rows: Int64[Tensor, " batch"],
    targets: Float[Tensor, "rows classes"],
    labels: Int64[Tensor, " rows"] | None = None,
    temperature: float = 1.0,
    weight: float = 1.0,
) -> Float[Tensor, ""]:
    """Cross-entropy with soft targets, and with labels where the weight leaves room for them.

    mean over the batch of  w T^2 sum_c -q_c log softmax(z / T)_c  +  (1 - w) (-log softmax(z)_y)

    Its gradient is that of KL(q || softmax(z / T)), from which it differs by the entropy of q.
    """
    soft = -(targets[rows] * (logits / temperature).log_softmax(1)).sum(1).mean()
    loss = weight * temperature**2 * soft
    return loss if weight == 1 else loss + (1 - weight) * cross_entropy(logits, labels[rows])


def student_recipe(recipe: Recipe, n_classes: int, lr: float | None, epochs: float | None) -> Recipe:
    """How a student is trained: as the recipe says, or with the optimiser that the HAMP paper gives all its students.

    That is SGD with momentum 0.99 and weight decay 1e-5, the learning rate divided by 10 at passes 60, 90 and 150, a
    new optimiser in each pass, and one order of the records, drawn once. There the loss is a mean over the batch and
    the classes, so with a mean over the batch the same steps have lr / classes and weight decay * classes.

    A stopping rule on the training accuracy stays the teachers' own: a student has no labels to be right about.
    """
    stop = recipe.stop if isinstance(recipe.stop, BestValidation) else None
    recipe = replace(recipe, stop=stop, epochs=recipe.epochs if epochs is None else epochs)
    if lr is None:
        return recipe
    return replace(
        recipe,
        optimiser=SGD(lr / n_classes, momentum=0.99, weight_decay=1e-5 * n_classes),
        schedule=Steps((60, 90, 150), 0.1),
        reset_optimiser=True,
        shuffle=False,
    )


def train_student(
    recipe: Recipe,
    records: Records,
    inputs: Tensor,
    targets: Float[Tensor, "rows classes"],
    *,
    labels: Int64[Tensor, " rows"] | None = None,
    temperature: float = 1.0,
    weight: float = 1.0,
    seed: int,
    held_out: HeldOut,
    report: Report,
) -> nn.Module:
    """Train one model on inputs and soft targets, by the loss `distillation_loss`.

    Args:
        recipe: a student's; its objective gives way.
        records: the pool, of which the student gets the validation records alone, to choose its epoch by.
        inputs: (rows, ...), of the records' own dtype and scale.
        targets: probabilities, the teachers' at that temperature.
        labels: for a weight below 1.
        temperature, weight: of the loss.
        seed: of weights, batches, augmentation and dropout.
        held_out: rows of `records`.
        report: told the share that is done.
    """
    # An engine knows labels alone. A row's label is its number, by which the objective finds the targets; the
    # validation records, on which no step is taken, have labels proper.
    n = len(inputs)
    validation = torch.from_numpy(held_out.validation).to(inputs.device)
    lesson = replace(
        records,
        inputs=torch.cat([inputs, records.inputs[validation]]),
        labels=torch.cat([torch.arange(n, device=inputs.device), records.labels[validation]]),
    )
    objective = functools.partial(
        distillation_loss, targets=targets, labels=labels, temperature=temperature, weight=weight
    )
    rows = np.arange(len(lesson.inputs))
    return train_models(
        replace(recipe, objective=objective),
        lesson,
        [rows[:n]],
        [seed],
        held_out=HeldOut(validation=rows[n:]),
        report=report,
    )[0]
