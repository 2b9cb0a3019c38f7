"""Shokri's attack: what members' outputs look like, learnt on reference models and class by class."""

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from seepage.attacks.base import Attack
from seepage.attacks.learned import classifier, pairs
from seepage.signals.view import View


@dataclass(frozen=True)
class ShadowClassifier(Attack):
    """s(x) = f_y(o(x)), f_y a network trained to tell IN from OUT references by the output vector o.

    o_c = mean over queries of log p_c - log(1 - p_c), all classes in their own order.

    Options:
        per_class: a classifier for each class, as in the paper; else one for all, with the label as a one-hot input.
        hidden: widths of its layers; the paper has one of 64.

    Deviations: log-odds instead of probabilities, which saturate; L-BFGS over at most 20,000 pairs of a record and a
    reference (of one class at least 1,000) instead of the paper's optimiser; members weigh as much as non-members, in
    the one classifier for all within each class; a class with fewer than 30 pairs on a side takes a classifier of all
    classes that is not told the label; shadow records are the audited records themselves, not synthetic ones.

    Reference: Shokri et al. 2017 (arXiv 1610.05820), sections V.C to V.E.
    """

    per_class: bool = True
    hidden: tuple[int, ...] = (64,)

    needs: ClassVar[frozenset[str]] = frozenset({"labels", "in-references"})
    learns = True
    source = "Shokri et al. 2017 (arXiv 1610.05820), attack model on the prediction vector"

    @property
    def title(self) -> str:
        return f"Shadow classifier{', per class' if self.per_class else ''}"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        outputs = pairs.answers(view)

        def features(rows: np.ndarray, models: np.ndarray) -> np.ndarray:
            vector = pairs.log_odds(outputs[rows, models]).mean(axis=1)
            if self.per_class:
                return vector
            return np.concatenate([vector, pairs.one_hot(view.labels[rows], vector.shape[1])], axis=1)

        fit = functools.partial(classifier.fit, hidden=self.hidden)
        return pairs.score_by_references(
            view, features, fit, per_class=self.per_class, by_label=not self.per_class, rng=rng
        )
