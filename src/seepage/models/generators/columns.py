"""What the values of a record are: the likelihood that a decoder gives them, and how they become records again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, groupby

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional as F

from seepage.data import Pool
from seepage.errors import InputError, unknown_name

KINDS = ("unit", "binary", "choice", "numeric")
HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class Columns:
    """The values of a flattened record in order, as runs (kind, number of values).

    | kind | the values | likelihood of one value x, given the decoder's r |
    |---|---|---|
    | unit | a level between 0 and 1, such as a grey value | log N(x; s(r), sigma^2), s the sigmoid, one sigma a run |
    | binary | 0 or 1 | x log s(r) + (1 - x) log(1 - s(r)) |
    | choice | one 1 among the values of the run, all others 0 | sum x log softmax(r) over the run |
    | numeric | any number | log N(x; r, sigma^2), one sigma for each |

    Raises:
        InputError: a kind is not known, or a run is empty.

    >>> Columns((("numeric", 2), ("choice", 3))).width
    5
    """

    runs: tuple[tuple[str, int], ...]

    def __post_init__(self):
        for kind, width in self.runs:
            if kind not in KINDS:
                raise unknown_name("kind of column", kind, KINDS)
            if isinstance(width, bool) or not isinstance(width, int) or width < (2 if kind == "choice" else 1):
                raise InputError(f"expected a positive number of values, and 2 or more to choose from, got {width!r}")
        object.__setattr__(self, "runs", tuple((str(kind), width) for kind, width in self.runs))

    @property
    def width(self) -> int:
        return sum(width for _, width in self.runs)

    @property
    def slices(self) -> list[tuple[str, slice]]:
        """Each run's kind and place."""
        ends = accumulate(width for _, width in self.runs)
        return [(kind, slice(end - width, end)) for (kind, width), end in zip(self.runs, ends, strict=True)]

    def of(self, *kinds: str) -> np.ndarray:
        """The places of all values of these kinds."""
        picked = [np.arange(at.start, at.stop) for kind, at in self.slices if kind in kinds]
        return np.concatenate([np.empty(0, dtype=np.int64), *picked])

    @classmethod
    def guess(cls, pool: Pool) -> Columns:
        """What the values look like.

        Of a table that knows its columns, each column of categories is a choice, and numbers are binary or numbers.

        Otherwise, uint8: 0 and 1 alone are binary; images, and whatever has a scale, are levels; the rest are numbers.
        float32: images are levels. In a table, neighbouring columns of 0 and 1 that sum to 1 in every record are a
        choice, other columns of 0 and 1 are binary, and the rest are levels if all lie in [0, 1], and else numbers.
        """
        inputs = np.asarray(pool.inputs)
        flat = inputs.reshape(len(inputs), -1)
        if pool.columns is not None:
            return cls(tuple(_of_table(pool.columns, flat)))
        width, image = flat.shape[1], inputs.ndim > 2
        if inputs.dtype == np.uint8 and flat.max() <= 1:
            return cls((("binary", width),))
        if image or pool.scale != 1:
            return cls((("unit", width),))
        zero_one = ((flat == 0) | (flat == 1)).all(axis=0)
        inside = bool((flat >= 0).all() and (flat <= 1).all())
        found: list[tuple[str, int]] = []
        start = 0
        while start < width:
            n_choices = _choice_from(flat, zero_one, start)
            if n_choices:
                found.append(("choice", n_choices))
            else:
                found.append(("binary" if zero_one[start] else "unit" if inside else "numeric", 1))
            start += max(1, n_choices)
        if inside and not zero_one.all() and not any(kind == "choice" for kind, _ in found):
            return cls((("unit", width),))  # a level that only takes 0 and 1 here is a level still
        return cls(tuple(_joined(found)))


def _of_table(named: tuple[tuple[str, str | None], ...], flat: np.ndarray) -> list[tuple[str, int]]:
    runs: list[tuple[str, int]] = []
    for (_, is_number), some in groupby(range(len(named)), lambda at: (named[at][0], named[at][1] is None)):
        places = list(some)
        if is_number:
            zero_one = ((flat[:, places] == 0) | (flat[:, places] == 1)).all()
            runs.append(("binary" if zero_one else "numeric", len(places)))
        else:  # a column of one category says nothing, and a choice needs two
            runs.append(("choice", len(places)) if len(places) > 1 else ("binary", 1))
    return _joined(runs)


def _choice_from(flat: np.ndarray, zero_one: np.ndarray, start: int) -> int:
    """How many columns from `start` on sum to 1 in every record; 0 if none do, or a single one."""
    total = np.zeros(len(flat), dtype=np.int64)
    for place in range(start, flat.shape[1]):
        if not zero_one[place]:
            return 0
        total += flat[:, place].astype(np.int64)
        if total.max() > 1:
            return 0
        if total.min() == 1:
            return place - start + 1 if place > start else 0
    return 0


def _joined(runs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Neighbours of one kind as one run, choices excepted."""
    joined: list[tuple[str, int]] = []
    for kind, width in runs:
        if joined and joined[-1][0] == kind != "choice":
            joined[-1] = (kind, joined[-1][1] + width)
        else:
            joined.append((kind, width))
    return joined


def log_likelihood(
    raw: Float[Tensor, "batch values"],
    x: Float[Tensor, "batch values"],
    columns: Columns,
    log_sigma: Float[Tensor, " values"],
) -> Float[Tensor, " batch"]:
    """log p(x | z) of each record, summed over its values, in nats; see `Columns`."""
    total = raw.new_zeros(len(raw))
    for kind, at in columns.slices:
        r, value = raw[:, at], x[:, at]
        if kind == "choice":
            each = value * F.log_softmax(r, dim=1)
        elif kind != "binary":
            # Grey values as chances of a coin carry so little that most dimensions of a code would go unused.
            mean, width = (r.sigmoid(), log_sigma[at].mean()) if kind == "unit" else (r, log_sigma[at])
            each = -0.5 * ((value - mean) * (-width).exp()).square() - width - HALF_LOG_TWO_PI
        else:
            each = -F.binary_cross_entropy_with_logits(r, value, reduction="none")
        total = total + each.sum(dim=1)
    return total


def means(raw: Float[Tensor, "batch values"], columns: Columns) -> Float[Tensor, "batch values"]:
    """The expectation of each value: levels in [0, 1], probabilities, and numbers as the decoder gives them."""
    parts = []
    for kind, at in columns.slices:
        r = raw[:, at]
        parts.append(r.softmax(dim=1) if kind == "choice" else r if kind == "numeric" else r.sigmoid())
    return torch.cat(parts, dim=1)


def settle(
    expected: Float32[np.ndarray, "samples values"],
    columns: Columns,
    sigma: Float32[np.ndarray, " values"],
    rng: np.random.Generator | None,
) -> Float32[np.ndarray, "samples values"]:
    """Records out of expectations: the likeliest value where `rng` is None, else one that is drawn.

    Levels keep their expectation either way: what is random about them is not what the likelihood says.
    """
    settled = np.array(expected, dtype=np.float32)
    for kind, at in columns.slices:
        p = expected[:, at]
        if kind == "binary":
            settled[:, at] = p > 0.5 if rng is None else rng.random(p.shape) < p
        elif kind == "choice":
            # The largest of log p + Gumbel noise is a draw from p.
            noise = 0 if rng is None else rng.gumbel(size=p.shape)
            best = (np.log(np.maximum(p, 1e-30)) + noise).argmax(axis=1)
            settled[:, at] = best[:, None] == np.arange(p.shape[1])
        elif kind == "numeric" and rng is not None:
            settled[:, at] = p + sigma[at] * rng.standard_normal(p.shape)
    return settled
