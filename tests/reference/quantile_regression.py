"""Quantile regression's losses and scores, value by value."""

import math


def gaussian_loss(outputs, scores):
    density = [
        math.exp(-((s - mu) ** 2) / (2 * math.exp(log_sigma) ** 2)) / math.exp(log_sigma)
        for (mu, log_sigma), s in zip(outputs, scores, strict=True)
    ]
    return -sum(math.log(value) for value in density) / len(density)


def pinball_loss(outputs, scores, taus):
    total = 0.0
    for quantiles, s in zip(outputs, scores, strict=True):
        for q, tau in zip(quantiles, taus, strict=True):
            total += tau * (s - q) if s > q else (1 - tau) * (q - s)
    return total / (len(scores) * len(taus))


def exceedance(s, quantiles, taus):
    levels = [-math.log(1 - tau) for tau in taus]
    if s < quantiles[0]:
        return levels[0] - (quantiles[0] - s)
    if s >= quantiles[-1]:
        return levels[-1] + (s - quantiles[-1])
    exceeded = max(k for k, q in enumerate(quantiles) if q <= s)
    low, high = quantiles[exceeded], quantiles[exceeded + 1]
    return levels[exceeded] + (s - low) / (high - low) * (levels[exceeded + 1] - levels[exceeded])


def p_value(value, held):
    return (1 + sum(other >= value for other in held)) / (1 + len(held))
