"""The mechanism and the ELBO of one record, written out."""

import math


def density(w, epsilon):
    """exp(-epsilon |w|) times what makes it integrate to one over R^n: epsilon^n Gamma(n/2) / (2 pi^(n/2) Gamma(n))."""
    n = len(w)
    norm = math.sqrt(sum(value * value for value in w))
    constant = epsilon**n * math.gamma(n / 2) / (2 * math.pi ** (n / 2) * math.gamma(n))
    return constant * math.exp(-epsilon * norm)


def kl(mean, log_variance):
    """KL(N(mean, variance) || N(0, 1)), summed over coordinates."""
    return sum(0.5 * (m * m + math.exp(v) - v - 1) for m, v in zip(mean, log_variance, strict=True))


def bernoulli(raw, x):
    """log p of values between 0 and 1 under the sigmoid of raw numbers."""
    total = 0.0
    for r, value in zip(raw, x, strict=True):
        p = 1 / (1 + math.exp(-r))
        total += value * math.log(p) + (1 - value) * math.log(1 - p)
    return total


def distances(groups):
    """Between any two codes of one group, pair by pair, sorted."""
    found = []
    for codes in groups:
        for i, one in enumerate(codes):
            for other in codes[:i]:
                found.append(math.sqrt(sum((a - b) ** 2 for a, b in zip(one, other, strict=True))))
    return sorted(found)
