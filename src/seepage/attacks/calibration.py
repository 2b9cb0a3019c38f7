"""Difficulty calibration: how much easier the target finds a record than models that never saw it."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64

from seepage.attacks import references
from seepage.attacks.base import Attack
from seepage.signals.view import View


@dataclass(frozen=True)
class DifficultyCalibration(Attack):
    """s(x) = mean over queries of ( mean_out loss(x) - loss(x) ), over the references that x was out of.

    A record without OUT references takes the mean OUT loss over the records that have some. Deviations: the paper's
    references train on disjoint data, here they are the OUT references; its sign is turned, so that high is member.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels", "out-references"})
    title = "Difficulty calibration (loss)"
    source = "Watson et al. 2022 (arXiv 2111.08440), calibrated loss"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        difficulty = references.mean(view.references("loss"), view.reference_out)
        return (references.filled(difficulty) - view.target("loss")).mean(axis=1)
