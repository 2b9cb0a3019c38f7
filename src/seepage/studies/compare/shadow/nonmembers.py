"""Records that no model was trained on, from the target's own distribution to no picture at all.

Near: made by a generator that was trained on a part of the same data which no model and no attack ever meets. Far:
other people's pictures, drawn to the target's shape. Corrupted: the target's own non-members, spoilt; most of these
are no valid images, so they show how an attack fails, not how often it would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from seepage.data import Pool, load
from seepage.data.cache import Folder, cache_folder
from seepage.data.catalogue import DATASETS
from seepage.data.quickdraw import read_quickdraw
from seepage.errors import DataFileError, InputError, unknown_name
from seepage.models.images import BYTE_RANGE, Images, as_images, to_shape
from seepage.randomness import Seed, generator
from seepage.studies.compare.shadow.near import distinct

Inputs = Float32[np.ndarray, "records channels height width"]

LEAST_CONTRAST = 60.0  # mean difference of ink and paper, of 255


@dataclass(frozen=True, eq=False)
class Standard:
    """Standardised channels, (x / 255 - mean) / deviation: what the models are given."""

    mean: Float32[np.ndarray, " channels"]
    deviation: Float32[np.ndarray, " channels"]

    @classmethod
    def of(cls, images: Images) -> Standard:
        """Mean and deviation of every channel of these images."""
        values = np.stack([np.bincount(images[:, c].ravel(), minlength=256) for c in range(images.shape[1])])
        shares, level = values / values.sum(axis=1, keepdims=True), np.arange(256) / BYTE_RANGE
        mean = shares @ level
        deviation = np.sqrt(np.maximum(shares @ level**2 - mean**2, 0))
        return cls(mean.astype(np.float32), np.maximum(deviation, 1e-3).astype(np.float32))

    def __call__(self, images: Images) -> Inputs:
        return (raw(images) - self.mean[:, None, None]) / self.deviation[:, None, None]


@dataclass(frozen=True, eq=False)
class Nonmembers:
    """One set of records to be wrongly accused.

    Attributes:
        kind: "same", "near", "far" or "corrupted".
        inputs: as the models take them.
        about: what they are, in words.
        is_valid: whether they are pictures; a stress test otherwise.
        labels: the class that is claimed for each; None where they have none, and what the target predicts is claimed.
        labels_are: what these are, in a word.
    """

    name: str
    title: str
    kind: str
    inputs: Inputs
    about: str
    is_valid: bool = True
    labels: Int64[np.ndarray, " records"] | None = None
    labels_are: str = "predicted"

    def __len__(self) -> int:
        return len(self.inputs)


def raw(images: Images) -> Inputs:
    return images.astype(np.float32) / np.float32(BYTE_RANGE)


def coloured(images: Images, *, rng: Seed) -> UInt8[np.ndarray, "records 3 height width"]:
    """Grey drawings as ink of one random colour on paper of another: the look of house numbers without their content.

    Colours whose brightness differs too little to read are drawn again.
    """
    rng = generator(rng)
    colours = rng.uniform(0, 255, (len(images), 2, 3))
    while (pale := np.abs(colours.mean(axis=2) @ [1.0, -1.0]) < LEAST_CONTRAST).any():
        colours[pale] = rng.uniform(0, 255, (int(pale.sum()), 2, 3))
    ink, paper = colours[:, 0, :, None, None], colours[:, 1, :, None, None]
    share = images[:, :1].astype(np.float64) / BYTE_RANGE
    return np.round(share * ink + (1 - share) * paper).astype(np.uint8)


def _quickdraw(n: int) -> Pool:
    folder = Folder(cache_folder() / "quickdraw")
    return read_quickdraw(folder, per_class=max(1, -(-n // 300)))


FAR = {
    "fashion-mnist": ("Fashion-MNIST", "clothes, grey"),
    "mnist-coloured": ("MNIST, coloured", "handwritten digits in random colours on random colours, like house numbers"),
    "quickdraw": ("QuickDraw", "drawings of things, grey"),
    "cifar100": ("CIFAR-100", "photographs of 100 other things"),
    "mnist": ("MNIST", "handwritten digits, grey"),
    "cifar10": ("CIFAR-10", "photographs of ten things"),
    "digits": ("Digits", "handwritten digits at 8 x 8, grey"),
}
FAR_BY_DEFAULT = ("fashion-mnist", "mnist-coloured", "quickdraw", "cifar100")


def far(
    name: str, shape: tuple[int, int, int], standard: Standard, n: int, members: Images, *, rng: Seed
) -> Nonmembers:
    """At most `n` pictures of another data set, drawn to the target's shape, without copies of the `members`.

    Raises:
        InputError: the name is not known.
        DataFileError: its files are neither in the cache nor to be had.
    """
    rng = generator(rng)
    if name not in FAR:
        raise unknown_name("set of far non-members", name, FAR)
    title, about = FAR[name]
    if name == "quickdraw":
        pool = _quickdraw(n)
    else:
        options = {"flat": False} if name == "digits" else {}
        pool = load(source_of(name), **options)
    chosen = np.sort(rng.choice(len(pool), min(n, len(pool)), replace=False))
    images = as_images(pool.subset(chosen))
    if name == "mnist-coloured":
        images = coloured(images, rng=rng)
    images = to_shape(images, shape)
    kept, told = distinct(images, members, f"the far set '{name}'")
    return Nonmembers(name, title, "far", standard(images[kept]), "; ".join(filter(None, (about, told))))


def source_of(name: str) -> str:
    return "mnist" if name == "mnist-coloured" else name


def is_cached(name: str) -> bool:
    """Whether the files of this set are on the machine, so that it may be used without being asked for."""
    source = source_of(name)
    files = DATASETS[source].files if source in DATASETS else ("drawings",)
    folder = cache_folder() / source
    return not files or (folder.is_dir() and any(folder.iterdir()))


def corrupted(images: Images, labels: np.ndarray, standard: Standard, *, rng: Seed) -> list[Nonmembers]:
    """The target's own non-members, spoilt four ways; all but noise keep their labels.

    Reference: Hintersdorf et al. (2022), section 4.1, for the first three.
    """
    rng = generator(rng)
    inputs = standard(images)
    flat = inputs.reshape(*inputs.shape[:2], -1)
    order = rng.permuted(np.tile(np.arange(flat.shape[2]), (len(flat), 1)), axis=1)
    permuted = np.take_along_axis(flat, order[:, None], axis=2).reshape(inputs.shape)
    noise = rng.uniform(0, 1, inputs.shape).astype(np.float32)
    noise = (noise - standard.mean[:, None, None]) / standard.deviation[:, None, None]
    own = (False, labels, "own")
    return [
        Nonmembers("permuted", "Permuted pixels", "corrupted", permuted,
                   "own non-members, pixels in random order, the same in all channels of an image", *own),
        Nonmembers("scaled", "Scaled x 255", "corrupted", inputs * np.float32(BYTE_RANGE),
                   "own non-members, the standardised values times 255: no valid image", *own),
        Nonmembers("unnormalised", "Not standardised", "corrupted", raw(images),
                   "own non-members fed as values from 0 to 1, without the standardisation", *own),
        Nonmembers("noise", "Uniform noise", "corrupted", noise.astype(np.float32),
                   "every value drawn from the whole range of a pixel", False),
    ]  # fmt: skip


def find_far(
    names: tuple[str, ...] | None,
    own: str,
    shape: tuple[int, int, int],
    standard: Standard,
    n: int,
    members: Images,
    *,
    rng: np.random.Generator,
) -> tuple[list[Nonmembers], dict[str, str]]:
    """The far sets asked for or, by default, those whose files are here; and why others are left out.

    Raises:
        InputError, DataFileError: a set that was asked for by name cannot be had.
    """
    found, left_out = [], {}
    for name in FAR_BY_DEFAULT if names is None else names:
        draws = np.random.default_rng(rng.integers(2**62))
        if name in FAR and source_of(name) == own:
            if names is not None:
                raise InputError(f"'{name}' is the target's own data set: its members would count as non-members")
            continue
        if names is None and not is_cached(name):
            left_out[name] = "not in the cache; name it in far to have it downloaded"
            continue
        try:
            found.append(far(name, shape, standard, n, members, rng=draws))
        except DataFileError as error:
            if names is not None:
                raise
            left_out[name] = str(error)
    return found, left_out
