"""A Gaussian over the last layer's weights: a model that is less sure far from its training data."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from annotated_types import Ge, Gt
from jaxtyping import Float, Float32, Float64, Int, Int64
from scipy.special import log_softmax, logsumexp
from torch import Tensor, nn

from seepage.defences.answers import BATCH, AnswerDefence
from seepage.errors import InputError
from seepage.metrics.calibration import negative_log_likelihood
from seepage.models.held_out import HeldOut
from seepage.models.outputs import labels_from
from seepage.models.records import Records
from seepage.models.wrapper import Wrapped
from seepage.randomness import Seed, generator

GRID = np.logspace(0, 3, 100)
BLOCK_VALUES = 1 << 22  # sampled logits held at once: 32 MB
LEAST_RECORDS = 20
MOST_FOR_PRIOR = 1000  # validation records; each variance of the grid is tried on all of them


@dataclass(frozen=True)
class Laplace(AnswerDefence):
    """Last-layer Laplace approximation: the answer is the mean over draws of the last layer's weights.

        o = log (1 / S) sum_s softmax(z_s),    z_s as in `LastLayerLaplace`

    The draws are fixed when a model is wrapped, so that a record is answered alike whenever it is asked.

    Options:
        prior_variance: of every weight, larger = less sure; None: chosen on the validation records and on noise, for
            each model its own (`choose_prior`).
        samples: S.

    Reference: Kristiadi, Hein and Hennig 2020 (arXiv 2002.10118), section 4; against membership inference Hintersdorf,
        Struppek and Kersting 2022 (arXiv 2111.09076). Deviations: see `LastLayerLaplace`.
    """

    prior_variance: Annotated[float, Gt(0)] | None = None
    samples: Annotated[int, Ge(1)] = 100

    grid: ClassVar[tuple[dict[str, Any], ...]] = (
        {"prior_variance": 1000.0},
        {"prior_variance": 100.0},
        {"prior_variance": 10.0},
        {"prior_variance": None},
    )
    title = "Last-layer Laplace"
    source = "Kristiadi et al. 2020 (arXiv 2002.10118), section 4; Hintersdorf et al. 2022 (arXiv 2111.09076)"

    @property
    def uses(self) -> frozenset[str]:
        return frozenset() if self.prior_variance is not None else frozenset({"validation"})

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            "It makes a model less sure of records that are unlike its training data. Members are no harder to tell "
            "from other records of the same kind.",
        )

    def around(self, module: nn.Module, input_shape: tuple[int, ...], n_classes: int) -> LaplaceWrapped:
        return LaplaceWrapped(module, n_classes, self.samples)

    def _fit(
        self, wrapped: LaplaceWrapped, records: Records, members: np.ndarray, held_out: HeldOut, *, seed: int
    ) -> None:
        rng = generator(seed)
        weight, bias = (p.detach().cpu().numpy() for p in (wrapped.last.weight, wrapped.bias_of_last()))
        phi = wrapped.features_of_rows(records, members)
        posterior = LastLayerLaplace.fit(phi, weight, bias, prior_variance=self.prior_variance or 1.0)
        if self.prior_variance is None:
            rows = held_out.need("validation", LEAST_RECORDS, "a fitted prior variance")[:MOST_FOR_PRIOR]
            labels = records.labels[torch.as_tensor(rows, device=records.labels.device)].cpu().numpy()
            noise = wrapped.features_of(_noise(records, members, len(rows), rng))
            variance = choose_prior(posterior, wrapped.features_of_rows(records, rows), labels, noise, rng=rng)
            posterior = posterior.with_prior(variance)
        wrapped.take(posterior, rng)


class LaplaceWrapped(Wrapped):
    """A module behind `Laplace`."""

    def __init__(self, module: nn.Module, n_classes: int, samples: int):
        super().__init__(module)
        layers = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]
        layers = [name for name in layers if module.get_submodule(name).out_features == n_classes]
        if not layers:
            raise InputError(
                f"laplace: expected a model whose last layer is an nn.Linear with {n_classes} outputs, got a "
                f"{type(module).__name__} without one: choose another defence"
            )
        self._name = layers[-1]
        width = self.last.in_features
        for name, shape in (("axes", (width, width)), ("v", (width,))):
            self.register_buffer(name, torch.ones(shape, dtype=torch.float64))
        for name in ("weight_draws", "bias_draws"):
            self.register_buffer(name, torch.zeros((samples, n_classes), dtype=torch.float64))
        self.register_buffer("prior_variance", torch.tensor(1.0, dtype=torch.float64))

    @property
    def last(self) -> nn.Linear:
        return self.module.get_submodule(self._name)

    def bias_of_last(self) -> Tensor:
        bias = self.last.bias
        return self.last.weight.new_zeros(self.last.out_features) if bias is None else bias

    def take(self, posterior: LastLayerLaplace, rng: np.random.Generator) -> None:
        """Keep what the answers need of a posterior, and draw the weights."""
        of_weight, of_bias = posterior.draws(len(self.weight_draws), rng=rng)
        kept = {
            "axes": posterior.features[1],
            "v": posterior.v,
            "weight_draws": of_weight,
            "bias_draws": of_bias,
            "prior_variance": posterior.prior_variance,
        }
        for name, values in kept.items():
            getattr(self, name).copy_(torch.as_tensor(np.asarray(values)))

    def forward(self, x: Tensor) -> Tensor:
        phi = self._through(x)[0].double()
        mean = phi @ self.last.weight.double().T + self.bias_of_last().double()
        spread = ((phi @ self.axes) ** 2 / self.v).sum(1).sqrt()
        z = mean[:, None] + spread[:, None, None] * self.weight_draws + self.bias_draws
        return (z.log_softmax(2).logsumexp(1) - math.log(len(self.weight_draws))).float()

    @torch.no_grad()
    def features_of(self, inputs: Float[Tensor, "records ..."]) -> Float32[np.ndarray, "records features"]:
        """What the last layer is given.

        Raises:
            InputError: the module does something to that layer's outputs before it answers.
        """
        parts = []
        for batch in inputs.split(BATCH):
            phi, answered = self._through(batch)
            if not torch.allclose(self.last(phi), answered, rtol=1e-4, atol=1e-4):
                raise InputError(
                    f"laplace: expected the outputs of the last linear layer ('{self._name}') as the model's answers, "
                    "and the model changes them: let it return logits, or choose another defence"
                )
            parts.append(phi.float().cpu().numpy())
        return np.concatenate(parts)

    def features_of_rows(self, records: Records, rows: Int64[np.ndarray, " rows"]) -> Float32[np.ndarray, "rows d"]:
        at = torch.as_tensor(rows, device=records.inputs.device)
        return np.concatenate([self.features_of(records.batch(part)) for part in at.split(BATCH)])

    def _through(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the last layer is given, and what the module answers."""
        seen: list[Tensor] = []
        hook = self.last.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            answered = self.module(x)
        finally:
            hook.remove()
        return seen[-1], answered


def _noise(records: Records, members: Int64[np.ndarray, " rows"], n: int, rng: Seed) -> Float[Tensor, "noise ..."]:
    """`noise_like` the members, as the model takes them."""
    at = torch.as_tensor(members, device=records.inputs.device)
    least, most = zip(*(torch.aminmax(records.batch(part)) for part in at.split(BATCH)), strict=True)
    ends = np.array([float(min(least)), float(max(most))], dtype=np.float32).reshape(2, *[1] * len(records.input_shape))
    noise = noise_like(np.broadcast_to(ends, (2, *records.input_shape)), n, rng=rng)
    return torch.from_numpy(noise).to(records.inputs.device)


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
        spread, k = np.sqrt(((phi @ self.features[1]) ** 2 / self.v).sum(axis=1)), len(self.bias)
        weight_draws, bias_draws = self.draws(samples, rng=rng)
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

    @property
    def v(self) -> Float64[np.ndarray, " features"]:
        """Eigenvalues of V, whose eigenvectors are those of A."""
        return math.sqrt(self.n_records) * self.features[0] + math.sqrt(1 / self.prior_variance)

    def draws(self, samples: int, *, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draws (samples, classes) with the covariances U^-1 and B^-1."""
        of_weight, of_bias = self.roots()
        k = len(self.bias)
        return rng.standard_normal((samples, k)) @ of_weight.T, rng.standard_normal((samples, k)) @ of_bias.T

    def roots(self) -> tuple[Float64[np.ndarray, "classes classes"], Float64[np.ndarray, "classes classes"]]:
        """Square roots of U^-1 and B^-1."""
        t, n = 1 / self.prior_variance, self.n_records
        of_h, vectors = self.outputs
        u, b = math.sqrt(n) * of_h + math.sqrt(t), n * of_h + t
        return vectors / np.sqrt(u), vectors / np.sqrt(b)


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
