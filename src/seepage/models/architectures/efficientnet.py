"""EfficientNet-Lite0: inverted residual blocks without squeeze-and-excitation, for devices without much arithmetic."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from seepage.errors import InputError
from seepage.models.architectures.classifier import Classifier, image_shape, initialise, pooled
from seepage.models.dropout import SeededDropout

# Blocks, kernel, stride of the first, expansion, channels that come out.
STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip
STEM_WIDTH, HEAD_WIDTH = 32, 1280
NORM_EPS = 1e-3
BYTE_MEAN, BYTE_SPREAD = 127 / 255, 128 / 255

# Names in the published weights, and ours, in the order in which they are looked for.
NAMES = (
    (r"^_conv_stem\.", "stem."),
    (r"^_bn0\.", "stem_norm."),
    (r"^_conv_head\.", "last."),
    (r"^_bn1\.", "last_norm."),
    (r"^_fc\.", "head."),
    (r"^_blocks\.(\d+)\._expand_conv\.", r"blocks.\1.expand."),
    (r"^_blocks\.(\d+)\._bn0\.", r"blocks.\1.expand_norm."),
    (r"^_blocks\.(\d+)\._depthwise_conv\.", r"blocks.\1.depthwise."),
    (r"^_blocks\.(\d+)\._bn1\.", r"blocks.\1.depthwise_norm."),
    (r"^_blocks\.(\d+)\._project_conv\.", r"blocks.\1.project."),
    (r"^_blocks\.(\d+)\._bn2\.", r"blocks.\1.project_norm."),
)


class EfficientNetLite0(Classifier):
    """A stem that halves the image, 16 blocks that halve it four times more, a 1x1 convolution, pooling, a linear head.

    Images have values in [0, 1]; the module itself takes (255 x - 127) / 128 of them, and repeats grey ones for red,
    green and blue. With 1000 classes it has 4,652,008 parameters, the published ones' number. `freeze: k` of TL-DMI
    counts its blocks: the stem and the first k of them.

    Args:
        input_shape: (1 or 3 channels, height, width), any sides; a side of 224 leaves 7, one of 64 leaves 2.
        side: to which images are resized first, bilinearly; None: as they are. Weights that were learnt on large images
            make little of 28 pixels, and much more of the same drawing at 64.
        dropout: probability of dropping a feature before the head.

    Raises:
        InputError: the records are no images of 1 or 3 channels, or no image could have that side.

    Reference: Tan & Le, arXiv 1905.11946, table 1, for the blocks; the "lite" form of
    github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite leaves squeeze-and-excitation out, has ReLU6
    for swish, and a stem and last convolution of fixed width. Deviations: no stochastic depth; running statistics move
    by 0.1 a batch and not 0.01, for trainings of few steps.
    """

    def __init__(self, input_shape: tuple[int, ...], n_classes: int, side: int | None = None, dropout: float = 0.2):
        super().__init__()
        channels, _, _ = image_shape(input_shape, "efficientnet-lite0", 1)
        if channels not in (1, 3):
            raise InputError(f"efficientnet-lite0 expects grey or RGB images, 1 or 3 channels, got {channels}")
        if side is not None and (isinstance(side, bool) or not isinstance(side, int) or side < 1):
            raise InputError(f"efficientnet-lite0: side is a number of pixels or None, got {side!r}")
        self.side = side
        self.stem = SameConv2d(3, STEM_WIDTH, 3, stride=2)
        self.stem_norm = _norm(STEM_WIDTH)
        blocks, width = [], STEM_WIDTH
        for n_blocks, kernel, stride, expansion, wider in STAGES:
            for place in range(n_blocks):
                blocks.append(_Block(width, wider, kernel, 1 if place else stride, expansion))
                width = wider
        self.blocks = nn.Sequential(*blocks)
        self.last = SameConv2d(width, HEAD_WIDTH, 1)
        self.last_norm = _norm(HEAD_WIDTH)
        self.dropout = SeededDropout(dropout)
        self.head = nn.Linear(HEAD_WIDTH, n_classes)
        self.freezing_units = tuple(f"blocks.{place}" for place in range(len(blocks)))
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        if self.side is not None:
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False)
        x = ((x - BYTE_MEAN) / BYTE_SPREAD).expand(-1, 3, -1, -1)
        # Channels innermost in memory, as convolutions of single channels like it: twice as fast on a CPU.
        x = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        x = self.blocks(F.relu6(self.stem_norm(self.stem(x))))
        return self.dropout(pooled(F.relu6(self.last_norm(self.last(x)))))


class SameConv2d(nn.Conv2d):
    """TensorFlow's "same" convolution without a bias: ceil(side / stride) pixels come out of each side.

    Of an odd number of zeros around the image the last stands at the bottom and on the right, so that a stride of 2
    begins at another pixel than with PyTorch's symmetric padding.
    """

    def __init__(self, n_in: int, n_out: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__(n_in, n_out, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        (top, bottom), (left, right) = (
            _zeros(side, size, step)
            for side, size, step in zip(x.shape[-2:], self.kernel_size, self.stride, strict=True)
        )
        return super().forward(F.pad(x, (left, right, top, bottom)))


class _Block(nn.Module):
    """x + norm(project(relu6(norm(depthwise(relu6(norm(expand(x)))))))); without x where the shape changes."""

    def __init__(self, width: int, wider: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inside = width * expansion
        self.has_shortcut = stride == 1 and width == wider
        self.expands = expansion > 1
        if self.expands:
            self.expand = SameConv2d(width, inside, 1)
            self.expand_norm = _norm(inside)
        self.depthwise = SameConv2d(inside, inside, kernel, stride, groups=inside)
        self.depthwise_norm = _norm(inside)
        self.project = SameConv2d(inside, wider, 1)
        self.project_norm = _norm(wider)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.expand_norm(self.expand(x))) if self.expands else x
        y = F.relu6(self.depthwise_norm(self.depthwise(y)))
        y = self.project_norm(self.project(y))
        return x + y if self.has_shortcut else y


def own_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Published weights under the names of `EfficientNetLite0`; any other name stays as it is.

    >>> list(own_names({"_blocks.3._bn1.weight": ...}))
    ['blocks.3.depthwise_norm.weight']
    """
    found = {}
    for name, value in state.items():
        for theirs, ours in NAMES:
            name = re.sub(theirs, ours, name)
        found[name] = value
    return found


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=NORM_EPS)


def _zeros(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """How many zeros stand before and after a side.

    >>> _zeros(64, 3, 2), _zeros(7, 3, 2), _zeros(64, 5, 1)
    ((0, 1), (1, 1), (2, 2))
    """
    n = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return n // 2, n - n // 2
