"""MID: the head sees the features through a noisy bottleneck whose information is paid for."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from seepage.defences.base import Defence, with_procedure
from seepage.defences.penalised import PenalisedTraining
from seepage.errors import InputError
from seepage.models.recipe import Factory, Recipe

SHIFT = 5.0  # bottlenecks start all but noiseless: softplus(-5) = 0.0067


class Bottleneck(nn.Module):
    """z = mu + std e with e ~ N(0, 1) in training, z = mu in eval mode; mu and std are linear in the features."""

    def __init__(self, n_features: int, width: int):
        super().__init__()
        self.statistics = nn.Linear(n_features, 2 * width)

    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch width"]:
        mean, deviation = moments(self.statistics(features))
        return mean + deviation * torch.randn_like(mean) if self.training else mean


def moments(statistics: Float[Tensor, "batch twice"]) -> tuple[Float[Tensor, "batch width"], Tensor]:
    """mu, and std = softplus(s - 5)."""
    mean, s = statistics.chunk(2, dim=1)
    return mean, F.softplus(s - SHIFT)


def divergence(mean: Float[Tensor, "batch width"], deviation: Tensor) -> Float[Tensor, ""]:
    """Mean over the batch of KL(N(mu, std^2) || N(0, 1)), in nats: sum of (mu^2 + std^2 - 1) / 2 - ln std."""
    return ((mean**2 + deviation**2 - 1) / 2 - deviation.log()).sum(1).mean()


def with_bottleneck(
    input_shape: tuple[int, ...], n_classes: int, architecture: Factory, width: int | None = None
) -> nn.Module:
    """The architecture with a bottleneck before its last linear layer, whose width is half of the features'."""
    module = architecture(input_shape, n_classes)
    heads = [
        (name, layer)
        for name, layer in module.named_modules()
        if name and isinstance(layer, nn.Linear) and layer.out_features == n_classes
    ]
    if not heads:
        raise InputError(
            f"mid: the bottleneck goes before the linear layer that gives the {n_classes} logits, and "
            f"{type(module).__name__} has none: take a model that ends in a torch.nn.Linear"
        )
    name, head = heads[-1]
    width = width or max(1, head.in_features // 2)
    module.set_submodule(name, nn.Sequential(Bottleneck(head.in_features, width), nn.Linear(width, n_classes)))
    return module


@dataclass(frozen=True)
class MID(Defence, PenalisedTraining):
    """Mutual information regularisation, by a variational bottleneck.

        mean over members of  -log softmax(W z)_y  +  beta KL(N(mu, std^2) || N(0, 1)),   one z a record and step

    Options:
        beta: the price of a nat.
        width: of the bottleneck; None is half of the features.

    Reference: T. Wang, Y. Zhang, R. Jia, "Improving robustness to model inversion attacks via mutual information
    regularization", AAAI 2021 (bottleneck: Alemi et al., arXiv 1612.00410); width, shift and the sum over
    the bottleneck as in BiDO/model.py and BiDO/engine.py of github.com/AlanPeng0897/Defend_MI. Deviation: a trained
    model answers by the mean, there by a sample in each call.
    """

    beta: Annotated[float, Ge(0)] = 0.01
    width: Annotated[int, Ge(1)] | None = None

    kind: ClassVar[str] = "training"
    grid: ClassVar[tuple[dict[str, Any], ...]] = tuple({"beta": beta} for beta in (0.3, 0.1, 0.03, 0.01, 0.003))

    title = "MID, an information bottleneck"
    source = "Wang, Zhang & Jia 2021 (arXiv 2009.05241)"

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            "It is meant against inversion: what the answers tell of the input, not who was trained on.",
            "The bottleneck is a part of the model: its weights do not fit the architecture without it.",
        )

    def apply(self, recipe: Recipe) -> Recipe:
        model = functools.partial(with_bottleneck, architecture=recipe.model, width=self.width)
        return with_procedure(replace(recipe, model=model), self)

    def watched(self, module: nn.Module) -> Sequence[nn.Module]:
        return [layer.statistics for layer in module.modules() if isinstance(layer, Bottleneck)]

    def penalty(self, inputs: Tensor, hidden: list[Tensor], targets: Tensor) -> Tensor:
        return self.beta * divergence(*moments(hidden[0]))
