"""Weight decay, dropout, mixup and early stopping: what they change in a recipe, and what that does to digits."""

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import seepage
from seepage.defences.regularisers import L2, Dropout, EarlyStopping, Mixup
from seepage.errors import InputError
from seepage.models.architectures import ResNet18
from seepage.models.dropout import SeededDropout
from seepage.models.engines import Single
from seepage.models.held_out import HeldOut
from seepage.models.recipe import BestValidation, StopAt
from seepage.models.records import Records
from tests.defences import trained

ALL = [L2(0.01), Dropout(0.7), Mixup(1.0), EarlyStopping(0.2)]
NAMES = [type(defence).__name__ for defence in ALL]


def own_model(input_shape, n_classes, dropout=0.0):
    return nn.Sequential(nn.Linear(input_shape[0], 4), nn.Dropout(dropout), nn.Linear(4, n_classes))


def own_model_without(input_shape, n_classes):
    return nn.Linear(input_shape[0], n_classes)


@pytest.mark.parametrize("defence", ALL, ids=NAMES)
def test_on_digits_it_narrows_the_gap_and_keeps_the_accuracy(defence):
    defended = defence.apply(trained.OVERFITTED)
    assert trained.loss_gap(defended) < 0.85 * trained.loss_gap(trained.OVERFITTED)
    assert trained.accuracy(defended) > trained.accuracy(trained.OVERFITTED) - 0.04


@pytest.mark.parametrize("defence", ALL, ids=NAMES)
def test_both_engines_train_the_same_models(defence):
    trained.check_both_engines(defence.apply(trained.PLAIN))


@pytest.mark.parametrize("defence", ALL, ids=NAMES)
def test_grids_hold_options_that_protect_less_and_less(defence):
    values = [next(iter(options.values())) for options in defence.grid]
    assert values == sorted(values, reverse=defence != ALL[3])
    assert all(isinstance(replace(defence, **options), type(defence)) for options in defence.grid)


def test_weight_decay_is_the_gradient_of_half_the_squared_weights():
    records, members = Records.of(trained.NOISE), [np.arange(8)]
    one_step = replace(trained.PLAIN, optimiser=seepage.SGD(0.1, momentum=0.0), epochs=1)
    (plain,) = Single(one_step, records, members, [1]).run()
    (decayed,) = Single(L2(0.2).apply(one_step), records, members, [1]).run()
    initial = one_step.build((6,), 3, 1)
    for start, without, with_it in zip(*(m.parameters() for m in (initial, plain, decayed)), strict=True):
        torch.testing.assert_close(with_it, without - 0.1 * 0.2 * start)


def test_weight_decay_comes_on_top_of_the_recipes_own():
    has_some = replace(trained.PLAIN, optimiser=seepage.Adam(weight_decay=1e-3, decoupled=True))
    assert L2(0.5).apply(has_some).optimiser == seepage.Adam(weight_decay=0.501, decoupled=True)
    assert replace(L2(0.5).apply(has_some), optimiser=has_some.optimiser) == has_some


def test_dropout_is_the_option_of_the_architecture():
    module = Dropout(0.3).apply(trained.PLAIN).build((6,), 3, 0)
    assert [layer.p for layer in module.modules() if isinstance(layer, SeededDropout)] == [0.3]
    assert module.body[1].out_features == 9  # the recipe's other options are still there
    bare = replace(trained.PLAIN, model=seepage.MLP)
    assert Dropout(0.3).apply(bare).build((6,), 3, 0).body[3].p == 0.3
    own = Dropout(0.3).apply(replace(trained.PLAIN, model=own_model)).build((6,), 3, 0)
    assert own[1].p == 0.3


def test_dropout_needs_an_architecture_with_the_option():
    with pytest.raises(InputError, match=r"ResNet18 has no option 'dropout'.*mlp, cnn, wideresnet, densenet-bc"):
        Dropout().apply(replace(trained.PLAIN, model=ResNet18))
    with pytest.raises(InputError, match="own_model_without has no option"):
        Dropout().apply(replace(trained.PLAIN, model=own_model_without))
    with pytest.raises(InputError, match=r"0\.2 of it already"):
        Dropout().apply(replace(trained.PLAIN, model=functools.partial(seepage.MLP, dropout=0.2)))
    assert Dropout().apply(replace(trained.PLAIN, model=functools.partial(seepage.MLP, dropout=0.0)))


def test_mixup_is_the_recipes():
    assert Mixup(0.3).apply(trained.PLAIN).mixup == 0.3
    with pytest.raises(InputError, match=r"alpha of 0\.3 already"):
        Mixup().apply(Mixup(0.3).apply(trained.PLAIN))


def test_stopping_after_a_share_of_the_epochs_is_the_beginning_of_the_same_training():
    records, members = Records.of(trained.NOISE), [np.arange(60)]
    whole = Single(trained.PLAIN, records, members, [1])
    half = Single(EarlyStopping(0.5).apply(trained.PLAIN), records, members, [1])
    assert half.steps_left == math.ceil(0.5 * 3 * 60 / 8) == 12
    for _ in range(12):
        whole.step()
    (stopped,) = half.run()
    for ours, theirs in zip(stopped.parameters(), whole.module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_patience_is_over_when_validation_accuracy_no_longer_rises():
    members, validation = np.arange(30), HeldOut(validation=np.arange(30, 60))
    long = replace(trained.PLAIN, epochs=200)
    patient = EarlyStopping(fraction=1.0, patience=2).apply(long)
    assert patient.stop == BestValidation(patience=2)
    assert patient.epochs == 200
    training = Single(patient, Records.of(trained.NOISE), [members], [1], validation)
    training.run()
    assert training.steps_done < 0.5 * training.streams[0].n_steps
    assert EarlyStopping(0.5, patience=3).apply(replace(long, stop=BestValidation(least_gain=0.01))) == replace(
        long, epochs=100, stop=BestValidation(patience=3, least_gain=0.01)
    )
    with pytest.raises(InputError, match="StopAt"):
        EarlyStopping(1.0, patience=1).apply(replace(long, stop=StopAt(0.9)))
    assert EarlyStopping(0.5).apply(replace(long, stop=StopAt(0.9))).stop == StopAt(0.9)


@pytest.mark.parametrize(
    ("kind", "options", "complaint"),
    [
        (L2, {"weight_decay": 0.0}, "above 0"),
        (L2, {"weight_decay": math.inf}, "above 0"),
        (Dropout, {"rate": 0.0}, "above 0 and below 1"),
        (Dropout, {"rate": 1.0}, "above 0 and below 1"),
        (Mixup, {"alpha": 0.0}, "above 0"),
        (EarlyStopping, {"fraction": 0.0}, "above 0"),
        (EarlyStopping, {"fraction": 1.5}, "up to 1"),
        (EarlyStopping, {"fraction": 1.0}, "below 1, or a patience"),
        (EarlyStopping, {"patience": 0}, "patience"),
    ],
)
def test_what_cannot_be_made(kind, options, complaint):
    with pytest.raises(InputError, match=complaint):
        kind(**options)
