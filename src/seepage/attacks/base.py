"""The attack: one number for each record of a view, higher for those that look like members."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
from jaxtyping import Float64

from seepage.errors import InputError
from seepage.models.access import Access
from seepage.signals.view import View

NEEDS = {
    "in-references": "reference models with known membership, some trained on the records and some not",
    "out-references": "reference models that were not trained on the records",
    "population": "a population of records that neither the target nor any reference was trained on",
    "gradients": "gradient norms, which only a model whose gradients can be computed gives",
}


@dataclass(frozen=True)
class Attack(ABC):
    """A membership inference attack. Its fields are its options; what it scores by is `_score`, nothing else.

    An attack never sees the target's membership and never grades itself: the harness does.
    """

    access: ClassVar[Access] = Access.PROBABILITIES  # the least level it needs
    needs: ClassVar[frozenset[str]] = frozenset()  # keys of NEEDS
    least_references: ClassVar[int] = 0  # on each side, for most records; one is enough where `needs` says no more

    @property
    @abstractmethod
    def title(self) -> str:
        """The name for people."""

    @property
    @abstractmethod
    def source(self) -> str:
        """Paper and section."""

    @final
    def score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        """Score every record of the view.

        Args:
            view: what the attack may see.
            rng: for attacks that draw random numbers.

        Returns:
            (samples,) float64; higher means more likely a member. Infinities are possible, NaN is not.

        Raises:
            InputError: the view lacks something that the attack needs, or the signals allow no score.
        """
        missing = [NEEDS[need] for need in sorted(self.needs - view.available)]
        if missing:
            raise InputError(f"the attack '{self.title}' needs {' and '.join(missing)}: this audit has none")
        scores = self._score(view, rng=rng)
        if scores.shape != (view.n_samples,) or scores.dtype != np.float64:
            raise InputError(
                f"the attack '{self.title}' must give float64 ({view.n_samples},): got {scores.dtype} {scores.shape}"
            )
        if np.isnan(scores).any():
            raise InputError(f"the attack '{self.title}' has no score for {np.isnan(scores).sum()} records (NaN)")
        return scores

    @abstractmethod
    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]: ...


def check_option(attack: Attack, name: str, allowed: tuple[str, ...]) -> None:
    """Refuse an option's value that is not among those it may have."""
    value = getattr(attack, name)
    if value not in allowed:
        raise InputError(f"{type(attack).__name__}: {name} must be one of {', '.join(allowed)}: got '{value}'")
