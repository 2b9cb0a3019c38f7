"""Augmented copies of a record, as the attacks with many queries ask for them."""

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from seepage.errors import InputError, unknown_name
from seepage.options import Options


@dataclass(frozen=True)
class Query(Options):
    """One way of asking: mirrored or not, then turned, then shifted by whole pixels.

    Args:
        flip: mirror left and right.
        down, right: shift by so many pixels.
        degrees: turn anticlockwise about the centre by so much; bilinear, and what comes from outside is the nearest
            pixel of the edge.
        fill: what a shift leaves free: "zeros", or the "nearest" pixel of the edge.
    """

    flip: bool = False
    down: int = 0
    right: int = 0
    degrees: float = 0.0
    fill: Literal["zeros", "nearest"] = "zeros"

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Inputs (n, ...) as this query shows them to a model; the plain query returns them as they are."""
        if self == Query():
            return inputs
        if inputs.ndim != 4:
            raise InputError(f"augmented queries need images (n, channels, height, width), got shape {inputs.shape}")
        images = inputs[..., ::-1] if self.flip else inputs
        if self.degrees:
            images = _turned(images, self.degrees)
        height, width = images.shape[-2:]
        if self.fill == "nearest":
            rows, columns = _nearest(self.down, height), _nearest(self.right, width)
            return images[..., rows[:, None], columns]
        moved = np.zeros_like(images)
        rows, columns = _overlap(self.down, height), _overlap(self.right, width)
        moved[..., rows[0], columns[0]] = images[..., rows[1], columns[1]]
        return moved


def _overlap(offset: int, size: int) -> tuple[slice, slice]:
    """Where a shift by `offset` writes to and reads from along an axis."""
    kept = max(0, size - abs(offset))
    to, source = max(0, offset), max(0, -offset)
    return slice(to, to + kept), slice(source, source + kept)


def _nearest(offset: int, size: int) -> np.ndarray:
    """Where each place of an axis reads from after a shift by `offset`, its ends repeated."""
    return np.clip(np.arange(size) - offset, 0, size - 1)


def _turned(images: np.ndarray, degrees: float) -> np.ndarray:
    from scipy import ndimage

    return ndimage.rotate(images, degrees, axes=(-2, -1), reshape=False, order=1, mode="nearest")


def turns(degrees: int) -> tuple[Query, ...]:
    """The plain query, then turns by 1, 2, ..., `degrees` degrees to either side.

    Deviation: the code of Choquette-Choo et al. (2021) gives no turn at all for 1 degree, turns with cubic splines and
    fills with zeros.
    """
    return Query(), *(Query(degrees=float(sign * turn)) for turn in range(1, degrees + 1) for sign in (-1, 1))


def shifts(distance: int) -> tuple[Query, ...]:
    """The plain query, then the 4 `distance` shifts by so many pixels down or up and right or left together.

    As in the code of Choquette-Choo et al. (2021): |down| + |right| = distance, filled from the edge.
    """
    offsets = range(-distance, distance + 1)
    sphere = [(down, right) for down, right in product(offsets, offsets) if abs(down) + abs(right) == distance]
    return Query(), *(Query(down=down, right=right, fill="nearest") for down, right in sphere)


QUERIES: dict[str, tuple[Query, ...]] = {
    "none": (Query(),),
    "flip": (Query(), Query(flip=True)),
    # The 18 queries of Aerni, Zhang and Tramer (2024): two mirrorings times nine shifts.
    "flip-shift": tuple(Query(flip, down, right) for flip, down, right in product((False, True), *[(0, -4, 4)] * 2)),
    # Choquette-Choo et al. (2021).
    "rotate": turns(4),
    "translate": shifts(1),
}


def queries(name: str) -> tuple[Query, ...]:
    if name not in QUERIES:
        raise unknown_name("query set", name, QUERIES)
    return QUERIES[name]
