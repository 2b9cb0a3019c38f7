import numpy as np
import pytest
from scipy.stats import binom

from seepage.errors import InputError
from seepage.metrics import (
    epsilon_empirical,
    epsilon_lower_clopper_pearson,
    epsilon_lower_from_scores,
    epsilon_lower_one_run,
    epsilon_lower_one_run_from_scores,
)
from tests.reference import epsilon as naive


def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize(
    ("tp", "p", "fp", "n", "expected"),
    [
        (50, 1000, 1, 1000, 1.90454),
        (50, 1000, 0, 1000, 2.31646),
        (1000, 1000, 0, 1000, 5.60059),
        (300, 25000, 11, 25000, 2.60839),
    ],
)
def test_clopper_pearson_vectors(tp, p, fp, n, expected):
    assert epsilon_lower_clopper_pearson(tp, p, fp, n) == pytest.approx(expected, abs=5e-6)


def test_clopper_pearson_at_one_percent_reaches_the_published_ceiling():
    """500 trainings each way without an error: 4.54 (Jagielski et al. 2020)."""
    assert epsilon_lower_clopper_pearson(500, 500, 0, 500, alpha=0.01) == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize(
    "counts", [(0, 20, 0, 20), (20, 20, 20, 20), (5, 20, 1, 30), (19, 20, 15, 20), (20, 20, 0, 20)]
)
@pytest.mark.parametrize("delta", [0.0, 1e-5, 0.1])
def test_clopper_pearson_agrees_with_binomial_sums(counts, delta):
    expected = naive.epsilon_lower(*counts, 0.05, delta)
    assert epsilon_lower_clopper_pearson(*counts, delta=delta) == pytest.approx(expected, abs=1e-9)


def test_clopper_pearson_of_arrays_is_that_of_each_element():
    tp, fp = np.array([0, 10, 50]), np.array([0, 1, 50])
    each = [epsilon_lower_clopper_pearson(a, 50, b, 60) for a, b in zip(tp, fp, strict=True)]
    np.testing.assert_array_equal(epsilon_lower_clopper_pearson(tp, 50, fp, 60), each)


def test_calling_everybody_out_or_in_proves_nothing_and_the_two_sides_are_alike():
    assert epsilon_lower_clopper_pearson(0, 100, 0, 100) == 0
    assert epsilon_lower_clopper_pearson(100, 100, 100, 100) == 0
    one = epsilon_lower_clopper_pearson(30, 100, 0, 100)
    other = epsilon_lower_clopper_pearson(100, 100, 70, 100)
    assert one == pytest.approx(other, abs=1e-12)


ONE_RUN = [
    (1000, 100, 95, 0.0, 2.172434),
    (1000, 100, 95, 1e-5, 2.165176),
    (1000, 1000, 600, 0.0, 0.297468),
    (1000, 1000, 600, 1e-5, 0.297227),
    (100, 100, 100, 0.0, 3.492965),
    (5000, 200, 200, 1e-5, 4.055522),
    (1000, 100, 50, 0.0, 0),
]


@pytest.mark.parametrize(("m", "r", "v", "delta", "expected"), ONE_RUN)
def test_one_run_vectors(m, r, v, delta, expected):
    assert epsilon_lower_one_run(m, r, v, delta=delta) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("m", "r", "v", "delta"), [(60, 20, 18, 1e-3), (60, 60, 45, 0.0), (30, 30, 30, 1e-4)])
def test_one_run_agrees_with_binomial_sums(m, r, v, delta):
    expected = naive.one_run(m, r, v, delta, 0.05)
    assert epsilon_lower_one_run(m, r, v, delta=delta) == pytest.approx(expected, abs=1e-9)


def test_one_run_limits():
    assert epsilon_lower_one_run(10, 5, 0) == 0
    assert epsilon_lower_one_run(10, 5, 5, delta=0.5) == 0
    assert epsilon_lower_one_run(10**6, 10**5, 99_000, delta=1e-7) > 4
    with pytest.raises(InputError, match="right guesses"):
        epsilon_lower_one_run(10, 20, 5)


def randomised_response(epsilon, n, generator):
    """Each bit is told truly with chance e^eps / (1 + e^eps): exactly epsilon-private, and its own best attack."""
    members = generator.random(n) < 0.5
    truthful = generator.random(n) < 1 / (1 + np.exp(-epsilon))
    return np.where(truthful, members, ~members).astype(float), members


BOUNDS = {
    "split": lambda s, m, g: epsilon_lower_from_scores(s, m, threshold="split", rng=g),
    "bonferroni": lambda s, m, g: epsilon_lower_from_scores(s, m, threshold="bonferroni", rng=g),
    "one run": lambda s, m, g: epsilon_lower_one_run_from_scores(s, m, rng=g),
    "one run, all guessed": lambda s, m, g: epsilon_lower_one_run_from_scores(s, m, guesses=[len(s)], rng=g),
}


@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_true_epsilon_is_exceeded_no_more_often_than_stated(bound, noise):
    """Randomised response at epsilon 1, told as it is or with noise added to the score, which only post-processes."""
    generator, n_trials = np.random.default_rng(31), 150
    bounds = []
    for _ in range(n_trials):
        scores, members = randomised_response(1.0, 600, generator)
        bounds.append(BOUNDS[bound](scores + 0.2 * noise * generator.normal(size=600), members, generator))
    assert np.sum(np.array(bounds) > 1.0) <= binom.ppf(0.999, n_trials, 0.05)
    if bound in ("split", "one run, all guessed"):
        assert np.median(bounds) > 0.4


@pytest.mark.parametrize("bound", BOUNDS)
def test_bounds_see_a_strong_leak_and_none_without_one(bound):
    generator = np.random.default_rng(32)
    members = generator.random(2000) < 0.5
    noise = generator.normal(size=2000)
    assert BOUNDS[bound](noise + 6 * members, members, generator) > 2
    assert BOUNDS[bound](noise, members, generator) < 0.3
    assert BOUNDS[bound](np.ones(2000), members, generator) < 0.3


def test_bonferroni_finds_a_leak_on_either_end_of_the_ranking():
    generator, members = np.random.default_rng(33), np.arange(2000) < 1000
    noise = generator.normal(size=2000)
    found = members & (generator.random(2000) < 0.1)
    cleared = ~members & (generator.random(2000) < 0.1)
    for scores in (noise + 10 * found, noise - 10 * cleared):
        assert epsilon_lower_from_scores(scores, members, threshold="bonferroni", rng=generator) > 1.5


def test_guesses_are_taken_from_the_two_ends_and_ties_are_drawn():
    members = np.array([True, True, False, False])
    scores = np.array([4.0, 3.0, 2.0, 1.0])
    bound = epsilon_lower_one_run_from_scores(np.tile(scores, 50), np.tile(members, 50), guesses=[40], rng=rng())
    assert bound == epsilon_lower_one_run(200, 40, 40)
    ordered = np.arange(200) < 100  # members first: an order that ties must not reveal
    assert epsilon_lower_one_run_from_scores(np.ones(200), ordered, guesses=[200], rng=rng()) < 0.5


@pytest.mark.parametrize("guesses", [[3], [0], [500], []])
def test_impossible_guesses_are_refused(guesses):
    with pytest.raises(InputError, match="even counts"):
        epsilon_lower_one_run_from_scores(np.arange(8.0), np.arange(8) < 4, guesses=guesses, rng=rng())


def test_empirical_epsilon_is_the_split_formula_averaged_over_targets():
    generator = np.random.default_rng(34)
    members = generator.random((500, 2)) < 0.5
    scores = generator.normal(size=members.shape) + 3 * members
    one = epsilon_empirical(scores[:, 0], members[:, 0], rng=rng())
    assert one == epsilon_lower_from_scores(scores[:, 0], members[:, 0], threshold="split", rng=rng())
    assert epsilon_empirical(scores, members, rng=rng()) > 0.5


@pytest.mark.parametrize(("alpha", "delta"), [(0.0, 0.0), (1.5, 0.0), (0.05, -1.0), (0.05, 1.0)])
def test_levels_outside_their_range_are_refused(alpha, delta):
    with pytest.raises(InputError):
        epsilon_lower_clopper_pearson(1, 2, 0, 2, alpha=alpha, delta=delta)
    with pytest.raises(InputError, match="split"):
        epsilon_lower_from_scores(np.arange(8.0), np.arange(8) < 4, threshold="splt", rng=rng())
