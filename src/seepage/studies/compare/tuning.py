"""How strong a defence may be: the most protective setting that keeps the accuracy, judged on validation records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seepage import metrics
from seepage.data import Membership, Pool
from seepage.errors import InputError, TrainingError
from seepage.models.held_out import HeldOut
from seepage.models.recipe import Recipe
from seepage.runs.run import Run
from seepage.schema.comparison import TuningPoint
from seepage.schema.estimates import Estimate
from seepage.signals.collect import collect
from seepage.studies.compare.choice import Entry, plain

DIVERGED = "undefined: the training did not come to an end"


@dataclass(frozen=True, eq=False)
class Trial:
    """One model's members, validation and population records, cut out of the pool.

    The records that an audit judges as this model's non-members are not in it: nothing of a search can have seen them.
    """

    pool: Pool
    column: np.ndarray  # (records, 1) bool
    held_out: HeldOut
    folder: Path
    seed: int
    confidence: float
    run: Run

    @classmethod
    def of(cls, pool: Pool, membership: Membership, **how: Any) -> Trial:
        """The trial of a membership's first target.

        Raises:
            InputError: no validation records were set aside.
        """
        if not membership.validation.any():
            raise InputError("compare: a floor needs validation records to hold the accuracy against: validation=0.1")
        members = membership.target
        rows = np.flatnonzero(members | membership.validation | membership.population)
        held_out = HeldOut(np.flatnonzero(membership.validation[rows]), np.flatnonzero(membership.population[rows]))
        return cls(pool.subset(rows), members[rows][:, None], held_out, **how)

    def accuracy(self, recipe: Recipe, title: str) -> Estimate:
        """Train one model and judge it on the validation records; Clopper-Pearson interval."""
        validation = self.held_out.validation
        try:
            collection = collect(
                recipe,
                self.pool,
                self.column,
                root_seed=self.seed,
                held_out=self.held_out,
                folder=self.folder / recipe.fingerprint[:16],
                engine=self.run.engine,
                workers=self.run.workers,
                executor=self.run.executor,
                device=self.run.device,
                progress=self.run.progress,
                title=title,
            )
        except TrainingError as error:
            return Estimate(value=None, low=None, high=None, n=len(validation), flag=f"{DIVERGED}: {error}")
        right = collection.logits[validation, 0, 0].argmax(axis=-1) == self.pool.labels[validation]
        found = metrics.proportion(right, confidence=self.confidence)
        return Estimate(value=found.value, low=found.low, high=found.high, n=found.n)


@dataclass(frozen=True)
class Search:
    """What a search tried, in order, and what it chose."""

    options: Mapping[str, Any]
    points: list[TuningPoint]
    reached_floor: bool


def search(entry: Entry, trial: Trial, floor: float) -> Search:
    """Go through a defence's grid, the most protective setting first, until one keeps the accuracy.

    Args:
        entry: with a grid.
        trial: what a model is trained and judged on.
        floor: validation accuracy to be reached.

    Returns:
        The first setting that reaches the floor, or, where none does, the most accurate one.

    Raises:
        TrainingError: no setting could be trained.
    """
    tried: list[Estimate] = []
    for options in entry.grid:
        recipe = entry.at(options).apply(entry.recipe)
        tried.append(trial.accuracy(recipe, f"searching {entry.label}, {len(tried) + 1} of {len(entry.grid)}"))
        if reaches(tried[-1], floor):
            break
    defined = [place for place, one in enumerate(tried) if one.value is not None]
    if not defined:
        raise TrainingError(f"compare: no setting of '{entry.label}' could be trained: {tried[0].flag}")
    chosen = len(tried) - 1
    if not reaches(tried[-1], floor):
        chosen = max(defined, key=lambda place: tried[place].value)
    points = [
        TuningPoint(
            options={name: plain(value) for name, value in options.items()},
            validation_accuracy=accuracy,
            chosen=place == chosen,
        )
        for place, (options, accuracy) in enumerate(zip(entry.grid, tried, strict=False))
    ]
    return Search(entry.grid[chosen], points, reaches(tried[chosen], floor))


def reaches(accuracy: Estimate, floor: float) -> bool:
    # A share of n records and a floor that was made by subtraction: equal is reached.
    return accuracy.value is not None and accuracy.value >= floor - 1e-9
