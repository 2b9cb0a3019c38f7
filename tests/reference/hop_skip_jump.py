"""HopSkipJump for one record, question by question."""

import math

import numpy as np


def distance(beyond, x, start, *, steps, directions, seed):
    """beyond(point) -> bool; the distance from x to the last point found, and that point."""
    rng = np.random.default_rng(seed)
    n = len(x)
    point = closer(beyond, x, np.asarray(start, dtype=float))
    for t in range(1, steps + 1):
        away = math.dist(point, x)
        signs, units = [], []
        for _ in range(int(directions * math.sqrt(t))):
            u = rng.normal(size=n)
            u /= math.sqrt(sum(u**2))
            signs.append(1 if beyond(point + away / n * u) else -1)
            units.append(u)
        mean = sum(signs) / len(signs)
        mean = 0 if abs(mean) == 1 else mean
        g = np.zeros(n)
        for sign, u in zip(signs, units, strict=True):
            g += (sign - mean) * u
        g /= math.sqrt(sum(g**2))
        length = away / math.sqrt(t)
        while not beyond(point + length * g):
            length /= 2
        point = closer(beyond, x, point + length * g)
    return math.dist(point, x), point


def closer(beyond, x, point):
    near, far = 0.0, 1.0
    while far - near > 1e-5:
        middle = (near + far) / 2
        if beyond(x + middle * (point - x)):
            far = middle
        else:
            near = middle
    return x + far * (point - x)
