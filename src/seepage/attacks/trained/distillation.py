"""Students of the target and of one reference, followed pass by pass: how each record fares on the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor, nn

from seepage.attacks.learned import pairs
from seepage.attacks.trained import population
from seepage.errors import InputError
from seepage.models.optimisers import Adam
from seepage.models.recipe import Recipe
from seepage.signals.functions import entropy, log_softmax, modified_entropy, scaled_logit
from seepage.signals.view import View

METRICS = ("scaled-logit", "top", "entropy", "modified-entropy", "deviation")
TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, eq=False)
class Trajectories:
    """The metrics of some records at each student and, last, at its teacher.

    Attributes:
        rows: (rows,) which records of the view.
        target: (rows, steps, metrics), steps being the passes and one more; in the order of `METRICS`.
        reference: the same, of the reference and its student.
        is_pair: (rows,) it is known whether the reference was trained on the record.
        is_in: (rows,) it was.
    """

    rows: Int64[np.ndarray, " rows"]
    target: Float64[np.ndarray, "rows steps metrics"]
    reference: Float64[np.ndarray, "rows steps metrics"]
    is_pair: Bool[np.ndarray, " rows"]
    is_in: Bool[np.ndarray, " rows"]


def trajectories(view: View, *, epochs: int, lr: float, batch_size: int, seed: int) -> Trajectories:
    """Distil the target, and the first reference with IN and OUT records, on the population.

        min  mean over population records z of KL(softmax(teacher(z)) || softmax(student(z)))

    The teachers' answers are in the view: neither is asked anything. Both students start from the same weights and
    see the same batches, so that only their teachers tell them apart. Made once a view: attacks that ask for the same
    passes share them, and `seed` counts for the first of them.
    """
    key = ("trajectories", epochs, lr, batch_size)
    if key not in view._cache:
        reference = _reference(view)
        is_pair = (view.reference_in | view.reference_out)[:, reference] & ~view.population
        rows = population.in_order(view, view.audited | is_pair)
        columns = view.target_column, int(view.reference_columns[reference])
        followed = [_followed(view, rows, column, epochs, lr, batch_size, seed) for column in columns]
        view._cache[key] = Trajectories(rows, *followed, is_pair[rows], view.reference_in[rows, reference])
    return view._cache[key]


def soft_cross_entropy(logits: Float[Tensor, "batch classes"], teacher: Float[Tensor, "batch classes"]) -> Tensor:
    """-sum_c t_c log softmax(l)_c, mean over the batch: KL(t || softmax(l)) but for a constant of the teacher's."""
    return -(teacher * logits.log_softmax(1)).sum(1).mean()


def metrics(
    logits: Float[np.ndarray, "rows classes"], labels: Int64[np.ndarray, " rows"]
) -> Float64[np.ndarray, "rows metrics"]:
    """`METRICS` on scales without saturation: log-odds of the label and of the top class, -log of both entropies.

    "deviation" is that of the probabilities over the classes, as it is.
    """
    entropies = [-np.log(np.maximum(of(logits, labels), TINY)) for of in (entropy, modified_entropy)]
    deviation = np.exp(log_softmax(logits)).std(axis=-1)
    return np.stack(
        [scaled_logit(logits, labels), scaled_logit(logits, logits.argmax(axis=-1)), *entropies, deviation], axis=-1
    )


def _reference(view: View) -> int:
    sides = [(mask & ~view.population[:, None]).any(axis=0) for mask in (view.reference_in, view.reference_out)]
    usable = np.flatnonzero(sides[0] & sides[1])
    if usable.size == 0:
        raise InputError(
            "expected a reference model with IN and OUT records outside the population: train more reference models"
        )
    return int(usable[0])


def _followed(view: View, rows: np.ndarray, column: int, epochs: int, lr: float, batch_size: int, seed: int):
    taught, labels = population.in_order(view, view.population), view.labels[rows]
    architecture, inputs = population.copied(view, taught)
    steps, asked, outputs = [], inputs(rows), pairs.answers(view)

    def after_epoch(student: nn.Module) -> None:
        steps.append(metrics(population.answers(student, asked), labels))

    if epochs > 0:
        recipe = Recipe(architecture, Adam(lr), epochs=epochs, batch_size=batch_size, objective=soft_cross_entropy)
        soft = np.exp(log_softmax(outputs[taught, column, 0])).astype(np.float32)
        population.train(recipe, inputs(taught), soft, soft.shape[1], seed=seed, after_epoch=after_epoch)
    steps.append(metrics(outputs[rows, column, 0], labels))
    return np.stack(steps, axis=1)
