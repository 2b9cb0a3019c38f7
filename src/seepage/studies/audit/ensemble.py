"""The attacks of an audit together: whom each finds, and what choosing the best of them costs."""

import numpy as np

from seepage import metrics
from seepage.metrics import ensemble as together
from seepage.schema.ensemble import Combination, Ensemble, Intersection
from seepage.studies.audit.findings import Scored

# Fewer than this on a side of any target cannot be split into a half that chooses and a half that judges.
FEWEST_RECORDS = 20
MOST_INTERSECTIONS = 30


def ensemble(scored: Scored, rng: np.random.Generator) -> Ensemble | None:
    """The attacks together at the audit's supported rate; None for one attack alone or too few records.

    With several targets a pair of record and target counts, each target with thresholds of its own; the halves that
    choose and judge are halves of the records, so no record is on both sides.
    """
    members = scored.members
    n_in, n_out = int(members.sum(axis=0).min()), int((~members).sum(axis=0).min())
    if len(scored.scores) < 2 or min(n_in, n_out) < FEWEST_RECORDS:
        return None
    settings = scored.settings
    scores = {name: scored.scores[name] for name in scored.order}
    fpr = scored.supported_rate or max(settings.rates)
    # In the order that was asked for: the leading one first would be a hint from the half that judges.
    rates = [rate for rate in settings.rates if rate * n_out >= 1]
    best = together.best_at(scored.scores, members, rates, confidence=settings.confidence, rng=rng)
    level = {"confidence": settings.confidence, "rng": rng}
    rows = together.upset(scores, members, fpr)
    shown, rest = rows[:MOST_INTERSECTIONS], rows[MOST_INTERSECTIONS:]
    union = together.union(scores, members, fpr, **level)
    kappas = together.agreement(scores, members, fpr)
    combined = {
        "rank average": together.rank_average(scores),
        "logistic regression": together.stacked(scores, members, rng=rng),
    }
    return Ensemble(
        fpr=fpr,
        flag=None if scored.supported_rate else "fewer than 10 false positives are allowed at this FPR",
        n_members=int(members.sum()),
        n_nonmembers=int((~members).sum()),
        n_targets=members.shape[1],
        attacks=list(scores),
        intersections=shown,
        rest=_sum(rest) if rest else None,
        n_rest=len(rest),
        union=union,
        agreement=[[None if np.isnan(kappa) else float(kappa) for kappa in row] for row in kappas],
        combinations=[
            Combination(
                name=name,
                auc=metrics.roc_auc(column, members, **level),
                tpr=metrics.tpr_at_fpr(column, members, fpr, **level),
            )
            for name, column in combined.items()
        ],
        best=best,
    )


def _sum(rows: list[Intersection]) -> Intersection:
    n_members, n_nonmembers = (sum(getattr(row, side) for row in rows) for side in ("n_members", "n_nonmembers"))
    return Intersection(attacks=[], n_members=n_members, n_nonmembers=n_nonmembers)


def per_record(scored: Scored) -> dict[str, np.ndarray]:
    """What all attacks together say of each record and target, (records, targets).

    `rank_average`: mean over attacks of the record's rank, in (0, 1]; `n_found`: how many attacks name it at the
    audit's rate.
    """
    fpr = scored.supported_rate or max(scored.settings.rates)
    named = [together.found(scores, scored.members, fpr) for scores in scored.scores.values()]
    return {"rank_average": together.rank_average(scored.scores), "n_found": np.sum(named, axis=0)}
