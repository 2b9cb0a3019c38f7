"""The figures of a report, each a function that draws a part of a result on an axes and returns it.

    ax = seepage.report.plots.roc(result)          # in a notebook: ax.figure

Nothing here touches pyplot or its global state. Colours come from `PALETTE`, by name, so that the
report can swap each for a style-sheet variable and follow the reader's light or dark setting.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from seepage.errors import printable
from seepage.schema.attack import AttackResult, RocCurve
from seepage.schema.audit import AuditResult, Slice
from seepage.schema.numbers import count, decimal, rate

# name: (on white paper, on a dark screen). The light values differ from each other: see svg.py.
PALETTE = {
    "ink": ("#1c2126", "#e8e6e1"),
    "soft": ("#59626d", "#a6adb6"),
    "rule": ("#d8dcdf", "#353b42"),
    "paper": ("#ffffff", "#15181b"),
    "wash": ("#f5f6f5", "#1d2125"),
    "lead": ("#0a6a70", "#56c4c4"),
    "second": ("#6d5a94", "#b3a2dc"),
    "third": ("#7a6526", "#cdb46a"),
    "fourth": ("#5c6f80", "#93a9bd"),
    "member": ("#b1441c", "#f0926a"),
    "nonmember": ("#35658a", "#7fb2d9"),
    "leak": ("#a1272f", "#f28b86"),
    "none": ("#2c5a87", "#86b6e6"),
    "unsure": ("#7d5800", "#dfb75c"),
    "void": ("#5b4785", "#b9a7e6"),
}
INK, SOFT, RULE, PAPER, LEAD = (PALETTE[name][0] for name in ("ink", "soft", "rule", "paper", "lead"))
SERIES = [(PALETTE[name][0], dash) for name, dash in (("second", "--"), ("third", "-."), ("fourth", ":"))]

SMALL, NORMAL = 8.5, 9.5  # points; a report shows 400 points across at 350 to 520 pixels
WIDTH = 5.55  # inches = 400 points


def roc(result: AuditResult, ax: Axes | None = None, *, others: int = 3) -> Axes:
    """Log-log ROC of the leading attack with its band, and of a few others, beside guessing.

    The shaded part rests on fewer than 10 false positives.

    Args:
        others: how many more attacks to draw, in the order of the result.
    """
    ax = _axes(ax, height=4.4)
    lead, rest = result.attacks[0], result.attacks[1 : 1 + min(others, len(SERIES))]
    n = max(lead.n_nonmembers, 2)
    floor = 10.0 ** np.floor(np.log10(1 / n))

    ax.set(xscale="log", yscale="log", xlim=(floor, 1), ylim=(floor, 1.15))
    if 10 / n < 1:
        ax.axvspan(floor, 10 / n, color=PALETTE["wash"][0], linewidth=0, zorder=0)
    ax.plot([floor, 1], [floor, 1], color=SOFT, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1)

    fpr, tpr, low, high = _thinned(lead.roc, floor)
    ax.fill_between(fpr, low, high, color=LEAD, alpha=0.16, linewidth=0, zorder=2)
    labels = [(lead.title, LEAD, fpr, tpr)]
    for attack, (colour, dash) in zip(rest, SERIES, strict=False):
        x, y, *_ = _thinned(attack.roc, floor)
        ax.plot(x, y, color=colour, linestyle=dash, linewidth=1.2, zorder=3)
        labels.append((attack.title, colour, x, y))
    ax.plot(fpr, tpr, color=LEAD, linewidth=2.0, zorder=4)
    diagonal = np.geomspace(floor, 1, 100)
    labels.append(("guessing", SOFT, diagonal, diagonal))
    _label_lines(ax, labels, keep_clear=[(fpr, low), (fpr, high)])

    _rate_ticks(ax.xaxis, floor)
    _rate_ticks(ax.yaxis, floor)
    ax.set_xlabel("false-positive rate: non-members wrongly named", fontsize=NORMAL, color=SOFT)
    _title(ax, "true-positive rate: members found")
    return ax


def histogram(attack: AttackResult, ax: Axes | None = None) -> Axes:
    """Scores of members and non-members under one attack, each as a share of its own group."""
    if attack.histogram is None:
        raise ValueError(f"the attack '{attack.name}' has no histogram in this result")
    ax = _axes(ax, height=2.7)
    edges = np.asarray(attack.histogram.edges)
    groups = [
        ("non-members", attack.histogram.nonmembers, "nonmember"),
        ("members", attack.histogram.members, "member"),
    ]
    top = 0.0
    for at, (name, counts, colour) in enumerate(groups):
        share = np.asarray(counts, float) / max(sum(counts), 1)
        top = max(top, share.max(initial=0))
        ax.stairs(share, edges, fill=True, color=PALETTE[colour][0], alpha=0.16, linewidth=0)
        ax.stairs(share, edges, color=PALETTE[colour][0], linewidth=1.4, linestyle="-" if at else (0, (4, 1.5)))
        ax.text(
            0.0 if at == 0 else 1.0,
            1.02,
            f"{name}, n {count(sum(counts))}",
            transform=ax.transAxes,
            ha="left" if at == 0 else "right",
            va="bottom",
            fontsize=SMALL,
            color=PALETTE[colour][0],
        )
    ax.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.08 * top or 1))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: rate(share)))
    ax.yaxis.set_major_locator(_few_ticks())
    ax.set_xlabel("score (higher: more likely a member)", fontsize=NORMAL, color=SOFT)
    _title(ax, printable(attack.title), pad=18)
    return ax


def auc(result: AuditResult, ax: Axes | None = None) -> Axes:
    """AUC of every attack with its interval, the controls below, beside guessing."""
    rows = [(attack.title, attack.auc, LEAD if at == 0 else INK) for at, attack in enumerate(result.attacks)]
    rows += [(f"control: {control.name}", control.auc, PALETTE["second"][0]) for control in result.controls]
    return _intervals(rows, ax, "AUC (guessing: 0.5)")


def slices(parts: Sequence[Slice], ax: Axes | None = None) -> Axes:
    """AUC of every class or group with its interval, in the order given."""
    return _intervals(
        [(part.name, part.auc, INK) for part in parts], ax, "AUC within the class or group (guessing: 0.5)"
    )


def _intervals(rows, ax: Axes | None, xlabel: str) -> Axes:
    ax = _axes(ax, height=0.75 + 0.235 * len(rows))
    ax.axvline(0.5, color=SOFT, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1)
    ends = [0.5]
    for y, (_, estimate, colour) in enumerate(rows):
        if estimate.value is None:
            continue
        ax.plot(estimate.value, y, "o", color=colour, markersize=4.2, zorder=3)
        ends.append(estimate.value)
        if estimate.low is not None and estimate.high is not None:
            ax.plot([estimate.low, estimate.high], [y, y], color=colour, linewidth=1.5, solid_capstyle="butt", zorder=2)
            ends += [estimate.low, estimate.high]
    margin = 0.06 * (max(ends) - min(ends)) or 0.05
    ax.set(xlim=(max(min(ends) - margin, -0.02), min(max(ends) + margin, 1.02)), ylim=(len(rows) - 0.4, -0.6))
    ax.set_yticks(range(len(rows)), [_short(name) for name, *_ in rows], fontsize=SMALL, parse_math=False)
    for tick, (*_, colour) in zip(ax.get_yticklabels(), rows, strict=True):
        tick.set_color(colour)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_locator(_few_ticks())
    ax.xaxis.set_major_formatter(FuncFormatter(_tick))
    ax.set_xlabel(xlabel, fontsize=NORMAL, color=SOFT)
    return ax


def _axes(ax: Axes | None, height: float) -> Axes:
    if ax is None:
        figure = Figure(figsize=(WIDTH, height), layout="constrained", facecolor=PAPER)
        ax = figure.subplots()
        ax.set_facecolor("none")
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set(color=SOFT, linewidth=0.7)
    ax.tick_params(which="both", color=SOFT, labelcolor=INK, labelsize=SMALL, width=0.7, length=3)
    return ax


def _title(ax: Axes, text: str, pad: float = 7) -> None:
    ax.set_title(text, loc="left", fontsize=NORMAL, color=INK, pad=pad, parse_math=False)


def _short(name: str, most: int = 40) -> str:
    name = printable(name)
    return name if len(name) <= most else name[: most - 1] + "…"


def _tick(value: float, _: int | None = None) -> str:
    """Two decimals, or as many as the tick has: 0.475 is not written as 0.47 or 0.48.

    >>> _tick(0.5), _tick(0.475), _tick(0.9925)
    ('0.50', '0.475', '0.9925')
    """
    return decimal(value, next((digits for digits in range(2, 6) if abs(value - round(value, digits)) < 1e-9), 6))


def _few_ticks() -> MaxNLocator:
    return MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])


def _rate_ticks(axis, floor: float) -> None:
    decades = 10.0 ** np.arange(round(np.log10(floor)), 1)
    axis.set_ticks(decades, [rate(decade) for decade in decades])
    axis.set_minor_locator(NullLocator())


def _thinned(curve: RocCurve, floor: float, most: int = 160) -> tuple[np.ndarray, ...]:
    """At most `most` points, evenly spread on the log axis; zeros are lifted just below it."""
    arrays = [np.asarray(values, float) for values in (curve.fpr, curve.tpr, curve.low, curve.high)]
    if len(arrays[0]) > most:
        wanted = np.geomspace(floor, 1, most)
        keep = np.unique(np.minimum(np.searchsorted(arrays[0], wanted), len(arrays[0]) - 1))
        arrays = [values[keep] for values in arrays]
    return tuple(np.maximum(values, floor / 3) for values in arrays)


def _label_lines(ax: Axes, lines: list[tuple], keep_clear: list[tuple]) -> None:
    """Write each line's name on a free spot near the part of it that is its own, with a thin leader if need be.

    A legend would have to be matched by colour; names beside lines also work in print and for the colour-blind.
    """
    size = 72 * ax.figure.get_size_inches() * (0.86, 0.84)  # in points; about what the tick labels leave
    low, high = np.log10([ax.get_xlim(), ax.get_ylim()]).T

    def in_points(x, y) -> np.ndarray:
        points = (np.column_stack([np.log10(x), np.log10(y)]) - low) / (high - low) * size
        at = np.linspace(0, len(points) - 1, 300)
        points = np.column_stack([np.interp(at, np.arange(len(points)), axis) for axis in points.T])
        return points[((points >= 0) & (points < size)).all(1)]

    curves = [in_points(x, y) for *_, x, y in lines]
    cell = 4.0
    taken = np.zeros(np.ceil(size / cell).astype(int), bool)
    for points in [*curves, *(in_points(x, y) for x, y in keep_clear)]:
        taken[tuple((points / cell).astype(int).T)] = True
    for at, (name, colour, *_) in enumerate(lines):
        name, curve = _short(name, 44), curves[at]
        box = np.array([0.52 * SMALL * len(name), 1.2 * SMALL])
        wide, tall = np.ceil(box / cell).astype(int) + 1
        free = np.argwhere(_window_sums(taken, wide, tall) == 0)
        if not len(free) or not len(curve):
            continue  # no room at all: the caption and the table still name the attack
        rest = np.concatenate([other for index, other in enumerate(curves) if index != at])
        apart = np.hypot(*np.moveaxis(curve[:, None] - rest, 2, 0)).min(1)
        own = curve[apart >= 0.6 * apart.max()][::4]
        corners = (free + 0.5) * cell
        gap = np.maximum(np.maximum(corners[:, None] - own, own - corners[:, None] - box), 0)
        distance = np.hypot(*np.moveaxis(gap, 2, 0)).min(1)
        (left, bottom), corner = free[distance.argmin()], corners[distance.argmin()]
        taken[left : left + wide, bottom : bottom + tall] = True
        if distance.min() > 8:
            nearest = own[np.hypot(*(own - np.clip(own, corner, corner + box)).T).argmin()]
            ends = np.clip(nearest, corner - 1, corner + box + 1) / size, nearest / size
            ax.plot(*zip(*ends, strict=True), transform=ax.transAxes, color=colour, linewidth=0.6, zorder=2)
        ax.text(*(corner / size), name, transform=ax.transAxes, fontsize=SMALL, color=colour, va="bottom",
                parse_math=False)  # fmt: skip


def _window_sums(taken: np.ndarray, wide: int, tall: int) -> np.ndarray:
    """How many taken cells each window of wide x tall cells holds; [i, j] is the one whose first cell is (i, j)."""
    if wide > taken.shape[0] or tall > taken.shape[1]:
        return np.ones((0, 0))
    total = np.pad(taken.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    return total[wide:, tall:] - total[:-wide, tall:] - total[wide:, :-tall] + total[:-wide, :-tall]
