"""The figures of model inversion: each attack beside its baselines, and what defences cost against what is left.

seepage.report.inversion_plots.frontier_figure(result).savefig("frontier.svg")
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from seepage.report import plots
from seepage.report.comparison_plots import ABOVE, BELOW, LEFT, RIGHT, _draw, _label, _name_points, _Point
from seepage.report.plots import INK, LEAD, NORMAL, PALETTE, PAPER, SMALL, SOFT, WIDTH
from seepage.schema.estimates import Estimate
from seepage.schema.inversion import InversionResult, Reconstructed, TargetResult
from seepage.schema.inversion_reading import (
    best_accuracy,
    is_beyond,
    level_of,
    ranked,
    rivals,
    subjects,
    sweeps,
    title_of,
    titles,
)
from seepage.schema.numbers import rate

ALARM = PALETTE["unsure"][0]
BASELINES = {
    "chance": "|", "random-code": "^", "random-public": "D", "wrong-class": "x", "null-target": "v",
    "best-of-random": "s", "public-nearest": "*",  # of results that called selections baselines
}  # fmt: skip
KEY = (
    "● the judge (coloured: beyond every baseline) · ○ the target itself",
    "no target: | chance · ▲ random code · ◆ public · \N{MULTIPLICATION SIGN} other class · ▼ null target",
)
ALONE = "adversarial: it convinces the target alone"
ATTACK_INCHES, LANE = 0.68, 0.1  # height of an attack; of a baseline, as a share of it


def attacks_figure(result: InversionResult, target: TargetResult | None = None) -> Figure:
    """For each attack on a target: what the judge and the target say of its images, above the baselines.

    Args:
        target: by default the one that the verdict is about, or else the first.
    """
    target = target or next(iter([*subjects(result.targets), *result.targets]))
    alpha = level_of(target, result.targets, result.alpha)
    rows = ranked(target, alpha)
    figure = Figure(figsize=(WIDTH, 0.95 + ATTACK_INCHES * len(rows)), layout="constrained", facecolor=PAPER)
    ax = plots._axes(figure.subplots(), height=0)
    ax.set_facecolor("none")
    for y, attack in enumerate(rows):
        _attack(ax, y, attack, is_beyond(attack, alpha))
        title = plots._short(" ".join(title_of(result.attacks, attack.attack).split()), 52)
        ax.text(0, y - 0.24, title, fontsize=SMALL, color=INK, va="center", parse_math=False, gid="name")
        if attack.adversarial:
            ax.text(1, y + 0.2, ALONE, fontsize=SMALL, color=ALARM, va="center", ha="right", gid="alarm")
        if y:
            ax.axhline(y - 0.4, color=PALETTE["rule"][0], linewidth=0.6, zorder=0)
    ax.set(xlim=(-0.02, 1.02), ylim=(len(rows) - 0.4, -0.42), yticks=[])
    ax.spines["left"].set_visible(False)
    ax.xaxis.set_major_formatter(FuncFormatter(lambda at, _: rate(round(at, 6))))
    ax.set_xlabel("share of hits: taken for the class attacked", fontsize=NORMAL, color=SOFT)
    plots._title(ax, "share recognised, attack by attack", pad=32)
    for up, line in enumerate(reversed(KEY)):
        ax.annotate(line, (0, 1), (0, 4 + 12 * up), xycoords="axes fraction", textcoords="offset points",
                    fontsize=SMALL, color=SOFT, gid="key")  # fmt: skip
    for text in ax.texts:
        text.set_in_layout(False)  # the reader's font is narrower than the one that room is measured with
    return figure


def frontier_figure(result: InversionResult) -> Figure:
    """Natural accuracy across and the accuracy of the best attack upwards, a point with both intervals a target."""
    # no layout engine: the names are placed by where the axes stand, so these must stay
    rows, names = rivals(result.targets), titles(result.targets)
    tall = 2.9 + 0.11 * max(0, len(rows) - 6)
    whole = np.array([WIDTH, BELOW + tall + ABOVE] * 2)
    figure = Figure(figsize=tuple(whole[:2]), facecolor=PAPER)
    ax = figure.add_axes(tuple(np.array([LEFT, BELOW, WIDTH - LEFT - RIGHT, tall]) / whole), facecolor="none")
    plots._axes(ax, height=tall)
    points = {
        one.name: _Point(_label(names[one.name]), "none" if one.role == "undefended" else "training",
                         _is_best(one, rows), one.test_accuracy, one.worst.accuracy)
        for one in rows if None not in (one.test_accuracy.value, one.worst.accuracy.value)
    }  # fmt: skip
    floor = best_accuracy(rows[0].worst).value if rows else None
    _scales(ax, list(points.values()), floor)
    paths = []
    if floor is not None:
        ax.axhline(floor, color=SOFT, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1, gid="floor")
        paths.append([(ax.get_xlim()[0], floor), (ax.get_xlim()[1], floor)])
    for sweep in sweeps(result.targets):
        path = [(at.x.value, at.y.value) for one in sweep if (at := points.get(one.name)) is not None]
        if len(path) > 1:
            ax.plot(*np.array(path).T, color=LEAD, linewidth=1.0, alpha=0.55, zorder=2, gid="sweep")
            paths.append(path)
    for point in points.values():
        _draw(ax, point)
    if points:
        _name_points(ax, list(points.values()), *paths)
    ax.set_xlabel("natural accuracy (right: more useful)", fontsize=NORMAL, color=SOFT)
    plots._title(ax, "the best attack's images, share recognised (lower: more private)", pad=19)
    ax.text(0, 1.02, "◆ undefended · ● defended · filled: none beats it in both · dotted: no target",
            transform=ax.transAxes, fontsize=SMALL, color=SOFT, va="bottom", gid="key")  # fmt: skip
    return figure


def figure_alone(result: InversionResult) -> Figure:
    """What is written where one figure is wanted: the frontier, or the attacks where there is no choice of targets."""
    return frontier_figure(result) if len(rivals(result.targets)) > 1 else attacks_figure(result)


def _attack(ax: Axes, y: int, attack: Reconstructed, beyond: bool) -> None:
    colour = LEAD if beyond else SOFT
    _interval(ax, y, attack.target_accuracy, ALARM if attack.adversarial else SOFT, width=0.8)
    _mark(ax, y, attack.target_accuracy, "o", ALARM if attack.adversarial else SOFT, size=6, hollow=True, gid="target")
    _interval(ax, y, attack.accuracy, colour, width=2.2)
    _mark(ax, y, attack.accuracy, "o", colour, size=6, gid="judge")
    for lane, one in enumerate(attack.baselines):
        at = y + 0.12 + LANE * lane
        _interval(ax, at, one.accuracy, SOFT, width=0.8)
        _mark(ax, at, one.accuracy, BASELINES[one.name], SOFT, size=3.2, gid="baseline")


def _interval(ax: Axes, y: float, one: Estimate, colour: str, *, width: float) -> None:
    if one.low is not None and one.high is not None:
        ax.plot([one.low, one.high], [y, y], color=colour, linewidth=width, alpha=0.7, solid_capstyle="butt", zorder=2)


def _mark(ax: Axes, y: float, one: Estimate, mark: str, colour: str, *, size: float, gid: str, hollow: bool = False):
    if one.value is not None:
        ax.plot(one.value, y, mark, color=colour, markerfacecolor=PAPER if hollow else colour, markersize=size,
                markeredgewidth=1.1, zorder=4 if hollow else 5, clip_on=False, gid=gid)  # fmt: skip


def _is_best(one: TargetResult, rows: list[TargetResult]) -> bool:
    """Whether no other target is at least as accurate, gives away no more, and is better in one of both."""
    x, y = one.test_accuracy.value, one.worst.accuracy.value
    others = [(of.test_accuracy.value, of.worst.accuracy.value) for of in rows]
    return not any(u >= x and v <= y and (u, v) != (x, y) for u, v in others if None not in (u, v))


def _scales(ax: Axes, points: list[_Point], floor: float | None) -> None:
    across = [end for one in points for end in (one.x.low, one.x.value, one.x.high) if end is not None] or [0.0, 1.0]
    span = max(across) - min(across) or 0.05
    ax.set_xlim(min(across) - 0.08 * span, max(across) + 0.2 * span)  # names need room beside the most accurate
    up = [end for one in points for end in (one.y.low, one.y.value, one.y.high) if end is not None]
    top = max([*up, floor or 0.0, 0.05])
    ax.set_ylim(-0.03 * top, 1.1 * top)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(plots._few_ticks())
        axis.set_major_formatter(FuncFormatter(lambda at, _: rate(round(at, 6))))
