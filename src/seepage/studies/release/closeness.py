"""Distances between released and original records: what they are measured in, and whom a release is closest to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int
from sklearn.neighbors import NearestNeighbors

from seepage.data import Pool, overlap
from seepage.metrics import clopper_pearson, proportion
from seepage.randomness import Seed, generator
from seepage.schema.estimates import Estimate
from seepage.schema.release import Closeness

BLOCK_VALUES = 2**22
DRAWS = 20_000  # of memberships, under "no leak"


@dataclass(frozen=True)
class Space:
    """Where distances are Euclidean, the same for all pools.

    Images stay as a model gets them: all pixels have one unit. Of other records each column of numbers is centred and
    divided by its standard deviation over the original records, members and others alike, and columns of 0 and 1
    (one-hot or binary) stay. Where all values are 0 or 1 the squared distance is Hamming's.
    """

    centre: Float32[np.ndarray, " features"]
    scale: Float32[np.ndarray, " features"]

    @classmethod
    def of(cls, *originals: Pool) -> Space:
        width = int(np.prod(originals[0].inputs.shape[1:]))
        if originals[0].inputs.ndim > 2:
            return cls(np.zeros(width, np.float32), np.ones(width, np.float32))
        values = np.concatenate([pool.batch() for pool in originals]).astype(np.float64)
        keep = ((values == 0) | (values == 1)).all(axis=0)
        deviation = values.std(axis=0)
        scale = np.where(keep | (deviation == 0), 1.0, deviation)
        return cls(np.where(keep, 0.0, values.mean(axis=0)).astype(np.float32), scale.astype(np.float32))

    def __call__(self, pool: Pool) -> Float[np.ndarray, "samples features"]:
        return (pool.batch().reshape(len(pool), -1) - self.centre) / self.scale


def nearest(
    queries: Float[np.ndarray, "queries features"], records: Float[np.ndarray, "records features"], k: int = 1
) -> tuple[Float64[np.ndarray, "queries k"], Int[np.ndarray, "queries k"]]:
    """Distances to the `k` nearest records, ascending, and which these are.

    They are found a block at a time through |a|^2 + |b|^2 - 2 a.b, and those that are found measured anew as |a - b|:
    cancellation would leave a record at a distance from its own copy.
    """
    found = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(records).kneighbors(queries, return_distance=False)
    distances = np.empty(found.shape)
    rows = max(1, BLOCK_VALUES // queries.shape[1])
    for start in range(0, len(queries), rows):
        block = slice(start, start + rows)
        for place in range(k):
            gap = queries[block].astype(np.float64) - records[found[block, place]]
            distances[block, place] = np.sqrt((gap * gap).sum(axis=1))
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(distances, order, 1), np.take_along_axis(found, order, 1)


def closeness(
    synthetic: Pool, members: Pool, holdout: Pool, space: Space, *, confidence: float, rng: Seed
) -> Closeness:
    """Whose neighbours the released records are, and copies.

        share = sum over members of c_i / sum over all originals of c_i

    c_i is how many released records have original i as their nearest one; a tie goes to one of them at random. The
    larger of both lists is cut at random to the size of the smaller. p: memberships are drawn 20,000 times with the c_i
    as they are, p = (1 + as large a share) / (1 + draws). Interval: Clopper-Pearson for Kish's effective number
    (sum c)^2 / sum c^2 of released records, since those with one nearest original are no independent witnesses; where
    all have different ones it is that of a binomial share.

    Args:
        synthetic: the release.
        members: records it was made from.
        holdout: records of the same population that it was not made from.
        space: what distances are measured in.
        confidence: two-sided.
        rng: cuts, breaks ties, draws memberships.

    Reference: Platzer and Reutterer (2021), Frontiers in Big Data 4:679939, for the share beside a hold-out. Interval
        and p-value are ours.
    """
    rng = generator(rng)
    n = min(len(members), len(holdout))
    originals = np.concatenate([space(pool)[rng.permutation(len(pool))[:n]] for pool in (members, holdout)])
    order = rng.permutation(2 * n)  # of records at equal distance the first is found
    found = order[nearest(space(synthetic), originals[order])[1][:, 0]]
    count = np.bincount(found, minlength=2 * n)
    return Closeness(
        closer_to_members=_share(count[:n].sum() / count.sum(), count, confidence),
        p_value=_chance(count, n, rng),
        identical=proportion(_are_in(synthetic, members), confidence=confidence),
        copied_members=proportion(_are_in(members, synthetic), confidence=confidence),
        copied_holdout=proportion(_are_in(holdout, synthetic), confidence=confidence),
    )


def _share(share: float, count: Int[np.ndarray, " originals"], confidence: float) -> Estimate:
    released = int(count.sum())
    effective = released**2 / (count.astype(float) ** 2).sum()
    low, high = clopper_pearson(share * effective, effective, confidence)
    flag = None
    if effective < released - 0.5:
        flag = f"{released} released records have {np.count_nonzero(count)} nearest ones: as sure as {effective:.0f}"
    return Estimate.of(float(share), low, high, released, flag)


def _chance(count: Int[np.ndarray, " originals"], n_members: int, rng: np.random.Generator) -> float:
    """How often members drawn at random have at least as many of the released records."""
    values, records = np.unique(count, return_counts=True)
    drawn = rng.multivariate_hypergeometric(records, n_members, size=DRAWS) @ values
    return (1 + int((drawn >= count[:n_members].sum()).sum())) / (1 + DRAWS)


def _are_in(records: Pool, others: Pool) -> Bool[np.ndarray, " records"]:
    flags = np.zeros(len(records), dtype=bool)
    flags[overlap(records, others)[:, 0]] = True
    return flags
