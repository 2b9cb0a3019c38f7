"""What an attack makes small for an image to be of a class: each (images, classes), (images,) -> (images,)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional as F

Logits = Float[Tensor, "images classes"]
Labels = Int64[Tensor, " images"]
Losses = Float[Tensor, " images"]


def log_confidence(logits: Logits, labels: Labels) -> Losses:
    """log p_y: what an attack with all access likes an image by."""
    return logits.log_softmax(1).gather(1, labels[:, None])[:, 0]


def cross_entropy(logits: Logits, labels: Labels) -> Losses:
    """-log p_y (GMI, equation 3; KED-MI)."""
    return -log_confidence(logits, labels)


def max_margin(logits: Logits, labels: Labels) -> Losses:
    """max_{k != y} l_k - l_y, whose gradient does not fade where p_y nears 1 (PLG-MI, arXiv 2302.09814)."""
    own = F.one_hot(labels, logits.shape[1]).bool()
    return logits.masked_fill(own, -torch.inf).amax(1) - logits.gather(1, labels[:, None])[:, 0]


def poincare(logits: Logits, labels: Labels, xi: float = 1e-4) -> Losses:
    """The distance of the logits from the class, in the Poincare ball.

        arccosh(1 + 2 ||u - v||^2 / ((1 - ||u||^2) (1 - ||v||^2))),  u = l / ||l||_1,  v = max(onehot(y) - xi, 0)

    It depends on what is added to all logits alike, unlike softmax.

    Reference: PPA (Struppek et al. 2022, arXiv 2201.12179) and its code.
    Deviation: 1 - ||u||^2, which is 0 where a single logit is not, is at least 1e-6, and ||l||_1 at least 1e-12.
    """
    u = logits / logits.abs().sum(1, keepdim=True).clamp_min(1e-12)
    v = (F.one_hot(labels, logits.shape[1]).to(u) - xi).clamp_min(0)
    shrinking = (1 - u.square().sum(1)).clamp_min(1e-6) * (1 - v.square().sum(1))
    return torch.acosh(1 + 2 * (u - v).square().sum(1) / shrinking)
