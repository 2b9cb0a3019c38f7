"""The improved residual networks of face recognition, for 64x64 images."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from seepage.models.architectures.classifier import Classifier, image_shape
from seepage.models.dropout import SeededDropout


class ImprovedResNet(Classifier):
    """Input layer, four stages of residual blocks that each halve the image, an embedding, a linear head.

    Layers are defined in the order in which they are called (in face.evoLVe the output layer comes before the body), so
    that what comes before "body.46" is the input layer and the first blocks, and nothing else.

    Args:
        input_shape: (channels, height, width), any sides; a side of 64 leaves 4.
        width: channels of the first stage; the others have 2, 4 and 8 times as many, and so has the embedding.
        dropout: before the embedding.

    Reference: the bottleneck_IR networks of github.com/ZhaoJ9014/face.evoLVe, backbone/model_irse.py, in the form for
    64x64 images of github.com/AI-secure/GMI-Attack. Deviation: PyTorch's initial weights.
    """

    stages: ClassVar[tuple[int, int, int, int]]
    name: ClassVar[str]

    def __init__(self, input_shape: tuple[int, ...], n_classes: int, width: int = 64, dropout: float = 0.5):
        super().__init__()
        channels, *sides = image_shape(input_shape, self.name, 1)
        self.input_layer = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.PReLU(width)
        )
        blocks, channels = [], width
        for stage, n_blocks in enumerate(self.stages):
            for block in range(n_blocks):
                blocks.append(_Block(channels, width * 2**stage, stride=1 if block else 2))
                channels = width * 2**stage
            sides = [-(-side // 2) for side in sides]
        self.body = nn.Sequential(*blocks)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(channels),
            SeededDropout(dropout),
            nn.Flatten(),
            nn.Linear(channels * sides[0] * sides[1], channels),
            nn.BatchNorm1d(channels),
        )
        self.head = nn.Linear(channels, n_classes)

    def features(self, x: Tensor) -> Tensor:
        return self.output_layer(self.body(self.input_layer(x)))


class FaceNet64(ImprovedResNet):
    """IR-50-64: 24 blocks in stages of 3, 4, 14 and 3; see `ImprovedResNet`."""

    stages = (3, 4, 14, 3)
    name = "facenet64"


class IR152(ImprovedResNet):
    """50 blocks in stages of 3, 8, 36 and 3; see `ImprovedResNet`."""

    stages = (3, 8, 36, 3)
    name = "ir152"


class _Block(nn.Module):
    """shortcut(x) + norm(conv(prelu(conv(norm(x))))); the second convolution strides, and the shortcut with it."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        if channels == width:
            self.shortcut: nn.Module = nn.MaxPool2d(1, stride)
        else:
            projection = nn.Conv2d(channels, width, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(width))
        self.residual = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.residual(x)
