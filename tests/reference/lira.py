"""LiRA record by record with scipy.stats, on ragged lists of reference signals."""

import numpy as np
import scipy.stats


def lira(phi, references, is_in, is_out, *, mode, side="one", variance="per_sample", centre="median"):
    """phi (samples, queries); references (samples, references, queries); masks (samples, references)."""
    n_samples, n_queries = phi.shape
    inside = [references[i][is_in[i]] for i in range(n_samples)]
    outside = [references[i][is_out[i]] for i in range(n_samples)]
    scores = np.zeros(n_samples)
    for q in range(n_queries):
        mu_out, sd_out = gaussians(outside, q, variance, centre)
        if mode == "online":
            mu_in, sd_in = gaussians(inside, q, variance, centre)
            if variance == "official":
                sd_out = sd_in
        for i in range(n_samples):
            x = phi[i, q]
            if mode == "online":
                score = scipy.stats.norm.logpdf(x, mu_in[i], sd_in[i] + 1e-30)
                score -= scipy.stats.norm.logpdf(x, mu_out[i], sd_out[i] + 1e-30)
            elif side == "one":
                score = scipy.stats.norm.logcdf(x, mu_out[i], sd_out[i] + 1e-30)
            else:
                score = -scipy.stats.norm.logpdf(x, mu_out[i], sd_out[i] + 1e-30)
            scores[i] += score / n_queries
    return scores


def gaussians(groups, q, variance, centre):
    average = np.median if centre == "median" else np.mean
    mu = [average(group[:, q]) if len(group) else None for group in groups]
    if variance == "per_sample":
        sd = [np.std(group[:, q]) if len(group) > 1 else None for group in groups]
    elif variance == "official":
        sd = [np.std([value for group in groups for value in group.ravel()])] * len(groups)
    else:
        residuals = []
        for group in groups:
            for k in range(group.shape[1]):
                residuals += [value - average(group[:, k]) for value in group[:, k]]
        sd = [np.std(residuals)] * len(groups)
    return fill(mu), fill(sd)


def fill(values):
    there = [value for value in values if value is not None]
    return [sum(there) / len(there) if value is None else value for value in values]
