"""Losses and choices of the inversion priors, image by image and number by number."""

import math

import torch


def gradient_norm(critic, image):
    """Of a critic at one image, by central differences in double precision."""
    step, total = 1e-5, 0.0
    flat = image.flatten()
    for place in range(len(flat)):
        up, down = flat.clone(), flat.clone()
        up[place] += step
        down[place] -= step
        with torch.no_grad():
            slope = (critic(up.view_as(image)[None]) - critic(down.view_as(image)[None])).item() / (2 * step)
        total += slope**2
    return math.sqrt(total)


def gradient_penalty(critic, real, fake, shares):
    total = 0.0
    for x, y, share in zip(real, fake, shares, strict=True):
        total += (gradient_norm(critic, (1 - share) * x + share * y) - 1) ** 2
    return total / len(real)


def softmax(row):
    powers = [math.exp(value) for value in row]
    return [power / sum(powers) for power in powers]


def log_sum_exp(row):
    return math.log(sum(math.exp(value) for value in row))


def softplus(value):
    return math.log(1 + math.exp(value))


def soft_cross_entropy(rows, targets):
    total = 0.0
    for row, target in zip(rows, targets, strict=True):
        for share, probability in zip(target, softmax(row), strict=True):
            total -= share * math.log(probability)
    return total / len(rows)


def discriminator_loss(on_real, on_fake, soft):
    real = sum(softplus(log_sum_exp(row)) - log_sum_exp(row) for row in on_real) / len(on_real)
    fake = sum(softplus(log_sum_exp(row)) for row in on_fake) / len(on_fake)
    return soft_cross_entropy(on_real, soft) + 0.5 * (real + fake)


def generator_loss(real_features, fake_features, on_fake):
    n = len(real_features[0])
    apart = 0.0
    for place in range(n):
        real = sum(row[place] for row in real_features) / len(real_features)
        fake = sum(row[place] for row in fake_features) / len(fake_features)
        apart += abs(fake - real) / n
    entropy = sum(soft_cross_entropy([row], [softmax(row)]) for row in on_fake)
    return apart + 1e-4 * entropy


def closeness(features, weight, kernels, size):
    """Minibatch discrimination: features (batch, features) and weight (features, kernels * size) as lists."""
    found = []
    for i in range(len(features)):
        row = []
        for kernel in range(kernels):
            total = 0.0
            for j in range(len(features)):
                if j == i:
                    continue
                distance = 0.0
                for place in range(kernel * size, (kernel + 1) * size):
                    distance += abs(
                        sum((a - b) * w[place] for a, b, w in zip(features[i], features[j], weight, strict=True))
                    )
                total += math.exp(-distance)
            row.append(total)
        found.append(row)
    return found


def top_images(log_probabilities, n):
    """Pairs (record, class), class by class, the likeliest record first."""
    pairs = []
    for label in range(len(log_probabilities[0])):
        ranked = sorted(range(len(log_probabilities)), key=lambda record: -log_probabilities[record][label])
        pairs += [(record, label) for record in ranked[:n]]
    return pairs


def max_margin(row, label):
    return max(value for place, value in enumerate(row) if place != label) - row[label]
