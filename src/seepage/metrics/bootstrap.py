"""The two-way bootstrap: a mean over targets, with both the records and the targets drawn anew."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64
from scipy.special import ndtri
from scipy.stats import t as student

from seepage.metrics.intervals import percentile_interval
from seepage.randomness import Seed, generator

MOST_REPLICATES = 1000
FEWEST_REPLICATES = 200
CELLS = 300_000_000  # records x targets x replicates that one interval may cost
BLOCK_CELLS = 4_000_000  # weights held at a time: 32 MB

Statistic = Callable[[int, Float64[np.ndarray, "replicates samples"]], Float64[np.ndarray, "replicates values"]]


def two_way(
    statistic: Statistic, n_samples: int, n_targets: int, *, confidence: float, rng: Seed
) -> tuple[Float64[np.ndarray, " values"], Float64[np.ndarray, " values"]]:
    """Interval of the mean over targets of a statistic of weighted records: percentiles, widened for few targets.

    In each replicate record i counts w_i times, (w_1, ..., w_n) multinomial and the same under all targets (they judge
    the same records), and target t counts 1 + (g_t - 1) sqrt(T / (T - 1)) times, g multinomial: the factor makes up for
    the T - 1 degrees of freedom of T targets, which matters for the few there usually are. Replicates in which the
    statistic is undefined (no member drawn) are left out. Beyond the level that 5 replicates mark, the tail is normal.

    The spread between models is known from T of them only. So both ends are moved away from the middle by the ratio of
    Student's quantile to the normal one, with Satterthwaite's degrees of freedom

        (T - 1) (V / B)^2,   V the variance of the replicates, B = var_t(statistic) / T,

    which is hardly more than 1 where the targets differ by no more than their records let them.

    Resampling both ways overstates the noise that is particular to one record under one target, at most threefold in
    variance, so the interval is on the wide side. With two or three targets it is still on the narrow side where the
    spread between models dominates: two values that are close by chance do not tell that others would be far.

    Args:
        statistic: (target, weights of shape (replicates, samples)) -> values of shape (replicates, values).
        n_samples: records.
        n_targets: targets T >= 2.
        confidence: two-sided.
        rng: source of the resamples.

    Returns:
        (low, high), each of shape (values,); NaN if no replicate was defined.

    Reference: Owen (2007), The pigeonhole bootstrap, Annals of Applied Statistics 1(2); Rao and Wu (1988), Resampling
        inference with complex survey data, JASA 83, for the factor, which we apply to the targets only; Satterthwaite
        (1946), Biometrics Bulletin 2(6). That the degrees of freedom stretch percentiles is ours.
    """
    rng = generator(rng)
    replicates = int(np.clip(CELLS // (n_samples * n_targets), FEWEST_REPLICATES, MOST_REPLICATES))
    block = max(1, BLOCK_CELLS // n_samples)
    means = []
    for start in range(0, replicates, block):
        size = min(block, replicates - start)
        weights = _resample(size, n_samples, rng)
        targets = 1 + (_resample(size, n_targets, rng) - 1) * np.sqrt(n_targets / (n_targets - 1))
        mean = 0.0
        for target in range(n_targets):
            mean = mean + targets[:, target, None] * statistic(target, weights) / n_targets
        means.append(mean)
    means = np.concatenate(means)
    means = means[np.isfinite(means).all(axis=1)]
    if not len(means):
        return np.full(means.shape[1], np.nan), np.full(means.shape[1], np.nan)
    tail = (1 - confidence) / 2
    middle, sd = means.mean(axis=0), means.std(axis=0, ddof=1)
    if tail * len(means) < 5:  # too few replicates lie that far out to count them: a normal tail
        low, high = middle - ndtri(1 - tail) * sd, middle + ndtri(1 - tail) * sd
    else:
        low, high = percentile_interval(means, confidence)
    by_target = np.concatenate([statistic(target, np.ones((1, n_samples))) for target in range(n_targets)])
    stretch = _stretch(sd**2, by_target.var(axis=0, ddof=1) / n_targets, n_targets, tail)
    return middle - stretch * (middle - low), middle + stretch * (high - middle)


def _stretch(
    variance: Float64[np.ndarray, " values"], between: Float64[np.ndarray, " values"], n_targets: int, tail: float
) -> Float64[np.ndarray, " values"]:
    """Student's quantile over the normal one, where `between` of the variance rests on that many targets."""
    share = np.divide(between, variance, out=np.ones_like(variance), where=variance > between)
    freedom = np.minimum((n_targets - 1) / np.maximum(share, 1e-6) ** 2, 1e6)
    return np.where(between > 0, student.ppf(1 - tail, freedom) / ndtri(1 - tail), 1.0)


def weighted_mean(
    values: Float64[np.ndarray, " samples"], weights: Float64[np.ndarray, "replicates samples"], among
) -> Float64[np.ndarray, "replicates 1"]:
    """Mean of `values` over the records in the mask `among`, for each row of weights; NaN where none was drawn."""
    total = weights @ among.astype(float)
    summed = weights @ np.where(among, values, 0.0)
    return np.divide(summed, total, out=np.full(len(weights), np.nan), where=total > 0)[:, None]


def _resample(size: int, n: int, rng: np.random.Generator) -> Float64[np.ndarray, "size n"]:
    """How often each of n things is drawn in n draws with replacement, `size` times over."""
    drawn = rng.integers(0, n, size=(size, n)) + n * np.arange(size)[:, None]
    return np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(float)
