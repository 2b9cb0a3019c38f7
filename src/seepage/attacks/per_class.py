"""A threshold for each class, learnt on reference models whose membership is known."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from jaxtyping import Bool, Float64

from seepage.attacks.base import Attack
from seepage.attacks.threshold import SONG, STATISTICS
from seepage.options import OneOf
from seepage.signals.view import View

# The paper's, without correctness: a threshold on 0 or 1 is no choice.
CLASSWISE = ("loss", "confidence", "entropy", "modified-entropy")


@dataclass(frozen=True)
class ClassThreshold(Attack):
    """s(x) = v(x) - t_y, where t_y maximises the balanced accuracy of "member if v >= t" over the references.

    v is the statistic of `GlobalThreshold` (mean over queries), on a scale without saturation: log-odds for
    "confidence", -log(statistic) for the three whose members are low. The decision s >= 0 does not depend on that
    scale, so it is that of the paper; the order of the scores away from 0, which the paper does not use, does.

    t_y lies half-way between two neighbouring values seen in the references. Of several equally good thresholds the
    highest is taken, which accuses the fewest. A class without any IN or without any OUT value takes the threshold
    over all classes together.

    Deviation from the paper: balanced accuracy instead of accuracy (a class's IN and OUT counts may differ), and
    all references together instead of one shadow model.
    """

    statistic: Annotated[str, OneOf(*CLASSWISE)] = "modified-entropy"

    needs: ClassVar[frozenset[str]] = frozenset({"labels", "in-references"})
    learns = True
    source = f"{SONG}, class-dependent thresholds"

    @property
    def title(self) -> str:
        return f"{STATISTICS[self.statistic].title}, per class"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        signal = STATISTICS[self.statistic].signal
        references = self._unsaturated(view.references(signal).mean(axis=2))
        scores = self._unsaturated(view.target(signal).mean(axis=1))
        overall = None
        for label in np.unique(view.labels):
            rows = view.labels == label
            inside, outside = _seen(references, view, rows)
            if inside.size and outside.size:
                threshold = best_threshold(inside, outside)
            else:
                if overall is None:
                    overall = best_threshold(*_seen(references, view, np.ones_like(rows)))
                threshold = overall
            scores[rows] -= threshold
        return scores

    def _unsaturated(self, statistic: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
        if STATISTICS[self.statistic].sign > 0:
            return statistic.copy()
        return -np.log(np.maximum(statistic, np.finfo(np.float64).tiny))


def best_threshold(members: Float64[np.ndarray, " members"], nonmembers: Float64[np.ndarray, " nonmembers"]) -> float:
    """The t with the highest balanced accuracy of "member if value >= t"; the highest such t.

    >>> best_threshold(np.array([2.0, 4.0, 5.0]), np.array([1.0, 2.0, 3.0]))
    3.5
    """
    values, index = np.unique(np.concatenate([members, nonmembers]), return_inverse=True)
    is_in = index[: members.size]
    hits = np.bincount(is_in, minlength=values.size) / members.size
    alarms = np.bincount(index[members.size :], minlength=values.size) / nonmembers.size
    advantage = np.cumsum((hits - alarms)[::-1])  # TPR - FPR when the k + 1 highest values count as members
    best = int(np.argmax(advantage >= advantage.max() - 1e-12))  # the sums' rounding must not break ties
    cut = values.size - 1 - best
    return float(values[cut] if cut == 0 else (values[cut - 1] + values[cut]) / 2)


def _seen(
    references: Float64[np.ndarray, "samples references"], view: View, rows: Bool[np.ndarray, " samples"]
) -> tuple[Float64[np.ndarray, " members"], Float64[np.ndarray, " nonmembers"]]:
    values = references[rows]
    return values[view.reference_in[rows]], values[view.reference_out[rows]]
