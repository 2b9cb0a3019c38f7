"""RelaxLoss: the formulas of code and paper by hand, their gradients, and a training loss that is held where asked."""

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from seepage.defences.relax_loss import RelaxLoss, relax_loss
from seepage.errors import InputError
from seepage.models.objectives import label_smoothing
from seepage.models.recipe import cross_entropy
from tests.defences import trained
from tests.reference import defences as naive

GENERATOR = np.random.default_rng(5)
LABELS = GENERATOR.integers(0, 4, 8)
LOGITS = GENERATOR.normal(size=(8, 4))
LOGITS[np.arange(8), LABELS] += np.where(np.arange(8) < 6, 2.0, -1.0)  # most are right, some are wrong
ARGUMENTS = torch.from_numpy(LOGITS), torch.from_numpy(LABELS)
LOSS = cross_entropy(*ARGUMENTS).item()
FLATTENINGS = ("official", "official-tabular", "paper")


@pytest.mark.parametrize("upper", [1.0, 0.6])
@pytest.mark.parametrize("flattening", FLATTENINGS)
@pytest.mark.parametrize("alpha", [0.0, 0.5 * LOSS, 2 * LOSS])
@pytest.mark.parametrize("epoch", [0, 1, 2, 7])
def test_value_and_gradient_agree_with_the_naive_ones(epoch, alpha, flattening, upper):
    logits = ARGUMENTS[0].clone().requires_grad_()
    ours = relax_loss(logits, ARGUMENTS[1], torch.tensor(epoch), alpha, upper, flattening)
    options = {"epoch": epoch, "alpha": alpha, "upper": upper, "flattening": flattening}
    if flattening == "paper":
        options["target_logits"] = LOGITS.tolist()

    def theirs(rows):
        return naive.relax_loss(rows, LABELS.tolist(), **options)

    assert ours.item() == pytest.approx(theirs(LOGITS.tolist()), abs=1e-12)
    (gradient,) = torch.autograd.grad(ours, logits)
    np.testing.assert_allclose(gradient, naive.slope(theirs, LOGITS.tolist()), atol=1e-8)


def test_the_batch_has_records_that_are_right_and_wrong_and_surer_than_upper():
    is_right = LOGITS.argmax(1) == LABELS
    assert 0 < is_right.sum() < 8
    shares = ARGUMENTS[0].softmax(1).numpy()[np.arange(8), LABELS]
    assert shares.min() < 0.6 < shares.max()


def test_at_the_level_zero_it_is_the_cross_entropy():
    for epoch in (0, 1):
        assert relax_loss(*ARGUMENTS, torch.tensor(epoch), 0.0).item() == pytest.approx(LOSS)


def test_above_the_level_it_descends_and_below_it_ascends():
    logits = ARGUMENTS[0].clone().requires_grad_()
    (down,) = torch.autograd.grad(cross_entropy(logits, ARGUMENTS[1]), logits)
    for epoch in (0, 1):
        loss = relax_loss(logits, ARGUMENTS[1], torch.tensor(epoch), 0.5 * LOSS)
        torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], down)
    loss = relax_loss(logits, ARGUMENTS[1], torch.tensor(0), 2 * LOSS)
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], -down)


def test_flattening_asks_for_what_is_there_already_where_a_prediction_is_flat():
    # p_y and equal rest: with t constant the gradient of S is p - t = 0
    logits = torch.log(torch.tensor([[0.2, 0.4, 0.4]], dtype=torch.float64)).requires_grad_()
    loss = relax_loss(logits, torch.tensor([0]), torch.tensor(1), 5.0, flattening="paper")
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], torch.zeros(1, 3, dtype=torch.float64))


@pytest.mark.parametrize("flattening", FLATTENINGS)
def test_both_engines_train_the_same_models(flattening):
    trained.check_both_engines(RelaxLoss(alpha=1.0, flattening=flattening).apply(trained.PLAIN))


@pytest.mark.parametrize("flattening", FLATTENINGS)
def test_on_digits_the_training_loss_stays_near_its_level(flattening):
    mean = trained.losses(trained.OVERFITTED)[trained.IS_TRAINED_ON].mean()
    relaxed = RelaxLoss(alpha=0.5, flattening=flattening).apply(trained.OVERFITTED)
    assert mean < 0.05
    assert 0.12 < trained.losses(relaxed)[trained.IS_TRAINED_ON].mean() < 0.8
    assert trained.loss_gap(relaxed) < trained.loss_gap(trained.OVERFITTED)
    assert trained.accuracy(relaxed) > 0.8


def test_it_is_the_objective_and_leaves_the_rest():
    defended = RelaxLoss(0.8, 0.3, "official-tabular").apply(trained.PLAIN)
    assert defended.objective.keywords == {"alpha": 0.8, "upper": 0.3, "flattening": "official-tabular"}
    assert defended.is_registered
    assert replace(defended, objective=cross_entropy) == trained.PLAIN
    with pytest.raises(InputError, match="one of its own"):
        RelaxLoss().apply(replace(trained.PLAIN, objective=functools.partial(label_smoothing, smoothing=0.1)))


def test_the_grid_begins_with_the_highest_level():
    levels = [RelaxLoss(**options).alpha for options in RelaxLoss.grid]
    assert levels == sorted(levels, reverse=True)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"alpha": -0.1}, "alpha"),
        ({"alpha": math.nan}, "alpha"),
        ({"upper": 0.0}, "upper"),
        ({"upper": 1.1}, "upper"),
        ({"flattening": "offical"}, "did you mean 'official'"),
    ],
)
def test_what_it_cannot_be_made_with(options, complaint):
    with pytest.raises(InputError, match=complaint):
        RelaxLoss(**options)
    with pytest.raises(InputError, match=complaint):
        relax_loss(*ARGUMENTS, torch.tensor(0), **{"alpha": 1.0, **options})
