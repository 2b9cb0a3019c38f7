"""A recipe says all that a model is trained with, and refuses what could not be trained."""

import functools
import json
import math

import numpy as np
import pytest
import torch
from torch import nn

import seepage
from seepage import MLP, SGD, Adam, Cosine, Recipe, Steps
from seepage.errors import InputError
from seepage.models.dropout import SeededDropout
from seepage.models.optimisers import Constant
from seepage.models.recipe import Augmentation, StopAt, cross_entropy


def own_model(input_shape, n_classes, width=4):
    return nn.Sequential(nn.Linear(input_shape[0], width), nn.Dropout(0.5), nn.Linear(width, n_classes))


def own_loss(logits, labels):
    return cross_entropy(logits, labels)


class OwnFactory:
    def __call__(self, input_shape, n_classes):
        return own_model(input_shape, n_classes)


def widest(width, input_shape, n_classes):
    return own_model(input_shape, n_classes, width)


def test_cross_entropy_is_that_of_torch():
    logits, labels = 30 * torch.randn(50, 7, dtype=torch.float64), torch.randint(0, 7, (50,))
    torch.testing.assert_close(cross_entropy(logits, labels), nn.functional.cross_entropy(logits, labels))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"model": "mlp"}, "model must be callable"),
        ({"epochs": 0}, "epochs must be a number above 0, got 0"),
        ({"epochs": -1}, "epochs"),
        ({"epochs": math.nan}, "epochs"),
        ({"epochs": math.inf}, "epochs"),
        ({"epochs": "3"}, "epochs"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"batch_size": 8.0}, "batch_size"),
        ({"optimiser": "adam"}, "optimiser must be of type SGD or of type Adam, got 'adam'"),
        ({"optimiser": Adam}, "optimiser"),
        ({"schedule": "cosine"}, "schedule must be of type Constant or of type Cosine or of type Steps, got 'cosine'"),
        ({"objective": "cross-entropy"}, "objective must be callable"),
        ({"augmentation": True}, "augmentation must be of type Augmentation or None, got True"),
        ({"stop": 0.9}, "stop must be of type StopAt or of type BestValidation or None, got 0.9"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(map(str, value.items())),
)
def test_what_cannot_be_trained_is_refused(wrong, says):
    with pytest.raises(InputError, match=says):
        Recipe(**{"model": MLP, **wrong})


@pytest.mark.parametrize("accuracy", [0, -0.1, 1.01, math.nan])
def test_a_stopping_accuracy_is_a_share(accuracy):
    with pytest.raises(InputError, match="StopAt: accuracy must be a number above 0 and up to 1"):
        StopAt(accuracy)


@pytest.mark.parametrize("shift", [-1, 1.5])
def test_a_shift_is_a_number_of_pixels(shift):
    with pytest.raises(InputError, match="shift must be a whole number"):
        Augmentation(shift=shift)


def test_a_factory_must_make_a_module():
    with pytest.raises(InputError, match=r"model\(...\) must return a torch.nn.Module, got int"):
        Recipe(lambda input_shape, n_classes: 3).build((2,), 2, 0)


def test_initial_weights_are_those_of_torch_under_the_seed():
    built = Recipe(MLP).build((6,), 3, seed=2**59 + 7)
    torch.manual_seed(2**59 + 7)
    by_hand = MLP((6,), 3)
    for ours, theirs in zip(built.parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Recipe(MLP).build((6,), 3, seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_dropout_of_a_users_model_is_seeded():
    layers = [Recipe(own_model, version="1").build((3,), 2, seed)[1] for seed in (1, 1, 2)]
    assert all(isinstance(layer, SeededDropout) for layer in layers)
    first, same, other = (layer.train()(torch.ones(200)) for layer in layers)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


BASE = Recipe(MLP)
CHANGES = {
    "another architecture": Recipe(seepage.CNN),
    "options": Recipe(functools.partial(MLP, hidden=(128,))),
    "other options": Recipe(functools.partial(MLP, hidden=(64,))),
    "optimiser": Recipe(MLP, optimiser=SGD(lr=1e-3)),
    "learning rate": Recipe(MLP, optimiser=Adam(lr=2e-3)),
    "betas": Recipe(MLP, optimiser=Adam(betas=(0.8, 0.999))),
    "decoupled": Recipe(MLP, optimiser=Adam(decoupled=True)),
    "schedule": Recipe(MLP, schedule=Cosine()),
    "milestones": Recipe(MLP, schedule=Steps((10,))),
    "other milestones": Recipe(MLP, schedule=Steps((20,))),
    "epochs": Recipe(MLP, epochs=51),
    "batch size": Recipe(MLP, batch_size=65),
    "augmentation": Recipe(MLP, augmentation=Augmentation()),
    "no flips": Recipe(MLP, augmentation=Augmentation(flip=False)),
    "stop": Recipe(MLP, stop=StopAt(0.9)),
    "objective": Recipe(MLP, objective=own_loss, version="1"),
    "version": Recipe(MLP, objective=own_loss, version="2"),
    "positional options": Recipe(functools.partial(widest, 3), version="1"),
    "other positional options": Recipe(functools.partial(widest, 4), version="1"),
}


def test_every_change_of_a_recipe_changes_its_fingerprint():
    prints = {name: recipe.fingerprint for name, recipe in {"base": BASE, **CHANGES}.items()}
    assert len(set(prints.values())) == len(prints)


@pytest.mark.parametrize("name", CHANGES)
def test_a_description_is_json_and_reads_back_the_same(name):
    described = CHANGES[name].describe()
    assert json.loads(json.dumps(described)) == described


def test_equal_recipes_have_equal_fingerprints():
    assert Recipe(MLP, schedule=Constant(), optimiser=Adam()).fingerprint == BASE.fingerprint
    with_lists, with_tuples, with_arrays = (
        Recipe(functools.partial(MLP, hidden=hidden)) for hidden in ([64], (64,), np.array([64]))
    )
    assert with_lists.fingerprint == with_tuples.fingerprint == with_arrays.fingerprint


def test_options_may_be_functions_but_nothing_without_a_name():
    relu, tanh = (Recipe(functools.partial(own_model, width=act), version="1") for act in (nn.ReLU, nn.Tanh))
    assert relu.fingerprint != tanh.fingerprint
    with pytest.raises(InputError, match="options must be numbers, text, lists or functions"):
        _ = Recipe(functools.partial(own_model, width=object()), version="1").fingerprint


@pytest.mark.parametrize(
    ("recipe", "registered"),
    [
        (Recipe(MLP), True),
        (Recipe(functools.partial(seepage.CNN, widths=(4,))), True),
        (Recipe(own_model), False),
        (Recipe(functools.partial(own_model, width=3)), False),
        (Recipe(lambda input_shape, n_classes: MLP(input_shape, n_classes)), False),
        (Recipe(OwnFactory()), False),
        (Recipe(MLP, objective=own_loss), False),
    ],
    ids=["class", "partial", "own", "own partial", "lambda", "instance", "own objective"],
)
def test_registered_means_nothing_of_the_users_own_is_in_it(recipe, registered):
    assert recipe.is_registered is registered
