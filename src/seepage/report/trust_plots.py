"""The figures of the honesty study, each a function that draws a part of a result and returns its (first) axes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from seepage.report.plots import (
    INK,
    LEAD,
    NORMAL,
    PALETTE,
    PAPER,
    SERIES,
    SMALL,
    SOFT,
    WIDTH,
    _axes,
    _short,
    _tick,
    _title,
)
from seepage.schema.estimates import Estimate
from seepage.schema.numbers import count, decimal, rate
from seepage.schema.trust import LARGEST_SCORE, SHOWN, TrustResult, VariantResult

MARKS = ("o", "s", "D", "^", "v", "P")


def auc_against_calibration(result: TrustResult, ax: Axes | None = None) -> Axes:
    """AUC of the largest-score attack against the calibration error, a point with both intervals a variant."""
    return _trade_off(
        result,
        lambda variant: variant.attack(LARGEST_SCORE).auc,
        "AUC of the largest score (guessing: 0.5)",
        ax,
        chance=0.5,
    )


def false_alarms_against_calibration(result: TrustResult, ax: Axes | None = None) -> Axes:
    """Own-distribution false-positive rate of the largest-score attack against the calibration error."""
    return _trade_off(
        result,
        lambda variant: variant.attack(LARGEST_SCORE).on("same").false_positive_rate,
        "own-distribution false-positive rate",
        ax,
    )


def _trade_off(result: TrustResult, value, title: str, ax: Axes | None, chance: float | None = None) -> Axes:
    ax = _axes(ax, height=3.3)
    if chance is not None:
        ax.axhline(chance, color=SOFT, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1)
    points = []
    for at, variant in enumerate(result.variants):
        x, y = variant.calibration_error, value(variant)
        colour = LEAD if at == 0 else INK
        ax.plot([x.low, x.high], [y.value, y.value], color=colour, linewidth=0.8, alpha=0.6, zorder=2)
        ax.plot([x.value, x.value], [y.low, y.high], color=colour, linewidth=0.8, alpha=0.6, zorder=2)
        ax.plot(x.value, y.value, MARKS[at % len(MARKS)], color=colour, markersize=5, zorder=3)
        points.append((x.value, y.value, variant.title, colour))
    ax.margins(0.08, 0.12)
    ticks = [tick for tick in ax.get_xticks() if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]
    _name_points(ax, points)
    ax.set_xticks(ticks)
    ax.xaxis.set_major_formatter(FuncFormatter(_tick))
    ax.yaxis.set_major_formatter(FuncFormatter(_tick))
    ax.set_xlabel("expected calibration error (left: better calibrated)", fontsize=NORMAL, color=SOFT)
    _title(ax, title)
    return ax


def _name_points(ax: Axes, points: list[tuple[float, float, str, str]]) -> None:
    """Write each point's name in a column at the right, in the order of height, with a thin line to its point."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    ax.set_xlim(left, right + 0.42 * (right - left))
    ax.set_ylim(low, high)
    step = (high - low) * 0.085
    ordered = sorted(points, key=lambda point: point[1])
    heights = [point[1] for point in ordered]
    for at in range(1, len(heights)):
        heights[at] = max(heights[at], heights[at - 1] + step)
    over = heights[-1] - (high - 0.3 * step)
    if over > 0:
        heights[-1] -= over
        for at in range(len(heights) - 2, -1, -1):
            heights[at] = min(heights[at], heights[at + 1] - step)
    column = right + 0.04 * (right - left)
    for (x, y, name, colour), height in zip(ordered, heights, strict=True):
        ax.plot([x, column], [y, height], color=colour, linewidth=0.5, alpha=0.5, zorder=1)
        ax.text(column, height, f" {_short(name)}", fontsize=SMALL, color=colour, va="center", parse_math=False)


def reliability(result: TrustResult) -> Axes:
    """A reliability diagram of every variant: accuracy against confidence in bins, the diagonal being calibrated."""
    columns = 2
    rows = -(-len(result.variants) // columns)
    figure = Figure(figsize=(WIDTH, 2.35 * rows), layout="constrained", facecolor=PAPER)
    grid = np.atleast_1d(figure.subplots(rows, columns, sharex=True, sharey=True)).ravel()
    for at, variant in enumerate(result.variants):
        _reliability(variant, grid[at], at >= len(result.variants) - columns, at % columns == 0)
    for ax in grid[len(result.variants) :]:
        ax.set_axis_off()
    return grid[0]


def _reliability(variant: VariantResult, ax: Axes, is_bottom: bool, is_left: bool) -> None:
    ax = _axes(ax, height=0)
    bins = variant.reliability
    ax.plot([0, 1], [0, 1], color=SOFT, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1)
    total = sum(bins.counts)
    for at, (confidence, accuracy) in enumerate(zip(bins.confidence, bins.accuracy, strict=True)):
        if confidence is None or accuracy is None:
            continue
        ax.plot([confidence] * 2, [bins.low[at], bins.high[at]], color=LEAD, linewidth=0.9, alpha=0.55, zorder=2)
        size = 2.0 + 6.0 * np.sqrt(bins.counts[at] / total)
        ax.plot(confidence, accuracy, "o", color=LEAD, markersize=size, zorder=3)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    _title(ax, f"{_short(variant.title)}, ECE {decimal(variant.calibration_error.value)}")
    if is_bottom:
        ax.set_xlabel("confidence", fontsize=NORMAL, color=SOFT)
    if is_left:
        ax.set_ylabel("accuracy", fontsize=NORMAL, color=SOFT)


def rays(result: TrustResult, ax: Axes | None = None) -> Axes:
    """Share of non-members that some scale up to 2^k turns into members, a line a variant."""
    ax = _axes(ax, height=3.3)
    titles = {variant.name: variant.title for variant in result.variants}
    colours = [(LEAD, "-"), *SERIES, (PALETTE["nonmember"][0], "--"), (PALETTE["member"][0], "-")]
    ends = []
    for ray, (colour, dash) in zip(result.rays, colours, strict=False):
        share = [estimate.value for estimate in ray.called]
        wide = 1.8 if ray.variant in SHOWN else 1.1
        ax.plot(ray.doublings, share, color=colour, linestyle=dash, linewidth=wide)
        ends.append((ray.doublings[-1], share[-1], titles[ray.variant], colour))
    ax.set_ylim(-0.03, 1.06)
    _name_points(ax, ends)
    ax.set_xticks([k for k in result.rays[0].doublings if k % 5 == 0])
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: rate(share)))
    ax.set_xlabel("k: scaled by at most 2^k", fontsize=NORMAL, color=SOFT)
    _title(ax, f"non-members that become members, n {count(result.rays[0].n)}")
    return ax


def false_alarms(result: TrustResult, ax: Axes | None = None) -> Axes:
    """False-positive rate of the largest-score attack on every set, of the standard model and of Laplace."""
    titles = {one.name: one.title for one in result.sets}
    shown = [variant for variant in result.variants if variant.name in SHOWN]
    names = [one.name for one in result.sets]
    ax = _axes(ax, height=0.9 + 0.3 * len(names))
    for shift, variant, colour, mark in zip((-0.13, 0.13), shown, (LEAD, PALETTE["member"][0]), "os", strict=False):
        for y, name in enumerate(names):
            found: Estimate = variant.attack(LARGEST_SCORE).on(name).false_positive_rate
            ax.plot([found.low, found.high], [y + shift] * 2, color=colour, linewidth=1.3, solid_capstyle="butt")
            ax.plot(found.value, y + shift, mark, color=colour, markersize=4.2)
    for x, align, variant, colour in zip((0, 1), ("left", "right"), shown, (LEAD, PALETTE["member"][0]), strict=False):
        mark = "●" if x == 0 else "■"
        ax.text(x, 1.01, f"{mark} {_short(variant.title)}", transform=ax.transAxes, ha=align, va="bottom",
                fontsize=SMALL, color=colour)  # fmt: skip
    ax.set(xlim=(-0.02, 1.02), ylim=(len(names) - 0.4, -0.6))
    ax.set_yticks(range(len(names)), [_short(titles[name]) for name in names], fontsize=SMALL, parse_math=False)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: rate(value)))
    ax.set_xlabel("called members though they are none (largest score)", fontsize=NORMAL, color=SOFT)
    return ax


def every_attack(result: TrustResult, ax: Axes | None = None) -> Axes:
    """False-positive rate of every attack on every set, of the standard model: darker is more often accused."""
    attacks = result.variant("standard").attacks
    rates = np.array([[a.on(s.name).false_positive_rate.value for s in result.sets] for a in attacks], dtype=float)
    ax = _axes(ax, height=1.5 + 0.23 * len(attacks))
    shade = LinearSegmentedColormap.from_list("rates", [PAPER, LEAD])
    ax.imshow(rates, cmap=shade, vmin=0, vmax=1, aspect="auto")
    for (y, x), value in np.ndenumerate(rates):
        ax.text(x, y, f"{100 * value:.0f}", ha="center", va="center", fontsize=SMALL - 1,
                color=PAPER if value > 0.55 else INK)  # fmt: skip
    ax.set_yticks(range(len(attacks)), [_short(a.title, 30) for a in attacks], fontsize=SMALL - 1, parse_math=False)
    titles = [_short(one.title, 22) for one in result.sets]
    ax.set_xticks(range(len(titles)), titles, fontsize=SMALL - 1, rotation=40, ha="right", rotation_mode="anchor",
                  parse_math=False)  # fmt: skip
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return ax
