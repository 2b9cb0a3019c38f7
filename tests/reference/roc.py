"""Naive ROC quantities: every pair, every threshold, no sorting."""

import math


def roc_points(scores, members):
    """(threshold, FPR, TPR) at every distinct score, calling a record a member where score >= threshold."""
    n_in = sum(bool(m) for m in members)
    n_out = len(members) - n_in
    points = [(math.inf, 0.0, 0.0)]
    for threshold in sorted({float(s) for s in scores}, reverse=True):
        hits = sum(1 for s, m in zip(scores, members, strict=True) if m and s >= threshold)
        false = sum(1 for s, m in zip(scores, members, strict=True) if not m and s >= threshold)
        points.append((threshold, false / n_out, hits / n_in))
    return points


def auc_by_pairs(scores, members):
    inside = [s for s, m in zip(scores, members, strict=True) if m]
    outside = [s for s, m in zip(scores, members, strict=True) if not m]
    wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in inside for b in outside)
    return wins / (len(inside) * len(outside))


def delong_variances(scores, members):
    """The two parts of the AUC's variance, that of the members and that of the non-members."""
    inside = [s for s, m in zip(scores, members, strict=True) if m]
    outside = [s for s, m in zip(scores, members, strict=True) if not m]

    def share(a, others, sign):
        return sum(1.0 if sign * a > sign * b else 0.5 if a == b else 0.0 for b in others) / len(others)

    def variance(values):
        mean = sum(values) / len(values)
        return sum((v - mean) ** 2 for v in values) / (len(values) - 1)

    over = variance([share(a, outside, 1) for a in inside])
    under = variance([share(b, inside, -1) for b in outside])
    return over / len(inside), under / len(outside)


def delong_freedom(scores, members):
    """Satterthwaite's degrees of freedom of the sum of the two."""
    n_in = sum(bool(m) for m in members)
    over, under = delong_variances(scores, members)
    return (over + under) ** 2 / (over**2 / (n_in - 1) + under**2 / (len(members) - n_in - 1))


def student_quantile(p, freedom, steps=2000):
    """t with Pr[T <= t] = p, p > 1/2: Simpson's rule for the density, bisection for the quantile."""
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)

    def density(t):
        return scale * (1 + t * t / freedom) ** (-(freedom + 1) / 2)

    def below(t):
        width = t / steps
        inner = sum((4 if i % 2 else 2) * density(i * width) for i in range(1, steps))
        return 0.5 + (density(0) + inner + density(t)) * width / 3

    low, high = 0.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) < p else (low, middle)
    return low


def tpr_at_count(scores, members, count):
    """Most members strictly above a threshold that at most `count` non-members are strictly above."""
    inside = [s for s, m in zip(scores, members, strict=True) if m]
    outside = [s for s, m in zip(scores, members, strict=True) if not m]
    best = len(inside) if len(outside) <= count else 0
    for threshold in scores:
        if sum(1 for s in outside if s > threshold) <= count:
            best = max(best, sum(1 for s in inside if s > threshold))
    return best / len(inside)
