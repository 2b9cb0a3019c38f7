"""What a report is made of: text, facts, code, tables and figures, before they become HTML, Markdown or a screen."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from matplotlib.axes import Axes

from seepage.schema.attack import LogMiaEstimate
from seepage.schema.estimates import Estimate
from seepage.schema.numbers import UNDEFINED, count, decimal, interval_of, value_of
from seepage.schema.parts import Finding
from seepage.schema.saved import Saved

TONES = {"LEAK SHOWN": "leak", "NO EVIDENCE": "none", "INCONCLUSIVE": "unsure", "INVALID": "void"}


@dataclass(frozen=True)
class KeyFigure:
    label: str
    value: str
    detail: str


@dataclass(frozen=True)
class Answer:
    """What stands before every section.

    Args:
        heading: the verdict, or the question that is answered.
        title: of the window.
        about: what was looked at: the data, and what else tells this page from others.
        tone: a verdict's (`TONES`); of a question "lead".
        reasons: why this verdict, or what else `reasons_title` says.
    """

    heading: str
    title: str
    about: Sequence[str]
    headline: str
    lead: Sequence[str]
    not_meant: str
    key_figures: Sequence[KeyFigure]
    tone: str = "lead"
    reasons: Sequence[str] = ()
    reasons_title: str = "Why this verdict"


@dataclass(frozen=True)
class Paragraph:
    """`tone` is for a terminal: "bold", "dim", or none."""

    text: str
    tone: str = ""
    kind: ClassVar[str] = "paragraph"


@dataclass(frozen=True)
class Point:
    """An item of a list: a mark, such as a dash or a word, and what hangs behind it, line below line."""

    mark: str
    text: str
    more: Sequence[str] = ()
    tone: str = ""


@dataclass(frozen=True)
class Points:
    points: Sequence[Point]
    title: str = ""
    kind: ClassVar[str] = "points"


@dataclass(frozen=True)
class Facts:
    """Terms with what is said of each; `short` ones may stand in two columns."""

    rows: Sequence[tuple[str, str]]
    title: str = ""
    short: bool = False
    kind: ClassVar[str] = "facts"


@dataclass(frozen=True)
class Code:
    title: str
    text: str
    kind: ClassVar[str] = "code"


@dataclass(frozen=True)
class Figure:
    name: str
    title: str
    description: str
    draw: Callable[[], Axes]


@dataclass(frozen=True)
class Figures:
    figures: Sequence[Figure]
    kind: ClassVar[str] = "figures"


@dataclass(frozen=True)
class Cell:
    text: str
    interval: str = ""
    details: tuple[str, ...] = ()
    flag: str | None = None
    tone: str = ""


@dataclass(frozen=True)
class Column:
    title: str
    cells: Sequence[Cell]
    details: tuple[str, ...] = ()
    flag: str | None = None
    number: bool = False
    optional: bool = False  # a narrow terminal leaves it out

    @cached_property  # asked for in every row
    def has_intervals(self) -> bool:
        return any(cell.interval for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """Columns of equal length, the first of which names the rows.

    Args:
        style: "numbers", "text" (fills the width), or "wide" (many columns, the first row leads).
        figure: drawn beside it.
    """

    title: str
    columns: Sequence[Column]
    style: str = "numbers"
    figure: Figure | None = None
    kind: ClassVar[str] = "table"

    @property
    def rows(self) -> list[tuple[Cell, ...]]:
        return list(zip(*(column.cells for column in self.columns), strict=True))

    @property
    def notes(self) -> dict[str, str]:
        """A letter for each flag, in reading order: heads first, then row by row."""
        flags = [column.flag for column in self.columns] + [cell.flag for row in self.rows for cell in row]
        return {flag: _letter(at) for at, flag in enumerate(dict.fromkeys(flag for flag in flags if flag))}


@dataclass(frozen=True)
class PictureRow:
    """A class: real images, and what was made of it with whether it was recognised; PNG in base64."""

    name: str
    real: Sequence[str]
    made: Sequence[tuple[str, bool]]


@dataclass(frozen=True)
class Pictures:
    """A contact sheet, which only HTML can show."""

    title: str
    rows: Sequence[PictureRow]
    kind: ClassVar[str] = "pictures"

    @property
    def count(self) -> int:
        return sum(len(row.real) + len(row.made) for row in self.rows)


@dataclass(frozen=True)
class Section:
    id: str
    title: str
    blocks: Sequence["Block"]


Block = Paragraph | Points | Facts | Code | Figures | Table | Pictures


def dashes(texts: Iterable[str], title: str = "") -> Points:
    return Points([Point("-", text) for text in texts], title)


def sentences(found: Sequence[Finding], title: str = "") -> Facts:
    return Facts([(one.about, one.sentence) for one in found], title)


def next_steps(result: Saved, page: str, *first: str) -> Points:
    """The end of a screen: what to do first, what the `page` has beyond it, and how to get the result again."""
    again = f"This result again: {result.provenance.command}"
    return dashes([*first, f"{page}: result.report('report.html')", again], "Next")


def words(title: str, texts: Sequence[str]) -> Column:
    return Column(title, [Cell(text) for text in texts])


def numbers(title: str, texts: Sequence[str], *details: str) -> Column:
    return Column(title, [Cell(text) for text in texts], details, number=True)


def estimates(title: str, values: Sequence[Estimate | None], *, as_rate: bool = False) -> Column:
    """A column of numbers with intervals; None where the result has no such number."""
    return hoisted(title, [_estimate(value, as_rate) for value in values])


def brief(title: str, values: Sequence[Estimate | None], *, as_rate: bool = False, optional: bool = False) -> Column:
    """The same for a screen, where counts stand in the head alone: all of them, as a range."""
    counts = sorted({value.n for value in values if value is not None}) or [0]
    n = " to ".join(count(value) for value in dict.fromkeys((counts[0], counts[-1])))
    cells = [replace(_estimate(value, as_rate), details=()) for value in values]
    return Column(title, cells, (f"n {n}",), number=True, optional=optional)


def hoisted(title: str, cells: Sequence[Cell], *, number: bool = True) -> Column:
    """A column whose head carries the details and the flag that all its defined cells share."""
    defined = [cell for cell in cells if cell.text != UNDEFINED] or list(cells)
    shared = tuple(line for line in defined[0].details if all(line in cell.details for cell in defined))
    flag = defined[0].flag if len({cell.flag for cell in defined}) == 1 else None
    rest = [
        Cell(
            cell.text,
            cell.interval,
            tuple(line for line in cell.details if line not in shared),
            None if cell.flag == flag else cell.flag,
            cell.tone,
        )
        for cell in cells
    ]
    return Column(title, rest, shared, flag, number)


def _estimate(value: Estimate | None, as_rate: bool) -> Cell:
    if value is None:
        return Cell(UNDEFINED, flag="not computed")
    details = (f"n {count(value.n)}",)
    if isinstance(value, LogMiaEstimate):
        details = (f"guessing {decimal(value.chance)}", f"n {count(value.n)}")
    flag = value.flag or ("undefined" if value.value is None else None)
    return Cell(value_of(value, as_rate=as_rate), interval_of(value, as_rate=as_rate), details, flag)


def _letter(at: int) -> str:
    return (chr(ord("a") + at // 26 - 1) if at >= 26 else "") + chr(ord("a") + at % 26)
