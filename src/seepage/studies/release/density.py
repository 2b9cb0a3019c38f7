"""Density ratio: where a release is denser than the population, its generator has overfitted."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier

from seepage.randomness import Seed, generator

BLOCK_VALUES = 2**22
LEAST_SPREAD = 1e-6  # of a component, as a share of the largest one's
MOST_FEATURES, COMPONENTS = 128, 32  # trees look at each value: of an image they see principal components

Matrix = Float[np.ndarray, "samples features"]
Released = Float[np.ndarray, "released features"]
Reference = Float[np.ndarray, "reference features"]


def kernel_ratio(
    records: Matrix, synthetic: Released, reference: Reference, *, dimensions: int = 5, rng: Seed
) -> Float64[np.ndarray, " records"]:
    """Log-ratio of two kernel density estimates, as DOMIAS scores with one.

        s(x) = log p_S(x) - log p_R(x),   p_A(x) = mean over a in A of N(x; a, h_A^2 I),   h_A = |A|^(-1 / (d + 4))

    x is seen in the first d principal components of release and reference together, each divided by its standard
    deviation; h is Scott's bandwidth.

    Args:
        records: to be scored.
        synthetic: the release.
        reference: records of the population, neither among those scored nor members.
        dimensions: d, or as many as vary. The more there are, the more records a density takes.
        rng: for the components of many records, which are found approximately.

    Returns:
        Higher = more likely a member.

    Reference: van Breugel, Sun, Qian and van der Schaar (2023), AISTATS, arXiv 2302.12580; code baselines.py and
        evaluator.py of github.com/vanderschaarlab/DOMIAS. Deviations: principal components; one scale for both
        densities where the code gives each kernel its set's covariance (a release that has collapsed onto a plane has
        none); logarithms, so that no density is 0; no flow (BNAF).
    """
    rng = generator(rng)
    both = np.concatenate([synthetic, reference]).astype(np.float64)
    reduce = _components(both, dimensions, rng)
    spread = np.sqrt(reduce.explained_variance_)
    varies = spread > LEAST_SPREAD * spread[0]
    seen, released, known = (reduce.transform(a)[:, varies] / spread[varies] for a in (records, synthetic, reference))
    return _log_density(seen, released) - _log_density(seen, known)


def _components(values: Matrix, n: int, rng: np.random.Generator) -> PCA:
    return PCA(min(n, *values.shape), random_state=int(rng.integers(2**31))).fit(values)


def _log_density(seen: Matrix, kernels: Float[np.ndarray, "kernels features"]) -> Float64[np.ndarray, " records"]:
    """log mean exp(-|x - a|^2 / 2 h^2) - d log h, without the constant that all densities share."""
    n, d = kernels.shape
    bandwidth = n ** (-1 / (d + 4))
    rows = max(1, BLOCK_VALUES // n)
    blocks = []
    for start in range(0, len(seen), rows):
        squares = cdist(seen[start : start + rows], kernels, "sqeuclidean")
        blocks.append(logsumexp(-squares / (2 * bandwidth**2), axis=1))
    return np.concatenate(blocks) - np.log(n) - d * np.log(bandwidth)


def classifier_ratio(
    records: Matrix, synthetic: Released, reference: Reference, *, rng: Seed
) -> Float64[np.ndarray, " records"]:
    """Log-ratio of the densities by gradient-boosted trees that tell the release from the reference.

        s(x) = log c(x) - log(1 - c(x)),   c(x) = the trees' chance that x is released, both sets weighing the same

    Args:
        records: to be scored.
        synthetic: the release.
        reference: as for `kernel_ratio`.
        rng: of the trees.

    Returns:
        Higher = more likely a member.

    Reference: Sugiyama, Suzuki and Kanamori (2012), Density Ratio Estimation in Machine Learning, chapter 4, for the
        ratio by classification. Records of more than 128 values are seen in 32 principal components.
    """
    rng = generator(rng)
    both = np.concatenate([synthetic, reference])
    if both.shape[1] > MOST_FEATURES:
        reduce = _components(both, COMPONENTS, rng)
        records, both = reduce.transform(records), reduce.transform(both)
    trees = HistGradientBoostingClassifier(
        class_weight="balanced", early_stopping=False, random_state=int(rng.integers(2**31))
    )
    trees.fit(both, np.arange(len(both)) < len(synthetic))
    return trees.decision_function(records).astype(np.float64)
