"""Scalar signals: what a model's outputs say about one record and its label.

Every entry of `SIGNALS` maps logits (or log-probabilities: all but "taylor-softmax" are unchanged when a constant is
added to the logits) of shape (samples, ..., classes) and labels of shape (samples,) to float64 of shape (samples, ...).
The work is done in float64, in blocks of samples, so that memory beyond the result stays at a few megabytes.

With p = softmax(l) and y the label:

    scaled-logit      phi = log p_y - log(1 - p_y) = l_y - logsumexp_{j != y} l_j
    loss              -log p_y = log(1 + exp(-phi))
    confidence        p_y = 1 / (1 + exp(-phi))
    hinge             l_y - max_{j != y} l_j
    entropy           -sum_j p_j log p_j
    modified-entropy  -(1 - p_y) log p_y - sum_{j != y} p_j log(1 - p_j)
    correct           1 if argmax_j l_j = y, else 0
    top-log-odds      log p_m - log(1 - p_m),  m = argmax_j l_j; the label plays no part, as in the next and in entropy
    top-gap           l_m - max_{j != m} l_j
    taylor-softmax    T(u_y - m) / (T(u_y - m) + sum_{j != y} T(u_j)),  u = l / temperature

Probabilities of 1 - 1e-12 and 1 - 1e-14 differ in every signal but "confidence" (which runs out of digits in float64
at phi = 37) because nothing is ever computed as 1 - p.
"""

import functools
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy.special import expit

from seepage.errors import InputError

# A class whose probability is zero in float32 has a log-probability of at most log(2**-150).
LOG_OF_ZERO = -103.97

BLOCK_VALUES = 1 << 18  # float64 values a block: 2 MiB, which stays in a core's second-level cache


def row_blocks(n_rows: int, values_per_row: int) -> Iterator[slice]:
    """Slices that cover `n_rows` rows so that a block holds about `BLOCK_VALUES` values.

    >>> list(row_blocks(5, BLOCK_VALUES // 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, BLOCK_VALUES // max(1, values_per_row))
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def softplus(x: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
    """log(1 + exp(x)) without overflow, with full relative precision for very negative x."""
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def log_softmax(logits: Float[np.ndarray, "*outputs classes"]) -> Float64[np.ndarray, "*outputs classes"]:
    """log p = l - logsumexp(l) over the last axis, in float64; a probability of zero counts as 1e-45.

    Raises:
        InputError: NaN or infinity among the logits.
    """
    wide = np.moveaxis(_finite(np.moveaxis(np.asarray(logits, dtype=np.float64), -1, 0)), 0, -1)
    wide = wide - wide.max(axis=-1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))


def of_outputs(statistic: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Lift a statistic of float64 columns (classes, outputs) to whole arrays (samples, ..., classes).

    Classes come first inside because sums over a short last axis leave the vector units idle.
    """

    @functools.wraps(statistic)
    def signal(
        logits: Float[np.ndarray, "samples *outputs classes"],
        labels: Int[np.ndarray, " samples"],
        **options: float | int,
    ) -> Float64[np.ndarray, "samples *outputs"]:
        _check(logits, labels)
        n_samples, *outputs, n_classes = logits.shape
        n_outputs = int(np.prod(outputs))
        values = np.empty((n_samples, n_outputs))
        for rows in row_blocks(n_samples, n_outputs * n_classes):
            columns = np.ascontiguousarray(logits[rows].reshape(-1, n_classes).T, dtype=np.float64)
            block = statistic(_finite(columns), np.repeat(labels[rows], n_outputs), **options)
            values[rows] = block.reshape(-1, n_outputs)
        return values.reshape(n_samples, *outputs)

    return signal


def _check(logits: np.ndarray, labels: np.ndarray) -> None:
    if logits.ndim < 2 or logits.shape[-1] < 2 or labels.shape != logits.shape[:1]:
        raise InputError(
            f"expected logits (samples, ..., classes) with at least 2 classes and labels (samples,): "
            f"got {logits.shape} and {labels.shape}"
        )
    if labels.size and not (labels.min() >= 0 and labels.max() < logits.shape[-1]):
        raise InputError(
            f"labels must be class numbers from 0 to {logits.shape[-1] - 1}: got {labels.min()} to {labels.max()}"
        )


def _finite(logits: np.ndarray) -> np.ndarray:
    """Replace log(0) by what a zero in float32 says at most; refuse what no model should answer."""
    finite = np.isfinite(logits)
    if finite.all():
        return logits
    top = logits.max(axis=0)
    if not np.isfinite(top).all():  # NaN and +inf reach the maximum; an output of -inf alone has no other
        raise InputError("the outputs contain NaN or infinity: check the model's answers on these records")
    return np.where(finite, logits, top + LOG_OF_ZERO)


def _scaled_logit(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    outputs = np.arange(labels.size)
    others = logits.copy()
    others[labels, outputs] = -np.inf
    top = others.max(axis=0)
    others -= top
    np.exp(others, out=others)
    return logits[labels, outputs] - top - np.log(others.sum(axis=0))


@of_outputs
def scaled_logit(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """phi = log(p_y / (1 - p_y)) = l_y - logsumexp_{j != y} l_j, the log-odds of the true label.

    Reference: Carlini et al. 2022 (arXiv 2112.03570), section IV (logit scaling). Deviation: their code adds 1e-45 to
    both probabilities, which puts a floor under 1 - p_y; here there is none.

    >>> scaled_logit(np.array([[1.0, 2.0, -3.0]]), np.array([1])).round(8)
    array([0.98185007])
    """
    return _scaled_logit(logits, labels)


@of_outputs
def loss(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Cross-entropy in nats, -log p_y = log(1 + exp(-phi)); a loss of 1e-200 keeps its digits."""
    return softplus(-_scaled_logit(logits, labels))


@of_outputs
def confidence(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probability of the true label, p_y."""
    return expit(_scaled_logit(logits, labels))


@of_outputs
def hinge(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Margin of the true label, l_y - max_{j != y} l_j; the same for logits and log-probabilities."""
    outputs = np.arange(labels.size)
    others = logits.copy()
    others[labels, outputs] = -np.inf
    return logits[labels, outputs] - others.max(axis=0)


@of_outputs
def entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Shannon entropy in nats, -sum_j p_j log p_j; `labels` play no part.

    With d_j = l_j - max l and r = sum of exp(d_j) over all classes but the top one, it is
    log(1 + r) - sum_j exp(d_j) d_j / (1 + r): both terms are positive, so nothing cancels as r -> 0.
    """
    outputs = np.arange(logits.shape[1])
    top = logits.argmax(axis=0)
    below = logits - logits[top, outputs]
    weights = np.exp(below)
    weights[top, outputs] = 0.0
    rest = weights.sum(axis=0)
    return np.log1p(rest) - (weights * below).sum(axis=0) / (1.0 + rest)


@of_outputs
def modified_entropy(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Entropy that knows the label: -(1 - p_y) log p_y - sum_{j != y} p_j log(1 - p_j), in nats.

    Zero for a sure and right answer, large for a sure and wrong one.

    Reference: Song & Mittal 2021 (arXiv 2003.10595), modified prediction entropy. Deviation: their code clips every
    probability inside a logarithm at 1e-30; here the logarithms are computed from the logits.
    """
    outputs = np.arange(labels.size)
    phi = _scaled_logit(logits, labels)
    top = logits.argmax(axis=0)
    weights = np.exp(logits - logits[top, outputs])
    p = weights / weights.sum(axis=0)
    p_top = p[top, outputs]
    p[top, outputs] = 0.0  # the only class whose 1 - p may lose digits
    terms = -p * np.log1p(-p)
    terms[top, outputs] = p_top * softplus(_scaled_logit(logits, top))
    terms[labels, outputs] = expit(-phi) * softplus(-phi)
    return terms.sum(axis=0)


@of_outputs
def correct(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """1.0 where the predicted label is the true one, else 0.0; a tie goes to the lowest class, as in argmax."""
    return (logits.argmax(axis=0) == labels).astype(np.float64)


@of_outputs
def top_log_odds(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Log-odds of the largest probability, log p_m - log(1 - p_m): how sure the answer is, right or wrong."""
    return _scaled_logit(logits, logits.argmax(axis=0))


@of_outputs
def top_gap(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Gap of the two largest logits, l_m - max_{j != m} l_j; the same for logits and log-probabilities."""
    second, first = np.partition(logits, -2, axis=0)[-2:]
    return first - second


@of_outputs
def taylor_softmax(
    logits: np.ndarray, labels: np.ndarray, n: int = 4, m: float = 0.6, temperature: float = 2.0
) -> np.ndarray:
    """Soft-margin Taylor softmax, T(u_y - m) / (T(u_y - m) + sum_{j != y} T(u_j)) with u = l / temperature.

    T(u) = sum_{i=0}^{n-1} u^i / i!. It needs true logits: a constant added to them changes it.

    Args:
        logits: (samples, ..., classes).
        labels: (samples,).
        n: number of terms; the degree is n - 1, as in the code of RMIA.
        m: margin taken off the true label.
        temperature: 2 in the RMIA experiments, 1 for CIFAR-100.

    Reference: Zarifzadeh et al. 2024 (arXiv 2312.03262), experiments; Banerjee et al. 2020 (arXiv 2011.11538).
    Deviation: for odd degrees T is negative below about -1.6 and the quotient would leave [0, 1]; such terms count
    as zero.
    """
    outputs = np.arange(labels.size)
    u = logits / temperature
    u[labels, outputs] -= m
    terms, power = np.ones_like(u), np.ones_like(u)
    for i in range(1, n):
        power *= u / i
        terms += power
    terms = np.maximum(terms, 0.0)
    return terms[labels, outputs] / np.maximum(terms.sum(axis=0), np.finfo(np.float64).tiny)


# Those in which the label plays no part.
LABEL_FREE = frozenset({"entropy", "top-log-odds", "top-gap"})

SIGNALS: dict[str, Callable[..., np.ndarray]] = {
    "loss": loss,
    "confidence": confidence,
    "scaled-logit": scaled_logit,
    "hinge": hinge,
    "entropy": entropy,
    "modified-entropy": modified_entropy,
    "correct": correct,
    "top-log-odds": top_log_odds,
    "top-gap": top_gap,
    "taylor-softmax": taylor_softmax,
}
