"""DP-SGD as a loop: one record at a time, one backward pass each."""

import numpy as np
import torch


def clipped_sum(module, inputs, labels, max_norm, loss=torch.nn.functional.cross_entropy):
    """sum_i g_i min(1, C / |g_i|), a list in the order of the parameters."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    total = [torch.zeros_like(p) for p in parameters]
    for x, y in zip(inputs, labels, strict=True):
        module.zero_grad()
        loss(module(x[None]), y[None]).backward()
        norm = torch.sqrt(sum((p.grad**2).sum() for p in parameters))
        for part, p in zip(total, parameters, strict=True):
            part += p.grad * min(1.0, max_norm / float(norm))
    module.zero_grad()
    return total


def poisson_batches(members, batch_size, epochs, seed):
    """Every member by a coin of its own in every step."""
    rng = np.random.default_rng([seed, 1])
    rate = batch_size / len(members)
    for _ in range(int(np.ceil(epochs * len(members) / batch_size))):
        coins = rng.random(len(members))
        yield [member for member, coin in zip(members, coins, strict=True) if coin < rate]


def train(module, inputs, labels, members, *, batch_size, epochs, lr, max_norm, seed):
    """Plain SGD on clipped sums without noise, divided by the expected size of a batch."""
    module.train()
    parameters = [p for p in module.parameters() if p.requires_grad]
    for batch in poisson_batches(members, batch_size, epochs, seed):
        summed = clipped_sum(module, inputs[batch], labels[batch], max_norm)
        with torch.no_grad():
            for p, g in zip(parameters, summed, strict=True):
                p -= lr * g / batch_size
    return module.eval()
