"""The numbers of the study: how well a variant is calibrated, and whom an attack with a fixed threshold accuses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.special import stdtrit

from seepage import metrics
from seepage.attacks import find_attack
from seepage.metrics.calibration import (
    expected_calibration_error,
    negative_log_likelihood,
    overconfidence_error,
    reliability,
)
from seepage.metrics.intervals import proportion
from seepage.schema import trust as report
from seepage.schema.estimates import Estimate
from seepage.studies.trust.attackers import MEMBERS, Evidence, Scored, score, strict_threshold
from seepage.studies.trust.threats import LogProbabilities, Threat, youden_threshold

NOBODY = "undefined: nobody is called a member"


@dataclass(frozen=True)
class Terms:
    """How everything is counted.

    Attributes:
        prior: share of members among those asked about.
        confidence: of every interval.
        strict_rate: share of the shadow's own non-members that the strict threshold calls members, at most.
    """

    prior: float
    confidence: float
    strict_rate: float


def threat_result(threat: Threat, evidence: Evidence, terms: Terms, *, rng: np.random.Generator) -> report.ThreatResult:
    """One of the source's attacks on one variant."""
    scored = Scored(
        {name: threat.score(answers.target) for name, answers in evidence.judged.items()},
        threat.score(evidence.shadow.shadow),
    )
    return attack_result(threat.name, threat.title, threat.rule, threat.threshold, scored, evidence, terms, rng=rng)


def registered_result(name: str, evidence: Evidence, terms: Terms, *, rng: np.random.Generator) -> report.ThreatResult:
    """A registered attack on one variant, its threshold the one of largest TPR - FPR on the shadow's records."""
    attack, scored = find_attack(name), score(name, evidence, rng=rng)
    threshold = youden_threshold(scored.shadow, evidence.shadow_members)
    rule = f"member where the score is above {threshold:.4g}: largest TPR - FPR on the shadow; {attack.source}"
    return attack_result(name, attack.title, rule, threshold, scored, evidence, terms, rng=rng)


def attack_result(
    name: str,
    title: str,
    rule: str,
    threshold: float,
    scored: Scored,
    evidence: Evidence,
    terms: Terms,
    *,
    rng: np.random.Generator,
) -> report.ThreatResult:
    """The numbers of an attack that calls a member whoever scores above the threshold."""
    confidence = terms.confidence
    strict = strict_threshold(scored.shadow, evidence.shadow_members, terms.strict_rate)
    of_members, same = scored.judged[MEMBERS], scored.judged["same"]
    named = of_members > threshold
    scores = np.concatenate([of_members, same])
    truth = np.arange(len(scores)) < len(named)
    right = (scored.shadow > threshold) == evidence.shadow_members
    at_95 = metrics.tnr_at_fnr(scores, truth, 0.05, confidence=confidence, rng=rng)
    surest = largest(evidence.judged[MEMBERS].target)
    sets = []
    for of, answers in evidence.judged.items():
        if of == MEMBERS:
            continue
        accused, sure = scored.judged[of] > threshold, largest(answers.target)
        sets.append(
            report.Accused(
                set=of,
                false_positive_rate=proportion(accused, confidence=confidence),
                positive_predictive_value=predictive_value(named, accused, terms.prior, confidence),
                max_score_false_positives=mean(sure[accused], confidence),
                max_score_true_negatives=mean(sure[~accused], confidence),
                strict_false_positive_rate=proportion(scored.judged[of] > strict, confidence=confidence),
            )
        )
    return report.ThreatResult(
        name=name,
        title=title,
        rule=rule,
        threshold=threshold,
        shadow_accuracy=proportion(right, confidence=confidence),
        recall=proportion(named, confidence=confidence),
        precision=precision(named, same > threshold, confidence),
        auc=metrics.roc_auc(scores, truth, confidence=confidence, rng=rng),
        fpr_at_95_tpr=complement(at_95),
        max_score_true_positives=mean(surest[named], confidence),
        max_score_false_negatives=mean(surest[~named], confidence),
        sets=sets,
        strict_threshold=strict,
        strict_recall=proportion(of_members > strict, confidence=confidence),
    )


def calibration(
    log_probabilities: LogProbabilities, labels: Int64[np.ndarray, " records"], *, confidence: float, rng
) -> dict[str, Estimate | report.ReliabilityBins]:
    """The calibration fields of a `VariantResult`, on records that the model was not trained on."""
    p = np.exp(log_probabilities)
    bins = reliability(p, labels, confidence=confidence)
    return {
        "calibration_error": (expected_calibration_error(p, labels, confidence=confidence, rng=rng)),
        "overconfidence_error": (overconfidence_error(p, labels, confidence=confidence, rng=rng)),
        "negative_log_likelihood": (negative_log_likelihood(log_probabilities, labels, confidence=confidence)),
        "reliability": report.ReliabilityBins(
            edges=bins.edges.tolist(),
            confidence=[None if np.isnan(value) else value for value in bins.confidence.tolist()],
            accuracy=[None if np.isnan(value) else value for value in bins.accuracy.tolist()],
            low=bins.low.tolist(),
            high=bins.high.tolist(),
            counts=bins.counts.tolist(),
        ),
    }


def accuracy(log_probabilities: LogProbabilities, labels: Int64[np.ndarray, " records"], confidence: float) -> Estimate:
    return proportion(log_probabilities.argmax(axis=1) == labels, confidence=confidence)


def precision(
    named: Bool[np.ndarray, " members"], accused: Bool[np.ndarray, " nonmembers"], confidence: float
) -> Estimate:
    """TP / (TP + FP), with its exact interval given how many are called members.

    >>> precision(np.array([True, True, True, False]), np.array([True, False]), 0.95).value
    0.75
    """
    called = int(named.sum() + accused.sum())
    if not called:
        return Estimate.of(None, None, None, 0, NOBODY)
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
        return Estimate.of(None, None, None, n, NOBODY)

    def value(of_members: float, of_others: float) -> float:
        return prior * of_members / (prior * of_members + (1 - prior) * of_others)

    low = value(tpr.low, fpr.high)
    return Estimate.of(value(tpr.value, fpr.value), low, value(tpr.high, fpr.low), n)


def mean(values: Float64[np.ndarray, " records"], confidence: float) -> Estimate:
    """A mean with Student's interval, cut to [0, 1]: it is of probabilities."""
    n = len(values)
    if not n:
        return Estimate.of(None, None, None, 0, "undefined: there are none")
    middle = float(values.mean())
    if n < 2:
        return Estimate.of(middle, None, None, n, "one record has no interval")
    half = float(stdtrit(n - 1, (1 + confidence) / 2) * values.std(ddof=1) / np.sqrt(n))
    return Estimate.of(middle, max(0.0, middle - half), min(1.0, middle + half), n)


def complement(estimate: Estimate) -> Estimate:
    """1 - value, with the ends of the interval changed about."""
    if estimate.value is None:
        return estimate
    return Estimate.of(1 - estimate.value, 1 - estimate.high, 1 - estimate.low, estimate.n, estimate.flag)


def largest(log_probabilities: LogProbabilities) -> Float64[np.ndarray, " records"]:
    return np.exp(log_probabilities.max(axis=1))
