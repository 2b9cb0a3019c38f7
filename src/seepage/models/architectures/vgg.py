"""VGG-16 with batch normalisation, numbered as torchvision numbers it."""

from __future__ import annotations

from torch import Tensor, nn

from seepage.models.architectures.classifier import Classifier, image_shape, initialise

STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))


class VGG16BN(Classifier):
    """Thirteen 3x3 convolutions in five stages that each halve the image, then BatchNorm and a linear head.

    `body` has the numbers 0 to 43 of torchvision's `features`, so that "body.26" is what the literature on transfer
    learning calls the layers up to index 26. With 1000 classes and 64x64 images: 16,774,184 trainable parameters.

    Args:
        input_shape: (channels, height, width), any sides; a side of 64 leaves 2, one of 32 leaves 1.
        width: channels of the first stage; the others have 2, 4, 8 and 8 times as many.

    Reference: Simonyan & Zisserman, arXiv 1409.1556, table 1, column D, with BatchNorm; a BatchNorm without a shift on
    the flattened features and one linear layer, as in models/classify.py of github.com/hosytuyen/TL-DMI.
    Deviation: an odd side is halved upwards, so that images of any size pass.
    """

    def __init__(self, input_shape: tuple[int, ...], n_classes: int, width: int = 64):
        super().__init__()
        channels, height, side = image_shape(input_shape, "vgg16-bn", 1)
        layers: list[nn.Module] = []
        for stage in STAGES:
            for multiple in stage:
                wider = multiple * width
                layers += [nn.Conv2d(channels, wider, 3, padding=1), nn.BatchNorm2d(wider), nn.ReLU()]
                channels = wider
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
            height, side = -(-height // 2), -(-side // 2)
        self.body = nn.Sequential(*layers)
        self.norm = nn.BatchNorm1d(channels * height * side)
        self.norm.bias.requires_grad_(False)
        self.head = nn.Linear(channels * height * side, n_classes)
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        return self.norm(self.body(x).flatten(1))
