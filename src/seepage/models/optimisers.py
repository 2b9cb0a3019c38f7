"""Optimisers and schedules as values, stepped functionally.

Both engines step the same functions: the one-by-one engine over a model's parameters, the stacked
engine over parameters with a leading axis of models. State is a list of tensors shaped like the
parameters, so that models can be cut out of a stack along its first axis.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from torch import Tensor
from torch.optim.adam import adam
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from seepage.options import Options

State = dict[str, list[Tensor]]


def _laid_out(gradients: Sequence[Tensor], parameters: Sequence[Tensor]) -> list[Tensor]:
    # The fused kernels walk through memory and do not look at strides, and the gradient of a channels-last weight,
    # or of one that a layer used in another layout, need not have the strides of its parameter.
    return [
        g if g.stride() == p.stride() else torch.empty_like(p).copy_(g)
        for g, p in zip(gradients, parameters, strict=True)
    ]


@dataclass(frozen=True)
class SGD(Options):
    """Stochastic gradient descent with momentum (`torch.optim.SGD`)."""

    lr: Annotated[float, Ge(0)] = 0.1
    momentum: Annotated[float, Ge(0)] = 0.9
    weight_decay: Annotated[float, Ge(0)] = 0.0
    nesterov: bool = False

    def initial_state(self, parameters: Sequence[Tensor]) -> State:
        return {"momentum": [torch.zeros_like(p) for p in parameters]} if self.momentum else {}

    def step(self, parameters: list[Tensor], gradients: list[Tensor], state: State, steps_done: int, lr: float) -> None:
        # A zero buffer gives momentum * 0 + g = g in the first step: what torch does with an absent one.
        sgd(
            parameters,
            _laid_out(gradients, parameters),
            state["momentum"] if self.momentum else [None] * len(parameters),
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            lr=lr,
            dampening=0.0,
            nesterov=self.nesterov,
            maximize=False,
            fused=True,
        )


@dataclass(frozen=True)
class Adam(Options):
    """Adam (`torch.optim.Adam`), or AdamW where `decoupled` is set."""

    lr: Annotated[float, Ge(0)] = 1e-3
    betas: tuple[Annotated[float, Ge(0), Lt(1)], Annotated[float, Ge(0), Lt(1)]] = (0.9, 0.999)
    eps: Annotated[float, Ge(0)] = 1e-8
    weight_decay: Annotated[float, Ge(0)] = 0.0
    decoupled: bool = False

    def initial_state(self, parameters: Sequence[Tensor]) -> State:
        return {
            "mean": [torch.zeros_like(p) for p in parameters],
            "square": [torch.zeros_like(p) for p in parameters],
        }

    def step(self, parameters: list[Tensor], gradients: list[Tensor], state: State, steps_done: int, lr: float) -> None:
        device = parameters[0].device
        (adamw if self.decoupled else adam)(
            parameters,
            _laid_out(gradients, parameters),
            state["mean"],
            state["square"],
            [],
            [torch.tensor(float(steps_done), device=device) for _ in parameters],
            fused=True,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=lr,
            weight_decay=self.weight_decay,
            eps=self.eps,
            maximize=False,
        )


Optimiser = SGD | Adam


@dataclass(frozen=True)
class Constant:
    """The same learning rate throughout."""

    def factor(self, epoch: int, epochs: float) -> float:
        return 1.0


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from the optimiser's learning rate to zero, a new value each epoch."""

    def factor(self, epoch: int, epochs: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(1.0, epoch / epochs)))


@dataclass(frozen=True)
class Steps(Options):
    """The learning rate times `gamma` from each of the epochs in `milestones` on."""

    milestones: tuple[float, ...]
    gamma: Annotated[float, Ge(0)] = 0.1

    def factor(self, epoch: int, epochs: float) -> float:
        return self.gamma ** sum(epoch >= milestone for milestone in self.milestones)


Schedule = Constant | Cosine | Steps
