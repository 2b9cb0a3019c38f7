"""How well scores separate members from non-members: AUC, balanced accuracy, advantage."""

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import expit, logit
from scipy.stats import rankdata
from scipy.stats import t as student

from seepage.metrics.bootstrap import two_way, weighted_mean
from seepage.metrics.intervals import check_confidence, clopper_pearson
from seepage.metrics.roc import check_columns, threshold_counts
from seepage.randomness import Seed, generator
from seepage.schema.estimates import Estimate

FEWEST_PAIRS = 15  # out of order, among min(n_in, n_out), for which a normal law is trusted


def roc_auc(
    scores: Float64[np.ndarray, "samples *targets"],
    members: Bool[np.ndarray, "samples *targets"],
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> Estimate:
    """Area under the ROC curve (mean over targets) with its interval.

    One target: DeLong's variance on the logit scale,

        logit(AUC) +- t sd / (AUC (1 - AUC)),  sd^2 = var(V_in) / n_in + var(V_out) / n_out,

    V_in being the share of non-members below each member and V_out the share of members above each non-member, t
    Student's quantile with Satterthwaite's degrees of freedom. Several targets: two-way bootstrap of the same
    placements, AUC* = mean(V_in) + mean(V_out) - AUC under the drawn weights.

    Where few pairs are out of order, the variance hangs on records that were hardly drawn, and at extreme levels the
    normal law fails (at AUC 0.98, 50 : 500 records and level 0.995 it missed twenty times as often as stated). So
    where k min(AUC, 1 - AUC) < 15, k = min(n_in, n_out), the interval is one that holds for any distribution and any
    level: Clopper-Pearson for AUC k of k pairs, each tail divided by e. The AUC is an average over all ways to form k
    disjoint pairs, so it is below a binomial share in convex order (Hoeffding), and the tail of anything so ordered is
    at most e times the binomial one (Bentkus).

    Args:
        scores: higher = more likely a member.
        members: True = member.
        confidence: two-sided.
        rng: resamples; unused for one target.

    Returns:
        Estimate with n = records.

    Raises:
        InputError: see `roc.check_columns`.

    Reference: DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44(3); Sun and Xu (2014), IEEE SPL 21(11), for the
        midrank form; Pepe (2003), The Statistical Evaluation of Medical Tests, for the logit scale; Hoeffding (1963),
        JASA 58(301), section 5, and Bentkus (2004), Annals of Probability 32(2), theorem 1.2, for the tail. Where the
        two meet (15 pairs) was chosen by simulation.
    """
    rng = generator(rng)
    check_confidence(confidence)
    scores, members = check_columns(scores, members)
    n_samples, n_targets = scores.shape
    placements = np.column_stack([_placements(s, m) for s, m in zip(scores.T, members.T, strict=True)])
    by_target = np.array([p[m].mean() for p, m in zip(placements.T, members.T, strict=True)])
    value = float(by_target.mean())

    n_in = members.sum(axis=0)
    pairs = int(np.minimum(n_in, n_samples - n_in).min())
    if n_targets > 1:

        def statistic(target, weights):
            v, m = placements[:, target], members[:, target]
            return weighted_mean(v, weights, m) + weighted_mean(v, weights, ~m) - by_target[target]

        (low,), (high,) = two_way(statistic, n_samples, n_targets, confidence=confidence, rng=rng)
    elif pairs * min(value, 1 - value) < FEWEST_PAIRS:
        low, high = clopper_pearson(np.clip(value, 0, 1) * pairs, pairs, 1 - (1 - confidence) / np.e)
    else:
        half_width = _student_half_width(placements[:, 0], members[:, 0], confidence) / (value * (1 - value))
        low, high = expit(logit(value) - half_width), expit(logit(value) + half_width)
    return _estimate(value, low, high, n_samples, pairs, confidence)


def _student_half_width(placements, members, confidence: float) -> float:
    """t sd of the AUC, with Satterthwaite's degrees of freedom for the two sides' variances."""
    variances = np.array([placements[side].var(ddof=1) / side.sum() for side in (members, ~members)])
    total = variances.sum()
    if total == 0:
        return 0.0
    freedom = total**2 / (variances**2 / [members.sum() - 1, (~members).sum() - 1]).sum()
    return float(student.ppf((1 + confidence) / 2, freedom) * np.sqrt(total))


def _placements(
    scores: Float64[np.ndarray, " samples"], members: Bool[np.ndarray, " samples"]
) -> Float64[np.ndarray, " samples"]:
    """For a member the share of non-members below it, for a non-member the share of members above it; ties half."""
    n_in = np.count_nonzero(members)
    n_out = len(scores) - n_in
    rank = rankdata(scores)
    placements = np.empty(len(scores))
    placements[members] = (rank[members] - rankdata(scores[members])) / n_out
    placements[~members] = 1 - (rank[~members] - rankdata(scores[~members])) / n_in
    return placements


def balanced_accuracy(
    scores: Float64[np.ndarray, "samples *targets"],
    members: Bool[np.ndarray, "samples *targets"],
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> Estimate:
    """(TPR + TNR) / 2 of the best threshold (mean over targets), never judged on the records that chose it.

    Members and non-members are split into halves at random; each half is judged by the threshold that has the largest
    TPR - FPR on the other half (midway to the next lower score), so every record is judged once.

    Interval: one target, the Clopper-Pearson intervals of TPR and TNR combined by the method of variance estimates
    recovery, BA - sqrt((TPR - low_TPR)^2 + (TNR - low_TNR)^2) / 2 and likewise above; several targets, two-way
    bootstrap. Both are conditional on the thresholds chosen.

    Args:
        scores: higher = more likely a member.
        members: True = member.
        confidence: two-sided.
        rng: draws the halves, and the resamples where there are several targets.

    Returns:
        Estimate with n = records. Below 0.5 is possible: an honest threshold can do worse than chance.

    Raises:
        InputError: see `roc.check_columns`.

    Reference: Zou and Donner (2008), Statistics in Medicine 27(10), for the combination of intervals.
    """
    rng = generator(rng)
    scores, members = check_columns(scores, members)
    correct = np.column_stack([_judged(s, m, rng) for s, m in zip(scores.T, members.T, strict=True)])
    return decision_rates(correct == members, members, confidence=confidence, rng=rng)[0]


def decision_rates(
    said: Bool[np.ndarray, "samples *targets"],
    members: Bool[np.ndarray, "samples *targets"],
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> tuple[Estimate, Estimate, Estimate]:
    """Balanced accuracy, TPR and FPR of decisions that were fixed without these records (means over targets).

    Interval of the rates: one target, Clopper-Pearson; several, two-way bootstrap, because the targets judge the same
    records: a record that looks like a member does so under all of them. Where nothing varies between the resamples it
    is Clopper-Pearson's for the records of one target. Interval of the balanced accuracy: see `balanced_accuracy`.

    Args:
        said: whom the attacker takes for a member.
        members: True = member; some of each side for every target.
        confidence: two-sided.
        rng: draws the resamples, where there are several targets.

    Returns:
        The three, with n = records, members and non-members, of the target that has fewest.
    """
    rng = generator(rng)
    check_confidence(confidence)
    said, members = (values[:, None] if values.ndim == 1 else values for values in (said, members))
    n_samples, n_targets = said.shape
    n_in, n_out = members.sum(axis=0), (~members).sum(axis=0)
    hits, alarms = (said & members).sum(axis=0), (said & ~members).sum(axis=0)
    tpr, fpr = float(np.mean(hits / n_in)), float(np.mean(alarms / n_out))
    value = float(np.mean(hits / n_in + (n_out - alarms) / n_out) / 2)

    if n_targets == 1:
        tpr_low, tpr_high = clopper_pearson(hits[0], n_in[0], confidence)
        fpr_low, fpr_high = clopper_pearson(alarms[0], n_out[0], confidence)
        low = value - np.hypot(tpr - tpr_low, fpr_high - fpr) / 2
        high = value + np.hypot(tpr_high - tpr, fpr - fpr_low) / 2
        lows, highs = (low, tpr_low, fpr_low), (high, tpr_high, fpr_high)
    else:

        def statistic(target, weights):
            c, m = said[:, target].astype(float), members[:, target]
            inside, outside = (weighted_mean(c, weights, side) for side in (m, ~m))
            return np.concatenate([(inside + 1 - outside) / 2, inside, outside], axis=1)

        lows, highs = two_way(statistic, n_samples, n_targets, confidence=confidence, rng=rng)
    trials = int(np.minimum(n_in, n_out).min()), int(n_in.min()), int(n_out.min())
    counts = n_samples, *trials[1:]
    rows = zip((value, tpr, fpr), lows, highs, counts, trials, strict=True)
    balanced, inside, outside = (_estimate(*row, confidence) for row in rows)
    return balanced, inside, outside


def _judged(
    scores: Float64[np.ndarray, " samples"], members: Bool[np.ndarray, " samples"], rng: np.random.Generator
) -> Bool[np.ndarray, " samples"]:
    """Whether each record is called rightly by the threshold of the half that it is not in."""
    levels = np.unique(scores)
    if len(levels) == 2:  # there is one threshold, so none is chosen
        return (scores == levels[1]) == members
    first = random_half(members, rng)
    called = np.empty(len(scores), dtype=bool)
    for half in (first, ~first):
        called[~half] = scores[~half] >= _best_threshold(scores[half], members[half])
    return called == members


def random_half(members: Bool[np.ndarray, " samples"], rng: Seed) -> Bool[np.ndarray, " samples"]:
    """A random half of the members and of the non-members."""
    rng = generator(rng)
    half = np.zeros(len(members), dtype=bool)
    for group in (np.flatnonzero(members), np.flatnonzero(~members)):
        half[rng.permutation(group)[: len(group) // 2]] = True
    return half


def _best_threshold(scores: Float64[np.ndarray, " samples"], members: Bool[np.ndarray, " samples"]) -> float:
    thresholds, true_positives, false_positives = threshold_counts(scores, members)
    best = int(np.argmax(true_positives / true_positives[-1] - false_positives / false_positives[-1]))
    if best == len(thresholds) - 1:
        return -np.inf
    upper, lower = thresholds[best], thresholds[best + 1]
    middle = lower / 2 + upper / 2  # halved first: the sum of two large scores may overflow
    return middle if lower < middle <= upper else upper


def advantage(balanced_accuracy: Estimate) -> Estimate:
    """Membership advantage, 2 BA - 1: TPR - FPR of the honest threshold.

    >>> print(advantage(Estimate.of(0.75, 0.5, 1.0, 8)).value)
    0.5

    Reference: Yeom, Giacomelli, Fredrikson and Jha (2018), arXiv 1709.01604.
    """
    return balanced_accuracy.through(lambda accuracy: 2 * accuracy - 1)


def _estimate(value: float, low: float, high: float, n: int, trials: int, confidence: float) -> Estimate:
    """The estimate within [0, 1]; where nothing varied, the exact interval of as many independent trials."""
    if np.isnan(low) or high - low < 1e-12:
        low, high = clopper_pearson(np.clip(value, 0, 1) * trials, trials, confidence)
    return Estimate.of(value, float(np.clip(min(low, value), 0, 1)), float(np.clip(max(high, value), 0, 1)), n)
