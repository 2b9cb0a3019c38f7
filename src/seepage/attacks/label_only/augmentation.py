"""Whether augmented copies of a record still get its label: attacks that see no more than labels."""

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from seepage.attacks.base import Attack
from seepage.attacks.learned import classifier, pairs
from seepage.models.access import Access
from seepage.signals.view import View

CHOQUETTE_CHOO = "Choquette-Choo et al. 2021 (arXiv 2007.14321)"


@dataclass(frozen=True)
class Augmentation(Attack):
    """s(x) = share of the queries whose predicted label is y.

    It has as many values as there are queries, plus one. The audit says which queries: those of the paper are "rotate"
    and "translate".

    Reference: Choquette-Choo et al. 2021, data augmentation, with the number of right labels for the learned model.
    """

    access: ClassVar[Access] = Access.LABEL
    needs: ClassVar[frozenset[str]] = frozenset({"labels", "queries"})
    title = "Augmentation (labels)"
    source = f"{CHOQUETTE_CHOO}, data augmentation, as a threshold"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        return view.target("correct").mean(axis=1)


@dataclass(frozen=True)
class LearnedAugmentation(Attack):
    """s(x) = f(c(x)), c the queries' correctness, 0 or 1 each, and f a network that tells IN from OUT references by it.

    Options:
        per_class: a network for each class, as in the paper; one with few pairs takes the network of all classes.
        hidden: widths of its layers.

    Deviations: one network for all classes by default, as most audits have few records a class; references on balanced
    halves instead of one shadow model; ReLU and L-BFGS instead of leaky ReLU and Adam.

    Reference: Choquette-Choo et al. 2021, data augmentation, and the attack model of their code.
    """

    per_class: bool = False
    hidden: tuple[int, ...] = (10, 10)

    access: ClassVar[Access] = Access.LABEL
    needs: ClassVar[frozenset[str]] = frozenset({"labels", "queries", "in-references"})
    source = f"{CHOQUETTE_CHOO}, data augmentation"

    @property
    def title(self) -> str:
        return f"Augmentation (labels), learned{', per class' if self.per_class else ''}"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        correct = view.signals["correct"]
        return pairs.score_by_references(
            view,
            lambda rows, models: correct[rows, models],
            functools.partial(classifier.fit, hidden=self.hidden),
            per_class=self.per_class,
            by_label=False,
            rng=rng,
            order_by=np.column_stack([correct.reshape(view.n_samples, -1), view.labels]),
        )
