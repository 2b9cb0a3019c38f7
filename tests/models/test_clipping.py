"""Clipped sums of per-sample gradients: by book-keeping, by vmap, by Opacus's hooks, and by a loop, all the same."""

import functools

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from seepage import CNN, MLP
from seepage.defences.dp_sgd import without_batch_norm
from seepage.models.book_keeping import BookKeeping
from seepage.models.clipping import clipping_factors, per_sample_clipped_sum
from tests.reference import dp_sgd as naive

N = 6


def mlp():
    return MLP((7,), 3, hidden=(11, 5), activation="tanh")


def cnn():
    architecture = functools.partial(CNN, widths=(4, 6))
    return without_batch_norm((2, 8, 8), 3, architecture)


def normed():
    return nn.Sequential(nn.Linear(7, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3))


def positions():
    """Few positions and many weights, groups, strides, dilation: norms from products of positions."""
    return nn.Sequential(
        nn.Conv2d(4, 16, 3, stride=2, padding=1, groups=2),
        nn.Tanh(),
        nn.Conv2d(16, 32, 3, dilation=2, padding=2, bias=False),
        nn.Flatten(2),
        nn.Linear(9, 40),
        nn.Flatten(),
        nn.Linear(1280, 3),
    )


MODULES = {
    "mlp": (mlp, (7,)),
    "cnn with GroupNorm": (cnn, (2, 8, 8)),
    "LayerNorm": (normed, (7,)),
    "positions": (positions, (4, 5, 5)),
}


def made(name, seed=0):
    torch.manual_seed(seed)
    build, shape = MODULES[name]
    module = build()
    return module, torch.randn(N, *shape), torch.randint(0, 3, (N,))


def losses(outputs, labels):
    return nn.functional.cross_entropy(outputs, labels, reduction="none")


def by_vmap(module, inputs, labels, mask, max_norm):
    parameters = {name: p.detach() for name, p in module.named_parameters()}

    def loss(parameters, x, y):
        return losses(functional_call(module, parameters, (x[None],)), y[None]).sum()

    return list(per_sample_clipped_sum(loss, parameters, (inputs, labels), mask, max_norm).values())


def by_book_keeping(module, inputs, labels, mask, max_norm):
    parameters = {name: p.detach() for name, p in module.named_parameters()}
    others = {name: b.detach() for name, b in module.named_buffers()}
    keeping = BookKeeping(module, inputs[:1])
    assert keeping.fits
    summed, _ = keeping(lambda z: losses(z, labels), parameters, others, inputs, mask, max_norm)
    return [summed[name] for name in parameters]


def by_opacus(module, inputs, labels, max_norm):
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    wrapped = GradSampleModule(module, loss_reduction="sum")
    optimiser = DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=1.0),
        noise_multiplier=0.0, max_grad_norm=max_norm, expected_batch_size=1, loss_reduction="sum",
    )  # fmt: skip
    losses(wrapped(inputs), labels).sum().backward()
    optimiser.clip_and_accumulate()
    found = [p.summed_grad.detach().clone() for p in module.parameters()]
    wrapped.to_standard_module()
    return found


def far(one, other):
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("max_norm", [1e-2, 0.7, 1e6])
@pytest.mark.parametrize("name", MODULES)
def test_four_ways_to_the_same_sum(name, max_norm):
    module, inputs, labels = made(name)
    everyone = torch.ones(N, dtype=torch.bool)
    expected = naive.clipped_sum(module, inputs, labels, max_norm)
    assert far(by_vmap(module, inputs, labels, everyone, max_norm), expected) < 1e-5
    assert far(by_book_keeping(module, inputs, labels, everyone, max_norm), expected) < 1e-5
    assert far(by_opacus(module, inputs, labels, max_norm), expected) < 1e-5


@pytest.mark.parametrize("name", MODULES)
def test_padding_counts_for_nothing_and_a_wide_clip_is_the_plain_gradient(name):
    module, inputs, labels = made(name)
    mask = torch.tensor([True, False, True, True, False, False])
    expected = naive.clipped_sum(module, inputs[mask], labels[mask], 0.5)
    for way in (by_vmap, by_book_keeping):
        assert far(way(module, inputs, labels, mask, 0.5), expected) < 1e-5
        plain = torch.autograd.grad(losses(module(inputs), labels).sum(), list(module.parameters()))
        assert far(way(module, inputs, labels, torch.ones(N, dtype=torch.bool), 1e9), plain) < 1e-4
        nobody = way(module, inputs, labels, torch.zeros(N, dtype=torch.bool), 0.5)
        assert all(not part.any() for part in nobody)


@pytest.mark.parametrize("name", MODULES)
def test_stacked_models_have_each_their_own_sum(name):
    modules = [made(name, seed)[0] for seed in (1, 2, 3)]
    _, inputs, labels = made(name, 4)
    everyone = torch.ones(N, dtype=torch.bool)
    stacked, buffers = stack_module_state(modules)
    keeping = BookKeeping(modules[0], inputs[:1])

    def of_one(parameters, others):
        return keeping(lambda z: losses(z, labels), parameters, others, inputs, everyone, 0.3)[0]

    found = vmap(of_one)({n: p.detach() for n, p in stacked.items()}, buffers)
    for place, module in enumerate(modules):
        expected = naive.clipped_sum(module, inputs, labels, 0.3)
        assert far([value[place] for value in found.values()], expected) < 1e-5


def test_records_taken_a_few_at_a_time_give_the_same_sum(monkeypatch):
    module, inputs, labels = made("mlp")
    mask = torch.tensor([True, False, True, True, False, True])
    whole = by_vmap(module, inputs, labels, mask, 0.5)
    for n_records in (1, 4):
        n_bytes = 4 * n_records * sum(p.numel() for p in module.parameters())
        monkeypatch.setattr("seepage.models.clipping.GRADIENT_BYTES", n_bytes)
        assert far(by_vmap(module, inputs, labels, mask, 0.5), whole) < 1e-6


def test_frozen_parameters_count_in_no_norm():
    module, inputs, labels = made("mlp")
    module.body[1].weight.requires_grad_(False)
    module.head.bias.requires_grad_(False)
    trained = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    frozen = {name: p.detach() for name, p in module.named_parameters() if not p.requires_grad}
    everyone = torch.ones(N, dtype=torch.bool)
    summed, _ = BookKeeping(module, inputs[:1])(lambda z: losses(z, labels), trained, frozen, inputs, everyone, 0.1)
    assert list(summed) == list(trained)
    assert far(summed.values(), naive.clipped_sum(module, inputs, labels, 0.1)) < 1e-5


def test_factors_by_hand():
    squares, mask = torch.tensor([0.0, 1.0, 4.0, 100.0, 9.0]), torch.tensor([True, True, True, True, False])
    assert clipping_factors(squares, mask, 2.0).tolist() == pytest.approx([1, 1, 1, 0.2, 0])


def test_modules_that_book_keeping_does_not_know_do_not_fit():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            return self.layer(self.layer(x))

    assert not BookKeeping(Twice(), torch.zeros(1, 4)).fits
    assert not BookKeeping(nn.Sequential(nn.Embedding(3, 4), nn.Flatten()), torch.zeros(1, 2, dtype=torch.int64)).fits
