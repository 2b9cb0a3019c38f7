"""Updates of images or codes, row by row: see `descent.Update`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor

from seepage.options import Options


@dataclass(frozen=True)
class GradientDescent(Options):
    """x - lr g."""

    lr: Annotated[float, Gt(0)]

    def start(self, variable: Tensor) -> tuple[Tensor, ...]:
        return ()

    def step(self, variable: Tensor, gradient: Tensor, state: tuple[Tensor, ...], step: int):
        return variable - self.lr * gradient, state


@dataclass(frozen=True)
class Momentum(Options):
    """Gradient descent with Nesterov's momentum, from a velocity of 0.

        v' = m v - lr g
        x' = x + v' + m (v' - v) = x - m v + (1 + m) v'

    Plain momentum is x' = x + v'. The first step is (1 + m) times as long as plain gradient descent's.

    Reference: Sutskever, Martens, Dahl and Hinton (2013), "On the importance of initialization and momentum in deep
        learning", equations 3 and 4, in terms of the point where the gradient is taken; so in GMI's code.
    """

    lr: Annotated[float, Gt(0)]
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.9

    def start(self, variable: Tensor) -> tuple[Tensor, ...]:
        return (torch.zeros_like(variable),)

    def step(self, variable: Tensor, gradient: Tensor, state: tuple[Tensor, ...], step: int):
        (before,) = state
        velocity = self.momentum * before - self.lr * gradient
        return variable - self.momentum * before + (1 + self.momentum) * velocity, (velocity,)


@dataclass(frozen=True)
class Adam(Options):
    """Adam with bias correction: m / (sqrt(v) + eps), each row by itself.

    Reference: Kingma and Ba (2015), arXiv 1412.6980, algorithm 1.
    """

    lr: Annotated[float, Gt(0)]
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def start(self, variable: Tensor) -> tuple[Tensor, ...]:
        return torch.zeros_like(variable), torch.zeros_like(variable)

    def step(self, variable: Tensor, gradient: Tensor, state: tuple[Tensor, ...], step: int):
        first, second = self.betas
        mean = first * state[0] + (1 - first) * gradient
        square = second * state[1] + (1 - second) * gradient**2
        corrected = (square / (1 - second ** (step + 1))).sqrt() + self.eps
        return variable - self.lr * (mean / (1 - first ** (step + 1))) / corrected, (mean, square)
