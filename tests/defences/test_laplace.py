import numpy as np
import pytest
import torch
from torch import nn

import seepage
from seepage.defences.laplace import GRID, Laplace, LastLayerLaplace, choose_prior, noise_like
from seepage.errors import InputError
from seepage.models.held_out import HeldOut
from seepage.models.records import Records
from tests.reference import calibration as naive

SOURCE = np.random.default_rng(0)
WEIGHT, BIAS = SOURCE.normal(size=(3, 2)), SOURCE.normal(size=3)
FEATURES = (2 * SOURCE.normal(size=(12, 2))).astype(np.float32)
ASKED = np.array([[0.3, -0.2], [4.0, 1.0], [-30.0, 20.0]], dtype=np.float32)


def rng():
    return np.random.default_rng(1)


def point_estimate(features):
    return np.array([naive.softmax(row) for row in (features.astype(float) @ WEIGHT.T + BIAS).tolist()])


def posterior(prior_variance=1.0, features=FEATURES):
    return LastLayerLaplace.fit(features, WEIGHT, BIAS, prior_variance=prior_variance)


@pytest.mark.parametrize("prior_variance", [0.05, 1.0, 100.0])
def test_it_is_the_mean_over_weights_drawn_from_the_dense_posterior(prior_variance):
    """20,000 draws each: a probability's standard error is at most 0.0035."""
    ours = posterior(prior_variance).probabilities(ASKED, samples=20_000, rng=rng())
    for row, f in zip(ours, ASKED.astype(float), strict=True):
        theirs = naive.laplace_probabilities(
            f, FEATURES.astype(float), WEIGHT, BIAS, prior_variance, 20_000, np.random.default_rng(2)
        )
        assert row == pytest.approx(theirs, abs=0.02)


def test_the_logits_have_the_covariance_of_the_dense_posterior():
    of_weight, of_bias = naive.laplace_covariances(FEATURES.astype(float), WEIGHT, BIAS, 0.7)
    ours = posterior(0.7)
    spread, (weight_root, bias_root) = np.sqrt(((ASKED @ ours.features[1]) ** 2 / ours.v).sum(axis=1)), ours.roots()
    for s, f in zip(spread, ASKED.astype(float), strict=True):
        jacobian = np.kron(np.eye(3), f[None])
        dense = jacobian @ of_weight @ jacobian.T + of_bias
        np.testing.assert_allclose(s**2 * weight_root @ weight_root.T + bias_root @ bias_root.T, dense, rtol=1e-9)


def test_a_prior_without_variance_gives_the_point_estimate():
    found = posterior(1e-14).probabilities(ASKED, rng=rng())
    np.testing.assert_allclose(found, point_estimate(ASKED), atol=1e-6)


def test_many_training_records_give_the_point_estimate():
    many = np.tile(FEATURES, (20_000, 1))
    near = ASKED[:2]
    np.testing.assert_allclose(posterior(1.0, many).probabilities(near, rng=rng()), point_estimate(near), atol=0.15)
    few = np.abs(posterior(1.0).probabilities(near, rng=rng()) - point_estimate(near)).max()
    assert np.abs(posterior(1.0, many).probabilities(near, rng=rng()) - point_estimate(near)).max() < few / 3


def test_far_away_the_point_estimate_is_sure_and_the_posterior_is_not():
    direction = np.array([[1.0, 0.4]], dtype=np.float32)
    sure = [posterior(10.0).probabilities(direction * far, samples=2000, rng=rng()).max() for far in (1e2, 1e4, 1e6)]
    assert point_estimate(direction * 1e4).max() > 1 - 1e-9
    assert max(sure) < 0.95
    assert sure[2] == pytest.approx(sure[1], abs=0.01)


def test_scores_that_are_equal_as_probabilities_differ_as_log_odds():
    sharp = LastLayerLaplace.fit(FEATURES, 100 * WEIGHT, BIAS, prior_variance=1e-6)
    near = ASKED[1:2] * np.array([[1.0], [1.2]], dtype=np.float32)
    p, odds = sharp.probabilities(near, rng=rng()), sharp.log_odds(near, rng=rng())
    c = int(p[0].argmax())
    assert p[0, c] == p[1, c] == 1
    assert 36 < odds[0, c] < odds[1, c] < np.inf
    np.testing.assert_allclose(
        posterior().log_odds(ASKED, rng=rng()),
        (lambda q: np.log(q / (1 - q)))(posterior().probabilities(ASKED, rng=rng())),
        rtol=1e-6,
    )


def test_a_score_does_not_depend_on_who_else_is_asked(monkeypatch):
    together = posterior().log_probabilities(ASKED, rng=rng())
    turned = posterior().log_probabilities(ASKED[::-1], rng=rng())
    alone = [posterior().log_probabilities(row[None], rng=rng())[0] for row in ASKED]
    np.testing.assert_allclose(together, turned[::-1], rtol=1e-12)
    np.testing.assert_allclose(together, alone, rtol=1e-12)
    monkeypatch.setattr("seepage.defences.laplace.BLOCK_VALUES", 300)
    np.testing.assert_allclose(posterior().log_probabilities(ASKED, rng=rng()), together, rtol=1e-12)


def test_rows_sum_to_one_and_draws_come_from_the_generator():
    found = posterior().probabilities(ASKED, samples=7, rng=rng())
    assert found.dtype == np.float64
    assert found.sum(axis=1) == pytest.approx(1)
    assert (found == posterior().probabilities(ASKED, samples=7, rng=rng())).all()
    assert (found != posterior().probabilities(ASKED, samples=7, rng=np.random.default_rng(9))).any()


def test_the_prior_is_wide_where_the_model_is_too_sure():
    """Labels at random: the less sure the better. Labels as predicted, and no noise: the surer the better."""
    validation = (3 * SOURCE.normal(size=(80, 2))).astype(np.float32)
    predicted = point_estimate(validation).argmax(axis=1)
    at_random = SOURCE.integers(0, 3, 80)
    grid = np.array([1e-3, 1.0, 1e3])
    sure = choose_prior(posterior(), validation, predicted, 0 * validation, grid=grid, samples=50, rng=rng())
    unsure = choose_prior(posterior(), validation, at_random, 10 * validation, grid=grid, samples=50, rng=rng())
    assert sure < unsure == 1e3


def test_the_chosen_prior_has_the_least_loss_of_the_grid():
    validation, labels = (2 * SOURCE.normal(size=(30, 2))).astype(np.float32), SOURCE.integers(0, 3, 30)
    noise = (8 * SOURCE.normal(size=(20, 2))).astype(np.float32)
    grid = np.logspace(-2, 2, 9)
    best = choose_prior(posterior(), validation, labels, noise, grid=grid, samples=20, rng=rng())

    def loss(variance):
        draws = np.random.default_rng(int(rng().integers(2**62)))
        log_p = posterior(variance).log_probabilities(validation, samples=20, rng=draws)
        of_noise = posterior(variance).log_probabilities(noise, samples=20, rng=draws)
        return -np.mean([log_p[i, y] for i, y in enumerate(labels)]) - 0.25 * of_noise.mean()

    losses = [loss(variance) for variance in grid]
    assert grid[int(np.argmin(losses))] == best
    assert isinstance(best, float)


def test_noise_fills_the_range_of_the_records():
    records = SOURCE.normal(size=(5, 1, 4, 4)).astype(np.float32)
    noise = noise_like(records, 300, rng=rng())
    assert noise.shape == (300, 1, 4, 4)
    assert noise.dtype == np.float32
    assert records.min() <= noise.min() < noise.max() <= records.max()
    assert noise.mean() == pytest.approx((records.min() + records.max()) / 2, abs=0.1)
    with pytest.raises(InputError, match="positive number"):
        noise_like(records, 0, rng=rng())


@pytest.mark.usefixtures("wrong_shapes")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias": np.zeros(2)}, "weight"),
        ({"weight": WEIGHT * np.nan}, "finite"),
        ({"features": np.zeros((4, 3), np.float32)}, r"\(records, 2\)"),
        ({"features": np.full((4, 2), np.inf, np.float32)}, "record 0"),
        ({"prior_variance": 0.0}, "positive"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    given = {"features": FEATURES, "weight": WEIGHT, "bias": BIAS, "prior_variance": 1.0} | change
    with pytest.raises(InputError, match=message):
        LastLayerLaplace.fit(given.pop("features"), given.pop("weight"), given.pop("bias"), **given)


def test_questions_without_draws_and_grids_without_values_are_refused():
    with pytest.raises(InputError, match="at least one sample"):
        posterior().probabilities(ASKED, samples=0, rng=rng())
    with pytest.raises(InputError, match="empty grid"):
        choose_prior(posterior(), ASKED, np.zeros(3, int), ASKED, grid=np.array([]), rng=rng())


def module():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4)).eval()


POOL = seepage.Pool(SOURCE.normal(size=(120, 6)).astype(np.float32), SOURCE.integers(0, 4, 120), n_classes=4)
MEMBERS, HELD_OUT = np.arange(40), HeldOut(validation=np.arange(40, 80))


@torch.no_grad()
def wrapped(defence, of=None):
    return defence.fit(of or module(), Records.of(POOL), MEMBERS, HELD_OUT, seed=3)


@torch.no_grad()
def test_as_a_defence_it_answers_the_mean_over_draws():
    found, inputs = wrapped(Laplace(prior_variance=3.0)), torch.from_numpy(POOL.inputs)
    last = module()[2]
    features = found.features_of(inputs)
    ours = LastLayerLaplace.fit(features[MEMBERS], last.weight.numpy(), last.bias.numpy(), prior_variance=3.0)
    expected = ours.log_probabilities(features, samples=100, rng=np.random.default_rng(3))
    np.testing.assert_allclose(found(inputs).numpy(), expected, atol=1e-5)
    # As the variance of the prior goes to 0 the answers become the plain ones.
    plain = module()(inputs).log_softmax(1)
    np.testing.assert_allclose(wrapped(Laplace(prior_variance=1e-12))(inputs), plain, atol=1e-4)


@torch.no_grad()
def test_its_confidence_is_bounded_where_inputs_are_scaled():
    far = torch.from_numpy(POOL.inputs[:20]) * 2.0**20
    assert module()(far).softmax(1).max(1).values.min() > 0.999
    assert wrapped(Laplace())(far).exp().max(1).values.max() < 0.99


def test_the_prior_is_chosen_on_validation_records():
    assert Laplace().uses == {"validation"}
    assert float(wrapped(Laplace()).prior_variance) in GRID
    with pytest.raises(InputError, match="a fitted prior variance needs"):
        Laplace().fit(module(), Records.of(POOL), MEMBERS, HeldOut(), seed=0)


def test_a_module_that_it_does_not_fit_is_named():
    with pytest.raises(InputError, match=r"nn\.Linear with 4 outputs"):
        wrapped(Laplace(), nn.Sequential(nn.Linear(6, 5)))
    with pytest.raises(InputError, match="the model changes them"):
        wrapped(Laplace(), nn.Sequential(nn.Linear(6, 4), nn.Sigmoid()))
    with pytest.raises(InputError, match="samples must be a whole number of at least 1"):
        Laplace(samples=0)
