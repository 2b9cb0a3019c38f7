"""What a screen shows of an audit: the verdict, what stands in its way, and where to look next."""

from collections.abc import Sequence

from seepage.report.audit import decisions, wording
from seepage.report.blocks import (
    Block,
    Cell,
    Column,
    Paragraph,
    Point,
    Points,
    Table,
    brief,
    dashes,
    next_steps,
    numbers,
)
from seepage.schema.attack import AttackResult
from seepage.schema.audit import AuditResult, Decisions, Gate
from seepage.schema.estimates import at_rate
from seepage.schema.numbers import UNDEFINED, count, p_value, rate

MOST_RECORDS = 5


def screen(result: AuditResult) -> list[Block]:
    open_gates = sorted((gate for gate in result.gates if gate.status != "pass"), key=lambda gate: gate.status)
    return [
        Paragraph(" ".join(filter(None, [wording.bound(result), wording.in_persons(result)]))),
        Paragraph(wording.VERDICTS[result.verdict].does_not_mean, "dim"),
        *([Paragraph(wording.claim(result), "dim")] if result.claim == "association" else []),
        dashes(result.reasons),
        _gates(result, open_gates),
        _attacks(result),
        *(_decisions(result.decisions) if result.decisions else []),
        *(_records(result) if result.records else []),
        next_steps(result, "Curves, classes, controls and methods", *_first(result, open_gates)),
    ]


def _gates(result: AuditResult, open_gates: list[Gate]) -> Points:
    points = [
        Point(
            gate.status,
            gate.question,
            [gate.detail, *([f"Way out: {gate.way_out}"] if gate.way_out else [])],
            gate.status.replace(" ", "-"),
        )
        for gate in open_gates
    ]
    n = len(result.gates)
    return Points(points, f"Gates: {count(n - len(open_gates))} of {count(n)} passed")


def _attacks(result: AuditResult) -> Table:
    attacks = result.attacks
    columns = [
        Column("", [Cell(attack.title) for attack in attacks]),
        brief("AUC", [attack.auc for attack in attacks], optional=True),
        *(_tpr(attacks, at) for at in (0.01, 0.001)),
        brief("Balanced accuracy", [attack.balanced_accuracy for attack in attacks], optional=True),
        numbers("p (Holm)", [p_value(attack.p_value_holm) for attack in attacks]),
    ]
    return Table("Attacks, the leading one first", columns, style="wide")


def _tpr(attacks: Sequence[AttackResult], fpr: float) -> Column:
    found = [at_rate(attack.tpr_at_fpr, fpr) for attack in attacks]
    return brief(f"TPR at FPR {rate(fpr)}", found, as_rate=True, optional=True)


def _decisions(found: Decisions) -> list[Block]:
    rows = found.rows
    columns = [
        Column("", [Cell(row.title) for row in rows]),
        brief("Balanced accuracy", [row.balanced_accuracy for row in rows]),
        brief("TPR", [row.tpr for row in rows], as_rate=True),
        brief("FPR", [row.fpr for row in rows], as_rate=True),
    ]
    told = f"{decisions.known(found)} No reference model. Guessing has a balanced accuracy of 0.5."
    return [
        Table(decisions.TITLE, columns),
        Paragraph(told, "dim"),
        *([Points([Point("Mind:", found.flag)])] if found.flag else []),
    ]


def _records(result: AuditResult) -> list[Block]:
    records = result.records[:MOST_RECORDS]
    labels = [UNDEFINED if record.label is None else record.label for record in records]
    columns = [
        Column("id", [Cell(record.id) for record in records]),
        *([Column("class", [Cell(label) for label in labels])] if result.labelled else []),
        numbers("p", [p_value(record.p_value) for record in records]),
        numbers("q", [p_value(record.q_value) for record in records]),
    ]
    alpha = result.smallest_detectable.alpha
    found = sum(record.q_value <= alpha for record in result.records)
    told = (
        f"{count(found)} of {count(len(result.records))} listed have a false-discovery rate q of at most {rate(alpha)}."
    )
    return [Table("Most exposed records", columns), Paragraph(told, "dim")]


def _first(result: AuditResult, open_gates: list[Gate]) -> list[str]:
    if result.verdict == "LEAK SHOWN":
        return ["Look at the most exposed records and the worst-off classes first"]
    return ["Take the ways out named above, then audit again"] if open_gates else []
