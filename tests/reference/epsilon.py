"""Naive epsilon bounds: binomial sums term by term, every search a plain bisection."""

import math


def binomial(n, q, k):
    return math.exp(
        math.lgamma(n + 1)
        - math.lgamma(k + 1)
        - math.lgamma(n - k + 1)
        + (k * math.log(q) if k else 0.0)
        + ((n - k) * math.log1p(-q) if n - k else 0.0)
    )


def at_least(n, q, k):
    return math.fsum(binomial(n, q, j) for j in range(k, n + 1))


def bisect(increasing, goal, low, high):
    for _ in range(200):
        middle = (low + high) / 2
        if increasing(middle) < goal:
            low = middle
        else:
            high = middle
    return low


def clopper_pearson(x, n, tail):
    """The proportions at which seeing x or more, or x or fewer, has just the chance `tail`."""
    low = 0.0 if x == 0 else bisect(lambda q: at_least(n, q, x), tail, 1e-15, 1 - 1e-15)
    high = 1.0 if x == n else bisect(lambda q: at_least(n, q, x + 1), 1 - tail, 1e-15, 1 - 1e-15)
    return low, high


def epsilon_lower(tp, p, fp, n, alpha, delta):
    tpr_low = clopper_pearson(tp, p, alpha / 2)[0]
    fpr_high = clopper_pearson(fp, n, alpha / 2)[1]
    bounds = [0.0]
    if tpr_low > delta:
        bounds.append(math.log((tpr_low - delta) / fpr_high))
    if 1 - fpr_high > delta:
        bounds.append(math.log((1 - fpr_high - delta) / (1 - tpr_low)))
    return max(bounds)


def one_run(m, r, v, delta, alpha):
    def p_value(epsilon):
        q = math.exp(epsilon) / (1 + math.exp(epsilon))
        mass = [binomial(r, q, k) for k in range(r + 1)]
        slope = max(math.fsum(mass[v - i : v]) / i for i in range(1, v + 1))
        return math.fsum(mass[v:]) + 2 * m * delta * slope

    return 0.0 if p_value(1e-12) >= alpha else bisect(p_value, alpha, 1e-12, 30.0)
