import numpy as np
import pytest

from seepage.errors import InputError
from seepage.models.temperature import fit_temperature, tempered
from tests.reference import calibration as naive


def world(n, seed=0, k=4):
    """Logits, and labels drawn from their softmax."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(n, k))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return logits, (rng.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=k - 1)


def test_logits_that_are_thrice_too_large_have_temperature_three():
    logits, labels = world(20_000)
    true = fit_temperature(logits, labels)
    assert true == pytest.approx(1, abs=0.03)
    assert fit_temperature(3 * logits, labels) == pytest.approx(3 * true, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_one_minimum_of_the_loss(seed):
    logits, labels = world(60, seed)
    best = fit_temperature(logits, labels)
    losses = [naive.loss_at(logits, labels, best * factor) for factor in (0.3, 0.7, 0.99, 1, 1.01, 1.4, 4)]
    assert min(losses) == losses[3]
    assert losses[:4] == sorted(losses[:4], reverse=True)
    assert losses[3:] == sorted(losses[3:])


def test_log_probabilities_and_shifted_logits_have_the_same_temperature():
    logits, labels = world(200)
    best = fit_temperature(logits, labels)
    assert fit_temperature(tempered(logits, 1.0), labels) == pytest.approx(best, rel=1e-9)
    assert fit_temperature((logits + 1000).astype(np.float32), labels) == pytest.approx(best, rel=1e-3)


def test_without_a_minimum_the_nearer_end_is_returned():
    logits = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert fit_temperature(logits, np.array([0, 1])) == 0.01
    assert fit_temperature(logits, np.array([1, 0])) == 100
    assert fit_temperature(np.zeros((2, 2)), np.array([1, 0])) == 100


def test_tempering_keeps_the_order_and_does_not_saturate():
    logits = np.array([[800.0, 0.0, 1.0], [0.0, 5.0, 3.0]])
    found = tempered(logits, 2.0)
    assert np.exp(found).sum(axis=1) == pytest.approx(1)
    assert found[0, 1] == pytest.approx(-400)
    assert (found.argsort(axis=1) == logits.argsort(axis=1)).all()
    assert np.exp(tempered(logits, 1e6)) == pytest.approx(1 / 3, abs=1e-3)


@pytest.mark.usefixtures("wrong_shapes")
def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(InputError, match="record 1"):
        fit_temperature(np.array([[0.0, 1.0], [np.inf, 0.0]]), np.array([0, 1]))
    with pytest.raises(InputError, match="one label a record"):
        fit_temperature(np.zeros((3, 2)), np.array([0, 1]))
    with pytest.raises(InputError, match="samples, classes"):
        fit_temperature(np.zeros(3), np.array([0, 1, 0]))
    with pytest.raises(InputError, match="positive"):
        tempered(np.zeros((1, 2)), 0.0)
