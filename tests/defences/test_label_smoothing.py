"""Label smoothing as a defence, positive and negative; the objective itself is tested in tests/models."""

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from seepage.defences.label_smoothing import LabelSmoothing
from seepage.errors import InputError
from seepage.models.objectives import label_smoothing
from seepage.models.recipe import cross_entropy
from tests.defences import trained
from tests.reference.calibration import smoothed_loss


@pytest.mark.parametrize("smoothing", [-4.0, -0.5, -0.05, 0.0, 0.3, 1.0])
def test_labels_are_a_share_of_the_hard_one_and_a_share_for_all(smoothing):
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(7, 4)), rng.integers(0, 4, 7)
    objective = LabelSmoothing(smoothing).apply(trained.PLAIN).objective
    ours = objective(torch.from_numpy(logits), torch.from_numpy(labels))
    assert ours.item() == pytest.approx(smoothed_loss(logits, labels, smoothing))


def test_a_uniform_prediction_costs_the_same_whatever_the_smoothing():
    logits, labels = torch.zeros(2, 8), torch.tensor([1, 5])
    for smoothing in (-1.0, 0.0, 0.5):
        assert label_smoothing(logits, labels, smoothing).item() == pytest.approx(math.log(8))


def test_a_negative_one_pays_for_doubt_without_end():
    labels = torch.tensor([0])
    sure, surer = (label_smoothing(torch.tensor([[z, 0.0, 0.0]]), labels, -0.5).item() for z in (10.0, 20.0))
    assert surer == pytest.approx(sure - 0.5 * 2 / 3 * 10, abs=1e-3)
    assert surer < sure < 0


@pytest.mark.parametrize("smoothing", [-0.3, 0.4])
def test_both_engines_train_the_same_models(smoothing):
    trained.check_both_engines(LabelSmoothing(smoothing).apply(trained.PLAIN))


def test_it_changes_how_sure_models_are_of_digits():
    def sure(recipe):
        return np.exp(trained.trained(recipe).max(1)).mean()

    base = replace(trained.OVERFITTED, epochs=10)
    less, more = (LabelSmoothing(s).apply(base) for s in (0.3, -0.3))
    assert sure(less) < sure(base) - 0.05
    assert sure(more) > sure(base)
    assert trained.loss_gap(more) > trained.loss_gap(base) > trained.loss_gap(less)


def test_it_is_the_objective_and_leaves_the_rest():
    defended = LabelSmoothing(0.2).apply(trained.PLAIN)
    assert defended.objective.keywords == {"smoothing": 0.2}
    assert defended.is_registered
    assert replace(defended, objective=cross_entropy) == trained.PLAIN
    with pytest.raises(InputError, match="one of its own"):
        LabelSmoothing().apply(defended)
    with pytest.raises(InputError, match="one of its own"):
        LabelSmoothing().apply(replace(trained.PLAIN, objective=functools.partial(label_smoothing, smoothing=0.0)))


def test_its_notes_say_which_kind_it_is():
    assert "Negative" in LabelSmoothing(-0.1).notes[0]
    assert "Negative" not in LabelSmoothing(0.1).notes[0]


def test_the_grid_begins_with_the_softest_labels():
    shares = [LabelSmoothing(**options).smoothing for options in LabelSmoothing.grid]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("smoothing", [1.1, math.nan, -math.inf])
def test_what_is_no_share_is_refused(smoothing):
    with pytest.raises(InputError, match="smoothing must be a number up to 1"):
        LabelSmoothing(smoothing)
