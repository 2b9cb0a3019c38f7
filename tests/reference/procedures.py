"""Soft labels and distillation losses, number by number."""

import math


def softmax(row):
    top = max(row)
    parts = [math.exp(value - top) for value in row]
    return [part / sum(parts) for part in parts]


def split_ai(answers, is_left_out, average):
    """answers[model][member] -> logits; the mean over the models that a member was left out of."""
    soft = []
    for member, left_out in enumerate(is_left_out):
        rows = [answers[model][member] for model, out in enumerate(left_out) if out]
        rows = [softmax(row) for row in rows] if average == "probabilities" else rows
        mean = [sum(values) / len(rows) for values in zip(*rows, strict=True)]
        soft.append(mean if average == "probabilities" else softmax(mean))
    return soft


def distillation(logits, targets, labels, temperature, weight):
    """w T^2 sum -q log softmax(z / T) + (1 - w) (-log softmax(z)_y), a mean over the batch."""
    total = 0.0
    for z, q, y in zip(logits, targets, labels, strict=True):
        soft = softmax([value / temperature for value in z])
        cross = -sum(share * math.log(p) for share, p in zip(q, soft, strict=True))
        total += weight * temperature**2 * cross - (1 - weight) * math.log(softmax(z)[y])
    return total / len(logits)
