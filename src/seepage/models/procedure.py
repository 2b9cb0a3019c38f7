"""A training that is more than steps along one objective's gradient: several models, or another kind of step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import nn

from seepage.models.held_out import HeldOut

if TYPE_CHECKING:
    from seepage.models.batches import Records
    from seepage.models.recipe import Recipe


@dataclass(frozen=True)
class Procedure(ABC):
    """How models are trained instead of plainly. Its fields are its options: numbers and text.

    Attributes:
        uses: which held-out records it needs, of "validation" and "population".
        chunk: how many models it trains together, where that is faster.
    """

    uses: ClassVar[frozenset[str]] = frozenset()
    chunk: ClassVar[int] = 1

    def repeated(self, seed: int) -> Procedure:
        """The procedure as the repetition of a study with that seed uses it: for those that make something once for
        several models, so that another repetition makes it anew."""
        del seed
        return self

    def try_on(self, recipe: Recipe, records: Records) -> None:
        """Raise where such models cannot be trained so; called with two records before a run begins.

        Args:
            recipe: of a plain training, with a batch size of at most two.
            records: two of the pool's.
        """
        del recipe, records

    @abstractmethod
    def train(
        self,
        recipe: Recipe,
        records: Records,
        columns: Sequence[np.ndarray],
        seeds: Sequence[int],
        held_out: HeldOut,
        report: Callable[[float], None],
    ) -> list[nn.Module]:
        """One model for each column of member rows, in eval mode, of the architecture that the recipe builds.

        Args:
            recipe: of each plain training; it has no procedure and no wrapper.
            records: the pool, where the engines train.
            columns: rows of the members of each model.
            seeds: one a model: everything that is random in its training derives from it, so that the same model is
                made whichever others are trained beside it.
            held_out: rows that no model is trained on.
            report: told the share that is done, from 0 to 1.
        """
