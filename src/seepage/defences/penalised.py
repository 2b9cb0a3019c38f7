"""Trainings whose loss looks inside the model: at what its layers give for the batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F

from seepage.defences.one_by_one import OneByOne, Report
from seepage.models.engines import Single
from seepage.models.held_out import HeldOut
from seepage.models.recipe import Recipe
from seepage.models.records import Records

Penalty = Callable[[Tensor, list[Tensor], Tensor], Tensor]


@dataclass(frozen=True)
class PenalisedTraining(OneByOne):
    """A procedure that adds a penalty to the recipe's own objective."""

    @abstractmethod
    def watched(self, module: nn.Module) -> Sequence[nn.Module]:
        """The layers that the penalty sees."""

    @abstractmethod
    def penalty(
        self,
        inputs: Shaped[Tensor, "batch ..."],
        hidden: list[Tensor],
        targets: Float[Tensor, "batch classes"],
    ) -> Float[Tensor, ""]:
        """What the loss gets added.

        Args:
            inputs: the batch as the module saw it.
            hidden: what the watched layers gave, (batch, ...) each, in the order in which they were called.
            targets: one-hot labels, mixed where the recipe mixes records.
        """

    def train_one(
        self, recipe: Recipe, records: Records, members: np.ndarray, seed: int, held_out: HeldOut, report: Report
    ) -> nn.Module:
        training = Penalised(recipe, records, members, seed, held_out, self.watched, self.penalty)
        return training.run(report)[0]


class Penalised(Single):
    """The plain loop with a penalty in its loss. Hooks listen to the layers while it lasts."""

    def __init__(
        self,
        recipe: Recipe,
        records: Records,
        members: np.ndarray,
        seed: int,
        held_out: HeldOut,
        watched: Callable[[nn.Module], Sequence[nn.Module]],
        penalty: Penalty,
    ):
        self.watched, self.penalty = watched, penalty
        self.inputs: Tensor | None = None
        self.hidden: list[Tensor] = []
        super().__init__(recipe, records, [members], [seed], held_out)

    def _begin(self, seeds: Sequence[int]) -> None:
        super()._begin(seeds)
        self.hooks = [self.module.register_forward_pre_hook(self._called)]
        self.hooks += [layer.register_forward_hook(self._answered) for layer in self.watched(self.module)]

    def _called(self, module: nn.Module, arguments: tuple) -> None:
        self.inputs, self.hidden = arguments[0], []

    def _answered(self, layer: nn.Module, arguments: tuple, output: Tensor) -> None:
        self.hidden.append(output)

    def loss(self, logits: Tensor, labels: Tensor, epoch: Tensor, mix: Tensor) -> Tensor:
        plain = super().loss(logits, labels, epoch, mix)
        targets = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
        targets = mix * targets + (1 - mix) * targets.flip(0)
        return plain + self.penalty(self.inputs, self.hidden, targets).to(plain.dtype)

    def models(self) -> list[nn.Module]:
        for hook in self.hooks:
            hook.remove()
        self.inputs, self.hidden = None, []
        return super().models()
