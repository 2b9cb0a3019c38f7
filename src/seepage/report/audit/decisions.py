"""What the page of an audit says of the decisions of attackers who know some records."""

from seepage.report.blocks import Paragraph, Table, estimates, numbers, words
from seepage.schema.audit import AuditResult, Decisions
from seepage.schema.numbers import count, decimal, duration, interval_of, value_of

TITLE = "What attackers who know a few records decide"


def blocks(result: AuditResult) -> list:
    found = result.decisions
    rows = found.rows
    text = (
        f"{known(found)} They train no reference model. A few-shot attack learns from the known records; the fixed "
        "scalars beside it take nothing but their threshold from them, the one of best balanced accuracy. What known "
        "records buy is that threshold: compare it with the best one, which nobody knows (it is chosen on the audited "
        "records themselves, and so a little too good where they are few), and the AUC with that of the scalars. A "
        "threshold from few records is rough, and other known records would give another. Guessing has a balanced "
        "accuracy of 0.5. A random ranking of the audited records has Log-MIA "
        f"{decimal(found.log_mia_chance_a)} in regime A and {decimal(found.log_mia_chance_b)} in regime B."
    )
    table = Table("Decisions on the audited records", [
        words("Attacker", [row.title for row in rows]),
        words("Labels", ["used" if row.labels else "not used" for row in rows]),
        estimates("Balanced accuracy", [row.balanced_accuracy for row in rows]),
        numbers("At the best threshold", [decimal(row.best_balanced_accuracy) for row in rows], "balanced accuracy"),
        estimates("TPR", [row.tpr for row in rows], as_rate=True),
        estimates("FPR", [row.fpr for row in rows], as_rate=True),
        estimates("AUC", [row.auc for row in rows]),
        numbers("Scoring", [duration(row.seconds) for row in rows]),
    ])  # fmt: skip
    warning = [Paragraph(f"Mind: {found.flag}.")] if found.flag else []
    return [*warning, Paragraph(conclusion(result)), Paragraph(text), table]


def conclusion(result: AuditResult) -> str:
    """What the decisions mean, and what to do; nothing beyond the verdict, which corrects for all attacks."""
    if result.verdict != "LEAK SHOWN":
        return (
            f"The verdict is {result.verdict}: these decisions support no claim of their own, whichever way they fall. "
            "The gates say what could make the audit stronger."
        )
    best = max(result.decisions.rows, key=lambda row: row.balanced_accuracy.value or 0)
    shown = f"{value_of(best.balanced_accuracy)} {interval_of(best.balanced_accuracy)}".rstrip()
    if (best.balanced_accuracy.low or 0) <= 0.5:
        return (
            f"The model leaks, but these known records do not yet make a decision that is surely better than guessing: "
            f"balanced accuracy {shown} at most ({best.title}). More known records, or others, may do better."
        )
    return (
        f"An attacker who knows these records and trains no reference model decides with a balanced accuracy of "
        f"{shown} ({best.title}, the best row). What to do: do not rely on keeping known records from attackers. They "
        "need them for the threshold alone, not for the order of the records. Compare defences (seepage compare), then "
        "audit the defended model in the same way."
    )


def known(found: Decisions) -> str:
    return (
        f"The attackers know {count(found.n_known_members)} members and {count(found.n_known_nonmembers)} non-members, "
        "which are not judged."
    )
