"""Scalar signals in 360-digit decimal arithmetic, one output at a time."""

from decimal import Decimal, localcontext

import numpy as np


def signal(name: str, logits: np.ndarray, label: int) -> float:
    """One signal of one vector of logits."""
    with localcontext() as context:
        context.prec = 360
        context.Emin = -(10**9)
        numbers = [Decimal(float(value)) for value in logits]
        exps = [(value - max(numbers)).exp() for value in numbers]
        p = [value / sum(exps) for value in exps]
        other = [j for j in range(len(p)) if j != label]
        rest = [sum(p[i] for i in range(len(p)) if i != j) for j in range(len(p))]  # 1 - p_j, digit by digit
        if name == "scaled-logit":
            value = p[label].ln() - rest[label].ln()
        elif name == "loss":
            value = -p[label].ln()
        elif name == "confidence":
            value = p[label]
        elif name == "hinge":
            value = numbers[label] - max(numbers[j] for j in other)
        elif name == "entropy":
            value = -sum(q * q.ln() for q in p)
        elif name == "modified-entropy":
            value = -rest[label] * p[label].ln() - sum(p[j] * rest[j].ln() for j in other)
        elif name == "correct":
            value = Decimal(int(numbers.index(max(numbers)) == label))
        elif name == "top-log-odds":
            top = p.index(max(p))
            value = p[top].ln() - rest[top].ln()
        elif name == "top-gap":
            value = sorted(numbers)[-1] - sorted(numbers)[-2]
        elif name == "taylor-softmax":
            value = _taylor_softmax(numbers, label, margin=Decimal("0.6"), temperature=2)
        return float(value)


def _taylor_softmax(numbers, label, margin, temperature):
    terms = []
    for j, value in enumerate(numbers):
        u = value / temperature - (margin if j == label else 0)
        terms.append(max(Decimal(0), 1 + u + u**2 / 2 + u**3 / 6))
    return terms[label] / sum(terms)
