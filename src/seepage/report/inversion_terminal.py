"""Model inversion as a screenful of text: the verdict, a line for each attack and target, and what the numbers say."""

import io
import shutil

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from seepage.errors import one_line
from seepage.metrics.reconstruction import paired
from seepage.report.inversion_content import NOT_MEANT
from seepage.report.terminal import FALLBACK, STYLES, WIDEST, _aligned, _hanging, _heading, _text
from seepage.schema.inversion import InversionResult, TargetResult
from seepage.schema.inversion_reading import (
    UNKNOWN,
    best_accuracy,
    level_of,
    ranked,
    reference,
    rivals,
    subjects,
    title_of,
    titles,
)
from seepage.schema.numbers import p_value, percent

WITH_NAMED = 76  # columns, below which there is no room for what a closed judge says


def summary(result: InversionResult, *, width: int | None = None, colour: bool = False) -> str:
    """The result as text.

    Args:
        width: columns; by default the terminal's, at most 120, and 80 where there is none.
        colour: with ANSI codes, for a terminal that shows them.
    """
    width = width or min(shutil.get_terminal_size((FALLBACK, 24)).columns, WIDEST)
    console = Console(
        file=io.StringIO(), width=max(width, 60), force_terminal=colour, color_system="standard" if colour else None,
        no_color=not colour, highlight=False, emoji=False, markup=False, legacy_windows=False,
    )  # fmt: skip
    names = titles(result.targets)
    parts = [
        Text(result.verdict, style=STYLES[result.verdict]),
        _text(result.headline, "bold"),
        _text(NOT_MEANT[result.verdict], "dim"),
        *(_hanging("-", f"{one.about}: {one.sentence}") for one in result.conclusions),
    ]
    for target in subjects(result.targets):
        parts += [
            _heading(f"Recognised by the judge: {one_line(names[target.name])}"),
            _attacks(result, target, console.width),
        ]
    if len(rivals(result.targets)) > 1:
        parts += [_heading("Targets, and the attack that gets furthest with each"), _targets(result, console.width)]
    steps = [
        "Figures, controls, classes and methods: result.report('report.html')",
        f"This result again: {result.provenance.command}",
    ]
    console.print(Group(*parts, _heading("Next"), *(_hanging("-", step) for step in steps)))
    lines = console.file.getvalue().replace("\u00a0", " ").splitlines()
    return "\n".join(line.rstrip() for line in lines)


def _attacks(result: InversionResult, target: TargetResult, width: int) -> Group:
    rows = ranked(target, level_of(target, result.targets, result.alpha))
    with_named = any(one.named for one in rows) and width >= WITH_NAMED
    table = _table(["Judge", *(["Named"] if with_named else []), "Best\nbaseline", "Target\nitself"])
    table.add_column("p (Holm)", justify="right", no_wrap=True)
    judged = _aligned([one.accuracy for one in rows], True)
    for judge, one in zip(judged, rows, strict=True):
        mark = "!" if one.adversarial else " "
        title = Text(f"{mark} {one_line(title_of(result.attacks, one.attack))}")
        named = [] if not with_named else [one.named or UNKNOWN]
        rates = [_text(percent(each.value)) for each in (*named, best_accuracy(one), one.target_accuracy)]
        table.add_row(title, judge, *rates, Text(p_value(one.p_value_holm)))
    alarm = [_text("! adversarial: it convinces the target and not the judge.", "dim")]
    return Group(table, *(alarm if any(one.adversarial for one in rows) else []))


def _targets(result: InversionResult, width: int) -> Group:
    rows, names = rivals(result.targets), titles(result.targets)
    columns = {
        "Judge": _aligned([one.worst.accuracy for one in rows], True),
        **_beside(result, rows),
        "Natural accuracy": _aligned([one.test_accuracy for one in rows], True),
        "Best baseline": _aligned([best_accuracy(one.worst) for one in rows], True),
    }
    shown = dict(list(columns.items())[: max(1, (width - 30) // 20)])
    table = _table(list(shown))
    for at, one in enumerate(rows):
        table.add_row(Text(one_line(names[one.name])), *(cells[at] for cells in shown.values()))
    return Group(table)


def _beside(result: InversionResult, rows: list[TargetResult]) -> dict[str, list[Text]]:
    """Points beside the undefended target, class by class."""
    first = reference(result.targets)
    if first is None:
        return {}
    cells = []
    for one in rows:
        found = None if one.name == first.name else paired(first.worst, one.worst, result.confidence)
        if found is None or found[0].low is None:
            cells.append(Text("" if found is None else f"{100 * found[0].value:+.1f}"))
        else:
            value, low, high = (100 * end for end in (found[0].value, found[0].low, found[0].high))
            cells.append(Text(f"{value:+.1f} [{low:.1f}, {high:.1f}]"))
    return {"In pairs": cells}


def _table(heads: list[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False, pad_edge=False, header_style="dim")
    table.add_column("", overflow="fold", min_width=14)
    for head in heads:
        table.add_column(head, no_wrap=True)
    return table
