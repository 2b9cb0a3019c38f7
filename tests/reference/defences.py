"""Training objectives of defences, one record and one class at a time; shares no code with src."""

import math
from fractions import Fraction


def softmax(z):
    shares = [math.exp(v - max(z)) for v in z]
    return [share / sum(shares) for share in shares]


def entropy(p):
    return -sum(v * math.log(v) for v in p if v > 0)


def soft_label(n_classes, gamma):
    """Down from a one-hot label by hundredths; the step that would leave the true class behind is not taken."""
    label = [Fraction(1)] + [Fraction(0)] * (n_classes - 1)
    while True:
        lower = [label[0] - Fraction(1, 100)] + [q + Fraction(1, 100 * (n_classes - 1)) for q in label[1:]]
        if lower[0] <= lower[1]:
            return label
        label = lower
        if entropy([float(v) for v in label]) >= gamma * math.log(n_classes):
            return label


def hamp_loss(logits, labels, p, q, alpha, reduction):
    divergence, sureness = 0.0, 0.0
    for row, label in zip(logits, labels, strict=True):
        for c, f in enumerate(softmax(row)):
            t = p if c == label else q
            divergence += t * math.log(t / f) if t > 0 else 0.0
            sureness += f * math.log(f)
    n_terms = len(labels) * len(logits[0]) if reduction == "mean" else len(labels)
    return divergence / n_terms + alpha * sureness / len(labels)


def relax_loss(logits, labels, epoch, alpha, upper, flattening, target_logits=None):
    """`target_logits`: what soft labels are made from, where they are constants."""
    predictions = [softmax(row) for row in logits]
    targets = predictions if target_logits is None else [softmax(row) for row in target_logits]
    losses = [-math.log(p[y]) for p, y in zip(predictions, labels, strict=True)]
    mean = sum(losses) / len(losses)
    if epoch % 2 == 0:
        return abs(mean - alpha)
    if mean > alpha:
        return mean
    total = 0.0
    for p, target, y, loss in zip(predictions, targets, labels, losses, strict=True):
        sure = min(target[y], upper)
        soft = 0.0
        for c, f in enumerate(p):
            soft -= (sure if c == y else (1 - sure) / (len(p) - 1)) * math.log(f)
        wrong = p.index(max(p)) != y
        if flattening == "official-tabular":
            total += soft
        elif flattening == "official":
            total += (soft if wrong else 0.0) - loss
        else:
            total += soft if wrong else -loss
    return total / len(losses)


def slope(function, logits, step=1e-5):
    """Central differences of a function of a list of rows."""
    gradient = []
    for i, row in enumerate(logits):
        gradient.append([])
        for c in range(len(row)):
            ends = []
            for sign in (1, -1):
                moved = [list(r) for r in logits]
                moved[i][c] += sign * step
                ends.append(function(moved))
            gradient[-1].append((ends[0] - ends[1]) / (2 * step))
    return gradient
