"""Attack-P, Attack-R and difficulty calibration, record by record."""

import numpy as np


def attack_p(loss, population):
    scores = []
    for record in loss:
        shares = [np.mean([z < x for z in loss[population, q]]) for q, x in enumerate(record)]
        scores.append(-np.mean(shares))
    return np.array(scores)


def attack_r(loss, references, is_out):
    scores = []
    for i, record in enumerate(loss):
        levels = []
        for q, x in enumerate(record):
            points = np.sort([0.0, *references[i, is_out[i], q], 1000.0])
            levels.append(np.interp(x, points, np.linspace(0, 1, len(points))))
        scores.append(-np.mean(levels) if is_out[i].any() else -0.5)
    return np.array(scores)


def difficulty_calibration(loss, references, is_out):
    n_queries = loss.shape[1]
    means = [references[i, is_out[i]].mean(axis=0) if is_out[i].any() else None for i in range(len(loss))]
    there = [mean for mean in means if mean is not None]
    everywhere = sum(there) / len(there)
    filled = [everywhere if mean is None else mean for mean in means]
    return np.array([sum(filled[i] - loss[i]) / n_queries for i in range(len(loss))])
