"""Residual networks, by default in their CIFAR form: a 3x3 convolution to begin with, no pooling before the blocks."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from seepage.errors import InputError, unknown_name
from seepage.models.architectures.classifier import Classifier, image_shape, initialise, pooled
from seepage.models.dropout import SeededDropout

STEMS = {"cifar": {"kernel_size": 3, "padding": 1}, "imagenet": {"kernel_size": 7, "stride": 2, "padding": 3}}


class ResNet18(Classifier):
    """Four stages of two basic blocks; at the width of 64, 11.17 million parameters for ten classes.

    Args:
        input_shape: (channels, height, width), sides of at least 8.
        width: channels of the first stage; the others have 2, 4 and 8 times as many.
        stem: "cifar", a 3x3 convolution, or "imagenet", a 7x7 one and a pooling that each halve the image: 11,689,512
            parameters for a thousand classes.

    Reference: He et al., arXiv 1512.03385, table 1, with the stem of its CIFAR networks (section 4.2) or of table 1,
    and projection shortcuts (option B).
    """

    def __init__(self, input_shape: tuple[int, ...], n_classes: int, width: int = 64, stem: str = "cifar"):
        super().__init__()
        channels, _, _ = image_shape(input_shape, "resnet18", 8)
        if stem not in STEMS:
            raise unknown_name("stem of a resnet18", str(stem), STEMS)
        self.stem = nn.Conv2d(channels, width, bias=False, **STEMS[stem])
        self.norm = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if stem == "imagenet" else nn.Identity()
        blocks, channels = [], width
        for stage in range(4):
            for first in (True, False):
                stride = 2 if first and stage else 1
                blocks.append(_BasicBlock(channels, width * 2**stage, stride))
                channels = width * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, n_classes)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        return pooled(self.blocks(self.pool(F.relu(self.norm(self.stem(x))))))


class _BasicBlock(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x))))))."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Identity()
        if stride != 1 or channels != width:
            projection = nn.Conv2d(channels, width, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class WideResNet(Classifier):
    """WRN-depth-widen: three stages of (depth - 4) / 6 pre-activation blocks with 16, 32 and 64 times widen channels.

    Args:
        input_shape: (channels, height, width), sides of at least 4.
        depth: 6 n + 4, such as 16, 28, 40.
        widen: the factor k; WRN-28-10 has 36.5 million parameters, WRN-28-2 has 1.47.
        dropout: between the two convolutions of a block.

    Reference: Zagoruyko & Komodakis, arXiv 1605.07146, table 1 and section 2.4.
    """

    def __init__(
        self, input_shape: tuple[int, ...], n_classes: int, depth: int = 28, widen: int = 2, dropout: float = 0.0
    ):
        super().__init__()
        channels, _, _ = image_shape(input_shape, "wideresnet", 4)
        if depth < 10 or (depth - 4) % 6:
            raise InputError(f"the depth of a wideresnet is 6 n + 4 (10, 16, 22, 28, ...), got {depth}")
        self.stem = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        blocks, channels = [], 16
        for stage in range(3):
            for first in range((depth - 4) // 6):
                stride = 2 if first == 0 and stage else 1
                blocks.append(_WideBlock(channels, 16 * widen * 2**stage, stride, dropout, salt=len(blocks)))
                channels = 16 * widen * 2**stage
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, n_classes)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        return pooled(F.relu(self.norm(self.blocks(self.stem(x)))))


class _WideBlock(nn.Module):
    """x + conv(dropout(relu(norm(conv(relu(norm(x))))))); where the width changes, x is projected after its relu."""

    def __init__(self, channels: int, width: int, stride: int, dropout: float, salt: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.dropout = SeededDropout(dropout, salt=salt) if dropout else nn.Identity()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.projection = nn.Conv2d(channels, width, 1, stride=stride, bias=False) if channels != width else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(x))
        shortcut = x if self.projection is None else self.projection(y)
        y = F.relu(self.norm2(self.conv1(y)))
        return shortcut + self.conv2(self.dropout(y))
