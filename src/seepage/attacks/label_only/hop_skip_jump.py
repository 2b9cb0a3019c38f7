"""HopSkipJump: the nearest point that a model labels otherwise, from labels alone, for many records at once."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np
from jaxtyping import Float, Float64, Int64

from seepage.randomness import Seed, generator

LOOSEST = 1e-3  # of a distance: how far a point may at most be from the boundary
LEAST_DIRECTIONS = 10  # fewer say too little about the boundary to be worth a step
SPARE_STEPS = 5  # questions left for the length of the last step
MOST_HALVINGS = 30
BLOCK_VALUES = 1 << 22  # float32 values of questions in memory at once: 16 MiB

# (questions, values) and the record that each is for -> whether it lies beyond that record's boundary
Ask = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Found:
    """The nearest points that lie beyond the boundary, what they are away, and how many questions each has cost."""

    points: Float[np.ndarray, "records values"]
    distances: Float64[np.ndarray, " records"]
    n_asked: Int64[np.ndarray, " records"]


def hop_skip_jump(
    ask: Ask,
    records: Float[np.ndarray, "records values"],
    starts: Float[np.ndarray, "records values"],
    *,
    budget: int,
    directions: int = 100,
    value_range: tuple[float, float] = (-np.inf, np.inf),
    rng: Seed,
) -> Found:
    """For each record x the nearest point b that the model was seen to label otherwise, in the L2 norm.

    From a point b_t beyond the boundary, at a distance D_t from x, in n dimensions, step t = 1, 2, ... is

        g    = sum_k (s_k - mean s) u_k,  s_k = 1 if b_t + (D_t / n) u_k is beyond the boundary, else -1
        b'   = b_t + (D_t / sqrt(t)) / 2^j  g / ||g||,  the smallest j = 0, 1, ... for which b' is beyond it
        b_{t+1} = the point beyond it that halving the segment from x to b' has found

    with `directions` * sqrt(t) unit vectors u_k drawn for the step. All s_k alike: g = sum_k s_k u_k. It goes on as
    long as the budget allows a step; the directions of the last are as many as it has left.

    Every record takes the same draws, so that neither its place nor its company plays a part.

    Args:
        ask: (questions, values) and the record that each is asked for -> whether it is beyond that record's boundary.
        records: flat; each on its own side.
        starts: one for each record, beyond the boundary.
        budget: questions a record, at most; what cannot make a step any more is left.
        value_range: questions are cut there.

    Deviations: a point is kept only if it is nearer than the one before (the step is drawn again); the halving stops
    at min(n^-3/2, 1e-3) of a distance, and D_t / n is at most D_t / 10: the paper's are coarse for few values; the
    steps end by budget.

    Reference: Chen, Jordan & Wainwright 2020 (arXiv 1904.02144), algorithm 2, L2, untargeted.
    """
    rng = generator(rng)
    n_records, n_values = records.shape
    n_halvings = int(np.ceil(-np.log2(min(n_values**-1.5, LOOSEST))))
    probe = min(1 / n_values, 0.1)
    left = np.full(n_records, budget, dtype=np.int64)

    def asked(questions: np.ndarray, owners: np.ndarray) -> np.ndarray:
        left[:] -= np.bincount(owners, minlength=n_records)
        return ask(questions, owners)

    def halved(points: np.ndarray, owners: np.ndarray) -> np.ndarray:
        """The nearest point beyond the boundary on the segment from the record to the point that was seen to be."""
        if not owners.size:
            return points
        found, near, far = points.copy(), np.zeros(len(owners)), np.ones(len(owners))
        sides = records[owners].astype(np.float64)
        for _ in range(n_halvings):
            share = (near + far) / 2
            questions = (sides + share[:, None] * (points - sides)).astype(np.float32)
            beyond = asked(questions, owners)
            found[beyond] = questions[beyond]
            near, far = np.where(beyond, near, share), np.where(beyond, share, far)
        return found

    def distances_of(points: np.ndarray, owners: np.ndarray) -> np.ndarray:
        return np.linalg.norm(points.astype(np.float64) - records[owners], axis=1)

    everyone = np.flatnonzero(left >= n_halvings)
    points = starts.astype(np.float32)
    points[everyone] = halved(points[everyone], everyone)
    distances = distances_of(points, np.arange(n_records))
    for step in count(1):
        n_directions = np.minimum(int(directions * np.sqrt(step)), left - n_halvings - SPARE_STEPS)
        active = np.flatnonzero((n_directions >= LEAST_DIRECTIONS) & (distances > 0))
        if not active.size:
            return Found(points, distances, budget - left)
        unit = rng.standard_normal((n_directions.max(), n_values), dtype=np.float32)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        towards = _directions(
            asked, points[active], active, n_directions[active], probe * distances[active], unit, value_range
        )
        found, reached = points[active], np.zeros(len(active), dtype=bool)
        length = distances[active] / np.sqrt(step)
        for _ in range(MOST_HALVINGS):
            trying = np.flatnonzero(~reached & (left[active] > n_halvings))
            if not trying.size:
                break
            owners = active[trying]
            trials = points[owners] + length[trying, None] * towards[trying]
            trials = np.clip(trials, *value_range).astype(np.float32)
            beyond = asked(trials, owners)
            found[trying[beyond]] = trials[beyond]
            reached[trying[beyond]] = True
            length[trying] /= 2
        owners = active[reached]
        found = halved(found[reached], owners)
        away = distances_of(found, owners)
        nearer = away < distances[owners]
        points[owners[nearer]], distances[owners[nearer]] = found[nearer], away[nearer]


def _directions(
    asked: Ask,
    points: Float[np.ndarray, "active values"],
    owners: Int64[np.ndarray, " active"],
    n_directions: Int64[np.ndarray, " active"],
    lengths: Float64[np.ndarray, " active"],
    unit: Float[np.ndarray, "directions values"],
    value_range: tuple[float, float],
) -> Float64[np.ndarray, "active values"]:
    """Unit vectors along the estimated normal of the boundary at each point, to its far side."""
    towards = np.empty(points.shape, dtype=np.float64)
    step = max(1, BLOCK_VALUES // unit.size)
    for start in range(0, len(points), step):
        rows = slice(start, start + step)
        here = points[rows, None]
        questions = np.clip(here + lengths[rows, None, None].astype(np.float32) * unit, *value_range)
        counts = np.arange(len(unit)) < n_directions[rows, None]
        beyond = asked(questions[counts], np.repeat(owners[rows], n_directions[rows]))
        side = np.zeros(counts.shape)
        side[counts] = np.where(beyond, 1.0, -1.0)
        mean = side.sum(axis=1) / n_directions[rows]
        weights = np.where(counts, side - np.where(np.abs(mean) < 1, mean, 0.0)[:, None], 0.0)
        # what the clipping and float32 have left of the directions
        towards[rows] = np.matmul(weights[:, None].astype(np.float32), questions - here)[:, 0]
    norms = np.linalg.norm(towards, axis=1, keepdims=True)
    return towards / np.where(norms > 0, norms, 1.0)
