"""The numbers of the study: how well a variant is calibrated, and whom an attack with a fixed threshold accuses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.special import stdtrit

from seepage import metrics
from seepage.metrics.calibration import (
    expected_calibration_error,
    negative_log_likelihood,
    overconfidence_error,
    reliability,
)
from seepage.metrics.intervals import Estimate, proportion
from seepage.report import trust_result as report
from seepage.report.estimates import saved
from seepage.report.result import Estimate as Saved
from seepage.trust.threats import LogProbabilities, Threat

NOBODY = "undefined: nobody is called a member"


@dataclass(frozen=True, eq=False)
class Judged:
    """What one variant answers on the records that the attacks are judged on, and on those they were fixed on.

    Attributes:
        members: of the target; as many as the own-distribution non-members.
        others: set of non-members -> answers; "same" is the own distribution.
        shadow, shadow_members: what the thresholds were fixed on.
    """

    members: LogProbabilities
    others: Mapping[str, LogProbabilities]
    shadow: LogProbabilities
    shadow_members: Bool[np.ndarray, " shadow"]


def threat_result(
    threat: Threat, judged: Judged, *, prior: float, confidence: float, rng: np.random.Generator
) -> report.ThreatResult:
    """One attack on one variant."""
    named = threat.calls_member(judged.members)
    recall = proportion(named, confidence=confidence)
    same = judged.others["same"]
    scores = np.concatenate([threat.score(judged.members), threat.score(same)])
    truth = np.arange(len(scores)) < len(named)
    right = threat.calls_member(judged.shadow) == judged.shadow_members
    at_95 = metrics.tnr_at_fnr(scores, truth, 0.05, confidence=confidence, rng=rng)
    surest = largest(judged.members)
    sets = []
    for name, answers in judged.others.items():
        accused = threat.calls_member(answers)
        sets.append(
            report.Accused(
                set=name,
                false_positive_rate=saved(proportion(accused, confidence=confidence)),
                positive_predictive_value=saved(predictive_value(named, accused, prior, confidence)),
                max_score_false_positives=saved(mean(largest(answers)[accused], confidence)),
                max_score_true_negatives=saved(mean(largest(answers)[~accused], confidence)),
            )
        )
    return report.ThreatResult(
        name=threat.name,
        title=threat.title,
        rule=threat.rule,
        threshold=threat.threshold,
        shadow_accuracy=saved(proportion(right, confidence=confidence)),
        recall=saved(recall),
        precision=saved(precision(named, threat.calls_member(same), confidence)),
        auc=saved(metrics.roc_auc(scores, truth, confidence=confidence, rng=rng)),
        fpr_at_95_tpr=saved(complement(at_95)),
        max_score_true_positives=saved(mean(surest[named], confidence)),
        max_score_false_negatives=saved(mean(surest[~named], confidence)),
        sets=sets,
    )


def calibration(
    log_probabilities: LogProbabilities, labels: Int64[np.ndarray, " records"], *, confidence: float, rng
) -> dict[str, Saved | report.ReliabilityBins]:
    """The calibration fields of a `VariantResult`, on records that the model was not trained on."""
    p = np.exp(log_probabilities)
    bins = reliability(p, labels, confidence=confidence)
    return {
        "calibration_error": saved(expected_calibration_error(p, labels, confidence=confidence, rng=rng)),
        "overconfidence_error": saved(overconfidence_error(p, labels, confidence=confidence, rng=rng)),
        "negative_log_likelihood": saved(negative_log_likelihood(log_probabilities, labels, confidence=confidence)),
        "reliability": report.ReliabilityBins(
            edges=bins.edges.tolist(),
            confidence=[None if np.isnan(value) else value for value in bins.confidence.tolist()],
            accuracy=[None if np.isnan(value) else value for value in bins.accuracy.tolist()],
            low=bins.low.tolist(),
            high=bins.high.tolist(),
            counts=bins.counts.tolist(),
        ),
    }


def accuracy(log_probabilities: LogProbabilities, labels: Int64[np.ndarray, " records"], confidence: float) -> Saved:
    return saved(proportion(log_probabilities.argmax(axis=1) == labels, confidence=confidence))


def precision(
    named: Bool[np.ndarray, " members"], accused: Bool[np.ndarray, " nonmembers"], confidence: float
) -> Estimate:
    """TP / (TP + FP), with its exact interval given how many are called members.

    >>> precision(np.array([True, True, True, False]), np.array([True, False]), 0.95).value
    0.75
    """
    called = int(named.sum() + accused.sum())
    if not called:
        return Estimate(None, None, None, 0, NOBODY)
    return proportion(np.arange(called) < named.sum(), confidence=confidence)


def predictive_value(
    named: Bool[np.ndarray, " members"], accused: Bool[np.ndarray, " nonmembers"], prior: float, confidence: float
) -> Estimate:
    """prior TPR / (prior TPR + (1 - prior) FPR), where a share `prior` of those asked about are members.

    The interval takes the unfavourable ends of both rates' intervals, each at half the error.

    >>> everyone, half = np.array([True, True]), np.array([True, False])
    >>> round(predictive_value(everyone, half, 0.5, 0.95).value, 3)
    0.667
    """
    n = len(named) + len(accused)
    both = (1 + confidence) / 2
    tpr, fpr = proportion(named, confidence=both), proportion(accused, confidence=both)
    if not named.any() and not accused.any():
        return Estimate(None, None, None, n, NOBODY)

    def value(of_members: float, of_others: float) -> float:
        return prior * of_members / (prior * of_members + (1 - prior) * of_others)

    low = value(tpr.low, fpr.high)
    return Estimate(value(tpr.value, fpr.value), low, value(tpr.high, fpr.low), n)


def mean(values: Float64[np.ndarray, " records"], confidence: float) -> Estimate:
    """A mean with Student's interval, cut to [0, 1]: it is of probabilities."""
    n = len(values)
    if not n:
        return Estimate(None, None, None, 0, "undefined: there are none")
    middle = float(values.mean())
    if n < 2:
        return Estimate(middle, None, None, n, "one record has no interval")
    half = float(stdtrit(n - 1, (1 + confidence) / 2) * values.std(ddof=1) / np.sqrt(n))
    return Estimate(middle, max(0.0, middle - half), min(1.0, middle + half), n)


def complement(estimate: Estimate) -> Estimate:
    """1 - value, with the ends of the interval changed about."""
    if estimate.value is None:
        return estimate
    return Estimate(1 - estimate.value, 1 - estimate.high, 1 - estimate.low, estimate.n, estimate.flag)


def largest(log_probabilities: LogProbabilities) -> Float64[np.ndarray, " records"]:
    return np.exp(log_probabilities.max(axis=1))
