"""The honesty study as a screenful of text: whom every attack accuses, and what the numbers say."""

import io
import shutil
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from seepage.errors import one_line
from seepage.report.terminal import FALLBACK, WIDEST, _hanging, _heading, _text
from seepage.schema.estimates import Estimate
from seepage.schema.numbers import UNDEFINED, count, percent, rate
from seepage.schema.trust import NonmemberSet, TrustResult

NARROWEST = 60
TITLE, CELL, BARE = 30, 14, 9  # columns of an attack's title, of a rate with its interval, and of a rate alone


def summary(result: TrustResult, *, width: int | None = None, colour: bool = False) -> str:
    """The result as text.

    Args:
        width: columns; by default the terminal's, at most 120, and 80 where there is none.
        colour: with ANSI codes, for a terminal that shows them.
    """
    width = max(width or min(shutil.get_terminal_size((FALLBACK, 24)).columns, WIDEST), NARROWEST)
    console = Console(
        file=io.StringIO(), width=width, force_terminal=colour, color_system="standard" if colour else None,
        no_color=not colour, highlight=False, emoji=False, markup=False, legacy_windows=False,
    )  # fmt: skip
    parts = [_text(result.headline, "bold")]
    parts += [_hanging("-", f"{one.about}: {one.sentence}") for one in result.conclusions]
    attacks = result.variant("standard").attacks
    parts += [_heading("Called members though they are none, standard model (per cent)")]
    parts += _tables(result.sets, [(a.title, [a.on(s.name).false_positive_rate for s in result.sets]) for a in attacks],
                     width, cell=CELL)  # fmt: skip
    strict = [
        (a.title, [a.on(s.name).strict_false_positive_rate for s in result.sets])
        for a in attacks
        if a.strict_recall is not None
    ]
    if strict and result.strict_rate is not None:
        title = f"At thresholds that call {rate(result.strict_rate)} of the shadow's own non-members (per cent)"
        parts += [_heading(title), *_tables(result.sets, strict, width, cell=BARE)]
    parts += [_heading("The published signs")]
    parts += [_hanging(f"{one.holds}:", f"{one.claim} {one.ours}") for one in result.comparisons]
    steps = [
        "Intervals, other variants, figures and methods: result.report('report.html')",
        f"This result again: {result.provenance.command}",
    ]
    console.print(Group(*parts, _heading("Next"), *(_hanging("-", step) for step in steps)))
    lines = console.file.getvalue().replace("\u00a0", " ").splitlines()
    return "\n".join(line.rstrip() for line in lines)


def _tables(
    sets: Sequence[NonmemberSet], rows: Sequence[tuple[str, Sequence[Estimate | None]]], width: int, *, cell: int
) -> list[Table]:
    """Rows are attacks, columns sets; as many tables as the width asks for, intervals where a cell has the room."""
    at_once = max(1, (width - TITLE) // cell)
    tables = []
    for start in range(0, len(sets), at_once):
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False, header_style="dim")
        table.add_column("", width=TITLE - 1, overflow="fold")
        for one in sets[start : start + at_once]:
            table.add_column(
                f"{one_line(one.title)}\nn {count(one.n)}", justify="right", width=cell - 1, overflow="fold"
            )
        for title, rates in rows:
            told = [_rate(one, with_interval=cell == CELL) for one in rates[start : start + at_once]]
            table.add_row(Text(one_line(title)), *map(Text, told))
        tables.append(table)
    return tables


def _rate(estimate: Estimate | None, *, with_interval: bool) -> str:
    if estimate is None or estimate.value is None:
        return UNDEFINED
    told = percent(estimate.value).removesuffix(" %")
    if not with_interval or estimate.low is None:
        return told
    return f"{told} [{100 * estimate.low:.0f},{100 * estimate.high:.0f}]"
