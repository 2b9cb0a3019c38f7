"""DP-SGD on modules of every kind: what it trains is the naive loop's, and what it cannot train it says beforehand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import seepage
from seepage import SGD, Pool, Recipe
from seepage.defences import defended, find_defence
from seepage.errors import InputError
from seepage.models.records import Records
from seepage.models.train import train_models
from tests.reference import dp_sgd as naive

RNG = np.random.default_rng(0)
POOL = Pool(RNG.integers(0, 9, size=(40, 5)).astype(np.float32), RNG.integers(0, 3, 40))
RECORDS = Records.of(POOL)
COLUMNS = [np.arange(0, 24), np.arange(12, 40)]


class Recurrent(nn.Module):
    kind = nn.LSTM

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.layer = self.kind(1, 4, batch_first=True)
        self.head = nn.Linear(4, n_classes)

    def forward(self, x):
        return self.head(self.layer(x.unsqueeze(2) / 9)[0][:, -1])


class Gated(Recurrent):
    kind = nn.GRU


class Elman(Recurrent):
    kind = nn.RNN


class Embedded(nn.Module):
    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.layer, self.head = nn.Embedding(9, 4), nn.Linear(4, n_classes)

    def forward(self, x):
        return self.head(self.layer(x.long()).mean(1))


class Attending(nn.Module):
    dropout = 0.0

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.first, self.head = nn.Linear(1, 4), nn.Linear(4, n_classes)
        self.layer = nn.MultiheadAttention(4, 2, dropout=self.dropout, batch_first=True)

    def forward(self, x):
        h = self.first(x.unsqueeze(2) / 9)
        return self.head(self.layer(h, h, h, need_weights=False)[0].mean(1))


class Forgetful(Attending):
    dropout = 0.5


class TwoHeads(nn.Module):
    """Several outputs that make one answer, and a parameter of its own."""

    def __init__(self, input_shape, n_classes):
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(input_shape[0], n_classes) for _ in range(2))
        self.weight = nn.Parameter(torch.tensor([1.0, 0.5]))

    def forward(self, x):
        return sum(weight * head(x / 9) for weight, head in zip(self.weight, self.heads, strict=True))


@pytest.mark.parametrize("model", [Recurrent, Gated, Elman, Embedded, Attending, TwoHeads])
def test_without_noise_any_module_is_trained_as_the_loop_does(model):
    recipe = Recipe(model, SGD(0.3, momentum=0.0), epochs=2, batch_size=8)
    found = train_models(defended(recipe, "dp-sgd", noise_multiplier=0.0, max_norm=0.1), RECORDS, COLUMNS, (1, 2))
    for module, column, seed in zip(found, COLUMNS, (1, 2), strict=True):
        looped = naive.train(
            recipe.build((5,), 3, seed), torch.from_numpy(POOL.batch()), RECORDS.labels, column.tolist(),
            batch_size=8, epochs=2, lr=0.3, max_norm=0.1, seed=seed,
        )  # fmt: skip
        for ours, theirs in zip(module.parameters(), looped.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("width", [6, 32, 33, 64])
def test_features_survive_the_norm_that_takes_the_place_of_batch_norm(width):
    """A group of one number is always zero after GroupNorm: such a model would learn nothing."""

    def normed(input_shape, n_classes):
        return nn.Sequential(nn.Linear(5, width), nn.BatchNorm1d(width), nn.Linear(width, n_classes))

    recipe = defended(Recipe(normed, SGD(0.1), epochs=1, batch_size=8), "dp-sgd")
    module = seepage.train(recipe, POOL, np.arange(40) < 24, rng=0)
    (norm,) = (layer for layer in module.modules() if isinstance(layer, nn.GroupNorm))
    assert norm.num_channels == width
    assert nn.Sequential(module[0], norm)(torch.from_numpy(POOL.batch())).std(1).min() > 0.3


def test_dropout_inside_a_layer_is_refused_before_the_training():
    recipe = defended(Recipe(Forgetful, epochs=10_000), "dp-sgd")
    with pytest.raises(InputError, match="leave the dropout out"):
        seepage.train(recipe, POOL, np.arange(40) < 24, rng=0)


def test_a_target_and_a_noise_are_not_given_together():
    with pytest.raises(InputError, match=r"target_epsilon=3\.0 decides the noise.*noise_multiplier=1\.0"):
        find_defence("dp-sgd", target_epsilon=3.0, noise_multiplier=1.0)
    with pytest.raises(InputError, match="max_norm"):
        find_defence("dp-sgd", max_norm=None)
    plain = find_defence("dp-sgd")
    assert plain.epsilon(400, 40, 3) == replace(plain, noise_multiplier=1.0).epsilon(400, 40, 3)
