"""Scaling an input without end: where a ReLU network is sure of anything, and so says "member".

On the ray delta x the network is affine from some delta on, z(delta x) = delta V x + a; the gap between its two
largest logits grows with delta unless they tie, so that softmax tends to one-hot and the largest score passes every
threshold below 1. Dividing the logits by any temperature does not help. Under a last-layer Gaussian the spread of the
logits grows with delta too, and the score stays bounded.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float32, Float64

from seepage.studies.compare.shadow.answers import Answer, Features
from seepage.studies.compare.shadow.threats import max_score


def first_alarm(
    log_odds: Float64[np.ndarray, "doublings records"], threshold: float
) -> Bool[np.ndarray, "doublings records"]:
    """Whether some delta up to 2^k (row k) brings the record's largest score above the threshold.

    >>> first_alarm(np.array([[0.0, 5.0], [2.0, 0.0], [1.0, 0.0]]), 1.5).tolist()
    [[False, True], [True, True], [True, True]]
    """
    return np.logical_or.accumulate(log_odds > threshold, axis=0)


def log_odds_along(answer: Answer, rays: list[Features]) -> Float64[np.ndarray, "doublings records"]:
    """Largest score, as log-odds, of every record at every delta of `features_along`."""
    return np.stack([max_score(answer(features)) for features in rays])


def features_along(
    features: Callable[[Float32[np.ndarray, "records ..."]], Features],
    inputs: Float32[np.ndarray, "records ..."],
    doublings: int,
) -> list[Features]:
    """Features of delta x at delta = 1, 2, 4, ..., 2^doublings; x as the network takes it.

    Reference: Hein, Andriushchenko and Bitterwolf (2019), Why ReLU networks yield high-confidence predictions far away
        from the training data (arXiv 1812.05720), theorem 3.1; Hintersdorf et al. (2022), section 3.
    """
    return [features(inputs * np.float32(2.0**k)) for k in range(doublings + 1)]
