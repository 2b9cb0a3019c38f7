import numpy as np
import pytest
from hypothesis import given, settings
from scipy.stats import binom, norm

from seepage.errors import InputError
from seepage.metrics import clopper_pearson, positive_predictive_value, roc_band, tnr_at_fnr, tpr_at_fpr
from seepage.schema.estimates import Estimate
from tests.metrics.test_roc import CASES, labelled
from tests.reference import roc as naive


def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("fpr", [0.0, 0.1, 0.3, 0.999])
def test_value_agrees_with_a_walk_over_all_thresholds(case, fpr):
    scores, members = CASES[case]
    estimate = tpr_at_fpr(scores, members, fpr, rng=rng())
    expected = naive.tpr_at_count(scores, members, int(fpr * (~members).sum() + 1e-9))
    if estimate.value is None:
        assert 0 < fpr * (~members).sum() < 1
    else:
        assert estimate.value == pytest.approx(expected, abs=1e-9)
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1
        assert estimate.high > estimate.low


def test_binary_scores_are_not_interpolated():
    """40 % of members and 10 % of non-members score 1: below an FPR of 10 % the attack finds nobody."""
    members = np.arange(200) < 100
    scores = np.where(members, np.arange(200) % 10 < 4, np.arange(200) % 10 < 1).astype(float)
    assert tpr_at_fpr(scores, members, 0.09, rng=rng()).value == 0
    assert tpr_at_fpr(scores, members, 0.10, rng=rng()).value == 0.4


def test_a_rate_is_undefined_below_one_record_and_flagged_below_ten():
    members = np.arange(700) < 200
    scores = np.random.default_rng(0).normal(size=700)
    undefined = tpr_at_fpr(scores, members, 0.001, rng=rng())
    assert (undefined.value, undefined.low, undefined.high, undefined.n) == (None, None, None, 500)
    assert "less than one of 500 non-members" in undefined.flag
    assert "few records" in tpr_at_fpr(scores, members, 0.019, rng=rng()).flag
    assert tpr_at_fpr(scores, members, 0.02, rng=rng()).flag is None
    assert "of 200 members" in tnr_at_fnr(scores, members, 0.004, rng=rng()).flag


def test_integer_counts_survive_floating_point():
    """0.07 * 100 is 7.000000000000001 and 0.29 * 100 is 28.999999999999996: both mean the integer."""
    members = np.arange(200) < 100
    scores = np.arange(200.0)[::-1] % 100
    for percent in range(1, 100):
        assert tpr_at_fpr(scores, members, percent / 100, rng=rng()).value == pytest.approx(percent / 100, abs=1e-12)


def test_no_false_positive_is_reported_as_zero_of_n_with_its_bound():
    members = np.arange(300) < 100
    scores = np.arange(300.0)[::-1]
    scores[150] = 280.5
    estimate = tpr_at_fpr(scores, members, 0.0, rng=rng())
    assert estimate.value == 0.19
    assert (estimate.low, estimate.high) == clopper_pearson(19, 100)
    assert estimate.flag == f"zero of 200 non-members: the true FPR is at most {clopper_pearson(0, 200)[1]:.2g}"


@settings(max_examples=40, deadline=None)
@given(labelled)
def test_ignores_order_and_any_increasing_map(drawn):
    scores, members, order = drawn
    estimate = tpr_at_fpr(scores, members, 0.5, rng=rng())
    assert tpr_at_fpr(scores[order], members[order], 0.5, rng=rng()) == estimate
    assert tpr_at_fpr(np.exp(scores), members, 0.5, rng=rng()) == estimate


@settings(max_examples=40, deadline=None)
@given(labelled)
def test_tnr_at_fnr_is_the_mirror_image(drawn):
    scores, members, _ = drawn
    mirrored = tpr_at_fpr(-scores, ~members, 0.5, rng=rng())
    estimate = tnr_at_fnr(scores, members, 0.5, rng=rng())
    assert (estimate.value, estimate.low, estimate.n) == (mirrored.value, mirrored.low, members.sum())


@pytest.mark.parametrize(("mu", "n", "fpr"), [(0.0, 200, 0.1), (1.0, 400, 0.02), (3.0, 300, 0.05)])
def test_interval_covers_the_tpr_at_the_populations_threshold(mu, n, fpr):
    generator, members, n_trials = np.random.default_rng(12), np.arange(2 * n) < n, 300
    truth = norm.sf(norm.isf(fpr) - mu)
    covered = claims_too_much = 0
    for _ in range(n_trials):
        estimate = tpr_at_fpr(generator.normal(size=2 * n) + mu * members, members, fpr, rng=generator)
        covered += estimate.low <= truth <= estimate.high
        claims_too_much += estimate.low > truth
    assert covered >= binom.ppf(0.001, n_trials, 0.95)
    assert claims_too_much <= binom.ppf(0.999, n_trials, 0.025)


@pytest.mark.parametrize("fpr", [0.0, 0.05])
def test_several_targets_average_with_an_interval_around(fpr):
    generator = np.random.default_rng(2)
    members = generator.random((500, 6)) < 0.5
    scores = generator.normal(size=members.shape) + members
    estimate = tpr_at_fpr(scores, members, fpr, rng=rng())
    columns = [naive.tpr_at_count(s, m, int(fpr * (~m).sum() + 1e-9)) for s, m in zip(scores.T, members.T, strict=True)]
    assert estimate.value == pytest.approx(np.mean(columns), abs=1e-9)
    assert estimate.low < estimate.value < estimate.high
    assert estimate.n == (~members).sum(axis=0).min()


def test_nothing_found_under_any_target_is_not_certainty():
    members = np.column_stack([np.arange(60) < 30, np.arange(60) < 20])
    estimate = tpr_at_fpr(-1.0 * members, members, 0.1, rng=rng())
    assert (estimate.value, estimate.low) == (0, 0)
    assert estimate.high == clopper_pearson(0, 20)[1]


@pytest.mark.parametrize("n_targets", [1, 4])
def test_band_is_the_operating_points_drawn_as_a_curve(n_targets):
    generator = np.random.default_rng(6)
    members = generator.random((300, n_targets)) < 0.5
    scores = generator.normal(size=members.shape) + members
    grid = np.array([0.0, 0.0001, 0.01, 0.1, 0.5, 1.0])
    tpr, low, high = roc_band(scores, members, grid, rng=rng())
    expected = [tpr_at_fpr(scores, members, f, rng=rng()).value for f in (0.0, 0.0, 0.01, 0.1, 0.5)]
    np.testing.assert_allclose(tpr[:-1], expected, atol=1e-12)
    assert tpr[-1] == high[-1] == 1
    assert np.all((low <= tpr) & (tpr <= high))
    assert np.all(np.diff(tpr) >= 0)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 10.0])
def test_rates_outside_their_range_are_refused(rate):
    with pytest.raises(InputError, match=r"0.01 for 1 %"):
        tpr_at_fpr(*CASES["continuous"], rate, rng=rng())


def test_positive_predictive_value_is_bayes_rule():
    ppv = positive_predictive_value(Estimate.of(0.1, 0.05, 0.2, 1000), 0.01, 0.01)
    assert (ppv.value, ppv.low, ppv.high) == pytest.approx((1 / 10.9, 0.5 / 10.4, 2 / 11.9))
    assert positive_predictive_value(Estimate.of(0.01, 0.0, 0.1, 1000), 0.01, 0.3).value == pytest.approx(0.3)


def test_positive_predictive_value_at_no_false_positive_does_not_claim_certainty():
    ppv = positive_predictive_value(Estimate.of(0.1, 0.05, 0.2, 1000), 0.0, 0.5)
    bound = clopper_pearson(0, 1000)[1]
    assert (ppv.value, ppv.high) == (1, 1)
    assert ppv.low == pytest.approx(0.05 / (0.05 + bound))
    assert positive_predictive_value(Estimate.of(0.0, 0.0, 0.1, 1000), 0.0, 0.5).value is None
    undefined = Estimate.of(None, None, None, 10, "why")
    assert positive_predictive_value(undefined, 0.001, 0.5) == undefined
