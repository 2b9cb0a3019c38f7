"""Could chance alone have done this? The p-value of a leak, its correction, and the least leak it can find."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float64
from scipy.optimize import brentq
from scipy.special import betainc, ndtr, ndtri
from scipy.stats import beta, gamma, hypergeom, pearson3, rankdata

from seepage.errors import InputError
from seepage.metrics.operating_points import Ranking, allowed
from seepage.metrics.roc import check_columns

EXACT_RECORDS = 50  # up to which the law of the rank sum is counted out
N_TESTS = 3  # in the p-value of an audit: `leak_p_value` with an FPR


def leak_p_value(
    scores: Float64[np.ndarray, "samples *targets"],
    members: Bool[np.ndarray, "samples *targets"],
    *,
    fpr: float | None = None,
) -> float:
    """One-sided p-value of "no leak": membership was drawn at random, whatever the scores are.

    p = min(1, 2 min(p_auc, p_top)), or with an FPR p = min(1, 3 min(p_auc, p_top, p_rate)): one test for a leak of many
    records, one for a leak of few, and one of the very TPR that `smallest_detectable_tpr` promises to find.

    *p_auc*, one target: Mann-Whitney with midranks; the exact permutation law up to 50 records, beyond it Pearson's
    type III law (the normal one where not skewed to the right) with the permutation mean, variance and skewness, and
    a continuity correction of half the lattice step of the rank sum. Both matter for ties: with two distinct scores
    the step is far above 1, and with few members and rare scores the tail is far from normal.

    *p_top*, one target: members among the m = max(10, 1 % of n), at most n/2, records of highest score, hypergeometric
    under the null. m is moved to the end of a block of ties, judged by the scores alone; with no such end before the
    last record p_top is 1.

    *p_rate*, one target: the members strictly above the (k + 1)-th highest non-member, k = floor(fpr n_out). At least x
    of them are there exactly if the top x + k records hold x members, so the law is hypergeometric for any scores; ties
    can only lower the count. Several targets: the number of targets times the least p_rate.

    Several targets, p_auc and p_top: both statistics are sums over records of s_i = sum_t (M_it - mean M_t) a_it, with
    midranks scaled to unit variance (Stouffer's sum) or the indicator of the top for a_it. Under the null the s_i have
    mean 0, so the sum is judged against the larger of two variances: that under joint permutation of the membership
    rows, and sum_i s_i^2. The second also holds where one target's scores were calibrated on the other targets (every
    model in its turn), which correlates the targets. Normal tail for the ranks; for the count a gamma tail of the same
    mean and variance, whose skewness is never too small.

    The null needs membership that is random given everything else; for other membership p measures association.

    Args:
        scores: higher = more likely a member.
        members: True = member.
        fpr: in [0, 1), chosen without looking at the scores; None leaves p_rate out.

    Returns:
        p in (0, 1]; 1 for constant scores.

    Raises:
        InputError: an FPR outside [0, 1); see also `roc.check_columns`.

    Reference: Mann and Whitney (1947); Hoeffding (1951), A combinatorial central limit theorem, for the permutation
        variance. The combination is ours.
    """
    scores, members = check_columns(scores, members)
    tests = (_p_auc, _p_top) if scores.shape[1] == 1 else (_p_auc_several, _p_top_several)
    p_values = [test(scores, members) for test in tests]
    if fpr is not None:
        if not 0 <= fpr < 1:
            raise InputError(f"expected an FPR in [0, 1) (0.01 for 1 %), got {fpr!r}")
        by_target = [_p_rate(*column, fpr) for column in zip(scores.T, members.T, strict=True)]
        p_values.append(len(by_target) * min(by_target))
    return float(min(1.0, len(p_values) * min(p_values)))


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


def _p_rate(scores, members, fpr: float) -> float:
    ranking = Ranking(scores, members)
    k = allowed(fpr, ranking.n_out)
    found = int(ranking.above(k))
    return float(hypergeom.sf(found - 1, len(scores), ranking.n_in, min(found + k, len(scores))))


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


def smallest_detectable_auc(n_in: int, n_out: int, *, alpha: float, power: float = 0.8) -> float:
    """The least AUC that a one-sided Mann-Whitney test of level `alpha` finds with the stated power.

    It is the A at which A - 1/2 = z_alpha s_0 + z_power s_A, with s_0^2 = (n + 1) / (12 n_in n_out) and Hanley and
    McNeil's variance s_A^2 = A (1 - A) [1 + (n_in - 1)(1 - A)/(2 - A) + (n_out - 1) A/(1 + A)] / (n_in n_out); 1 where
    not even a full leak would be found. `leak_p_value` spends a third of its level on this test: give alpha / N_TESTS.

    Args:
        n_in, n_out: members and non-members of one target.
        alpha: one-sided level, in (0, 1/2).
        power: in [1/2, 1).

    Raises:
        InputError: an argument out of its range.

    >>> print(round(smallest_detectable_auc(200, 200, alpha=0.05), 3))
    0.572

    Reference: Hanley and McNeil (1982), Radiology 143(1).
    """
    _check_power(n_in, n_out, alpha, power)
    sd_null = np.sqrt((n_in + n_out + 1) / (12 * n_in * n_out))

    def shortfall(a: float) -> float:
        spread = 1 + (n_in - 1) * (1 - a) / (2 - a) + (n_out - 1) * a / (1 + a)
        sd = np.sqrt(a * (1 - a) * spread / (n_in * n_out))
        return 0.5 + ndtri(1 - alpha) * sd_null + ndtri(power) * sd - a

    return float(brentq(shortfall, 0.5, 1.0)) if shortfall(1.0) < 0 else 1.0


def smallest_detectable_tpr(n_in: int, n_out: int, *, alpha: float, fpr: float, power: float = 0.8) -> float:
    """The least TPR at `fpr` that the count above the (k + 1)-th non-member finds, whatever the shape of the leak.

    k = floor(fpr n_out), and x_c is the least count of members above that non-member whose chance under random
    membership is at most alpha (p_rate of `leak_p_value`). The non-member itself lies at a population FPR of
    U ~ Beta(k + 1, n_out - k), which is where most of the chance is: a tenth of the power hangs on it at k = 10. So

        power(t) = E_U Pr[Bin(n_in, ROC_t(U)) >= x_c],    ROC_t(fpr) = t,

    and the figure is the largest of the t that three shapes need: a likelihood ratio that is flat above the threshold
    (ROC_t(u) = t u / fpr there, straight beyond), one that rises towards the top (u^(ln t / ln fpr)), and extra members
    above everybody (q + (1 - q) u).

    Args:
        n_in, n_out: members and non-members of one target.
        alpha: level of that test: a third of the level of `leak_p_value`, over the number of attacks and of targets.
        fpr: in [0, 1); at 0 only the last shape exists.
        power: in [1/2, 1).

    Returns:
        TPR in (fpr, 1]; 1 where not even a full leak would be found so often.

    Raises:
        InputError: an argument out of its range.

    Reference: the test and its power are ours.
    """
    _check_power(n_in, n_out, alpha, power)
    if not 0 <= fpr < 1:
        raise InputError(f"expected an FPR in [0, 1) (0.01 for 1 %), got {fpr!r}")
    k = allowed(fpr, n_out)
    low, high = 0, n_in + 1
    while high - low > 1:
        x = (low + high) // 2
        if hypergeom.sf(x - 1, n_in + n_out, n_in, x + k) <= alpha:
            high = x
        else:
            low = x
    if high > n_in:
        return 1.0
    u = beta.ppf((np.arange(QUANTILES) + 0.5) / QUANTILES, k + 1, n_out - k)

    def shortfall(t: float, shape: Callable) -> float:
        return power - float(betainc(high, n_in - high + 1, shape(u, t, fpr)).mean())

    shapes = SHAPES_OF_LEAK.values() if fpr > 0 else [SHAPES_OF_LEAK["extra"]]
    return max(brentq(shortfall, fpr, 1.0, args=(shape,)) if shortfall(1.0, shape) < 0 else 1.0 for shape in shapes)


def _flat(u, t: float, fpr: float):
    return np.where(u <= fpr, t * u / fpr, t + (1 - t) * (u - fpr) / (1 - fpr))


def _rising(u, t: float, fpr: float):
    return u ** (np.log(t) / np.log(fpr))


def _extra(u, t: float, fpr: float):
    return u + (t - fpr) / (1 - fpr) * (1 - u)


# ROC curves through (fpr, t): (u, t, fpr) -> TPR at u.
SHAPES_OF_LEAK: dict[str, Callable] = {"flat": _flat, "rising": _rising, "extra": _extra}
QUANTILES = 500  # of the threshold's own FPR, over which power is averaged


def _check_power(n_in: int, n_out: int, alpha: float, power: float) -> None:
    if min(n_in, n_out) < 1 or not (0 < alpha < 0.5 and 0.5 <= power < 1):
        raise InputError(
            f"expected n_in, n_out >= 1, alpha in (0, 0.5) and power in [0.5, 1), got {n_in}, {n_out}, {alpha}, {power}"
        )
