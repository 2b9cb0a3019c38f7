"""What attackers who know some records decide: a threshold from those, judged on the audited ones."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log

import numpy as np
from jaxtyping import Bool, Float64
from scipy.stats import mannwhitneyu

from seepage import metrics
from seepage.attacks import Attack
from seepage.attacks.few_shot import FewShot
from seepage.attacks.few_shot.support import best_thresholds
from seepage.models.access import Access
from seepage.schema import audit as report
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.findings import Scored

EXCHANGED = (
    "the known members look less like members than the known non-members, more surely than chance explains: check that "
    "the sides of the known records are not exchanged"
)
CONTRADICTION = 0.01  # how seldom known records of a target that tells nothing may look exchanged


@dataclass(frozen=True)
class Baseline:
    """A fixed scalar: it knows no record but for its threshold."""

    title: str
    signal: str
    sign: int  # +1 where members have the higher signal
    labels: bool


BASELINES = {
    "loss": Baseline("Loss", "loss", -1, True),
    "max-probability": Baseline("Maximum probability", "top-log-odds", 1, False),
}


def decisions(
    scored: Scored, evidence: Evidence, attacks: Mapping[str, Attack], titles: Mapping[str, str], rng
) -> report.Decisions | None:
    """Few-shot attacks beside fixed scalars whose threshold comes from the same records; None where none is known.

    A few-shot attack says member where its score is above 0. The thresholds are fixed before any audited record is
    judged, so the intervals are those of decisions and not of chosen thresholds; see `metrics.decision_rates`.
    """
    known = np.flatnonzero(evidence.membership.known)
    bits = evidence.membership.targets[known][:, : len(evidence.target_models)]
    if not known.size or min(bits.sum(axis=0).min(), (~bits).sum(axis=0).min()) < 1:
        return None
    rows = [
        _row(name, titles[name], scored.scores[name], "labels" in attack.needs, scored.costs[name].seconds, scored, rng)
        for name, attack in attacks.items()
        if isinstance(attack, FewShot)
    ]
    reversed_by = []
    for name, baseline in BASELINES.items():
        if evidence.access < Access.PROBABILITIES or (baseline.labels and "labels" not in evidence.available):
            continue
        start = time.perf_counter()
        values = baseline.sign * evidence.signals[baseline.signal][:, evidence.target_models].mean(axis=2)
        scores = values[scored.rows] - _bars(values[known], bits)
        seconds = time.perf_counter() - start
        rows.append(_row(name, baseline.title, scores, baseline.labels, seconds, scored, rng, is_baseline=True))
        area = _reversed_area(values[known], bits)
        if area is not None:
            reversed_by.append(f"by {baseline.title.lower()} (AUC {area:.3f} among the known)")
    if not rows:
        return None
    members = scored.members
    n_in, n_out = (round(float(side.sum(axis=0).mean())) for side in (members, ~members))
    allowed = ceil(log(len(members)))
    return report.Decisions(
        n_known_members=float(bits.sum(axis=0).mean()),
        n_known_nonmembers=float((~bits).sum(axis=0).mean()),
        log_mia_chance_a=metrics.log_mia_chance(n_in, n_out, 0),
        log_mia_chance_b=metrics.log_mia_chance(n_in, n_out, allowed),
        flag=f"{' and '.join(reversed_by)} {EXCHANGED}" if reversed_by else None,
        rows=rows,
    )


def _bars(values: Float64[np.ndarray, "known targets"], bits: Bool[np.ndarray, "known targets"]) -> np.ndarray:
    """(targets,) the threshold of best balanced accuracy on the known records of each target."""
    pairs = zip(values.T, bits.T, strict=True)
    return np.concatenate([best_thresholds(column[~is_in][None], column[is_in][None]) for column, is_in in pairs])


def _reversed_area(values: np.ndarray, bits: np.ndarray) -> float | None:
    """AUC on the known, where it is below 0.5 more surely than chance explains; of the first target where it is.

    Every scalar is tried on every target (Bonferroni).
    """
    for column, is_in in zip(values.T, bits.T, strict=True):
        test = mannwhitneyu(column[is_in], column[~is_in], alternative="less")
        if test.pvalue <= CONTRADICTION / (len(BASELINES) * values.shape[1]):
            return metrics.auc(column, is_in)
    return None


def _row(
    name: str,
    title: str,
    scores: Float64[np.ndarray, "records targets"],
    labels: bool,
    seconds: float,
    scored: Scored,
    rng: np.random.Generator,
    is_baseline: bool = False,
) -> report.Decision:
    members, settings = scored.members, scored.settings
    said = scores > 0
    level = {"confidence": settings.confidence}
    accuracy, tpr, fpr = ((found) for found in metrics.decision_rates(said, members, rng=rng, **level))
    return report.Decision(
        name=name,
        title=title,
        is_baseline=is_baseline,
        labels=labels,
        balanced_accuracy=accuracy,
        tpr=tpr,
        fpr=fpr,
        best_balanced_accuracy=float(np.mean([_best(*pair) for pair in zip(scores.T, members.T, strict=True)])),
        auc=metrics.roc_auc(scores, members, rng=rng, **level),
        seconds=seconds,
    )


def _best(scores: np.ndarray, members: np.ndarray) -> float:
    curve = metrics.roc(scores, members)
    return float(((curve.tpr + 1 - curve.fpr) / 2).max())
