"""The verdict: one of four, with what it rests on. Never "safe"."""

from collections.abc import Sequence

import numpy as np

from seepage import metrics
from seepage.schema.audit import Decisions, LowerBound, SmallestLeak
from seepage.studies.audit.findings import Scored
from seepage.studies.audit.gates import Check
from seepage.studies.audit.gates.check import GIVE_LABELS
from seepage.studies.settings import Settings

WITHOUT_LABELS = (
    "The records have no labels: only attacks that need none were made; an audit of the records with their labels is "
    "stronger."
)
TOO_WEAK = "Nothing was found, but this audit is too weak to say that there is nothing."
CHECKS_OF_RECORDS = {"overlap", "blind baseline"}


def smallest_leak(scored: Scored, settings: Settings) -> SmallestLeak:
    """The least leak that the audit finds with the stated power, corrected for the number of attacks.

    Each attack's p-value is three times the least of three, so each test runs at alpha / (3 attacks), and the one of
    the TPR at that over the number of targets. With several targets each has the leak that is named.
    """
    alpha = settings.alpha / (metrics.N_TESTS * len(scored.scores))
    n_in = int(scored.members.sum(axis=0).mean())
    n_out = len(scored.members) - n_in
    fpr, n_targets = scored.tested_rate, scored.members.shape[1]
    auc = metrics.smallest_detectable_auc(n_in, n_out, alpha=alpha, power=settings.power)
    tpr = metrics.smallest_detectable_tpr(n_in, n_out, alpha=alpha / n_targets, fpr=fpr, power=settings.power)
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


def claim_of(origin: str, checks: Sequence[Check]) -> str:
    """ "causal" where membership was random and the records could be looked at; else "association".

    A declaration by itself proves nothing: without the records neither copies nor a difference between the sides can be
    looked for.
    """
    looked_at = all(check.gate.status != "not run" for check in checks if check.gate.name in CHECKS_OF_RECORDS)
    return "causal" if origin == "drawn" or (origin == "declared" and looked_at) else "association"


def decide(
    scored: Scored,
    checks: Sequence[Check],
    claim: str,
    settings: Settings,
    *,
    labelled: bool = True,
    decisions: Decisions | None = None,
) -> tuple[str, str, list[str]]:
    """The verdict, its headline, and the reasons.

    A fixed scalar that decides better than guessing on the audited records takes the evidence of absence away, though
    it is none of the attacks that were chosen.

    Without labels nothing shows that the model knows these records at all (its weights, their order, their scale), so
    that finding nothing is never evidence that there is nothing.
    """
    verdict, headline, reasons = _decided(scored, checks, claim, settings)
    if verdict == "NO EVIDENCE" and (against := _left_out(scored, decisions)):
        verdict, headline, reasons = "INCONCLUSIVE", TOO_WEAK, [*against, *reasons]
    if labelled:
        return verdict, headline, reasons
    if verdict == "NO EVIDENCE":
        verdict, headline = "INCONCLUSIVE", TOO_WEAK
        why = "without labels no check can tell whether the model knows these records (its weights, their scale)"
        reasons = [f"{why}: {GIVE_LABELS}", *reasons]
    return verdict, f"{headline} {WITHOUT_LABELS}", reasons


def _left_out(scored: Scored, decisions: Decisions | None) -> list[str]:
    """What the page itself shows against "nothing was found": scalars beside the chosen attacks that tell members."""
    surer = [
        row
        for row in (decisions.rows if decisions else [])
        if row.is_baseline and row.name not in scored.scores and row.balanced_accuracy.low > 0.5
    ]
    return [
        f"{row.title.lower()}, with a threshold from the known records, tells members better than guessing "
        f"(balanced accuracy {row.balanced_accuracy.value:.3f} [{row.balanced_accuracy.low:.3f}, "
        f"{row.balanced_accuracy.high:.3f}]) and is none of these attacks: audit with '{row.name}' too (attacks=, "
        "--attacks)"
        for row in surer
    ]


def _decided(scored: Scored, checks: Sequence[Check], claim: str, settings: Settings) -> tuple[str, str, list[str]]:
    leading, failed = scored.leading, [check.gate for check in checks if check.failed]
    p_value = scored.p_values_holm[leading]
    shown = f"p = {p_value:.2g}" if p_value > 0 else "p < 1e-300"
    found = f"{leading}: {shown} after correction for {len(scored.scores)} attacks"
    is_found = p_value <= settings.alpha
    fatal = {"both", "doubt"} if is_found else {"both"}
    invalid = [check.gate for check in checks if check.failed and check.guards in fatal]
    if invalid:
        reasons = [f"gate failed - {gate.name}: {gate.detail}; {gate.way_out}" for gate in invalid]
        return "INVALID", "This audit cannot say anything: a check that it rests on failed.", reasons
    if is_found:
        headline = "Members of the training set can be told from others better than by chance."
        reasons = [found]
        if claim == "association":
            unseen = [check.gate.name for check in checks if check.gate.status == "not run"]
            if CHECKS_OF_RECORDS & set(unseen) and "randomised membership" not in unseen:
                why = "membership is said to be random, but without the records nothing could check the sides"
            else:
                why = "membership was not declared random, so the sides may differ in other ways too"
            reasons.append(f"this is an association: {why}")
        return "LEAK SHOWN", headline, reasons
    if failed:
        reasons = [f"gate failed - {gate.name}: {gate.detail}; {gate.way_out}" for gate in failed]
        headline = TOO_WEAK
        if any(gate.name == "direction" for gate in failed):
            headline = (
                "No attack found members, but a ranking is surely reversed: either the set-up is wrong, or members can "
                "be told apart by whoever knows the sign."
            )
        return "INCONCLUSIVE", headline, [*reasons, found]
    headline = "These attacks, at this number of records, found no evidence of a leak."
    return "NO EVIDENCE", headline, [found]
