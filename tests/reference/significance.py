"""Naive p-values of a leak: every membership that could have been drawn, one after the other."""

import itertools
import math

from tests.reference.roc import auc_by_pairs, tpr_at_count


def memberships(n, n_in):
    for chosen in itertools.combinations(range(n), n_in):
        yield [i in chosen for i in range(n)]


def share_at_least(statistic, members):
    """Share of all memberships with as many members whose statistic is at least that of `members`."""
    found = statistic(list(members))
    drawn = [statistic(other) >= found - 1e-9 for other in memberships(len(members), sum(map(bool, members)))]
    return sum(drawn) / len(drawn)


def p_auc(scores, members):
    return share_at_least(lambda m: auc_by_pairs(scores, m), members)


def top(scores):
    """The max(10, 1 %) records of highest score, at most half; a tied block at the edge is left out if anything else
    is in, and taken in whole if not."""
    n = len(scores)
    wanted = min(max(10, math.ceil(n / 100)), n // 2)
    kept = set()
    for value in sorted(set(scores), reverse=True):
        block = {i for i, score in enumerate(scores) if score == value}
        if kept and len(kept | block) > wanted:
            break
        kept |= block
        if len(kept) >= wanted:
            break
    return kept


def p_top(scores, members):
    highest = top(scores)
    return share_at_least(lambda m: sum(1 for i in highest if m[i]), members)


def p_rate(scores, members, fpr):
    """Chance that a ranking without ties has so many members before its (k + 1)-th non-member."""
    n_in, n = sum(map(bool, members)), len(members)
    k = math.floor(fpr * (n - n_in) + 1e-9)
    found = round(tpr_at_count(scores, members, k) * n_in)
    drawn = [before(m, k) >= found for m in memberships(n, n_in)]
    return sum(drawn) / len(drawn)


def before(ranked, k):
    """Members before the (k + 1)-th non-member of a ranking, highest first."""
    members = others = 0
    for is_member in ranked:
        others += not is_member
        if others > k:
            break
        members += is_member
    return members


def p_value(scores, members, fpr=None):
    tests = [p_auc(scores, members), p_top(scores, members)]
    if fpr is not None:
        tests.append(p_rate(scores, members, fpr))
    return min(1.0, len(tests) * min(tests))


def power_of_extra_members(n_in, n_out, share_above, count):
    """Chance of at least `count` members above the highest non-member, where a share of the members is above everybody.

    The others are like non-members: j of m such members are all before the first of n_out non-members with chance
    m / (m + n_out) (m - 1) / (m - 1 + n_out) ...
    """
    total = 0.0
    for extra in range(n_in + 1):
        chance = math.comb(n_in, extra) * share_above**extra * (1 - share_above) ** (n_in - extra)
        for i in range(max(0, count - extra)):
            chance *= (n_in - extra - i) / (n_in - extra - i + n_out)
        total += chance
    return total
