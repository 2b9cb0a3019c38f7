"""Whether a model's confidence is its accuracy: reliability bins, calibration errors and the likelihood of labels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int64
from scipy.special import stdtrit

from seepage.errors import InputError
from seepage.metrics.bootstrap import BLOCK_CELLS, MOST_REPLICATES
from seepage.metrics.intervals import check_confidence, clopper_pearson, percentile_interval
from seepage.randomness import Seed, generator
from seepage.schema.estimates import Estimate

SUM_TOLERANCE = 1e-2  # of rounded probabilities

# Counts, summed confidence and number of right answers of each bin -> a number for each replicate.
Statistic = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Reliability:
    """Bins of equal width over the confidence, max_c p_c: bin m holds edges[m] < confidence <= edges[m + 1].

    Attributes:
        edges: (bins + 1,), from 0 to 1.
        confidence: (bins,), mean of the bin's records; NaN where the bin is empty.
        accuracy: (bins,), share of them whose likeliest class is the label; NaN where the bin is empty.
        low, high: (bins,), the accuracy's Clopper-Pearson interval; 0 and 1 where the bin is empty.
        counts: (bins,), records.
    """

    edges: Float64[np.ndarray, " edges"]
    confidence: Float64[np.ndarray, " bins"]
    accuracy: Float64[np.ndarray, " bins"]
    low: Float64[np.ndarray, " bins"]
    high: Float64[np.ndarray, " bins"]
    counts: Int64[np.ndarray, " bins"]


def reliability(
    probabilities: Float[np.ndarray, "samples classes"],
    labels: Int[np.ndarray, " samples"],
    *,
    bins: int = 15,
    confidence: float = 0.95,
) -> Reliability:
    """What a reliability diagram shows. Of equally likely classes the first is the predicted one.

    Args:
        probabilities: rows sum to 1.
        labels: whole numbers below the number of classes.
        bins: of equal width.
        confidence: of the intervals.

    Raises:
        InputError: rows are no probabilities, or labels do not fit them.

    >>> found = reliability(np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 0, 0]), bins=2)
    >>> print(found.counts, found.accuracy.round(3), found.confidence.round(3))
    [0 3] [  nan 0.667] [  nan 0.767]

    Reference: Guo et al. (2017), On calibration of modern neural networks, section 2.
    """
    check_confidence(confidence)
    sure, right, place = _binned(probabilities, labels, bins)
    counts = np.bincount(place, minlength=bins)
    hits, summed = np.bincount(place, right, bins), np.bincount(place, sure, bins)
    filled = counts > 0
    low, high = clopper_pearson(hits, np.maximum(counts, 1), confidence)
    return Reliability(
        edges=np.linspace(0, 1, bins + 1),
        confidence=np.divide(summed, counts, out=np.full(bins, np.nan), where=filled),
        accuracy=np.divide(hits, counts, out=np.full(bins, np.nan), where=filled),
        low=np.where(filled, low, 0.0),
        high=np.where(filled, high, 1.0),
        counts=counts,
    )


def expected_calibration_error(
    probabilities: Float[np.ndarray, "samples classes"],
    labels: Int[np.ndarray, " samples"],
    *,
    bins: int = 15,
    confidence: float = 0.95,
    rng: Seed,
) -> Estimate:
    """ECE = sum_m (n_m / n) |accuracy_m - confidence_m|.

    It is never negative and so too high on few records: a calibrated model shows about sqrt(bins / n) / 3 of it. An ECE
    that a calibrated model with these confidences would show by chance is flagged, and its interval begins at 0. The
    interval is the basic bootstrap one over the records, 2 ECE - (percentiles of the replicates), which takes this bias
    off; it is widened to hold the ECE itself.

    Args:
        probabilities: rows sum to 1.
        labels: whole numbers below the number of classes.
        bins: of equal width.
        confidence: of the interval.
        rng: source of the resamples and of the calibrated models.

    Raises:
        InputError: rows are no probabilities, or labels do not fit them.

    Reference: Guo et al. (2017), equation 3; Naeini et al. (2015).
    """
    rng = generator(rng)
    return _over_bins(_calibration, probabilities, labels, bins, confidence, rng)


def overconfidence_error(
    probabilities: Float[np.ndarray, "samples classes"],
    labels: Int[np.ndarray, " samples"],
    *,
    bins: int = 15,
    confidence: float = 0.95,
    rng: Seed,
) -> Estimate:
    """OE = sum_m (n_m / n) confidence_m max(confidence_m - accuracy_m, 0): only bins that are too sure count.

    Arguments, interval, bias and flag as for `expected_calibration_error`.

    Reference: Thulasidasan et al. (2019), On mixup training, section 3.1.
    """
    rng = generator(rng)
    return _over_bins(_overconfidence, probabilities, labels, bins, confidence, rng)


def negative_log_likelihood(
    log_probabilities: Float[np.ndarray, "samples classes"],
    labels: Int[np.ndarray, " samples"],
    *,
    confidence: float = 0.95,
) -> Estimate:
    """NLL = mean_i -log p_i(y_i), in nats, with Student's interval of a mean.

    Args:
        log_probabilities: at most 0; -inf is allowed, and where it meets a label the NLL is infinite.
        labels: whole numbers below the number of classes.
        confidence: of the interval.

    Raises:
        InputError: rows are no log-probabilities, or labels do not fit them.

    >>> print(negative_log_likelihood(np.log([[0.5, 0.5], [0.75, 0.25]]), np.array([0, 1])).value.__round__(4))
    1.0397
    """
    check_confidence(confidence)
    log_p = np.asarray(log_probabilities, dtype=np.float64)
    if log_p.ndim == 2 and log_p.size and not log_p.max() <= SUM_TOLERANCE:
        raise InputError(f"expected log-probabilities, at most 0, got {log_p.max()}: pass log_softmax(logits)")
    _, labels = _checked(np.exp(log_p), labels)
    losses = -log_p[np.arange(len(labels)), labels]
    n, mean = len(losses), float(losses.mean())
    if not np.isfinite(mean):
        return Estimate.of(mean, None, None, n, f"{np.isinf(losses).sum()} labels have the probability zero")
    if n < 2:
        return Estimate.of(mean, None, None, n, "one record has no interval")
    half = float(stdtrit(n - 1, (1 + confidence) / 2) * losses.std(ddof=1) / np.sqrt(n))
    return Estimate.of(mean, mean - half, mean + half, n)


def _over_bins(
    statistic: Statistic, probabilities: np.ndarray, labels: np.ndarray, bins: int, confidence: float, rng
) -> Estimate:
    check_confidence(confidence)
    sure, right, place = _binned(probabilities, labels, bins)
    n = len(sure)
    to_bins = np.zeros((n, bins))
    to_bins[np.arange(n), place] = 1.0
    counts, summed = to_bins.sum(axis=0), sure @ to_bins
    value = float(statistic(counts, summed, right @ to_bins))

    resampled, calibrated = [], []
    block = max(1, BLOCK_CELLS // n)
    for start in range(0, MOST_REPLICATES, block):
        size = min(block, MOST_REPLICATES - start)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=size).astype(float)
        resampled.append(statistic(weights @ to_bins, (weights * sure) @ to_bins, (weights * right) @ to_bins))
        calibrated.append(statistic(counts, summed, (rng.random((size, n)) < sure) @ to_bins))
    first, last = percentile_interval(np.concatenate(resampled), confidence)
    low, high = max(0.0, float(2 * value - last)), max(value, float(2 * value - first))
    by_chance = float(np.quantile(np.concatenate(calibrated), confidence))
    if value <= by_chance:
        return Estimate.of(value, 0.0, high, n, f"a calibrated model shows up to {by_chance:.2g} on {n} records")
    return Estimate.of(value, low, high, n)


def _calibration(counts: np.ndarray, summed: np.ndarray, hits: np.ndarray) -> np.ndarray:
    return np.abs(hits - summed).sum(axis=-1) / counts.sum(axis=-1)


def _overconfidence(counts: np.ndarray, summed: np.ndarray, hits: np.ndarray) -> np.ndarray:
    excess = summed * np.maximum(summed - hits, 0) / np.maximum(counts, 1)
    return excess.sum(axis=-1) / counts.sum(axis=-1)


def _binned(
    probabilities: np.ndarray, labels: np.ndarray, bins: int
) -> tuple[Float64[np.ndarray, " samples"], Bool[np.ndarray, " samples"], Int64[np.ndarray, " samples"]]:
    """Confidence, whether the prediction is right, and the bin of each record."""
    if bins < 1:
        raise InputError(f"expected at least 1 bin, got {bins}")
    probabilities, labels = _checked(probabilities, labels)
    sure = np.minimum(probabilities.max(axis=1), 1.0)
    place = np.searchsorted(np.linspace(0, 1, bins + 1), sure, side="left") - 1
    return sure, probabilities.argmax(axis=1) == labels, place


def _checked(probabilities: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    if p.ndim != 2 or not p.size or labels.shape != (len(p),):
        raise InputError(
            f"expected probabilities (samples, classes) and one label a row, got shapes {p.shape} and {labels.shape}"
        )
    if not (p.min() >= 0 and np.abs(p.sum(axis=1) - 1).max() <= SUM_TOLERANCE):
        bad = int(np.argmax(~((p >= 0).all(axis=1) & (np.abs(p.sum(axis=1) - 1) <= SUM_TOLERANCE))))
        raise InputError(f"row {bad} does not hold probabilities that sum to one: pass softmax(logits), got {p[bad]}")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= p.shape[1]:
        raise InputError(f"labels must be whole numbers from 0 to {p.shape[1] - 1}, got {labels.dtype} labels")
    return p, labels
