"""A StyleGAN as a prior, whose codes are styles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from seepage.errors import InputError
from seepage.inversion.priors.adapters import check_module, device_of, fitted
from seepage.inversion.priors.base import Prior
from seepage.inversion.randomness import normal

STYLE_SLOPE = 0.2  # of the leaky ReLU at the end of a StyleGAN's mapping


class StyleGANPrior(Prior):
    """The synthesis network of a StyleGAN2-ADA or StyleGAN3; a code is one style w for all of its layers.

        w = w_avg + psi (mapping(z) - w_avg), z ~ N(0, I);    x = clamp((synthesis(w, ..., w) + 1) / 2, 0, 1)

    How to open such a network is told at `seepage.models.generators.StyleGAN`: it is a pickle, which runs code, and
    therefore yours to open.

    Args:
        network: with `z_dim`, `c_dim` (0), `num_ws`, `mapping` and `synthesis`, in eval mode.
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
        missing = [part for part in ("z_dim", "c_dim", "num_ws", "mapping", "synthesis") if not hasattr(network, part)]
        if missing:
            raise InputError(
                f"expected a StyleGAN (the entry 'G_ema' of a checkpoint), got a {type(network).__name__} without "
                f"{', '.join(missing)}"
            )
        check_module(network)
        if network.c_dim:
            raise InputError("expected a StyleGAN without classes, this one has some: c_dim must be 0")
        if not 0 <= truncation <= 1:
            raise InputError(f"truncation must lie between 0 and 1, got {truncation}")
        self.network, self.image_shape, self.truncation = network.requires_grad_(False), tuple(image_shape), truncation
        self.name, self.device = name, device_of(network)

    @torch.no_grad()
    def draw(self, rngs: Sequence[np.random.Generator]) -> Float[Tensor, "codes styles"]:
        z = normal(rngs, self.network.z_dim, device=self.device)
        w = self.network.mapping(z, torch.zeros(len(z), 0, device=self.device))[:, 0]
        return torch.lerp(self.network.mapping.w_avg.expand_as(w), w, self.truncation)

    def images(self, codes: Float[Tensor, "codes ..."], labels: Int64[Tensor, " codes"]) -> Float[Tensor, "codes ..."]:
        styles = codes[:, None].expand(-1, self.network.num_ws, -1)
        made = self.network.synthesis(styles, noise_mode="const").float()
        return fitted(((made + 1) / 2).clamp(0, 1), self.image_shape)
