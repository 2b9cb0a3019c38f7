"""Classifiers for audits, examples and tests: every one is `Cls(input_shape, n_classes, **options)`.

Initial weights are drawn from torch's default generator, like those of any module: whoever builds one seeds it.
"""

from __future__ import annotations

import inspect

from seepage.errors import InputError, unknown_name
from seepage.models.architectures.classifier import Classifier
from seepage.models.architectures.cnn import CNN
from seepage.models.architectures.densenet import DenseNetBC
from seepage.models.architectures.efficientnet import EfficientNetLite0
from seepage.models.architectures.ir import IR152, FaceNet64
from seepage.models.architectures.mlp import MLP
from seepage.models.architectures.resnet import ResNet18, WideResNet
from seepage.models.architectures.vgg import VGG16BN

ARCHITECTURES: dict[str, type[Classifier]] = {
    "mlp": MLP,
    "cnn": CNN,
    "resnet18": ResNet18,
    "wideresnet": WideResNet,
    "densenet-bc": DenseNetBC,
    "vgg16-bn": VGG16BN,
    "facenet64": FaceNet64,
    "ir152": IR152,
    "efficientnet-lite0": EfficientNetLite0,
}


def build(name: str, input_shape: tuple[int, ...], n_classes: int, **options: object) -> Classifier:
    """A new classifier of the architecture of that name.

    Raises:
        InputError: the name, an option or a value of one is not known.

    >>> build("mlp", (64,), 10, hidden=(32,)).head
    Linear(in_features=32, out_features=10, bias=True)
    """
    if name not in ARCHITECTURES:
        raise unknown_name("architecture", name, ARCHITECTURES)
    architecture = ARCHITECTURES[name]
    known = list(inspect.signature(architecture).parameters)[2:]
    for option in options:
        if option not in known:
            raise unknown_name(f"option of the architecture '{name}'", option, known)
    if n_classes < 2:
        raise InputError(f"expected at least 2 classes, got {n_classes}")
    return architecture(input_shape, n_classes, **options)


__all__ = [
    "ARCHITECTURES",
    "CNN",
    "IR152",
    "MLP",
    "VGG16BN",
    "Classifier",
    "DenseNetBC",
    "EfficientNetLite0",
    "FaceNet64",
    "ResNet18",
    "WideResNet",
    "build",
]
