"""Negative label smoothing against inversion: late in the training, shares are taken from the other classes."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Le, Lt
from jaxtyping import Float, Int64
from torch import Tensor

from seepage.defences.base import Defence, with_objective
from seepage.errors import InputError
from seepage.models.recipe import Recipe


def negative_label_smoothing(
    logits: Float[Tensor, "batch classes"],
    labels: Int64[Tensor, " batch"],
    epoch: Int64[Tensor, ""],
    alpha: float,
    start: float,
    full: float,
    epochs: float,
) -> Float[Tensor, ""]:
    """Cross-entropy with labels (1 - a) onehot + a / k, where a goes from 0 to alpha as the training goes on.

        mean over the batch of (1 - a) (-log p_y) + a mean_c(-log p_c)

        epoch < start            a = 0
        start <= epoch < full    a = alpha (epoch + 1 - start) / (epochs - start)
        full <= epoch            a = alpha

    Args:
        logits, labels: of the batch.
        epoch: the pass, from 0.
        alpha: at most 0.
        start, full: in passes; between them a rises, and from `full` on it is alpha.
        epochs: of the whole training.

    Returns:
        A scalar; it has no lower bound.

    Reference: losses/label_smoothing.py of github.com/LukasStruppek/Plug-and-Play-Attacks, which has start 50 and full
        75 of 100 epochs: there a has reached half of alpha when it jumps to all of it.
    """
    ramp = alpha * (epoch + 1 - start) / (epochs - start)
    a = torch.where(epoch < start, 0.0, torch.where(epoch < full, ramp, alpha))
    losses = -logits.log_softmax(1)
    return (1 - a) * losses.gather(1, labels.unsqueeze(1)).mean() + a * losses.mean()


@dataclass(frozen=True)
class NegativeLabelSmoothing(Defence):
    """Late in the training labels are less than 0 for all classes but the true one.

    Options:
        alpha: the smoothing at the end, below 0.
        start, full: the shares of the training after which a begins to rise and is alpha.

    Reference: L. Struppek, D. Hintersdorf, K. Kersting, "Be careful what you smooth for", ICLR 2024 (arXiv 2310.06549);
        schedule: see `negative_label_smoothing`.
    """

    kind: ClassVar[str] = "training"
    grid: ClassVar[tuple[dict[str, Any], ...]] = tuple({"alpha": alpha} for alpha in (-0.5, -0.2, -0.1, -0.05, -0.02))

    alpha: Annotated[float, Lt(0)] = -0.05
    start: Annotated[float, Ge(0), Lt(1)] = 0.5
    full: Annotated[float, Ge(0), Le(1)] = 0.75

    title = "Negative label smoothing"
    source = "Struppek, Hintersdorf & Kersting 2024 (arXiv 2310.06549)"

    def __post_init__(self):
        super().__post_init__()
        if self.start > self.full:
            raise InputError(f"NegativeLabelSmoothing: start must be at most full={self.full}, got {self.start}")

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            "It is meant against inversion. Its loss has no lower bound, and models get surer: members may stand out.",
            "It sets in late: a training that ends before that (a stopping rule, few epochs) is the plain one.",
        )

    def apply(self, recipe: Recipe) -> Recipe:
        epochs = recipe.epochs
        objective = functools.partial(
            negative_label_smoothing,
            alpha=self.alpha,
            start=self.start * epochs,
            full=self.full * epochs,
            epochs=epochs,
        )
        return with_objective(recipe, objective)
