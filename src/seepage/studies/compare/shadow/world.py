"""The records of a study: split into disjoint parts, standardised, and set beside every kind of non-member."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from jaxtyping import Int64

from seepage.data import Pool
from seepage.errors import InputError
from seepage.models.images import as_images
from seepage.options import Options
from seepage.randomness import Seed, generator
from seepage.studies.compare.shadow import nonmembers
from seepage.studies.compare.shadow.attackers import check_studied
from seepage.studies.compare.shadow.near import (
    BY_DEFAULT,
    FEWEST,
    NEAR,
    Near,
    check_near,
    copies,
    distinct,
    make_near,
    trained_gan,
)
from seepage.studies.compare.shadow.nonmembers import Nonmembers, Standard

SHARES = {
    "target train": (0.30, "trains the target; its members"),
    "shadow train": (0.30, "trains the attacker's shadow; its members"),
    "target test": (0.10, "own-distribution non-members, calibration and test accuracy of the target"),
    "shadow test": (0.10, "the shadow's non-members, on which thresholds are fixed"),
    "target validation": (0.04, "temperature and prior variance of the target"),
    "shadow validation": (0.04, "temperature and prior variance of the shadow"),
    "generator": (0.12, "near non-members are made of these records, which no model and no attack meets"),
}


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
    n_copies: int  # own test records that are exact copies of training records
    n_known: int  # members, and as many non-members, that attacks from known records know


@dataclass(frozen=True)
class ShadowStudy(Options):
    """A study of a target and one shadow for each row of a comparison: who else is called a member.

    The attacker fixes its thresholds on the shadow, which is trained and answers as the target does.

    Attributes:
        near: near non-members, one or several: names of `near.NEAR` ("generated" trains a GAN), and of your own a
            .npz with 'images' (and 'labels') or an object with `sample(labels, rng)`; () for none. By default "blended"
            and "warped", where the records suffice.
        evaluated: at most so many members, and records of each set of non-members.
        gan_steps, gan_width: of the generator.
        far: names of other data sets, `nonmembers.FAR`; None for those of the default list that are in the cache.
        doublings: scale inputs up to 2^doublings along rays; 0 for no rays.
        ray_records: non-members that are scaled.
        attacks: registered attacks that are run beside the source's three; None for the default ones that the known
            records suffice for.
        strict_rate: share of the shadow's own non-members that the strict threshold of each attack calls members.
        n_known: at most so many members, and as many non-members, are known to attacks that learn from such.
    """

    near: Sequence[Near] | Near | None = None
    evaluated: Annotated[int, Ge(FEWEST)] = 2500
    gan_steps: Annotated[int, Ge(1)] = 10_000
    gan_width: Annotated[int, Ge(1)] = 32
    far: tuple[str, ...] | None = None
    doublings: Annotated[int, Ge(0), Le(60)] = 20
    ray_records: Annotated[int, Ge(1)] = 500
    attacks: tuple[str, ...] | None = None
    strict_rate: Annotated[float, Gt(0), Lt(1)] = 0.01
    n_known: Annotated[int, Ge(1)] = 50

    def __post_init__(self):
        super().__post_init__()
        if self.near is not None:
            object.__setattr__(self, "near", check_near(self.near))
        if self.attacks is not None:
            object.__setattr__(self, "attacks", check_studied(self.attacks))

    def describe(self) -> dict[str, Any]:
        """The options as JSON values."""
        near = (
            None
            if self.near is None
            else [str(one) if isinstance(one, str | os.PathLike) else type(one).__name__ for one in self.near]
        )
        return {field.name: getattr(self, field.name) for field in fields(self)} | {"near": near}


def make_world(
    pool: Pool,
    choices: ShadowStudy,
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
    own, own_labels = (values[rows["target test"][:evaluated]] for values in (images, labels))
    trained_on = images[np.concatenate([rows["target train"], rows["shadow train"]])]
    shape = tuple(images.shape[1:])
    near_rng, far_rng, spoil_rng, gan_rng = set_rng.spawn(4)
    same = Nonmembers(
        "same", "Own distribution", "same", standard(own), "the target's own test records", True, own_labels, "own"
    )
    held_out = rows["generator"][~copies(images[rows["generator"]], trained_on)]
    held_out = Pool(images[held_out], labels[held_out], n_classes=pool.n_classes, name="held out")

    def gan():
        how = {"n_steps": choices.gan_steps, "width": choices.gan_width, "folder": out / "run" / "gan"}
        return trained_gan(held_out, **how, progress=progress, rng=gan_rng)

    made, left_out = make_all(choices.near, held_out, trained_on, standard, evaluated, gan=gan, rng=near_rng)
    others, not_far = nonmembers.find_far(choices.far, pool.name, shape, standard, evaluated, trained_on, rng=far_rng)
    spoilt = nonmembers.corrupted(own, own_labels, standard, rng=spoil_rng)
    made_by = "; ".join(f"{one.title}: {one.about}" for one in made) or "none"
    n_copies = int(copies(own, trained_on).sum())
    n_known = max(1, min(choices.n_known, *(len(rows[f"{side} validation"]) // 2 for side in ("target", "shadow"))))
    return World(
        records,
        parts,
        standard,
        (same, *made, *others, *spoilt),
        left_out | not_far,
        made_by,
        evaluated,
        n_copies,
        n_known,
    )


def make_all(
    near: Sequence[Near] | None, held_out: Pool, members, standard: Standard, n: int, *, gan, rng: np.random.Generator
) -> tuple[list[Nonmembers], dict[str, str]]:
    """The near sets asked for or, by default, those that the records suffice for; and why others are left out.

    Raises:
        InputError: a set that was asked for cannot be made.
    """
    asked = BY_DEFAULT if near is None else near
    made, left_out = [], {name: "not asked for (near)" for name in NEAR if name not in asked}
    for one, one_rng in zip(asked, rng.spawn(len(asked)), strict=True):
        try:
            name, title, images, labels, about = make_near(one, held_out, n, gan=gan, rng=one_rng)
            kept, told = distinct(images, members, f"the near set '{name}'")
        except InputError as error:
            if near is not None:
                raise
            left_out[str(one)] = str(error)
            continue
        claimed = None if labels is None else labels[kept]
        known_as = {"generated": "asked for", "given": "given"}.get(name, "own") if labels is not None else "predicted"
        about = "; ".join(filter(None, (about, told)))
        made.append(Nonmembers(name, title, "near", standard(images[kept]), about, True, claimed, known_as))
    return made, left_out


def split(n: int, *, rng: Seed) -> dict[str, Int64[np.ndarray, " rows"]]:
    """Disjoint random parts of n records, in the shares of `SHARES`; the last takes what is left."""
    rng = generator(rng)
    order = rng.permutation(n)
    ends = np.cumsum([share for share, _ in SHARES.values()])
    bounds = [0, *np.round(ends[:-1] * n).astype(int), n]
    return {name: order[low:high] for name, low, high in zip(SHARES, bounds, bounds[1:], strict=False)}
