"""Lower bounds on the epsilon of differential privacy from an attack's success, and a heuristic that is not one.

A mechanism that is (epsilon, delta)-differentially private satisfies TPR <= e^epsilon FPR + delta and
TNR <= e^epsilon FNR + delta for every attack. A bound is exceeded by the true epsilon's mechanism with probability at
most alpha, provided that the trials are what its function says they are.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import betainc, expit, gammaln, log_expit

from seepage.errors import InputError, unknown_name
from seepage.metrics.intervals import lower_bound, upper_bound
from seepage.metrics.operating_points import Ranking
from seepage.metrics.roc import check_column, check_columns, threshold_counts
from seepage.metrics.separation import random_half
from seepage.randomness import Seed, generator

CANDIDATES = 1000  # thresholds that the choosing half tries from either end


def epsilon_lower_clopper_pearson(
    true_positives, n_members, false_positives, n_nonmembers, *, alpha: float = 0.05, delta: float = 0.0
):
    """Lower bound from a confusion matrix over independent trainings, threshold fixed beforehand.

    epsilon >= max(0, ln((TPR_low - delta) / FPR_high), ln((TNR_low - delta) / FNR_high))

    with TPR_low = Beta^-1(alpha/2; TP, P - TP + 1), FPR_high = Beta^-1(1 - alpha/2; FP + 1, N - FP),
    TNR_low = 1 - FPR_high and FNR_high = 1 - TPR_low: the second ratio rests on the same two bounds and costs nothing.

    Args:
        true_positives: members called members; number or array.
        n_members: trainings with the canary.
        false_positives: non-members called members.
        n_nonmembers: trainings without it.
        alpha: chance that the bound exceeds the true epsilon, at most.
        delta: in [0, 1).

    Returns:
        epsilon_lower >= 0: float, or array of the broadcast shape.

    Raises:
        InputError: counts outside their range, alpha or delta out of range.

    >>> print(round(epsilon_lower_clopper_pearson(50, 1000, 1, 1000), 5))
    1.90454

    Reference: Jagielski, Ullman and Oprea (2020), arXiv 2006.07709.
    """
    _check_levels(alpha, delta)
    tpr_low = lower_bound(true_positives, n_members, alpha / 2)
    fpr_high = upper_bound(false_positives, n_nonmembers, alpha / 2)
    return _epsilon_of_rates(tpr_low, fpr_high, delta)


def _epsilon_of_rates(tpr_low, fpr_high, delta: float):
    with np.errstate(divide="ignore"):  # ln 0 = -inf is the right answer before the maximum with 0
        by_members = np.log(np.maximum(tpr_low - np.float64(delta), 0)) - np.log(fpr_high)
        by_nonmembers = np.log(np.maximum(1 - fpr_high - np.float64(delta), 0)) - np.log1p(-np.asarray(tpr_low))
    epsilon = np.maximum(0.0, np.maximum(by_members, by_nonmembers))
    return epsilon if epsilon.ndim else float(epsilon)


def epsilon_lower_from_scores(
    scores: Float64[np.ndarray, " trainings"],
    members: Bool[np.ndarray, " trainings"],
    *,
    threshold: Literal["split", "bonferroni"] = "split",
    alpha: float = 0.05,
    delta: float = 0.0,
    rng: Seed,
) -> float:
    """Lower bound from scores of independent trainings, one score each, with an honestly chosen threshold.

    "split": a random half of the trainings chooses the threshold with the largest bound, the other half is counted
    at it. "bonferroni": all trainings are counted at thresholds that are *ranks* fixed beforehand, just above the
    (k + 1)-th largest non-member for k = 0, 1, 2, 3, 4, 6, 8, 11, ... and just below the (k + 1)-th smallest member,
    each at alpha / (number of thresholds). At such a rank the true FPR is at most Beta(k + 1, n_out - k), which is
    Clopper-Pearson for k false positives, so the data-dependent threshold costs nothing else; k is counted even where
    ties make it fewer. Prefer "split" for scores with few distinct values.

    Args:
        scores: higher = more likely trained with the canary.
        members: True = trained with it.
        threshold: how the threshold is chosen.
        alpha: chance that the bound exceeds the true epsilon, at most.
        delta: in [0, 1).
        rng: draws the halves; unused for "bonferroni".

    Returns:
        epsilon_lower >= 0.

    Raises:
        InputError: an unknown way; see also `roc.check_columns`.

    Reference: as `epsilon_lower_clopper_pearson`; ranks instead of every observed score as thresholds are ours.
    """
    rng = generator(rng)
    _check_levels(alpha, delta)
    scores, members = check_column(scores, members)
    if threshold == "split":
        return _split_bound(scores, members, alpha, delta, rng)
    if threshold == "bonferroni":
        return _rank_bound(scores, members, alpha, delta)
    raise unknown_name("threshold choice", threshold, ("split", "bonferroni"))


def _split_bound(scores, members, alpha, delta, rng) -> float:
    half = random_half(members, rng)
    thresholds, true_positives, false_positives = threshold_counts(scores[half], members[half])
    steps = np.geomspace(1, len(thresholds), CANDIDATES).astype(int) - 1  # dense where errors of one kind are few
    tried = np.unique(np.append(steps, len(thresholds) - 1 - steps))
    bounds = epsilon_lower_clopper_pearson(
        true_positives[tried], true_positives[-1], false_positives[tried], false_positives[-1], alpha=alpha, delta=delta
    )
    called = scores[~half] >= thresholds[tried[np.argmax(bounds)]]
    inside = members[~half]
    return epsilon_lower_clopper_pearson(
        (called & inside).sum(), inside.sum(), (called & ~inside).sum(), (~inside).sum(), alpha=alpha, delta=delta
    )


def _rank_bound(scores, members, alpha, delta) -> float:
    # The mirrored ranking looks for thresholds with few false negatives: both inequalities, roles swapped.
    rankings = (Ranking(scores, members), Ranking(-scores, ~members))
    grids = [_ranks(ranking.n_out) for ranking in rankings]
    each = alpha / sum(map(len, grids))
    return max(
        float(
            np.max(
                epsilon_lower_clopper_pearson(ranking.above(k), ranking.n_in, k, ranking.n_out, alpha=each, delta=delta)
            )
        )
        for ranking, k in zip(rankings, grids, strict=True)
    )


def _ranks(n: int):
    """0, then powers of the square root of two, below n."""
    powers = np.sqrt(2.0) ** np.arange(2 * np.log2(n) + 1)
    ranks = np.unique(np.append(0, np.floor(powers + 1e-9).astype(int)))
    return ranks[ranks < n]


def epsilon_lower_one_run(m: int, r: int, v: int, *, delta: float = 0.0, alpha: float = 0.05) -> float:
    """Lower bound from one training with m canaries, each included by an independent fair coin.

    Of m canaries r were guessed (in or out) and v guesses are right. With q = e^epsilon / (1 + e^epsilon),

        p(epsilon) = Pr[Bin(r, q) >= v] + 2 m delta max_{1 <= i <= v} Pr[v > Bin(r, q) >= v - i] / i,

    and the bound is the largest epsilon with p(epsilon) < alpha, by bisection.

    Args:
        m: all canaries, those abstained on included.
        r: guesses; which canaries are guessed must depend on the scores through a rule fixed beforehand.
        v: right guesses.
        delta: the delta of the whole training.
        alpha: chance that the bound exceeds the true epsilon, at most.

    Returns:
        epsilon_lower >= 0 (add/remove neighbours).

    Raises:
        InputError: not 0 <= v <= r <= m.

    >>> print(round(epsilon_lower_one_run(1000, 100, 95), 6))
    2.172434

    Reference: Steinke, Nasr and Jagielski (2023), arXiv 2305.08846.
    """
    _check_levels(alpha, delta)
    if not 0 <= v <= r <= m:
        raise InputError(f"expected 0 <= right guesses <= guesses <= canaries, got {v}, {r}, {m}")
    if v == 0:
        return 0.0
    below = np.arange(v - 1, -1, -1.0)
    log_choose = gammaln(r + 1) - gammaln(below + 1) - gammaln(r - below + 1)

    def p_value(epsilon: float) -> float:
        p = float(betainc(v, r - v + 1, expit(epsilon)))
        if delta > 0:
            # Summed upwards from v - 1, instead of differences of distribution functions, which would cancel.
            mass = np.exp(log_choose + below * log_expit(epsilon) + (r - below) * log_expit(-epsilon))
            p += 2 * m * delta * float(np.max(np.cumsum(mass) / np.arange(1, v + 1)))
        return p

    if p_value(0.0) >= alpha:
        return 0.0
    low, high = 0.0, 1.0
    while p_value(high) < alpha:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if p_value(middle) < alpha else (low, middle)
    return low


def epsilon_lower_one_run_from_scores(
    scores: Float64[np.ndarray, " canaries"],
    members: Bool[np.ndarray, " canaries"],
    *,
    guesses: Sequence[int] | None = None,
    alpha: float = 0.05,
    delta: float = 0.0,
    rng: Seed,
) -> float:
    """`epsilon_lower_one_run` with "in" guessed for the top r/2 canaries and "out" for the bottom r/2.

    Several r may be tried: the largest bound is returned and each is computed at alpha / (number of r). Canaries with
    equal scores are ordered at random.

    Args:
        scores: of all canaries, from one training; higher = more likely included.
        members: True = included, by an independent fair coin.
        guesses: the values of r, even, fixed before the scores were seen; by default the even numbers just below m/64,
            m/16, m/4 and m (those of at least 2).
        alpha: chance that the bound exceeds the true epsilon, at most.
        delta: of the whole training.
        rng: orders ties.

    Returns:
        epsilon_lower >= 0.

    Raises:
        InputError: a count of guesses that is odd or outside [2, m]; see also `roc.check_columns`.
    """
    rng = generator(rng)
    _check_levels(alpha, delta)
    scores, members = check_column(scores, members)
    m = len(scores)
    if guesses is None:
        guesses = sorted({m // part // 2 * 2 for part in (64, 16, 4, 1)} - {0})
    if not guesses or any(r % 2 or not 2 <= r <= m for r in guesses):
        raise InputError(f"expected even counts of guesses between 2 and {m} canaries, got {list(guesses)}")
    included = members[np.lexsort((rng.random(m), -scores))]
    right = {r: int(included[: r // 2].sum() + (~included[m - r // 2 :]).sum()) for r in guesses}
    return max(epsilon_lower_one_run(m, r, v, delta=delta, alpha=alpha / len(right)) for r, v in right.items())


def epsilon_empirical(
    scores: Float64[np.ndarray, "samples *targets"],
    members: Bool[np.ndarray, "samples *targets"],
    *,
    alpha: float = 0.05,
    delta: float = 0.0,
    rng: Seed,
) -> float:
    """The split-threshold formula on the records of ordinary models: a heuristic, NOT a bound; mean over targets.

    One model's records are not independent trials of a training, and a record's membership is not a neighbouring pair
    of datasets; the true epsilon may be smaller than this number more often than alpha says. Never gate on it.

    Args:
        scores: higher = more likely a member.
        members: True = member.
        alpha: nominal level of the formula.
        delta: in [0, 1).
        rng: draws the halves.

    Raises:
        InputError: see `roc.check_columns`.
    """
    rng = generator(rng)
    _check_levels(alpha, delta)
    scores, members = check_columns(scores, members)
    return float(np.mean([_split_bound(s, m, alpha, delta, rng) for s, m in zip(scores.T, members.T, strict=True)]))


def _check_levels(alpha: float, delta: float) -> None:
    if not 0 < alpha < 1:
        raise InputError(f"alpha must lie strictly between 0 and 1 (0.05 for 5 %), got {alpha!r}")
    if not 0 <= delta < 1:
        raise InputError(f"delta must lie in [0, 1), got {delta!r}")
