"""A densely connected network with bottlenecks and compression."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seepage.errors import InputError
from seepage.models.architectures.classifier import Classifier, image_shape, initialise, pooled
from seepage.models.dropout import SeededDropout


class DenseNetBC(Classifier):
    """Three dense blocks of (depth - 4) / 6 bottlenecks, a compressing transition between them.

    Args:
        input_shape: (channels, height, width), sides of at least 4.
        depth: 6 n + 4; DenseNet-BC-100-12 has 769,162 parameters for ten classes.
        growth: channels that each layer adds.
        compression: theta, the share of channels that a transition keeps. Code that says "compression 2" means 0.5.
        dropout: after each convolution of a layer.

    Reference: Huang et al., arXiv 1608.06993, section 3.
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        depth: int = 100,
        growth: int = 12,
        compression: float = 0.5,
        dropout: float = 0.0,
    ):
        super().__init__()
        channels, _, _ = image_shape(input_shape, "densenet-bc", 4)
        if depth < 10 or (depth - 4) % 6:
            raise InputError(f"the depth of a densenet-bc is 6 n + 4 (10, 16, ..., 100), got {depth}")
        if not 0 < compression <= 1:
            raise InputError(f"the compression is the share of channels kept, above 0 and up to 1, got {compression}")
        self.stem = nn.Conv2d(channels, 2 * growth, 3, padding=1, bias=False)
        layers: list[nn.Module] = []
        channels, salt = 2 * growth, 0
        for block in range(3):
            for _ in range((depth - 4) // 6):
                layers.append(_Bottleneck(channels, growth, dropout, salt))
                channels, salt = channels + growth, salt + 2
            if block < 2:
                layers.append(_Transition(channels, int(channels * compression), dropout, salt))
                channels, salt = int(channels * compression), salt + 1
        self.layers = nn.Sequential(*layers)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, n_classes)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        return pooled(F.relu(self.norm(self.layers(self.stem(x)))))


class _Bottleneck(nn.Module):
    """[x, conv3x3(relu(norm(conv1x1(relu(norm(x))))))], the 1x1 convolution being four times the growth wide."""

    def __init__(self, channels: int, growth: int, dropout: float, salt: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
        self.dropout1 = SeededDropout(dropout, salt=salt) if dropout else nn.Identity()
        self.dropout2 = SeededDropout(dropout, salt=salt + 1) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout1(self.conv1(F.relu(self.norm1(x))))
        y = self.dropout2(self.conv2(F.relu(self.norm2(y))))
        return torch.cat([x, y], dim=1)


class _Transition(nn.Module):
    """Fewer channels, half the sides."""

    def __init__(self, channels: int, width: int, dropout: float, salt: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, width, 1, bias=False)
        self.dropout = SeededDropout(dropout, salt=salt) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(self.dropout(self.conv(F.relu(self.norm(x)))), 2)
