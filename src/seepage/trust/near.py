"""Near non-members without a generator: new images made of records that no model and no attack meets.

Interpolated: two records of one class, half and half. Warped: one record, seen from a little elsewhere.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch.nn import functional as F

from seepage.errors import InputError
from seepage.models.images import Images
from seepage.randomness import Seed, generator

Labels = Int64[np.ndarray, " records"]
Pairs = Int64[np.ndarray, "pairs 2"]

FEWEST = 10  # images in a set that is judged
DEGREES, ZOOM, SHIFT = 10.0, 0.1, 2.0  # of a warp: at most so far turned, enlarged or reduced, and moved (pixels)


def pair_rows(labels: Labels, *, rng: Seed) -> Pairs:
    """Rows of one class, two by two, each in at most one pair, so that images made of them are independent.

    Raises:
        InputError: fewer than `FEWEST` pairs.

    >>> pair_rows(np.array([0, 1, 0, 1, 1] * 10), rng=0).shape
    (25, 2)
    """
    rng = generator(rng)
    pairs = []
    for one in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == one))
        pairs.append(rows[: len(rows) // 2 * 2].reshape(-1, 2))
    found = rng.permutation(np.concatenate(pairs)) if pairs else np.empty((0, 2), dtype=np.int64)
    if len(found) < FEWEST:
        raise InputError(
            f"interpolated non-members: {len(labels)} held-out records give {len(found)} pairs of one class, expected "
            f"at least {FEWEST}: give the study more records, or near=('warped',)"
        )
    return found


def interpolated(images: Images, pairs: Pairs) -> UInt8[np.ndarray, "pairs channels height width"]:
    """x = (a + b) / 2, rounded to even; a, b one pair.

    >>> two = np.array([10, 20, 0, 255], dtype=np.uint8).reshape(2, 1, 1, 2)
    >>> interpolated(two, np.array([[0, 1]])).ravel().tolist()
    [5, 138]

    Reference: Zhang et al. (2018), mixup (arXiv 1710.09412), equation 1. Deviations: a ratio of one half instead of a
        drawn one, and within a class.
    """
    a, b = (images[pairs[:, side]].astype(np.float64) for side in (0, 1))
    return np.round((a + b) / 2).astype(np.uint8)


def warped(images: Images, *, rng: Seed) -> Images:
    """Each image mirrored or not, turned by up to 10 degrees, scaled by up to 10 %, and moved by up to 2 pixels.

    All are drawn uniformly; pixels are read by bilinear interpolation, beyond the edge from the mirror image.
    """
    rng = generator(rng)
    n, _, height, width = images.shape
    angle = np.deg2rad(rng.uniform(-DEGREES, DEGREES, n))
    zoom = 1 + rng.uniform(-ZOOM, ZOOM, n)
    mirror = rng.choice([-1.0, 1.0], n)
    shift = rng.uniform(-SHIFT, SHIFT, (n, 2)) * 2 / np.array([width, height])  # the image's width is 2
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    rows = [np.stack([cos * mirror, -sin, shift[:, 0]], axis=1), np.stack([sin * mirror, cos, shift[:, 1]], axis=1)]
    grid = F.affine_grid(torch.from_numpy(np.stack(rows, axis=1)), list(images.shape), align_corners=False)
    seen = F.grid_sample(
        torch.from_numpy(images.astype(np.float64)), grid, padding_mode="reflection", align_corners=False
    )
    return seen.round().clamp(0, 255).to(torch.uint8).numpy()
