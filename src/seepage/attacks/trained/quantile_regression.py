"""How high a record's score would be without membership, learnt from records of which none is a member."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt
from jaxtyping import Float64

from seepage.attacks.base import Attack
from seepage.errors import InputError
from seepage.options import OneOf
from seepage.signals.view import View

SIGNALS = ("hinge", "scaled-logit")
HIGHEST = 1e-4  # the highest quantile asked for is that of 1 - 1e-4, as in the source, or 1 - 1/(n + 1)
LOWEST = 0.95  # and the lowest that of 1 - 0.95
STILL = 1e-9  # scores whose deviation is this small a part of their size are taken as alike
LEAST_CALIBRATED = 4


@dataclass(frozen=True)
class QuantileRegression(Attack):
    """A record's score s against what a regressor q, trained on the population alone, expects of such a record.

        head "gaussian":  (s - mu(x)) / sigma(x)
        head "pinball":   u(s; q_1(x) <= ... <= q_K(x)), the -log(1 - tau) of the highest quantile below s

    Between two quantiles u is interpolated, beyond them it goes on with s over the deviation of all scores, so that
    equal scores come of equal evidence only. s is the mean over queries; no reference model is needed.

    Options:
        head: what is learnt: mean and deviation, or K quantiles.
        signal: what is compared, "hinge" or "scaled-logit".
        regressor: "network", "trees" (flat records), or "auto": trees for flat records, else a network.
        label: whether q is told the label beside the record.
        n_taus: K; the highest is 1 - 1e-4, or 1 - 1/(n + 1) for a population of n < 10,000.
        calibrate: a quarter of the population is not trained on and gives conformal p-values: among non-members like
            the population a score of -log(alpha) or more has a probability of alpha at most. The order of the scores
            is that of a regressor trained on the rest.
        epochs, lr, weight_decay, batch_size: of a network, at most, with AdamW.
        iterations: of boosting.

    Deviations: small networks from random weights instead of a pretrained ConvNeXt, hence a higher learning rate; trees
    of scikit-learn (one fit a quantile, two for mean and deviation) instead of CatBoost without a search for options;
    quantiles that cross are sorted; log sigma is bounded; fewer than 20 records, or scores that are all alike, give a
    regressor that ignores the record.

    Reference: Bertran et al. 2023 (arXiv 2307.03694).
    """

    head: Literal["gaussian", "pinball"] = "gaussian"
    signal: Annotated[str, OneOf(*SIGNALS)] = "hinge"
    regressor: Literal["auto", "network", "trees"] = "auto"
    label: bool = False
    n_taus: Annotated[int, Ge(2)] = 41
    calibrate: bool = False
    epochs: Annotated[int, Ge(0)] = 60
    lr: Annotated[float, Gt(0)] = 3e-3
    weight_decay: Annotated[float, Ge(0)] = 1e-4
    batch_size: Annotated[int, Ge(1)] = 16
    iterations: Annotated[int, Ge(1)] = 100

    needs: ClassVar[frozenset[str]] = frozenset({"labels", "population", "records"})
    source = "Bertran et al. 2023 (arXiv 2307.03694)"

    @property
    def title(self) -> str:
        return f"Quantile regression, {self.head}"

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        from seepage.attacks.trained import population

        s = view.target(self.signal).mean(axis=1)
        known, held = population.in_order(view, view.population), np.empty(0, dtype=np.int64)
        if self.calibrate and len(known) < LEAST_CALIBRATED:
            raise InputError(
                f"QuantileRegression: calibrate=True needs a population of {LEAST_CALIBRATED} or more: got {len(known)}"
            )
        if self.calibrate:
            shuffled = rng.permutation(known)
            held, known = shuffled[: len(known) // 4], shuffled[len(known) // 4 :]
        audited = population.in_order(view, view.audited)
        scores = np.full(view.n_samples, np.nan)
        values = self._against(view, s, known, np.concatenate([audited, held]), rng)
        scores[audited] = values[: len(audited)]
        if self.calibrate:
            scores[audited] = conformal(values[: len(audited)], values[len(audited) :])
        return scores

    def _against(self, view: View, s: np.ndarray, known: np.ndarray, rows: np.ndarray, rng: np.random.Generator):
        """The head's score of `rows`, by what s is on the known ones."""
        from seepage.attacks.trained import regression

        finite = s[known][np.isfinite(s[known])]
        if finite.size == 0 or finite.std() <= STILL * np.abs(finite).max():
            return s[rows] - finite.mean() if finite.size else s[rows].copy()
        centre, spread = finite.mean(), finite.std()
        learnt = (np.clip(s[known], finite.min(), finite.max()) - centre) / spread
        values = (s[rows] - centre) / spread
        taus = 1.0 - np.geomspace(LOWEST, max(HIGHEST, 1.0 / (len(known) + 1)), self.n_taus)
        answers = regression.of_records(
            view, known, learnt, rows, taus=None if self.head == "gaussian" else taus, options=self, rng=rng
        )
        if self.head == "gaussian":
            return (values - answers[:, 0]) / np.exp(np.clip(answers[:, 1], *regression.LOG_DEVIATIONS))
        return exceedance(values, np.sort(answers, axis=1), taus)


def exceedance(
    s: Float64[np.ndarray, " rows"], quantiles: Float64[np.ndarray, "rows taus"], taus: Float64[np.ndarray, " taus"]
) -> Float64[np.ndarray, " rows"]:
    """-log(1 - tau) of the highest quantile that is not above s, interpolated; beyond the quantiles it goes on with s.

    Args:
        s: (rows,).
        quantiles: (rows, taus), ascending in each row.
        taus: (taus,), ascending, in (0, 1).

    >>> taus = np.array([0.5, 0.75])
    >>> (exceedance(np.array([0.0, 1.0, 2.0, 3.0]), np.array([[0.0, 2.0]] * 4), taus) / np.log(2)).round(6).tolist()
    [1.0, 1.5, 2.0, 3.442695]
    """
    level, each, n = -np.log1p(-taus), np.arange(len(s)), len(taus)
    below = (quantiles <= s[:, None]).sum(axis=1)
    low, high = quantiles[each, np.maximum(below - 1, 0)], quantiles[each, np.minimum(below, n - 1)]
    inside = (below > 0) & (below < n)
    share = np.divide(s - low, high - low, out=np.zeros(len(s)), where=inside)
    between = level[np.maximum(below - 1, 0)] + share * (
        level[np.minimum(below, n - 1)] - level[np.maximum(below - 1, 0)]
    )
    beyond = np.where(below == 0, level[0] + (s - quantiles[:, 0]), level[-1] + (s - quantiles[:, -1]))
    return np.where(inside, between, beyond)


def conformal(values: Float64[np.ndarray, " rows"], held: Float64[np.ndarray, " held"]) -> Float64[np.ndarray, " rows"]:
    """-log of a p-value of each value among held-out ones, in the order of the values and without ties.

    The p-value (1 + number of held-out values that are as high) / (1 + number held out) falls in steps; between two of
    them the next higher one is approached, so that what is given is never below it.

    Reference: Vovk et al. (2005), Algorithmic Learning in a Random World, inductive conformal prediction.
    """
    known = np.sort(held)
    n = len(known)
    spread = max(float(known[-1] - known[0]), np.finfo(np.float64).tiny)
    steps = -np.log((n - np.arange(n) + 1.0) / (n + 1.0))  # at the k-th value, as seen from just above it
    between = np.interp(values, known, steps)
    above = np.maximum(values - known[-1], 0.0) / spread
    last = -np.log((1.0 + 1.0 / (1.0 + above)) / (n + 1.0))
    return np.where(values > known[-1], last, np.where(values < known[0], (values - known[0]) / spread, between))
