"""Epsilon is Opacus's, and noise is found for a target."""

import math

import pytest

from seepage.errors import InputError
from seepage.models.accounting import epsilon, noise_multiplier_for

STEPS = 2250


@pytest.mark.parametrize(
    ("accountant", "n_steps", "expected"), [("rdp", 2250, 7.32911117143), ("prv", 2249, 6.777395712150674)]
)
def test_known_answers_of_opacus(accountant, n_steps, expected):
    """90 passes at a rate of 0.04; the second known answer was made with 90 // 0.04 steps, one fewer."""
    assert epsilon(1.5, 0.04, n_steps, delta=1e-5, accountant=accountant) == pytest.approx(expected, rel=1e-8)


def test_noise_for_a_target():
    found = noise_multiplier_for(8.0, 0.04, STEPS, delta=1e-5, accountant="rdp")
    assert found == pytest.approx(1.416, abs=5e-3)
    assert 7.98 < epsilon(found, 0.04, STEPS, delta=1e-5, accountant="rdp") <= 8.0


def test_limits_and_directions():
    assert epsilon(0.0, 0.1, 10, delta=1e-5) == math.inf
    assert epsilon(1.0, 0.1, 0, delta=1e-5) == 0.0
    by_noise = [epsilon(sigma, 0.05, 200, delta=1e-5, accountant="rdp") for sigma in (0.6, 1.0, 2.0, 4.0)]
    assert by_noise == sorted(by_noise, reverse=True)
    by_steps = [epsilon(1.0, 0.05, n, delta=1e-5, accountant="rdp") for n in (10, 100, 1000)]
    assert by_steps == sorted(by_steps)
    assert epsilon(1.0, 0.05, 200, delta=1e-5) <= epsilon(1.0, 0.05, 200, delta=1e-5, accountant="rdp")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((1.0, 0.0, 5), "sampling rate"),
        ((1.0, 1.5, 5), "sampling rate"),
        ((1.0, 0.1, -1), "number of steps"),
        ((-1.0, 0.1, 5), "noise multiplier"),
        ((math.nan, 0.1, 5), "noise multiplier"),
    ],
)
def test_what_cannot_be_accounted_for_is_refused(arguments, says):
    with pytest.raises(InputError, match=says):
        epsilon(*arguments, delta=1e-5)
    with pytest.raises(InputError, match="did you mean 'prv'"):
        epsilon(1.0, 0.1, 5, delta=1e-5, accountant="prw")
    with pytest.raises(InputError, match="delta"):
        epsilon(1.0, 0.1, 5, delta=0.0)
    with pytest.raises(InputError, match="target epsilon"):
        noise_multiplier_for(0.0, 0.1, 5, delta=1e-5)
