"""Attacks with a threshold that was fixed beforehand: where it is put, and what being called a member then means."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import stdtrit

from seepage.metrics.bootstrap import two_way, weighted_mean
from seepage.metrics.intervals import check_confidence, clopper_pearson, proportion
from seepage.randomness import Seed, generator
from seepage.schema.estimates import Estimate

Scores = Float64[np.ndarray, " records"]
GRID_POINTS = 10_000
NOBODY = "undefined: nobody is called a member"


def youden_threshold(scores: Scores, members: Bool[np.ndarray, " records"]) -> float:
    """The score t of largest TPR - FPR when score > t is called a member; of equal ones the largest.

    Where scores say nothing it is the largest score of all, above which there is nobody.

    >>> youden_threshold(np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, True, False, False]))
    2.0
    """
    candidates = np.unique(scores)
    of_members, of_others = (_n_above(scores[side], candidates) for side in (members, ~members))
    advantage = of_members * int((~members).sum()) - of_others * int(members.sum())  # whole numbers tie exactly
    return float(candidates[np.flatnonzero(advantage == advantage.max())[-1]])


def accuracy_threshold(scores: Scores, members: Bool[np.ndarray, " records"], points: int = GRID_POINTS) -> float:
    """The threshold of highest accuracy among equally spaced ones from the least to the largest score.

    Of equal ones the largest, which calls the fewest members.

    >>> accuracy_threshold(np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, True, False, False]), points=4)
    2.0
    """
    grid = np.linspace(scores.min(), scores.max(), points)
    right = _n_above(scores[members], grid) - _n_above(scores[~members], grid)
    return float(grid[np.flatnonzero(right == right.max())[-1]])


def strict_threshold(scores: Scores, members: Bool[np.ndarray, " records"], rate: float) -> float:
    """The least score t above which at most a share `rate` of the non-members lies.

    >>> strict_threshold(np.array([9.0, 4.0, 3.0, 2.0, 1.0]), np.array([True, False, False, False, False]), 0.25)
    3.0
    """
    others: Float64[np.ndarray, " nonmembers"] = np.sort(scores[~members])[::-1]
    return float(others[int(rate * len(others) + 1e-9)])


def share_called(
    said: Bool[np.ndarray, " records *targets"],
    among: Bool[np.ndarray, " records *targets"] | None = None,
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> Estimate:
    """Share of the records in `among` (of all, by default) that are called members, mean over targets.

    n is that of the target that has fewest. Interval: one target, Clopper-Pearson; several, two-way bootstrap over
    records and targets, and Clopper-Pearson's for the records of one target where nothing varies between the resamples.

    >>> share_called(np.array([True, False, False, False]), rng=0).value
    0.25
    """
    among = np.ones_like(said) if among is None else among
    said, among = (values[:, None] if values.ndim == 1 else values for values in (said, among))
    n_samples, n_targets = said.shape
    check_confidence(confidence)
    if n_targets == 1:
        return proportion(said[among], confidence=confidence)

    def statistic(target, weights):
        return weighted_mean(said[:, target].astype(float), weights, among[:, target])

    (low,), (high,) = two_way(statistic, n_samples, n_targets, confidence=confidence, rng=generator(rng))
    n, value = int(among.sum(axis=0).min()), float(((said & among).sum(axis=0) / among.sum(axis=0)).mean())
    if low == high:
        low, high = clopper_pearson(round(value * n), n, confidence)
    return Estimate.of(value, max(0.0, min(float(low), value)), min(1.0, max(float(high), value)), n)


def predictive_value(tpr: Estimate, fpr: Estimate, prior: float) -> Estimate:
    """prior TPR / (prior TPR + (1 - prior) FPR), where a share `prior` of those asked about are members.

    The interval takes the unfavourable ends of both rates' intervals: give each at half the error.

    >>> everyone, half = np.array([True, True]), np.array([True, False])
    >>> tpr, fpr = (proportion(said, confidence=0.975) for said in (everyone, half))
    >>> round(predictive_value(tpr, fpr, 0.5).value, 3)
    0.667
    """
    n = tpr.n + fpr.n
    if tpr.value == 0 and fpr.value == 0:
        return Estimate.of(None, None, None, n, NOBODY)

    def value(of_members: float, of_others: float) -> float:
        return prior * of_members / (prior * of_members + (1 - prior) * of_others)

    (found, found_low, found_high), (wrong, wrong_low, wrong_high) = tpr.defined(), fpr.defined()
    return Estimate.of(value(found, wrong), value(found_low, wrong_high), value(found_high, wrong_low), n)


def mean_share(values: Float64[np.ndarray, " records"], confidence: float) -> Estimate:
    """A mean with Student's interval, cut to [0, 1]: it is of probabilities."""
    n = len(values)
    if not n:
        return Estimate.of(None, None, None, 0, "undefined: there are none")
    middle = float(values.mean())
    if n < 2:
        return Estimate.of(middle, None, None, n, "one record has no interval")
    half = float(stdtrit(n - 1, (1 + confidence) / 2) * values.std(ddof=1) / np.sqrt(n))
    return Estimate.of(middle, max(0.0, middle - half), min(1.0, middle + half), n)


def _n_above(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many of the scores are strictly above each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="right")
