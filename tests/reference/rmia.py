"""RMIA by its definition: every record against every population record."""

import numpy as np


def rmia(p, references, is_in, is_out, population, *, mode, a, gamma, queries):
    """p (samples, queries) and references (samples, references, queries): probabilities of the true label."""
    n_samples, n_queries = p.shape
    ratio = np.zeros((n_samples, n_queries))
    for q in range(n_queries):
        p_out = [references[i, is_out[i], q].mean() if is_out[i].any() else None for i in range(n_samples)]
        there = [value for value in p_out if value is not None]
        for i in range(n_samples):
            out = p_out[i] if p_out[i] is not None else sum(there) / len(there)
            average = 0.5 * ((1 + a) * out + (1 - a))
            if mode == "online" and is_in[i].any():
                average = 0.5 * (references[i, is_in[i], q].mean() + out)
            ratio[i, q] = p[i, q] / average
    z = np.flatnonzero(population)
    scores = np.zeros(n_samples)
    for i in range(n_samples):
        for j in z:
            wins = [ratio[i, q] / ratio[j, q] >= gamma for q in range(n_queries)]
            scores[i] += (sum(wins) > n_queries / 2) if queries == "majority" else sum(wins) / n_queries
    return scores / len(z)
