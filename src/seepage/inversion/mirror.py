"""MIRROR, with gradients: codes that stay where the prior's own codes lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le
from torch import Tensor

from seepage.inversion.base import Attempt, Budget, Images, Report, silent
from seepage.inversion.candidates import best_of
from seepage.inversion.descent import Descent
from seepage.inversion.objectives import cross_entropy, log_confidence
from seepage.inversion.optimisers import Adam
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors.base import Prior
from seepage.inversion.spread import Spread
from seepage.inversion.views import views


@dataclass(frozen=True)
class MIRROR(Descent):
    """Descent on the code of 10 CE of the image, mirrored or not; every coordinate is held to mean +- one deviation.

    Mean and deviation are of what the prior draws, for a StyleGAN's styles of p = LeakyReLU_5(w), see `spread.Spread`.
    The search begins at the most confident of `queries` random codes, and its image is the one with the smallest loss
    on the way.

    Options:
        lr: of Adam; the source's scripts have 0.25.
        weight: of the cross-entropy. Adam's steps hardly depend on it.
        bound: in deviations.
        flip: the probability that an image is mirrored in a step; 0 for letters, digits and whatever else is of another
            class in a mirror.

    Reference: An et al., "MIRROR: Model Inversion for Deep Learning Network with High Fidelity", NDSS 2022; code
        github.com/njuaplusplus/mirror, my_whitebox_mirror_helper.py: 20,000 steps, the best 8 of 100,000 codes.
    Deviations: candidates are held to the bounds before they are compared (the source holds codes to them from the
        first step on). The rate is constant, where the code raises it over the first 5 % of the steps and lowers it
        over the last 25 %. The image that is kept is the one whose loss was measured; the code keeps the one a step
        later.
    """

    title: ClassVar[str] = "MIRROR"
    source: ClassVar[str] = "An et al., NDSS 2022 (white-box)"
    prior: ClassVar[str] = "gan"
    own: ClassVar[Budget] = Budget(steps=20000, restarts=1, queries=100_000)
    keeps_best: ClassVar[bool] = True

    lr: Annotated[float, Gt(0)] = 0.2
    weight: Annotated[float, Gt(0)] = 10.0
    bound: Annotated[float, Gt(0)] = 1.0
    flip: Annotated[float, Ge(0), Le(1)] = 0.5

    @property
    def update(self) -> Adam:
        return Adam(self.lr)

    def learn(self, oracle: Oracle, prior: Prior, public: Tensor, *, seed: int, report: Report = silent) -> Spread:
        """How the codes of the prior are spread."""
        return Spread.of(prior, seed)

    def start(self, attempt: Attempt) -> list[Tensor]:
        def score(images: Images, labels: Tensor) -> Tensor:
            return log_confidence(attempt.oracle.logits(images), labels)

        codes, _ = best_of(attempt, attempt.budget.queries, score, place=lambda c: self.project([c], attempt)[0])
        return [codes[:, 0]]

    def loss(self, images: Images, codes: Tensor, attempt: Attempt, step: int) -> Tensor:
        seen = views(images, attempt.rngs, scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=self.flip)
        return self.weight * cross_entropy(attempt.oracle.logits(seen), attempt.labels)

    def project(self, variables: list[Tensor], attempt: Attempt) -> list[Tensor]:
        spread: Spread = attempt.known
        return [spread.codes(spread.units(codes).clamp(-self.bound, self.bound)) for codes in variables]
