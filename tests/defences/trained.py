"""Small trainings that the tests of training defences share."""

import functools

import numpy as np
import torch

import seepage
from seepage.metrics.roc import auc
from seepage.models.engines import Single, Stacked
from seepage.models.records import Records

RNG = np.random.default_rng(0)
NOISE = seepage.Pool(RNG.normal(size=(60, 6)).astype(np.float32), RNG.integers(0, 3, 60))
PLAIN = seepage.Recipe(
    functools.partial(seepage.MLP, hidden=(9,)), seepage.SGD(0.05, momentum=0.9), epochs=3, batch_size=8
)

EASY = seepage.load("digits")
IS_TRAINED_ON = np.random.default_rng(1).permutation(len(EASY)) < 300
OVERFITTED = seepage.Recipe(
    functools.partial(seepage.MLP, hidden=(64,)), seepage.Adam(lr=0.005), epochs=40, batch_size=32
)


def check_both_engines(recipe, least_change=1e-3):
    """The same models alone and stacked, and not those of the plain recipe."""
    members, records = [np.arange(40), np.arange(20, 60), np.arange(25)], Records.of(NOISE)
    stacked = Stacked(recipe, records, members, [1, 2, 3]).run()
    plain = Stacked(PLAIN, records, members, [1, 2, 3]).run()
    for column, (indices, model, other) in enumerate(zip(members, stacked, plain, strict=True)):
        (alone,) = Single(recipe, records, [indices], [column + 1]).run()
        for name, value in alone.state_dict().items():
            torch.testing.assert_close(model.state_dict()[name], value, atol=5e-6, rtol=0)
        assert max((a - b).abs().max() for a, b in zip(model.parameters(), other.parameters(), strict=True)) > (
            least_change
        )


@functools.cache
def trained(recipe):
    """A model of 300 digits, (records, classes) log-probabilities."""
    model = seepage.train(recipe, EASY, IS_TRAINED_ON, rng=np.random.default_rng(2))
    with torch.no_grad():
        return model(torch.from_numpy(EASY.inputs)).log_softmax(1).double().numpy()


def losses(recipe):
    """-log p_y of every digit under a model that was trained on some of them."""
    return -trained(recipe)[np.arange(len(EASY)), EASY.labels]


def accuracy(recipe):
    """On the digits that the model was not trained on."""
    return (trained(recipe).argmax(1) == EASY.labels)[~IS_TRAINED_ON].mean()


def loss_gap(recipe):
    """How much higher the mean loss is on records that the model was not trained on."""
    of_each = losses(recipe)
    return of_each[~IS_TRAINED_ON].mean() - of_each[IS_TRAINED_ON].mean()


def leak(recipe):
    """Area under the ROC curve of the loss."""
    return auc(-losses(recipe), IS_TRAINED_ON)
