"""RelaxLoss: a training loss that is held at a level which records outside of the training reach as well."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from torch import Tensor

from seepage.defences.base import Defence, with_objective
from seepage.errors import InputError, unknown_name
from seepage.models.recipe import Recipe
from seepage.options import OneOf

FLATTENINGS = ("official", "official-tabular", "paper")


def relax_loss(
    logits: Tensor, labels: Tensor, epoch: Tensor, alpha: float, upper: float = 1.0, flattening: str = "official"
) -> Tensor:
    """The cross-entropy L while it is above alpha; below, it is driven up again or predictions are flattened.

        even epochs              | L - alpha |, which ascends below alpha
        odd epochs, L > alpha    L
        odd epochs, L <= alpha   "official"          mean_i [ 1{i is wrong} S_i - L_i ]
                                 "official-tabular"  mean_i S_i
                                 "paper"             mean_i [ S_i where i is wrong, -L_i where it is right ]

    L is the batch's mean of L_i = -log p_y; S_i = -sum_c t_c log p_c, with t_y = min(p_y, upper) and an equal share of
    1 - t_y for every other class. In the code gradients flow through t too; in "paper" t is constant.

    Args:
        logits: (batch, classes).
        labels: (batch,).
        epoch: the pass, an integer scalar from 0.
        alpha: the level of the loss, at least 0, in nats.
        upper: the largest share of the true class in t, above 0 and up to 1.
        flattening: which formula, see above.

    Returns:
        A scalar. Its value says little: below alpha it can be negative.

    Raises:
        InputError: an option outside of these.

    Reference: Chen, Yu & Fritz 2022 (arXiv 2207.05801); code github.com/DingfanChen/RelaxLoss, "official" for CIFAR and
        "official-tabular" for Purchase and Texas. How the paper differs from it is taken from the comments of Aerni
        et al. 2024 (github.com/ethz-spylab/misleading-privacy-evals), which keep to "official" with a constant t.
    """
    _check(alpha, upper, flattening)
    log_p = logits.log_softmax(1)
    log_p_y = log_p.gather(1, labels.unsqueeze(1)).squeeze(1)
    losses = -log_p_y
    loss = losses.mean()
    t_y = log_p_y.exp().clamp(max=upper)
    if flattening == "paper":
        t_y = t_y.detach()
    t_other = (1 - t_y) / (logits.shape[1] - 1)
    soft = -(t_y - t_other) * log_p_y - t_other * log_p.sum(1)
    is_wrong = logits.argmax(1) != labels
    if flattening == "official":
        flattened = is_wrong.to(soft.dtype) * soft - losses
    else:
        flattened = soft if flattening == "official-tabular" else torch.where(is_wrong, soft, -losses)
    odd = torch.where(loss > alpha, loss, flattened.mean())
    return torch.where(epoch % 2 == 0, (loss - alpha).abs(), odd)


def _check(alpha: float, upper: float, flattening: str) -> None:
    if not 0 <= alpha < math.inf:
        raise InputError(f"RelaxLoss: alpha is a level of the loss, a number of at least 0, got {alpha}")
    if not 0 < upper <= 1:
        raise InputError(f"RelaxLoss: upper is a share of the true class, above 0 and up to 1, got {upper}")
    if flattening not in FLATTENINGS:
        raise unknown_name("flattening of RelaxLoss", str(flattening), FLATTENINGS)


@dataclass(frozen=True)
class RelaxLoss(Defence):
    """Training holds the loss at a level instead of driving it to zero.

    Options:
        alpha: the level, in nats. The code's: CIFAR-10 1 (ResNet-20) or 0.4 (VGG11), CIFAR-100 3 or 0.5, Purchase100
            0.8, Texas100 2.5. The loss of guessing is the logarithm of the number of classes.
        upper: 1 on CIFAR, 0.3 on Purchase100, 0.1 on Texas100 (code).
        flattening: "official", "official-tabular" or "paper", see `relax_loss`.

    Reference: Chen, Yu & Fritz 2022 (arXiv 2207.05801); code github.com/DingfanChen/RelaxLoss.
    """

    kind: ClassVar[str] = "training"
    grid: ClassVar[tuple[dict[str, Any], ...]] = tuple({"alpha": alpha} for alpha in (2.0, 1.0, 0.5, 0.2, 0.05))

    alpha: Annotated[float, Ge(0)] = 1.0
    upper: Annotated[float, Gt(0), Le(1)] = 1.0
    flattening: Annotated[str, OneOf(*FLATTENINGS)] = "official"

    title = "RelaxLoss"
    source = "Chen, Yu & Fritz 2022 (arXiv 2207.05801)"

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            "Alpha must be below the loss of guessing, the logarithm of the number of classes.",
            "A loss held at one mean does not protect the single record: at an FPR of 0.1 % LiRA found 74 % of the "
            "mislabelled members in Aerni et al. 2024 (arXiv 2404.17399).",
        )

    def apply(self, recipe: Recipe) -> Recipe:
        objective = functools.partial(relax_loss, alpha=self.alpha, upper=self.upper, flattening=self.flattening)
        return with_objective(recipe, objective)
