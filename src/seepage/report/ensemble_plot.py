"""Which records are found by which attacks: bars for each combination over a matrix that says which attacks it is."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from seepage.report.plots import INK, LEAD, NORMAL, PALETTE, RULE, SMALL, SOFT, _axes, _short, _title
from seepage.schema.audit import AuditResult
from seepage.schema.ensemble import Ensemble, Intersection
from seepage.schema.numbers import count

ROW, BARS, FRAME = 0.2, 1.9, 0.75  # inches: of an attack's row, of the bars, around them
MEMBER, NONMEMBER = PALETTE["member"][0], PALETTE["nonmember"][0]


def upset(result: AuditResult, ax: Axes | None = None, *, most: int = 14) -> Axes:
    """Records by the attacks that find them, the largest combinations first: members, and beside them false alarms.

    Each record counts in one column only. The axes returned hold two: the bars and, below them, the matrix.

    Args:
        most: columns to draw; what is left is said in words.
    """
    ensemble = result.ensemble
    if ensemble is None:
        raise ValueError("this result holds no comparison of its attacks")
    columns = ensemble.intersections[:most]
    used = [name for name in ensemble.attacks if any(name in column.attacks for column in columns)]
    height = ROW * max(len(used), 1)
    ax = _axes(ax, height=height + BARS + FRAME)
    ax.set_axis_off()
    share = height / (height + BARS)
    bars, matrix = (_axes(ax.inset_axes(box), height=0) for box in ([0, share, 1, 1 - share], [0, 0, 1, share]))
    for part in (bars, matrix):
        part.set(facecolor="none", xlim=(-0.7, max(len(columns), 1) - 0.3), xticks=[])
        part.spines["bottom"].set_visible(False)
    titles = {attack.name: attack.title for attack in result.attacks}
    _bars(bars, columns)
    _key(bars, ensemble, columns)
    _matrix(matrix, columns, used, [titles.get(name, name) for name in used])
    _title(bars, "records found by exactly these")
    return ax


def _bars(ax: Axes, columns: list[Intersection]) -> None:
    at = np.arange(len(columns))
    ax.bar(at - 0.19, [column.n_members for column in columns], 0.36, color=MEMBER)
    ax.bar(at + 0.19, [column.n_nonmembers for column in columns], 0.36, color="none", edgecolor=NONMEMBER,
           hatch="////", linewidth=1.0)  # fmt: skip
    for x, column in zip(at, columns, strict=True):
        ax.annotate(count(column.n_members), (x - 0.19, column.n_members), (0, 1.5), textcoords="offset points",
                    ha="center", va="bottom", fontsize=SMALL - 2, color=MEMBER)  # fmt: skip
    ax.set_ylim(0, 1.15 * max([1, *(max(column.n_members, column.n_nonmembers) for column in columns)]))
    ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda n, _: count(round(n))))


def _key(ax: Axes, ensemble: Ensemble, columns: list[Intersection]) -> None:
    """What the bars are, and what is not drawn: top right, where the smallest bars leave room."""
    lines = [("members", MEMBER), ("false alarms (hatched)", NONMEMBER)]
    union = ensemble.union
    members = union.n_members - sum(column.n_members for column in columns)
    nonmembers = union.n_nonmembers - sum(column.n_nonmembers for column in columns)
    n_others = len(ensemble.intersections) + ensemble.n_rest - len(columns)
    if n_others:
        lines += [(f"not drawn: {count(n_others)} smaller combinations,", SOFT),
                  (f"{count(members)} members, {count(nonmembers)} false alarms", SOFT)]  # fmt: skip
    for row, (text, colour) in enumerate(lines):
        ax.annotate(text, (1, 1), (0, -12 * row), xycoords="axes fraction", textcoords="offset points", ha="right",
                    va="top", fontsize=SMALL, color=colour)  # fmt: skip


def _matrix(ax: Axes, columns: list[Intersection], used: list[str], titles: list[str]) -> None:
    """A dot where an attack finds the records of a column, a line from its first to its last."""
    place = {name: row for row, name in enumerate(used)}
    for row in range(0, len(used), 2):
        ax.axhspan(row - 0.5, row + 0.5, color=PALETTE["wash"][0], linewidth=0, zorder=0)
    for x, column in enumerate(columns):
        rows = sorted(place[name] for name in column.attacks)
        off = [row for row in range(len(used)) if row not in rows]
        ax.plot([x] * len(off), off, "o", color=RULE, markersize=3.4, zorder=1)
        ax.plot([x, x], [rows[0], rows[-1]], color=LEAD, linewidth=1.3, zorder=2)
        ax.plot([x] * len(rows), rows, "o", color=LEAD, markersize=4.6, zorder=3)
    ax.set_ylim(max(len(used), 1) - 0.5, -0.5)
    ax.set_yticks(range(len(used)), [_short(title, 34) for title in titles], fontsize=SMALL, parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    if not columns:
        ax.annotate("no attack finds anyone", (0.5, 0.5), xycoords="axes fraction", ha="center", va="center",
                    fontsize=NORMAL, color=INK)  # fmt: skip
