"""The verdict: one of four, with what it rests on. Never "safe"."""

from collections.abc import Sequence

import numpy as np

from seepage import metrics
from seepage.auditing.findings import Scored
from seepage.auditing.gates import Check
from seepage.auditing.settings import Settings
from seepage.report.result import LowerBound, SmallestLeak


def smallest_leak(scored: Scored, settings: Settings) -> SmallestLeak:
    """The least leak that the audit finds with the stated power, corrected for the number of attacks.

    Each attack's p-value is twice the smaller of two, so each test runs at alpha / (2 attacks).
    """
    alpha = settings.alpha / (2 * len(scored.scores))
    n_in = int(scored.members.sum(axis=0).mean())
    n_out = len(scored.members) - n_in
    fpr = scored.supported_rate or max(settings.rates)
    auc, tpr = metrics.smallest_detectable(n_in, n_out, alpha=alpha, fpr=fpr, power=settings.power)
    return SmallestLeak(power=settings.power, alpha=settings.alpha, auc=auc, fpr=fpr, tpr=tpr)


def lower_bound(scored: Scored, settings: Settings, rng: np.random.Generator) -> LowerBound:
    """What the leading attack shows at least, at a level corrected for having picked it from all of them."""
    scores = scored.scores[scored.leading]
    confidence = 1 - settings.alpha / len(scored.scores)
    # The lower end of a two-sided interval at 1 - 2x is a one-sided bound at 1 - x.
    level = {"confidence": 2 * confidence - 1, "rng": rng}
    auc = metrics.roc_auc(scores, scored.members, **level)
    fpr = scored.supported_rate
    tpr = None if fpr is None else metrics.tpr_at_fpr(scores, scored.members, fpr, **level).low
    return LowerBound(attack=scored.leading, confidence=confidence, auc=auc.low, fpr=fpr, tpr=tpr)


def decide(scored: Scored, checks: Sequence[Check], claim: str, settings: Settings) -> tuple[str, str, list[str]]:
    """The verdict, its headline, and the reasons."""
    leading = scored.leading
    p_value = scored.p_values_holm[leading]
    shown = f"p = {p_value:.2g}" if p_value > 0 else "p < 1e-300"
    found = f"{leading}: {shown} after correction for {len(scored.scores)} attacks"
    invalid = [check.gate for check in checks if check.failed and check.guards == "both"]
    if invalid:
        reasons = [f"gate failed - {gate.name}: {gate.detail}; {gate.way_out}" for gate in invalid]
        return "INVALID", "This audit cannot say anything: a check that it rests on failed.", reasons
    if p_value <= settings.alpha:
        headline = "Members of the training set can be told from others better than by chance."
        reasons = [found]
        if claim == "association":
            reasons.append(
                "this is an association: membership was not declared random, so the sides may differ in other ways too"
            )
        return "LEAK SHOWN", headline, reasons
    weak = [check.gate for check in checks if check.failed]
    if weak:
        reasons = [f"gate failed - {gate.name}: {gate.detail}; {gate.way_out}" for gate in weak]
        headline = "Nothing was found, but this audit is too weak to say that there is nothing."
        return "INCONCLUSIVE", headline, [found, *reasons]
    headline = "These attacks, at this number of records, found no evidence of a leak."
    return "NO EVIDENCE", headline, [found]
