"""Weights that nobody ever trained are recognised; trained ones are not taken for them."""

import numpy as np
import pytest
import torch
from torch import nn

import seepage
from seepage.models.untrained import is_untrained

MODULES = {
    "linear": lambda: nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 3)),
    "convolutional": lambda: nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.LazyLinear(3)),
    "our MLP": lambda: seepage.Recipe(seepage.MLP).build((20,), 3, 0),
    "our CNN": lambda: seepage.Recipe(seepage.CNN).build((3, 16, 16), 3, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", MODULES)
def test_a_fresh_module_is_untrained_whatever_the_seed(name):
    for seed in range(5):
        torch.manual_seed(seed)
        module = MODULES[name]()
        if name == "convolutional":
            module.eval()(torch.zeros(1, 1, 8, 8))
        assert is_untrained(module)


@pytest.mark.parametrize("name", ["linear", "our MLP"])
@pytest.mark.parametrize("rate", [1e-2, 1e-3])
def test_twenty_steps_are_enough_to_be_trained(name, rate):
    torch.manual_seed(0)
    module = MODULES[name]()
    optimiser = torch.optim.Adam(module.parameters(), lr=rate)
    x, y = torch.randn(200, 20), torch.randint(0, 3, (200,))
    for _ in range(20):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimiser.step()
    assert not is_untrained(module)


def test_one_batch_seen_by_a_batch_normalisation_is_training():
    module = nn.Sequential(nn.Linear(40, 40), nn.BatchNorm1d(40))
    assert is_untrained(module)
    module(torch.randn(10, 40))
    assert not is_untrained(module)


def test_what_may_have_been_trained_elsewhere_is_not_accused():
    class OwnHead(nn.Module):
        def __init__(self):
            super().__init__()
            self.features, self.head = nn.Linear(40, 40), nn.Parameter(torch.randn(40, 2))

    for module in (
        nn.Linear(30, 2),  # a few small steps stay within the initial bounds
        nn.Sequential(nn.EmbeddingBag(100, 32), nn.Linear(32, 40)),
        nn.Sequential(nn.GRU(20, 64), nn.Linear(64, 20)),
        OwnHead(),
    ):
        assert not is_untrained(module)


def test_no_layer_or_no_sign_is_no_accusation():
    assert not is_untrained(nn.ReLU())
    plain = nn.Linear(50, 50, bias=False)
    nn.init.normal_(plain.weight, std=50**-0.5)
    assert not is_untrained(plain)


def test_a_target_says_so_whatever_the_attacker_may_see():
    fresh = MODULES["linear"]()
    assert seepage.TargetModel.wrap(fresh, access="label").is_untrained
    assert not seepage.TargetModel.wrap(lambda x: np.zeros((len(x), 2)), outputs="logits").is_untrained
