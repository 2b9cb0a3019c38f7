"""The figure of a comparison: what each defence costs in accuracy against what the attacks still find.

seepage.report.comparison_plots.frontier_figure(result).savefig("frontier.svg")
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath
from matplotlib.ticker import FuncFormatter, NullLocator

from seepage.report import plots
from seepage.report.plots import INK, LEAD, NORMAL, PALETTE, PAPER, SMALL, SOFT, WIDTH
from seepage.schema.comparison import ComparisonResult
from seepage.schema.estimates import Estimate
from seepage.schema.numbers import rate

Leak = Literal["tpr", "auc"]

MARKS = {"none": "D", "training": "o", "answers": "s", "both": "^"}
KEY = "◆ undefended · ● training · ■ answers · ▲ both · filled: on the frontier"
LEFT, RIGHT, BELOW, ABOVE = 0.55, 0.08, 0.48, 0.52  # inches around the axes
LOWEST_KNEE = 1e-4


def leak_against_accuracy(result: ComparisonResult, leak: Leak) -> Axes:
    """Test accuracy across and the largest TPR or AUC of any attack upwards, a point with both intervals a defence."""
    return frontier_figure(result, [leak]).axes[0]


def frontier_figure(result: ComparisonResult, leaks: Sequence[Leak] = ("tpr", "auc")) -> Figure:
    """One panel for each figure that a defence is to keep small, one below the other."""
    # no layout engine: the labels are placed by where the axes stand, so these must stay
    tall = 2.9 + 0.11 * max(0, len(result.defences) - 6)
    each = BELOW + tall + ABOVE
    figure = Figure(figsize=(WIDTH, each * len(leaks)), facecolor=PAPER)
    for at, leak in enumerate(leaks):
        bottom = each * (len(leaks) - 1 - at) + BELOW
        whole = np.array([WIDTH, each * len(leaks)] * 2)
        ax = figure.add_axes(tuple(np.array([LEFT, bottom, WIDTH - LEFT - RIGHT, tall]) / whole), facecolor="none")
        _panel(result, leak, plots._axes(ax, height=tall))
    return figure


@dataclass(frozen=True)
class _Point:
    title: str
    kind: str
    is_best: bool
    x: Estimate
    y: Estimate

    @property
    def colour(self) -> str:
        return PALETTE["leak"][0] if self.kind == "none" else LEAD if self.is_best else SOFT


def _panel(result: ComparisonResult, leak: Leak, ax: Axes) -> None:
    best = result.frontier if leak == "tpr" else result.frontier_auc
    titles = result.titles
    points = []
    for one in result.defences:
        x, y = one.utility.test_accuracy, getattr(one.worst, leak).estimate
        if x.value is not None and y.value is not None:
            points.append(_Point(_label(titles[one.name]), one.kind, one.name in best, x, y))
    chance = result.rates.fpr if leak == "tpr" else 0.5
    _scales(ax, points, chance, leak)
    ax.axhline(chance, color=SOFT, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1)
    stairs = _stairs(ax, points)
    ax.plot(*np.array(stairs).reshape(-1, 2).T, color=LEAD, linewidth=1.1, alpha=0.6, zorder=2, gid="frontier")
    for point in points:
        _draw(ax, point)
    _name_points(ax, points, [(ax.get_xlim()[0], chance), (ax.get_xlim()[1], chance)], stairs)
    ax.set_xlabel("test accuracy (right: more useful)", fontsize=NORMAL, color=SOFT)
    what = f"TPR at FPR {rate(result.rates.fpr)}" if leak == "tpr" else "AUC"
    plots._title(ax, f"largest {what} of any attack (lower: more private)", pad=19)
    ax.text(0, 1.02, KEY, transform=ax.transAxes, fontsize=SMALL, color=SOFT, va="bottom", gid="key")


def _label(title: str) -> str:
    return plots._short(" ".join(title.split()), 34)


def _scales(ax: Axes, points: list[_Point], chance: float, leak: Leak) -> None:
    across = _ends(point.x for point in points) or [0.0, 1.0]
    span = max(across) - min(across) or 0.05
    ax.set_xlim(min(across) - 0.08 * span, max(across) + 0.2 * span)  # names need room beside the most accurate
    ax.xaxis.set_major_locator(plots._few_ticks())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda at, _: rate(round(at, 6))))
    up = [*_ends(point.y for point in points), chance]
    if leak == "auc":
        margin = 0.1 * (max(up) - min(up)) or 0.05
        ax.set_ylim(min(up) - margin, max(up) + margin)
        ax.yaxis.set_major_locator(plots._few_ticks())
        ax.yaxis.set_major_formatter(FuncFormatter(plots._tick))
        return
    knee = max(chance, LOWEST_KNEE)
    ax.set_yscale("symlog", linthresh=knee, linscale=0.5)  # zero is a rate that happens
    top = min(1.15, 1.6 * max(*up, knee))
    ax.set_ylim(-0.12 * knee, top)
    decades = [knee * 10**k for k in range(round(np.log10(1 / knee)) + 1)]
    finer = [step * decade for decade in decades for step in (1, 2, 5)]
    ticks = [tick for tick in (decades if top > 100 * knee else finer) if tick <= min(top, 1)]
    ax.set_yticks([0, *ticks], [rate(tick) for tick in (0, *ticks)])
    ax.yaxis.set_minor_locator(NullLocator())


def _ends(estimates) -> list[float]:
    return [end for one in estimates for end in (one.low, one.value, one.high) if end is not None]


def _stairs(ax: Axes, points: list[_Point]) -> list[tuple[float, float]]:
    """Corners of the frontier: the least leak that some defence of at least this accuracy has."""
    corners = []
    start = ax.get_xlim()[0]
    for x, y in sorted((point.x.value, point.y.value) for point in points if point.is_best):
        corners += [(start, y), (x, y)]
        start = x
    return corners


def _draw(ax: Axes, point: _Point) -> None:
    x, y, bar = point.x, point.y, {"color": point.colour, "linewidth": 0.8, "alpha": 0.45, "zorder": 2}
    if x.low is not None and x.high is not None:
        ax.plot([x.low, x.high], [y.value, y.value], **bar)
    if y.low is not None and y.high is not None:
        ax.plot([x.value, x.value], [y.low, y.high], **bar)
    inside = point.colour if point.is_best else PAPER
    ax.plot(x.value, y.value, MARKS[point.kind], color=point.colour, markerfacecolor=inside, markersize=5.5,
            markeredgewidth=1.2, zorder=4)  # fmt: skip


def _name_points(ax: Axes, points: list[_Point], *paths: list[tuple[float, float]]) -> None:
    """Write each point's name beside it, or farther off with a thin line where there is no room; none on another."""
    size = np.array(ax.get_position().size) * ax.figure.get_size_inches() * 72

    def at(x: float, y: float) -> np.ndarray:
        return ax.transAxes.inverted().transform(ax.transData.transform((x, y))) * size

    marks = [at(point.x.value, point.y.value) for point in points]
    places = _Places(size, np.array(marks).reshape(-1, 2))
    for point in points:
        x, y = point.x, point.y
        for ends in ((x.low, y.value, x.high, y.value), (x.value, y.low, x.value, y.high)):
            if None not in ends:
                places.add_line(at(*ends[:2]), at(*ends[2:]))
    for path in paths:
        for start, end in pairwise(path):
            places.add_line(at(*start), at(*end))
    boxes = places.arrange([_extent(point.title) for point in points])
    for point, mark, (corner, box) in zip(points, marks, boxes, strict=True):
        near = np.clip(mark, corner, corner + box)
        if np.hypot(*(near - mark)) > 7:
            ax.plot(*zip(mark / size, near / size, strict=True), transform=ax.transAxes, color=point.colour,
                    linewidth=0.5, alpha=0.7, zorder=3)  # fmt: skip
        weight = "bold" if point.kind == "none" else "normal"
        ax.text(*((corner + box / 2) / size), point.title, transform=ax.transAxes, fontsize=SMALL, weight=weight,
                color=INK if point.is_best and point.kind != "none" else point.colour, ha="center", va="center",
                parse_math=False, gid="name", zorder=5)  # fmt: skip


def _extent(text: str) -> np.ndarray:
    """Width and height in points, bold, which is the wider."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")
        wide, *_ = TextToPath().get_text_width_height_descent(text, FontProperties(size=SMALL, weight="bold"), False)
    return np.array([wide + 3, 1.3 * SMALL])


class _Places:
    """Room on a panel, in points from its lower left corner."""

    reaches = (6.0, 9.0, 14.0, 20.0, 28.0, 38.0, 50.0, 64.0, 80.0, 100.0, 130.0, 170.0, 220.0)
    ways = np.array([np.cos(np.arange(24) * np.pi / 12), np.sin(np.arange(24) * np.pi / 12)]).T

    def __init__(self, size: np.ndarray, marks: np.ndarray):
        self.size, self.marks = size, marks
        self.lines = np.zeros((0, 2))

    def add_line(self, start: np.ndarray, end: np.ndarray) -> None:
        steps = max(2, int(np.hypot(*(end - start)) / 5))
        self.lines = np.concatenate([self.lines, np.linspace(start, end, steps)])

    def arrange(self, boxes: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        """A corner for the box of each mark, and the box: the best of a few orders in which they may choose."""
        across, up = self.marks.T
        widths = np.array(boxes).reshape(-1, 2)[:, 0]
        keys = [across, -across, up, -up, -widths]
        tried = [self._in_turn(np.argsort(key, kind="stable"), boxes) for key in keys]
        _, corners = min(tried, key=lambda one: one[0])
        return [(corners[at], box) for at, box in enumerate(boxes)]

    def _in_turn(self, order: np.ndarray, boxes: list[np.ndarray]) -> tuple[float, dict[int, np.ndarray]]:
        total, corners, taken, lines = 0.0, {}, [], self.lines
        for at in order:
            mark, box = self.marks[at], boxes[at]
            found = self._free(self._around(mark, box), box, taken)
            if not len(found):
                total += 1000
                found = self._anywhere(box, taken)
            costs = self._costs(mark, found, box, taken, lines)
            corners[int(at)] = corner = found[costs.argmin()]
            total += costs.min()
            taken.append((corner, box))
            lines = np.concatenate([lines, np.linspace(mark, np.clip(mark, corner, corner + box), 8)])
        return total, corners

    def _around(self, mark: np.ndarray, box: np.ndarray) -> np.ndarray:
        centres = [mark + self.ways * (reach + np.abs(self.ways) * box / 2) for reach in self.reaches]
        return np.clip(np.concatenate(centres) - box / 2, 0, self.size - box)

    def _anywhere(self, box: np.ndarray, taken: list) -> np.ndarray:
        """Every free corner of a fine grid; all of them on a panel so full that none is free."""
        axes = [np.arange(0, max(room, 1), 4) for room in self.size - box]
        grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
        free = self._free(grid, box, taken)
        return free if len(free) else grid

    def _free(self, corners: np.ndarray, box: np.ndarray, taken: list) -> np.ndarray:
        clear = ~_inside(self.marks, corners - 4, box + 8).any(1)
        for other, wide in taken:
            clear &= ~((corners < other + wide) & (other < corners + box)).all(1)
        return corners[clear]

    def _costs(self, mark: np.ndarray, corners: np.ndarray, box: np.ndarray, taken: list, lines: np.ndarray):
        """Far is dear, and so are another mark near by, lines under the name, and things between it and its mark."""
        near = np.clip(mark, corners, corners + box)
        leaders = np.linspace(mark, near, 20).swapaxes(0, 1)
        crossed = sum(((leaders > other) & (leaders < other + wide)).all(2).any(1) for other, wide in taken)
        others = self.marks[(self.marks != mark).any(1)]
        hidden = sum((np.hypot(*np.moveaxis(leaders - other, 2, 0)) < 4).any(1) for other in others)
        reach = np.hypot(*(near - mark).T)
        gaps = others[:, None] - np.clip(others[:, None], corners, corners + box)
        unclear = np.maximum(reach + 6 - np.hypot(*np.moveaxis(gaps, 2, 0)).min(0, initial=np.inf), 0)
        return reach + 1.5 * unclear + 4 * _inside(lines, corners, box).sum(1) + 60 * (crossed + hidden)


def _inside(points: np.ndarray, corners: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Bool (corners, points): whether the box at each corner holds each point."""
    return ((points > corners[:, None]) & (points < corners[:, None] + box)).all(2)
