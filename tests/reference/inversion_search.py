"""Naive second implementations of views, of the search attacks and of what they measure: loops over single numbers."""

import math

import numpy as np


def max_margin(logits, label):
    return max(value for k, value in enumerate(logits) if k != label) - logits[label]


def poincare(logits, label, xi=1e-4):
    total = sum(abs(value) for value in logits)
    u = [value / total for value in logits]
    v = [1 - xi if k == label else 0.0 for k in range(len(logits))]
    apart = sum((a - b) ** 2 for a, b in zip(u, v, strict=True))
    return math.acosh(1 + 2 * apart / ((1 - sum(a * a for a in u)) * (1 - sum(b * b for b in v))))


def view(image, numbers, *, scale=(0.8, 1.0), ratio=(3 / 4, 4 / 3), flip=0.5, jitter=0.0, degrees=0.0):
    """image: (channels, height, width); numbers: the eight from [0, 1)."""
    size, shape, x, y, mirror, angle, brightness, contrast = (float(number) for number in numbers)
    _, height, width = image.shape
    area = scale[0] + size * (scale[1] - scale[0])
    aspect = math.exp(math.log(ratio[0]) + shape * (math.log(ratio[1]) - math.log(ratio[0])))
    wide, high = min(1, math.sqrt(area * aspect)) * width, min(1, math.sqrt(area / aspect)) * height
    left, top = x * (width - wide), y * (height - high)  # in pixels, from the upper left corner
    turn = math.radians(degrees) * (2 * angle - 1)
    seen = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            right, down = column + 0.5 - width / 2, row + 0.5 - height / 2
            turned_right = right * math.cos(turn) - down * math.sin(turn)
            turned_down = right * math.sin(turn) + down * math.cos(turn)
            across, along = turned_right / width + 0.5, turned_down / height + 0.5
            if mirror < flip:
                across = 1 - across
            seen[:, row, column] = _between(image, top + along * high - 0.5, left + across * wide - 0.5)
    if jitter:
        mean = seen.mean()
        seen = mean + (1 + jitter * (2 * contrast - 1)) * (seen - mean)
        seen = np.clip((1 + jitter * (2 * brightness - 1)) * seen, 0, 1)
    return seen


def _between(image, row, column):
    """The value between four pixels; outside it is that of the border."""
    _, height, width = image.shape
    row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    up, left = math.floor(row), math.floor(column)
    down, right = min(up + 1, height - 1), min(left + 1, width - 1)
    below, beside = row - up, column - left
    upper = (1 - beside) * image[:, up, left] + beside * image[:, up, right]
    lower = (1 - beside) * image[:, down, left] + beside * image[:, down, right]
    return (1 - below) * upper + below * lower


def repelled(u, directions, inside, radius, repulsion_only=True, bound=1.5):
    total = [0.0] * len(u)
    for direction, is_in in zip(directions, inside, strict=True):
        score = 1 if is_in else -1
        weight = (score - 1) / 2 if repulsion_only else score
        for i, value in enumerate(direction):
            total[i] += weight * value / len(directions)
    step = min(radius / 3, 3)
    return [min(max(value + step * change, -bound), bound) for value, change in zip(u, total, strict=True)]


def brep(is_in, u, rng, steps, *, points, radius=2.0, growth=1.3, patience=1000, queries=10**9, repulsion_only=True):
    """From u, which is in the class: the last u, its radius and how often `is_in` was asked."""
    asked, waited = 0, 0
    for _ in range(steps):
        if waited >= patience or asked + points + 1 > queries:
            break
        directions = [
            row / math.sqrt(float((row**2).sum())) for row in rng.standard_normal((points, len(u)), np.float32)
        ]
        inside = [is_in([a + radius * b for a, b in zip(u, direction, strict=True)]) for direction in directions]
        moved = repelled(u, directions, inside, radius, repulsion_only)
        u = moved if is_in(moved) else u
        asked += points + 1
        if sum(1 if answer else -1 for answer in inside) > 0.75 * points:
            radius, waited = radius * growth, 0
        else:
            waited += 1
    return u, radius, asked


def parent(fitness, draw):
    total = sum(math.exp(s) for s in fitness)
    upto = 0.0
    for member, s in enumerate(fitness):
        upto += math.exp(s) / total
        if draw < upto:
            return member
    return len(fitness) - 1


def children(units, fitness, rng, *, mutation=0.1, size=0.1, bound=1.0, crossover="fitness"):
    """units: members as lists; one child fewer than members."""
    n, length = len(units) - 1, len(units[0])
    first = [parent(fitness, draw) for draw in rng.random(n, np.float32)]
    second = [parent(fitness, draw) for draw in rng.random(n, np.float32)]
    choice, mutates, addend = (rng.random((n, length), np.float32) for _ in range(3))
    born = []
    for i in range(n):
        one, two = fitness[first[i]], fitness[second[i]]
        p_one, p_two = math.exp(one), math.exp(two)
        share = p_one / (p_one + p_two) if crossover == "fitness" else one / (one + two)
        child = []
        for j in range(length):
            value = units[first[i]][j] if choice[i, j] < share else units[second[i]][j]
            if mutates[i, j] < mutation:
                value += size * (2 * float(addend[i, j]) - 1)
            child.append(min(max(value, -bound), bound))
        born.append(child)
    return born


def clipped(code, mean, deviation, slope, bound=1.0):
    """MIRROR's bounds, coordinate by coordinate: to p, between the bounds, and back."""
    out = []
    for value, middle, width in zip(code, mean, deviation, strict=True):
        p = value if value >= 0 else value / slope
        p = min(max(p, middle - bound * width), middle + bound * width)
        out.append(p if p >= 0 else slope * p)
    return out


def best_code(codes, score):
    best = codes[0]
    for code in codes[1:]:
        if score(code) > score(best):
            best = code
    return best


def kl_to_standard(mean, log_variance):
    """The definition, E_q[log q - log n], coordinate by coordinate on a fine grid."""
    total = 0.0
    for mu, v in zip(mean, log_variance, strict=True):
        sd = math.exp(v / 2)
        x = np.linspace(mu - 12 * sd, mu + 12 * sd, 20001)
        log_q = -((x - mu) ** 2) / (2 * sd**2) - v / 2
        total += float(np.trapezoid(np.exp(log_q) / math.sqrt(2 * math.pi) * (log_q + x**2 / 2), x))
    return total
