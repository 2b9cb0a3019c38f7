"""Procedures that train each model by itself, and what their parts have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from torch import nn

from seepage.models.held_out import HeldOut
from seepage.models.recipe import Procedure, Recipe
from seepage.models.records import Records

Report = Callable[[float], None]


@dataclass(frozen=True)
class OneByOne(Procedure):
    """A procedure whose models have nothing to do with each other."""

    def train(
        self,
        recipe: Recipe,
        records: Records,
        columns: Sequence[np.ndarray],
        seeds: Sequence[int],
        held_out: HeldOut,
        report: Report,
    ) -> list[nn.Module]:
        n = len(columns)
        return [
            self.train_one(recipe, records, column, seed, held_out, share(report, place / n, (place + 1) / n))
            for place, (column, seed) in enumerate(zip(columns, seeds, strict=True))
        ]

    @abstractmethod
    def train_one(
        self, recipe: Recipe, records: Records, members: np.ndarray, seed: int, held_out: HeldOut, report: Report
    ) -> nn.Module:
        """The model of these members, in eval mode; all that is random derives from `seed`."""


def share(report: Report, start: float, end: float) -> Report:
    """A report for a part of the work, from `start` to `end` of the whole."""
    return lambda fraction: report(start + (end - start) * fraction)


def seeds_from(seed: int, n: int) -> list[int]:
    """Seeds for the n parts of one model's training."""
    # The engines draw from [seed, 1] and [seed, 2].
    return np.random.default_rng([seed, 3]).integers(2**62, size=n).tolist()


def strangers(held_out: HeldOut, members: np.ndarray, least: int, whose: str) -> Int64[np.ndarray, " rows"]:
    """Population records that are no members: a model of an audit's control may be trained on some.

    Raises:
        InputError: there are fewer than `least`.
    """
    others = np.setdiff1d(held_out.population, members)
    return HeldOut(population=others).need("population", least, whose)
