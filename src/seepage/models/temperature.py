"""Temperature scaling: one number that makes a model's confidence fit its accuracy."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy.optimize import brentq
from scipy.special import log_softmax

from seepage.errors import InputError
from seepage.models.outputs import labels_from

LOWEST, HIGHEST = 0.01, 100.0


def fit_temperature(logits: Float[np.ndarray, "samples classes"], labels: Int[np.ndarray, " samples"]) -> float:
    """The temperature of least negative log-likelihood on records that the model was not trained on.

    T = argmin_T mean_i -log softmax(z_i / T)_{y_i}

    The loss is convex in b = 1 / T, so that the root of its slope, mean_i (sum_c p_ic z_ic - z_{i y_i}) with p taken at
    b, is its one minimum. Where it lies outside 0.01 to 100 the nearer end is returned: 0.01 says that every record
    is classified rightly, 100 that the logits say nothing of the labels.

    Args:
        logits: float, finite; log-probabilities do as well.
        labels: whole numbers from 0.

    Raises:
        InputError: shapes do not match, or a logit is not finite.

    >>> z = np.array([[2.0, 0.0], [2.0, 0.0], [2.0, 0.0], [2.0, 0.0]])  # right in three of four: the odds are 3
    >>> print(round(fit_temperature(z, np.array([0, 0, 0, 1])), 4), (2 / np.log(3)).round(4))
    1.8205 1.8205

    Reference: Guo et al. (2017), On calibration of modern neural networks, section 4.2. Deviation: a root of the slope
        instead of L-BFGS.
    """
    z = _logits(logits)
    y = labels_from(labels, n_classes=z.shape[1])
    if len(y) != len(z):
        raise InputError(f"expected one label a record, got {len(y)} for {len(z)} records")
    z = z - z.max(axis=1, keepdims=True)
    of_label = z[np.arange(len(z)), y]

    def slope(log_b: float) -> float:
        p = np.exp(log_softmax(math.exp(log_b) * z, axis=1))
        return float(((p * z).sum(axis=1) - of_label).mean())

    low, high = -math.log(HIGHEST), -math.log(LOWEST)
    if slope(low) >= 0:
        return HIGHEST
    if slope(high) <= 0:
        return LOWEST
    return math.exp(-brentq(slope, low, high, xtol=1e-12))


def tempered(
    logits: Float[np.ndarray, "samples classes"], temperature: float
) -> Float64[np.ndarray, "samples classes"]:
    """log softmax(z / T), which does not saturate as its exponential does.

    >>> tempered(np.array([[3.0 * np.log(4), 0.0]]), 3.0).round(4).tolist()
    [[-0.2231, -1.6094]]
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise InputError(f"a temperature is a positive number, got {temperature}")
    return log_softmax(_logits(logits) / temperature, axis=1)


def _logits(logits: Float[np.ndarray, "samples classes"]) -> Float64[np.ndarray, "samples classes"]:
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim != 2 or not z.size:
        raise InputError(f"expected logits of shape (samples, classes), got {z.shape}")
    if not np.isfinite(z).all():
        raise InputError(f"the logits of record {int((~np.isfinite(z)).any(axis=1).argmax())} are not finite")
    return z
