"""Small gradients betray members: training has already followed them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from seepage.attacks.base import Attack
from seepage.models.access import Access
from seepage.signals.view import View


@dataclass(frozen=True)
class GradientNorm(Attack):
    """s(x) = -||grad_theta loss(theta; x, y)||_2."""

    access: ClassVar[Access] = Access.GRADIENTS
    needs: ClassVar[frozenset[str]] = frozenset({"labels", "gradients"})
    title = "Gradient norm"
    source = "Nasr et al. 2019 (arXiv 1812.00910), gradients of the loss as features; here their norm alone"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        return -view.gradient_norm
