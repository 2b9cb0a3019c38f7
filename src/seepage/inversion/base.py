"""What an inversion attack is: it is given a class, and makes images of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

from seepage.inversion.oracle import Oracle
from seepage.inversion.priors.base import Prior
from seepage.inversion.randomness import Rngs, normal, uniform
from seepage.models.access import Access
from seepage.options import Options

__all__ = ["Attempt", "Budget", "Images", "Inversion", "Report", "Rngs", "normal", "silent", "uniform"]

Images = Float[Tensor, "images channels height width"]  # values in [0, 1]
Report = Callable[[float], None]
Watch = Callable[[int, Images, Tensor], None]


def silent(fraction: float) -> None:
    """A report that nobody reads."""


@dataclass(frozen=True)
class Budget(Options):
    """What every attack may spend on one image.

    Attributes:
        steps: updates of an image, of its latent code, or of a population of them.
        restarts: how often it begins anew; the try that it likes best is kept.
        queries: at most so many questions to the target for one try of an attack without gradients, and for the choice
            of a starting point.
    """

    steps: Annotated[int, Ge(1)] = 200
    restarts: Annotated[int, Ge(1)] = 1
    queries: Annotated[int, Ge(1)] = 2000


@dataclass(frozen=True, eq=False)
class Attempt:
    """Some images to make, and all that an attack has for it.

    Attributes:
        oracle: the target, as far as it may be asked.
        prior: what images look like.
        labels: (images,) the class that each image is to show.
        rngs: one generator an image, the source of everything random about it: an image does not depend on the others
            that are made beside it.
        budget: what may be spent on each.
        known: what `Inversion.learn` returned.
        report: told the share that is done.
        watch: told, by attacks that descend, the step, counted from 0, the images and the codes before each update.
    """

    oracle: Oracle
    prior: Prior
    labels: Int64[Tensor, " images"]
    rngs: Rngs
    budget: Budget
    known: Any = None
    report: Report = silent
    watch: Watch | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def repeated(self, restarts: int) -> Attempt:
        """Every image `restarts` times, the tries of one image side by side."""
        rngs = [child for rng in self.rngs for child in rng.spawn(restarts)]
        return replace(self, labels=self.labels.repeat_interleave(restarts), rngs=rngs)


@dataclass(frozen=True)
class Inversion(Options, ABC):
    """An inversion attack. Its fields are its options, with the source's defaults.

    Attributes:
        title: the name for people.
        source: paper and section.
        access: the least access level that it needs: "label", "probabilities" or "weights".
        prior: the kind of prior that it searches in, one of `priors.KINDS`.
        own: the budget that the source gives it.
        notes: what a reader of its figures must know.
    """

    title: ClassVar[str]
    source: ClassVar[str]
    access: ClassVar[Access] = Access.WEIGHTS
    prior: ClassVar[str]
    own: ClassVar[Budget]
    notes: ClassVar[tuple[str, ...]] = ()

    def learn(
        self,
        oracle: Oracle,
        prior: Prior,
        public: UInt8[Tensor, "records channels height width"],
        *,
        seed: int,
        report: Report = silent,
    ) -> Any:
        """What the attack finds out about the target before it makes any image; None where there is nothing."""
        return None

    @abstractmethod
    def run(self, attempt: Attempt) -> tuple[Images, Float32[Tensor, " images"]]:
        """One try for each image: the images, and how much the attack likes each (higher is better)."""

    def reconstruct(self, attempt: Attempt) -> Images:
        """One image for each label: the best of as many tries as the budget allows."""
        restarts = attempt.budget.restarts
        images, merit = self.run(attempt.repeated(restarts) if restarts > 1 else attempt)
        merit = merit.nan_to_num(-torch.inf)  # a try that came to nothing; NaN would be the greatest
        best = merit.view(-1, restarts).argmax(1) + restarts * torch.arange(len(attempt), device=merit.device)
        return images[best].detach()
