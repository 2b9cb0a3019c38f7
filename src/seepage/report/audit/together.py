"""What the page of an audit says of all attacks together: who finds whom, what the union costs, which is best where."""

from collections.abc import Sequence

from seepage.report import ensemble_plot
from seepage.report.blocks import Figure, Figures, Paragraph, Table, estimates, numbers, words
from seepage.schema.audit import AuditResult
from seepage.schema.ensemble import BestAttack, Ensemble
from seepage.schema.numbers import count, decimal, listed, percent, rate

MOST_PAIRS = 12
_CHOSEN = (
    "The best of many attacks looks better than it is, for the maximum picks the luckiest. Here it is chosen on one "
    "half of the records and judged on the other, both ways round. Beside it stands the attack that does best on all "
    "records, judged on those very records."
)


def blocks(result: AuditResult) -> list:
    ensemble, union = result.ensemble, result.ensemble.union
    titles = {attack.name: attack.title for attack in result.attacks}
    pairs = "" if ensemble.n_targets == 1 else f", pairs of record and target ({count(ensemble.n_targets)} targets)"
    read_with_care = f" Mind: {ensemble.flag}." if ensemble.flag else ""
    found = [
        Paragraph(
            f"Each attack names records at FPR {rate(ensemble.fpr)}{pairs}.{read_with_care} All attacks together name "
            f"{count(union.n_members)} of {count(ensemble.n_members)} members, and wrongly {count(union.n_nonmembers)} "
            f"of {count(ensemble.n_nonmembers)} non-members. The union's false alarms add up, so it is judged beside "
            "the best single attack at the same number of them."
        )
    ]
    if ensemble.intersections:
        found.append(Figures([_upset(result, titles)]))
    rows = [
        (f"any of {count(len(ensemble.attacks))} attacks", union.fpr, union.tpr),
        (
            f"{titles.get(union.best_attack, union.best_attack)}, the best single attack there",
            union.fpr,
            union.best_tpr,
        ),
        *((f"{one.name} of all scores", ensemble.fpr, one.tpr) for one in ensemble.combinations),
    ]
    found.append(Table("Members found by more than one attack at a time", [
        words("Rule", [name for name, *_ in rows]),
        numbers("FPR", [percent(at) for _, at, _ in rows]),
        estimates("TPR", [tpr for *_, tpr in rows], as_rate=True),
        estimates("AUC", [None, None, *(one.auc for one in ensemble.combinations)]),
    ]))  # fmt: skip
    if ensemble.best:
        found += [Paragraph(_CHOSEN), _best(ensemble.best, titles)]
    return [*found, _agreement(ensemble, titles)]


def _best(best: Sequence[BestAttack], titles: dict[str, str]) -> Table:
    chosen = [listed([titles.get(name, name) for name in dict.fromkeys(row.chosen)]) for row in best]
    return Table("The best attack at each FPR", [
        words("FPR", [rate(row.fpr) for row in best]),
        words("Chosen", chosen),
        estimates("TPR, held out", [row.tpr for row in best], as_rate=True),
        words("Best on all records", [titles.get(row.naive_attack, row.naive_attack) for row in best]),
        estimates("TPR, same records", [row.naive_tpr for row in best], as_rate=True),
    ])  # fmt: skip


def _upset(result: AuditResult, titles: dict[str, str]) -> Figure:
    rows = result.ensemble.intersections
    read = "; ".join(
        f"{listed([titles.get(name, name) for name in row.attacks])}: {count(row.n_members)} members, "
        f"{count(row.n_nonmembers)} false alarms"
        for row in rows[:5]
    )
    return Figure(
        "upset",
        f"Who is found by exactly which attacks, each at FPR {rate(result.ensemble.fpr)}. Every record counts once.",
        f"The largest of {count(len(rows) + result.ensemble.n_rest)} combinations: {read}.",
        lambda: ensemble_plot.upset(result),
    )


def _agreement(ensemble: Ensemble, titles: dict[str, str]) -> Table:
    """The pairs that agree least and most: a matrix of twenty attacks is no reading."""
    names = [titles.get(name, name) for name in ensemble.attacks]
    pairs = [
        (f"{names[i]} and {names[j]}", ensemble.agreement[i][j])
        for i in range(len(names))
        for j in range(i)
        if ensemble.agreement[i][j] is not None
    ]
    pairs.sort(key=lambda pair: pair[1])
    shown = pairs if len(pairs) <= MOST_PAIRS else [*pairs[: MOST_PAIRS // 2], *pairs[-MOST_PAIRS // 2 :]]
    title = "Do two attacks find the same members? Kappa: 1 the same, 0 as if independent"
    if len(shown) < len(pairs):
        title += f"; the least and the most alike of {count(len(pairs))} pairs"
    return Table(title, [
        words("Attacks", [name for name, _ in shown]),
        numbers("Kappa", [decimal(kappa, 2) for _, kappa in shown]),
    ])  # fmt: skip
