"""Attack-P and Attack-R: where the target's loss lies among the losses of known non-members."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float64, Int64

from seepage.attacks import references
from seepage.attacks.base import Attack
from seepage.signals.functions import row_blocks
from seepage.signals.view import View

YE = "Ye et al. 2022 (arXiv 2111.09679)"
LARGEST_LOSS = 1000.0  # the upper end of Attack-R's empirical distribution, as in the RMIA code


@dataclass(frozen=True)
class AttackP(Attack):
    """s(x) = -Pr_{z ~ population}[ loss(z) < loss(x) ] under the target; mean over queries.

    For one query it orders records as the loss does, in as many steps as the population has records; what it adds is
    that -s is a false-positive rate.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels", "population"})
    title = "Attack-P (population)"
    source = f"{YE}, attack P"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        loss = view.target("loss")
        population = np.sort(loss[view.population], axis=0)
        lower = np.stack([np.searchsorted(z, x, side="left") for z, x in zip(population.T, loss.T, strict=True)])
        return -lower.mean(axis=0) / len(population)


@dataclass(frozen=True)
class AttackR(Attack):
    """s(x) = -F_x(loss(x)), F_x the record's own distribution of losses over the references it was out of.

    F_x is linear between the sorted points (0, l_1, ..., l_k, 1000), which have the levels 0, 1/(k+1), ..., 1; mean
    over queries. At a loss that several points share it takes the highest of their levels. -s is the attack's
    false-positive rate. A record without OUT references scores -1/2.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"labels", "out-references"})
    title = "Attack-R (reference quantile)"
    source = f"{YE}, attack R; interpolated as in the code of Zarifzadeh et al. 2024 (arXiv 2312.03262)"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        target, losses, mask = view.target("loss"), view.references("loss"), view.reference_out
        n_out = mask.sum(axis=1)
        levels = np.empty(target.shape)
        for rows in row_blocks(len(losses), losses.shape[1] * losses.shape[2]):
            points = references.ordered_within(losses[rows], mask[rows])
            levels[rows] = _levels(target[rows], points, n_out[rows])
        return np.where(n_out > 0, -levels.mean(axis=1), -0.5)


def _levels(
    loss: Float64[np.ndarray, "samples queries"],
    ordered: Float64[np.ndarray, "samples queries references"],
    n_out: Int64[np.ndarray, " samples"],
) -> Float64[np.ndarray, "samples queries"]:
    """F_x(loss): the points at or below the loss, plus how far it is to the next one, in steps of 1 / (k + 1)."""
    loss = loss[..., None]
    ends = np.zeros_like(loss), np.full_like(loss, LARGEST_LOSS)
    # what the mask left out is +inf and joins the upper end
    points = np.concatenate([ends[0], np.minimum(ordered, LARGEST_LOSS), ends[1]], axis=-1)
    inside = np.minimum(loss, np.nextafter(LARGEST_LOSS, 0.0))
    below = (points <= inside).sum(axis=-1, keepdims=True) - 1
    low = np.take_along_axis(points, below, axis=-1)
    high = np.take_along_axis(points, below + 1, axis=-1)
    steps = below + (inside - low) / (high - low)
    return np.where(loss < LARGEST_LOSS, steps / (n_out[:, None, None] + 1), 1.0)[..., 0]
