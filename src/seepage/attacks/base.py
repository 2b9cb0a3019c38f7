"""The attack: one number for each record of a view, higher for those that look like members."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float64

from seepage.errors import InputError
from seepage.models.access import Access
from seepage.options import Options
from seepage.outside import from_outside
from seepage.randomness import Seed, generator
from seepage.signals.view import View

NEEDS = {
    "labels": "labels of the records",
    "in-references": "reference models with known membership, some trained on the records and some not",
    "out-references": "reference models that were not trained on the records",
    "population": "a population of records that neither the target nor any reference was trained on",
    "gradients": "gradient norms, which only a model whose gradients can be computed gives",
    "known": "records whose membership in the target the attacker knows (known=)",
    "records": "the records themselves, not only what models answer about them",
    "features": "penultimate features, which only a model whose layers can be read gives",
    "model": "the live target, to ask it further questions",
    "queries": "more than one query a record (queries=)",
}


@dataclass(frozen=True)
class Attack(Options, ABC):
    """A membership inference attack. Its fields are its options; what it scores by is `_score`, nothing else.

    An attack never sees the target's membership and never grades itself: the harness does.
    """

    title: ClassVar[str]  # the name for people
    source: ClassVar[str]  # paper and section
    access: ClassVar[Access] = Access.PROBABILITIES  # the least level it needs
    needs: ClassVar[frozenset[str]] = frozenset({"labels"})  # keys of NEEDS; without "labels" it must look at none
    least_references: ClassVar[int] = 0  # on each side, for most records; one is enough where `needs` says no more
    most_references: ClassVar[int | None] = None  # where it makes use of no more
    least_known: ClassVar[int] = 0  # known members, and as many known non-members
    # Whether it learns from the references' own records, so that it scores records that no reference was trained on.
    learns: ClassVar[bool] = False

    @final
    def score(self, view: View, *, rng: Seed) -> Float64[np.ndarray, " samples"]:
        """Score the audited records of the view.

        Args:
            view: what the attack may see.
            rng: for attacks that draw random numbers.

        Returns:
            (samples,) float64; higher means more likely a member. Infinities are possible; NaN only outside the
            audited records, where an attack need not spend anything.

        Raises:
            InputError: the view lacks something that the attack needs, or the signals allow no score.
        """
        rng = generator(rng)
        missing = [NEEDS[need] for need in sorted(self.needs - view.available)]
        if missing:
            raise InputError(f"the attack '{self.title}' needs {' and '.join(missing)}: this audit has none")
        known = min(int((view.known == side).sum()) for side in (0, 1))
        if known < self.least_known:
            raise InputError(
                f"the attack '{self.title}' needs {self.least_known} known members and as many known non-members of "
                f"the target: got {known}; audit with known={3 * self.least_known}, say"
            )
        with from_outside(f"the attack '{self.title}' failed on a view of {view.n_samples} records"):
            scores = np.asarray(self._score(view, rng=rng))
        if scores.shape != (view.n_samples,) or scores.dtype != np.float64:
            raise InputError(
                f"the attack '{self.title}' must give float64 ({view.n_samples},): got {scores.dtype} {scores.shape}"
            )
        if lacking := int(np.isnan(scores[view.audited]).sum()):
            raise InputError(f"the attack '{self.title}' has no score for {lacking} records (NaN)")
        return scores

    @abstractmethod
    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]: ...
