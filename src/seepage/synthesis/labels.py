"""What becomes of the labels of a release."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int64

from seepage.errors import InputError
from seepage.randomness import Seed, generator

WAYS = {
    "kept": "Labels are those of the originals, one for each released record: nothing protects them.",
    "conditional": (
        "Labels are those of the originals, and both networks are told them: nothing protects them, and the decoder "
        "makes a record of the right class whatever the noise."
    ),
    "per-class": (
        "Labels are those of the originals, and each class has networks of its own, trained on its records alone: "
        "nothing protects labels, and a small class is remembered the better."
    ),
    "randomised-response": (
        "Each label is kept with probability {keep:.3f} and otherwise replaced by one of the other classes at random: "
        "labels have local differential privacy with epsilon {epsilon:g} a release, apart from the records."
    ),
}


def keep_probability(epsilon: float, n_classes: int) -> float:
    """e^epsilon / (e^epsilon + n_classes - 1).

    >>> round(keep_probability(math.log(9), 10), 3)
    0.5
    """
    return 1 / (1 + (n_classes - 1) * math.exp(-epsilon))


def randomised_response(
    labels: Int64[np.ndarray, " samples"], n_classes: int, epsilon: float, rng: Seed
) -> Int64[np.ndarray, " samples"]:
    """Each label kept with `keep_probability`, else one of the others at random.

    Raises:
        InputError: epsilon is negative.

    Reference: Warner (1965); Kairouz, Oh and Viswanath (2016, arXiv 1407.1338), k-ary randomised response.
    """
    rng = generator(rng)
    if not epsilon >= 0:
        raise InputError(f"the epsilon of labels must be at least 0, got {epsilon!r}")
    others = (labels + rng.integers(1, n_classes, len(labels))) % n_classes
    return np.where(rng.random(len(labels)) < keep_probability(epsilon, n_classes), labels, others)
