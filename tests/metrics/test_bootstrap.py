import numpy as np
import pytest

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
    """Mean of a_t + b_i over T models and n records: the interval's width is that of var(a)/T + var(b)/n."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=12), 2 * rng.normal(size=300)

    def statistic(target, weights):
        return (a[target] + weights @ b / weights.sum(axis=1))[:, None]

    (low,), (high,) = bootstrap.two_way(statistic, 300, 12, confidence=0.95, rng=rng)
    expected = 2 * 1.96 * np.sqrt(a.var(ddof=1) / 12 + b.var() / 300)
    assert high - low == pytest.approx(expected, rel=0.12)


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
    assert sum(seen) == 2 * bootstrap.MOST_REPLICATES
