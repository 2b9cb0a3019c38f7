"""What every architecture is: features, and a linear layer on top of them."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.nn import functional as F

from seepage.errors import InputError


class Classifier(nn.Module, ABC):
    """logits = head(features(x)). Subclasses are final: they set `head` and define `features`.

    Attributes:
        freezing_units: names of the blocks that a number of frozen layers counts; none: all layers with parameters.
    """

    head: nn.Linear
    freezing_units: tuple[str, ...] = ()

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """The penultimate layer, (n, features): what the linear head sees."""

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def image_shape(input_shape: tuple[int, ...], architecture: str, smallest: int) -> tuple[int, int, int]:
    """(channels, height, width), if that is what it is and the sides are long enough to be halved so often."""
    if len(input_shape) != 3 or min(input_shape[1:]) < smallest:
        raise InputError(
            f"{architecture} expects images of shape (channels, height, width) with sides of {smallest} or more, "
            f"got {tuple(input_shape)}: reshape the records, or use 'mlp'"
        )
    return input_shape


def initialise(module: nn.Module) -> None:
    """He's normal initialisation of the convolutions by fan-out, biases at zero (arXiv 1502.01852, section 2.2)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def pooled(x: Tensor) -> Tensor:
    """The mean of every channel, (n, channels)."""
    return F.adaptive_avg_pool2d(x, 1).flatten(1)
