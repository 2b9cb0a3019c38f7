"""Updates of images or codes, row by row: see `descent.Update`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seepage.errors import InputError


@dataclass(frozen=True)
class Adam:
    """Adam with bias correction: m / (sqrt(v) + eps), each row by itself.

    Reference: Kingma and Ba (2015), arXiv 1412.6980, algorithm 1.
    """

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self):
        if not self.lr > 0:
            raise InputError(f"Adam: lr must be positive, got {self.lr}")

    def start(self, variable: Tensor) -> tuple[Tensor, ...]:
        return torch.zeros_like(variable), torch.zeros_like(variable)

    def step(self, variable: Tensor, gradient: Tensor, state: tuple[Tensor, ...], step: int):
        first, second = self.betas
        mean = first * state[0] + (1 - first) * gradient
        square = second * state[1] + (1 - second) * gradient**2
        corrected = (square / (1 - second ** (step + 1))).sqrt() + self.eps
        return variable - self.lr * (mean / (1 - first ** (step + 1))) / corrected, (mean, square)
