"""Naive figures of reconstructions: loops over classes, images, pairs, subsets and signs."""

import itertools
import math


def class_means(values, classes):
    found = {}
    for value, c in zip(values, classes, strict=True):
        if not math.isnan(value):
            found.setdefault(int(c), []).append(float(value))
    return {c: sum(of_class) / len(of_class) for c, of_class in found.items()}


def class_mean(values, classes):
    means = class_means(values, classes)
    return sum(means.values()) / len(means)


def sign_flip(differences):
    """Share of all choices of signs whose sum is at least the one found."""
    total = sum(differences)
    sums = [
        sum(sign * abs(d) for sign, d in zip(signs, differences, strict=True))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    return sum(1 for s in sums if s >= total - 1e-9) / len(sums)


def squared(a, b):
    return sum((float(x) - float(y)) ** 2 for x, y in zip(a, b, strict=True))


def nearest(features, labels, reference, reference_labels):
    found = []
    for f, y in zip(features, labels, strict=True):
        gaps = [squared(f, r) for r, other in zip(reference, reference_labels, strict=True) if other == y]
        found.append(min(gaps) if gaps else math.nan)
    return found


def nearer_private(features, labels, private, private_labels, held_out, held_out_labels):
    """Over every subset of the larger side that has as many images as the smaller."""
    found = []
    for f, y in zip(features, labels, strict=True):
        own = [squared(f, r) for r, other in zip(private, private_labels, strict=True) if other == y]
        others = [squared(f, r) for r, other in zip(held_out, held_out_labels, strict=True) if other == y]
        m = min(len(own), len(others))
        if not m:
            found.append(math.nan)
            continue
        scores = [
            1.0 if min(a) < min(b) else 0.5 if min(a) == min(b) else 0.0
            for a in itertools.combinations(own, m)
            for b in itertools.combinations(others, m)
        ]
        found.append(sum(scores) / len(scores))
    return found


def kernel_distance(a, b, degree=3):
    width = len(a[0])

    def k(x, y):
        return (sum(float(p) * float(q) for p, q in zip(x, y, strict=True)) / width + 1) ** degree

    def within(side):
        pairs = [(i, j) for i in range(len(side)) for j in range(len(side)) if i != j]
        return sum(k(side[i], side[j]) for i, j in pairs) / len(pairs)

    return within(a) + within(b) - 2 * sum(k(x, y) for x in a for y in b) / (len(a) * len(b))


def spread(images):
    pairs = [(i, j) for i in range(len(images)) for j in range(len(images)) if i != j]
    return sum(squared(images[i], images[j]) for i, j in pairs) / len(pairs)


def diversity(features, labels, private, private_labels):
    made = real = 0.0
    for c in sorted(set(labels)):
        ours = [f for f, y in zip(features, labels, strict=True) if y == c]
        theirs = [f for f, y in zip(private, private_labels, strict=True) if y == c]
        if len(ours) > 1 and len(theirs) > 1:
            made, real = made + spread(ours), real + spread(theirs)
    return made / real


def paired(first, second, confidence=0.95):
    """(difference, low, high, two-sided p) of shares by class: Student's interval, and every choice of signs."""
    from scipy.stats import ttest_rel

    both = sorted(set(first) & set(second))
    a, b = [second[c] for c in both], [first[c] for c in both]
    gaps = [x - y for x, y in zip(a, b, strict=True)]
    interval = ttest_rel(a, b).confidence_interval(confidence)
    p = min(1.0, 2 * min(sign_flip(gaps), sign_flip([-gap for gap in gaps])))
    return sum(gaps) / len(gaps), interval.low, interval.high, p
