"""Inversion attacks on one image of a small target, in Python and NumPy; shares no code with src.

Gradients are central differences, in float64.
"""

import math

import numpy as np


def slope(function, x, step=1e-5):
    """Central differences of a function of an array."""
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[place] += sign * step
            ends.append(function(moved))
        gradient[place] = (ends[0] - ends[1]) / (2 * step)
    return gradient


def log_confidence(logits, label):
    top = max(logits)
    return logits[label] - top - math.log(sum(math.exp(score - top) for score in logits))


def nesterov(gradient, x, lr, momentum, steps):
    """In its textbook form: the gradient is taken ahead of theta, at theta + m v; that point is what is returned."""
    theta, velocity = np.array(x, dtype=float), np.zeros_like(x, dtype=float)
    for _ in range(steps):
        velocity = momentum * velocity - lr * gradient(theta + momentum * velocity)
        theta = theta + velocity
    return theta + momentum * velocity


class Adam:
    def __init__(self, lr):
        self.lr, self.first, self.second, self.t = lr, 0.0, 0.0, 0

    def move(self, x, gradient):
        self.t += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient * gradient
        return x - self.lr * (self.first / (1 - 0.9**self.t)) / (np.sqrt(self.second / (1 - 0.999**self.t)) + 1e-8)


def mi_face(logits_of, label, x, lr, gamma, patience, steps):
    """Every x_i and cost of the path, the place of the best and why it ended."""

    def cost(image):
        return 1 - math.exp(log_confidence(logits_of(image), label))

    path, costs, why = [x], [cost(x)], "sure" if cost(x) <= 1 - gamma else "steps"
    while why == "steps" and len(path) <= steps:
        path.append(np.clip(path[-1] - lr * slope(cost, path[-1]), 0, 1))
        costs.append(cost(path[-1]))
        earlier = costs[-1 - patience : -1]
        if costs[-1] <= 1 - gamma:
            why = "sure"
        elif len(earlier) == patience and costs[-1] >= max(earlier):
            why = "no gain"
    return path, costs, costs.index(min(costs)), why


def gmi(loss, z, lr, momentum, clip, steps):
    velocity = np.zeros_like(z)
    for _ in range(steps):
        gradient, before = slope(loss, z), velocity
        velocity = momentum * before - lr * gradient
        z = z + velocity + momentum * (velocity - before)
        z = np.minimum(np.maximum(z, -clip), clip)
    return z


def ked_mi(loss, noise, lr, logvar, clip, steps):
    """The last code; noise[t] is what step t adds, noise[steps] what the last draw does."""
    mu, s = np.zeros(noise.shape[1]), np.full(noise.shape[1], float(logvar))
    of_mu, of_s = Adam(lr), Adam(lr)

    def code(eps):
        z = mu + np.sqrt(np.exp(s)) * eps
        return z if clip is None else np.clip(z, -clip, clip)

    for eps in noise[:steps]:
        free = np.ones_like(mu) if clip is None else np.abs(mu + np.sqrt(np.exp(s)) * eps) < clip
        back = slope(loss, code(eps)) * free
        mu, s = of_mu.move(mu, back), of_s.move(s, back * eps * np.sqrt(np.exp(s)) / 2)
    return code(noise[steps])


def lomma(logits_of_models, label, features, mean, pull):
    """The identity loss, the target's logits first."""
    identity = 0.0
    for logits in logits_of_models:
        identity -= logits[label] / len(logits_of_models)
    return identity + pull * sum((f - m) ** 2 for f, m in zip(features, mean, strict=True)) / len(features)


def total_variation(image):
    total = 0.0
    for down, right in ((0, 1), (1, 0), (1, 1), (-1, 1)):
        squares = 0.0
        channels, height, width = image.shape
        for c, i, j in np.ndindex(channels, height, width):
            if 0 <= i + down < height and j + right < width:
                squares += (image[c, i, j] - image[c, i + down, j + right]) ** 2
        total += math.sqrt(squares)
    return total


def statistics(activations, means, variances):
    """Distance of one image's (channels, height, width) activations from what a norm remembers."""
    off_mean, off_variance = 0.0, 0.0
    for plane, mean, variance in zip(activations, means, variances, strict=True):
        values = [float(v) for v in plane.flat]
        own = sum(values) / len(values)
        off_mean += (own - mean) ** 2
        off_variance += (sum((v - own) ** 2 for v in values) / len(values) - variance) ** 2
    return math.sqrt(off_mean) + math.sqrt(off_variance)


def convolved(image, weight, bias):
    """A convolution without padding."""
    out, _, side, _ = weight.shape
    height, width = image.shape[1] - side + 1, image.shape[2] - side + 1
    made = np.zeros((out, height, width))
    for o, i, j in np.ndindex(out, height, width):
        made[o, i, j] = (image[:, i : i + side, j : j + side] * weight[o]).sum() + bias[o]
    return made


def hit(answers, label, n_private, limit=None):
    """Whether no other class, private or public, is as likely as the label, and the label is likely enough."""
    for other, answer in enumerate(answers):
        if answer > answers[label] or (answer == answers[label] and other < label):
            return False
    return label < n_private and (limit is None or answers[label] >= limit)


def threshold(answers, labels, makers, share=0.05):
    """The larger of the makers' and the share's quantile of real images' own answers, between order statistics."""
    own = sorted(float(row[label]) for row, label in zip(answers, labels, strict=True))
    place = share * (len(own) - 1)
    low = int(place)
    return max(makers, own[low] + (place - low) * (own[min(low + 1, len(own) - 1)] - own[low]))
