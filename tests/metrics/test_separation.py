import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import beta, binom, norm
from scipy.stats import t as student

from seepage.metrics import advantage, auc, balanced_accuracy, clopper_pearson, decision_rates, roc_auc
from seepage.schema.estimates import Estimate
from tests.metrics.test_roc import CASES
from tests.reference import roc as naive


def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("case", CASES)
def test_auc_interval_holds_the_value_and_has_width(case):
    scores, members = CASES[case]
    estimate = roc_auc(scores, members, rng=rng())
    assert estimate.value == pytest.approx(auc(scores, members), abs=1e-12)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert estimate.high - estimate.low > 0.01
    assert estimate.n == len(scores)


def many_pairs():
    """Cases of many records on both sides, no ranking near perfect."""
    generator, members = np.random.default_rng(6), np.arange(160) < 60
    normal = generator.normal(size=160) + 0.7 * members
    few = np.arange(660) < 60
    return {
        "continuous": (normal, members),
        "rounded": (np.round(normal), members),
        "binary": ((normal > 0.3).astype(float), members),
        "infinite": (np.where(normal > 1, np.inf, normal), members),
        "below one half": (-normal, members),
        "few members": (generator.normal(size=660) * (1 + 2 * few), few),
        "few non-members": (generator.normal(size=660) * (1 + 2 * few), ~few),
    }


MANY_PAIRS = many_pairs()


@pytest.mark.parametrize("case", MANY_PAIRS)
def test_auc_interval_of_many_pairs_is_students_on_the_logit_scale(case):
    scores, members = MANY_PAIRS[case]
    value = naive.auc_by_pairs(scores, members)
    quantile = naive.student_quantile(0.95, naive.delong_freedom(scores, members))
    half = quantile * np.sqrt(sum(naive.delong_variances(scores, members))) / (value * (1 - value))
    estimate = roc_auc(scores, members, confidence=0.9, rng=rng())
    assert estimate.low == pytest.approx(expit(logit(value) - half), abs=1e-7)
    assert estimate.high == pytest.approx(expit(logit(value) + half), abs=1e-7)


def test_students_degrees_of_freedom_are_those_of_the_side_that_varies():
    """Members between two blocks of non-members: all of the variance is that of the 40 non-members or 50 members."""
    members = np.arange(90) < 50
    only_outside = np.where(members, 0.0, np.where(np.arange(90) % 2, 1.0, -1.0))
    only_inside = np.where(~members, 0.0, np.where(np.arange(90) % 2, 1.0, -1.0))
    assert naive.delong_freedom(only_outside, members) == pytest.approx(39)
    assert naive.delong_freedom(only_inside, members) == pytest.approx(49)
    for scores, freedom in ((only_outside, 39), (only_inside, 49)):
        half = student.ppf(0.975, freedom) * np.sqrt(sum(naive.delong_variances(scores, members))) * 4
        assert roc_auc(scores, members, rng=rng()).low == pytest.approx(expit(-half), abs=1e-9)


def exact_by_pairs(value, pairs, confidence):
    """Clopper-Pearson for value * pairs of pairs, each tail divided by e."""
    tail, x = (1 - confidence) / 2 / np.e, value * pairs
    low = beta.ppf(tail, x, pairs - x + 1) if x > 0 else 0.0
    return low, beta.ppf(1 - tail, x + 1, pairs - x) if x < pairs else 1.0


FEW_PAIRS = [
    "all infinite",
    "binary, few members",
    "few members",
    "huge",
    "inverted",
    "many members",
    "rounded",
    "separated",
]


@pytest.mark.parametrize("confidence", [0.9, 0.999])
@pytest.mark.parametrize("case", FEW_PAIRS)
def test_auc_interval_of_few_pairs_is_an_exact_one(case, confidence):
    scores, members = CASES[case]
    pairs = min(members.sum(), (~members).sum())
    value = naive.auc_by_pairs(scores, members)
    assert pairs * min(value, 1 - value) < 15
    estimate = roc_auc(scores, members, confidence=confidence, rng=rng())
    assert (estimate.low, estimate.high) == pytest.approx(exact_by_pairs(value, pairs, confidence), abs=1e-9)


def test_fifteen_pairs_out_of_order_are_enough_for_students_law():
    """Half of the members are above half of the non-members only, so AUC 3/4; then one of them moves to the top."""
    members = np.arange(120) < 60
    scores = np.repeat([1.0, 0.0, 0.5, -0.5], 30)
    at = roc_auc(scores, members, rng=rng())
    assert at.value == 0.75
    half = student.ppf(0.975, naive.delong_freedom(scores, members))
    half *= np.sqrt(sum(naive.delong_variances(scores, members))) / (0.75 * 0.25)
    assert at.low == pytest.approx(expit(logit(0.75) - half), abs=1e-9)
    scores[30] = 0.6
    beyond = roc_auc(scores, members, rng=rng())
    assert beyond.value > 0.75
    assert (beyond.low, beyond.high) == pytest.approx(exact_by_pairs(beyond.value, 60, 0.95), abs=1e-9)
    assert beyond.low < at.low


def test_constant_scores_are_as_sure_as_their_pairs():
    scores, members = CASES["constant"]
    estimate = roc_auc(scores, members, rng=rng())
    assert estimate.value == 0.5
    assert (estimate.low, estimate.high) == clopper_pearson(15, 30)


def test_perfect_separation_is_as_sure_as_its_disjoint_pairs():
    """All of 10 pairs in order: the AUC below which that has chance 2.5 % / e, the price of a law for all levels."""
    members = np.arange(50) < 10
    estimate = roc_auc(members * 1.0, members, rng=rng())
    assert estimate.low == pytest.approx((0.025 / np.e) ** (1 / 10), abs=1e-9)
    assert (estimate.value, estimate.high) == (1.0, 1.0)


@pytest.mark.parametrize("n_in", [50, 500])
def test_auc_lower_bound_holds_far_out_in_the_tail(n_in):
    """One of 11 attacks, ten times as many records on one side, AUC 0.98, the long tail where records are few.

    A normal law on the logit scale exceeds the truth in about 10 % instead of 0.45 %.
    """
    generator, level, n_trials = np.random.default_rng(12), 0.05 / 11, 800
    members, theta = np.arange(550) < n_in, 49.0
    exceeded = normal_exceeded = 0
    for _ in range(n_trials):
        scores = generator.exponential(size=550)
        scores = scores * np.where(members, theta, 1) if n_in == 50 else -scores * np.where(members, 1 / theta, 1)
        estimate = roc_auc(scores, members, confidence=1 - 2 * level, rng=generator)
        exceeded += estimate.low > 0.98
        if estimate.value == 1:
            continue
        spread = np.sqrt(placement_variance(scores, members)) / (estimate.value * (1 - estimate.value))
        normal_exceeded += expit(logit(estimate.value) - norm.ppf(1 - level) * spread) > 0.98
    assert exceeded <= binom.ppf(0.999, n_trials, level)
    assert normal_exceeded > 5 * binom.ppf(0.999, n_trials, level)


def placement_variance(scores, members):
    below = np.searchsorted(np.sort(scores[~members]), scores[members]) / (~members).sum()
    above = 1 - np.searchsorted(np.sort(scores[members]), scores[~members]) / members.sum()
    return below.var(ddof=1) / members.sum() + above.var(ddof=1) / (~members).sum()


def test_auc_interval_covers_as_stated():
    generator, members, mu = np.random.default_rng(11), np.arange(160) < 60, 0.8
    truth, n_trials = norm.cdf(mu / np.sqrt(2)), 600
    covered = 0
    for _ in range(n_trials):
        estimate = roc_auc(generator.normal(size=160) + mu * members, members, rng=generator)
        covered += estimate.low <= truth <= estimate.high
    assert binom.ppf(0.001, n_trials, 0.95) <= covered <= binom.ppf(0.999, n_trials, 0.96)


def test_several_targets_average_and_a_spread_between_models_widens():
    generator = np.random.default_rng(3)
    members = generator.random((400, 8)) < 0.5
    noise = generator.normal(size=members.shape)
    alike = roc_auc(noise + 0.5 * members, members, rng=rng())
    apart = roc_auc(noise + np.linspace(-1, 2, 8) * members, members, rng=rng())
    columns = [auc(s, m) for s, m in zip((noise + 0.5 * members).T, members.T, strict=True)]
    assert alike.value == pytest.approx(np.mean(columns), abs=1e-12)
    assert apart.high - apart.low > 2 * (alike.high - alike.low)


def test_two_copies_of_one_target_are_no_more_sure_than_one():
    """Copies add no information: the two-way interval must not shrink by the square root of two."""
    generator = np.random.default_rng(4)
    members = generator.random(500) < 0.5
    scores = generator.normal(size=500) + 0.5 * members
    one = roc_auc(scores, members, rng=rng())
    two = roc_auc(np.column_stack([scores] * 2), np.column_stack([members] * 2), rng=rng())
    assert two.value == pytest.approx(one.value, abs=1e-12)
    assert two.high - two.low == pytest.approx(one.high - one.low, rel=0.1)


def test_auc_of_one_in_every_target_still_has_an_interval():
    members = np.column_stack([np.arange(40) < 20, np.arange(40) < 15])
    estimate = roc_auc(members * 1.0, members, rng=rng())
    assert estimate.low == clopper_pearson(15, 15)[0]
    assert estimate.high == estimate.value == 1.0


@pytest.mark.parametrize("n_targets", [1, 3])
def test_balanced_accuracy_of_separated_and_of_constant_scores(n_targets):
    members = np.tile((np.arange(60) < 20)[:, None], n_targets)
    noise = np.random.default_rng(0).normal(size=members.shape)
    separated = balanced_accuracy(noise + 100 * members, members, rng=rng())
    constant = balanced_accuracy(np.ones(members.shape), members, rng=rng())
    assert (separated.value, separated.high) == (1.0, 1.0)
    assert 0.7 < separated.low < 1.0
    assert constant.value == 0.5
    assert constant.low < 0.5 < constant.high


@pytest.mark.parametrize("scores", [[np.inf, np.inf, 0.0, -np.inf], [0.0, 0.0, -np.inf, -np.inf], [np.inf, 1, 0, 0]])
def test_balanced_accuracy_with_infinite_scores(scores):
    scores, members = np.tile(np.array(scores), 10), np.tile([True, True, False, False], 10)
    assert balanced_accuracy(scores, members, rng=rng()).value == 1.0


def test_balanced_accuracy_is_not_judged_on_the_records_that_chose_the_threshold():
    """Pure noise, few records: choosing and judging on the same gives 0.6 on average, the honest way 0.5."""
    generator, members = np.random.default_rng(8), np.arange(40) < 20
    values = [balanced_accuracy(generator.normal(size=40), members, rng=generator).value for _ in range(400)]
    assert np.mean(values) == pytest.approx(0.5, abs=0.015)


def test_balanced_accuracy_interval_rarely_claims_too_much():
    generator, members, mu = np.random.default_rng(9), np.arange(200) < 100, 1.0
    estimates = [
        balanced_accuracy(generator.normal(size=200) + mu * members, members, rng=generator) for _ in range(400)
    ]
    best_possible = norm.cdf(mu / 2)
    assert sum(e.low > best_possible for e in estimates) <= binom.ppf(0.999, 400, 0.025)


def test_rates_of_decisions_know_that_all_targets_judge_the_same_records():
    """Records differ more than targets do: an interval over 16 targets alone held the true TPR in 56 of 100 runs."""
    generator, n_runs, n, n_targets, leak, spread = np.random.default_rng(10), 60, 100, 16, 1.0, 2.0
    true = norm.sf(-leak / 2 / np.hypot(spread, 1))
    missed = np.zeros(3, int)
    for _ in range(n_runs):
        members = np.column_stack([generator.permutation(n) < n // 2 for _ in range(n_targets)])
        scores = spread * generator.normal(size=(n, 1)) + generator.normal(size=members.shape) + leak * members
        found = decision_rates(scores > leak / 2, members, rng=generator)
        missed += [not one.low <= value <= one.high for one, value in zip(found, (true, true, 1 - true), strict=True)]
    assert missed[1:].max() <= binom.ppf(0.999, n_runs, 0.05)
    assert missed[0] <= binom.ppf(0.999, n_runs, 0.05)


def test_rates_of_decisions_gain_from_targets_that_differ():
    """Where records are all alike, 16 targets judge each 16 times: the interval is far narrower than that of one."""
    generator, n, n_targets = np.random.default_rng(11), 200, 16
    members = np.column_stack([generator.permutation(n) < n // 2 for _ in range(n_targets)])
    said = generator.normal(size=members.shape) + members > 0.5
    for one in decision_rates(said, members, rng=generator)[1:]:
        alone = clopper_pearson(one.value * n // 2, n // 2)
        assert one.low < one.value < one.high
        assert one.high - one.low < 0.6 * (alone[1] - alone[0])


def test_targets_that_are_all_decided_alike_still_have_an_interval():
    members = np.column_stack([np.arange(50) < 25, np.arange(50) >= 25])
    balanced, tpr, fpr = decision_rates(members, members, rng=rng())
    assert (tpr.low, tpr.high, tpr.n) == (*clopper_pearson(25, 25), 25)
    assert (fpr.low, fpr.high, fpr.n) == (*clopper_pearson(0, 25), 25)
    assert (balanced.low, balanced.high, balanced.n) == (clopper_pearson(25, 25)[0], 1.0, 50)


def test_advantage_is_twice_the_excess_over_one_half():
    """SACRO-ML's six rows: TPR 2/3 and FPR 1/3 make a balanced accuracy of 2/3 and an advantage of 1/3."""
    assert advantage(Estimate.of(0.75, 0.5, 1.0, 9, "f")) == Estimate.of(0.5, 0.0, 1.0, 9, "f")
    assert advantage(Estimate.of((2 / 3 + 2 / 3) / 2, 0.0, 1.0, 6)).value == pytest.approx(1 / 3)
