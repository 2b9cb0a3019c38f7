"""How near reconstructions come to real images, in the features of a model that judges them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy.spatial.distance import cdist
from scipy.special import gammaln

from seepage.errors import InputError
from seepage.metrics.intervals import check_confidence, percentile_interval
from seepage.metrics.reconstruction import FEWEST_RESAMPLED, expanded, resampled_classes
from seepage.randomness import Seed, generator
from seepage.schema.estimates import Estimate

FEWEST_PER_FEATURE = 2  # images for each feature below which a covariance is none
FEW_PER_FEATURE = 10
MOST_IMAGES = 2000  # of each side that a kernel matrix is made of
REPLICATES = 1000

Features = Float[np.ndarray, "images features"]
Labels = Int[np.ndarray, " images"]
References = Float[np.ndarray, "references features"]
ReferenceLabels = Int[np.ndarray, " references"]


def nearest(
    features: Features, labels: Labels, reference: References, reference_labels: ReferenceLabels
) -> Float64[np.ndarray, " images"]:
    """min over references r of the image's class of ||f - r||^2; NaN where the class has none.

    Raises:
        InputError: features and labels do not match in length, or the two sides in width.

    >>> print(nearest(np.zeros((2, 2)), np.array([0, 5]), np.array([[3.0, 4.0], [9.0, 9.0]]), np.array([0, 0])))
    [25. nan]

    Reference: Zhang et al. (2020), The secret revealer, section 4.2 ("KNN distance").
    """
    found = np.full(len(features), np.nan)
    for rows, gaps in _gaps(features, labels, reference, reference_labels):
        if gaps.shape[1]:
            found[rows] = gaps.min(axis=1)
    return found


def nearer_private(
    features: Features,
    labels: Labels,
    private: References,
    private_labels: ReferenceLabels,
    held_out: Float[np.ndarray, "others features"],
    held_out_labels: Int[np.ndarray, " others"],
) -> Float64[np.ndarray, " images"]:
    """Whether an image is nearer to what the target was trained on than to other images of the class.

    With m the size of the smaller of the class's two sets and m images drawn from the larger: the chance that the
    nearest of m private images is strictly nearer than the nearest of m held-out ones, and half the chance of a tie,
    counted out over all draws. For a threshold t, n images of which j are nearer than t, none of m drawn is nearer
    with chance C(n - j, m) / C(n, m).

    An image that shows the class and no record of it has 1/2 in expectation, whatever the class looks like: private
    and held-out images are drawn alike. A copy of a training image has 1.

    Returns:
        Values in [0, 1]; NaN where the class has no image on one side.

    Raises:
        InputError: see `nearest`.

    Reference: the balanced form of the share used for synthetic records (Platzer and Reutterer, 2021, Frontiers in
        Big Data 4, section 3.2). The exact average over draws is ours.
    """
    found = np.full(len(features), np.nan)
    pairs = zip(
        _gaps(features, labels, private, private_labels),
        _gaps(features, labels, held_out, held_out_labels),
        strict=True,
    )
    for (rows, trained), (_, other) in pairs:
        if not trained.shape[1] or not other.shape[1]:
            continue
        if trained.shape[1] <= other.shape[1]:
            found[rows] = _beats(trained.min(axis=1), other, trained.shape[1])
        else:
            found[rows] = 1 - _beats(other.min(axis=1), trained, other.shape[1])
    return found


def frechet_distance(a: Features, b: References) -> Estimate:
    """||mu_a - mu_b||^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)), of the normal laws with these means and covariances (FID).

    The trace of the root is the sum of the roots of the eigenvalues of S_a^(1/2) S_b S_a^(1/2), which is symmetric.

    Returns:
        Estimate with n = images of the smaller side and no interval: the distance is biased upwards, and a bootstrap
        more so. Undefined with fewer than two images a feature, flagged with fewer than ten.

    Raises:
        InputError: the sides have different widths, or a feature is not finite.

    >>> a = np.array([[0.0], [2.0], [4.0]])
    >>> print(frechet_distance(a, a + 3).value)
    9.0

    Reference: Heusel et al. (2017), GANs trained by a two time-scale update rule, equation 6.
    Deviation: features are the judge's and not an Inception network's, so figures compare under one judge alone.
    """
    a, b = _both(a, b)
    n, width = min(len(a), len(b)), a.shape[1]
    if n < FEWEST_PER_FEATURE * width:
        return Estimate.of(None, None, None, n, f"undefined: {n} images are too few for {width} features")
    mean = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    of_a, of_b = (np.atleast_2d(np.cov(side, rowvar=False)) for side in (a, b))
    values, vectors = np.linalg.eigh(of_a)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ of_b @ root), 0)).sum()
    distance = float(max(0.0, mean + np.trace(of_a) + np.trace(of_b) - 2 * roots))
    few = n < FEW_PER_FEATURE * width
    return Estimate.of(distance, None, None, n, f"biased upwards: {n} images for {width} features" if few else None)


def kernel_distance(a: Features, b: References, degree: int = 3, *, confidence: float = 0.95, rng: Seed) -> Estimate:
    """The unbiased squared maximum mean discrepancy under the kernel k(x, y) = (x.y / d + 1)^degree (KID).

        mean_{i != j} k(a_i, a_j) + mean_{i != j} k(b_i, b_j) - 2 mean_{i, j} k(a_i, b_j)

    It may be negative, and is 0 in expectation for equal laws, with few images as with many. Interval: percentiles of
    1,000 bootstrap replicates, in which a pair of copies of one image is left out of the first two means as the pair of
    an image and itself is. Images are resampled one by one: where those of a class are much alike it is on the narrow
    side. Of more than 2,000 images a side, 2,000 are drawn.

    Returns:
        Estimate with n = images of the smaller side; undefined with fewer than two.

    Raises:
        InputError: the degree is not a positive whole number; see also `frechet_distance`.

    Reference: Binkowski et al. (2018), Demystifying MMD GANs, section 4; Gretton et al. (2012), equation 3.
    Deviation: one estimate from all images and a bootstrap, where the source takes the mean of random blocks.
    """
    rng = generator(rng)
    check_confidence(confidence)
    if isinstance(degree, bool) or not isinstance(degree, int | np.integer) or degree < 1:
        raise InputError(f"expected a degree of 1 or more, got {degree!r}")
    a, b = (_at_most(side, rng) for side in _both(a, b))
    n = min(len(a), len(b))
    if n < 2:
        return Estimate.of(None, None, None, n, f"undefined: expected two images or more on each side, got {n}")
    within_a, within_b, between = ((x @ y.T / a.shape[1] + 1) ** degree for x, y in ((a, a), (b, b), (a, b)))
    np.fill_diagonal(within_a, 0.0)
    np.fill_diagonal(within_b, 0.0)

    def discrepancy(of_a: np.ndarray, of_b: np.ndarray) -> np.ndarray:
        """For weights (replicates, images) of each side."""
        own = (_paired(weights, kernel) for weights, kernel in ((of_a, within_a), (of_b, within_b)))
        across = (of_a @ between * of_b).sum(axis=1) / (of_a.sum(axis=1) * of_b.sum(axis=1))
        return sum(own) - 2 * across

    value = float(discrepancy(np.ones((1, len(a))), np.ones((1, len(b))))[0])
    drawn = [rng.multinomial(len(x), np.full(len(x), 1 / len(x)), size=REPLICATES).astype(float) for x in (a, b)]
    replicates = discrepancy(*drawn)
    low, high = percentile_interval(replicates[np.isfinite(replicates)], confidence)
    return Estimate.of(value, float(min(low, value)), float(max(high, value)), n)


def diversity(
    features: Features,
    labels: Labels,
    private: References,
    private_labels: ReferenceLabels,
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> Estimate:
    """Mean squared distance of two reconstructions of one class, as a share of that of two private images of it.

        sum_c s_c(reconstructions) / sum_c s_c(private),   s_c = mean_{i != j} ||f_i - f_j||^2 = 2 sum_features var_c

    over the classes with two images or more on both sides. 0: one image each time; 1: as varied as real images.
    Interval: classes are resampled, with the percentiles of `class_mean`; flagged with fewer than ten classes, where it
    is on the narrow side.

    Returns:
        Estimate with n = classes; undefined where there are none, or where the private images of a class are all alike.

    Raises:
        InputError: see `nearest`.
    """
    rng = generator(rng)
    check_confidence(confidence)
    features, labels, private, private_labels = _matched(features, labels, private, private_labels)
    spreads = [
        (_spread(features[labels == c]), _spread(private[private_labels == c]))
        for c in np.unique(labels)
        if min((labels == c).sum(), (private_labels == c).sum()) > 1
    ]
    k = len(spreads)
    if not k:
        return Estimate.of(None, None, None, 0, "undefined: it takes two images of one class")
    made, real = np.array(spreads).T
    if not real.sum() > 0:
        return Estimate.of(None, None, None, k, "undefined: the private images of a class are all alike")
    value = float(made.sum() / real.sum())
    if k < 2:
        return Estimate.of(value, None, None, k, "one class has no interval")
    drawn = resampled_classes(k, rng)
    above, below = made[drawn].sum(axis=1), real[drawn].sum(axis=1)
    replicates = above[below > 0] / below[below > 0]
    low, high = percentile_interval(replicates, expanded(confidence, k))
    flag = f"{k} classes: the interval is on the narrow side" if k < FEWEST_RESAMPLED else None
    return Estimate.of(value, float(min(low, value)), float(max(high, value)), k, flag)


def _gaps(features, labels, reference, reference_labels):
    """For each class of the images: their rows, and squared distances to the class's references."""
    features, labels, reference, reference_labels = _matched(features, labels, reference, reference_labels)
    for c in np.unique(labels):
        rows = np.flatnonzero(labels == c)
        yield rows, cdist(features[rows], reference[reference_labels == c], "sqeuclidean")


def _beats(nearest_of_few, gaps_to_many, m: int) -> Float64[np.ndarray, " images"]:
    """Chance that the one distance is below the least of m drawn from the many, a tie counting half."""
    n = gaps_to_many.shape[1]
    nearer = (gaps_to_many < nearest_of_few[:, None]).sum(axis=1)
    as_near = (gaps_to_many <= nearest_of_few[:, None]).sum(axis=1)
    return (_none_drawn(n, nearer, m) + _none_drawn(n, as_near, m)) / 2


def _none_drawn(n: int, marked, m: int) -> Float64[np.ndarray, " images"]:
    """Chance that m drawn from n hold none of the marked: C(n - marked, m) / C(n, m)."""
    left = n - marked
    enough = np.maximum(left, m)
    chance = np.exp(gammaln(enough + 1) - gammaln(enough - m + 1) - gammaln(n + 1) + gammaln(n - m + 1))
    return np.where(left >= m, np.where(marked == 0, 1.0, chance), 0.0)


def _paired(weights, kernel):
    """Mean of the kernel over pairs of different images, weighted."""
    total = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
    summed = (weights @ kernel * weights).sum(axis=1)
    return np.divide(summed, total, out=np.full(len(weights), np.nan), where=total > 0)


def _spread(features) -> float:
    return float(2 * features.var(axis=0, ddof=1).sum())


def _at_most(side: Features, rng: np.random.Generator) -> Float[np.ndarray, "drawn features"]:
    return side if len(side) <= MOST_IMAGES else side[rng.choice(len(side), MOST_IMAGES, replace=False)]


def _both(a, b):
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not a.shape[1]:
        raise InputError(f"expected features (images, features) of one width, got the shapes {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError("a feature is not finite (NaN or infinity): look at the images and at the judge")
    return a, b


def _matched(features, labels, reference, reference_labels):
    features, reference = _both(features, reference)
    labels, reference_labels = np.asarray(labels), np.asarray(reference_labels)
    if labels.shape != features.shape[:1] or reference_labels.shape != reference.shape[:1]:
        raise InputError(
            f"expected one label an image, got {labels.shape} for {len(features)} images and {reference_labels.shape} "
            f"for {len(reference)} references"
        )
    return features, labels, reference, reference_labels
