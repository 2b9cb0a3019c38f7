"""A small VGG-like network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from seepage.errors import InputError
from seepage.models.architectures.classifier import Classifier, image_shape, initialise
from seepage.models.dropout import SeededDropout


class CNN(Classifier):
    """Stages of 3x3 convolutions, each ending in max-pooling, then a linear head on all that is left.

    Made for 28x28 and 32x32 images on a CPU: the default takes 10 million multiplications a CIFAR image, a
    fiftieth of a ResNet-18.

    Args:
        input_shape: (channels, height, width), sides of at least 2^stages.
        widths: channels of each stage.
        convolutions: how many in each stage, at least 1.
        batch_norm: after every convolution, which then has no bias.
        dropout: probability of dropping a feature before the head.

    Reference: Simonyan & Zisserman, arXiv 1409.1556, section 2. Deviations: fewer stages, BatchNorm, one linear layer,
    and pooling right after a stage's last convolution, which trains a fifth faster on a CPU.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        widths: Sequence[int] = (32, 64, 128),
        convolutions: int = 1,
        batch_norm: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        channels, height, width = image_shape(input_shape, "cnn", 2 ** len(widths))
        if convolutions < 1:
            raise InputError(f"expected at least 1 convolution a stage, got {convolutions}")
        layers: list[nn.Module] = []
        for wider in widths:
            for left in reversed(range(convolutions)):
                layers.append(nn.Conv2d(channels, wider, 3, padding=1, bias=not batch_norm))
                if left == 0:  # before norm and activation, which then see a quarter of the values
                    layers.append(nn.MaxPool2d(2))
                if batch_norm:
                    layers.append(nn.BatchNorm2d(wider))
                layers.append(nn.ReLU())
                channels = wider
            height, width = height // 2, width // 2
        layers.append(nn.Flatten())
        if dropout:
            layers.append(SeededDropout(dropout))
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(channels * height * width, n_classes)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        return self.body(x)
