"""VMI: not one code but a distribution of codes, which stays near to the prior's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt
from jaxtyping import Float
from torch import Tensor

from seepage.inversion.base import Attempt, Budget, Images, Report, normal, silent
from seepage.inversion.descent import Descent
from seepage.inversion.objectives import cross_entropy
from seepage.inversion.optimisers import Adam
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors.base import Prior
from seepage.inversion.spread import Spread


def kl_to_standard(mean: Float[Tensor, "images ..."], log_variance: Float[Tensor, "images ..."]) -> Tensor:
    """KL(N(mu, diag exp(v)) || N(0, I)) = 1/2 sum (mu^2 + exp(v) - 1 - v), a number for each image."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).flatten(1).sum(1)


@dataclass(frozen=True)
class VMI(Descent):
    """Descent on the mean and the log-variance of q = N(mu, diag exp(v)) of

        E_{u ~ q} CE(u) + weight KL(q || N(0, I)),

    the expectation by one draw in each step. u are units of the prior's spread (see `spread.Spread`), which for normal
    codes are the codes themselves. q begins as N(0, I), where the second part is 0; the image is that of a draw of q.

    Options:
        lr: of Adam.
        weight: of the divergence; with 0 q shrinks to a point.

    Reference: Wang et al., "Variational Model Inversion Attacks", NeurIPS 2021 (arXiv 2201.10787); code
        github.com/wangkua1/vmi, attack_stylegan.py: weight 1e-3, 31 passes of 157 batches of 64 draws.
    Deviations: a variational variant. Each image has a normal q of its own, because no image may depend on the others
        that are made beside it; there one q, a flow for each layer of a StyleGAN, is learnt for a class, and all its
        images are draws of it. Adam instead of gradient descent with momentum 0.9 and rate 1e-4.
    """

    title: ClassVar[str] = "VMI (normal)"
    source: ClassVar[str] = "Wang et al. 2021 (arXiv 2201.10787)"
    prior: ClassVar[str] = "gan"
    own: ClassVar[Budget] = Budget(steps=4867, restarts=1)
    notes: ClassVar[tuple[str, ...]] = (
        "A variational variant: a normal distribution for each image, where the source learns a flow for each class.",
    )

    lr: Annotated[float, Gt(0)] = 0.02
    weight: Annotated[float, Ge(0)] = 1e-3

    @property
    def update(self) -> Adam:
        return Adam(self.lr)

    def learn(self, oracle: Oracle, prior: Prior, public: Tensor, *, seed: int, report: Report = silent) -> Spread:
        """How the codes of the prior are spread."""
        return Spread.of(prior, seed)

    def start(self, attempt: Attempt) -> list[Tensor]:
        spread: Spread = attempt.known
        at_prior = torch.zeros(len(attempt), *spread.mean.shape, device=spread.mean.device)
        return [at_prior, at_prior.clone()]

    def codes(self, variables: list[Tensor], attempt: Attempt) -> Tensor:
        mean, log_variance = variables
        noise = normal(attempt.rngs, *mean.shape[1:], device=mean.device)
        return attempt.known.codes(mean + (log_variance / 2).exp() * noise)

    def loss(self, images: Images, codes: Tensor, attempt: Attempt, step: int) -> Tensor:
        return cross_entropy(attempt.oracle.logits(images), attempt.labels)

    def penalty(self, variables: list[Tensor], attempt: Attempt) -> Tensor:
        return self.weight * kl_to_standard(*variables)
