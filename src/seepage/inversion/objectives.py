"""What an attack makes small for an image to be of a class: each (images, classes), (images,) -> (images,)."""

from __future__ import annotations

from jaxtyping import Float, Int64
from torch import Tensor

Logits = Float[Tensor, "images classes"]
Labels = Int64[Tensor, " images"]
Losses = Float[Tensor, " images"]


def log_confidence(logits: Logits, labels: Labels) -> Losses:
    """log p_y: what an attack with all access likes an image by."""
    return logits.log_softmax(1).gather(1, labels[:, None])[:, 0]


def cross_entropy(logits: Logits, labels: Labels) -> Losses:
    """-log p_y (GMI, equation 3; KED-MI)."""
    return -log_confidence(logits, labels)
