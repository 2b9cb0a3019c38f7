"""Gradient descent on what images are made of: the loop that most attacks share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from seepage.inversion.base import Attempt, Images, Inversion
from seepage.inversion.objectives import log_confidence

REPORT_STEPS = 10


class Update(Protocol):
    """An optimiser of one tensor whose rows are images: what happens to a row depends on that row alone."""

    def start(self, variable: Tensor) -> tuple[Tensor, ...]:
        """The state before the first step."""

    def step(
        self, variable: Tensor, gradient: Tensor, state: tuple[Tensor, ...], step: int
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The variable and the state after step `step`, counted from 0."""


@dataclass(frozen=True)
class Descent(Inversion):
    """variables -> codes -> images -> loss; an update, a projection, again.

    Attributes:
        keeps_best: the image of an attempt is the one with the smallest loss along the path, not the last.
    """

    keeps_best: ClassVar[bool] = False

    @property
    @abstractmethod
    def update(self) -> Update:
        """The optimiser."""

    @abstractmethod
    def loss(self, images: Images, codes: Tensor, attempt: Attempt, step: int) -> Float[Tensor, " images"]:
        """What is made small, for each image by itself."""

    def start(self, attempt: Attempt) -> list[Tensor]:
        """The variables that are descended on, each with a row an image; by default one random code an image."""
        return [attempt.prior.draw(attempt.rngs)]

    def codes(self, variables: list[Tensor], attempt: Attempt) -> Tensor:
        """The codes that the variables stand for; asked in every step, where it may draw from the attempt's rngs."""
        return variables[0]

    def project(self, variables: list[Tensor], attempt: Attempt) -> list[Tensor]:
        """The variables, put back to where they are allowed to be."""
        return variables

    def penalty(self, variables: list[Tensor], attempt: Attempt) -> Float[Tensor, " images"] | float:
        """A part of the loss that depends on the variables themselves."""
        return 0.0

    def merit(self, images: Images, attempt: Attempt) -> Float32[Tensor, " images"]:
        """How much each image is liked, by which the best of several tries is chosen."""
        return log_confidence(attempt.oracle.logits(images), attempt.labels)

    def run(self, attempt: Attempt) -> tuple[Images, Float32[Tensor, " images"]]:
        update = self.update
        variables = [variable.detach() for variable in self.start(attempt)]
        states = [update.start(variable) for variable in variables]
        least, best = torch.full((len(attempt),), torch.inf, device=attempt.labels.device), None
        for step in range(attempt.budget.steps):
            variables = [variable.detach().requires_grad_() for variable in variables]
            codes = self.codes(variables, attempt)
            images = attempt.prior.images(codes, attempt.labels)
            if attempt.watch is not None:
                attempt.watch(step, images.detach(), codes.detach())
            loss = self.loss(images, codes, attempt, step) + self.penalty(variables, attempt)
            gradients = torch.autograd.grad(loss.sum(), variables)
            with torch.no_grad():
                if self.keeps_best:
                    better = loss < least
                    least = torch.where(better, loss, least)
                    best = images if best is None else torch.where(better[:, None, None, None], images, best)
                moved = [update.step(*part, step) for part in zip(variables, gradients, states, strict=True)]
                variables, states = self.project([new for new, _ in moved], attempt), [state for _, state in moved]
            if step % REPORT_STEPS == 0:
                attempt.report(step / attempt.budget.steps)
        with torch.no_grad():
            if best is None:
                best = attempt.prior.images(self.codes(variables, attempt), attempt.labels)
            return best, self.merit(best, attempt)
