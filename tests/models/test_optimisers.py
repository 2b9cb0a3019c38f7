"""The functional optimisers step as those of `torch.optim`, whatever the layout of the gradients."""

import math

import pytest
import torch

from seepage import SGD, Adam, Cosine, Steps
from seepage.errors import InputError
from seepage.models.optimisers import Constant

OPTIMISERS = {
    "sgd": (SGD(0.1, momentum=0.0), lambda p: torch.optim.SGD(p, 0.1)),
    "momentum": (SGD(0.1, momentum=0.9), lambda p: torch.optim.SGD(p, 0.1, momentum=0.9)),
    "nesterov": (
        SGD(0.1, momentum=0.9, weight_decay=0.05, nesterov=True),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.05, nesterov=True),
    ),
    "adam": (
        Adam(0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.05),
        lambda p: torch.optim.Adam(p, 0.01, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.05),
    ),
    "adamw": (
        Adam(0.01, weight_decay=0.5, decoupled=True),
        lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.5),
    ),
}
CHANNELS_LAST = {"memory_format": torch.channels_last}
PARAMETERS = [
    lambda: torch.randn(5, 3),
    lambda: torch.randn(7),
    lambda: torch.randn(4, 3, 3, 2).contiguous(**CHANNELS_LAST),
    lambda: torch.randn(3, 5).t(),
]
LAYOUTS = {
    "like the parameters": lambda g, p: torch.empty_like(p).copy_(g),
    "contiguous": lambda g, p: g.contiguous(),
    "transposed": lambda g, p: g.transpose(0, -1).contiguous().transpose(0, -1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", OPTIMISERS)
def test_ten_steps_are_those_of_torch(name, layout):
    torch.manual_seed(0)
    ours, theirs = OPTIMISERS[name]
    parameters = [make() for make in PARAMETERS]
    copies = [p.clone().requires_grad_() for p in parameters]
    state, optimiser = ours.initial_state(parameters), theirs(copies)
    for step in range(10):
        gradients = [torch.randn(p.shape) for p in parameters]
        ours.step(
            parameters, [LAYOUTS[layout](g, p) for g, p in zip(gradients, parameters, strict=True)], state, step, 0.03
        )
        for group in optimiser.param_groups:
            group["lr"] = 0.03
        for copy, gradient in zip(copies, gradients, strict=True):
            copy.grad = gradient.clone()
        optimiser.step()
    for p, copy in zip(parameters, copies, strict=True):
        torch.testing.assert_close(p, copy.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_slice_of_a_stack_is_stepped_alone(name):
    """The state of a stack is cut along its first axis, and what lies outside of a cut does not move."""
    torch.manual_seed(0)
    optimiser, _ = OPTIMISERS[name]
    stack = [torch.randn(4, 5, 3)]
    before, alone = stack[0].clone(), [stack[0][1:3].clone()]
    state, alone_state = optimiser.initial_state(stack), optimiser.initial_state(alone)
    for step in range(3):
        gradient = torch.randn(4, 5, 3)
        cut = {key: [t[1:3] for t in tensors] for key, tensors in state.items()}
        optimiser.step([stack[0][1:3]], [gradient[1:3]], cut, step, 0.1)
        optimiser.step(alone, [gradient[1:3].clone()], alone_state, step, 0.1)
    torch.testing.assert_close(stack[0][1:3], alone[0], rtol=1e-6, atol=1e-7)
    assert torch.equal(stack[0][[0, 3]], before[[0, 3]])


@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_learning_rate_of_zero_moves_nothing(name):
    optimiser, _ = OPTIMISERS[name]
    parameters = [torch.randn(5, 3)]
    before = parameters[0].clone()
    optimiser.step(parameters, [torch.randn(5, 3)], optimiser.initial_state(parameters), 0, 0.0)
    assert torch.equal(parameters[0], before)


@pytest.mark.parametrize("wrong", [-0.1, math.nan, math.inf])
@pytest.mark.parametrize(
    ("kind", "field"), [(SGD, "lr"), (SGD, "momentum"), (SGD, "weight_decay"), (Adam, "lr"), (Adam, "eps")]
)
def test_settings_must_be_finite_and_not_negative(kind, field, wrong):
    with pytest.raises(InputError, match=f"{field} must be a number of at least 0"):
        kind(**{field: wrong})


@pytest.mark.parametrize("betas", [(0.9,), (0.9, 1.0), (-0.1, 0.9)])
def test_betas_are_two_shares(betas):
    with pytest.raises(InputError, match=r"Adam: betas.* must be"):
        Adam(betas=betas)


SCHEDULES = {
    "constant": (Constant(), lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0)),
    "cosine": (Cosine(), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 12)),
    "steps": (Steps((3, 7, 7), 0.5), lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [3, 7, 7], 0.5)),
}


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.filterwarnings("ignore:Detected call of")
def test_schedules_are_those_of_torch(name):
    ours, theirs = SCHEDULES[name]
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2.0)
    scheduler = theirs(optimiser)
    for epoch in range(12):
        assert 2.0 * ours.factor(epoch, 12) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-12, abs=1e-15)
        scheduler.step()


def test_a_cosine_ends_at_zero_and_stays_there():
    assert Cosine().factor(0, 2.5) == 1.0
    assert Cosine().factor(3, 2.5) == 0.0
    assert Cosine().factor(100, 2.5) == 0.0
