"""Near non-members: new images that are like the target's own, made of records that no model and no attack meets.

Interpolated: two records of one class, half and half; blended: the same with the contrast that halving takes. Warped:
one record, seen from a little elsewhere. Generated: by a GAN that is trained on those records. Or images of the user's,
from a file or a generator.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from rich.console import Console
from rich.progress import Progress
from torch.nn import functional as F

from seepage.data import Pool
from seepage.data.files import read_arrays
from seepage.errors import InputError, unknown_name
from seepage.models.generators import train_gan
from seepage.models.images import BYTE_RANGE, Images, to_shape
from seepage.models.outputs import labels_from
from seepage.outside import from_outside
from seepage.randomness import Seed, generator
from seepage.writing import make_folder

Others = UInt8[np.ndarray, "others channels height width"]
Labels = Int64[np.ndarray, " records"]
Pairs = Int64[np.ndarray, "pairs 2"]

FEWEST = 10  # images in a set that is judged
DEGREES, ZOOM, SHIFT = 10.0, 0.1, 1 / 16  # of a warp: at most so far turned, scaled, and moved (of the side)
NEAR = {
    "blended": "two held-out records of one class, half and half, stretched to their mean contrast; each record "
    "is used once",
    "interpolated": "two held-out records of one class, half and half; each record is used once",
    "warped": "one held-out record each: turned by up to 10 degrees, scaled by up to 10 %, moved by up to 1/16 of "
    "its side",
    "generated": "images of a class-conditional GAN that is trained on the held-out records",
}
BY_DEFAULT = ("blended", "warped")  # the first by the rule of benchmarks/near_sets.py


class Sampler(Protocol):
    """What makes images: `seepage.models.generators`."""

    def sample(self, labels: np.ndarray, rng: np.random.Generator) -> Images: ...


Near = str | os.PathLike | Sampler


def check_near(near: Sequence[Near] | Near | None) -> tuple[Near, ...]:
    """What is asked for as near non-members, each once: names of `NEAR`, at most one file or generator of the user's.

    Raises:
        InputError: a name that is not known, or two sets of the user's.

    >>> check_near("warped"), check_near("none"), check_near(["images.npz", "warped"])
    (('warped',), (), ('images.npz', 'warped'))
    """
    if near is None or near == "none":
        return ()
    if isinstance(near, (str, os.PathLike)) or not isinstance(near, Sequence):
        near = (near,)
    asked = [one for at, one in enumerate(near) if one not in near[:at]]
    for one in asked:
        if isinstance(one, str) and one not in NEAR and not Path(one).suffix:
            raise unknown_name("set of near non-members", one, [*NEAR, "a .npz file with 'images'"])
        if not isinstance(one, (str, os.PathLike)) and not callable(getattr(one, "sample", None)):
            raise InputError(
                f"near: expected names of {', '.join(NEAR)}, a .npz file or a generator with sample(labels, rng), got "
                f"{one!r}"
            )
    if sum(not is_named(one) for one in asked) > 1:
        raise InputError("near: expected at most one file or generator of your own, got several: join their images")
    return tuple(asked)


def is_named(one: Near) -> bool:
    return isinstance(one, str) and one in NEAR


def pair_rows(labels: Labels, *, rng: Seed) -> Pairs:
    """Rows of one class, two by two, each in at most one pair, so that images made of them are independent.

    Raises:
        InputError: fewer than `FEWEST` pairs.

    >>> pair_rows(np.array([0, 1, 0, 1, 1] * 10), rng=0).shape
    (25, 2)
    """
    rng = generator(rng)
    pairs = [np.empty((0, 2), dtype=np.int64)]
    for one in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == one))
        pairs.append(rows[: len(rows) // 2 * 2].reshape(-1, 2))
    found = rng.permutation(np.concatenate(pairs))
    if len(found) < FEWEST:
        raise InputError(
            f"blended, interpolated non-members: {len(labels)} held-out records give {len(found)} pairs of one class, "
            f"expected at least {FEWEST}: use more records, or leave them out of near"
        )
    return found


def interpolated(images: Images, pairs: Pairs) -> UInt8[np.ndarray, "pairs channels height width"]:
    """x = (a + b) / 2, a half rounded to the even neighbour; a, b one pair.

    >>> two = np.array([10, 20, 0, 255], dtype=np.uint8).reshape(2, 1, 1, 2)
    >>> interpolated(two, np.array([[0, 1]])).ravel().tolist()
    [5, 138]

    Reference: Zhang et al. (2018), mixup (arXiv 1710.09412), equation 1. Deviations: a ratio of one half instead of a
        drawn one, and within a class.
    """
    a, b = (images[pairs[:, side]].astype(np.float64) for side in (0, 1))
    return np.round((a + b) / 2).astype(np.uint8)


def blended(images: Images, pairs: Pairs) -> UInt8[np.ndarray, "pairs channels height width"]:
    """m = (a + b) / 2, x = mean(m) + (m - mean(m)) (sd(a) + sd(b)) / (2 sd(m)), rounded and cut to 0 to 255.

    Means and deviations are over all values of an image. Halving takes contrast, by which an image is told from a real
    one; a flat m stays as it is.

    >>> two = np.array([100, 140, 100, 100], dtype=np.uint8).reshape(2, 1, 1, 2)
    >>> blended(two, np.array([[0, 1]])).ravel().tolist()  # m is 100, 120 with deviation 10; the parents' are 20 and 0
    [100, 120]
    >>> two = np.array([100, 140, 0, 0], dtype=np.uint8).reshape(2, 1, 1, 2)
    >>> blended(two, np.array([[0, 0]])).ravel().tolist()
    [100, 140]
    """
    axes = (1, 2, 3)
    a, b = (images[pairs[:, side]].astype(np.float64) for side in (0, 1))
    half = (a + b) / 2
    middle, spread = half.mean(axis=axes, keepdims=True), half.std(axis=axes, keepdims=True)
    wanted = (a.std(axis=axes, keepdims=True) + b.std(axis=axes, keepdims=True)) / 2
    stretched = middle + (half - middle) * np.where(spread > 0, wanted / np.where(spread > 0, spread, 1), 1)
    return np.round(stretched).clip(0, 255).astype(np.uint8)


def warped(images: Images, *, rng: Seed) -> Images:
    """Each image turned by up to 10 degrees, scaled by up to 10 %, and moved by up to 1/16 of its side, both ways.

    All are drawn uniformly; pixels are read by bilinear interpolation, beyond the edge from the mirror image. Not
    mirrored: a digit or a letter would be none.
    """
    rng = generator(rng)
    n = len(images)
    angle = np.deg2rad(rng.uniform(-DEGREES, DEGREES, n))
    zoom = 1 + rng.uniform(-ZOOM, ZOOM, n)
    shift = 2 * rng.uniform(-SHIFT, SHIFT, (n, 2))  # the image is 2 wide
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    rows = [np.stack([cos, -sin, shift[:, 0]], axis=1), np.stack([sin, cos, shift[:, 1]], axis=1)]
    grid = F.affine_grid(torch.from_numpy(np.stack(rows, axis=1)), list(images.shape), align_corners=False)
    seen = F.grid_sample(
        torch.from_numpy(images.astype(np.float64)), grid, padding_mode="reflection", align_corners=False
    )
    return seen.round().clamp(0, 255).to(torch.uint8).numpy()


PAIRED = {"blended": blended, "interpolated": interpolated}


def copies(images: Images, of: Others) -> np.ndarray:
    """Which images are, pixel by pixel, among others."""
    known = {image.tobytes() for image in of}
    return np.array([image.tobytes() in known for image in images], dtype=bool)


def distinct(images: Images, members: Others, what: str) -> tuple[Int64[np.ndarray, " kept"], str]:
    """Rows without exact copies of training records and without repetitions, and what was left out, in words.

    Raises:
        InputError: most of them are copies, or fewer than `FEWEST` are left.
    """
    is_copy = copies(images, members)
    if 2 * is_copy.sum() > len(images):
        raise InputError(
            f"{what}: {int(is_copy.sum())} of {len(images)} images are exact copies of records that the models are "
            "trained on: members, not non-members; give images that no model was trained on"
        )
    first = {image.tobytes(): row for row, image in reversed(list(enumerate(images)))}
    kept = np.array(sorted(row for row in first.values() if not is_copy[row]), dtype=np.int64)
    if len(kept) < FEWEST:
        raise InputError(f"{what}: {len(kept)} different images that are no members, expected at least {FEWEST}")
    n_repeated = len(images) - int(is_copy.sum()) - len(kept)
    told = [f"{int(is_copy.sum())} exact copies of training records left out"] * bool(is_copy.any())
    told += [f"{n_repeated} repeated images left out"] * bool(n_repeated)
    return kept, "; ".join(told)


def read_images(path: str | os.PathLike) -> tuple[Images, Labels | None]:
    """The user's own images, and their labels where the file has any.

    Raises:
        InputError: not images (records, channels, height, width) as bytes or as values from 0 to 1.
        DataFileError: the file cannot be read.
    """
    arrays = read_arrays(path)
    if "images" not in arrays:
        raise InputError(f"{path}: expected an array 'images', got {', '.join(arrays) or 'none'}")
    images = arrays["images"]
    got = f"got {images.dtype} of shape {images.shape}"
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        last = images.ndim == 4 and images.shape[3] in (1, 3)
        way_out = ": move the channels with images.transpose(0, 3, 1, 2)" if last else ""
        raise InputError(
            f"{path}: expected generated images as uint8 (records, 1 or 3 channels, height, width), {got}{way_out}"
        )
    if images.dtype != np.uint8:
        low, high = (float(np.min(images)), float(np.max(images))) if images.dtype.kind in "fiu" else (np.nan, np.nan)
        if images.dtype.kind != "f" or not (low >= 0 and high <= 1):
            raise InputError(
                f"{path}: expected images as uint8 from 0 to 255, or real numbers from 0 to 1, {got} with values from "
                f"{low:.3g} to {high:.3g}: rescale them"
            )
        images = np.round(images * BYTE_RANGE).astype(np.uint8)
    if images.max() <= 1:
        raise InputError(
            f"{path}: expected images as uint8 from 0 to 255, and no value is above 1 of 255: they are black; multiply "
            "values from 0 to 1 by 255 before they become bytes"
        )
    labels = arrays.get("labels")
    if labels is not None and np.shape(labels) != (len(images),):
        raise InputError(f"{path}: expected one label an image, {len(images)} of them, got shape {np.shape(labels)}")
    return images, labels


def sampled(made: Sampler, n_classes: int, shape: tuple[int, int, int], n: int, *, rng: Seed) -> tuple[Images, Labels]:
    """Images of a generator, as many of each class, and the classes that it was asked for."""
    rng, labels = generator(rng), np.arange(n) % n_classes
    with from_outside(f"the generator could not make {n} images of {n_classes} classes"):
        return to_shape(made.sample(labels, rng), shape), labels


def trained_gan(pool: Pool, *, n_steps: int, width: int, folder: Path, progress: bool, rng: Seed) -> Sampler:
    make_folder(folder)
    with Progress(console=Console(stderr=True), disable=not progress) as bar:
        task = bar.add_task("generator", total=1.0)
        report: Callable[[float], None] = lambda done: bar.update(task, completed=done)  # noqa: E731
        return train_gan(pool, n_steps=n_steps, width=width, rng=rng, folder=folder, report=report)


def make_near(
    one: Near, held_out: Pool, n: int, *, gan: Callable[[], Sampler], rng: Seed
) -> tuple[str, str, Images, Labels | None, str]:
    """Name, title, at most `n` images, labels and description of one near set.

    Args:
        one: see `check_near`.
        held_out: bytes and labels of the records that no model and no attack meets.
        gan: trains the generator.

    Raises:
        InputError: too few records, or images that are none.
    """
    rng = generator(rng)
    images, labels, shape = held_out.inputs, held_out.labels, tuple(held_out.inputs.shape[1:])
    if one in PAIRED:
        pairs = pair_rows(labels, rng=rng)[:n]
        return one, one.capitalize(), PAIRED[one](images, pairs), labels[pairs[:, 0]], NEAR[one]
    if one == "warped":
        rows = rng.permutation(len(images))[:n]
        return one, "Warped", warped(images[rows], rng=rng), labels[rows], NEAR[one]
    if one == "generated":
        made = sampled(gan(), held_out.n_classes, shape, n, rng=rng)
        return one, "Generated", *made, f"{NEAR[one]} ({len(held_out)})"
    if isinstance(one, (str, os.PathLike)):
        images, labels = read_images(one)
        labels = None if labels is None else labels_from(labels[:n], n_classes=held_out.n_classes)
        return "given", "Given images", to_shape(images[:n], shape), labels, f"the user's images, {Path(one).name}"
    made = sampled(one, held_out.n_classes, shape, n, rng=rng)
    return "given", "Given generator", *made, f"the user's generator, {type(one).__name__}"
