"""How far apart the codes of two records are, and what the bound on the odds is there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist, pdist
from sklearn.neighbors import NearestNeighbors

from seepage.randomness import Seed, generator
from seepage.schema.numbers import VACUOUS_ODDS, odds

MOST_FOR_MEDIAN = 2_000_000  # pairs; of more, the median is that of a sample
N_DRAWN = 100_000
MOST_FOR_LARGEST = 200_000_000  # pairs; of more, the largest distance is bounded
MOST_FOR_NEAREST = 5_000  # codes
ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class CodeDistances:
    """Distances that were measured on the confidential records themselves: for their holder, not for publication.

    Attributes:
        median: of the pairs; None where there is no pair.
        largest: of all pairs, or an upper bound; None where there is no pair.
        is_exact: whether `largest` is a distance that occurs, and not an upper bound.
        n_pairs: pairs that the mechanism's bound speaks of.
        n_measured: pairs that the median is of; fewer than `n_pairs` where they were drawn at random.
        same_class: whether these are pairs of one class, because the networks are told the class.
        epsilon: of metric privacy, per release.
        releases: of every record; what is spent adds up.
        nearest: median distance of a code to the nearest other one, of at most 5,000 codes drawn at random.
    """

    median: float | None
    largest: float | None
    is_exact: bool
    n_pairs: int
    n_measured: int
    same_class: bool
    epsilon: float
    releases: int
    nearest: float | None = None

    @property
    def is_vacuous(self) -> bool:
        """Whether the bound on the odds at the median distance is above 1,000 to 1."""
        return self.median is not None and self.log_odds(self.median) > math.log(VACUOUS_ODDS)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The distances and the bounds, for the holder of the records."""
        kind = "two records of one class" if self.same_class else "two records"
        if self.median is None:
            return (f"There are no {kind}: no distance between codes can be stated.",)
        return (
            f"Distance between the codes of {kind}: median {self.median:.3g}{self._of_sample}, largest "
            f"{self._of_largest}.",
            *self._of_odds,
            *self._of_nearest,
            *self._of_use,
            "These distances were measured on the records without noise. No guarantee covers them: they are printed "
            "for you, and the saved files do not have them.",
        )

    @property
    def _of_sample(self) -> str:
        return "" if self.n_measured == self.n_pairs else f" ({self.n_measured:,} pairs drawn at random)"

    @property
    def _of_largest(self) -> str:
        if self.is_exact:
            return f"{self.largest:.3g} (all {self.n_pairs:,} pairs)"
        return f"at most {self.largest:.3g} (the diameter of a ball that holds all codes)"

    @property
    def _of_odds(self) -> tuple[str, ...]:
        if self.largest == 0:
            return ("The codes are all the same: whatever epsilon is, none of them can be told from another.",)
        median, largest = (odds(self.log_odds(distance)) for distance in (self.median, self.largest))
        over = "" if self.releases == 1 else f" over all {self.releases} releases"
        return (f"Bound on the odds{over}: at the median distance {median}; at the largest {largest}.",)

    @property
    def _of_nearest(self) -> tuple[str, ...]:
        if self.nearest is None or self.largest == 0:
            return ()
        return (
            f"Distance of a code to the nearest other one: median {self.nearest:.3g}; bound on the odds there "
            f"{odds(self.log_odds(self.nearest))}.",
        )

    @property
    def _of_use(self) -> tuple[str, ...]:
        said = []
        if self.is_vacuous and math.isfinite(self.epsilon):
            said.append(
                "At this epsilon the mechanism does not hide which of two typical records was released; it protects "
                "records that are nearly alike only."
            )
        if self.log_odds(self.median) > 1:
            advice = f"{1 / (self.releases * self.median):.2g}"
            said.append(f"For odds of at most e = 2.72 at the median distance, take an epsilon of about {advice}.")
        return tuple(said)

    def log_odds(self, distance: float) -> float:
        """Log of the bound on the odds; equal codes cannot be told apart, even without noise."""
        return self.epsilon * self.releases * distance if distance else 0.0


def code_distances(
    groups: Sequence[Float[np.ndarray, "_ latent"]],
    *,
    epsilon: float,
    releases: int,
    same_class: bool,
    rng: Seed,
) -> CodeDistances:
    """Median and largest Euclidean distance between two codes of one group.

        median over i < j of |z_i - z_j|,   max over i < j of |z_i - z_j| <= 2 min(max |z_i - mean|, max |z_i|)

    Up to 2,000,000 pairs the median is that of all, of more that of 100,000 drawn with replacement. Up to 200,000,000
    pairs the largest distance is exact, of more it is the bound on the right.

    Args:
        groups: codes as they get their noise, clipped where they are; only pairs within a group are compared.
        epsilon, releases: of metric privacy, per release; and how many there are.
        same_class: whether a group is a class.
        rng: draws pairs.
    """
    rng = generator(rng)
    groups = [np.asarray(codes, np.float64) for codes in groups if len(codes) > 1]
    counts = np.array([len(codes) * (len(codes) - 1) // 2 for codes in groups], dtype=np.int64)
    n_pairs = int(counts.sum())
    if not n_pairs:
        return CodeDistances(None, None, True, 0, 0, same_class, epsilon, releases)
    if n_pairs <= MOST_FOR_MEDIAN:
        measured = np.concatenate([pdist(codes) for codes in groups])
    else:
        drawn = rng.multinomial(N_DRAWN, counts / n_pairs)
        measured = np.concatenate([_of_drawn(codes, n, rng) for codes, n in zip(groups, drawn, strict=True)])
    is_exact = n_pairs <= MOST_FOR_LARGEST
    largest = max(_largest(codes) if is_exact else _bound(codes) for codes in groups)
    median = float(np.median(measured))
    near = float(np.median(_nearest(groups, rng)))
    return CodeDistances(median, largest, is_exact, n_pairs, len(measured), same_class, epsilon, releases, near)


def _of_drawn(codes: np.ndarray, n_drawn: int, rng: np.random.Generator) -> np.ndarray:
    one, step = rng.integers(len(codes), size=n_drawn), rng.integers(1, len(codes), size=n_drawn)
    return np.linalg.norm(codes[one] - codes[(one + step) % len(codes)], axis=1)


def _nearest(groups: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Distance to the nearest other code of its group, of all codes or of some drawn at random."""
    total = sum(map(len, groups))
    asked = np.sort(rng.permutation(total)[:MOST_FOR_NEAREST])
    found, start = [], 0
    for codes in groups:
        some = codes[asked[(asked >= start) & (asked < start + len(codes))] - start]
        start += len(codes)
        if len(some):
            found.append(NearestNeighbors(n_neighbors=2).fit(codes).kneighbors(some)[0][:, 1])
    return np.concatenate(found)


def _largest(codes: np.ndarray) -> float:
    starts = range(0, len(codes), ROWS_AT_ONCE)
    return float(max(cdist(codes[start : start + ROWS_AT_ONCE], codes[start:]).max() for start in starts))


def _bound(codes: np.ndarray) -> float:
    """Twice the radius of a ball about the mean or about zero that has all codes: the smaller of the two."""
    return float(2 * min(np.linalg.norm(codes - middle, axis=1).max() for middle in (codes.mean(axis=0), 0.0)))
