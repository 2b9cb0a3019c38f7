import math

import numpy as np
import pytest

from seepage.errors import InputError
from seepage.metrics import log_mia, log_mia_chance, tpr_at_fpr
from tests.metrics.test_roc import CASES
from tests.reference import log_mia as naive


def rng():
    return np.random.default_rng(7)


def ranking(d, found, allowed):
    """A balanced ranking with exactly `found` members ahead of the (allowed + 1)-th non-member."""
    half = d // 2
    scores, members = np.empty(d), np.arange(d) < half
    scores[:half] = np.where(np.arange(half) < found, 3.0, 0.0)
    scores[half:] = np.where(np.arange(half) < allowed, 2.0, 1.0)
    return scores, members


@pytest.mark.parametrize(
    ("d", "found", "value"),
    [(30, 0, 0), (30, 1, 0.25), (30, 7, 0.75), (30, 15, 1), (50_000, 25, 0.3217), (50_000, 500, 0.6139)],
)
def test_published_arithmetic(d, found, value):
    result = log_mia(*ranking(d, found, 0), "a", rng=rng())
    assert result.value == pytest.approx(value, abs=5e-5)
    assert (result.true_positives, result.false_positives_allowed, result.n) == (found, 0, d)
    assert result.low <= result.value <= result.high


@pytest.mark.parametrize(("d", "count"), [(30, 4), (200, 6), (2000, 8), (20_000, 10), (50_000, 11)])
def test_regime_b_allows_the_logarithm_of_the_records_judged(d, count):
    result = log_mia(*ranking(d, 5, count), "b", rng=rng())
    assert result.false_positives_allowed == count
    assert result.true_positives == 5


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("regime", ["a", "b"])
def test_agrees_with_a_walk_over_all_thresholds(case, regime):
    scores, members = CASES[case]
    count = 0 if regime == "a" else math.ceil(math.log(len(scores)))
    assert log_mia(scores, members, regime, rng=rng()).value == pytest.approx(
        naive.log_mia(scores, members, count), abs=1e-9
    )


@pytest.mark.parametrize(
    ("d", "a", "b"),
    [(30, 0.180, 0.589), (200, 0.109, 0.424), (2000, 0.073, 0.318), (20_000, 0.053, 0.260), (50_000, 0.047, 0.244)],
)
def test_chance_agrees_with_simulated_values(d, a, b):
    assert log_mia_chance(d // 2, d // 2, 0) == pytest.approx(a, abs=0.004)
    assert log_mia_chance(d // 2, d // 2, math.ceil(math.log(d))) == pytest.approx(b, abs=0.004)


@pytest.mark.parametrize(("n_in", "n_out", "count"), [(15, 15, 0), (15, 15, 4), (3, 50, 2), (60, 5, 4), (100, 100, 6)])
def test_chance_agrees_with_exact_fractions(n_in, n_out, count):
    assert log_mia_chance(n_in, n_out, count) == pytest.approx(naive.chance(n_in, n_out, count), abs=1e-9)


def test_chance_of_a_million_records_and_of_more_errors_than_non_members():
    """For many records the members ahead of the first non-member are geometric: E ln(X + 1) = 0.5078 when balanced."""
    assert log_mia_chance(10**6, 10**6, 0) == pytest.approx(0.507834 / math.log(10**6 + 1), abs=1e-6)
    assert log_mia_chance(20, 5, 5) == 1.0


def test_random_rankings_score_their_chance():
    generator, members = np.random.default_rng(0), np.arange(60) < 25
    results = [log_mia(generator.permutation(np.arange(60.0)), members, "b", rng=generator) for _ in range(1000)]
    values = [r.value for r in results]
    assert np.mean(values) == pytest.approx(results[0].chance, abs=4 * np.std(values) / np.sqrt(1000))


def test_interval_is_that_of_the_tpr_on_another_scale():
    scores, members = CASES["continuous"]
    result, tpr = log_mia(scores, members, "a", rng=rng()), tpr_at_fpr(scores, members, 0.0, rng=rng())
    n_in = members.sum()
    assert result.low == pytest.approx(math.log(tpr.low * n_in + 1) / math.log(n_in + 1))
    assert result.high == pytest.approx(math.log(tpr.high * n_in + 1) / math.log(n_in + 1))


def test_several_targets_average():
    generator = np.random.default_rng(1)
    members = generator.random((80, 4)) < 0.5
    scores = generator.normal(size=members.shape) + members
    result = log_mia(scores, members, "b", rng=rng())
    each = [log_mia(s, m, "b", rng=rng()) for s, m in zip(scores.T, members.T, strict=True)]
    for field in ("value", "chance", "true_positives"):
        assert getattr(result, field) == pytest.approx(np.mean([getattr(e, field) for e in each]), abs=1e-12)
    assert result.low <= result.value <= result.high


def test_unknown_regime_is_refused():
    with pytest.raises(InputError, match="regime"):
        log_mia(*CASES["continuous"], "c", rng=rng())
