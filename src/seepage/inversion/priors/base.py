"""The prior: what an attacker knows about images before the target is asked."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn


class Prior(ABC):
    """Codes, and the images that they stand for.

    Attributes:
        name: in words, for the report.
        image_shape: (channels, height, width).
        device: where codes and images are.
        slope: codes are what a leaky ReLU of that slope gave, 0.2 for the styles of a StyleGAN; 1 where there is none.
    """

    name: str
    image_shape: tuple[int, int, int]
    device: torch.device = torch.device("cpu")
    slope: float = 1.0

    @abstractmethod
    def draw(self, rngs: Sequence[np.random.Generator]) -> Float[Tensor, "codes ..."]:
        """A random code from each generator."""

    @abstractmethod
    def images(self, codes: Float[Tensor, "codes ..."], labels: Int64[Tensor, " codes"]) -> Float[Tensor, "codes ..."]:
        """Images (codes, channels, height, width) in [0, 1], differentiable in the codes; a prior that knows no classes
        leaves the labels alone."""

    def penalty(self, images: Float[Tensor, "codes ..."], labels: Int64[Tensor, " codes"]) -> Float[Tensor, " codes"]:
        """How unlike a public image each is, differentiable; 0 where the prior cannot tell."""
        return images.new_zeros(len(images))

    def to(self, device: torch.device | str) -> Prior:
        """This prior on a device: itself where it is there, otherwise a copy with copies of its networks."""
        there = torch.device(device)
        if self.device.type == there.type and there.index in (None, self.device.index):
            return self
        moved = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, nn.Module):
                setattr(moved, name, copy.deepcopy(value).to(there))
        moved.device = there
        return moved
