"""What the learned attacks are given, number by number, and a logistic regression by Newton's method."""

import math

import numpy as np


def log_odds(logits):
    """One record's logits -> log p_c - log(1 - p_c)."""
    return [z - logsumexp([other for j, other in enumerate(logits) if j != c]) for c, z in enumerate(logits)]


def logsumexp(values):
    top = max(values)
    return top + math.log(math.fsum(math.exp(value - top) for value in values))


def top_scores(queries, k):
    """Logits of each query -> the k largest log-odds, mean over queries."""
    ordered = [sorted(log_odds(logits), reverse=True)[:k] for logits in queries]
    return [sum(column) / len(ordered) for column in zip(*ordered, strict=True)]


def network_inputs(queries, label):
    """Logits of each query -> log p, one-hot label, log of the loss; means over queries."""
    log_p = [[z - logsumexp(logits) for z in logits] for logits in queries]
    means = [sum(column) / len(log_p) for column in zip(*log_p, strict=True)]
    log_loss = sum(math.log(math.log1p(math.exp(-log_odds(logits)[label]))) for logits in queries) / len(queries)
    return [*means, *(float(c == label) for c in range(len(means))), log_loss]


def ranks(scores):
    return [sum(b > a for b in scores) + (sum(b == a for b in scores) - 1) / 2 for a in scores]


def rank_features(models, label, model, out, inside):
    """models: logits (models, queries, classes) of one record; out, inside: which models are OUT and IN references."""
    n_queries = len(models[0])
    rank = [[ranks(query) for query in queries] for queries in models]

    def a(m):
        return sum(math.log(1 + rank[m][q][label]) for q in range(n_queries)) / n_queries

    def rho(m, other):
        pairs = [np.corrcoef(rank[m][q], rank[other][q])[0, 1] for q in range(n_queries)]
        return sum(pairs) / n_queries

    features = [a(model)]
    groups = [[m for m in group if m != model] for group in (out, inside)]
    for group in groups:
        features.append(a(model) - sum(map(a, group)) / len(group) if group else 0.0)
    for group in groups:
        if len(group) < 2:
            features.append(0.0)
            continue
        own = [rho(model, m) for m in group]
        among = [rho(m, other) for m in group for other in group if m != other]
        features.append(sum(own) / len(own) - sum(among) / len(among))
    return features


def logistic_regression(x, members, weights, l2, iterations=50):
    """Weights and bias that minimise the weighted log-loss plus l2/2 times the squared weights."""
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    design = np.column_stack([(x - mean) / deviation, np.ones(len(x))])
    penalty = np.diag([l2] * x.shape[1] + [0.0])
    theta = np.zeros(x.shape[1] + 1)
    for _ in range(iterations):
        p = 1 / (1 + np.exp(-design @ theta))
        gradient = design.T @ (weights * (p - members)) + penalty @ theta
        hessian = (design * (weights * p * (1 - p))[:, None]).T @ design + penalty
        theta = theta - np.linalg.solve(hessian, gradient)
    return lambda others: np.column_stack([(others - mean) / deviation, np.ones(len(others))]) @ theta
