"""Naive Log-MIA: a walk over thresholds, and its chance value in exact fractions."""

import itertools
import math
from fractions import Fraction


def log_mia(scores, members, count):
    inside = [s for s, m in zip(scores, members, strict=True) if m]
    outside = [s for s, m in zip(scores, members, strict=True) if not m]
    best = len(inside) if len(outside) <= count else 0
    for threshold in scores:
        if len([s for s in outside if s > threshold]) <= count:
            best = max(best, len([s for s in inside if s > threshold]))
    return math.log(best + 1) / math.log(len(inside) + 1)


def chance(n_in, n_out, count):
    """Walks down a random ranking: Pr[x members and `count` non-members come first, then another non-member]."""
    total = 0.0
    for x in range(n_in + 1):
        orders_before = math.comb(x + count, count)
        orders_after = math.comb(n_in - x + n_out - count - 1, n_in - x)
        total += float(Fraction(orders_before * orders_after, math.comb(n_in + n_out, n_in))) * math.log(x + 1)
    return total / math.log(n_in + 1)


def tail(found, n_in, n_out, count):
    """Share of all orders of members and others in which at least `found` members come before the one too many."""
    hits, orders = 0, list(itertools.combinations(range(n_in + n_out), n_out))
    for others in orders:
        stop = others[count] if count < n_out else n_in + n_out
        hits += stop - min(count, n_out) >= found
    return hits / len(orders)
