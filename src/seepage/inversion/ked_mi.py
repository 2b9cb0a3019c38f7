"""KED-MI: descent on a distribution of latent codes, in a GAN that was trained with the target's answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from torch import Tensor

from seepage.inversion.base import Attempt, Budget, Images, normal
from seepage.inversion.descent import Descent
from seepage.inversion.objectives import Losses, cross_entropy
from seepage.inversion.optimisers import Adam


@dataclass(frozen=True)
class KEDMI(Descent):
    """Knowledge-enriched distributional model inversion.

        min over mu, s of  E_eps [ softplus(L) - L + weight * (-log p_y(G(z))) ],   z = mu + exp(s / 2) eps

    L is the log-sum-exp of the prior's class scores of G(z), so that the first part is -log of the probability of
    being real. eps ~ N(0, I) is drawn once a step. mu begins at 0 and s, the logarithm of the variance, at `logvar`.
    The image is that of a last draw, and not of mu: a class is a distribution here.

    Options:
        lr: of Adam.
        weight: of the target's loss beside the prior's.
        logvar: 1 in KED-MI's and LOMMA's code, 0 in TL-DMI's.
        clip: the largest value of a code's coordinate before it becomes an image; None for no limit, as in KED-MI's
            code, which clips what it logs alone; 1 in LOMMA's and TL-DMI's.

    Reference: Chen et al. 2021 (ICCV, arXiv 2010.04092); code github.com/SCccc21/Knowledge-Enriched-DMI: 2400 steps,
        then 5 draws a class from one mu and s.
    Deviation: every image has a mu and s of its own, and one draw from them: images of a class are independent.
    """

    title: ClassVar[str] = "KED-MI"
    source: ClassVar[str] = "Chen et al. 2021 (arXiv 2010.04092)"
    prior: ClassVar[str] = "knowledge-gan"
    own: ClassVar[Budget] = Budget(steps=2400)

    lr: Annotated[float, Gt(0)] = 0.02
    weight: Annotated[float, Ge(0)] = 100.0
    logvar: float = 1.0
    clip: Annotated[float, Gt(0)] | None = None

    @property
    def update(self) -> Adam:
        return Adam(self.lr)

    def start(self, attempt: Attempt) -> list[Tensor]:
        mu = torch.zeros_like(attempt.prior.draw(attempt.rngs))
        return [mu, torch.full_like(mu, self.logvar)]

    def codes(self, variables: list[Tensor], attempt: Attempt) -> Tensor:
        mu, logvar = variables
        z = mu + (logvar / 2).exp() * normal(attempt.rngs, *mu.shape[1:], device=mu.device)
        return z if self.clip is None else z.clamp(-self.clip, self.clip)

    def loss(self, images: Images, codes: Tensor, attempt: Attempt, step: int) -> Losses:
        sure = cross_entropy(attempt.oracle.logits(images), attempt.labels)
        return attempt.prior.penalty(images, attempt.labels) + self.weight * sure
