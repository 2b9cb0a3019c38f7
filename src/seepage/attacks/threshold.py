"""One threshold for all records on a statistic of the target's output: no reference models."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Float64

from seepage.attacks.base import Attack
from seepage.models.access import Access
from seepage.options import OneOf
from seepage.signals.view import View

YEOM = "Yeom et al. 2018 (arXiv 1709.01604)"
SALEM = "Salem et al. 2019 (arXiv 1806.01246)"
SONG = "Song & Mittal 2021 (arXiv 2003.10595)"


class Statistic(NamedTuple):
    title: str
    signal: str
    sign: int  # +1 where members have the higher signal
    access: Access
    source: str
    asks_once: bool = False
    by_label: bool = True  # whether the records' labels play a part


STATISTICS = {
    "loss": Statistic("Loss", "loss", -1, Access.PROBABILITIES, f"{YEOM}, adversary with a threshold on the loss"),
    "confidence": Statistic("Confidence", "scaled-logit", 1, Access.PROBABILITIES, f"{SONG}, attack on confidence"),
    "entropy": Statistic("Entropy", "entropy", -1, Access.PROBABILITIES, f"{SONG}, attack on entropy", by_label=False),
    "max-probability": Statistic(
        "Maximum probability",
        "top-log-odds",
        1,
        Access.PROBABILITIES,
        f"{SALEM}, adversary 3 with the maximum",
        by_label=False,
    ),
    "modified-entropy": Statistic(
        "Modified entropy", "modified-entropy", -1, Access.PROBABILITIES, f"{SONG}, attack on modified entropy"
    ),
    "correctness": Statistic(
        "Correctness (gap)", "correct", 1, Access.LABEL, f"{YEOM}, adversary for the zero-one loss", asks_once=True
    ),
}


@dataclass(frozen=True)
class GlobalThreshold(Attack):
    """s(x) = mean over queries of the statistic, with the sign that makes members high.

        loss              s = -loss
        confidence        s = log(p_y / (1 - p_y))
        entropy           s = -H(p)                      no label is looked at
        max-probability   s = log(p_m / (1 - p_m)),  m the most probable class; no label is looked at
        modified-entropy  s = -Mentr(p, y)
        correctness       s = 1[argmax p = y]    of the record as it is; of all queries it is the attack `augmentation`

    Confidence and maximum probability are compared as log-odds, the same order as p without its saturation at 1; for
    one query the former is also the order of the loss. It is the "global threshold" of the LiRA code (s = mean phi),
    for which its README gives AUC 0.5921 and TPR 0.09 % at 0.1 % FPR on CIFAR-10.
    """

    statistic: Annotated[str, OneOf(*STATISTICS)] = "loss"

    @property
    def title(self) -> str:
        return STATISTICS[self.statistic].title

    @property
    def access(self) -> Access:
        return STATISTICS[self.statistic].access

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({"labels"} if STATISTICS[self.statistic].by_label else ())

    @property
    def source(self) -> str:
        return STATISTICS[self.statistic].source

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        statistic = STATISTICS[self.statistic]
        values = view.target(statistic.signal)
        return statistic.sign * (values[:, 0] if statistic.asks_once else values.mean(axis=1))
