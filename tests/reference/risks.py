"""The three risks of a release, one record and one condition at a time."""

import itertools
import math

from scipy.optimize import brentq
from scipy.stats import norm


def wilson(hits, n, confidence):
    """The proportions whose score test does not reject: |x / n - p| = z sqrt(p (1 - p) / n)."""
    z = norm.ppf((1 + confidence) / 2)

    def gap(p):
        return (hits / n - p) ** 2 - z * z * p * (1 - p) / n

    share = hits / n
    low = 0.0 if hits == 0 else brentq(gap, 0, share - 1e-12)
    high = 1.0 if hits == n else brentq(gap, share + 1e-12, 1)
    return low, high


def mover_ratio(one, other):
    """Interval of a ratio of proportions as Donner and Zou print it; each given as (value, low, high)."""
    (a, l1, u1), (b, l2, u2) = one, other
    low = (a * b - math.sqrt((a * b) ** 2 - l1 * u2 * (2 * a - l1) * (2 * b - u2))) / (u2 * (2 * b - u2))
    high = (a * b + math.sqrt((a * b) ** 2 - u1 * l2 * (2 * a - u1) * (2 * b - l2))) / (l2 * (2 * b - l2))
    return low, high


def gower(row, record, attributes, columns):
    total = 0.0
    for at in columns:
        if attributes[at].is_number:
            total += abs(row[at] - record[at]) / attributes[at].scale
        else:
            total += row[at] != record[at]
    return total


def nearest(row, release, attributes, columns, k):
    order = sorted(range(len(release)), key=lambda at: gower(row, release[at], attributes, columns))
    return order[:k]


def links(rows, release, attributes, one, other, k):
    """Whether each target is linked with itself, and the share of pairs of different targets that are."""
    first, second = ([set(nearest(row, release, attributes, side, k)) for row in rows] for side in (one, other))
    right = [bool(a & b) for a, b in zip(first, second, strict=True)]
    wrong = [bool(first[i] & second[j]) for i in range(len(rows)) for j in range(len(rows)) if i != j]
    return right, sum(wrong) / len(wrong)


def guesses(rows, release, attributes, secret, tolerance):
    """Whether the nearest record's secret is right, and how often a guess by the released secrets alone is."""
    known = [at for at in range(len(attributes)) if at != secret]
    reach = tolerance * attributes[secret].deviation if attributes[secret].is_number else 0.0
    right, chances = [], []
    for row in rows:
        (found,) = nearest(row, release, attributes, known, 1)
        right.append(abs(release[found][secret] - row[secret]) <= reach)
        chances.append(sum(abs(record[secret] - row[secret]) <= reach for record in release) / len(release))
    always = commonest([record[secret] for record in release], reach)
    constant = sum(abs(always - row[secret]) <= reach for row in rows) / len(rows)
    return right, max(sum(chances) / len(chances), constant)


def commonest(values, reach):
    """Every middle of two released values that are near enough, tried on all of them."""
    middles = [(a + b) / 2 for a in values for b in values if abs(a - b) <= 2 * reach]
    counts = {guess: sum(abs(value - guess) <= reach * (1 + 1e-12) for value in values) for guess in middles}
    # Of windows that hold the same values only the middle of their outermost ones is ours.
    best = [guess for guess, count in counts.items() if count == max(counts.values())]
    held = [[value for value in values if abs(value - guess) <= reach * (1 + 1e-12)] for guess in best]
    return min((min(part) + max(part)) / 2 for part in held)


def holds(predicates, place, record):
    conditions = zip(predicates.columns[place], predicates.low[place], predicates.high[place], strict=True)
    return all(low <= record[at] <= high for at, low, high in conditions)


def singled_out(predicates, records):
    return [sum(holds(predicates, place, record) for record in records) == 1 for place in range(len(predicates))]


def chance_of_singling_out(predicates, members, control):
    """Exact share of all memberships with as large a difference of predicates that hold once."""
    people = [*members, *control]
    seen = sum(singled_out(predicates, members)) - sum(singled_out(predicates, control))
    found, differences = 0, []
    for inside in itertools.combinations(range(len(people)), len(members)):
        outside = [people[at] for at in range(len(people)) if at not in inside]
        here = [people[at] for at in inside]
        differences.append(sum(singled_out(predicates, here)) - sum(singled_out(predicates, outside)))
        found += differences[-1] >= seen
    return found / len(differences), sum(value**2 for value in differences) / len(differences)
