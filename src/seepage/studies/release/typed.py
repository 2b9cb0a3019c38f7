"""Records as a table of typed columns, one for each attribute of a person, and distances between its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from jaxtyping import Bool, Float64, Int
from scipy.spatial.distance import cdist

from seepage.data import Pool
from seepage.models.generators.columns import Columns
from seepage.randomness import Seed, generator

LABEL = "label"
BLOCK_PAIRS = 2**21
TIE = 1e-9  # of a column's range: smaller gaps than this are drawn lots for


@dataclass(frozen=True)
class Attribute:
    """A column: a number of known range over all records, or a category."""

    name: str
    is_number: bool
    scale: float  # of numbers, the range; 0 where all records agree
    deviation: float  # of numbers, over the originals

    @property
    def is_constant(self) -> bool:
        return self.scale == 0


@dataclass(frozen=True)
class Typed:
    """Release, members and hold-out in the same columns.

    Attributes:
        attributes: the columns; what agrees in all records is left out.
        constant: names of the columns that are left out.
        release, members, holdout: (samples, columns) float64; of a category its number.
        shape: of an image, (channels, height, width); None for a table. The label, if any, is the last column.
    """

    attributes: tuple[Attribute, ...]
    constant: tuple[str, ...]
    release: Float64[np.ndarray, "released columns"]
    members: Float64[np.ndarray, "members columns"]
    holdout: Float64[np.ndarray, "others columns"]
    shape: tuple[int, ...] | None
    places: tuple[int, ...]  # of the kept columns among all

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(attribute.name for attribute in self.attributes)

    @classmethod
    def of(cls, release: Pool, members: Pool, holdout: Pool) -> Typed:
        """The three pools in typed columns.

        Columns that a pool knows by name are read by it, one-hot values as one category. Other values are what they
        look like in the originals (`Columns.guess`). The label is a category. Numbers that are whole in all originals
        are rounded in the release, as a release that is saved as a table has them.
        """
        pools = (release, members, holdout)
        values = [np.asarray(pool.batch(), np.float64).reshape(len(pool), -1) for pool in pools]
        parts: list[list[np.ndarray]] = [[], [], []]
        kinds: list[tuple[str, bool]] = []
        for name, is_number, places in _named(members, holdout):
            kinds.append((name, is_number))
            for part, flat in zip(parts, values, strict=True):
                part.append(flat[:, places[0]] if is_number else _category(flat[:, places]))
        if all(pool.labels is not None for pool in pools):
            kinds.append((LABEL, False))
            for part, pool in zip(parts, pools, strict=True):
                part.append(pool.labels.astype(np.float64))
        tables = [np.column_stack(part) for part in parts]
        originals = np.concatenate(tables[1:])
        numbers = np.array([is_number for _, is_number in kinds])
        whole = numbers & (originals == np.rint(originals)).all(axis=0)
        tables[0][:, whole] = np.rint(tables[0][:, whole])
        spans = np.ptp(np.concatenate(tables), axis=0)
        spread = originals.std(axis=0)
        every = [Attribute(*kinds[at], float(spans[at]), float(spread[at])) for at in range(len(kinds))]
        kept = [at for at, attribute in enumerate(every) if not attribute.is_constant]
        return cls(
            tuple(every[at] for at in kept),
            tuple(attribute.name for attribute in every if attribute.is_constant),
            *(table[:, kept] for table in tables),
            shape=members.inputs.shape[1:] if members.inputs.ndim > 2 else None,
            places=tuple(kept),
        )

    def distances(
        self, rows: Float64[np.ndarray, "rows columns"], columns: Sequence[int]
    ) -> Float64[np.ndarray, "rows released"]:
        """Gower's distance of each row to each released record, in these columns, summed and not averaged.

            d(a, b) = sum over numbers of |a_j - b_j| / range_j + sum over categories of [a_j != b_j]

        Reference: Gower (1971), Biometrics 27(4).
        """
        numbers = [at for at in columns if self.attributes[at].is_number]
        total = np.zeros((len(rows), len(self.release)))
        if numbers:
            scales = np.array([self.attributes[at].scale for at in numbers])
            total += cdist(rows[:, numbers] / scales, self.release[:, numbers] / scales, "cityblock")
        for at in columns:
            if not self.attributes[at].is_number:
                total += rows[:, at, None] != self.release[None, :, at]
        return total

    def nearest(
        self,
        rows: Float64[np.ndarray, "rows columns"],
        known: Sequence[Sequence[int]],
        k: int,
        rng: Seed,
    ) -> list[Int[np.ndarray, "rows k"]]:
        """The k nearest released records of each row, for every set of known columns; ties are drawn lots for.

        Lots are drawn anew for each row and each set: a fixed order would send all rows that agree with many released
        records to the same one.
        """
        rng = generator(rng)
        every = range(len(self.attributes))
        found = [np.empty((len(rows), k), dtype=np.int64) for _ in known]
        n_rows = max(1, BLOCK_PAIRS // len(self.release))
        for start in range(0, len(rows), n_rows):
            block = rows[start : start + n_rows]
            whole = self.distances(block, every) if len(known) > 2 else None
            for place, columns in enumerate(known):
                missing = [at for at in every if at not in set(columns)]
                if whole is not None and len(missing) < len(columns):
                    gaps = whole - self.distances(block, missing)
                else:
                    gaps = self.distances(block, columns)
                gaps += TIE * rng.random(gaps.shape, dtype=np.float32)
                least = gaps.argmin(axis=1)[:, None] if k == 1 else np.argpartition(gaps, k - 1, axis=1)[:, :k]
                found[place][start : start + len(block)] = least
        return found


def _named(*originals: Pool) -> list[tuple[str, bool, list[int]]]:
    """(name, whether it is a number, places) of each column of a record."""
    pool = originals[0]
    if pool.columns is not None:
        return _of_names(pool.columns, np.concatenate([one.inputs.reshape(len(one), -1) for one in originals]))
    seen = Pool(np.concatenate([one.inputs for one in originals]), scale=pool.scale)
    columns = []
    for kind, at in Columns.guess(seen).slices:
        places = list(range(at.start, at.stop))
        if kind == "choice":
            columns.append((f"x{at.start} to x{at.stop - 1}", False, places))
        else:
            columns += [(f"x{place}", kind != "binary", [place]) for place in places]
    return columns


def _of_names(names: tuple[tuple[str, str | None], ...], flat: np.ndarray) -> list[tuple[str, bool, list[int]]]:
    columns = []
    for (name, is_number), some in groupby(range(len(names)), lambda at: (names[at][0], names[at][1] is None)):
        places = list(some)
        if is_number:
            zero_one = ((flat[:, places] == 0) | (flat[:, places] == 1)).all(axis=0)
            columns += [(name, not zero_one[at], [place]) for at, place in enumerate(places)]
        else:
            columns.append((name, False, places))
    return columns


def _category(one_hot: Float64[np.ndarray, "samples values"]) -> Float64[np.ndarray, " samples"]:
    """The number of the category; of one column alone, its value; -1 where none is set."""
    if one_hot.shape[1] == 1:
        return one_hot[:, 0]
    return np.where(one_hot.max(axis=1) > 0, one_hot.argmax(axis=1), -1).astype(np.float64)


def same(
    guesses: Float64[np.ndarray, "*shape"], truth: Float64[np.ndarray, "*shape"], attribute: Attribute, tolerance: float
) -> Bool[np.ndarray, "*shape"]:
    """Whether a guess is right: a category exactly, a number within `tolerance` standard deviations."""
    if attribute.is_number:
        return np.abs(guesses - truth) <= tolerance * attribute.deviation
    return guesses == truth
