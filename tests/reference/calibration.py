"""Calibration errors, temperature and the last-layer posterior, one record at a time; shares no code with src."""

import math

import numpy as np


def bins_of(probabilities, labels, bins):
    """For each bin the list of (confidence, right) of its records."""
    lists = [[] for _ in range(bins)]
    for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
        sure = max(row)
        for m in range(bins):
            if m / bins < sure <= (m + 1) / bins:
                lists[m].append((sure, row.index(sure) == label))
    return lists


def expected_calibration_error(probabilities, labels, bins):
    total = 0.0
    for records in bins_of(probabilities, labels, bins):
        if records:
            confidence = sum(c for c, _ in records) / len(records)
            accuracy = sum(r for _, r in records) / len(records)
            total += len(records) / len(labels) * abs(accuracy - confidence)
    return total


def overconfidence_error(probabilities, labels, bins):
    total = 0.0
    for records in bins_of(probabilities, labels, bins):
        if records:
            confidence = sum(c for c, _ in records) / len(records)
            accuracy = sum(r for _, r in records) / len(records)
            total += len(records) / len(labels) * confidence * max(confidence - accuracy, 0)
    return total


def softmax(z):
    shares = [math.exp(v - max(z)) for v in z]
    return [share / sum(shares) for share in shares]


def loss_at(logits, labels, temperature):
    rows = [softmax([v / temperature for v in row]) for row in logits.tolist()]
    return -sum(math.log(row[label]) for row, label in zip(rows, labels.tolist(), strict=True)) / len(labels)


def smoothed_loss(logits, labels, smoothing):
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        p = softmax(row)
        goal = [smoothing / len(p) + (1 - smoothing) * (c == label) for c in range(len(p))]
        total -= sum(g * math.log(q) for g, q in zip(goal, p, strict=True))
    return total / len(labels)


def laplace_covariances(features, weight, bias, prior_variance):
    """Dense covariance of vec(W), row after row (k d, k d), and of b (k, k)."""
    k, d, n = *weight.shape, len(features)
    second, curvature = np.zeros((d, d)), np.zeros((k, k))
    for f in features:
        p = np.array(softmax((weight @ f + bias).tolist()))
        second += np.outer(f, f) / n
        curvature += (np.diag(p) - np.outer(p, p)) / n
    precision = 1 / prior_variance
    of_outputs = math.sqrt(n) * curvature + math.sqrt(precision) * np.eye(k)
    of_features = math.sqrt(n) * second + math.sqrt(precision) * np.eye(d)
    return np.linalg.inv(np.kron(of_outputs, of_features)), np.linalg.inv(n * curvature + precision * np.eye(k))


def laplace_probabilities(f, features, weight, bias, prior_variance, samples, rng):
    """Draw whole weight matrices and average their softmax at one record's features."""
    of_weight, of_bias = laplace_covariances(features, weight, bias, prior_variance)
    total = np.zeros(len(bias))
    weights = rng.multivariate_normal(weight.ravel(), of_weight, size=samples).reshape(samples, *weight.shape)
    biases = rng.multivariate_normal(bias, of_bias, size=samples)
    for w, b in zip(weights, biases, strict=True):
        total += softmax((w @ f + b).tolist())
    return total / samples
