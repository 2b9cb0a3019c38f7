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


def delong_variance(scores, members):
    inside = [s for s, m in zip(scores, members, strict=True) if m]
    outside = [s for s, m in zip(scores, members, strict=True) if not m]

    def share(a, others, sign):
        return sum(1.0 if sign * a > sign * b else 0.5 if a == b else 0.0 for b in others) / len(others)

    def variance(values):
        mean = sum(values) / len(values)
        return sum((v - mean) ** 2 for v in values) / (len(values) - 1)

    over = variance([share(a, outside, 1) for a in inside])
    under = variance([share(b, inside, -1) for b in outside])
    return over / len(inside) + under / len(outside)


def tpr_at_count(scores, members, count):
    """Most members strictly above a threshold that at most `count` non-members are strictly above."""
    inside = [s for s, m in zip(scores, members, strict=True) if m]
    outside = [s for s, m in zip(scores, members, strict=True) if not m]
    best = len(inside) if len(outside) <= count else 0
    for threshold in scores:
        if sum(1 for s in outside if s > threshold) <= count:
            best = max(best, sum(1 for s in inside if s > threshold))
    return best / len(inside)
