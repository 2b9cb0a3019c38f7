import functools
import pickle

import numpy as np
import pytest
import torch

from seepage import MLP, Adam, Pool, Recipe
from seepage.errors import InputError
from seepage.models.engines import Single, Stacked
from seepage.models.objectives import label_smoothing
from seepage.models.recipe import cross_entropy
from seepage.models.records import Records
from tests.reference import calibration as naive

RNG = np.random.default_rng(0)
POOL = Pool(RNG.normal(size=(60, 6)).astype(np.float32), RNG.integers(0, 3, 60))


def recipe(smoothing):
    objective = functools.partial(label_smoothing, smoothing=smoothing)
    return Recipe(functools.partial(MLP, hidden=(9,)), Adam(0.01), epochs=3, batch_size=8, objective=objective)


@pytest.mark.parametrize("smoothing", [0.0, 0.0083, 0.5, 1.0])
def test_it_is_the_cross_entropy_against_smoothed_labels(smoothing):
    logits, labels = RNG.normal(size=(7, 4)), RNG.integers(0, 4, 7)
    ours = label_smoothing(torch.from_numpy(logits), torch.from_numpy(labels), smoothing)
    assert ours.item() == pytest.approx(naive.smoothed_loss(logits, labels, smoothing))
    theirs = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits), torch.from_numpy(labels), label_smoothing=smoothing
    )
    assert ours.item() == pytest.approx(theirs.item())


def test_without_smoothing_it_is_the_plain_objective():
    logits, labels = torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0, 1])
    assert torch.equal(label_smoothing(logits, labels, 0.0), cross_entropy(logits, labels))


def test_both_engines_train_the_same_models():
    members = [np.arange(40), np.arange(20, 60), np.arange(25)]
    stacked = Stacked(recipe(0.2), Records.of(POOL), members, [1, 2, 3]).run(lambda fraction: None)
    for column, (indices, model) in enumerate(zip(members, stacked, strict=True)):
        (alone,) = Single(recipe(0.2), Records.of(POOL), [indices], [column + 1]).run(lambda fraction: None)
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(model.state_dict()[name], value, atol=5e-6, rtol=0)


def test_smoothing_makes_a_model_less_sure():
    def confidence(smoothing):
        (model,) = Single(recipe(smoothing), Records.of(POOL), [np.arange(60)], [1]).run(lambda fraction: None)
        return model(torch.from_numpy(POOL.inputs)).softmax(1).max(1).values.mean().item()

    assert confidence(0.0) > confidence(0.5) + 0.02


def test_the_recipe_says_how_much_is_smoothed():
    assert recipe(0.1).is_registered
    assert recipe(0.1).describe()["objective"] == {
        "call": "seepage.models.objectives.label_smoothing",
        "options": {"smoothing": 0.1},
    }
    assert recipe(0.1).fingerprint != recipe(0.2).fingerprint
    assert pickle.loads(pickle.dumps(recipe(0.1))).fingerprint == recipe(0.1).fingerprint


@pytest.mark.parametrize("smoothing", [1.1, float("nan"), float("-inf")])
def test_what_is_no_share_is_refused(smoothing):
    with pytest.raises(InputError, match="share"):
        label_smoothing(torch.zeros(1, 2), torch.tensor([0]), smoothing)
