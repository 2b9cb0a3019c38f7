"""Augmented copies of a record, as the attacks with many queries ask for them."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from seepage.errors import InputError, unknown_name


@dataclass(frozen=True)
class Query:
    """One way of asking: mirrored or not, shifted by whole pixels, the edge filled with zeros."""

    flip: bool = False
    down: int = 0
    right: int = 0

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs (n, ...) as this query shows them to a model; the plain query returns them as they are."""
        if self == Query():
            return inputs
        if inputs.ndim != 4:
            raise InputError(f"augmented queries need images (n, channels, height, width), got shape {inputs.shape}")
        images = inputs[..., ::-1] if self.flip else inputs
        height, width = images.shape[-2:]
        moved = np.zeros_like(images)
        rows, columns = _overlap(self.down, height), _overlap(self.right, width)
        moved[..., rows[0], columns[0]] = images[..., rows[1], columns[1]]
        return moved


def _overlap(offset: int, size: int) -> tuple[slice, slice]:
    """Where a shift by `offset` writes to and reads from along an axis."""
    kept = max(0, size - abs(offset))
    to, source = max(0, offset), max(0, -offset)
    return slice(to, to + kept), slice(source, source + kept)


QUERIES: dict[str, tuple[Query, ...]] = {
    "none": (Query(),),
    "flip": (Query(), Query(flip=True)),
    # The 18 queries of Aerni, Zhang and Tramer (2024): two mirrorings times nine shifts.
    "flip-shift": tuple(Query(flip, down, right) for flip, down, right in product((False, True), *[(0, -4, 4)] * 2)),
}


def queries(name: str) -> tuple[Query, ...]:
    if name not in QUERIES:
        raise unknown_name("query set", name, QUERIES)
    return QUERIES[name]
