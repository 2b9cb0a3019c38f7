"""Statistics over the references that a record was in (or out of), exact for counts that differ from record to record.

`values` are (samples, references, queries), `mask` says for each (sample, reference) whether it counts. Where a
record has too few references for a statistic the result is NaN, until `filled` puts in the mean over the records
that have it (the rule of TensorFlow Privacy's `advanced_mia`).
"""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Bool, Float64

from seepage.errors import InputError
from seepage.signals.functions import row_blocks


def mean(
    values: Float64[np.ndarray, "samples references queries"],
    mask: Bool[np.ndarray, "samples references"],
    of: Callable[[np.ndarray], np.ndarray] = lambda values: values,
) -> Float64[np.ndarray, "samples queries"]:
    """Mean of `of(value)` over a record's references; NaN without any."""
    means = np.empty((len(values), values.shape[2]))
    for rows in _blocks(values):
        means[rows] = _sums(of(values[rows]), mask[rows])
    return means / _counts(mask, at_least=1)


def median(
    values: Float64[np.ndarray, "samples references queries"], mask: Bool[np.ndarray, "samples references"]
) -> Float64[np.ndarray, "samples queries"]:
    """Median over a record's references; NaN without any."""
    counts = mask.sum(axis=1)
    medians = np.full((len(values), values.shape[2]), np.nan)
    some = counts > 0
    low, high = (counts - 1) // 2, counts // 2
    for rows in _blocks(values):
        ordered = ordered_within(values[rows], mask[rows])
        index = np.arange(len(ordered))
        middle = (ordered[index, :, low[rows]] + ordered[index, :, high[rows]]) / 2
        medians[rows] = np.where(some[rows, None], middle, np.nan)
    return medians


def standard_deviation(
    values: Float64[np.ndarray, "samples references queries"], mask: Bool[np.ndarray, "samples references"]
) -> Float64[np.ndarray, "samples queries"]:
    """Standard deviation over a record's references (divided by their count); NaN with fewer than two."""
    counts = _counts(mask, at_least=2)
    deviations = np.empty((len(values), values.shape[2]))
    for rows in _blocks(values):
        centre = _sums(values[rows], mask[rows]) / counts[rows]
        deviations[rows] = _sums((values[rows] - centre[:, None]) ** 2, mask[rows])
    return np.sqrt(deviations / counts)


def pooled_standard_deviation(
    values: Float64[np.ndarray, "samples references queries"],
    mask: Bool[np.ndarray, "samples references"],
    centres: Float64[np.ndarray, "samples queries"] | None = None,
) -> float:
    """One standard deviation of all values that count, or of their residuals from `centres`; NaN without any."""
    n_values = int(mask.sum()) * values.shape[2]
    if n_values == 0:
        return float("nan")

    def total(power: int, centre: float) -> float:
        parts = []
        for rows in _blocks(values):
            residuals = values[rows] - (0.0 if centres is None else centres[rows, None])
            parts.append(_sums((residuals - centre) ** power, mask[rows]).sum())
        return float(np.sum(parts))

    return float(np.sqrt(total(2, centre=total(1, centre=0.0) / n_values) / n_values))


def ordered_within(
    values: Float64[np.ndarray, "samples references queries"], mask: Bool[np.ndarray, "samples references"]
) -> Float64[np.ndarray, "samples queries references"]:
    """The values that count in ascending order along the last axis, then +inf."""
    return np.sort(np.where(mask[:, None], values.transpose(0, 2, 1), np.inf), axis=-1)


def filled(statistic: Float64[np.ndarray, "samples queries"]) -> Float64[np.ndarray, "samples queries"]:
    """Replace NaN by the mean over the records that have the statistic, query by query."""
    lacking = np.isnan(statistic[:, 0])
    if not lacking.any():
        return statistic
    return np.where(lacking[:, None], statistic[~lacking].mean(axis=0), statistic)


def check_enough(mask: Bool[np.ndarray, "samples references"], of: str, purpose: str) -> None:
    """Refuse references of which no record has two, for a standard deviation, of the kind `of` ("IN" or "OUT").

    Raises:
        InputError: it is so.
    """
    most = int(mask.sum(axis=1).max(initial=0))
    if most < 2:
        raise InputError(
            f"{purpose} needs a record with at least 2 {of} references, and the most that one has is {most}: "
            f"train more reference models, or choose an attack that needs fewer"
        )


def _blocks(values: np.ndarray) -> Iterator[slice]:
    return row_blocks(len(values), values.shape[1] * values.shape[2])


def _sums(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.einsum("srq,sr->sq", values, mask.astype(np.float64))


def _counts(mask: np.ndarray, at_least: int) -> np.ndarray:
    counts = mask.sum(axis=1).astype(np.float64)
    return np.where(counts >= at_least, counts, np.nan)[:, None]
