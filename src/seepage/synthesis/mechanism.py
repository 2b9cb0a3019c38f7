"""Metric privacy on codes: noise whose density falls with the distance, so that near codes are hard to tell apart."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Float64

from seepage.errors import InputError
from seepage.randomness import Seed, generator


def latent_noise(n_codes: int, latent: int, epsilon: float, rng: Seed) -> Float64[np.ndarray, "codes latent"]:
    """w = r u with u uniform on the unit sphere and r ~ Gamma(shape=latent, scale=1 / epsilon).

    Its density is proportional to exp(-epsilon |w|), and so, by the triangle inequality, for any codes z and z'

        p(z + w) <= exp(epsilon |z - z'|) p(z' + w)

    which is metric privacy for the Euclidean distance of codes. The mean norm of w is latent / epsilon. (An exponential
    radius, the gamma's special case latent = 1, does not do in more dimensions: its density grows without bound at the
    code.)

    Args:
        n_codes, latent: shape of what is drawn.
        epsilon: per unit of distance; infinity draws zeros.

    Raises:
        InputError: epsilon is not positive.

    >>> rng = np.random.default_rng(0)
    >>> print(np.linalg.norm(latent_noise(20_000, 8, 4.0, rng), axis=1).mean().round(1))
    2.0

    Reference: Chatzikokolakis et al. (2013), Broadening the scope of differential privacy using metrics, PETS;
        Yang et al. (2022, arXiv 2202.05469) for codes of a VAE, where the gamma's parameters could not be read.
    """
    rng = generator(rng)
    check_epsilon(epsilon)
    if math.isinf(epsilon):
        return np.zeros((n_codes, latent))
    direction = rng.standard_normal((n_codes, latent))
    radius = rng.gamma(latent, 1 / epsilon, (n_codes, 1))
    return radius * direction / np.linalg.norm(direction, axis=1, keepdims=True)


def deviation(latent: int, epsilon: float) -> float:
    """Standard deviation of each coordinate of w: sqrt(latent + 1) / epsilon."""
    return math.sqrt(latent + 1) / epsilon


def clipped(codes: Float[np.ndarray, "codes latent"], bound: float | None) -> Float[np.ndarray, "codes latent"]:
    """Codes drawn back to a norm of at most `bound`; None leaves them."""
    if bound is None:
        return codes
    norms = np.linalg.norm(codes, axis=1, keepdims=True)
    return codes * np.minimum(1.0, bound / np.maximum(norms, 1e-30))


def check_epsilon(epsilon: float) -> None:
    if not (isinstance(epsilon, (int, float)) and epsilon > 0):
        raise InputError(f"epsilon must be a positive number (inf: no noise), got {epsilon!r}")
