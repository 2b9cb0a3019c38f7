"""Label smoothing, positive or negative, as a defence."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Le

from seepage.defences.base import Defence, with_objective
from seepage.models.objectives import label_smoothing
from seepage.models.recipe import Recipe


@dataclass(frozen=True)
class LabelSmoothing(Defence):
    """Labels give a share to all classes alike, or, negative, take it from them.

    Options:
        smoothing: r of (1 - r) onehot + r / k, at most 1. The label smoothing of HAMP's code gives the true class the
            p of `soft_label(k, gamma)`: r = (1 - p) k / (k - 1), or HAMP(mode="training", alpha=0, gamma=...).

    Reference: Szegedy et al. 2016 (arXiv 1512.00567), section 7; Wei et al. 2022 (arXiv 2106.04149) for r < 0.
    """

    kind: ClassVar[str] = "training"
    grid: ClassVar[tuple[dict[str, Any], ...]] = tuple({"smoothing": r} for r in (0.8, 0.5, 0.3, 0.1, 0.03))

    smoothing: Annotated[float, Le(1)] = 0.1

    title = "Label smoothing"
    source = "Szegedy et al. 2016 (arXiv 1512.00567), section 7; Wei et al. 2022 (arXiv 2106.04149) where negative"

    @property
    def notes(self) -> tuple[str, ...]:
        if self.smoothing < 0:
            return (
                "Negative smoothing makes models surer and its loss has no lower bound: train for few epochs. It is "
                "meant against label noise and against inversion, not against membership inference.",
            )
        return ("Smoothing alone can help a membership attack: members learn the soft label, others do not.",)

    def apply(self, recipe: Recipe) -> Recipe:
        return with_objective(recipe, functools.partial(label_smoothing, smoothing=self.smoothing))
