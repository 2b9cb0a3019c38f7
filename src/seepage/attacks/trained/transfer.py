"""A surrogate that learns from the target's labels alone, in the hope that it errs where the target errs."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float64

from seepage.attacks.base import Attack
from seepage.attacks.learned import pairs
from seepage.models.access import Access
from seepage.signals.functions import scaled_logit
from seepage.signals.view import View


@dataclass(frozen=True)
class Transfer(Attack):
    """s(x) = phi(x, y) of a surrogate trained on the population under the labels that the target gives it.

    phi = -log(exp(loss) - 1) orders records as minus the loss does. Of the target it needs no more than the labels of
    the population, and nothing about the records that are judged. What of their membership can reach the surrogate is
    what the target's labels of other records tell: expect little beyond chance, the less the smaller the population.

    Options:
        epochs, lr, batch_size: of the surrogate, with Adam.

    Deviations: the surrogate is built like the references, where that is known; Adam instead of SGD; no threshold is
    chosen, for the harness does.

    Reference: Li & Zhang 2021 (arXiv 2007.15528), transfer attack.
    """

    epochs: Annotated[int, Ge(1)] = 50
    lr: Annotated[float, Gt(0)] = 1e-3
    batch_size: Annotated[int, Ge(1)] = 32

    access: ClassVar[Access] = Access.LABEL
    needs: ClassVar[frozenset[str]] = frozenset({"labels", "population", "records"})
    title = "Transfer from labels"
    source = "Li & Zhang 2021 (arXiv 2007.15528), transfer attack"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        from seepage.attacks.trained import population
        from seepage.models.optimisers import Adam
        from seepage.models.recipe import Recipe

        known = population.in_order(view, view.population)
        answered = pairs.answers(view)[known, view.target_column, 0]
        architecture, inputs = population.copied(view, known)
        recipe = Recipe(architecture, Adam(self.lr), epochs=self.epochs, batch_size=self.batch_size)
        surrogate = population.train(
            recipe, inputs(known), answered.argmax(axis=-1), answered.shape[-1], seed=int(rng.integers(2**62))
        )
        rows = population.in_order(view, view.audited)
        scores = np.full(view.n_samples, np.nan)
        scores[rows] = scaled_logit(population.answers(surrogate, inputs(rows)), view.labels[rows])
        return scores
