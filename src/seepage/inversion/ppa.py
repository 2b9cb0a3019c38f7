"""Plug & Play Attacks: good starts, random views of the image on the way, and the image that stands views best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from annotated_types import Ge, Gt, Le
from jaxtyping import Float32
from torch import Tensor

from seepage.inversion.base import Attempt, Budget, Images
from seepage.inversion.candidates import best_of
from seepage.inversion.descent import Descent
from seepage.inversion.objectives import log_confidence, poincare
from seepage.inversion.optimisers import Adam
from seepage.inversion.views import views


@dataclass(frozen=True)
class PPA(Descent):
    """Descent on the code of the Poincare distance between the target's logits of a random crop and the class.

        start   of `queries` // 2 random codes the one with the highest mean of p_y over the image and its mirror image
        step    crops of 0.9 to 1 of the area, as high to wide as the image; Adam with betas (0.1, 0.1)
        merit   the mean of p_y over crops of 0.5 to 0.9 of the area, mirrored or not

    Options:
        lr: of Adam: 0.005 for the styles of a StyleGAN. Codes of another generator may need a greater one.
        views: over which the merit is a mean.
        flip: the probability that such a view is mirrored. With 0, for letters, digits and whatever else is of another
            class in a mirror, starts are not looked at in a mirror either, and there are `queries` of them.

    Reference: Struppek et al. 2022 (arXiv 2201.12179); code github.com/LukasStruppek/Plug-and-Play-Attacks,
        attacks/ and configs/attacking/CelebA_FFHQ.yaml: 70 steps (50 for FaceScrub), 200 tries for 50 images.
    Deviations: each image has candidates of its own, where the source takes for a class the best 200 of 5000 (or 2000)
        that all classes share: the best of 50, which is the own budget here, is on average among the best 2 %, and the
        best 200 of 5000 are so on average too. No centre crop of the generator's image, and those of `views`.
    """

    title: ClassVar[str] = "PPA"
    source: ClassVar[str] = "Struppek et al. 2022 (arXiv 2201.12179)"
    prior: ClassVar[str] = "gan"
    own: ClassVar[Budget] = Budget(steps=70, restarts=4, queries=100)
    notes: ClassVar[tuple[str, ...]] = (
        "Steps are short (0.005 in each coordinate): apart from a StyleGAN's styles most is decided by the choice of "
        "the start, and a larger lr may be stronger.",
        "The Poincare distance depends on the offset of the logits, which softmax does not; it has no gradient for a "
        "target with a single logit.",
    )

    lr: Annotated[float, Gt(0)] = 0.005
    views: Annotated[int, Ge(1)] = 100
    flip: Annotated[float, Ge(0), Le(1)] = 0.5

    @property
    def update(self) -> Adam:
        return Adam(self.lr, betas=(0.1, 0.1))

    def start(self, attempt: Attempt) -> list[Tensor]:
        sides = 2 if self.flip else 1

        def score(images: Images, labels: Tensor) -> Tensor:
            shown = (images, images.flip(3))[:sides]
            return sum(log_confidence(attempt.oracle.logits(seen), labels).exp() for seen in shown) / sides

        codes, _ = best_of(attempt, max(1, attempt.budget.queries // sides), score)
        return [codes[:, 0]]

    def loss(self, images: Images, codes: Tensor, attempt: Attempt, step: int) -> Tensor:
        seen = views(images, attempt.rngs, scale=(0.9, 1.0), ratio=(1.0, 1.0), flip=0.0)
        return poincare(attempt.oracle.logits(seen), attempt.labels)

    def merit(self, images: Images, attempt: Attempt) -> Float32[Tensor, " images"]:
        total = torch.zeros(len(attempt), device=images.device)
        for _ in range(self.views):
            seen = views(images, attempt.rngs, scale=(0.5, 0.9), ratio=(0.8, 1.2), flip=self.flip)
            total += log_confidence(attempt.oracle.logits(seen), attempt.labels).exp()
        return total / self.views
