"""LiRA over several signals at once: one Gaussian of a vector where LiRA has one of a number."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import log_ndtr

from seepage.attacks import references
from seepage.attacks.base import Attack
from seepage.attacks.lira import LEAST_DEVIATION, LOG_2_PI
from seepage.errors import InputError
from seepage.signals.functions import LABEL_FREE, row_blocks
from seepage.signals.view import View

# +1 where members have the higher signal; -log makes the others so, and spreads what would crowd at 0
SIGNS = {
    "scaled-logit": 1,
    "hinge": 1,
    "loss": -1,
    "entropy": -1,
    "modified-entropy": -1,
    "top-log-odds": 1,
    "top-gap": 1,
}
TINY = np.finfo(np.float64).tiny
STILL = 1e-12  # a signal that varies less than this part of its size over all references is constant


@dataclass(frozen=True)
class MultiSignalLiRA(Attack):
    """Gaussians fitted to each record's vector of d signals v over its IN and over its OUT references.

        online    s = mean_q [ log N(v; mu_in, S_in) - log N(v; mu_out, S_out) ]
        offline   s = mean_q log Phi( sum_j z_j / sqrt(sum_jk R_jk) ),   z_j = (v_j - mu_out,j) / sd_out,j

    with S = diag(sd) R diag(sd). Signals whose members are low enter as -log(signal), so that members are high in
    each. The offline score asks whether the signals together are higher than those of models without the record: their
    sum, each in its own deviations, is standard normal there once divided by its deviation, the root of the sum of R.
    Which weights would tell most cannot be known without IN references, so all are equal. With one signal that is
    not turned, both are those of `LiRA`.

    sd and mu are as in `LiRA` (same options). The correlations R are

        residual     those of v minus the record's centre, over all records, references and queries, IN and OUT apart
        per_sample   (n R_own + (d + 1) R_residual) / (n + d + 1), R_own over the record's n references

    and of either 1 % is taken off beside the diagonal, so that signals which repeat each other can be inverted. A
    signal that is the same in all references plays no part; an infinity counts as its signal's most extreme finite
    value.

    Options:
        mode: "online" uses IN and OUT references, "offline" only OUT ones.
        variance: "residual", one covariance for all records; "per_sample", for many references.
        centre: "median" over references, signal by signal, or "mean".
        signals: of scaled-logit, hinge, loss, entropy, modified-entropy, top-log-odds and top-gap. By default three of
            which none is a function of the others where there are more than two classes; the loss is one of the scaled
            logit. With none but entropy, top-log-odds and top-gap no label is looked at.

    Deviations: the published attack is for forecasting models and its signals; its covariance is each record's own.

    Reference: Johansson et al. 2025 (arXiv 2509.04169), multi-signal LiRA; Carlini et al. 2022 (arXiv 2112.03570),
    multivariate Gaussians over queries.
    """

    mode: Literal["online", "offline"] = "online"
    variance: Literal["residual", "per_sample"] = "residual"
    centre: Literal["median", "mean"] = "median"
    signals: tuple[str, ...] = ("scaled-logit", "hinge", "entropy")

    source = "Johansson et al. 2025 (arXiv 2509.04169), multi-signal LiRA, with signals of classifiers"

    def __post_init__(self):
        super().__post_init__()
        if not self.signals or len(set(self.signals)) < len(self.signals) or not set(self.signals) <= set(SIGNS):
            raise InputError(
                f"MultiSignalLiRA: signals must be different ones of {', '.join(SIGNS)}: got {', '.join(self.signals)}"
            )

    @property
    def title(self) -> str:
        return f"LiRA {self.mode}, {len(self.signals)} signals{', own covariances' * (self.variance == 'per_sample')}"

    @property
    def needs(self) -> frozenset[str]:
        label = set() if LABEL_FREE.issuperset(self.signals) else {"labels"}
        return frozenset(label | {"in-references" if self.mode == "online" else "out-references"})

    @property
    def least_references(self) -> int:
        return 2  # a deviation takes two

    def _score(self, view: View, *, rng: np.random.Generator) -> Float64[np.ndarray, " samples"]:
        used = view.reference_out | (view.reference_in & (self.mode == "online"))
        pairs = [_signal(view, name) for name in self.signals]
        pairs = [(target, others) for target, others in pairs if _varies(others, used)]
        if not pairs:
            return np.zeros(view.n_samples)
        target = np.stack([target for target, _ in pairs], axis=-1)
        signals = [others for _, others in pairs]
        z_out, deviation_out, correlation_out = self._gaussian(target, signals, view.reference_out, "OUT")
        if self.mode == "offline":
            together = z_out.sum(axis=-1) / np.sqrt(correlation_out.sum(axis=(-2, -1)))
            return log_ndtr(together).mean(axis=1)
        z_in, deviation_in, correlation_in = self._gaussian(target, signals, view.reference_in, "IN")
        log_in = _log_density(z_in, deviation_in, correlation_in)
        return (log_in - _log_density(z_out, deviation_out, correlation_out)).mean(axis=1)

    def _gaussian(
        self,
        target: Float64[np.ndarray, "samples queries signals"],
        signals: list[Float64[np.ndarray, "samples references queries"]],
        mask: Bool[np.ndarray, "samples references"],
        of: str,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """z of the target, standard deviations, and correlations (samples or 1, queries or 1, signals, signals)."""
        references.check_enough(mask, of, f"{self.title}: a standard deviation")
        centre_of = references.median if self.centre == "median" else references.mean
        centres = [references.filled(centre_of(values, mask)) for values in signals]
        if self.variance == "residual":
            deviations = [
                np.full(centre.shape, references.pooled_standard_deviation(values, mask, centre))
                for values, centre in zip(signals, centres, strict=True)
            ]
        else:
            deviations = [references.filled(references.standard_deviation(values, mask)) for values in signals]
        centre, deviation = np.stack(centres, axis=-1), np.stack(deviations, axis=-1) + LEAST_DEVIATION
        correlation = _pooled_correlation(signals, centres, mask)
        if self.variance == "per_sample":
            n = mask.sum(axis=1)[:, None, None, None]
            prior = len(signals) + 1
            correlation = (n * _own_correlation(signals, mask) + prior * correlation) / (n + prior)
        return (target - centre) / deviation, deviation, _invertible(correlation)


def _signal(view: View, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A signal of the target and of the references with members high and infinities bounded."""
    target, others = view.target(name), view.references(name)
    if SIGNS[name] < 0:
        target, others = (-np.log(np.maximum(values, TINY)) for values in (target, others))
    if np.isfinite(target).all() and np.isfinite(others).all():
        return target, others
    finite = np.concatenate([values[np.isfinite(values)] for values in (target, others)])
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    return np.clip(target, low, high), np.clip(others, low, high)


def _varies(values: np.ndarray, used: Bool[np.ndarray, "samples references"]) -> bool:
    """Whether the references of one record at least answer differently."""
    low = np.where(used[..., None], values, np.inf).min(axis=1)
    high = np.where(used[..., None], values, -np.inf).max(axis=1)
    return bool((high - low > STILL * np.maximum(np.abs(low), np.abs(high))).any())


def _pooled_correlation(
    signals: list[np.ndarray], centres: list[np.ndarray], mask: np.ndarray
) -> Float64[np.ndarray, "1 1 signals signals"]:
    """Correlation of the residuals over all records, references and queries."""
    d = len(signals)
    n_values = int(mask.sum()) * signals[0].shape[2]
    first, second = np.zeros(d), np.zeros((d, d))
    for rows in row_blocks(len(mask), signals[0][0].size * d):
        residuals = np.stack([v[rows] - c[rows, None] for v, c in zip(signals, centres, strict=True)], axis=-1)
        residuals = residuals[mask[rows]].reshape(-1, d)
        first += residuals.sum(axis=0)
        second += residuals.T @ residuals
    return _scaled(second / n_values - np.outer(first, first) / n_values**2)[None, None]


def _own_correlation(signals: list[np.ndarray], mask: np.ndarray) -> Float64[np.ndarray, "samples queries d d"]:
    """Correlation over each record's references; of no reference, none."""
    means = [references.mean(values, mask) for values in signals]
    d = len(signals)
    covariance = np.empty((*means[0].shape, d, d))
    for rows in row_blocks(len(mask), signals[0][0].size * d):
        residuals = np.stack([v[rows] - m[rows, None] for v, m in zip(signals, means, strict=True)], axis=-1)
        residuals = np.where(mask[rows, :, None, None], residuals, 0.0)
        covariance[rows] = np.einsum("srqj,srqk->sqjk", residuals, residuals)
    return _scaled(covariance)


def _scaled(covariance: Float64[np.ndarray, "*records d d"]) -> Float64[np.ndarray, "*records d d"]:
    """Covariance to correlation; signals without variance correlate with nothing."""
    variance = np.diagonal(covariance, axis1=-2, axis2=-1)
    scale = np.where(variance > 0, 1 / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)
    correlation = covariance * scale[..., None, :] * scale[..., :, None]
    return np.where(np.eye(covariance.shape[-1], dtype=bool), 1.0, correlation)


def _invertible(correlation: Float64[np.ndarray, "*records d d"]) -> Float64[np.ndarray, "*records d d"]:
    return np.where(np.eye(correlation.shape[-1], dtype=bool), correlation, 0.99 * correlation)


def _log_density(
    z: Float64[np.ndarray, "samples queries signals"],
    deviation: Float64[np.ndarray, "samples queries signals"],
    correlation: Float64[np.ndarray, "*records signals signals"],
) -> Float64[np.ndarray, "samples queries"]:
    """log N(v; mu, S) with z = (v - mu) / sd and S = diag(sd) R diag(sd)."""
    squares = (z[..., None, :] @ np.linalg.inv(correlation) @ z[..., :, None])[..., 0, 0]
    log_volume = np.log(deviation).sum(axis=-1) + 0.5 * np.linalg.slogdet(correlation)[1]
    return -0.5 * (squares + z.shape[-1] * LOG_2_PI) - log_volume
