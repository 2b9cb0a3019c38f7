"""Quantile regression: on worlds in which what a record's score should be is known."""

import dataclasses

import numpy as np
import pytest
import torch

from seepage.attacks.trained import regression
from seepage.attacks.trained.quantile_regression import QuantileRegression, conformal, exceedance
from seepage.data import Pool
from seepage.errors import InputError
from seepage.models.architectures import MLP
from seepage.models.optimisers import Adam
from seepage.models.recipe import Recipe
from seepage.signals.view import View
from tests.attacks.planted import auc
from tests.attacks.trained import trained
from tests.reference import quantile_regression as naive

HEADS = ("gaussian", "pinball")
every_head = pytest.mark.parametrize("head", HEADS)


def world(*, leak=2.5, n=900, shape=(3,), by_label=False, seed=0, uneven=False):
    """Scores of 4 times the record's first value (or its label's), noise, and `leak` for members; and what they are
    above that. A third is the population. With `uneven` the noise is 0.2 or 3, as the second value's sign says."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, *shape)).astype(np.float32)
    labels = rng.integers(0, 3, n)
    population = np.arange(n) >= 2 * n // 3
    members = (rng.random(n) < 0.5) & ~population
    flat = x.reshape(n, -1)
    if len(shape) == 3:
        x += 2 * flat[:, :1, None, None]  # all pixels tell it
    expected = 6.0 * labels if by_label else 4.0 * flat[:, 0]
    noise = np.where(flat[:, 1] > 0, 0.2, 3.0) if uneven else 1.0
    above = leak * noise * members + noise * rng.normal(size=n)
    s = expected + above
    logits = np.zeros((n, 1, 1, 3), np.float32)
    logits[np.arange(n), 0, 0, labels] = s
    view = View.from_logits(
        logits, labels, target_column=0, population=population, records=Pool(x, labels, n_classes=3)
    )
    return view, members, above / noise


def score(attack, view, seed=0):
    return attack.score(view, rng=np.random.default_rng(seed))


def audited_auc(scores, view, members):
    return auc(scores[view.audited], members[view.audited])


@every_head
@pytest.mark.parametrize("regressor", ["network", "trees"])
def test_what_the_record_tells_is_taken_off(regressor, head):
    view, members, above = world()
    best, raw = audited_auc(above, view, members), audited_auc(view.target("hinge")[:, 0], view, members)
    found = audited_auc(score(QuantileRegression(head, regressor=regressor), view), view, members)
    assert raw < 0.72
    assert best > 0.94
    assert found > 0.88


def test_deviations_that_differ_are_learnt():
    view, members, _ = world(uneven=True, n=1800)
    gaussian = audited_auc(score(QuantileRegression(regressor="network"), view), view, members)
    mean_alone = audited_auc(view.target("hinge")[:, 0] - 4.0 * view.records.batch()[:, 0], view, members)
    assert gaussian > mean_alone + 0.03


def test_trees_learn_mean_and_deviation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 2))
    deviation = np.where(x[:, 1] > 0, 0.2, 1.0)
    s = x[:, 0] + deviation * rng.normal(size=1000)
    mu, log_sigma = regression.gaussian_trees(x[:800], s[:800], iterations=100, rng=rng)(x[800:]).T
    assert np.corrcoef(mu, x[800:, 0])[0, 1] > 0.95
    for value in (0.2, 1.0):
        assert abs(np.median(log_sigma[deviation[800:] == value]) - np.log(value)) < 0.4


@every_head
def test_images_go_through_a_convolutional_network(head):
    view, members, _ = world(shape=(1, 8, 8))
    raw = audited_auc(view.target("hinge")[:, 0], view, members)
    assert audited_auc(score(QuantileRegression(head), view), view, members) > raw + 0.1


@pytest.mark.parametrize(("shape", "regressor"), [((3,), "network"), ((3,), "trees"), ((1, 8, 8), "network")])
def test_the_label_helps_where_it_says_what_to_expect(shape, regressor):
    view, members, _ = world(by_label=True, shape=shape)
    without, told = (
        audited_auc(score(QuantileRegression(regressor=regressor, label=label), view), view, members)
        for label in (False, True)
    )
    assert without < 0.75
    assert told > (0.9 if len(shape) == 1 else without + 0.05)


@every_head
@pytest.mark.parametrize("shape", [(3,), (1, 8, 8)])
def test_members_that_are_like_others_give_chance(head, shape):
    view, members, _ = world(leak=0.0, shape=shape, seed=1)  # standard error 0.024
    assert abs(audited_auc(score(QuantileRegression(head), view), view, members) - 0.5) < 0.07


@pytest.mark.parametrize("leak", [True, False])
@every_head
def test_trained_models(head, leak):
    view, members = trained(leak)
    found = audited_auc(score(QuantileRegression(head), view), view, members)
    assert found > 0.6 if leak else abs(found - 0.5) < 0.11


@every_head
def test_only_the_population_teaches(head):
    view, *_ = world()
    before = score(QuantileRegression(head), view)
    logits = view.outputs.copy()
    logits[0] *= 100  # an audited record
    after = score(QuantileRegression(head), dataclasses.replace(view, signals=type(view.signals)(logits, view.labels)))
    np.testing.assert_array_equal(after[view.audited][1:], before[view.audited][1:])
    assert after[0] != before[0]
    assert np.isnan(before[view.population]).all()


@every_head
@pytest.mark.parametrize("regressor", ["network", "trees"])
def test_the_order_of_the_records_plays_no_part(regressor, head):
    view, *_ = world(n=240)
    order = np.random.default_rng(1).permutation(view.n_samples)
    moved = View.from_logits(
        view.outputs[order],
        view.labels[order],
        target_column=0,
        population=view.population[order],
        records=view.records.subset(order),
    )
    attack = QuantileRegression(head, regressor=regressor, calibrate=True, n_taus=5)
    np.testing.assert_array_equal(score(attack, moved), score(attack, view)[order])
    np.testing.assert_array_equal(score(attack, view), score(attack, view))


@every_head
@pytest.mark.parametrize("n", [3, 12, 30, 75])
def test_a_small_population_is_enough(n, head):
    view, *_ = world(n=n)
    scores, s = score(QuantileRegression(head), view)[view.audited], view.target("hinge")[view.audited, 0]
    assert np.isfinite(scores).all()
    if view.population.sum() < regression.LEAST_RECORDS:
        np.testing.assert_array_equal(np.argsort(scores, kind="stable"), np.argsort(s, kind="stable"))


@every_head
def test_scores_that_are_all_alike_and_infinite_ones(head):
    view, *_ = world(n=120)
    constant = dataclasses.replace(view, signals={"hinge": np.full((120, 1, 1), 3.0)})
    np.testing.assert_array_equal(score(QuantileRegression(head), constant)[view.audited], 0.0)
    wild = view.signals["hinge"].copy()
    wild[[0, -1]], wild[[1, -2]] = np.inf, -np.inf
    scores = score(QuantileRegression(head), dataclasses.replace(view, signals={"hinge": wild}))
    assert scores[0] == np.inf
    assert scores[1] == -np.inf
    assert np.isfinite(scores[view.audited][2:]).all()


@every_head
def test_calibrated_scores_keep_the_rate_of_false_alarms(head):
    alarms = []
    for seed in range(12):
        view, *_ = world(leak=0.0, n=240, seed=seed)
        attack = QuantileRegression(head, calibrate=True, n_taus=9, epochs=10, iterations=20)
        alarms.append((score(attack, view)[view.audited] >= -np.log(0.2)).mean())
    assert np.mean(alarms) < 0.2 + 2.5 * np.std(alarms) / np.sqrt(len(alarms))
    assert np.mean(alarms) > 0.08


def test_losses_agree_with_the_naive_ones():
    rng = np.random.default_rng(0)
    taus, s = np.array([0.1, 0.5, 0.99]), rng.normal(size=20)
    two, three = rng.normal(size=(20, 2)), rng.normal(size=(20, 3))
    ours = regression.gaussian_loss(torch.from_numpy(two), torch.from_numpy(s)).item()
    np.testing.assert_allclose(ours, naive.gaussian_loss(two, s), rtol=1e-10)
    ours = regression.pinball_loss(torch.from_numpy(taus))(torch.from_numpy(three), torch.from_numpy(s)).item()
    np.testing.assert_allclose(ours, naive.pinball_loss(three, s, taus), rtol=1e-10)


def linear(input_shape, n_outputs):
    return MLP(input_shape, n_outputs, hidden=())


def test_a_linear_gaussian_regressor_finds_least_squares_and_its_residual():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(800, 2)).astype(np.float32)
    s = x @ [0.7, -0.4] + 0.1 + 0.5 * rng.normal(size=800)
    recipe = Recipe(linear, Adam(1e-2), epochs=40, batch_size=50, objective=regression.gaussian_loss)
    answers = regression.network(recipe, x, s, 2, rng=rng)(x)
    design = np.column_stack([x, np.ones(800)])
    fitted = design @ np.linalg.lstsq(design, s, rcond=None)[0]
    np.testing.assert_allclose(answers[:, 0], fitted, atol=0.15)
    np.testing.assert_allclose(answers[:, 1].mean(), np.log((s - fitted).std()), atol=0.08)


def test_without_inputs_the_pinball_loss_finds_the_empirical_quantiles():
    rng = np.random.default_rng(0)
    s, taus = rng.exponential(size=4000), np.array([0.1, 0.5, 0.9])
    objective = regression.pinball_loss(torch.from_numpy(taus))
    recipe = Recipe(linear, Adam(1e-2), epochs=60, batch_size=100, objective=objective)
    answers = regression.network(recipe, np.zeros((4000, 1), np.float32), s, 3, rng=rng)(np.zeros((1, 1), np.float32))
    np.testing.assert_allclose(answers[0], np.quantile(s, taus), atol=0.15)


def test_exceedance_agrees_with_the_naive_one():
    rng = np.random.default_rng(0)
    taus, quantiles, s = np.array([0.2, 0.5, 0.9]), np.sort(rng.normal(size=(60, 3)), axis=1), rng.normal(0, 2, 60)
    quantiles[:10, 1] = quantiles[:10, 0]
    expected = [naive.exceedance(*pair, taus) for pair in zip(s, quantiles, strict=True)]
    np.testing.assert_allclose(exceedance(s, quantiles, taus), expected, rtol=1e-12)


def test_against_the_same_quantiles_the_order_is_that_of_the_scores():
    s = np.random.default_rng(0).normal(0, 3, 200)
    scores = exceedance(s, np.tile([-1.0, 0.0, 0.0, 2.0], (200, 1)), np.array([0.1, 0.5, 0.6, 0.9]))
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(s))
    assert len(np.unique(scores)) == 200


def test_conformal_values_keep_the_order_and_never_say_too_little():
    rng = np.random.default_rng(0)
    values, held = rng.normal(0, 2, 300), rng.normal(size=20)
    scores = conformal(values, held)
    p = np.array([naive.p_value(value, held) for value in values])
    assert (np.exp(-scores) >= p - 1e-12).all()
    assert (np.exp(-scores) <= p + 1 / 21 + 1e-12)[values > held.min()].all()
    np.testing.assert_array_equal(np.argsort(scores), np.argsort(values))
    assert len(np.unique(scores)) == 300


def test_options_are_checked():
    for wrong in ({"head": "laplace"}, {"signal": "loss"}, {"regressor": "forest"}, {"n_taus": 1}):
        with pytest.raises(InputError, match="QuantileRegression"):
            QuantileRegression(**wrong)
    view, *_ = world(n=6)
    with pytest.raises(InputError, match="population of 4 or more"):
        score(QuantileRegression(calibrate=True), view)
