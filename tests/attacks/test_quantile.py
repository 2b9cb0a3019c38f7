import numpy as np
import pytest

from seepage.attacks.calibration import DifficultyCalibration
from seepage.attacks.quantile import AttackP, AttackR
from seepage.signals.view import View
from tests.reference import quantile as naive


def world(seed=0):
    rng = np.random.default_rng(seed)
    loss, references = rng.lognormal(0, 2, (90, 2)), rng.lognormal(0, 2, (90, 6, 2))
    references[5:10] = loss[5:10, None]  # ties with every reference
    references[10:15, 3:] = 2000.0  # beyond the upper end
    loss[12:18] = 1500.0
    loss[18:20] = 0.0
    references[19] = 0.0
    is_out = rng.random((90, 6)) < 0.6
    is_out[:3] = False
    return loss, references, is_out, np.arange(90) >= 60


def score(attack, loss, references, is_out, population):
    view = View.from_signals({"loss": loss}, {"loss": references}, reference_out=is_out, population=population)
    return attack.score(view, rng=np.random.default_rng(0))


def test_attack_p_agrees_with_the_naive_implementation():
    loss, _, _, population = world()
    np.testing.assert_allclose(score(AttackP(), *world()), naive.attack_p(loss, population), atol=1e-12)


def test_attack_p_of_population_records_is_their_rank():
    loss = np.arange(10.0)[:, None]
    view = View.from_signals({"loss": loss}, population=np.ones(10, bool))
    np.testing.assert_allclose(AttackP().score(view, rng=np.random.default_rng(0)), -np.arange(10) / 10)


@pytest.mark.parametrize("seed", range(3))
def test_attack_r_agrees_with_the_naive_implementation(seed):
    loss, references, is_out, population = world(seed)
    expected = naive.attack_r(np.minimum(loss, 1000), np.minimum(references, 1000), is_out)
    np.testing.assert_allclose(score(AttackR(), loss, references, is_out, population), expected, atol=1e-9)


def test_attack_r_worked_by_hand():
    # points 0, 1, 3, 1000 at the levels 0, 1/3, 2/3, 1
    references = np.tile(np.array([3.0, 1.0])[None, :, None], (5, 1, 1))
    loss = np.array([[0.0], [0.5], [1.0], [2.0], [501.5]])
    scores = score(AttackR(), loss, references, np.ones((5, 2), bool), np.zeros(5, bool))
    np.testing.assert_allclose(scores, -np.array([0, 1 / 6, 1 / 3, 1 / 2, 5 / 6]))


def test_difficulty_calibration_agrees_with_the_naive_implementation():
    loss, references, is_out, population = world()
    expected = naive.difficulty_calibration(loss, references, is_out)
    scores = score(DifficultyCalibration(), loss, references, is_out, population)
    np.testing.assert_allclose(scores, expected, rtol=1e-9)


def test_difficulty_calibration_is_zero_where_the_target_is_like_its_references():
    loss = np.random.default_rng(0).lognormal(size=(20, 1))
    scores = score(
        DifficultyCalibration(), loss, np.repeat(loss[:, None], 4, axis=1), np.ones((20, 4), bool), np.zeros(20, bool)
    )
    np.testing.assert_allclose(scores, 0.0, atol=1e-12)
