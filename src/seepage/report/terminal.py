"""A result as a screenful of text: the answer, and the blocks that its kind shows on a screen."""

import io
import re
import shutil
import textwrap
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table as Grid
from rich.text import Text

from seepage.errors import one_line
from seepage.report.blocks import Answer, Block, Cell, Code, Column, Facts, Paragraph, Points, Table
from seepage.report.kinds import KINDS
from seepage.schema.kinds import AnyResult
from seepage.schema.numbers import listed

FALLBACK, WIDEST, NARROWEST = 80, 120, 50  # columns
TITLE, LEAST_TITLE = 24, 16  # room for the first column of a table, where there is enough and where there is not
TEXT = 24  # room for another column of text
GAP = 3  # between columns: a line of the box, which is not drawn, and padding
_HARD_SPACE = "\ue000"  # keeps a number and its percent sign on one line; rich breaks lines at U+00A0 too
VERDICTS = {"leak": "bold red", "none": "bold blue", "unsure": "bold yellow", "void": "bold magenta"}
STYLES = VERDICTS | {"bold": "bold", "dim": "dim", "fail": "bold red", "not-run": "yellow"}


def summary(result: AnyResult, *, width: int | None = None, colour: bool = False) -> str:
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
    kind = KINDS[type(result)]
    console.print(Group(*_answer(kind.answer(result)), *(_block(one, width) for one in kind.screen(result))))
    lines = console.file.getvalue().replace(_HARD_SPACE, " ").splitlines()
    return "\n".join(line.rstrip() for line in lines)


def _answer(answer: Answer) -> list[Text]:
    """The verdict and the headline; a question needs no line of its own above its answer."""
    verdict = [Text(answer.heading, VERDICTS[answer.tone])] if answer.tone in VERDICTS else []
    return [*verdict, _text(answer.headline, "bold")]


def _block(block: Block, width: int) -> RenderableType:
    """A block; figures and pictures are left to the page."""
    match block:
        case Paragraph():
            return _text(block.text, block.tone)
        case Points():
            return _titled(block.title, [_hanging(one.mark, (one.text, *one.more), one.tone) for one in block.points])
        case Facts():
            return _titled(block.title, [_hanging(f"{term}:", (text,)) for term, text in block.rows])
        case Code():
            return _titled(block.title, [Text(block.text)])
        case Table():
            return _titled(block.title, _grids(block, width))
        case _:
            return Group()


def _titled(title: str, parts: Sequence[RenderableType]) -> Group:
    rule = Rule(Text(one_line(title), style="bold"), align="left", style="dim", characters="─")
    return Group(*([Text(), rule] if title else []), *parts)


def _text(text: str, tone: str = "") -> Text:
    return Text(_one_line(text), STYLES.get(tone, ""))


def _one_line(text: str) -> str:
    return re.sub(r"(?<=\d) %", f"{_HARD_SPACE}%", one_line(text))


def _hanging(mark: str, lines: Sequence[str], tone: str = "") -> Grid:
    grid = Grid.grid(padding=(0, 1, 0, 0))
    for at, line in enumerate(lines):
        grid.add_row(_text(mark if at == 0 else "", tone), _text(line))
    return grid


def _shown(table: Table, width: int) -> list[Column]:
    """The columns beside the first: all that are not optional, and of the others the first for which there is room."""
    first, *others = table.columns
    shown = [column for column in others if not column.optional]
    room = width - min(_natural(first), TITLE) - sum(map(_width, shown))
    for column in others:
        if column.optional and (room >= _width(column) or not shown):
            shown.append(column)
            room -= _width(column)
    return sorted(shown, key=others.index)


def _grids(table: Table, width: int) -> list[RenderableType]:
    """The table, or where it is too wide several of some columns each; then what its flags say."""
    first, shown = table.columns[0], _shown(table, width)
    parts: list[list[Column]] = [[]]
    room = most = width - min(_natural(first), LEAST_TITLE)
    for column in shown:
        if room < _width(column) and parts[-1]:
            parts, room = [*parts, []], most
        parts[-1].append(column)
        room -= _width(column)
    return [*(_grid(first, part, leads=table.style == "wide") for part in parts), *_notes([first, *shown])]


def _grid(first: Column, others: Sequence[Column], *, leads: bool) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), show_edge=False, pad_edge=False, header_style="dim")
    grid.add_column(_head(first), overflow="fold", min_width=min(_natural(first), LEAST_TITLE))
    for column in others:
        alone = column.number and not column.has_intervals
        width = _width(column) - GAP if column.number else None
        grid.add_column(_head(column), justify="right" if alone else "left", overflow="fold", width=width)
    names = [Text(_one_line(cell.text), "bold" if leads and at == 0 else "") for at, cell in enumerate(first.cells)]
    for row in zip(names, *map(_cells, others), strict=True):
        grid.add_row(*row)
    return grid


def _head(column: Column) -> str:
    return "\n".join(filter(None, [_one_line(column.title), _one_line(", ".join(column.details))]))


def _cells(column: Column) -> list[Text]:
    """Numbers end below each other, and their intervals begin so; further details are left to the page."""
    room = _room_for_values(column) if column.has_intervals else 0
    return [
        Text.assemble((_one_line(cell.text).rjust(room), STYLES.get(cell.tone, "")), *_interval(cell))
        for cell in column.cells
    ]


def _interval(cell: Cell) -> list[tuple[str, str]]:
    return [(f" {cell.interval}", "dim")] if cell.interval else []


def _room_for_values(column: Column) -> int:
    return max(len(one_line(cell.text)) for cell in column.cells)


def _width(column: Column) -> int:
    """What a column takes beside the first: a number is never broken, a head is broken between words."""
    if not column.number:
        return min(_natural(column), TEXT) + GAP
    intervals = max((len(cell.interval) for cell in column.cells), default=0)
    values = _room_for_values(column) + (1 + intervals if intervals else 0)
    return max(values, *(_in_two_lines(line) for line in _head(column).splitlines())) + GAP


def _in_two_lines(text: str) -> int:
    """The least width in which a text takes two lines."""
    width = max((len(word) for word in text.split(" ")), default=0)
    while len(textwrap.wrap(text, width or 1)) > 2:
        width += 1
    return width


def _natural(column: Column) -> int:
    return max(map(len, (column.title, *(one_line(cell.text) for cell in column.cells))))


def _notes(columns: Sequence[Column]) -> list[Grid]:
    """Each flag once, with the titles of the columns that it stands in."""
    of: dict[str, list[str]] = {}
    for column in columns:
        for flag in dict.fromkeys([column.flag, *(cell.flag for cell in column.cells)]):
            if flag:
                of.setdefault(flag, []).append(column.title)
    return [_hanging(f"{listed(titles)}:", (flag,)) for flag, titles in of.items()]
