"""Soft labels of a given entropy: one share for the true class, another for each of the rest."""

from __future__ import annotations

import functools
import math

from scipy.optimize import brentq

from seepage.errors import InputError, unknown_name

METHODS = ("grid", "exact")
GRID = 100  # the grid's points are whole hundredths
LEAST_LEAD = 1e-6  # by which an exact p stays above 1/k, as a share of it: nearer, rounding decides which class leads


@functools.cache
def soft_label(n_classes: int, gamma: float, method: str = "grid") -> tuple[float, float]:
    """The share p of the true class and q = (1 - p) / (k - 1) of every other one.

        H(p) = -p ln p - (1 - p) ln((1 - p) / (k - 1))   falls from ln k at p = 1/k to 0 at p = 1

    "grid" is the code: from p = 1 down in steps of 0.01, at least one, to the first p with H(p) >= gamma ln k. "exact"
    is the root of H(p) = gamma ln k. On the grid the entropy can be so near to ln k that the next step would pass
    1/k, where the label names another class, and the code's loop goes on below zero: then p is the last hundredth
    above 1/k, whose entropy is the largest that the grid has. An exact p is at least (1 + 1e-6) / k.

    Args:
        n_classes: k, at least 2.
        gamma: share of the largest entropy ln k, at least 0 and below 1.
        method: "grid" or "exact".

    Returns:
        p and q, p > q and p + (k - 1) q = 1.

    Raises:
        InputError: a value outside of these.

    Reference: Chen & Pattabiraman 2024 (arXiv 2307.01610), high-entropy soft labels; code `get_top1` of
        github.com/DependableSystemsLab/MIA_defense_HAMP. The root is that of github.com/ethz-spylab/
        misleading-privacy-evals. Deviations: hundredths are counted in whole numbers; the end of the grid.

    >>> p, q = soft_label(30, 0.5)
    >>> p, round(q, 7)
    (0.68, 0.0110345)
    """
    if n_classes < 2:
        raise InputError(f"soft labels need at least 2 classes, got {n_classes}")
    if not 0 <= gamma < 1:
        raise InputError(f"gamma is the soft label's share of the largest entropy, at least 0 and below 1, got {gamma}")
    if method not in METHODS:
        raise unknown_name("method of finding soft labels", str(method), METHODS)
    threshold = gamma * math.log(n_classes)
    lowest = (1 + LEAST_LEAD) / n_classes
    if method == "grid":
        hundredths = GRID - 1
        while _entropy(hundredths / GRID, n_classes) < threshold and (hundredths - 1) * n_classes > GRID:
            hundredths -= 1
        p = hundredths / GRID
    elif _entropy(lowest, n_classes) <= threshold:
        p = lowest
    else:
        p = brentq(lambda p: _entropy(p, n_classes) - threshold, lowest, 1.0, xtol=1e-15)
    return p, (1 - p) / (n_classes - 1)


def _entropy(p: float, n_classes: int) -> float:
    """H(p), in nats."""
    rest = 1 - p
    return -p * math.log(p) - (rest * math.log(rest / (n_classes - 1)) if rest else 0.0)
