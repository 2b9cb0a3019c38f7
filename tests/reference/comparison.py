"""Naive second implementations of what a comparison computes, sharing no code with it."""

import json
from pathlib import Path

import numpy as np


def attack(folder: Path, name: str) -> dict:
    """An attack's part of an audit's result.json."""
    return next(one for one in json.loads((folder / "result.json").read_text())["attacks"] if one["name"] == name)


# Two-sided quantiles of Student's t by confidence and degrees of freedom, from printed tables.
STUDENT = {0.95: {1: 12.7062, 2: 4.3027, 3: 3.1824, 6: 2.4469}, 0.9: {1: 6.3138, 2: 2.9200, 3: 2.3534, 6: 1.9432}}


def combined(values, lows, highs, confidence=0.95, least=0.0, most=1.0):
    """Mean and interval over seeds: squares of the half-widths between seeds and within audits are added."""
    values = np.asarray(values, dtype=float)
    n, mean = len(values), np.mean(values)
    if n == 1:
        return values[0], lows[0], highs[0]
    between = STUDENT[confidence][n - 1] * np.sqrt(np.var(values, ddof=1) / n)
    ends = []
    for sign, side in ((-1, lows), (1, highs)):
        within = abs(mean - np.mean(side))
        ends.append(mean + sign * (between**2 + within**2) ** 0.5)
    return mean, max(least, ends[0]), min(most, ends[1])


def frontier(points):
    """Names of (name, accuracy, leak) that no other point dominates, by looking at all pairs."""
    kept = []
    for name, accuracy, leak in points:
        beaten = False
        for _, other_accuracy, other_leak in points:
            no_worse = other_accuracy >= accuracy and other_leak <= leak
            if no_worse and (other_accuracy, other_leak) != (accuracy, leak):
                beaten = True
        if not beaten:
            kept.append(name)
    return kept
