"""Salem's attack: the largest scores alone, whatever classes they belong to."""

import functools
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge
from jaxtyping import Float, Float64

from seepage.attacks.base import Attack
from seepage.attacks.learned import classifier, pairs
from seepage.signals.view import View


def top_scores(outputs: Float[np.ndarray, "rows queries classes"], k: int = 3) -> Float64[np.ndarray, "rows top"]:
    """The k largest log p_c - log(1 - p_c) in descending order, mean over queries; all of fewer than k classes.

    >>> outputs = np.log([[[0.1, 0.2, 0.7], [0.7, 0.1, 0.2]]])
    >>> top_scores(outputs, k=2).round(4)
    array([[ 0.8473, -1.3863]])
    """
    ordered = -np.sort(-pairs.log_odds(outputs), axis=-1)
    return ordered[..., :k].mean(axis=-2)


@dataclass(frozen=True)
class TopScores(Attack):
    """s(x) = f(the k largest scores of x), f a network trained to tell IN from OUT references.

    It sees neither the label nor which classes the scores belong to.

    Options:
        k: how many scores; with fewer classes, all of them.
        hidden: widths of the layers; 64 in the code of "To Trust or Not To Trust".

    Deviations: log-odds instead of probabilities, which saturate; L-BFGS over at most 20,000 pairs of a record and a
    reference instead of Adam with a stop rule; members weigh as much as non-members; all references together instead of
    one shadow model trained on other records.

    Reference: Salem et al. 2019 (arXiv 1806.01246), adversary 1; Hintersdorf et al. 2022 (arXiv 2111.09076), its code.
    """

    k: Annotated[int, Ge(1)] = 3
    hidden: tuple[int, ...] = (64,)

    needs: ClassVar[frozenset[str]] = frozenset({"in-references"})
    learns = True
    source = "Salem et al. 2019 (arXiv 1806.01246), adversary 1"

    @property
    def title(self) -> str:
        return f"Shadow classifier on the top {self.k} scores"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        outputs = pairs.answers(view)
        first = outputs[:, :, 0]
        return pairs.score_by_references(
            view,
            lambda rows, models: top_scores(outputs[rows, models], self.k),
            functools.partial(classifier.fit, hidden=self.hidden),
            per_class=False,
            by_label=False,
            rng=rng,
            order_by=np.concatenate([first.max(axis=-1), np.sort(first[:, view.target_column])], axis=1),
        )
