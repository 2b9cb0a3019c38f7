"""Class-dependent thresholds by trying every cut."""

import math
from itertools import pairwise


def class_thresholds(value, references, is_in, is_out, labels):
    """Value minus the threshold of its class; value (samples,), references (samples, references), high for members."""
    scores = []
    for i, label in enumerate(labels):
        members, others = pairs(references, is_in, is_out, [j for j, y in enumerate(labels) if y == label])
        if not members or not others:
            members, others = pairs(references, is_in, is_out, range(len(labels)))
        scores.append(value[i] - best(members, others))
    return scores


def pairs(references, is_in, is_out, rows):
    n_references = len(references[0])
    members = [references[j][k] for j in rows for k in range(n_references) if is_in[j][k]]
    others = [references[j][k] for j in rows for k in range(n_references) if is_out[j][k]]
    return members, others


def best(members, others):
    seen = sorted(set(members) | set(others))
    cuts = [seen[0]] + [(low + high) / 2 for low, high in pairwise(seen)]
    best_cut, best_accuracy = None, -math.inf
    for cut in reversed(cuts):
        hits = sum(value >= cut for value in members) / len(members)
        alarms = sum(value >= cut for value in others) / len(others)
        if hits - alarms > best_accuracy + 1e-12:
            best_cut, best_accuracy = cut, hits - alarms
    return best_cut
