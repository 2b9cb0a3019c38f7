"""Audits of released records, one record at a time."""

import itertools

import numpy as np
import scipy.stats


def distances(queries, records, k):
    """(queries, k) ascending, by loops."""
    found = []
    for query in queries:
        all_of_them = [
            sum((float(a) - float(b)) ** 2 for a, b in zip(query, record, strict=True)) for record in records
        ]
        found.append(sorted(value**0.5 for value in all_of_them)[:k])
    return np.array(found)


def neighbours_of(synthetic, originals):
    """How many released records have each original as their nearest one (no ties)."""
    counts = [0] * len(originals)
    for record in synthetic:
        gaps = [np.linalg.norm(record - original) for original in originals]
        counts[gaps.index(min(gaps))] += 1
    return counts


def chance_of_share(counts, n_members):
    """Exact share of all memberships with at least as many neighbours as the first `n_members` originals have."""
    seen = sum(counts[:n_members])
    sums = [sum(group) for group in itertools.combinations(counts, n_members)]
    return sum(value >= seen for value in sums) / len(sums)


def binomial_interval(hits, trials, confidence):
    found = scipy.stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")
    return found.low, found.high


def kernel_ratio(records, synthetic, reference, dimensions):
    """Principal components by the eigenvectors of the covariance, then a mixture of normal densities a set."""
    both = np.vstack([synthetic, reference])
    values, vectors = np.linalg.eigh(np.cov(both, rowvar=False))
    largest = np.argsort(values)[::-1][:dimensions]

    def whitened(points):
        return (points - both.mean(axis=0)) @ vectors[:, largest] / np.sqrt(values[largest])

    scores = []
    for point in whitened(records):
        densities = []
        for kernels in (whitened(synthetic), whitened(reference)):
            bandwidth = len(kernels) ** (-1 / (dimensions + 4))
            normal = [scipy.stats.multivariate_normal(kernel, bandwidth**2).pdf(point) for kernel in kernels]
            densities.append(np.mean(normal))
        scores.append(np.log(densities[0] / densities[1]))
    return np.array(scores)
