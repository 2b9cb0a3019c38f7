"""Training on the population as a plain full-batch torch loop, and the attention network one record at a time."""

import math

import numpy as np
import torch


def softmax(row):
    exponents = [math.exp(float(value) - float(max(row))) for value in row]
    return [value / sum(exponents) for value in exponents]


def loss_trajectory(module, inputs, teacher_logits, asked, labels, *, epochs, lr):
    """Losses (records, epochs + 1, but for the teacher's own) of a student that sees all of `inputs` in each step."""
    teacher = torch.tensor([softmax(row) for row in teacher_logits], dtype=torch.float32)
    optimiser = torch.optim.Adam(module.parameters(), lr=lr)
    kl = torch.nn.KLDivLoss(reduction="batchmean")
    losses = []
    for _ in range(epochs):
        optimiser.zero_grad()
        kl(torch.log_softmax(module(torch.tensor(inputs)), dim=1), teacher).backward()
        optimiser.step()
        with torch.no_grad():
            answers = module(torch.tensor(asked)).double()
        losses.append([-math.log(softmax(row)[y]) for row, y in zip(answers.tolist(), labels, strict=True)])
    return np.array(losses).T


def surrogate_losses(module, inputs, answered, asked, labels, *, epochs, lr):
    optimiser = torch.optim.Adam(module.parameters(), lr=lr)
    for _ in range(epochs):
        optimiser.zero_grad()
        torch.nn.CrossEntropyLoss()(module(torch.tensor(inputs)), torch.tensor(answered)).backward()
        optimiser.step()
    with torch.no_grad():
        answers = module(torch.tensor(asked)).double().tolist()
    return np.array([-math.log(softmax(row)[y]) for row, y in zip(answers, labels, strict=True)])


def metrics(logits, label):
    """Log-odds of the label and of the top class, minus the logarithms of both entropies, deviation."""
    p = softmax(logits)
    log_odds = [math.log(q / (1 - q)) for q in p]
    entropy = -sum(q * math.log(q) for q in p)
    modified = -(1 - p[label]) * math.log(p[label])
    modified -= sum(q * math.log(1 - q) for c, q in enumerate(p) if c != label)
    mean = sum(p) / len(p)
    deviation = math.sqrt(sum((q - mean) ** 2 for q in p) / len(p))
    return [log_odds[label], max(log_odds), -math.log(entropy), -math.log(modified), deviation]


def attentive(sequence, weights):
    """One sequence (steps, metrics) through a GRU, attention of its last state to all, and a linear layer."""
    w_in, w_state = weights["states.weight_ih_l0"], weights["states.weight_hh_l0"]
    b_in, b_state = weights["states.bias_ih_l0"], weights["states.bias_hh_l0"]
    n = w_state.shape[1]
    h, states = np.zeros(n), []
    for x in sequence:
        a, b = w_in @ x + b_in, w_state @ h + b_state
        reset = 1 / (1 + np.exp(-(a[:n] + b[:n])))
        update = 1 / (1 + np.exp(-(a[n : 2 * n] + b[n : 2 * n])))
        new = np.tanh(a[2 * n :] + reset * b[2 * n :])
        h = (1 - update) * new + update * h
        states.append(h)
    shares = softmax([state @ h for state in states])
    context = sum(share * state for share, state in zip(shares, states, strict=True))
    return float(weights["head.weight"][0] @ np.concatenate([h, context]) + weights["head.bias"][0])
