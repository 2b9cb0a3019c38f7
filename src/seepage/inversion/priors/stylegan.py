"""A StyleGAN as a prior, whose codes are styles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from seepage.errors import InputError
from seepage.inversion.priors.adapters import fitted
from seepage.inversion.priors.base import Prior
from seepage.inversion.randomness import normal
from seepage.models.device import device_of
from seepage.models.generators.adapter import StyleGAN

STYLE_SLOPE = 0.2  # of the leaky ReLU at the end of a StyleGAN's mapping


class StyleGANPrior(Prior):
    """A code is one style w for all layers of a `StyleGAN`; images are clamp((x + 1) / 2, 0, 1).

    Args:
        network: as for `seepage.models.generators.StyleGAN`, which says how to open one; it knows no classes.
        image_shape: (channels, height, width) of the target's images.
        truncation: psi, 0.5 in PPA; 1 leaves the styles alone, as MIRROR has them.
        name: tells it from other generators.

    Raises:
        InputError: it is no StyleGAN, knows classes, is in training mode, or psi is not between 0 and 1.

    Reference: Karras et al. (2020), Training generative adversarial networks with limited data; Struppek et al. (ICML
        2022), Plug and play attacks, with `single_w` in their code, attack.py: of a style truncated in the first 8
        layers, that of the first layer goes to all of them.
    """

    slope = STYLE_SLOPE

    def __init__(
        self,
        network: nn.Module,
        image_shape: tuple[int, int, int],
        truncation: float = 0.5,
        name: str = "StyleGAN",
    ):
        self.generator = StyleGAN(network, truncation).requires_grad_(False)
        if self.generator.n_classes:
            raise InputError("expected a StyleGAN without classes, this one has some: c_dim must be 0")
        self.image_shape, self.name, self.device = tuple(image_shape), name, device_of(network)

    @torch.no_grad()
    def draw(self, rngs: Sequence[np.random.Generator]) -> Float[Tensor, "codes styles"]:
        z = normal(rngs, self.generator.network.z_dim, device=self.device)
        return self.generator.styles(z, z[:, :0])

    def images(self, codes: Float[Tensor, "codes ..."], labels: Int64[Tensor, " codes"]) -> Float[Tensor, "codes ..."]:
        return fitted(((self.generator(codes) + 1) / 2).clamp(0, 1), self.image_shape)
