import numpy as np
import pytest
from scipy.stats import binom, norm
from scipy.stats import t as student

from seepage.metrics import bootstrap
from seepage.metrics.operating_points import Ranking, _WeightedCurve, operating_points
from tests.reference import roc as naive


def test_weights_stand_for_repeated_records():
    """TPR under weights is the TPR of the data set in which each record is repeated that often."""
    rng = np.random.default_rng(0)
    scores, members = np.round(rng.normal(size=40), 1), rng.random(40) < 0.4
    weights = rng.multinomial(40, np.full(40, 1 / 40), size=50).astype(float)
    fprs = np.array([0.05, 0.2, 0.5, 1.0])
    found = _WeightedCurve(Ranking(scores, members), scores, members, fprs).tpr(weights)
    for row, w in zip(found, weights.astype(int), strict=True):
        s, m = np.repeat(scores, w), np.repeat(members, w)
        expected = [naive.tpr_at_count(s, m, int(f * (~m).sum() + 1e-9)) for f in fprs]
        np.testing.assert_allclose(row, expected, atol=1e-9)


def test_two_way_variance_has_the_models_part_and_the_records_part():
    """Mean of a_t + b_i over T models and n records: the width is that of var(a)/T + var(b)/n, with Student's law."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=12), 2 * rng.normal(size=300)

    def statistic(target, weights):
        return (a[target] + weights @ b / weights.sum(axis=1))[:, None]

    (low,), (high,) = bootstrap.two_way(statistic, 300, 12, confidence=0.95, rng=rng)
    of_models, of_records = a.var(ddof=1) / 12, b.var() / 300
    freedom = 11 * ((of_models + of_records) / of_models) ** 2
    expected = 2 * student.ppf(0.975, freedom) * np.sqrt(of_models + of_records)
    assert high - low == pytest.approx(expected, rel=0.1)


def interval_of_means(a, confidence, seed=2, n=50):
    """Of models that differ by a_t and whose records do not differ."""

    def statistic(target, weights):
        return np.full((len(weights), 1), a[target])

    (low,), (high,) = bootstrap.two_way(statistic, n, len(a), confidence=confidence, rng=np.random.default_rng(seed))
    return low, high


@pytest.mark.parametrize("confidence", [0.9, 1 - 0.1 / 11])
def test_models_that_alone_differ_have_the_interval_of_their_mean(confidence):
    """No noise of records: Student's interval of T values, here four, where a normal one is far too short."""
    a = np.array([0.1, 0.4, 0.5, 0.8])
    low, high = interval_of_means(a, confidence)
    half = student.ppf((1 + confidence) / 2, 3) * a.std(ddof=1) / 2
    assert high - low == pytest.approx(2 * half, rel=0.12)
    assert (low + high) / 2 == pytest.approx(a.mean(), abs=0.05 * half)


def test_models_that_do_not_differ_are_not_widened():
    rng = np.random.default_rng(3)
    b = rng.normal(size=400)

    def statistic(target, weights):
        return (weights @ b / weights.sum(axis=1))[:, None]

    for n_targets in (2, 8):
        (low,), (high,) = bootstrap.two_way(statistic, 400, n_targets, confidence=0.95, rng=rng)
        assert high - low == pytest.approx(2 * 1.96 * b.std() / 20, rel=0.08)
    assert interval_of_means(np.full(3, 0.7), 0.95) == pytest.approx((0.7, 0.7))


def test_a_lower_bound_far_out_holds_where_a_few_models_differ():
    """Five models drawn from N(0, 1), one of 11 attacks at 5 %: a normal tail exceeds in 3 % instead of 0.45 %."""
    rng, level, n_trials = np.random.default_rng(4), 0.05 / 11, 400
    drawn = rng.normal(size=(n_trials, 5))
    exceeded = sum(interval_of_means(a, 1 - 2 * level, seed)[0] > 0 for seed, a in enumerate(drawn))
    by_normal = drawn.mean(axis=1) > norm.ppf(1 - level) * drawn.std(axis=1, ddof=1) / np.sqrt(5)
    assert exceeded <= binom.ppf(0.999, n_trials, level)
    assert by_normal.sum() > binom.ppf(0.999, n_trials, level)


def test_resamples_without_a_member_are_left_out():
    """With 2 members among 6 records one resample in eleven has none; the interval is still finite."""
    scores = np.array([[3.0, 1], [2, 4], [1, 2], [0, 3], [4, 0], [5, 6]])
    members = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [0, 0], [0, 0]], dtype=bool)
    _, low, high = operating_points(scores, members, [0.5], confidence=0.9, rng=np.random.default_rng(0))
    assert 0 <= low[0] <= high[0] <= 1


def test_blocks_of_replicates_make_one_bootstrap(monkeypatch):
    monkeypatch.setattr(bootstrap, "BLOCK_CELLS", 300)
    seen = []

    def statistic(target, weights):
        seen.append(len(weights))
        return weights[:, :1]

    bootstrap.two_way(statistic, 100, 2, confidence=0.9, rng=np.random.default_rng(0))
    assert max(seen) == 3
    assert sum(seen) == 2 * bootstrap.MOST_REPLICATES + 2  # and the records as they are, once a target
