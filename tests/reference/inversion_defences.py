"""Dependence measures, the bottleneck's loss and the schedule of negative smoothing, number by number."""

import math

import numpy as np


def gaussian_kernel(rows, sigma=5.0):
    kernel = [[0.0] * len(rows) for _ in rows]
    for i, x in enumerate(rows):
        for j, z in enumerate(rows):
            distance = sum((a - b) ** 2 for a, b in zip(x, z, strict=True))
            kernel[i][j] = math.exp(-distance / (2 * sigma**2 * len(x)))
    return np.array(kernel)


def linear_kernel(rows):
    return np.array([[sum(a * b for a, b in zip(x, z, strict=True)) for z in rows] for x in rows])


def centring(m):
    return np.array([[(1.0 if i == j else 0.0) - 1 / m for j in range(m)] for i in range(m)])


def normalised_hsic(kernel, other):
    m = len(kernel)
    total, parts = 0.0, []
    for k in (kernel, other):
        centred = k @ centring(m)
        parts.append(centred @ np.linalg.inv(centred + 1e-5 * m * np.eye(m)))
    for i in range(m):
        for j in range(m):
            total += parts[0][i, j] * parts[1][j, i]
    return total


def coco(kernel, other):
    m, h = len(kernel), centring(len(kernel))
    product = h @ kernel @ h @ h @ other @ h
    return math.sqrt(math.sqrt(sum(value**2 for row in product for value in row))) / m


def bido(hidden, inputs, targets, measure, a1, a2):
    """The penalty; `hidden` is a list of layers, each a list of rows."""
    of = {"hsic": normalised_hsic, "coco": coco}[measure]
    x, y = gaussian_kernel(inputs), linear_kernel(targets)
    return sum(a1 * of(gaussian_kernel(z), x) - a2 * of(gaussian_kernel(z), y) for z in hidden)


def divergence_by_integration(mean, deviation, n=20_001, reach=12.0):
    """KL(N(mean, deviation^2) || N(0, 1)): the integral of p ln(p / q), by the trapezium rule."""
    x = np.linspace(mean - reach * deviation, mean + reach * deviation, n)
    log_p = -((x - mean) ** 2) / (2 * deviation**2) - math.log(deviation) - 0.5 * math.log(2 * math.pi)
    log_q = -(x**2) / 2 - 0.5 * math.log(2 * math.pi)
    values = np.exp(log_p) * (log_p - log_q)
    return float(((values[1:] + values[:-1]) / 2 * np.diff(x)).sum())


def smoothing_at(epoch, alpha, epochs=100, start=50, full=75):
    if epoch < start:
        return 0.0
    if epoch < full:
        return alpha * (epoch + 1 - start) / (epochs - start)
    return alpha


def smoothed(logits, labels, smoothing):
    total = 0.0
    for z, y in zip(logits, labels, strict=True):
        norm = math.log(sum(math.exp(value) for value in z))
        losses = [norm - value for value in z]
        total += (1 - smoothing) * losses[y] + smoothing * sum(losses) / len(losses)
    return total / len(logits)
