"""PLG-MI: a generator that was led to the target's classes, and a margin that does not fade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le
from torch import Tensor

from seepage.inversion.base import Attempt, Budget, Images
from seepage.inversion.descent import Descent
from seepage.inversion.objectives import max_margin
from seepage.inversion.optimisers import Adam
from seepage.inversion.views import views


@dataclass(frozen=True)
class PLGMI(Descent):
    """Descent on z of L = sum over two random views of the image of max_{k != y} l_k - l_y.

    A view is a crop of 0.8 to 1 of the area, mirrored or not, turned by up to 5 degrees, its brightness and contrast
    changed by up to a fifth. z is bound by nothing.

    Options:
        lr: of Adam.
        flip: the probability that a view is mirrored; 0 for letters, digits and whatever else is of another class in a
            mirror.

    Reference: Yuan et al. 2023 (arXiv 2302.09814); code github.com/LetheSec/PLG-MI-Attack,
        reconstruct.py: Adam 0.1, 600 iterations, 5 tries.
    Deviations: those of `views`; rotations are never left out (there in half of the views); of the tries the one that
        the target is surest of is kept, where the source reports all of them.
    """

    title: ClassVar[str] = "PLG-MI"
    source: ClassVar[str] = "Yuan et al. 2023 (arXiv 2302.09814)"
    prior: ClassVar[str] = "conditional-gan"
    own: ClassVar[Budget] = Budget(steps=600, restarts=5)
    notes: ClassVar[tuple[str, ...]] = (
        "The target takes part twice: its labels of public images and its margin train the generator before any image "
        "is made.",
    )

    lr: Annotated[float, Gt(0)] = 0.1
    flip: Annotated[float, Ge(0), Le(1)] = 0.5

    @property
    def update(self) -> Adam:
        return Adam(self.lr)

    def loss(self, images: Images, codes: Tensor, attempt: Attempt, step: int) -> Tensor:
        margins = (max_margin(attempt.oracle.logits(self._view(images, attempt)), attempt.labels) for _ in range(2))
        return sum(margins)

    def _view(self, images: Images, attempt: Attempt) -> Images:
        return views(images, attempt.rngs, scale=(0.8, 1.0), ratio=(1.0, 1.0), flip=self.flip, jitter=0.2, degrees=5.0)
