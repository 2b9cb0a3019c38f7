import itertools

import numpy as np
import pytest
from scipy.stats import binom, hypergeom, mannwhitneyu

from seepage.errors import InputError
from seepage.metrics import (
    N_TESTS,
    benjamini_hochberg,
    exposure,
    holm,
    leak_p_value,
    smallest_detectable_auc,
    smallest_detectable_tpr,
)
from seepage.metrics.significance import SHAPES_OF_LEAK, _p_auc, _p_rate, _p_top, _top
from tests.reference import significance as naive


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


FPRS = [None, 0.0, 0.1]


@pytest.mark.parametrize("fpr", FPRS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [12, 80])
def test_level_without_a_leak(kind, n, fpr):
    generator = np.random.default_rng(21)
    members = [generator.permutation(np.arange(n) < n // 3) for _ in range(500)]
    assert_holds_its_level([leak_p_value(KINDS[kind](generator, n), m, fpr=fpr) for m in members])


TIED = [[0, 0, 0, 0, 0, 1, 1, 1, 1, 1], [0, 1, 1, 2, 2, 2, 3, 3, 3, 3], [0] * 9 + [1], list(range(10))]


@pytest.mark.parametrize("scores", TIED)
def test_every_test_holds_every_level_under_all_memberships_of_ten_records(scores):
    """The whole permutation law: at each attainable p, no more than a share p of memberships gets there."""
    scores = np.array(scores, dtype=float)
    tests = {
        "auc": lambda m: _p_auc(scores[:, None], m[:, None]),
        "top": lambda m: _p_top(scores[:, None], m[:, None]),
        **{f"rate {fpr}": lambda m, fpr=fpr: _p_rate(scores, m, fpr) for fpr in (0.0, 0.2, 0.5, 0.99)},
        "all": lambda m: leak_p_value(scores, m, fpr=0.2),
    }
    drawn = [np.isin(np.arange(10), chosen) for chosen in itertools.combinations(range(10), 4)]
    for test in tests.values():
        p_values = np.array([test(members) for members in drawn])
        for p in np.unique(p_values):
            assert np.mean(p_values <= p) <= p + 1e-12


@pytest.mark.parametrize("fpr", FPRS)
@pytest.mark.parametrize("scores", [*TIED, [-np.inf, 0, 0, 1, 2, 2, 3, np.inf, np.inf, 9]])
def test_p_value_is_that_of_all_memberships_counted_out(scores, fpr):
    scores = np.array(scores, dtype=float)
    generator = np.random.default_rng(30)
    for n_in in (2, 4, 8):
        for _ in range(3):
            members = np.isin(np.arange(10), np.argsort(scores + generator.normal(size=10))[-n_in:])
            expected = naive.p_value(scores.tolist(), members.tolist(), fpr)
            assert leak_p_value(scores, members, fpr=fpr) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("fpr", "k"), [(0.0, 0), (0.07, 7), (0.0799, 7), (0.99, 99)])
def test_the_rate_tested_allows_the_false_positives_that_are_meant(fpr, k):
    """0.07 of 100 non-members is 7 of them; a member that ties with the eighth is not above it."""
    members = np.arange(140) < 40
    scores = np.concatenate([np.full(40, 99.5 - k), np.arange(100.0)])
    assert _p_rate(scores, members, fpr) == pytest.approx(hypergeom.sf(39, 140, 40, 40 + k), rel=1e-9)
    scores[:5] = 99.0 - k
    assert _p_rate(scores, members, fpr) == pytest.approx(hypergeom.sf(34, 140, 40, 35 + k), rel=1e-9)


@pytest.mark.parametrize("n_targets", [1, 3])
def test_a_leak_at_one_rate_and_under_one_target_is_paid_for_by_the_number_of_tests_and_of_targets(n_targets):
    """A quarter of the members among the highest tenth of the non-members, and the rest so low that the AUC is 1/2."""
    generator, n = np.random.default_rng(31), 2000
    members = np.tile((np.arange(n) < n // 2)[:, None], n_targets)
    scores = generator.permuted(np.tile(np.arange(n, dtype=float)[:, None], n_targets), axis=0)
    u = generator.random(n // 2)
    leaking = np.where(np.arange(n // 2) < n // 8, 0.1 * u, 0.1 + 0.9 * u ** (1 / 2.1))
    scores[:, 0] = -np.concatenate([leaking, generator.random(n // 2)])
    found = int((scores[: n // 2, 0] > np.sort(scores[n // 2 :, 0])[-101]).sum())
    chance = hypergeom.sf(found - 1, n, n // 2, found + 100)
    assert leak_p_value(scores, members, fpr=0.1) == pytest.approx(N_TESTS * n_targets * chance, rel=1e-9)
    assert N_TESTS * n_targets * chance < 1e-6 < leak_p_value(scores, members)


def test_without_a_rate_the_p_value_is_twice_the_lesser_of_two_and_with_one_never_less_than_thrice():
    generator, members = np.random.default_rng(32), np.arange(300) < 100
    for shift in (0.0, 0.3, 0.6):
        scores = generator.normal(size=300) + shift * members
        parts = [_p_auc(scores[:, None], members[:, None]), _p_top(scores[:, None], members[:, None])]
        assert leak_p_value(scores, members) == min(1, 2 * min(parts))
        parts.append(_p_rate(scores, members, 0.05))
        assert leak_p_value(scores, members, fpr=0.05) == min(1, 3 * min(parts))


@pytest.mark.parametrize("fpr", [-0.01, 1.0, np.nan])
def test_a_rate_out_of_range_is_refused(fpr):
    with pytest.raises(InputError, match="FPR"):
        leak_p_value(np.arange(10.0), np.arange(10) < 5, fpr=fpr)


@pytest.mark.parametrize("shape", [30, (30, 3)])
def test_constant_scores_have_a_p_value_of_one(shape):
    members = np.broadcast_to((np.arange(30) < 15).reshape(-1, *[1] * (len(np.shape(np.ones(shape))) - 1)), shape)
    for fpr in FPRS:
        assert leak_p_value(np.ones(shape), members.copy(), fpr=fpr) == 1.0


@pytest.mark.parametrize("design", ["own coin flips", "one membership for all", "common difficulty", "few members"])
@pytest.mark.parametrize("fpr", [None, 0.1])
@pytest.mark.parametrize("n_targets", [2, 8])
def test_level_over_several_targets(design, n_targets, fpr):
    generator, p_values = np.random.default_rng(22), []
    for _ in range(300):
        members = generator.random((100, n_targets)) < (0.15 if design == "few members" else 0.5)
        scores = generator.normal(size=members.shape)
        if design == "one membership for all":
            members = np.repeat(members[:, :1], n_targets, axis=1)
        if design != "own coin flips":
            scores = scores + 2 * generator.normal(size=(100, 1))
        p_values.append(leak_p_value(scores, members, fpr=fpr))
    assert_holds_its_level(p_values)


def test_level_where_every_model_takes_its_turn():
    """Scores calibrated on the other targets: independent z-scores would be wrong by the square root of two."""
    generator, p_values, with_rate, independent = np.random.default_rng(23), [], [], []
    for _ in range(400):
        members = generator.random((100, 8)) < 0.5
        signed = np.where(members, 1.0, -1.0)
        outputs = generator.normal(size=members.shape)
        others = (signed * outputs).sum(axis=1, keepdims=True) - signed * outputs
        scores = outputs * others
        p_values.append(leak_p_value(scores, members))
        with_rate.append(leak_p_value(scores, members, fpr=0.1))
        z = [mannwhitneyu(s[m], s[~m]).statistic for s, m in zip(scores.T, members.T, strict=True)]
        n_in = members.sum(axis=0)
        sd = np.sqrt(n_in * (100 - n_in) * 101 / 12)
        independent.append(np.sum((np.array(z) - n_in * (100 - n_in) / 2) / sd) / np.sqrt(8))
    assert_holds_its_level(p_values)
    assert_holds_its_level(with_rate)
    assert np.std(independent) > 1.25


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
    auc = smallest_detectable_auc(80, 80, alpha=0.05)
    exponent = auc / (1 - auc)  # U^(1/k) against uniform scores has an AUC of k / (k + 1)
    hits = 0
    for _ in range(400):
        scores = generator.random(160) ** np.where(members, 1 / exponent, 1.0)
        hits += _p_auc(scores[:, None], members[:, None]) <= 0.05
    assert hits / 400 == pytest.approx(0.8, abs=0.06)


def inverse(shape, v, t, fpr):
    """FPR of the threshold at which a member of a planted leak stands, from a uniform v: no code of the curves."""
    if shape == "flat":
        return np.where(v < t, fpr * v / t, fpr + (1 - fpr) * (v - t) / (1 - t))
    if shape == "rising":
        return v ** (np.log(fpr) / np.log(t))
    return np.maximum(0, (v - (t - fpr) / (1 - fpr)) / (1 - (t - fpr) / (1 - fpr)))


@pytest.mark.parametrize("fpr", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("shape", SHAPES_OF_LEAK)
def test_curves_of_a_leak_rise_from_nothing_through_the_tpr_that_is_named(shape, fpr):
    curve, u = SHAPES_OF_LEAK[shape], np.linspace(1e-9, 1, 500)
    t = fpr + 0.3 * (1 - fpr)
    assert curve(np.array([fpr]), t, fpr)[0] == pytest.approx(t)
    assert curve(np.array([1.0]), t, fpr)[0] == pytest.approx(1.0)
    assert np.all(np.diff(curve(u, t, fpr)) >= 0)
    assert np.all(curve(u, t, fpr) >= u - 1e-12)
    members = inverse(shape, np.random.default_rng(33).random(40_000), t, fpr)
    for point in (fpr / 3, fpr, (1 + fpr) / 2):
        assert np.mean(members <= point) == pytest.approx(float(curve(np.array([point]), t, fpr)[0]), abs=0.012)


@pytest.mark.parametrize(
    ("n_in", "n_out", "fpr", "alpha"),
    [(200, 200, 0.1, 0.05 / 3), (1000, 1000, 0.01, 0.05 / 33), (60, 600, 0.05, 0.01), (600, 60, 0.2, 0.05 / 12)],
)
def test_smallest_detectable_tpr_is_found_with_its_power_in_the_worst_shape_and_more_often_in_the_others(
    n_in, n_out, fpr, alpha
):
    tpr = smallest_detectable_tpr(n_in, n_out, alpha=alpha, fpr=fpr)
    generator, n_trials = np.random.default_rng(28), 3000
    members = np.arange(n_in + n_out) < n_in
    chances = {}

    def is_found(inside, outside):
        threshold = np.partition(outside, int(fpr * n_out + 1e-9))[int(fpr * n_out + 1e-9)]
        count = int((inside < threshold).sum())
        if count not in chances:
            ranked = -np.concatenate([inside, outside])
            chances[count] = _p_rate(ranked, members, fpr)
        return chances[count] <= alpha

    powers = []
    for shape in SHAPES_OF_LEAK:
        drawn = generator.random((n_trials, n_in + n_out))
        inside = inverse(shape, drawn[:, :n_in], tpr, fpr)
        powers.append(np.mean([is_found(*row) for row in zip(inside, drawn[:, n_in:], strict=True)]))
    assert min(powers) == pytest.approx(0.8, abs=0.03)
    assert tpr > fpr


@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_smallest_detectable_tpr_at_rate_zero_against_a_plain_sum(power):
    """Only extra members above everybody are a leak there, and the others may be above every non-member by chance."""
    n_in, n_out, alpha = 30, 40, 0.02
    count = next(x for x in range(1, n_in) if naive.power_of_extra_members(n_in, n_out, 0.0, x) <= alpha)
    tpr = smallest_detectable_tpr(n_in, n_out, alpha=alpha, fpr=0.0, power=power)
    assert naive.power_of_extra_members(n_in, n_out, tpr, count) == pytest.approx(power, abs=1e-3)


def test_the_old_figure_was_too_small():
    """A count at the FPR itself, Pr[Bin(n_in, t) >= x] = power, forgets that the threshold moves."""
    n, fpr, alpha = 1000, 0.01, 0.05 / 3
    count = next(x for x in range(n) if hypergeom.sf(x - 1, 2 * n, n, x + 10) <= alpha)
    fixed = next(t for t in np.linspace(fpr, 0.1, 10_000) if binom.sf(count - 1, n, t) >= 0.8)
    assert smallest_detectable_tpr(n, n, alpha=alpha, fpr=fpr) > 1.1 * fixed


def test_smallest_detectable_shrinks_with_records_and_is_one_where_nothing_can_be_found():
    for smallest in (smallest_detectable_auc, lambda *n, **k: smallest_detectable_tpr(*n, fpr=0.01, **k)):
        few, more, most = (smallest(n, n, alpha=0.025) for n in (100, 10_000, 1_000_000))
        assert most < more < few < 1
        assert smallest(1000, 1000, alpha=0.001) > smallest(1000, 1000, alpha=0.05)
        assert smallest(1000, 1000, alpha=0.01, power=0.9) > smallest(1000, 1000, alpha=0.01, power=0.6)
    assert smallest_detectable_tpr(10**6, 10**6, alpha=0.01, fpr=0.1) == pytest.approx(0.1, abs=0.003)
    assert smallest_detectable_auc(10**6, 10**6, alpha=0.01) == pytest.approx(0.5, abs=0.003)
    assert smallest_detectable_auc(2, 2, alpha=0.001) == 1.0
    assert smallest_detectable_tpr(2, 2, alpha=0.001, fpr=0.0) == 1.0
    assert smallest_detectable_tpr(200, 3, alpha=0.001, fpr=0.1) == 1.0


@pytest.mark.parametrize("bad", [{"alpha": 5.0}, {"alpha": 0.0}, {"power": 1.0}, {"power": 0.4}])
def test_smallest_detectable_refuses_levels_out_of_range(bad):
    levels = {"alpha": 0.05} | bad
    with pytest.raises(InputError, match="alpha"):
        smallest_detectable_auc(100, 100, **levels)
    with pytest.raises(InputError, match="alpha"):
        smallest_detectable_tpr(100, 100, fpr=0.01, **levels)


def test_smallest_detectable_refuses_rates_and_sides_out_of_range():
    with pytest.raises(InputError, match="FPR"):
        smallest_detectable_tpr(100, 100, alpha=0.05, fpr=1.0)
    with pytest.raises(InputError, match="n_in"):
        smallest_detectable_auc(0, 100, alpha=0.05)
