"""Who is found by exactly which attacks, one record at a time."""

import math
from fractions import Fraction


def found_by_hand(scores, members, fpr):
    """Places of one target's records that are named: no more than floor(fpr n_out) non-members are."""
    most = math.floor(Fraction(str(fpr)) * sum(not member for member in members))
    named = set()
    for threshold in sorted(set(scores), reverse=True):
        above = {place for place, score in enumerate(scores) if score >= threshold}
        if sum(not members[place] for place in above) > most:
            return named
        named = above
    return named


def intersections(scores, members, fpr):
    """{attacks: (members, non-members)} over all pairs of record and target."""
    found = {
        (name, target): found_by_hand(list(columns[:, target]), list(members[:, target]), fpr)
        for name, columns in scores.items()
        for target in range(members.shape[1])
    }
    counts = {}
    for target in range(members.shape[1]):
        for record in range(len(members)):
            attacks = tuple(name for name in scores if record in found[name, target])
            if attacks:
                inside, outside = counts.get(attacks, (0, 0))
                is_member = bool(members[record, target])
                counts[attacks] = (inside + is_member, outside + (not is_member))
    return counts


def kappa(first, second):
    """Cohen's kappa of two lists of yes and no."""
    n = len(first)
    agree = sum(a == b for a, b in zip(first, second, strict=True)) / n
    yes = sum(first) / n, sum(second) / n
    chance = yes[0] * yes[1] + (1 - yes[0]) * (1 - yes[1])
    return math.nan if chance == 1 else (agree - chance) / (1 - chance)
