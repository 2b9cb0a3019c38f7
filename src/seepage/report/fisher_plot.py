"""The figure of the Fisher analysis: each layer's share for classification and for inversion, a panel a target.

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

from seepage.errors import InputError, StorageError
from seepage.report.inversion_result import FisherCurve
from seepage.report.plots import LEAD, NORMAL, PALETTE, PAPER, SMALL, SOFT, WIDTH, _axes, _rate_ticks, _short, _title
from seepage.writing import whole_file

LEAK = PALETTE["leak"][0]
PANEL, BELOW = 1.75, 0.75  # inches: of a panel, and of the names of layers below it
LONGEST = 22  # letters of a layer's name
LEAST = 1e-5  # smaller shares are drawn at the foot of the panel


def fisher_figure(curves: Sequence[FisherCurve]) -> Figure:
    """One panel for each target: layers from the first to the last across, their shares upwards, with bands.

    Shares are on a log scale: the mean over a small first layer is often a hundred times that of a large one.

    Raises:
        ValueError: there is no curve.
    """
    if not curves:
        raise ValueError("this result holds no Fisher analysis")
    figure = Figure(figsize=(WIDTH, (PANEL + BELOW) * len(curves)), layout="constrained", facecolor=PAPER)
    shares = np.concatenate([[*one.classification, *one.inversion] for one in curves])
    smallest = np.min(shares[shares > 0], initial=0.1)
    floor = 10.0 ** np.floor(np.log10(max(smallest, LEAST)))
    for ax, one in zip(figure.subplots(len(curves), squeeze=False)[:, 0], curves, strict=True):
        ax.set_facecolor("none")
        _panel(_axes(ax, height=PANEL), one, floor)
    return figure


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
    steep = len(at) > 6 or max(map(len, one.layers)) > 9
    names = [_short(name, LONGEST) for name in one.layers]
    ax.set_xticks(at, names, fontsize=SMALL, rotation=45 if steep else 0, rotation_mode="anchor",
                  ha="right" if steep else "center", parse_math=False)  # fmt: skip
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
