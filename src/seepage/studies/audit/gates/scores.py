"""Gates on the scores: they vary, and none is surely the wrong way round."""

import numpy as np

from seepage import metrics
from seepage.models.access import Access
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.findings import Scored
from seepage.studies.audit.gates.check import SET_UP_LEVEL, Check, failed, passed


def degenerate(scored: Scored, evidence: Evidence) -> Check:
    name, question = "signals vary", "Do the scores differ between records?"
    constant = [attack for attack, scores in scored.scores.items() if (scores == scores[:1]).all()]
    answers = evidence.logits[np.ix_(scored.rows, evidence.target_models)]
    if len(constant) == len(scored.scores) or (answers == answers[:1]).all():
        detail = "the target gives all records the same answer"
        way_out = "check that the outputs belong to the records; an audit of constant answers can see nothing"
        return failed(name, question, detail, way_out)
    detail = f"constant for: {', '.join(constant)}" if constant else "no attack gives a constant score"
    return passed(name, question, detail)


def direction(scored: Scored, evidence: Evidence) -> Check:
    """Is any ranking surely the wrong way round? By each attack, and by the target's own loss and correctness.

    A model knows its members at least as well as others. Where neither loss nor correctness says so and one of them
    surely says the opposite, a leak that another attack finds is in doubt too. Without labels the log-odds of the
    likeliest class stand for both: a model is at least as sure of its members.
    """
    name, question = "direction", "Do members rank above non-members, if the ranking tells them apart at all?"
    members, at = scored.members, np.ix_(scored.rows, evidence.target_models)
    if not evidence.labelled:
        own = {"being sure": evidence.signals["top-log-odds"][:, :, 0][at]}
    else:
        own = {"being right": evidence.correct[at].astype(np.float64)}
    if evidence.labelled and evidence.access > Access.LABEL:
        own["the loss"] = -evidence.signals["loss"][:, :, 0][at]
    rankings = scored.scores | own
    p_values = {by: len(rankings) * metrics.leak_p_value(-scores, members) for by, scores in rankings.items()}
    by = min(p_values, key=p_values.get)
    columns = zip(rankings[by].T, members.T, strict=True)
    auc = np.mean([metrics.auc(*column) for column in columns])
    if p_values[by] >= SET_UP_LEVEL:
        return passed(name, question, f"no ranking is surely reversed (least AUC {auc:.3f}, by {by})")
    detail = (
        f"by {by} members rank surely below non-members (AUC {auc:.3f}, p = {p_values[by]:.2g}): whoever knows the "
        "sign can tell them apart"
    )
    way_out = (
        "check that the lists are not swapped and that True (1) means member; that both sides have their labels and "
        "their scale; then that the sides are records of one source. If all that is right, the training itself pushed "
        "members away (unlearning, some defences), and that is a leak"
    )
    reversed_ = any(p_values[ranking] < SET_UP_LEVEL for ranking in own)
    upright = any(metrics.leak_p_value(scores, members) < SET_UP_LEVEL for scores in own.values())
    return failed(name, question, detail, way_out, guards="doubt" if reversed_ and not upright else "absence")
