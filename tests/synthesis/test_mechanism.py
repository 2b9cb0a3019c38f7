"""Noise on codes: its radius, its direction, and the ratio of densities that metric privacy allows."""

import math

import numpy as np
import pytest
from scipy import stats

from seepage.errors import InputError
from seepage.synthesis.labels import keep_probability, randomised_response
from seepage.synthesis.mechanism import clipped, deviation, latent_noise
from tests.reference import synthesis as naive


@pytest.mark.parametrize(("latent", "epsilon"), [(1, 2.0), (2, 0.5), (16, 20.0), (64, 8.0)])
def test_the_radius_is_gamma_and_the_direction_uniform(latent, epsilon):
    noise = latent_noise(20_000, latent, epsilon, np.random.default_rng(latent))
    radius = np.linalg.norm(noise, axis=1)
    assert stats.kstest(radius, stats.gamma(latent, scale=1 / epsilon).cdf).pvalue > 1e-3
    assert radius.mean() == pytest.approx(latent / epsilon, rel=0.03)
    assert noise.std(axis=0) == pytest.approx(np.full(latent, deviation(latent, epsilon)), rel=0.1)
    unit = noise / radius[:, None]
    assert np.abs(unit.mean(axis=0)).max() < 5 / math.sqrt(20_000 * latent)
    assert abs(np.corrcoef(radius, unit[:, 0])[0, 1]) < 5 / math.sqrt(20_000)


def test_the_density_integrates_to_one_and_is_that_of_the_draws():
    """In two dimensions, on a grid; and the share of draws in a box."""
    epsilon, step = 1.5, 0.05
    axis = np.arange(-12, 12, step) + step / 2
    grid = np.array([[naive.density((x, y), epsilon) for x in axis] for y in axis])
    assert grid.sum() * step**2 == pytest.approx(1, abs=0.01)
    noise = latent_noise(100_000, 2, epsilon, np.random.default_rng(3))
    inside = ((noise > 0) & (noise < 0.5)).all(axis=1).mean()
    expected = grid[np.ix_(*[(axis > 0) & (axis < 0.5)] * 2)].sum() * step**2
    assert inside == pytest.approx(expected, abs=4 * math.sqrt(expected / 100_000))


def test_the_ratio_of_densities_never_exceeds_what_the_distance_allows():
    rng = np.random.default_rng(0)
    for latent in (1, 2, 7, 32):
        for epsilon in (0.3, 4.0):
            one, other = rng.normal(size=(2, latent))
            released = one + latent_noise(2000, latent, epsilon, rng)
            near, far = (np.linalg.norm(released - code, axis=1) for code in (one, other))
            ratios = epsilon * (far - near)
            bound = epsilon * np.linalg.norm(one - other)
            assert np.abs(ratios).max() <= bound + 1e-9
            by_hand = [
                math.log(naive.density(point - one, epsilon) / naive.density(point - other, epsilon))
                for point in released[:20]
            ]
            assert ratios[:20] == pytest.approx(by_hand, abs=1e-8)


def test_counted_ratios_of_draws_stay_within_the_bound_and_those_of_an_exponential_radius_do_not():
    epsilon, n = 2.0, 400_000
    one, other = np.zeros(2), np.array([0.4, 0.0])
    bound = math.exp(epsilon * 0.4)

    def counted(draw):
        """Ratio of counts in small discs about the first code."""
        moved = [code + draw(np.random.default_rng(seed)) for seed, code in enumerate((one, other))]
        near = [(np.linalg.norm(points - one, axis=1) < 0.05).sum() for points in moved]
        return near[0] / max(1, near[1])

    assert counted(lambda rng: latent_noise(n, 2, epsilon, rng)) < bound * 1.2

    def exponential(rng):
        direction = rng.standard_normal((n, 2))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        return rng.exponential(1 / epsilon, (n, 1)) * direction

    assert counted(exponential) > 2 * bound


def test_no_noise_clipping_and_what_is_refused():
    rng = np.random.default_rng(1)
    assert not latent_noise(5, 3, math.inf, rng).any()
    codes = rng.normal(size=(50, 4)) * 3
    assert clipped(codes, None) is codes
    norms = np.linalg.norm(clipped(codes, 2.0), axis=1)
    assert norms.max() <= 2 + 1e-12
    short = np.linalg.norm(codes, axis=1) <= 2
    assert np.array_equal(clipped(codes, 2.0)[short], codes[short])
    directions = [c / np.linalg.norm(c, axis=1, keepdims=True) for c in (codes, clipped(codes, 2.0))]
    assert directions[0] == pytest.approx(directions[1])
    for wrong in (0.0, -1.0, math.nan, "2"):
        with pytest.raises(InputError, match="epsilon must be a positive number"):
            latent_noise(1, 1, wrong, rng)


@pytest.mark.parametrize(("epsilon", "n_classes"), [(0.0, 4), (1.0, 2), (3.0, 10)])
def test_randomised_response_keeps_as_often_as_it_says_and_else_takes_any_other(epsilon, n_classes):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, n_classes, 40_000)
    answered = randomised_response(labels, n_classes, epsilon, rng)
    keep = keep_probability(epsilon, n_classes)
    assert keep == pytest.approx(math.exp(epsilon) / (math.exp(epsilon) + n_classes - 1))
    assert (answered == labels).mean() == pytest.approx(keep, abs=4 * math.sqrt(0.25 / 40_000))
    moved = (answered - labels)[answered != labels] % n_classes
    counts = np.bincount(moved, minlength=n_classes)[1:]
    assert n_classes == 2 or stats.chisquare(counts).pvalue > 1e-3
    # The ratio of any answer's probabilities under two labels is at most e^epsilon.
    other = (1 - keep) / (n_classes - 1)
    assert max(keep / other, other / keep) == pytest.approx(math.exp(epsilon))
    with pytest.raises(InputError, match="at least 0"):
        randomised_response(labels, n_classes, -0.1, rng)
