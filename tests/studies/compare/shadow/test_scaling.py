"""A small ReLU network: sure of anything that is scaled far enough, tempered or not; bounded under a Gaussian."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from seepage.defences.laplace import Laplace
from seepage.defences.temperature import Temperature
from seepage.models.architectures import MLP
from seepage.studies.compare.shadow.answers import Held, Network, answer_as
from seepage.studies.compare.shadow.scaling import features_along, first_alarm, log_odds_along

DOUBLINGS = 40
WRAPPERS = {"standard": None, "temperature": Temperature(), "temperature-10": Temperature(10.0), "laplace": Laplace()}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network.of(MLP((6,), 4, hidden=(16, 16)).eval())


@pytest.fixture(scope="module")
def held(network):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(200, 6)).astype(np.float32)
    features = network.features(inputs)
    labels = network.logits(features).argmax(axis=1)
    labels[::5] = rng.integers(0, 4, len(labels[::5]))
    noise = network.features(rng.uniform(-3, 3, (40, 6)).astype(np.float32))
    return Held(features, features[:40], labels[:40], noise)


@pytest.fixture(scope="module")
def scaled(network):
    inputs = np.random.default_rng(1).normal(size=(30, 6)).astype(np.float32)
    return features_along(network.features, inputs, DOUBLINGS)


def log_odds(name, network, held, scaled):
    answer, options = answer_as(WRAPPERS[name], network, held, rng=np.random.default_rng(2))
    return log_odds_along(answer, scaled), options


@pytest.mark.parametrize("name", ["standard", "temperature", "temperature-10"])
def test_along_a_ray_any_threshold_is_passed(name, network, held, scaled):
    odds, _ = log_odds(name, network, held, scaled)
    assert (odds[-1] > 1e3).all()  # 1 - p < exp(-1000): no threshold below 1 holds it
    assert first_alarm(odds, 100.0)[-1].all()
    assert not first_alarm(odds, 100.0)[0].any()
    # affine in the end: twice as far, twice as sure
    np.testing.assert_allclose(odds[-1] / odds[-2], 2, rtol=1e-3)


def test_a_gaussian_over_the_last_layer_bounds_the_score(network, held, scaled):
    odds, options = log_odds("laplace", network, held, scaled)
    assert np.isfinite(odds).all()
    assert odds.max() < 15
    np.testing.assert_allclose(odds[-1], odds[-2], atol=1e-3)
    assert 1 <= options["prior variance"] <= 1000


def test_an_answer_does_not_depend_on_who_else_is_asked(network, held):
    answer, _ = answer_as(Laplace(), network, held, rng=np.random.default_rng(2))
    np.testing.assert_allclose(answer(held.training)[:3], answer(held.training[:3]), atol=1e-12)


def test_the_plain_answer_is_the_network_s(network, held):
    answer, _ = answer_as(None, network, held, rng=np.random.default_rng(2))
    inputs = np.random.default_rng(3).normal(size=(5, 6)).astype(np.float32)
    expected = log_softmax(network.model.logits(inputs).astype(float), axis=1)
    np.testing.assert_allclose(answer(network.features(inputs)), expected, atol=1e-5)
