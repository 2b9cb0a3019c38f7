"""The numbers of the study: how well a variant is calibrated, and whom an attack with a fixed threshold accuses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from seepage import metrics
from seepage.attacks import find_attack
from seepage.metrics.calibration import (
    expected_calibration_error,
    negative_log_likelihood,
    overconfidence_error,
    reliability,
)
from seepage.metrics.intervals import proportion
from seepage.metrics.thresholds import NOBODY, mean_share, predictive_value, strict_threshold, youden_threshold
from seepage.schema import trust as report
from seepage.schema.estimates import Estimate
from seepage.studies.compare.shadow.attackers import MEMBERS, Evidence, Scored, score
from seepage.studies.compare.shadow.threats import LogProbabilities, Threat


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
    confidence, both = terms.confidence, (1 + terms.confidence) / 2
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
                positive_predictive_value=predictive_value(
                    proportion(named, confidence=both), proportion(accused, confidence=both), terms.prior
                ),
                max_score_false_positives=mean_share(sure[accused], confidence),
                max_score_true_negatives=mean_share(sure[~accused], confidence),
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
        max_score_true_positives=mean_share(surest[named], confidence),
        max_score_false_negatives=mean_share(surest[~named], confidence),
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


def complement(estimate: Estimate) -> Estimate:
    """1 - value, with the ends of the interval changed about."""
    if estimate.value is None:
        return estimate
    return Estimate.of(1 - estimate.value, 1 - estimate.high, 1 - estimate.low, estimate.n, estimate.flag)


def largest(log_probabilities: LogProbabilities) -> Float64[np.ndarray, " records"]:
    return np.exp(log_probabilities.max(axis=1))
