"""SimpleShot: a record belongs to the side whose support it lies nearer to."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64

from seepage.attacks.few_shot.support import (
    JIMENEZ,
    Episodes,
    Parts,
    VectorLearner,
    reference_points,
    select,
    squared_distances,
)
from seepage.signals.view import View

TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class SimpleShot(VectorLearner):
    """s(x) = |z(x) - m_out|^2 - |z(x) - m_in|^2,   m_c the mean of z over the support of side c.

    z is the record's vector, off the mean and at length 1 (CL2N); see `VectorLearner`. s is the log-odds of the soft
    nearest-mean rule P(IN|x) = exp(-|z - m_in|^2) / sum_c exp(-|z - m_c|^2). With `rule="neighbours"`

        s(x) = (sum over IN of 1 / d  -  sum over OUT of 1 / d) / (sum of 1 / d),   d = |z(x) - r|^2,

    over the k reference points r nearest to x among the support and, from two shots, its two means. That is
    2 P(IN|x) - 1 of the first author's code; k is odd, at most half of the reference points, and chosen on the
    validation records. With k = 1 there are two scores, 1 and -1.

    The mean that is taken off is that of the support, the validation records and the queries: what the attacker
    holds. Nothing else is learned from the queries.

    Options: those of `VectorLearner`, and
        rule: "mean", "neighbours", or None: "neighbours" where mode is official.

    Defects of the first author's code, all of them in mode="official": the support is normalised and then used as it
    was (`transform="queries"`); the mean that is taken off is that of the target's training set, which an attacker
    does not have, so that here it is that of the known members; of equally good k the largest wins.

    Deviations: corrected is SimpleShot as published, with the attacker's mean for that of the base classes; the
    outputs' form and its order of classes are ours, the source's on language models is mode="official" (it has the
    logits of all positions and takes off no mean: `transform="none"`).

    Reference: Jimenez-Lopez et al. 2025 (arXiv 2503.09365) and the first author's code
    (github.com/xehartnort/few-shot-mia); Wang et al. 2019 (arXiv 1911.04623), section 3.
    """

    rule: Literal["mean", "neighbours"] | None = None

    source = f"{JIMENEZ} with SimpleShot of Wang et al. 2019 (arXiv 1911.04623)"

    @property
    def title(self) -> str:
        return self._titled("SimpleShot", *self._remarks, *(() if self.rule is None else (self.rule,)))

    def score_episodes(
        self, view: View, rows: Episodes, *, rng: np.random.Generator
    ) -> Float64[np.ndarray, "episodes queries"]:
        parts = self.parts(view, rows, official="queries")
        if self.rule == "mean" or (self.rule is None and self.mode == "corrected"):
            squares = squared_distances(parts.queries, parts.support.mean(axis=2))
            return squares[..., 0] - squares[..., 1]
        return self._by_neighbours(parts)

    def _by_neighbours(self, parts: Parts) -> Float64[np.ndarray, "episodes queries"]:
        points, inside = reference_points(parts.support)
        n, _, n_validation, dims = parts.validation.shape
        validation = squared_distances(parts.validation.reshape(n, -1, dims), points)
        shares = _balances(validation, inside).reshape(-1, n, 2, n_validation)
        best = select(shares, self.mode)
        return _balances(squared_distances(parts.queries, points), inside)[best, np.arange(n)]


def _balances(
    squares: Float64[np.ndarray, "episodes queries points"], inside: Bool[np.ndarray, " points"]
) -> Float64[np.ndarray, "options episodes queries"]:
    """P(IN) - P(OUT) by the 1, 3, 5, ... nearest points, up to half of them."""
    order = squares.argsort(axis=-1, kind="stable")
    ordered = np.take_along_axis(squares, order, axis=-1)
    # in units of the nearest one's weight, so that nothing overflows at a distance of 0
    weights = np.maximum(ordered[..., :1], TINY) / np.maximum(ordered, TINY)
    signed = np.where(inside[order], weights, -weights)
    balances = signed.cumsum(axis=-1) / weights.cumsum(axis=-1)
    return np.moveaxis(balances[..., : len(inside) // 2 : 2], -1, 0)
