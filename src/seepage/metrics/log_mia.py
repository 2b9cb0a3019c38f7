"""Log-MIA: how many members are found at next to no false positives, on a logarithmic scale."""

from dataclasses import dataclass
from math import ceil, log, log1p
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import gammaln

from seepage.errors import InputError, unknown_name
from seepage.metrics.operating_points import Ranking, operating_points
from seepage.metrics.roc import check_columns


@dataclass(frozen=True)
class LogMia:
    """An estimate of Log-MIA beside what a random ranking scores, and the counts behind it."""

    value: float
    low: float
    high: float
    n: int
    chance: float
    true_positives: float
    false_positives_allowed: int
    flag: str | None = None


def log_mia(
    scores: Float64[np.ndarray, "samples *targets"],
    members: Bool[np.ndarray, "samples *targets"],
    regime: Literal["a", "b"],
    *,
    false_positives_allowed: int | None = None,
    confidence: float = 0.95,
    rng: np.random.Generator,
) -> LogMia:
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
        LogMia with n = d; the interval is that of the TPR at the same count, transformed. Means over targets.

    Raises:
        InputError: unknown regime, a negative count; see also `roc.check_columns`.

    Reference: Jimenez-Lopez, Rodriguez-Barroso, Luzon, Del Ser and Herrera (2025), Machine Learning and Knowledge
        Extraction 7(2):43, and the first author's code. Deviations: P is the number of members instead of d/2, so that
        unbalanced sets are defined; one comment in that code says "half" of d for regime b, we follow its arithmetic.
    """
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
    return LogMia(
        value=float(value),
        low=float(low),
        high=float(high),
        n=d,
        chance=float(np.mean([log_mia_chance(int(p), int(q), n_allowed) for p, q in zip(n_in, n_out, strict=True)])),
        true_positives=float(np.mean(true_positives)),
        false_positives_allowed=n_allowed,
    )


def log_mia_chance(n_in: int, n_out: int, false_positives_allowed: int) -> float:
    """Expected Log-MIA of a random ranking without ties, exactly.

    The number X of members ahead of the (c + 1)-th non-member is negative hypergeometric,

        Pr[X = x] = C(x + c, c) C(P - x + N - c - 1, P - x) / C(P + N, P),

    and the chance value is E[ln(X + 1)] / ln(P + 1).

    >>> print(round(log_mia_chance(15, 15, 0), 3), round(log_mia_chance(15, 15, 4), 3))
    0.178 0.588
    """
    c = false_positives_allowed
    if c >= n_out:
        return 1.0
    x = np.arange(n_in + 1.0)
    log_weight = gammaln(x + c + 1) - gammaln(x + 1) + gammaln(n_in - x + n_out - c) - gammaln(n_in - x + 1)
    weight = np.exp(log_weight - log_weight.max())
    return float(weight @ np.log1p(x) / weight.sum() / log1p(n_in))
