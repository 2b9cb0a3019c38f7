"""Multi-signal LiRA record by record, with scipy's multivariate normal."""

import numpy as np
import scipy.stats


def multi_signal_lira(target, references, is_in, is_out, *, mode, variance, centre):
    """target (samples, queries, signals); references (samples, references, queries, signals); masks as elsewhere."""
    n_samples, n_queries, _ = target.shape
    out = gaussians(references, is_out, variance, centre)
    inside = gaussians(references, is_in, variance, centre) if mode == "online" else None
    scores = []
    for i in range(n_samples):
        of_queries = []
        for q in range(n_queries):
            mean, covariance = out[i, q]
            v = target[i, q]
            if mode == "online":
                score = scipy.stats.multivariate_normal.logpdf(v, *inside[i, q])
                score -= scipy.stats.multivariate_normal.logpdf(v, mean, covariance)
            else:
                deviation = np.sqrt(np.diag(covariance))
                correlation = covariance / np.outer(deviation, deviation)
                score = scipy.stats.norm.logcdf(((v - mean) / deviation).sum() / np.sqrt(correlation.sum()))
            of_queries.append(score)
        scores.append(np.mean(of_queries))
    return np.array(scores)


def gaussians(references, mask, variance, centre):
    n_samples, _, n_queries, d = references.shape
    middle = {"median": np.median, "mean": np.mean}[centre]
    groups = {(i, q): references[i, mask[i], q] for i in range(n_samples) for q in range(n_queries)}
    means = {key: middle(group, axis=0) for key, group in groups.items() if len(group)}
    residuals = np.concatenate([groups[key] - means[key] for key in means])
    pooled = np.cov(residuals.T, bias=True).reshape(d, d)
    found = {}
    for (i, q), group in groups.items():
        mean = means.get((i, q))
        if mean is None:
            mean = np.mean([value for (_, other), value in means.items() if other == q], axis=0)
        correlation = to_correlation(pooled)
        if variance == "residual":
            deviation = np.sqrt(np.diag(pooled))
        else:
            deviations = [g.std(axis=0) for (_, other), g in groups.items() if other == q and len(g) >= 2]
            deviation = group.std(axis=0) if len(group) >= 2 else np.mean(deviations, axis=0)
            n = len(group)
            own = to_correlation(np.cov(group.T, bias=True).reshape(d, d)) if n >= 2 else np.eye(d)
            correlation = (n * own + (d + 1) * correlation) / (n + d + 1)
        covariance = np.empty((d, d))
        for j in range(d):
            for k in range(d):
                covariance[j, k] = deviation[j] * deviation[k] * correlation[j, k] * (1.0 if j == k else 0.99)
        found[i, q] = mean, covariance
    return found


def to_correlation(covariance):
    deviation = np.sqrt(np.diag(covariance))
    return covariance / np.outer(deviation, deviation)
