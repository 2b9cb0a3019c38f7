"""Log-MIA: how many members are found at next to no false positives, on a logarithmic scale."""

from math import ceil, expm1, log, log1p
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import gammaln

from seepage.errors import InputError, unknown_name
from seepage.metrics.operating_points import Ranking, operating_points
from seepage.metrics.roc import check_columns
from seepage.randomness import Seed, generator
from seepage.schema.attack import LogMiaEstimate

HALF_WAY = 0.5  # of the way from guessing to everyone
MOST, NEARLY_ALL = 0.5, 0.9  # share of the members


def log_mia(
    scores: Float64[np.ndarray, "samples *targets"],
    members: Bool[np.ndarray, "samples *targets"],
    regime: Literal["a", "b"],
    *,
    false_positives_allowed: int | None = None,
    confidence: float = 0.95,
    rng: Seed,
) -> LogMiaEstimate:
    """ln(TP + 1) / ln(P + 1), TP the most of the P members found with no (a) or ceil(ln d) (b) false positives.

    0 = no member found, 1 = all. d is the number of records judged. The threshold is taken from the judged records
    themselves, as in the source; so the value is the envelope of the ROC curve and means nothing without `chance`
    beside it: for d = 30 a random ranking scores 0.59 in regime b.

    Args:
        scores: higher = more likely a member.
        members: True = member.
        regime: "a" allows no false positive, "b" ceil(ln d).
        false_positives_allowed: overrides the regime's count.
        confidence: two-sided.
        rng: see `tpr_at_fpr`.

    Returns:
        The estimate, with n = d; the interval is that of the TPR at the same count, transformed. Means over targets;
        `chance_corrected` is of the means.

    Raises:
        InputError: unknown regime, a negative count; see also `roc.check_columns`.

    Reference: Jimenez-Lopez, Rodriguez-Barroso, Luzon, Del Ser and Herrera (2025), Machine Learning and Knowledge
        Extraction 7(2):43, and the first author's code. Deviations: P is the number of members instead of d/2, so that
        unbalanced sets are defined; one comment in that code says "half" of d for regime b, we follow its arithmetic;
        `chance`, the correction by it and the words are ours.
    """
    rng = generator(rng)
    if regime not in ("a", "b"):
        raise unknown_name("Log-MIA regime", regime, ("a", "b"))
    scores, members = check_columns(scores, members)
    d = len(scores)
    n_allowed = false_positives_allowed
    if n_allowed is None:
        n_allowed = 0 if regime == "a" else ceil(log(d))
    if n_allowed < 0:
        raise InputError(f"expected a count of false positives of at least 0, got {n_allowed}")
    n_in = members.sum(axis=0)
    n_out = d - n_in
    fprs = np.minimum(n_allowed / n_out, 1.0)[:, None]

    (value,), (low,), (high,) = operating_points(
        scores,
        members,
        fprs,
        confidence=confidence,
        rng=rng,
        transform=lambda tpr, p: np.log1p(tpr * p) / np.log1p(p),
    )
    true_positives = [int(Ranking(s, m).above(n_allowed)) for s, m in zip(scores.T, members.T, strict=True)]
    counts = [(int(p), int(q), n_allowed) for p, q in zip(n_in, n_out, strict=True)]
    chance = float(np.mean([log_mia_chance(*count) for count in counts]))
    by_guessing = [log_mia_tail(tp, *count) for tp, count in zip(true_positives, counts, strict=True)]
    # twice the mean of p-values is one, however the targets hang together
    p_value = min(1.0, np.mean(by_guessing) * (1 if len(counts) == 1 else 2))
    value, low = float(value), float(low)
    return LogMiaEstimate(
        value=value,
        low=low,
        high=float(high),
        n=d,
        chance=chance,
        chance_corrected=chance_corrected(value, chance),
        reading=log_mia_reading(
            low if p_value <= 1 - confidence else chance,
            chance,
            true_positives=float(np.mean(true_positives)),
            n_in=float(n_in.mean()),
            n_out=float(n_out.mean()),
            false_positives_allowed=n_allowed,
        ),
        true_positives=float(np.mean(true_positives)),
        false_positives_allowed=n_allowed,
    )


def chance_corrected(value: float, chance: float) -> float:
    """(value - chance) / (1 - chance): 0 is guessing, 1 is everyone; 0 too where guessing finds everyone.

    >>> print(chance_corrected(0.75, 0.5), chance_corrected(1.0, 1.0))
    0.5 0.0
    """
    return (value - chance) / (1 - chance) if chance < 1 else 0.0


def log_mia_reading(
    low: float,
    chance: float,
    *,
    true_positives: float,
    n_in: float,
    n_out: float,
    false_positives_allowed: int,
) -> str:
    """Log-MIA in words, and the counts they rest on. The words and their limits are ours, not the source's.

    What is said holds at the low end of the interval, L, so that a small audit cannot say much:

        no more than guessing   L <= chance, or the share of random rankings that find at least as many members
                                exceeds 1 - confidence
        nearly all members      L is at least 90 % of the members
        most members            L is at least half of the members
        many members            (L - chance) / (1 - chance) >= 1/2
        a few members           all else

    Both conditions of the first line are needed. The interval takes the threshold as given, and with few records a
    random ranking beats its own mean easily: of 15 members and 15 non-members, it finds 3 before the first false
    positive in one of nine audits. The limit between few and many is the middle of the measure's own scale, between
    guessing and everyone; it is about the square root of the number of members (with 25,000 of them, some 200), and
    half of the members is where a record is rather found than not. The words describe one number; they are not
    corrected for how many attacks were tried, as an audit's verdict is.

    Args:
        low: low end of the interval; `chance` where the audit cannot be told from guessing.
        chance: expected value under a random ranking.
        true_positives, n_in, n_out, false_positives_allowed: the counts, means where there are several targets.

    >>> counts = {"true_positives": 7, "n_in": 15, "n_out": 15, "false_positives_allowed": 0}
    >>> log_mia_reading(0.517, 0.178, **counts)
    'a few members can be singled out: 7 of 15, with no false positive among 15 non-members'
    """
    allowed = f"at most {false_positives_allowed}" if false_positives_allowed else "no"
    plural = "s" if false_positives_allowed > 1 else ""
    found, inside, outside = (f"{round(count, 1):.10g}" for count in (true_positives, n_in, n_out))
    counts = f"{found} of {inside}, with {allowed} false positive{plural} among {outside} non-members"
    if low <= chance:
        return f"no more than guessing: {counts}"
    share = expm1(low * log1p(n_in)) / n_in
    if share >= NEARLY_ALL:
        amount = "nearly all"
    elif share >= MOST:
        amount = "most"
    elif chance_corrected(low, chance) >= HALF_WAY:
        amount = "many"
    else:
        amount = "a few"
    return f"{amount} members can be singled out: {counts}"


def log_mia_tail(true_positives: int, n_in: int, n_out: int, false_positives_allowed: int) -> float:
    """Share of random rankings without ties that find at least `true_positives` members, exactly.

    >>> print(round(log_mia_tail(3, 15, 15, 0), 4), log_mia_tail(0, 15, 15, 4))
    0.1121 1.0
    """
    weight = _random_found(n_in, n_out, false_positives_allowed)
    return float(min(1.0, weight[true_positives:].sum()))


def log_mia_chance(n_in: int, n_out: int, false_positives_allowed: int) -> float:
    """Expected Log-MIA of a random ranking without ties, exactly.

    The number X of members ahead of the (c + 1)-th non-member is negative hypergeometric,

        Pr[X = x] = C(x + c, c) C(P - x + N - c - 1, P - x) / C(P + N, P),

    and the chance value is E[ln(X + 1)] / ln(P + 1).

    >>> print(round(log_mia_chance(15, 15, 0), 3), round(log_mia_chance(15, 15, 4), 3))
    0.178 0.588
    """
    weight = _random_found(n_in, n_out, false_positives_allowed)
    return float(min(1.0, weight @ np.log1p(np.arange(n_in + 1.0)) / log1p(n_in)))


def _random_found(n_in: int, n_out: int, false_positives_allowed: int) -> Float64[np.ndarray, " counts"]:
    """Pr[X = x] for x = 0, ..., n_in; see `log_mia_chance`."""
    c = false_positives_allowed
    x = np.arange(n_in + 1.0)
    if c >= n_out:
        return (x == n_in).astype(np.float64)
    log_weight = gammaln(x + c + 1) - gammaln(x + 1) + gammaln(n_in - x + n_out - c) - gammaln(n_in - x + 1)
    weight = np.exp(log_weight - log_weight.max())
    return weight / weight.sum()
