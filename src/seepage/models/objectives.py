"""Objectives beside the plain cross-entropy; options are given with `functools.partial`."""

from __future__ import annotations

from torch import Tensor

from seepage.errors import InputError


def label_smoothing(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy against labels that give the share `smoothing` to all classes alike.

    mean over the batch of (1 - s) (-log p_y) + s mean_c(-log p_c)

    A recipe takes it as `objective=functools.partial(label_smoothing, smoothing=0.1)`; s = 0 is the cross-entropy.

    Args:
        logits: (batch, classes).
        labels: (batch,).
        smoothing: s in [0, 1].

    Returns:
        A scalar.

    Raises:
        InputError: s is not a share.

    Reference: Szegedy et al. (2016), Rethinking the Inception architecture, section 7.
    """
    if not 0 <= smoothing <= 1:
        raise InputError(f"smoothing is a share between 0 and 1, got {smoothing}")
    losses = -logits.log_softmax(1)
    of_label = losses.gather(1, labels.unsqueeze(1)).mean()
    return (1 - smoothing) * of_label + smoothing * losses.mean()
