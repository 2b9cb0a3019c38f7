"""Objectives beside the plain cross-entropy; options are given with `functools.partial`."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from seepage.errors import InputError


def on_copies(objective: Callable[..., Tensor], logits: Tensor, labels: Tensor, **told: Tensor) -> Tensor:
    """The objective of a batch. It may be a user's, and change in place what it is given: it gets copies of its own."""
    return objective(logits.clone(), labels.clone(), **{name: tensor.clone() for name, tensor in told.items()})


def label_smoothing(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy against labels that give the share `smoothing` to all classes alike.

    mean over the batch of (1 - s) (-log p_y) + s mean_c(-log p_c)

    A recipe takes it as `objective=functools.partial(label_smoothing, smoothing=0.1)`; s = 0 is the cross-entropy. A
    negative s takes shares from the other classes: the loss then falls without end as their p_c do.

    Args:
        logits: (batch, classes).
        labels: (batch,).
        smoothing: s, at most 1.

    Returns:
        A scalar.

    Raises:
        InputError: s is above 1 or not finite.

    Reference: Szegedy et al. (2016), Rethinking the Inception architecture, section 7; for s < 0 Wei et al. (2022), To
        smooth or not?, arXiv 2106.04149, equation 1 with the smooth rate in (-inf, 1].
    """
    check_smoothing(smoothing)
    losses = -logits.log_softmax(1)
    of_label = losses.gather(1, labels.unsqueeze(1)).mean()
    return (1 - smoothing) * of_label + smoothing * losses.mean()


def check_smoothing(smoothing: float) -> None:
    if not -math.inf < smoothing <= 1:
        raise InputError(f"smoothing is a share of at most 1, negative to sharpen instead, got {smoothing}")
