"""Scalar signals of answers that are probabilities: what was given counts, not what the other classes say about it.

Logits tell p_y through all classes, p_y = exp(l_y) / sum_j exp(l_j). Who answers probabilities has told p_y itself, so
two records with the same p_y get the same loss, confidence and scaled logit, whatever the rest of the row is and to
whatever it sums. The functions take the logarithms of the answers (a zero as 1e-45) and return float64, as those of
`functions` do:

    loss              -log p_y
    confidence        p_y
    scaled-logit      log p_y - log(1 - p_y)
    top-log-odds      log p_m - log(1 - p_m),  m = argmax_j p_j
    entropy           -sum_j p_j log p_j
    modified-entropy  -(1 - p_y) log p_y - sum_{j != y} p_j log(1 - p_j)

The other signals of `SIGNALS` (hinge, correct, top-gap, taylor-softmax) compare classes and need no form of their own.

One exception: where p_y has run into 1, so that 1 - p_y is nothing but rounding, the scaled logit takes the sum of the
other classes for it, as the LiRA code does everywhere. In half precision, or with few digits, all sure answers would be
one answer otherwise. Loss and confidence have no such way out: there they are one.
"""

from collections.abc import Callable

import numpy as np

from seepage.signals.functions import of_outputs

LEAST = 1e-45  # what a probability of zero is read as
ROUNDING = 1e-6  # a float32 near 1 is known to about a tenth of this


def _log_odds(log_p: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """log p_c - log(1 - p_c) of one class an output."""
    outputs = np.arange(classes.size)
    log_p_c = log_p[classes, outputs]
    missing = -np.expm1(log_p_c)
    sure = np.flatnonzero(missing <= ROUNDING)
    if sure.size:
        others = np.exp(log_p[:, sure])
        others[classes[sure], np.arange(sure.size)] = 0.0
        others[others < 2 * LEAST] = 0.0  # a zero that was read as the least probability
        rest = others.sum(axis=0)
        missing[sure] = np.where(rest > 0, rest, missing[sure])
    return log_p_c - np.log(np.maximum(missing, LEAST))


@of_outputs
def loss(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return -log_p[labels, np.arange(labels.size)]


@of_outputs
def confidence(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.exp(log_p[labels, np.arange(labels.size)])


@of_outputs
def scaled_logit(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return _log_odds(log_p, labels)


@of_outputs
def top_log_odds(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return _log_odds(log_p, log_p.argmax(axis=0))


@of_outputs
def entropy(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Summed in order of size, so that rows of the same probabilities in another order are equal."""
    return np.sort(-np.exp(log_p) * log_p, axis=0).sum(axis=0)


@of_outputs
def modified_entropy(log_p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Summed in order of size, likewise; log(1 - p) of the largest class is taken from its log-odds."""
    outputs = np.arange(labels.size)
    p = np.exp(log_p)
    top = log_p.argmax(axis=0)
    p_top, log_p_y = p[top, outputs], log_p[labels, outputs]
    p[top, outputs] = 0.0
    terms = -p * np.log1p(-p)
    terms[top, outputs] = p_top * np.logaddexp(0.0, _log_odds(log_p, top))
    terms[labels, outputs] = 0.0
    return np.expm1(log_p_y) * log_p_y + np.sort(terms, axis=0).sum(axis=0)


OF_PROBABILITIES: dict[str, Callable[..., np.ndarray]] = {
    "loss": loss,
    "confidence": confidence,
    "scaled-logit": scaled_logit,
    "top-log-odds": top_log_odds,
    "entropy": entropy,
    "modified-entropy": modified_entropy,
}
