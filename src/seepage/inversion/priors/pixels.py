"""No knowledge of images at all: a code is the image itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from seepage.errors import unknown_name
from seepage.inversion.priors.base import Prior
from seepage.inversion.priors.options import STARTS
from seepage.inversion.randomness import uniform


class Pixels(Prior):
    """x = code, cut to [0, 1].

    The gradient passes the cut as if it were not there, so that a pixel that a step has carried over the border can
    come back; an attack that keeps its codes inside (its `project`) never meets the cut.

    Args:
        image_shape: (channels, height, width).
        start: what `draw` gives: "zero" (black), "grey" (all 1/2), or "noise" (uniform on [0, 1)).
        device: where codes are.

    Raises:
        InputError: there is no such start.

    Reference: Fredrikson, Jha and Ristenpart (CCS 2015), algorithm 1, begins at zero.
    """

    name = "pixels"

    def __init__(self, image_shape: tuple[int, int, int], start: str = "zero", device: torch.device | str = "cpu"):
        if start not in STARTS:
            raise unknown_name("start of pixels", str(start), STARTS)
        self.image_shape, self.start, self.device = tuple(image_shape), start, torch.device(device)

    def draw(self, rngs: Sequence[np.random.Generator]) -> Float[Tensor, "codes channels height width"]:
        if self.start == "noise":
            return uniform(rngs, *self.image_shape, device=self.device)
        return torch.full((len(rngs), *self.image_shape), 0.5 if self.start == "grey" else 0.0, device=self.device)

    def images(self, codes: Float[Tensor, "codes ..."], labels: Int64[Tensor, " codes"]) -> Float[Tensor, "codes ..."]:
        # The difference is exactly 0, and carries the gradient.
        return codes.detach().clamp(0, 1) + (codes - codes.detach())
