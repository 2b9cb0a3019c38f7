"""How members are drawn in a comparison, how often, and how many models are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le

from seepage.errors import InputError

if TYPE_CHECKING:  # a command's help waits for no array
    from seepage.data import Membership, Pool

FEWEST_REFERENCES, MOST_MODELS = 4, 100_000


@dataclass(frozen=True)
class Draw:
    """How members are drawn, the same for all defences.

    Attributes:
        seeds: one repetition each, with another draw of members and other weights.
        references: models trained for each defence and seed.
        every_model: each of them is the target in its turn: intervals over models and records, for the price of the
            references. Otherwise there are `targets` beside them.
        targets: without `every_model`, how many share the references: intervals over these models and records.
        validation: records that no model is trained on, a share or a count: for defences that choose by some, and for
            the search.
        population: further records that no model is trained on, a share or a count: for defences and attacks that
            compare with some.
    """

    seeds: Sequence[int] = (0, 1, 2)
    references: Annotated[int, Ge(2), Le(MOST_MODELS)] = 64
    every_model: bool = True
    targets: Annotated[int, Ge(1), Le(MOST_MODELS)] = 1
    validation: Annotated[int | float, Ge(0)] = 0.1
    population: Annotated[int | float, Ge(0)] = 0.2

    def membership(self, pool: Pool, references: int, seed: int) -> Membership:
        """The same for the same seed and number of references, whatever the defence."""
        import numpy as np

        from seepage.data import Membership

        if references < FEWEST_REFERENCES:
            raise InputError(
                f"compare: expected at least {FEWEST_REFERENCES} references, got {references}: attacks that know the "
                "defence train models with it"
            )
        if self.targets < 1:
            raise InputError(f"compare: expected at least one of targets, got {self.targets}")
        common = {"validation": self.validation, "population": self.population, "rng": np.random.default_rng([seed, 2])}
        if self.every_model:
            return Membership.every_model(pool, references=references, **common)
        return Membership.split(pool, references=references, targets=self.targets, **common)
