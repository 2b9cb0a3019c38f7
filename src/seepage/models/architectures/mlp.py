"""Fully connected layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

from seepage.errors import unknown_name
from seepage.models.architectures.classifier import Classifier
from seepage.models.dropout import SeededDropout

ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


class MLP(Classifier):
    """Linear layers with an activation after each but the last; inputs are flattened.

    Args:
        input_shape: of one record, any number of axes.
        hidden: widths of the hidden layers. HAMP's tabular models are (1024, 512, 256, 128) with "tanh".
        activation: "relu" or "tanh".
        dropout: probability of dropping a hidden value.

    >>> MLP((8, 8), 10)
    MLP(
      (body): Sequential(
        (0): Flatten(start_dim=1, end_dim=-1)
        (1): Linear(in_features=64, out_features=128, bias=True)
        (2): ReLU()
      )
      (head): Linear(in_features=128, out_features=10, bias=True)
    )
    """

    def __init__(
        self,
        input_shape: tuple[int, ...],
        n_classes: int,
        hidden: Sequence[int] = (128,),
        activation: str = "relu",
        dropout: float = 0.0,
    ):
        super().__init__()
        if activation not in ACTIVATIONS:
            raise unknown_name("activation", activation, ACTIVATIONS)
        layers: list[nn.Module] = [nn.Flatten()]
        width = math.prod(input_shape)
        for depth, wider in enumerate(hidden):
            layers += [nn.Linear(width, wider), ACTIVATIONS[activation]()]
            if dropout:
                layers.append(SeededDropout(dropout, salt=depth))
            width = wider
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, n_classes)

    def features(self, x: Tensor) -> Tensor:
        return self.body(x)
