"""Could chance alone have done this? The p-value of a leak, its correction, and the least leak it can find."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64
from scipy.optimize import brentq
from scipy.special import betaincinv, ndtr, ndtri
from scipy.stats import gamma, hypergeom, pearson3, rankdata

from seepage.errors import InputError
from seepage.metrics.operating_points import allowed
from seepage.metrics.roc import check_columns

EXACT_RECORDS = 50  # up to which the law of the rank sum is counted out


def leak_p_value(
    scores: Float64[np.ndarray, "samples *targets"], members: Bool[np.ndarray, "samples *targets"]
) -> float:
    """One-sided p-value of "no leak": membership was drawn at random, whatever the scores are.

    p = min(1, 2 min(p_auc, p_top)): one test for a leak of many records, one for a leak of few.

    *p_auc*, one target: Mann-Whitney with midranks; the exact permutation law up to 50 records, beyond it Pearson's
    type III law (the normal one where not skewed to the right) with the permutation mean, variance and skewness, and
    a continuity correction of half the lattice step of the rank sum. Both matter for ties: with two distinct scores
    the step is far above 1, and with few members and rare scores the tail is far from normal.

    *p_top*, one target: members among the m = max(10, 1 % of n), at most n/2, records of highest score, hypergeometric
    under the null. m is moved to the end of a block of ties, judged by the scores alone; with no such end before the
    last record p_top is 1.

    Several targets: both statistics are sums over records of s_i = sum_t (M_it - mean M_t) a_it, with midranks scaled
    to unit variance (Stouffer's sum) or the indicator of the top for a_it. Under the null the s_i have mean 0, so the
    sum is judged against the larger of two variances: that under joint permutation of the membership rows, and
    sum_i s_i^2. The second also holds where one target's scores were calibrated on the other targets (every model in
    its turn), which correlates the targets. Normal tail for the ranks; for the count a gamma tail of the same mean and
    variance, whose skewness is never too small.

    The null needs membership that is random given everything else; for other membership p measures association.

    Args:
        scores: higher = more likely a member.
        members: True = member.

    Returns:
        p in (0, 1]; 1 for constant scores.

    Raises:
        InputError: see `roc.check_columns`.

    Reference: Mann and Whitney (1947); Hoeffding (1951), A combinatorial central limit theorem, for the permutation
        variance. The combination is ours.
    """
    scores, members = check_columns(scores, members)
    tests = (_p_auc, _p_top) if scores.shape[1] == 1 else (_p_auc_several, _p_top_several)
    return float(min(1.0, 2 * min(test(scores, members) for test in tests)))


def _p_auc(scores, members) -> float:
    members, ranks = members[:, 0], rankdata(scores[:, 0])
    n, n_in, found = len(ranks), int(members.sum()), ranks[members].sum()
    if n <= EXACT_RECORDS:
        return _chance_of_rank_sum(ranks, n_in, found)
    steps = np.diff(np.unique(2 * ranks)).astype(np.int64)
    if not steps.size:
        return 1.0
    deviations = ranks - ranks.mean()
    n_out = n - n_in
    sd = np.sqrt(n_in * n_out / (n - 1) * np.mean(deviations**2))
    skewness = n_in * n_out * (n_out - n_in) / ((n - 1) * (n - 2)) * np.mean(deviations**3) / sd**3
    half_step = max(1.0, np.gcd.reduce(steps) / 2) / 2
    z = (deviations[members].sum() - half_step) / sd
    return float(ndtr(-z)) if skewness < 0.01 else float(pearson3.sf(z, skewness))


def _chance_of_rank_sum(ranks: Float64[np.ndarray, " samples"], n_in: int, found: float) -> float:
    """Share of all memberships with n_in members whose midranks sum to `found` or more, counted out."""
    doubled = np.round(2 * ranks).astype(int)
    ways = np.zeros((n_in + 1, doubled.sum() + 1))  # by members and doubled rank sum; whole numbers below 2^53
    ways[0, 0] = 1
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    return float(ways[n_in, round(2 * found) :].sum() / ways[n_in].sum())


def _p_top(scores, members) -> float:
    n, scores, members = len(scores), scores[:, 0], members[:, 0]
    top = _top(scores)
    m, found = int(top.sum()), int((top & members).sum())
    return 1.0 if m == n else float(hypergeom.sf(found - 1, n, int(members.sum()), m))


def _p_auc_several(scores, members) -> float:
    ranks = rankdata(scores, axis=0)
    n_in = members.sum(axis=0)
    sd = np.sqrt(n_in * (len(scores) - n_in) / (len(scores) - 1) * ranks.var(axis=0))
    excess, variance = _excess(ranks / np.where(sd > 0, sd, np.inf), members)
    return float(ndtr(-excess / np.sqrt(variance))) if variance > 0 else 1.0


def _p_top_several(scores, members) -> float:
    top = np.column_stack([_top(column) for column in scores.T])
    excess, variance = _excess(top.astype(float), members)
    if variance <= 1e-12:
        return 1.0
    mean = float((top.mean(axis=0) * members.sum(axis=0)).sum())
    return float(gamma.sf(max(0.0, excess + mean - 0.5), mean**2 / variance, scale=variance / mean))


def _excess(values: Float64[np.ndarray, "samples targets"], members: Bool[np.ndarray, "samples targets"]):
    """sum_it (M_it - mean M_t) a_it and the variance that it can have without a leak; see `leak_p_value`."""
    a, m = values - values.mean(axis=0), members - members.mean(axis=0)
    by_record = (m * a).sum(axis=1)
    permuted = ((m.T @ m) * (a.T @ a)).sum() / (len(a) - 1)
    return float(by_record.sum()), float(max(permuted, by_record @ by_record))


def _top(scores: Float64[np.ndarray, " samples"]) -> Bool[np.ndarray, " samples"]:
    """The top max(10, 1 %) of the records, at most half, without cutting a block of ties."""
    n = len(scores)
    m = min(max(10, -(-n // 100)), n // 2)
    edge = np.partition(scores, n - m)[n - m]
    above = scores > edge
    return above if above.any() and (scores >= edge).sum() > m else scores >= edge


def holm(p_values: Sequence[float] | Float64[np.ndarray, " tests"]) -> Float64[np.ndarray, " tests"]:
    """Holm's step-down adjustment: reject where adjusted <= alpha, and any false rejection has chance <= alpha.

    adjusted_(i) = max_{j <= i} min(1, (m - j + 1) p_(j)), p sorted ascending; in the order of the argument.

    >>> print(holm([0.01, 0.04, 0.03]))
    [0.03 0.06 0.06]

    Reference: Holm (1979), Scandinavian Journal of Statistics 6(2).
    """
    p = check_p_values(p_values)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


def check_p_values(p_values) -> Float64[np.ndarray, " tests"]:
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1 or not np.all((p >= 0) & (p <= 1)):
        raise InputError(f"expected a sequence of p-values in [0, 1], got {p_values!r}")
    return p


def smallest_detectable(n_in: int, n_out: int, *, alpha: float, fpr: float, power: float = 0.8) -> tuple[float, float]:
    """The least AUC, and the least TPR at `fpr`, that a test of level `alpha` finds with the stated power.

    AUC, one-sided Mann-Whitney: the A at which A - 1/2 = z_alpha s_0 + z_power s_A, with s_0^2 = (n + 1) / (12 n_in
    n_out) and Hanley and McNeil's variance s_A^2 = A (1 - A) [1 + (n_in - 1)(1 - A)/(2 - A) + (n_out - 1) A/(1 + A)] /
    (n_in n_out). TPR: with k = floor(fpr n_out), x_c is the least count of members above the (k + 1)-th non-member
    whose chance under random membership is at most alpha, and the TPR t solves Pr[Bin(n_in, t) >= x_c] = power.

    Both are 1 where not even a full leak would be found. `leak_p_value` spends half of its level on either test: give
    alpha / 2 (after Holm's correction) to describe it. For T targets with independent membership, T n_in and T n_out
    give the figure for their mean.

    Args:
        n_in: members.
        n_out: non-members.
        alpha: one-sided level, in (0, 1/2).
        fpr: in [0, 1).
        power: in [1/2, 1).

    Returns:
        (auc, tpr).

    Raises:
        InputError: an argument out of its range.

    Reference: Hanley and McNeil (1982), Radiology 143(1).
    """
    if min(n_in, n_out) < 1 or not (0 < alpha < 0.5 and 0 <= fpr < 1 and 0.5 <= power < 1):
        raise InputError(
            "expected n_in, n_out >= 1, alpha in (0, 0.5), fpr in [0, 1) and power in [0.5, 1), got "
            f"{n_in}, {n_out}, {alpha}, {fpr}, {power}"
        )
    sd_null = np.sqrt((n_in + n_out + 1) / (12 * n_in * n_out))

    def shortfall(a: float) -> float:
        spread = 1 + (n_in - 1) * (1 - a) / (2 - a) + (n_out - 1) * a / (1 + a)
        sd = np.sqrt(a * (1 - a) * spread / (n_in * n_out))
        return 0.5 + ndtri(1 - alpha) * sd_null + ndtri(power) * sd - a

    auc = float(brentq(shortfall, 0.5, 1.0)) if shortfall(1.0) < 0 else 1.0

    # At least x members precede the (k + 1)-th non-member exactly if the top x + k records hold at least x members.
    k = allowed(fpr, n_out)
    low, high = 0, n_in + 1
    while high - low > 1:
        x = (low + high) // 2
        if hypergeom.sf(x - 1, n_in + n_out, n_in, x + k) <= alpha:
            high = x
        else:
            low = x
    tpr = float(betaincinv(high, n_in - high + 1, power)) if high <= n_in else 1.0
    return auc, tpr
