"""TPR at a fixed FPR and its mirror image, the ROC band, and what a positive call is worth."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Float64

from seepage.errors import InputError
from seepage.metrics.bootstrap import two_way
from seepage.metrics.intervals import check_confidence, clopper_pearson, upper_bound
from seepage.metrics.roc import check_columns
from seepage.randomness import Seed, generator
from seepage.schema.estimates import Estimate

DRAWS = 4000  # of the true threshold's rank; the Monte Carlo error of the interval's level is then below 0.3 %


def tpr_at_fpr(
    scores: Float64[np.ndarray, "samples *targets"],
    members: Bool[np.ndarray, "samples *targets"],
    fpr: float,
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> Estimate:
    """The largest TPR at an FPR of at most `fpr` (mean over targets).

    TPR = share of members strictly above the (k + 1)-th largest non-member, k = floor(fpr n_out). No interpolation:
    a rate between two points of the ROC curve is not achievable.

    Interval, one target. The number K of non-members above the *population's* threshold is Binomial(n_out, fpr) for
    any distribution, so that threshold lies between the K-th and the (K + 1)-th largest non-member. K is drawn 4,000
    times, each draw gives Clopper-Pearson tails for the members above the K-th (low end) and the (K + 1)-th (high end),
    and the ends are the quantiles over all draws. Where fpr n_out is below about 4, K = 0 is likely and the low end is
    0: those non-members cannot tell where the threshold is. Several targets: two-way bootstrap.

    fpr = 0 stands for "none of these n non-members": the threshold is the largest non-member, the interval is of
    members above that very threshold (Clopper-Pearson, or two-way bootstrap), and the flag bounds its true FPR.

    Args:
        scores: higher = more likely a member.
        members: True = member.
        fpr: in [0, 1).
        confidence: two-sided.
        rng: draws ranks or resamples.

    Returns:
        Estimate with n = non-members (of the target that has fewest). value, low and high are None for
        0 < fpr < 1/n; flagged for fpr < 10/n.

    Raises:
        InputError: fpr outside [0, 1); see also `roc.check_columns`.
    """
    rng = generator(rng)
    return _rate_at(scores, members, fpr, "non-members", "FPR", confidence, rng)


def tnr_at_fnr(
    scores: Float64[np.ndarray, "samples *targets"],
    members: Bool[np.ndarray, "samples *targets"],
    fnr: float,
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> Estimate:
    """The largest TNR at an FNR of at most `fnr`: `tpr_at_fpr` with the roles swapped, so that n counts members."""
    rng = generator(rng)
    scores, members = check_columns(scores, members)
    return _rate_at(-scores, ~members, fnr, "members", "FNR", confidence, rng)


def _rate_at(scores, members, rate, records, name, confidence, rng) -> Estimate:
    scores, members = check_columns(scores, members)
    if not 0 <= rate < 1:
        raise InputError(f"expected an {name} in [0, 1) (0.01 for 1 %), got {rate!r}")
    n = int((~members).sum(axis=0).min())
    if rate > 0 and allowed(rate, n) < 1:
        return Estimate.of(None, None, None, n, f"undefined: {name} {rate:g} is less than one of {n} {records}")
    (value,), (low,), (high,) = operating_points(scores, members, [rate], confidence=confidence, rng=rng)
    flag = None
    if rate == 0:
        flag = f"zero of {n} {records}: the true {name} is at most {upper_bound(0, n, (1 - confidence) / 2):.2g}"
    elif allowed(rate, n) < 10:
        flag = f"rests on few records: {name} {rate:g} is {rate * n:.3g} of {n} {records}"
    return Estimate.of(float(value), float(low), float(high), n, flag)


def allowed(rate, n):
    """floor(rate n) as the integer that is meant: 0.07 * 100 is 7, not 7.000000000000001 or 6.99."""
    return np.floor(rate * n + 1e-9).astype(int) if np.ndim(rate * n) else int(rate * n + 1e-9)


def roc_band(
    scores: Float64[np.ndarray, "samples *targets"],
    members: Bool[np.ndarray, "samples *targets"],
    grid: Float[np.ndarray, " points"],
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> tuple[Float64[np.ndarray, " points"], Float64[np.ndarray, " points"], Float64[np.ndarray, " points"]]:
    """Mean ROC over targets on a grid of FPRs, with a pointwise band.

    Each point and interval is that of `tpr_at_fpr`; a grid point below 1/n_out shows the value at FPR 0, which is all
    that is known there.

    Args:
        scores: higher = more likely a member.
        members: True = member.
        grid: FPRs in [0, 1].
        confidence: two-sided, of each point by itself.
        rng: draws ranks or resamples.

    Returns:
        (tpr, low, high), each of the grid's shape.

    Raises:
        InputError: a grid point outside [0, 1]; see also `roc.check_columns`.
    """
    rng = generator(rng)
    scores, members = check_columns(scores, members)
    grid = np.asarray(grid, dtype=float)
    if grid.ndim != 1 or not np.all((grid >= 0) & (grid <= 1)):
        raise InputError("expected a 1-D grid of false-positive rates in [0, 1]")
    n = int((~members).sum(axis=0).min())
    return operating_points(scores, members, np.where(allowed(grid, n) < 1, 0.0, grid), confidence=confidence, rng=rng)


def operating_points(
    scores: Float64[np.ndarray, "samples targets"],
    members: Bool[np.ndarray, "samples targets"],
    fprs,
    *,
    confidence: float,
    rng: Seed,
    transform: Callable = lambda tpr, n_in: tpr,
) -> tuple[Float64[np.ndarray, " points"], Float64[np.ndarray, " points"], Float64[np.ndarray, " points"]]:
    """Value and interval of transform(TPR) at several FPRs at once; the mechanism behind this file and Log-MIA.

    Args:
        scores: checked, one column a target.
        members: likewise.
        fprs: shape (points,), or (targets, points) where the rate differs by target; 0 = above every non-member.
        confidence: two-sided.
        rng: draws ranks (one target) or resamples (several).
        transform: (tpr, n_in) -> number, non-decreasing in tpr; averaged over targets after it.

    Returns:
        (value, low, high), each (points,).
    """
    rng = generator(rng)
    check_confidence(confidence)
    n_samples, n_targets = scores.shape
    fprs = np.broadcast_to(np.asarray(fprs, dtype=float), (n_targets, np.shape(fprs)[-1]))
    rankings = [Ranking(s, m) for s, m in zip(scores.T, members.T, strict=True)]
    by_target = np.stack([r.tpr(f) for r, f in zip(rankings, fprs, strict=True)])
    n_in = members.sum(axis=0)[:, None]
    value = transform(by_target, n_in).mean(axis=0)

    if n_targets == 1:
        low, high = _interval_over_ranks(rankings[0], fprs[0], confidence, rng)
        low, high = transform(low, n_in[0]), transform(high, n_in[0])
    else:
        curves = [_WeightedCurve(r, s, m, f) for r, s, m, f in zip(rankings, scores.T, members.T, fprs, strict=True)]

        def statistic(target, weights):
            return transform(curves[target].tpr(weights), n_in[target])

        low, high = two_way(statistic, n_samples, n_targets, confidence=confidence, rng=rng)
        # All resamples of no hits, or of nothing but hits, are alike: there, as sure as one target's members make us.
        exact = clopper_pearson(by_target.mean(axis=0) * n_in.min(), n_in.min(), confidence)
        still = ~(high - low > 1e-12)
        low = np.where(still, transform(exact[0], n_in.min()), low)
        high = np.where(still, transform(exact[1], n_in.min()), high)
    floor, ceiling = transform(np.zeros(1), n_in.min()), transform(np.ones(1), n_in.min())
    return value, np.clip(np.minimum(low, value), floor, ceiling), np.clip(np.maximum(high, value), floor, ceiling)


class Ranking:
    """One target's members and non-members in order."""

    def __init__(self, scores: Float64[np.ndarray, " samples"], members: Bool[np.ndarray, " samples"]):
        self.inside, self.outside = np.sort(scores[members]), np.sort(scores[~members])
        self.n_in, self.n_out = len(self.inside), len(self.outside)

    def above(self, rank):
        """Members strictly above the non-member with `rank` larger ones (number or array);
        all members where the rank is past the last non-member."""
        threshold = self.outside[self.n_out - 1 - np.minimum(rank, self.n_out - 1)]
        above = self.n_in - np.searchsorted(self.inside, threshold, side="right")
        return np.where(rank < self.n_out, above, self.n_in)

    def tpr(self, fprs: Float64[np.ndarray, " points"]) -> Float64[np.ndarray, " points"]:
        return self.above(allowed(fprs, self.n_out)) / self.n_in


def _interval_over_ranks(
    ranking: Ranking, fprs: Float64[np.ndarray, " points"], confidence: float, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, " points"], Float64[np.ndarray, " points"]]:
    """Clopper-Pearson tails mixed over the rank of the population's threshold; see `tpr_at_fpr`.

    Ties do no harm: a tied block moves the two bracketing non-members onto the threshold itself, or outwards.
    """
    n_in = ranking.n_in
    n_above = rng.binomial(ranking.n_out, fprs, size=(DRAWS, len(fprs)))
    fewest = np.where(n_above > 0, ranking.above(np.maximum(n_above - 1, 0)), 0)
    most = ranking.above(n_above)
    lows = np.where(fewest > 0, rng.beta(np.maximum(fewest, 1), n_in - fewest + 1), 0.0)
    highs = np.where(most < n_in, rng.beta(most + 1, np.maximum(n_in - most, 1)), 1.0)
    tail = (1 - confidence) / 2
    low, high = np.quantile(lows, tail, axis=0), np.quantile(highs, 1 - tail, axis=0)
    # At FPR 0 the threshold is the largest non-member itself, fixed as far as the members are concerned.
    at_zero = clopper_pearson(ranking.above(np.zeros(len(fprs), int)), n_in, confidence)
    return np.where(fprs > 0, low, at_zero[0]), np.where(fprs > 0, high, at_zero[1])


class _WeightedCurve:
    """TPR at given FPRs of one target's records under many rows of weights."""

    def __init__(self, ranking: Ranking, scores, members, fprs):
        self.fprs, self.members = fprs, members
        n_out = ranking.n_out
        # A resample's threshold is hardly ever more than 12 standard deviations down the ranking: skip the rest.
        expected = fprs.max() * n_out
        self.depth = int(min(n_out, expected + 12 * np.sqrt(expected + 1) + 12))
        inside, outside = np.flatnonzero(members), np.flatnonzero(~members)
        self.above = ranking.above(np.arange(self.depth + 1))
        self.inside = inside[np.argsort(-scores[inside], kind="stable")][: self.above[-1]]
        self.outside = outside[np.argsort(-scores[outside], kind="stable")][: self.depth]

    def tpr(self, weights: Float64[np.ndarray, "replicates samples"]) -> Float64[np.ndarray, "replicates points"]:
        size = len(weights)
        total_in, total_out = weights @ self.members.astype(float), weights @ (~self.members).astype(float)
        above_out = np.cumsum(weights[:, self.outside], axis=1)
        above_in = np.zeros((size, len(self.inside) + 1))
        np.cumsum(weights[:, self.inside], axis=1, out=above_in[:, 1:])
        # The first rank at which more than floor(fpr total_out) are above, in all rows by one search: each row is
        # lifted over the one before it.
        lift = (np.arange(size) * (weights.shape[1] + 1.0))[:, None]
        n_allowed = np.floor(self.fprs * total_out[:, None] + 1e-9)
        rank = np.searchsorted((above_out + lift).ravel(), (n_allowed + lift).ravel(), side="right")
        rank = rank.reshape(size, -1) - np.arange(size)[:, None] * self.depth
        rank = np.where(self.fprs > 0, rank, 0)  # FPR 0 is conditional on the threshold
        found = np.take_along_axis(above_in, self.above[rank], axis=1)
        undefined = (total_in == 0) | (total_out == 0)
        return np.where(undefined[:, None], np.nan, found / np.maximum(total_in, 1)[:, None])


def positive_predictive_value(tpr: Estimate, fpr: float, prior: float) -> Estimate:
    """Chance that a record called a member is one, where a share `prior` of those asked about are.

    PPV = prior TPR / (prior TPR + (1 - prior) FPR)

    At fpr = 0, where the FPR is only known to be below its bound for zero of n, the low end takes the 97.5 % bound.

    Args:
        tpr: from `tpr_at_fpr` at this fpr.
        fpr: in [0, 1).
        prior: in (0, 1), to be declared by whoever runs the audit.

    Returns:
        Estimate with the n and flag of `tpr`; undefined with it, and where nobody is called a member.

    Raises:
        InputError: prior outside (0, 1) or fpr outside [0, 1).

    >>> print(round(positive_predictive_value(Estimate.of(0.1, 0.05, 0.2, 1000), 0.01, prior=0.5).value, 3))
    0.909

    Reference: Jayaraman, Wang, Knipmeyer, Gu and Evans (2021), arXiv 2005.10881.
    """
    if not 0 < prior < 1:
        raise InputError(f"expected a prior strictly between 0 and 1, got {prior!r}")
    if not 0 <= fpr < 1:
        raise InputError(f"expected an FPR in [0, 1), got {fpr!r}")
    if tpr.value is None:
        return tpr
    if tpr.value == 0 and fpr == 0:
        return Estimate.of(None, None, None, tpr.n, "undefined: nobody is called a member")

    def value_of(rate: float, false_rate: float) -> float:
        positives = prior * rate + (1 - prior) * false_rate
        return prior * rate / positives if positives > 0 else 0.0

    fpr_high = fpr if fpr > 0 else float(upper_bound(0, tpr.n, 0.025))
    value, low, high = tpr.defined()
    return Estimate.of(value_of(value, fpr), value_of(low, fpr_high), value_of(high, fpr), tpr.n, tpr.flag)
