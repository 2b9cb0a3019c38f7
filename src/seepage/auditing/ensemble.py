"""The attacks of an audit together: whom each finds, and what choosing the best of them costs."""

import numpy as np

from seepage import metrics
from seepage.auditing.findings import Scored, estimate
from seepage.metrics import ensemble as together
from seepage.report import result as report

# Fewer than this on a side of any target cannot be split into a half that chooses and a half that judges.
FEWEST_RECORDS = 20
MOST_INTERSECTIONS = 30


def ensemble(scored: Scored, rng: np.random.Generator) -> report.Ensemble | None:
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
    return report.Ensemble(
        fpr=fpr,
        flag=None if scored.supported_rate else "fewer than 10 false positives are allowed at this FPR",
        n_members=int(members.sum()),
        n_nonmembers=int((~members).sum()),
        n_targets=members.shape[1],
        attacks=list(scores),
        intersections=[_intersection(row) for row in shown],
        rest=_intersection(_sum(rest)) if rest else None,
        n_rest=len(rest),
        union=report.Union(
            n_members=union.n_members,
            n_nonmembers=union.n_nonmembers,
            fpr=union.fpr,
            tpr=estimate(union.tpr),
            best_attack=union.best,
            best_tpr=estimate(union.best_tpr),
        ),
        agreement=[[None if np.isnan(kappa) else float(kappa) for kappa in row] for row in kappas],
        combinations=[
            report.Combination(
                name=name,
                auc=estimate(metrics.roc_auc(column, members, **level)),
                tpr=estimate(metrics.tpr_at_fpr(column, members, fpr, **level)),
            )
            for name, column in combined.items()
        ],
        best=[
            report.BestAttack(
                fpr=row.fpr,
                chosen=list(row.chosen),
                tpr=estimate(row.tpr),
                naive_attack=row.naive,
                naive_tpr=estimate(row.naive_tpr),
            )
            for row in best
        ],
    )


def _intersection(row: together.Intersection) -> report.Intersection:
    return report.Intersection(attacks=list(row.attacks), n_members=row.n_members, n_nonmembers=row.n_nonmembers)


def _sum(rows: list[together.Intersection]) -> together.Intersection:
    return together.Intersection((), sum(row.n_members for row in rows), sum(row.n_nonmembers for row in rows))


def per_record(scored: Scored) -> dict[str, np.ndarray]:
    """What all attacks together say of each record and target, (records, targets).

    `rank_average`: mean over attacks of the record's rank, in (0, 1]; `n_found`: how many attacks name it at the
    audit's rate.
    """
    fpr = scored.supported_rate or max(scored.settings.rates)
    named = [together.found(scores, scored.members, fpr) for scores in scored.scores.values()]
    return {"rank_average": together.rank_average(scored.scores), "n_found": np.sum(named, axis=0)}
