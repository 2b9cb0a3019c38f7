"""A Gaussian over the last layer's weights: a model that is less sure far from its training data."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32, Float64, Int
from scipy.special import log_softmax, logsumexp

from seepage.errors import InputError
from seepage.metrics.calibration import negative_log_likelihood
from seepage.models.outputs import labels_from
from seepage.randomness import Seed, generator

GRID = np.logspace(0, 3, 100)
BLOCK_VALUES = 1 << 22  # sampled logits held at once: 32 MB


@dataclass(frozen=True, eq=False)
class LastLayerLaplace:
    """Last-layer Laplace approximation with Kronecker-factored curvature.

    With features f_i (d), probabilities p_i = softmax(W f_i + b) (k) and N training records,

        A = mean_i f_i f_i^T,   H = mean_i (diag(p_i) - p_i p_i^T),   t = 1 / prior variance,
        V = sqrt(N) A + sqrt(t) I,   U = sqrt(N) H + sqrt(t) I,   B = N H + t I,

    the logits of a record with features f are, a posteriori, Gaussian:

        z ~ N(W f + b, (f^T V^-1 f) U^-1 + B^-1)

    and its probabilities are the mean of softmax(z). As f grows, so does the spread, in step with the mean: the
    confidence stays below 1, where that of the point estimate tends to 1. As t grows the spread vanishes.

    Make one with `fit`, change the prior with `with_prior`.

    Attributes:
        weight: W, (k, d).
        bias: b, (k,).
        features: eigenvalues (d,) and eigenvectors (d, d) of A.
        outputs: eigenvalues (k,) and eigenvectors (k, k) of H.
        n_records: N.
        prior_variance: 1 / t.

    Reference: Kristiadi, Hein and Hennig (2020), Being Bayesian, even just a bit, fixes overconfidence in ReLU
        networks, theorem 2.4 and section 4; Ritter, Botev and Barber (2018), A scalable Laplace approximation, section
        3. Deviations from the code of Hintersdorf et al. (2022), which adapts that of Kristiadi et al.: A and H are
        plain means over all training records, where the code keeps a running average over minibatches in which the
        last ones weigh most; H is the exact expectation over labels (the generalised Gauss-Newton matrix), where
        BackPACK's K-FAC draws labels; and the draws of z are shared by all records, so that a record's score does not
        depend on which others are asked with it.
    """

    weight: Float64[np.ndarray, "classes features"]
    bias: Float64[np.ndarray, " classes"]
    features: tuple[Float64[np.ndarray, " features"], Float64[np.ndarray, "features features"]]
    outputs: tuple[Float64[np.ndarray, " classes"], Float64[np.ndarray, "classes classes"]]
    n_records: int
    prior_variance: float

    @classmethod
    def fit(
        cls,
        features: Float32[np.ndarray, "samples features"],
        weight: Float[np.ndarray, "classes features"],
        bias: Float[np.ndarray, " classes"],
        *,
        prior_variance: float = 1.0,
    ) -> LastLayerLaplace:
        """The posterior around trained weights.

        The curvature does not depend on the labels, so that none are asked for.

        Args:
            features: what the last layer is given for the training records (`TargetModel.features`).
            weight, bias: of the last layer.
            prior_variance: of every weight, larger = less sure; see `choose_prior`.

        Raises:
            InputError: shapes do not match, a number is not finite, or the variance is not positive.
        """
        weight, bias = np.asarray(weight, np.float64), np.asarray(bias, np.float64)
        finite = np.isfinite(weight).all() and np.isfinite(bias).all()
        if weight.ndim != 2 or bias.shape != (len(weight),) or not finite:
            raise InputError(
                f"expected a finite weight (classes, features) and bias (classes,), got {weight.shape}, {bias.shape}"
            )
        phi = _features(features, weight.shape[1])
        p = np.exp(log_softmax(phi @ weight.T + bias, axis=1))
        second = phi.T @ phi / len(phi)
        curvature = np.diag(p.mean(axis=0)) - p.T @ p / len(phi)
        return cls(weight, bias, _spectrum(second), _spectrum(curvature), len(phi), _checked_variance(prior_variance))

    def with_prior(self, prior_variance: float) -> LastLayerLaplace:
        """The same curvature under another prior."""
        return replace(self, prior_variance=_checked_variance(prior_variance))

    def log_probabilities(
        self, features: Float32[np.ndarray, "records features"], *, samples: int = 100, rng: Seed
    ) -> Float64[np.ndarray, "records classes"]:
        """log of the mean over draws of softmax(z), summed in logarithms so that nothing saturates.

        Args:
            features: of the records asked about.
            samples: draws of z.
            rng: their source.

        Raises:
            InputError: the features are not finite or of another width, or there are no samples.
        """
        rng = generator(rng)
        phi = _features(features, self.weight.shape[1])
        if samples < 1:
            raise InputError(f"expected at least one sample, got {samples}")
        mean = phi @ self.weight.T + self.bias
        spread, of_weight, of_bias = self._spreads(phi)
        k = len(self.bias)
        weight_draws = rng.standard_normal((samples, k)) @ of_weight.T
        bias_draws = rng.standard_normal((samples, k)) @ of_bias.T
        log_p = np.empty_like(mean)
        step = max(1, BLOCK_VALUES // (samples * k))
        for start in range(0, len(phi), step):
            part = slice(start, start + step)
            z = mean[part, None] + spread[part, None, None] * weight_draws + bias_draws
            log_p[part] = logsumexp(log_softmax(z, axis=2), axis=1) - math.log(samples)
        return log_p

    def probabilities(
        self, features: Float32[np.ndarray, "records features"], *, samples: int = 100, rng: Seed
    ) -> Float64[np.ndarray, "records classes"]:
        """Mean over draws of softmax(z); see `log_probabilities`."""
        rng = generator(rng)
        return np.exp(self.log_probabilities(features, samples=samples, rng=rng))

    def log_odds(
        self, features: Float32[np.ndarray, "records features"], *, samples: int = 100, rng: Seed
    ) -> Float64[np.ndarray, "records classes"]:
        """log p_c - log sum_{j != c} p_j, which tells apart what is equal to 1 as a probability."""
        rng = generator(rng)
        log_p = self.log_probabilities(features, samples=samples, rng=rng)
        others = [logsumexp(np.delete(log_p, c, axis=1), axis=1) for c in range(log_p.shape[1])]
        return log_p - np.stack(others, axis=1)

    def _spreads(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """sqrt(f^T V^-1 f) a record, and square roots of U^-1 and B^-1."""
        t, n = 1 / self.prior_variance, self.n_records
        (of_a, a_vectors), (of_h, h_vectors) = self.features, self.outputs
        v = math.sqrt(n) * of_a + math.sqrt(t)
        spread = np.sqrt(((phi @ a_vectors) ** 2 / v).sum(axis=1))
        u, b = math.sqrt(n) * of_h + math.sqrt(t), n * of_h + t
        return spread, h_vectors / np.sqrt(u), h_vectors / np.sqrt(b)


def choose_prior(
    posterior: LastLayerLaplace,
    validation_features: Float32[np.ndarray, "records features"],
    validation_labels: Int[np.ndarray, " records"],
    noise_features: Float32[np.ndarray, "noise features"],
    *,
    grid: Float64[np.ndarray, " variances"] = GRID,
    samples: int = 10,
    rng: Seed,
) -> float:
    """The prior variance that explains held-out records and is unsure of noise.

    argmin over the grid of NLL(validation) + mean over noise of mean_c(-log p_c) / 4

    Args:
        posterior: under any prior.
        validation_features, validation_labels: of records that the model was not trained on *and* that no attack is
            judged on.
        noise_features: of `noise_like` records, as the model sees them.
        grid: variances to try.
        samples: draws of the logits for each, the same ones for all variances.
        rng: their source.

    Raises:
        InputError: see `LastLayerLaplace.log_probabilities`; or labels do not fit.

    Reference: Kristiadi et al. (2020), section 4; Hintersdorf et al. (2022), whose code validates on the very
        non-members that are then attacked. Deviations: other records, and uniform noise.
    """
    rng = generator(rng)
    labels = labels_from(validation_labels, n_classes=len(posterior.bias))
    if not len(grid):
        raise InputError("expected at least one prior variance to try, got an empty grid")
    seed = int(rng.integers(2**62))

    def loss(variance: float) -> float:
        tried, draws = posterior.with_prior(variance), np.random.default_rng(seed)
        of_validation = tried.log_probabilities(validation_features, samples=samples, rng=draws)
        of_noise = tried.log_probabilities(noise_features, samples=samples, rng=draws)
        return negative_log_likelihood(of_validation, labels).value - of_noise.mean() / 4

    return float(min(grid, key=loss))


def noise_like(records: Float32[np.ndarray, "records ..."], n: int, *, rng: Seed) -> Float32[np.ndarray, "noise ..."]:
    """`n` records of independent uniform noise between the least and the largest value of `records`."""
    rng = generator(rng)
    records = np.asarray(records)
    if n < 1 or not records.size:
        raise InputError(f"expected records and a positive number of noise records, got {records.shape} and {n}")
    return rng.uniform(records.min(), records.max(), size=(n, *records.shape[1:])).astype(np.float32)


def _spectrum(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(matrix)
    return np.maximum(values, 0.0), vectors  # rounding makes a zero eigenvalue slightly negative


def _features(features: np.ndarray, width: int) -> np.ndarray:
    phi = np.asarray(features, dtype=np.float64)
    if phi.ndim != 2 or not len(phi) or phi.shape[1] != width:
        raise InputError(f"expected features of shape (records, {width}), got {phi.shape}")
    if not np.isfinite(phi).all():
        raise InputError(f"the features of record {int((~np.isfinite(phi)).any(axis=1).argmax())} are not finite")
    return phi


def _checked_variance(variance: float) -> float:
    if not (math.isfinite(variance) and variance > 0):
        raise InputError(f"a prior variance is a positive number, got {variance}")
    return float(variance)
