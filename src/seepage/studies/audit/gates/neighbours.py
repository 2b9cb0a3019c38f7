"""Are records of one side near-copies of the other's, or kept together on one side? Nearest neighbours tell."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64
from scipy.special import ndtr
from scipy.stats import binom

from seepage.data.traits import positions
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.gates.blind import some_of_both
from seepage.studies.audit.gates.check import GATE_LEVEL, Check, failed, not_run, passed

MOST_RECORDS = 20_000
MOST_QUERIES = 1000
LEAST_SIDE = 20
# A neighbour at less than this share of the distance of the next one is a near-copy; such pairs share no record.
CLOSE = 0.5
DOUBTFUL = 0.05  # p-values below it are found by shuffling
SHUFFLES = 20_000
_BLOCK = 250


class Neighbours(NamedTuple):
    """How many nearest neighbours are on the other side, among all and among near-copies, against chance."""

    n: int
    split: int
    expected: float
    pairs: int
    split_pairs: int
    expected_pairs: float
    p_many: float
    p_few: float


def near_copies(evidence: Evidence, rows: np.ndarray, rng: np.random.Generator) -> Check:
    """Near-copies of members among the non-members hide a leak; neighbours kept together feign one."""
    name, question = "near-copies", "Are neighbouring records on the same side as often as chance has it?"
    if evidence.records is None:
        return not_run(name, question, "no records were given", "audit with the records themselves")
    chosen = some_of_both(evidence, rows, MOST_RECORDS, rng)
    members = evidence.membership.targets[chosen, 0]
    if min(members.sum(), (~members).sum()) < LEAST_SIDE:
        return not_run(name, question, f"fewer than {LEAST_SIDE} records on a side", "audit more records")
    points, mirrored = positions(evidence.records.batch(chosen), rng=rng)
    found = count_neighbours(points, mirrored, members, rng)
    detail = (
        f"{found.split} of {found.n} records have their nearest neighbour on the other side (by chance "
        f"{found.expected:.0f}); of {found.pairs} pairs of near-copies {found.split_pairs} are split over the sides "
        f"(by chance {found.expected_pairs:.0f})"
    )
    if found.p_many < GATE_LEVEL:
        way_out = "remove non-members that are copies of members (another encoding, crop, edit or repeat of the same)"
        return failed(name, question, f"{detail}; p = {found.p_many:.2g}", way_out, guards="absence")
    if found.p_few < GATE_LEVEL:
        way_out = (
            "take both sides from one source; of records that belong together (copies, frames, texts or visits of "
        )
        way_out += "one person) keep one, or draw each record's membership by a coin of its own"
        return failed(name, question, f"{detail}; p = {found.p_few:.2g}", way_out)
    return passed(name, question, detail)


def count_neighbours(
    points: Float[np.ndarray, "records dimensions"],
    mirrored: Float[np.ndarray, "records dimensions"],
    members: Bool[np.ndarray, " records"],
    rng: np.random.Generator,
) -> Neighbours:
    """Count nearest neighbours across the sides, and judge the count against random membership.

    The first records (in random order) are asked for their nearest neighbour among all, a mirrored one counts. Under
    random membership each of these edges joins the sides with probability 2 n_in n_out / (n (n - 1)); the count has
    the permutation variance, in which edges that share a record are correlated (Schilling; Henze). Near-copies are
    edges shorter than half the distance to the next neighbour; they share no record (by the triangle inequality).
    Where the normal law of the one count or the binomial one of the other gives less than 0.05, membership is shuffled
    20,000 times over the edges instead: hubs, and copies of everything, make these laws fail. Each direction is twice
    the smaller of its two p-values, twice again for the two directions.

    Reference: Schilling (1986), JASA 81(395); Henze (1988), Annals of Statistics 16(2). Near-copies are ours.
    """
    n, n_in = len(points), int(members.sum())
    n_out = n - n_in
    nearest, closeness = _nearest(points, mirrored)
    asked = np.arange(len(nearest))
    is_split = members[asked] != members[nearest]
    chance = 2 * n_in * n_out / (n * (n - 1))

    edges = np.sort(np.stack([asked, nearest], axis=1), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    degrees = np.bincount(edges.ravel(), minlength=n)
    same = (counts**2).sum()  # ordered pairs of edges: the same two records, one in common, none
    one = (degrees**2).sum() - 2 * same
    none = len(edges) ** 2 - one - same
    both_of_one = n_in * n_out / (n * (n - 1))
    both_of_none = 4 * n_in * (n_in - 1) * n_out * (n_out - 1) / (n * (n - 1) * (n - 2) * (n - 3))
    mean = len(edges) * chance
    variance = same * chance + one * both_of_one + none * both_of_none - mean**2
    sd = np.sqrt(max(variance, 1e-12))
    split = int(is_split.sum())

    close = np.unique(edges[closeness < CLOSE], axis=0)
    split_pairs = int((members[close[:, 0]] != members[close[:, 1]]).sum())
    p_many = [ndtr(-(split - mean - 0.5) / sd), binom.sf(split_pairs - 1, len(close), chance)]
    p_few = [ndtr((split - mean + 0.5) / sd), binom.cdf(split_pairs, len(close), chance)]
    if min(p_many + p_few) < DOUBTFUL:
        p_many, p_few = _shuffled([(edges, split), (close, split_pairs)], n_in, n, rng)
    return Neighbours(
        len(edges),
        split,
        mean,
        len(close),
        split_pairs,
        len(close) * chance,
        min(1.0, 4 * float(min(p_many))),
        min(1.0, 4 * float(min(p_few))),
    )


def _shuffled(counted: list[tuple[np.ndarray, int]], n_in: int, n: int, rng: np.random.Generator):
    """p-values, of as many splits or more and of as many or fewer, by shuffled membership of the edges' records."""
    ends = np.unique(np.concatenate([edges.ravel() for edges, _ in counted]))
    counted = [(np.searchsorted(ends, edges), found) for edges, found in counted]
    as_many, as_few = np.zeros((2, len(counted)))
    for start in range(0, SHUFFLES, _BLOCK):
        size = min(_BLOCK, SHUFFLES - start)
        inside = rng.hypergeometric(n_in, n - n_in, len(ends), size=size)
        keys = rng.random((size, len(ends)))
        # The records with the smallest keys are the members, as many as were drawn.
        edge = np.sort(keys, axis=1)[np.arange(size), np.maximum(inside, 1) - 1]
        drawn = (keys <= edge[:, None]) & (inside > 0)[:, None]
        for at, (edges, found) in enumerate(counted):
            split = (drawn[:, edges[:, 0]] != drawn[:, edges[:, 1]]).sum(axis=1)
            as_many[at] += (split >= found).sum()
            as_few[at] += (split <= found).sum()
    return [(1 + as_many) / (1 + SHUFFLES), (1 + as_few) / (1 + SHUFFLES)]


def _nearest(
    points: np.ndarray, mirrored: np.ndarray
) -> tuple[Int64[np.ndarray, " asked"], Float64[np.ndarray, " asked"]]:
    """Nearest other record of the first records, and its distance over that of the second nearest."""
    size = (points**2).sum(axis=1)
    n_asked = min(MOST_QUERIES, len(points))
    nearest, closeness = np.empty(n_asked, dtype=np.int64), np.empty(n_asked)
    for start in range(0, n_asked, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, n_asked))
        inner = points[rows] @ points.T
        if mirrored is not points:
            inner = np.maximum(inner, mirrored[rows] @ points.T)
        squared = np.maximum(size[rows, None] + size - 2 * inner, 0)
        squared[np.arange(len(rows)), rows] = np.inf
        nearest[rows] = squared.argmin(axis=1)
        first = squared[np.arange(len(rows)), nearest[rows]].copy()
        squared[np.arange(len(rows)), nearest[rows]] = np.inf
        second = squared.min(axis=1)
        closeness[rows] = np.sqrt(np.divide(first, second, out=np.ones(len(rows)), where=second > 0))
    return nearest, closeness
