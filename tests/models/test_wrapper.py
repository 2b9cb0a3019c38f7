"""What a target behind a wrapper gives: answers through it, labels as it keeps them, and never its inside."""

import numpy as np
import pytest
import torch
from torch import nn

from seepage import MLP, SGD, Recipe
from seepage.defences import DEFENCES, find_defence
from seepage.models.access import Access, AccessError
from seepage.models.held_out import HeldOut
from seepage.models.records import Records
from seepage.models.target import TargetModel
from seepage.models.wrapper import Wrapped, record_rng

RNG = np.random.default_rng(4)
INPUTS, LABELS = torch.from_numpy(RNG.normal(size=(90, 6)).astype(np.float32)), torch.from_numpy(RNG.integers(0, 4, 90))
RECORDS = Records(INPUTS, LABELS, 4)
HELD_OUT = HeldOut(validation=np.arange(40, 65), population=np.arange(65, 90))
WRAPPING = [name for name, defence in DEFENCES.items() if defence.kind != "training"]


def wrapped(name):
    recipe = find_defence(name).apply(Recipe(MLP, SGD(0.1)))
    module = recipe.build((6,), 4, 3).eval()
    with torch.no_grad():  # ties, which wrappers must not part the wrong way
        module.head.weight[1] = module.head.weight[0]
        module.head.bias[1] = module.head.bias[0]
    return module, recipe.wrapper.fit(module, RECORDS, np.arange(40), HELD_OUT, seed=9)


@pytest.mark.parametrize("name", WRAPPING)
def test_labels_are_those_of_the_answers_whichever_way_they_are_asked_for(name):
    module, answering = wrapped(name)
    target, bare = TargetModel.wrap(answering), TargetModel.wrap(module)
    inputs = INPUTS.numpy()
    assert np.array_equal(target.labels(inputs), target.logits(inputs).argmax(axis=1))
    if answering.keeps_label:
        assert np.array_equal(target.labels(inputs), bare.labels(inputs))


@pytest.mark.parametrize("name", WRAPPING)
def test_a_wrapped_model_gives_answers_alone(name):
    target = TargetModel.wrap(wrapped(name)[1])
    assert target.access == Access.LOGITS
    for ask in (lambda: target.features(INPUTS.numpy()), lambda: target.module):
        with pytest.raises(AccessError):
            ask()


def test_some_wrappers_keep_labels_and_are_not_asked_for_them():
    class Never(Wrapped):
        keeps_label = True

        def forward(self, x):
            raise AssertionError("asked")

    assert TargetModel.wrap(Never(nn.Linear(6, 4))).labels(INPUTS.numpy()).shape == (90,)
    assert {name for name in WRAPPING if wrapped(name)[1].keeps_label} == {
        "hamp", "hamp-answers", "memguard", "gaussian-noise",
    }  # fmt: skip


def test_random_numbers_belong_to_model_record_and_question():
    draws = {
        (seed, row, question): record_rng(seed, INPUTS[row], question).random()
        for seed in (1, 2)
        for row in (0, 1)
        for question in (0, 1)
    }
    assert len(set(draws.values())) == 8
    assert record_rng(1, INPUTS[0].clone(), 0).random() == draws[1, 0, 0]
