"""The figure of the Fisher analysis: what inversion hangs on more than classification does, layer by layer.

seepage.report.fisher_plot.fisher_figure(result.fisher).savefig("fisher.svg")
"""

import os
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from seepage.errors import InputError, StorageError
from seepage.report.plots import LEAD, NORMAL, PALETTE, PAPER, SMALL, SOFT, WIDTH, _axes, _rate_ticks, _short, _title
from seepage.schema.inversion import FisherCurve
from seepage.writing import whole_file

LEAK = PALETTE["leak"][0]
PANEL, LOW_PANEL, BELOW = 1.75, 1.2, 0.75  # inches: of a panel, and of the names of layers below it
MOST, ROOM = 1000.0, 1.15  # the largest ratio that is drawn as it is; and room beside the largest and least
DECADES = (0.001, 0.01, 0.1, 1, 10, 100, 1000)
FINE = (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10)  # ticks of a scale whose ends are not far from each other
WIDE = 30  # times the least
FLAT = 14  # letters of names that stand beside each other in half the width
LONGEST = 22  # letters of a layer's name
LEAST = 1e-5  # smaller shares are drawn at the foot of the panel


def fisher_figure(curves: Sequence[FisherCurve]) -> Figure:
    """One panel for each target: layers from the first to the last across, and upwards, on a log scale with bands,
    the share of inversion over that of classification; the dotted line is 1, where both are alike.

    Of results without the ratio the two shares. They say less: the mean over a small first layer is often a hundred
    times that of a large one, in both.

    Raises:
        ValueError: there is no curve.
    """
    if not curves:
        raise ValueError("this result holds no Fisher analysis")
    if all(one.ratio for one in curves):
        return _ratios(curves)
    figure = Figure(figsize=(WIDTH, (PANEL + BELOW) * len(curves)), layout="constrained", facecolor=PAPER)
    shares = np.concatenate([[*one.classification, *one.inversion] for one in curves])
    smallest = np.min(shares[shares > 0], initial=0.1)
    floor = 10.0 ** np.floor(np.log10(max(smallest, LEAST)))
    for ax, one in zip(figure.subplots(len(curves), squeeze=False)[:, 0], curves, strict=True):
        ax.set_facecolor("none")
        _panel(_axes(ax, height=PANEL), one, floor)
    return figure


def _ratios(curves: Sequence[FisherCurve]) -> Figure:
    """Two panels a row where there are several, all on one scale."""
    across = min(2, len(curves))
    down = -(-len(curves) // across)
    figure = Figure(figsize=(WIDTH, (LOW_PANEL + BELOW) * down), layout="constrained", facecolor=PAPER)
    ends = np.concatenate([[*one.ratio_low, *one.ratio_high] for one in curves])
    low, high = max(np.min(ends[ends > 0], initial=1), 1 / MOST), min(np.max(ends, initial=1), MOST)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for ax in panels[len(curves) :]:
        ax.set_visible(False)
    for place, (ax, one) in enumerate(zip(panels, curves, strict=False)):
        ax.set_facecolor("none")
        _axes(ax, height=LOW_PANEL)
        ax.set(yscale="log", ylim=(low / ROOM, high * ROOM))
        _ratio(ax, one, left=place % across == 0)
    return figure


def _ratio(ax: Axes, one: FisherCurve, left: bool) -> None:
    at = np.arange(len(one.layers))
    floor, top = ax.get_ylim()
    low, high, value = (np.clip(getattr(one, f"ratio{end}"), floor, top) for end in ("_low", "_high", ""))
    ax.set_xlim(-0.3, max(len(at), 2) - 0.7)
    ax.axhline(1, color=SOFT, linewidth=0.9, linestyle=(0, (2, 3)), zorder=1, gid="alike")
    ax.fill_between(at, low, high, color=LEAK, alpha=0.14, linewidth=0, zorder=1)
    ax.vlines(at, low, high, color=LEAK, linewidth=0.8, alpha=0.6, zorder=2)
    ax.plot(at, value, color=LEAK, linewidth=1.6, marker="s", markersize=3.6, zorder=3, gid="ratio")
    _layer_names(ax, one, 0 if sum(map(len, one.layers)) <= FLAT else 45)
    ticks = [tick for tick in (FINE if top < WIDE * floor else DECADES) if floor <= tick <= top]
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_major_formatter(FixedFormatter([f"{tick:g}" for tick in ticks]))
    ax.yaxis.set_minor_locator(NullLocator())
    if left:
        ax.set_ylabel("inversion / classification", fontsize=SMALL, color=SOFT)
    if one.slope is not None and one.slope.value is not None:
        ax.text(0, 1.02, f"slope {slope_of(one)}", transform=ax.transAxes, fontsize=SMALL,
                color=LEAK, va="bottom", gid="key", in_layout=False)  # fmt: skip
    _title(ax, _short(one.target, 28), pad=16)


def slope_of(one: FisherCurve) -> str:
    """The slope with its interval, as text.

    >>> slope_of(FisherCurve.model_construct(slope=None))
    'undefined'
    """
    if one.slope is None or one.slope.value is None:
        return "undefined"
    ends = "" if None in (one.slope.low, one.slope.high) else f" [{one.slope.low:+.2f}, {one.slope.high:+.2f}]"
    return f"{one.slope.value:+.2f}{ends}"


def _layer_names(ax: Axes, one: FisherCurve, rotation: float) -> None:
    names = [_short(name, LONGEST) for name in one.layers]
    ax.set_xticks(np.arange(len(names)), names, fontsize=SMALL, rotation=rotation, rotation_mode="anchor",
                  ha="right" if rotation else "center", parse_math=False)  # fmt: skip


def _panel(ax: Axes, one: FisherCurve, floor: float) -> None:
    at = np.arange(len(one.layers))
    ax.set(xlim=(-0.3, max(len(at), 2) - 0.7), ylim=(floor, 1.15), yscale="log")
    parts = (
        ("classification", one.n_classification, LEAD, "-", "o"),
        ("inversion", one.n_inversion, LEAK, (0, (4, 1.5)), "s"),
    )
    for name, _, colour, dash, mark in parts:
        low, high, share = (np.maximum(getattr(one, f"{name}{end}"), floor) for end in ("_low", "_high", ""))
        ax.fill_between(at, low, high, color=colour, alpha=0.14, linewidth=0, zorder=1)
        ax.plot(at, share, color=colour, linestyle=dash, linewidth=1.6, marker=mark, markersize=3.6, zorder=3)
        ax.vlines(at, low, high, color=colour, linewidth=0.8, alpha=0.6, zorder=2)
    for right, (name, n, colour, _, mark) in enumerate(parts):
        text = f"{'●' if mark == 'o' else '■'} {name}, n {n}"
        ax.text(float(right), 1.02, text, transform=ax.transAxes, fontsize=SMALL, color=colour, va="bottom",
                ha="right" if right else "left", gid="key")  # fmt: skip
    _layer_names(ax, one, 45 if len(at) > 6 or max(map(len, one.layers)) > 9 else 0)
    _rate_ticks(ax.yaxis, floor)
    ax.set_ylabel("share of information", fontsize=NORMAL, color=SOFT)
    _title(ax, f"{_short(one.target)} under {_short(one.attack)}", pad=18)


def write_fisher(curves: Sequence[FisherCurve], path: str | os.PathLike) -> Path:
    """The figure as .svg, whole or not at all.

    Raises:
        InputError: another suffix.
        StorageError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".svg":
        raise InputError(f"the figure is written as .svg, not '{path.name}'")
    text = StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "fisher"}):
        fisher_figure(curves).savefig(text, format="svg", metadata={"Date": None})
    try:
        with whole_file(path, encoding="utf-8") as file:
            file.write(text.getvalue())
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from None
    return path
