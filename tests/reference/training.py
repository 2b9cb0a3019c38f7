"""One training as a plain torch loop: `torch.optim`, one model, one batch at a time, images moved pixel by pixel."""

import copy
from itertools import islice

import numpy as np
import torch


def seen_records(members, seed, augmentation=None, shuffle=True):
    """Endless (record, flip, down, right): permutations of the members, one after another, or one again and again."""
    rng = np.random.default_rng([seed, 1])
    first = None
    while True:
        order = rng.permutation(np.array(members)) if shuffle or first is None else first
        first = order
        flips, offsets = np.zeros(len(order), int), np.zeros((len(order), 2), int)
        if augmentation is not None:
            if augmentation.flip:
                flips = rng.integers(0, 2, size=len(order))
            offsets = rng.integers(0, 2 * augmentation.shift + 1, size=(len(order), 2)) - augmentation.shift
        for record, flip, (down, right) in zip(order, flips, offsets, strict=True):
            yield int(record), int(flip), int(down), int(right)


def moved(image, flip, down, right):
    """out[r, c] = image[r + down, c' + right], where c' is c or its mirror image; zero outside."""
    channels, height, width = image.shape
    out = torch.zeros_like(image)
    for row in range(height):
        for column in range(width):
            from_row, from_column = row + down, (width - 1 - column if flip else column) + right
            if 0 <= from_row < height and 0 <= from_column < width:
                for channel in range(channels):
                    out[channel, row, column] = image[channel, from_row, from_column]
    return out


def train(
    module,
    optimiser,
    inputs,
    labels,
    members,
    *,
    seed,
    epochs,
    batch_size,
    scheduler=None,
    augmentation=None,
    stop=None,
    validation=None,
    patience=None,
    mixup=0,
    shuffle=True,
    reset_optimiser=False,
    objective=None,
):
    """`optimiser(parameters)` and `scheduler(optimiser)` make torch's own; returns the module and its steps.

    `validation`: rows whose accuracy chooses the epoch; `objective(logits, labels, epoch)`.
    """
    module.train()
    make_optimiser, optimiser = optimiser, optimiser(module.parameters())
    scheduler = scheduler(optimiser) if scheduler else None
    stream = seen_records(members, seed, augmentation, shuffle)
    mix_rng = np.random.default_rng([seed, 2])
    best, best_accuracy, since = None, -1, 0
    n_steps = -int(-epochs * len(members) // batch_size)
    hits = seen = 0
    for step in range(n_steps):
        batch = list(islice(stream, batch_size))
        x = torch.stack([moved(inputs[i], *move) if augmentation else inputs[i] for i, *move in batch])
        y = torch.tensor([int(labels[i]) for i, *_ in batch])
        epoch = step * batch_size // len(members)
        m = float(np.float32(mix_rng.beta(mixup, mixup))) if mixup else 1.0
        if mixup:
            x = torch.stack([m * x[i] + (1 - m) * x[len(x) - 1 - i] for i in range(len(x))])
        logits = module(x)
        optimiser.zero_grad()
        loss = objective or (lambda z, labels, epoch: torch.nn.functional.cross_entropy(z, labels))
        mirrored = torch.tensor([int(y[len(y) - 1 - i]) for i in range(len(y))])
        (m * loss(logits, y, epoch) + (1 - m) * loss(logits, mirrored, epoch)).backward()
        if reset_optimiser and step and epoch != (step - 1) * batch_size // len(members):
            optimiser = make_optimiser(module.parameters())
        optimiser.step()
        hits += int((logits.argmax(1) == y).sum())
        seen += batch_size
        passes_ended = (step + 1) * batch_size // len(members) - step * batch_size // len(members)
        for _ in range(passes_ended if scheduler else 0):
            scheduler.step()
        if passes_ended:
            if stop is not None and hits / seen >= stop:
                return module.eval(), step + 1
            hits = seen = 0
        if validation is not None and (passes_ended or step + 1 == n_steps):
            with torch.no_grad():
                module.eval()
                right = sum(int(module(inputs[i : i + 1]).argmax() == labels[i]) for i in validation)
                module.train()
            if right > best_accuracy:
                best, best_accuracy, since = copy.deepcopy(module), right, 0
            else:
                since += 1
                if patience is not None and since >= patience:
                    return best.eval(), step + 1
    return (best or module).eval(), n_steps
