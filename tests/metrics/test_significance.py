import itertools

import numpy as np
import pytest
from scipy.stats import binom, hypergeom, mannwhitneyu

from seepage.errors import InputError
from seepage.metrics import benjamini_hochberg, exposure, holm, leak_p_value, smallest_detectable
from seepage.metrics.significance import _p_auc, _p_top, _top


def assert_holds_its_level(p_values, alpha=0.05):
    p_values = np.asarray(p_values)
    assert np.sum(p_values <= alpha) <= binom.ppf(0.999, len(p_values), alpha)


KINDS = {
    "continuous": lambda g, shape: g.normal(size=shape),
    "rounded": lambda g, shape: np.round(g.normal(size=shape)),
    "binary": lambda g, shape: (g.random(shape) < 0.4).astype(float),
    "rarely one": lambda g, shape: (g.random(shape) < 0.05).astype(float),
    "infinite": lambda g, shape: np.where(g.random(shape) < 0.2, np.inf, g.normal(size=shape)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [12, 80])
def test_level_without_a_leak(kind, n):
    generator = np.random.default_rng(21)
    members = [generator.permutation(np.arange(n) < n // 3) for _ in range(500)]
    assert_holds_its_level([leak_p_value(KINDS[kind](generator, n), m) for m in members])


@pytest.mark.parametrize("scores", [[0, 0, 0, 0, 0, 1, 1, 1, 1, 1], [0, 1, 1, 2, 2, 2, 3, 3, 3, 3], [0] * 9 + [1]])
def test_both_tests_hold_every_level_under_all_memberships_of_ten_tied_records(scores):
    """The whole permutation law: at each attainable p, no more than a share p of memberships gets there."""
    scores = np.array(scores, dtype=float)[:, None]
    p_auc, p_top = [], []
    for chosen in itertools.combinations(range(10), 4):
        members = np.isin(np.arange(10), chosen)[:, None]
        p_auc.append(_p_auc(scores, members))
        p_top.append(_p_top(scores, members))
    for p_values in (p_auc, p_top):
        for p in np.unique(p_values):
            assert np.mean(p_values <= p) <= p + 1e-12


@pytest.mark.parametrize("shape", [30, (30, 3)])
def test_constant_scores_have_a_p_value_of_one(shape):
    members = np.broadcast_to((np.arange(30) < 15).reshape(-1, *[1] * (len(np.shape(np.ones(shape))) - 1)), shape)
    assert leak_p_value(np.ones(shape), members.copy()) == 1.0


@pytest.mark.parametrize("design", ["own coin flips", "one membership for all", "common difficulty", "few members"])
@pytest.mark.parametrize("n_targets", [2, 8])
def test_level_over_several_targets(design, n_targets):
    generator, p_values = np.random.default_rng(22), []
    for _ in range(300):
        members = generator.random((100, n_targets)) < (0.15 if design == "few members" else 0.5)
        scores = generator.normal(size=members.shape)
        if design == "one membership for all":
            members = np.repeat(members[:, :1], n_targets, axis=1)
        if design != "own coin flips":
            scores = scores + 2 * generator.normal(size=(100, 1))
        p_values.append(leak_p_value(scores, members))
    assert_holds_its_level(p_values)


def test_level_where_every_model_takes_its_turn():
    """Scores calibrated on the other targets: independent z-scores would be wrong by the square root of two."""
    generator, p_values, naive = np.random.default_rng(23), [], []
    for _ in range(400):
        members = generator.random((100, 8)) < 0.5
        signed = np.where(members, 1.0, -1.0)
        outputs = generator.normal(size=members.shape)
        others = (signed * outputs).sum(axis=1, keepdims=True) - signed * outputs
        scores = outputs * others
        p_values.append(leak_p_value(scores, members))
        z = [mannwhitneyu(s[m], s[~m]).statistic for s, m in zip(scores.T, members.T, strict=True)]
        n_in = members.sum(axis=0)
        sd = np.sqrt(n_in * (100 - n_in) * 101 / 12)
        naive.append(np.sum((np.array(z) - n_in * (100 - n_in) / 2) / sd) / np.sqrt(8))
    assert_holds_its_level(p_values)
    assert np.std(naive) > 1.25


@pytest.mark.parametrize("n_targets", [1, 4])
def test_a_leak_of_many_and_a_leak_of_few_are_found(n_targets):
    generator = np.random.default_rng(24)
    members = generator.random((600, n_targets)) < 0.5
    noise = generator.normal(size=members.shape)
    few = members & (generator.random(members.shape) < 0.04)
    assert leak_p_value(noise + 0.6 * members, members) < 1e-6
    assert leak_p_value(noise + 6 * few, members) < 0.01
    assert leak_p_value(noise - members, members) == 1.0


def test_rank_test_agrees_with_scipy_exactly_where_few_and_nearly_where_many():
    generator = np.random.default_rng(29)
    for n, method, tolerance in ((40, "exact", 1e-9), (2000, "asymptotic", 2e-4)):
        members = np.arange(n) < n // 3
        scores = generator.normal(size=n) + 0.2 * members
        expected = mannwhitneyu(scores[members], scores[~members], alternative="greater", method=method).pvalue
        assert _p_auc(scores[:, None], members[:, None]) == pytest.approx(expected, abs=tolerance)


def test_rank_test_of_two_distinct_scores_is_the_hypergeometric_one():
    """Few members, few ones: 2 of 10 members among 20 ones in 1,000 has a chance of 1.6 %, not the normal 0.16 %."""
    scores, members = np.zeros(1000), np.zeros(1000, dtype=bool)
    scores[:20], members[18:28] = 1.0, True
    exact = hypergeom.sf(1, 1000, 20, 10)
    assert exact <= _p_auc(scores[:, None], members[:, None]) < 2 * exact
    small = slice(0, 48)
    exact = hypergeom.sf(1, 48, 20, 10)
    assert _p_auc(scores[small, None], members[small, None]) == pytest.approx(exact, abs=1e-12)


def test_the_top_is_ten_or_one_percent_or_half_and_never_cuts_a_tie():
    assert _top(np.arange(15.0)).sum() == 7
    assert _top(np.arange(500.0)).sum() == 10
    assert _top(np.arange(5000.0)).sum() == 50
    assert _top(np.repeat(np.arange(100.0), 8)).sum() == 8  # a second block would make 16
    assert _top((np.arange(500) < 200).astype(float)).sum() == 200
    assert _top(np.ones(500)).all()


def test_holm_and_benjamini_hochberg_by_hand():
    p = np.array([0.01, 0.04, 0.03, 0.5])
    np.testing.assert_allclose(holm(p), [0.04, 0.09, 0.09, 0.5])
    np.testing.assert_allclose(benjamini_hochberg(p), [0.04, 0.16 / 3, 0.16 / 3, 0.5])
    assert holm([0.4, 0.9]).tolist() == [0.8, 0.9]
    assert holm([]).size == 0
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        holm([0.1, np.nan])


def test_holm_keeps_the_best_of_eight_honest():
    generator = np.random.default_rng(25)
    assert_holds_its_level([holm(generator.random(8)).min() for _ in range(1000)])


def test_exposure_counts_non_members_at_least_as_high_ties_included():
    scores = np.array([3.0, 2.0, -np.inf, 3.0, 2.0, 1.0, np.inf])
    members = np.array([True, True, True, False, False, False, False])
    p, q = exposure(scores, members)
    assert p.tolist() == [3 / 5, 4 / 5, 1.0]
    np.testing.assert_allclose(q, [1.0, 1.0, 1.0])


def test_exposed_records_are_found_at_the_stated_false_discovery_rate():
    """40 of 400 members stand out; of those called at q <= 0.2 at most a fifth is wrong on average."""
    generator, members, wrong, found = np.random.default_rng(26), np.arange(2400) < 400, [], []
    for _ in range(100):
        scores = generator.normal(size=2400) + 6 * (np.arange(2400) < 40)
        called = exposure(scores, members)[1] <= 0.2
        wrong.append(called[40:].sum() / max(1, called.sum()))
        found.append(called[:40].mean())
    assert np.mean(wrong) <= 0.22
    assert np.mean(found) > 0.9


def test_smallest_detectable_auc_is_found_with_its_power():
    generator, members = np.random.default_rng(27), np.arange(160) < 80
    auc, _ = smallest_detectable(80, 80, alpha=0.05, fpr=0.05)
    exponent = auc / (1 - auc)  # U^(1/k) against uniform scores has an AUC of k / (k + 1)
    hits = 0
    for _ in range(400):
        scores = generator.random(160) ** np.where(members, 1 / exponent, 1.0)
        hits += _p_auc(scores[:, None], members[:, None]) <= 0.05
    assert hits / 400 == pytest.approx(0.8, abs=0.06)


def test_smallest_detectable_tpr_against_a_plain_sum():
    """One more member than x_c - 1 is too rare by chance, and Bin(n_in, tpr) reaches x_c four times out of five."""
    n_in, n_out, alpha, k = 40, 60, 0.05, 3
    _, tpr = smallest_detectable(n_in, n_out, alpha=alpha, fpr=0.05)
    generator = np.random.default_rng(28)
    order = generator.random((20_000, n_in + n_out)).argsort(axis=1) < n_in
    before = np.cumsum(~order, axis=1) <= k
    found = (order & before).sum(axis=1)
    x_c = next(x for x in range(n_in + 1) if np.mean(found >= x) <= alpha)
    assert binom.sf(x_c - 1, n_in, tpr) == pytest.approx(0.8, abs=1e-9)


def test_smallest_detectable_shrinks_with_records_and_is_one_where_nothing_can_be_found():
    small, large = (smallest_detectable(n, n, alpha=0.025, fpr=0.01) for n in (100, 10_000))
    assert large[0] < small[0] < 1
    assert large[1] < small[1] < 1
    assert smallest_detectable(2, 2, alpha=0.001, fpr=0.0) == (1.0, 1.0)
    with pytest.raises(InputError, match="alpha"):
        smallest_detectable(100, 100, alpha=5.0, fpr=0.01)
