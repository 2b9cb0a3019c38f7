"""The records of a study: split into disjoint parts, standardised, and set beside every kind of non-member."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Int64
from rich.console import Console
from rich.progress import Progress

from seepage.data import Pool
from seepage.data.files import read_arrays
from seepage.errors import InputError
from seepage.models.generators import train_gan
from seepage.models.images import Images, as_images
from seepage.randomness import Seed, generator
from seepage.trust import nonmembers
from seepage.trust.nonmembers import Nonmembers, Standard
from seepage.writing import make_folder

SHARES = {
    "target train": (0.30, "trains the target; its members"),
    "shadow train": (0.30, "trains the attacker's shadow; its members"),
    "target test": (0.10, "own-distribution non-members, calibration and test accuracy of the target"),
    "shadow test": (0.10, "the shadow's non-members, on which thresholds are fixed"),
    "target validation": (0.04, "temperature and prior variance of the target"),
    "shadow validation": (0.04, "temperature and prior variance of the shadow"),
    "generator": (0.12, "trains the generator of near non-members; no model and no attack meets these records"),
}
FEWEST = 10  # records in the smallest part that is judged


class Sampler(Protocol):
    """What makes images: `seepage.models.generators`."""

    def sample(self, labels: np.ndarray, rng: np.random.Generator) -> Images: ...


@dataclass(frozen=True, eq=False)
class World:
    """The records, split and standardised, and all sets of non-members."""

    pool: Pool  # without the generator's part
    parts: Mapping[str, Int64[np.ndarray, " rows"]]  # rows of `pool`; of the original records for "generator"
    standard: Standard
    sets: tuple[Nonmembers, ...]
    left_out: Mapping[str, str]
    generator: str
    evaluated: int


@dataclass(frozen=True)
class Choices:
    """The options that a study's numbers depend on beside its data and recipe.

    Attributes:
        smoothing: share of each label that label smoothing gives to all classes.
        weight_decay: of the L2 variant.
        evaluated: at most so many members, and records of each set of non-members.
        gan_steps, gan_width: of the generator.
        far: names of other data sets, `nonmembers.FAR`; None for those of the default list that are in the cache.
        doublings: scale inputs up to 2^doublings along rays; 0 for no rays.
        ray_records: non-members that are scaled.
        prior: share of members among those asked about.
        confidence: of every interval.
    """

    smoothing: float = 0.0083
    weight_decay: float = 3e-4
    evaluated: int = 2500
    gan_steps: int = 10_000
    gan_width: int = 32
    far: tuple[str, ...] | None = None
    doublings: int = 20
    ray_records: int = 500
    prior: float = 0.5
    confidence: float = 0.95

    def __post_init__(self):
        for name in ("smoothing", "prior", "confidence"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        for name, least in (("evaluated", FEWEST), ("ray_records", 1), ("doublings", 0)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.doublings > 60:
            raise InputError(f"doublings above 60 leave the range of float32, got {self.doublings}")
        if not self.weight_decay > 0:
            raise InputError(f"weight_decay must be positive, got {self.weight_decay}")


def make_world(
    pool: Pool,
    choices: Choices,
    generator: str | os.PathLike | Sampler | None,
    out: Path,
    progress: bool,
    *,
    split_rng: np.random.Generator,
    set_rng: np.random.Generator,
) -> World:
    """Split and standardise the records, and make every set of non-members."""
    if pool.labels is None:
        raise InputError(f"the study trains classifiers, and the pool '{pool.name}' has no labels")
    images, labels = as_images(pool), np.asarray(pool.labels)
    rows = split(len(pool), rng=split_rng)
    order = np.concatenate([part for name, part in rows.items() if name != "generator"])
    ends = np.cumsum([len(part) for name, part in rows.items() if name != "generator"])
    names = [name for name in rows if name != "generator"]
    parts = {name: np.arange(end - len(rows[name]), end) for name, end in zip(names, ends, strict=True)}
    parts["generator"] = rows["generator"]
    standard = Standard.of(images[np.concatenate([rows["target train"], rows["shadow train"]])])
    records = Pool(
        standard(images[order]), labels[order], ids=pool.ids[order], name=pool.name, n_classes=pool.n_classes,
        classes=pool.classes,
    )  # fmt: skip
    evaluated = min(choices.evaluated, *(len(rows[name]) for name in ("target test", "shadow test")))
    if evaluated < FEWEST:
        raise InputError(f"too few records: {len(pool)} leave {evaluated} non-members, expected at least {FEWEST}")
    own = images[rows["target test"][:evaluated]]
    shape = tuple(images.shape[1:])
    near_rng, far_rng, spoil_rng, gan_rng = set_rng.spawn(4)
    of_generator = pool.subset(rows["generator"])
    of_generator = Pool(images[rows["generator"]], of_generator.labels, n_classes=pool.n_classes, name="generator")
    same = Nonmembers("same", "Own distribution", "same", standard(own), "the target's own test records")
    others, left_out = nonmembers.find_far(choices.far, pool.name, shape, standard, evaluated, rng=far_rng)
    near, made_by = _near(
        generator, of_generator, shape, standard, evaluated, choices, out, progress, gan_rng=gan_rng, rng=near_rng
    )
    if not near:
        left_out = {"generated": "no generator was asked for", **left_out}
    spoilt = nonmembers.corrupted(own, standard, rng=spoil_rng)
    return World(records, parts, standard, (same, *near, *others, *spoilt), left_out, made_by, evaluated)


def split(n: int, *, rng: Seed) -> dict[str, Int64[np.ndarray, " rows"]]:
    """Disjoint random parts of n records, in the shares of `SHARES`; the last takes what is left."""
    rng = generator(rng)
    order = rng.permutation(n)
    ends = np.cumsum([share for share, _ in SHARES.values()])
    bounds = [0, *np.round(ends[:-1] * n).astype(int), n]
    return {name: order[low:high] for name, low, high in zip(SHARES, bounds, bounds[1:], strict=False)}


def _near(
    generator,
    pool: Pool,
    shape,
    standard: Standard,
    n: int,
    choices: Choices,
    out: Path,
    progress: bool,
    *,
    gan_rng,
    rng,
) -> tuple[list[Nonmembers], str]:
    if generator is None:
        return [], "none"
    if generator == "gan":
        with Progress(console=Console(stderr=True), disable=not progress) as bar:
            task = bar.add_task("generator", total=1.0)
            made = train_gan(
                pool,
                n_steps=choices.gan_steps,
                width=choices.gan_width,
                rng=gan_rng,
                folder=_folder(out / "run" / "gan"),
                report=lambda done: bar.update(task, completed=done),
            )
        about = (
            f"a class-conditional GAN, {choices.gan_steps} steps on {len(pool)} records that neither the models nor "
            "the attacks meet"
        )
        return [nonmembers.generated(made.sample, pool.n_classes, shape, standard, n, about, rng=rng)], about
    if isinstance(generator, (str, os.PathLike)):
        arrays = read_arrays(generator)
        if "images" not in arrays:
            raise InputError(f"{generator}: expected an array 'images', got {', '.join(arrays) or 'none'}")
        about = f"the user's images, {Path(generator).name}"
        return [nonmembers.from_file(arrays["images"], shape, standard, n, about)], about
    about = f"the user's generator, {type(generator).__name__}"
    return [nonmembers.generated(generator.sample, pool.n_classes, shape, standard, n, about, rng=rng)], about


def _folder(path: Path) -> Path:
    make_folder(path)
    return path
