"""Singling out: predicates read off the release alone that hold for exactly one original."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from seepage.randomness import Seed, generator
from seepage.studies.release.typed import Typed

DRAWS = 2000  # of memberships, under "no leak"
TRIES = 40  # batches of candidates for predicates of several columns
MOST_MATCHES = 64  # originals on both sides; a predicate of more has no chance of exactly one on either

Table = Float64[np.ndarray, "samples columns"]


@dataclass(frozen=True)
class Predicates:
    """Conjunctions of conditions low <= x_j <= high.

    Attributes:
        columns: (predicates, conditions) which column each condition is about.
        low, high: (predicates, conditions) its ends; a category has both ends at its number.
    """

    columns: Int[np.ndarray, "predicates conditions"]
    low: Float64[np.ndarray, "predicates conditions"]
    high: Float64[np.ndarray, "predicates conditions"]

    def __len__(self) -> int:
        return len(self.columns)

    def matches(self, table: Table) -> Bool[np.ndarray, "predicates samples"]:
        """Which records each predicate holds for."""
        found, columns = np.ones((len(self), len(table)), dtype=bool), np.ascontiguousarray(table.T)
        for row, (places, low, high) in enumerate(zip(self.columns, self.low, self.high, strict=True)):
            for at, least, most in zip(places, low, high, strict=True):
                found[row] &= (least <= columns[at]) & (columns[at] <= most)
        return found

    def some(self, which: np.ndarray) -> Predicates:
        return Predicates(self.columns[which], self.low[which], self.high[which])

    def joined(self, other: Predicates) -> Predicates:
        """Those of both, each once."""
        parts = (np.concatenate(pair) for pair in zip(vars(self).values(), vars(other).values(), strict=True))
        both = Predicates(*parts)
        keys = np.column_stack([both.columns, both.low, both.high])
        return both.some(np.sort(np.unique(keys, axis=0, return_index=True)[1]))


def _none(conditions: int) -> Predicates:
    ends = np.empty((0, conditions))
    return Predicates(np.empty((0, conditions), dtype=np.int64), ends, ends)


def of_one_column(typed: Typed, release: Table, n: int, rng: Seed) -> Predicates:
    """Up to n predicates on one column, each of which holds for exactly one released record.

    Of a category: x = v, where v occurs once. Of a number: x <= the least and x >= the largest value, and
    |x - v| < half the gap to the next other value, where these values occur once.
    """
    rng = generator(rng)
    columns, low, high = [], [], []
    for at, attribute in enumerate(typed.attributes):
        values, counts = np.unique(release[:, at], return_counts=True)
        once = counts == 1
        if len(values) < 2 or not once.any():
            continue
        ends = [(values[once], values[once])]
        if attribute.is_number:
            steps = np.diff(values)
            half = np.minimum(np.append(steps, np.inf), np.insert(steps, 0, np.inf))[once] / 2
            inner = np.nextafter(values[once] - half, np.inf), np.nextafter(values[once] + half, -np.inf)
            below, above = values[:1][once[:1]], values[-1:][once[-1:]]
            ends = [inner, (np.full_like(below, -np.inf), below), (above, np.full_like(above, np.inf))]
        for least, most in ends:
            columns.append(np.full(len(least), at))
            low.append(least)
            high.append(most)
    if not columns:
        return _none(1)
    found = Predicates(*(np.concatenate(part)[:, None] for part in (columns, low, high)))
    return found.some(rng.permutation(len(found))[:n])


def of_several_columns(typed: Typed, release: Table, n: int, conditions: int, rng: Seed) -> Predicates:
    """Up to n predicates on `conditions` columns drawn at random, each of which holds for one released record alone.

    They are read off a released record: its categories, and numbers at least as far out as its own, seen from the
    median of the release. (Giomi et al. 2023, section 4.1, as we understand it.)
    """
    rng, conditions = generator(rng), min(conditions, len(typed.attributes))
    middle, found = np.median(release, axis=0), _none(conditions)
    numbers = np.array([attribute.is_number for attribute in typed.attributes])
    for _ in range(TRIES):
        columns = rng.random((n, len(numbers))).argpartition(conditions - 1, axis=1)[:, :conditions]
        columns.sort(axis=1)
        values = release[rng.integers(len(release), size=n)[:, None], columns]
        above, is_number = values > middle[columns], numbers[columns]
        candidates = Predicates(
            columns, np.where(is_number & ~above, -np.inf, values), np.where(is_number & above, np.inf, values)
        )
        found = found.joined(candidates.some(candidates.matches(release).sum(axis=1) == 1))
        if len(found) >= n:
            break
    return found.some(rng.permutation(len(found))[:n])


def at_random(typed: Typed, release: Table, n: int, conditions: int, rng: Seed) -> Predicates:
    """What somebody guesses who knows the columns and their values, and no record: thresholds and categories drawn
    uniformly from the range of the release, and which side of a threshold by a coin."""
    rng, conditions = generator(rng), min(conditions, len(typed.attributes))
    columns = rng.random((n, len(typed.attributes))).argpartition(conditions - 1, axis=1)[:, :conditions]
    low, high = np.empty(columns.shape), np.empty(columns.shape)
    for at, attribute in enumerate(typed.attributes):
        here, values = columns == at, np.unique(release[:, at])
        if attribute.is_number:
            cut, above = rng.uniform(values[0], values[-1], here.sum()), rng.random(here.sum()) < 0.5
            low[here], high[here] = np.where(above, cut, -np.inf), np.where(above, np.inf, cut)
        else:
            low[here] = high[here] = rng.choice(values, here.sum())
    return Predicates(columns, low, high)


@dataclass(frozen=True)
class SinglingOut:
    """How many predicates hold for exactly one member, and for exactly one control record.

    Attributes:
        attack, control: bool of each predicate.
        p_value: one-sided, of membership drawn at random among these originals, the predicates as they are.
        effect: by how much predicates that hold for the same people spread the difference: 1 where each is a witness
            of its own.
    """

    attack: Bool[np.ndarray, " predicates"]
    control: Bool[np.ndarray, " predicates"]
    p_value: float
    effect: float


def judged(predicates: Predicates, members: Table, control: Table, rng: Seed) -> SinglingOut:
    """Count on both sides, and draw memberships to see what counts without a leak.

        D = #(exactly one member) - #(exactly one control record),   effect = var D / (2 P p (1 - p))

    p being the rate over both sides, P the number of predicates. Both lists must be of one length: how many predicates
    hold exactly once depends on it.
    """
    rng = generator(rng)
    n = len(members)
    found = np.concatenate([predicates.matches(members), predicates.matches(control)], axis=1)
    attack, other = found[:, :n].sum(axis=1) == 1, found[:, n:].sum(axis=1) == 1
    totals = found.sum(axis=1)
    small = found[(totals > 0) & (totals <= MOST_MATCHES)]
    people = np.flatnonzero(small.any(axis=0))
    counts, total = small[:, people].astype(np.float32), small.sum(axis=1)
    drawn = np.empty(DRAWS)
    for start in range(0, DRAWS, 100):
        inside = np.zeros((2 * n, 100), dtype=np.float32)
        for place in range(100):
            inside[rng.permutation(2 * n)[:n], place] = 1
        held = np.rint(counts @ inside[people])
        drawn[start : start + 100] = ((held == 1).astype(int) - (total[:, None] - held == 1)).sum(axis=0)
    difference = int(attack.sum()) - int(other.sum())
    p = (attack.mean() + other.mean()) / 2
    plain = 2 * len(predicates) * p * (1 - p)
    effect = max(1.0, float((drawn**2).mean() / plain)) if plain else 1.0
    return SinglingOut(attack, other, (1 + int((drawn >= difference).sum())) / (1 + DRAWS), effect)
