"""BiDO: hidden layers are made to depend less on the input and more on the label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from seepage.defences.base import Defence, with_procedure
from seepage.defences.penalised import PenalisedTraining
from seepage.errors import InputError, unknown_name
from seepage.models.recipe import Recipe
from seepage.options import OneOf

SIGMA = 5.0
RIDGE = 1e-5
LEAST = 1e-12  # under the root of COCO, whose slope is infinite at 0
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ReLU6, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid)

# Weights a1, a2 of each measure that were published, from those that protect most.
PUBLISHED = {"hsic": ((0.05, 2.5), (0.05, 1.0), (0.05, 0.5)), "coco": ((1.0, 50.0), (2.0, 20.0))}
DEFAULT = {"hsic": (0.05, 0.5), "coco": (1.0, 50.0)}


def gaussian(x: Shaped[Tensor, "batch ..."]) -> Float[Tensor, "batch batch"]:
    """exp(-|x_i - x_j|^2 / (2 sigma^2 d)) with sigma = 5 and d values in each x; float64, for the inverses to come."""
    x = x.flatten(1)
    squares = (x**2).sum(1)
    distances = (squares[:, None] + squares[None, :] - 2 * x @ x.T).clamp(min=0)
    return torch.exp(-distances.double() / (2 * SIGMA**2 * x.shape[1]))


def linear(y: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch batch"]:
    return (y @ y.T).double()


def _centring(kernel: Tensor) -> Tensor:
    """H = I - 1 / m."""
    m = len(kernel)
    return torch.eye(m, dtype=kernel.dtype, device=kernel.device) - 1 / m


def whitened(kernel: Float[Tensor, "batch batch"]) -> Float[Tensor, "batch batch"]:
    """R = K H (K H + 1e-5 m I)^-1."""
    centred = kernel @ _centring(kernel)
    ridge = RIDGE * len(kernel) * torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)
    return torch.linalg.solve(centred + ridge, centred)  # both factors are functions of K H, and so commute


def hsic(one: Float[Tensor, "batch batch"], other: Float[Tensor, "batch batch"]) -> Float[Tensor, ""]:
    """tr(R R') of two whitened kernels: from 0, for what is independent, to below the batch's size."""
    return (one * other.T).sum()


def centred(kernel: Float[Tensor, "batch batch"]) -> Float[Tensor, "batch batch"]:
    """H K H."""
    return _centring(kernel) @ kernel @ _centring(kernel)


def coco(one: Float[Tensor, "batch batch"], other: Float[Tensor, "batch batch"]) -> Float[Tensor, ""]:
    """sqrt(|K K'|_F) / m of two centred kernels."""
    return (one @ other).norm().clamp(min=LEAST).sqrt() / len(one)


MEASURES = {"hsic": (whitened, hsic), "coco": (centred, coco)}


def hidden_layers(module: nn.Module) -> list[nn.Module]:
    """The activations and the blocks (items with layers of their own) of the outermost sequences of a module.

    Those are all activations of mlp, cnn and vgg16-bn and all blocks of the residual networks. A module without such
    sequences gives all activations that it has.
    """
    found = [
        item
        for sequence in _sequences(module)
        for item in sequence
        if isinstance(item, ACTIVATIONS) or any(True for _ in item.children())
    ]
    return found or [layer for layer in module.modules() if isinstance(layer, ACTIVATIONS)]


def _sequences(module: nn.Module) -> list[nn.Sequential]:
    if isinstance(module, nn.Sequential):
        return [module]
    return [sequence for child in module.children() for sequence in _sequences(child)]


@dataclass(frozen=True)
class BiDO(Defence, PenalisedTraining):
    """Bilateral dependency optimisation, over hidden layers Z, inputs X and labels Y:

        mean over members of -log p_y  +  sum over Z of  a1 d(Z, X) - a2 d(Z, Y)

    d is measured on the batch, with Gaussian kernels of X and Z and the linear kernel of Y:

        hsic    tr(R R'), R = K H (K H + 1e-5 m I)^-1
        coco    sqrt(|H K H  H K' H|_F) / m

    Options:
        measure: "hsic" or "coco".
        a1, a2: None takes 0.05 and 0.5 (hsic; CelebA) or 1 and 50 (coco; MNIST), as published.
        layers: names of the layers Z; by default `hidden_layers`.

    Reference: X. Peng et al., "Bilateral dependency optimization: defending against model-inversion attacks", KDD 2022
    (arXiv 2206.05483); measures and weights as in the code github.com/AlanPeng0897/Defend_MI, BiDO. The
    normalised HSIC is that of Ma, Lewis & Kleijn 2020 (arXiv 1908.01580). Deviations: the kernels' algebra in float64;
    by default every activation of a plain network, where the authors' VGG16 shows the outputs of its five stages.
    """

    measure: Annotated[str, OneOf(*MEASURES)] = "hsic"
    a1: Annotated[float, Ge(0)] | None = None
    a2: Annotated[float, Ge(0)] | None = None
    layers: tuple[str, ...] | None = None

    kind: ClassVar[str] = "training"

    @property
    def weights(self) -> tuple[float, float]:
        """a1 and a2."""
        a1, a2 = DEFAULT[self.measure]
        return (a1 if self.a1 is None else self.a1, a2 if self.a2 is None else self.a2)

    @property
    def title(self) -> str:
        return f"BiDO, {self.measure.upper()}"

    @property
    def source(self) -> str:
        return "Peng et al. 2022 (arXiv 2206.05483)"

    @property
    def grid(self) -> tuple[dict[str, Any], ...]:
        return tuple({"a1": a1, "a2": a2} for a1, a2 in PUBLISHED[self.measure])

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            "It is meant against inversion: how much of the input hidden layers carry, not who was trained on.",
            "The weights belong to the network and the data that they were tuned on: search them for others.",
        )

    def apply(self, recipe: Recipe) -> Recipe:
        if recipe.batch_size < 2:
            raise InputError("BiDO: dependence is measured within a batch, expected a batch_size of at least 2, got 1")
        return with_procedure(recipe, self)

    def watched(self, module: nn.Module) -> Sequence[nn.Module]:
        if self.layers is None:
            layers = hidden_layers(module)
            if not layers:
                raise InputError(
                    f"BiDO: {type(module).__name__} has no activation layer to look at: name layers=[...] of "
                    f"{', '.join(name for name, _ in module.named_modules() if name)}"
                )
            return layers
        names = dict(module.named_modules())
        for name in self.layers:
            if name not in names:
                raise unknown_name("layer of BiDO", str(name), [name for name in names if name])
        return [names[name] for name in self.layers]

    def penalty(self, inputs: Tensor, hidden: list[Tensor], targets: Tensor) -> Tensor:
        (prepared, dependence), (a1, a2) = MEASURES[self.measure], self.weights
        x, y = prepared(gaussian(inputs)), prepared(linear(targets))
        total = x.new_zeros(())
        for output in hidden:
            z = prepared(gaussian(output))
            total = total + a1 * dependence(z, x) - a2 * dependence(z, y)
        return total
