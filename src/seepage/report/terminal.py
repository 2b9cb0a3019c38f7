"""A result as a screenful of text: the verdict, what stands in its way, and where to look next."""

import io
import re
import shutil

from rich import box
from rich.console import Console, Group
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from seepage.errors import one_line
from seepage.report import decisions_content, wording
from seepage.schema.attack import AttackResult
from seepage.schema.audit import AuditResult, Decisions, Gate
from seepage.schema.estimates import Estimate
from seepage.schema.numbers import UNDEFINED, count, interval_of, p_value, percent, rate, value_of

FALLBACK, WIDEST = 80, 120  # columns
MOST_RECORDS = 5
_HARD_SPACE = "\u00a0"  # keeps a number and its percent sign on one line while the text is laid out
STYLES = {
    "LEAK SHOWN": "bold red",
    "NO EVIDENCE": "bold blue",
    "INCONCLUSIVE": "bold yellow",
    "INVALID": "bold magenta",
}


def summary(result: AuditResult, *, width: int | None = None, colour: bool = False) -> str:
    """The result as text.

    Args:
        width: columns; by default the terminal's, at most 120, and 80 where there is none.
        colour: with ANSI codes, for a terminal that shows them.
    """
    width = width or min(shutil.get_terminal_size((FALLBACK, 24)).columns, WIDEST)
    console = Console(
        file=io.StringIO(), width=max(width, 50), force_terminal=colour, color_system="standard" if colour else None,
        no_color=not colour, highlight=False, emoji=False, markup=False, legacy_windows=False,
    )  # fmt: skip
    console.print(Group(*_parts(result, console.width)))
    lines = console.file.getvalue().replace(_HARD_SPACE, " ").splitlines()
    return "\n".join(line.rstrip() for line in lines)


def _parts(result: AuditResult, width: int) -> list:
    verdict = wording.VERDICTS[result.verdict]
    told = [wording.bound(result), wording.in_persons(result)]
    parts = [
        Text(result.verdict, style=STYLES[result.verdict]),
        _text(result.headline, "bold"),
        _text(" ".join(filter(None, told))),
        _text(verdict.does_not_mean, "dim"),
    ]
    if result.claim == "association":
        parts.append(_text(wording.claim(result), "dim"))
    parts += [_hanging("-", reason) for reason in result.reasons]
    open_gates = [gate for gate in result.gates if gate.status != "pass"]
    parts += [_heading(f"Gates: {count(len(result.gates) - len(open_gates))} of {count(len(result.gates))} passed")]
    parts += [_gate(gate) for gate in sorted(open_gates, key=lambda gate: gate.status)]
    parts += [_heading("Attacks, the leading one first"), _attacks(result.attacks, width)]
    if result.decisions:
        parts += [_heading(decisions_content.TITLE), *_decisions(result.decisions, width)]
    if result.records:
        parts += [_heading("Most exposed records"), _records(result)]
    parts += [_heading("Next"), *_next(result, open_gates)]
    return parts


def _text(text: str, style: str = "") -> Text:
    return Text(re.sub(r"(?<=\d) %", f"{_HARD_SPACE}%", one_line(text)), style=style)


def _hanging(mark: str, text: str) -> Table:
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_row(mark, _text(text))
    return grid


def _heading(text: str) -> Group:
    return Group(Text(), Rule(Text(text, style="bold"), align="left", style="dim", characters="─"))


def _gate(gate: Gate) -> Group:
    style = "bold red" if gate.status == "fail" else "yellow"
    lines = [Text.assemble((gate.status, style), " ", one_line(gate.question)), _indented(gate.detail)]
    return Group(*lines, *([_indented("Way out: " + gate.way_out)] if gate.way_out else []))


def _indented(text: str) -> Padding:
    return Padding(_text(text), (0, 0, 0, 5))


def _attacks(attacks: list[AttackResult], width: int) -> Group:
    """As many columns as the width allows, the most telling first."""
    columns = [
        ("AUC", [attack.auc for attack in attacks], False),
        ("TPR at FPR 1 %", [_at(attack, 0.01) for attack in attacks], True),
        ("TPR at FPR 0.1 %", [_at(attack, 0.001) for attack in attacks], True),
        ("Balanced accuracy", [attack.balanced_accuracy for attack in attacks], False),
    ]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("", overflow="fold", min_width=16)
    shown = columns[: max(1, (width - 32) // 22)]
    cells = []
    for title, estimates, as_rate in shown:
        counts = sorted({estimate.n for estimate in estimates if estimate is not None})
        n = count(counts[0]) if len(counts) == 1 else f"{count(counts[0])} to {count(counts[-1])}" if counts else "0"
        table.add_column(f"{title}\nn {n}", no_wrap=True)
        cells.append(_aligned(estimates, as_rate))
    table.add_column("\np (Holm)", justify="right", no_wrap=True)
    for at, attack in enumerate(attacks):
        row = [Text(one_line(attack.title), style="bold" if at == 0 else ""), *(column[at] for column in cells)]
        table.add_row(*row, Text(p_value(attack.p_value_holm)))
    flags = [(title, estimate.flag) for title, estimates, _ in shown for estimate in estimates if estimate]
    notes = [_hanging(f"{title}:", flag) for title, flag in dict.fromkeys(flags) if flag]
    return Group(table, *notes)


def _decisions(found: Decisions, width: int) -> list:
    """The decision itself; where there is little room, without the intervals of its two rates."""
    rows = found.rows
    columns = [
        ("Balanced accuracy", [row.balanced_accuracy for row in rows], False),
        ("TPR", [row.tpr for row in rows], True),
        ("FPR", [row.fpr for row in rows], True),
    ]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("", overflow="fold", min_width=16)
    cells = []
    for title, estimates, as_rate in columns:
        table.add_column(title, no_wrap=True)
        whole = _aligned(estimates, as_rate)
        cells.append(whole if width >= 100 or not as_rate else [percent(estimate.value) for estimate in estimates])
    for at, row in enumerate(rows):
        table.add_row(one_line(row.title), *(column[at] for column in cells))
    told = f"{decisions_content.known(found)} No reference model. Guessing has a balanced accuracy of 0.5."
    return [table, _text(told, "dim"), *([_hanging("Mind:", found.flag)] if found.flag else [])]


def _at(attack: AttackResult, wanted: float) -> Estimate | None:
    return next((estimate for at, estimate in attack.tpr_at_fpr.items() if float(at) == wanted), None)


def _aligned(estimates: list[Estimate | None], as_rate: bool) -> list[Text]:
    values = [UNDEFINED if estimate is None else value_of(estimate, as_rate=as_rate) for estimate in estimates]
    room = max(map(len, values))
    intervals = ["" if estimate is None else interval_of(estimate, as_rate=as_rate) for estimate in estimates]
    return [
        Text.assemble(value.rjust(room), " ", (interval, "dim"))
        for value, interval in zip(values, intervals, strict=True)
    ]


def _records(result: AuditResult) -> Group:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("id", overflow="fold")
    if result.labelled:
        table.add_column("class", overflow="fold", max_width=24)
    table.add_column("p", justify="right", no_wrap=True)
    table.add_column("q", justify="right", no_wrap=True)
    for record in result.records[:MOST_RECORDS]:
        label = UNDEFINED if record.label is None else one_line(record.label)
        classes = [Text(label)] if result.labelled else []
        table.add_row(Text(one_line(record.id)), *classes, p_value(record.p_value), p_value(record.q_value))
    alpha = result.smallest_detectable.alpha
    found = sum(record.q_value <= alpha for record in result.records)
    told = (
        f"{count(found)} of {count(len(result.records))} listed have a false-discovery rate q of at most {rate(alpha)}."
    )
    return Group(table, _text(told, "dim"))


def _next(result: AuditResult, open_gates: list[Gate]) -> list:
    steps = [
        "Curves, classes, controls and methods: result.report('report.html')",
        f"This result again: {result.provenance.command}",
    ]
    if result.verdict == "LEAK SHOWN":
        steps.insert(0, "Look at the most exposed records and the worst-off classes first")
    elif open_gates:
        steps.insert(0, "Take the ways out named above, then audit again")
    return [_hanging("-", step) for step in steps]
