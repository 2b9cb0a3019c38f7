"""How the codes of a prior are spread, for attacks that keep codes near to what the prior draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from seepage.inversion.priors.base import Prior

DRAWS = 5000


@dataclass(frozen=True, eq=False)
class Spread:
    """Codes in units of their own spread: in units, what the prior draws has mean 0 and deviation 1 everywhere.

    For the styles w of a StyleGAN the spread is that of p = LeakyReLU_5(w), what its mapping network had before its
    last activation, a leaky ReLU of slope 0.2: p is about normal, w is not. In general p = LeakyReLU_{1/slope}(code).

    Attributes:
        mean: of p, in the shape of one code.
        deviation: of p; 1 where a coordinate never varies.
        slope: of the activation, `Prior.slope`.

    Reference: the P space of MIRROR (An et al., NDSS 2022), after Zhu et al. 2020 (arXiv 2012.09036).
    """

    mean: Float[Tensor, ...]
    deviation: Float[Tensor, ...]
    slope: float = 1.0

    @classmethod
    def of(cls, prior: Prior, seed: int, draws: int = DRAWS) -> Spread:
        """Measured on random codes of the prior; the target is not asked."""
        rng = np.random.default_rng(seed)
        p = F.leaky_relu(prior.draw([rng] * draws).detach(), 1 / prior.slope)
        deviation, mean = torch.std_mean(p, dim=0, correction=0)
        return cls(mean, torch.where(deviation > 0, deviation, 1), prior.slope)

    def units(self, codes: Float[Tensor, ...]) -> Float[Tensor, ...]:
        """(p - mean) / deviation; codes may have any axes in front."""
        return (F.leaky_relu(codes, 1 / self.slope) - self.mean) / self.deviation

    def codes(self, units: Float[Tensor, ...]) -> Float[Tensor, ...]:
        """The codes that have these units."""
        return F.leaky_relu(self.mean + self.deviation * units, self.slope)
