"""Who knows what: the private classes, trained on and held out, and public images of other classes.

Public images are the attacker's, but for a share of each labelled public class that the judge alone knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from seepage.data import Pool, overlap
from seepage.errors import InputError
from seepage.inversion.priors.base import Prior
from seepage.models.held_out import HeldOut
from seepage.models.images import as_images, to_shape
from seepage.models.records import Records
from seepage.randomness import Seed, generator
from seepage.studies.invert.sides import (
    LEAST_CLASSES,
    check_names,
    check_outputs,
    declared,
    private_labels,
    set_aside,
    split,
)

SAMPLED_AT_ONCE = 256
BYTE = 1 / 255
STRANGE = 1000


@dataclass(frozen=True, eq=False)
class World:
    """Labelled images of private classes, 0 to n_classes - 1, and of public ones from there on.

    Attributes:
        pool: private images first, then those public ones whose class is known; bytes.
        n_classes: private classes.
        train, held_out: rows of private images that targets are trained on, and that they are not.
        public: rows of public images with a class.
        images: all that the attacker has, with a class or without.
        attacked: the private classes that are inverted.
        about: what the public images are, in words.
        for_judge: labelled public images that the judge alone knows, their classes from n_classes on; None where
            there are none.
    """

    pool: Pool
    n_classes: int
    train: Int64[np.ndarray, " train"]
    held_out: Int64[np.ndarray, " held_out"]
    public: Int64[np.ndarray, " public"]
    images: UInt8[np.ndarray, "records channels height width"]
    attacked: tuple[int, ...]
    about: str
    for_judge: Pool | None = None

    @property
    def n_judged(self) -> int:
        """Classes that a judge is taught: private ones first, then public ones."""
        return self.n_classes if self.for_judge is None else 1 + int(np.max(self.for_judge.labels))

    def judged(self) -> tuple[Tensor, Int64[np.ndarray, " images"]]:
        """What a judge is taught by, in [0, 1], with labels: private training images, public ones set aside for it."""
        images, labels = self.of(self.train)
        if self.for_judge is None:
            return images, labels
        others = torch.from_numpy(self.for_judge.inputs.astype(np.float32) * BYTE)
        return torch.cat([images, others]), np.concatenate([labels, self.for_judge.labels])

    def judge_records(self, device: torch.device | str = "cpu") -> tuple[Records, Int64[np.ndarray, " rows"]]:
        """The same as a training sees it, and its rows."""
        inputs, labels = self.pool.inputs[self.train], np.asarray(self.pool.labels)[self.train]
        if self.for_judge is not None:
            inputs = np.concatenate([inputs, self.for_judge.inputs])
            labels = np.concatenate([labels, self.for_judge.labels])
        pool = Pool(inputs, labels, name=self.pool.name, scale=BYTE)
        return replace(Records.of(pool, device), n_classes=self.n_judged), np.arange(len(labels))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return tuple(self.pool.inputs.shape[1:])

    def class_name(self, label: int) -> str:
        return self.pool.classes[label] if self.pool.classes else str(label)

    def of(self, rows: np.ndarray) -> tuple[Tensor, Int64[np.ndarray, " rows"]]:
        """Images in [0, 1] and labels."""
        return torch.from_numpy(self.pool.inputs[rows].astype(np.float32) * BYTE), np.asarray(self.pool.labels[rows])

    def records(self, device: torch.device | str = "cpu") -> Records:
        """The pool as trainings see it: its classes are the private ones, and public rows lie beyond them."""
        return replace(Records.of(self.pool, device), n_classes=self.n_classes)

    def strange_images(self) -> Tensor | None:
        """Up to 1,000 of the attacker's images in [0, 1]: of no private class, and unknown to the judge."""
        some = self.images[:: max(1, len(self.images) // STRANGE)][:STRANGE]
        return torch.from_numpy(some.astype(np.float32) * BYTE) if len(some) else None

    @property
    def strangers(self) -> HeldOut:
        """The public rows, for recipes that make use of records that are not private."""
        return HeldOut(population=self.public)

    def null(self, device: torch.device | str = "cpu") -> tuple[Records, np.ndarray]:
        """Records for a target that saw public classes only, each under the number of a private one.

        Raises:
            InputError: no public image has a class.
        """
        if not len(self.public):
            raise InputError("a null target is trained on labelled public images, and there are none: leave it out")
        labels = np.array(self.pool.labels)
        classes = np.unique(labels[self.public])
        # The attacked classes come first, so that as many of them as there are public classes get one.
        order = [*self.attacked, *(label for label in range(self.n_classes) if label not in self.attacked)]
        under = dict(zip(classes, order, strict=False))
        rows = self.public[np.isin(labels[self.public], list(under))]
        labels[rows] = [under[label] for label in labels[rows]]
        return replace(self.records(device), labels=torch.from_numpy(labels).to(device)), rows

    def shuffled(self, rng: np.random.Generator, device: torch.device | str = "cpu") -> Records:
        """Records whose private training images have each other's labels."""
        labels = np.array(self.pool.labels)
        labels[self.train] = rng.permutation(labels[self.train])
        return replace(self.records(device), labels=torch.from_numpy(labels).to(device))


def make_world(
    pool: Pool,
    *,
    public: Pool | None = None,
    private: int | float | Sequence[str | int] | None = None,
    attacked: int | None = None,
    held_out: float = 0.3,
    members: Bool[np.ndarray, " samples"] | None = None,
    n_outputs: int | None = None,
    given: Prior | None = None,
    samples: int = 0,
    for_judge: float = 0.5,
    rng: Seed,
) -> World:
    """Set private and public classes apart.

    Args:
        pool: labelled images; without `public`, of private and public classes.
        public: the attacker's images, of other classes or of none.
        private: which classes of the pool are private: a number, a share, or their names or labels; by default all
            where `public` is given, and half of them otherwise. Drawn at random unless named.
        attacked: how many of them are inverted, drawn at random; all by default.
        held_out: share of each private class that no target is trained on.
        members: which records a model that is there already was trained on, instead of a drawn share.
        n_outputs: of that model, whose output c is the class with label c: private classes keep their labels. By
            default these are then the labels that the model knows.
        given: a generator of the user's; `samples` of its images join the public ones.
        for_judge: share of each labelled public class that is set aside for the judge; 0 for a judge that knows private
            classes alone.
        rng: of all draws.

    Raises:
        InputError: no images or labels, too few classes or images, names that are not there, labels that are not a
            model's outputs, or images that are on two sides.
    """
    rng = generator(rng)
    if pool.labels is None:
        raise InputError(f"inversion attacks classes, and the pool '{pool.name}' has no labels")
    images, labels = as_images(pool), np.asarray(pool.labels)
    present = np.unique(labels)
    if n_outputs is not None and private is None:
        chosen = present[present < n_outputs]
    else:
        chosen = private_labels(pool, present, private, all_by_default=public is not None, rng=rng)
    if n_outputs is not None:
        check_outputs(chosen, n_outputs)
    others = np.setdiff1d(present, chosen)
    shape = tuple(images.shape[1:])
    parts, known = [], []
    if public is None and not len(others) and not samples:
        raise InputError(
            "every class is private and the attacker has no image: name fewer private classes, or give public images"
        )
    if public is None:
        parts, known = [images[np.isin(labels, others)]], [labels[np.isin(labels, others)]]
        about = f"the {len(others)} other classes of {pool.name}"
    else:
        parts = [to_shape(as_images(public), shape)]
        known = [] if public.labels is None else [np.asarray(public.labels)]
        about = public.name or "public images"
        check_names(pool, chosen, public)
    if samples:
        if given is None:
            raise InputError("samples are drawn from a generator that is given: name one, or leave samples out")
        parts.append(_sampled(given, samples, shape, rng))
    rows, numbers = np.flatnonzero(np.isin(labels, chosen)), np.searchsorted(chosen, labels)
    if members is None:
        train, rest = split(numbers[rows], held_out, rng)
    else:
        train, rest = declared(np.asarray(members), rows, images, labels)
    if public is not None and (twice := len(overlap(parts[0], images[rows]))):
        raise InputError(
            f"{twice:,} public images are private ones too: the attacker would be given what it is to reconstruct; "
            "leave them out"
        )
    aside = set_aside(known[0], parts[0], for_judge, rng) if known else np.zeros(len(parts[0]), bool)
    judges = (parts[0][aside], known[0][aside]) if aside.any() else None
    parts[0], known = parts[0][~aside], [labels[~aside] for labels in known]
    about += f", {1 - aside.mean():.0%} of their images (the judge has the others)" if judges else ""
    about += f", and {samples:,} samples of {given.name}" if samples else ""
    labelled = parts[0] if known else parts[0][:0]
    stranger_classes, strangers = np.unique(known[0] if known else np.empty(0, dtype=np.int64), return_inverse=True)
    names = [str(pool.classes[label]) if pool.classes else str(label) for label in chosen]
    if known:
        of = pool if public is None else public
        names += [f"public {of.classes[label] if of.classes else label}" for label in stranger_classes]
    whole = Pool(
        np.concatenate([images[rows], labelled]),
        np.concatenate([numbers[rows], len(chosen) + strangers]),
        name=pool.name,
        classes=_unique(names),
        scale=BYTE,
    )
    if attacked is not None and not LEAST_CLASSES <= attacked <= len(chosen):
        raise InputError(f"attacked: expected from {LEAST_CLASSES} to {len(chosen)} private classes, got {attacked}")
    targets = np.sort(rng.choice(len(chosen), attacked or len(chosen), replace=False))
    public_rows = len(rows) + np.arange(len(labelled))
    everything = np.concatenate(parts)
    return World(
        whole, len(chosen), train, rest, public_rows, everything, tuple(map(int, targets)), about,
        None if judges is None else _numbered(*judges, len(chosen)),
    )  # fmt: skip


def _numbered(images: UInt8[np.ndarray, "records ..."], labels: np.ndarray, first: int) -> Pool:
    """Public images with their classes numbered from `first` on."""
    return Pool(images, first + np.unique(labels, return_inverse=True)[1], name="public images", scale=BYTE)


@torch.no_grad()
def _sampled(prior: Prior, n: int, shape: tuple[int, int, int], rng) -> UInt8[np.ndarray, "records ..."]:
    found = []
    for start in range(0, n, SAMPLED_AT_ONCE):
        rngs = rng.spawn(min(SAMPLED_AT_ONCE, n - start))
        labels = torch.zeros(len(rngs), dtype=torch.int64, device=prior.device)
        made = prior.images(prior.draw(rngs), labels)
        found.append((255 * made.clamp(0, 1)).round().to(torch.uint8).cpu().numpy())
    return to_shape(np.concatenate(found), shape)


def _unique(names: list[str]) -> tuple[str, ...]:
    """The names, a number after those that come twice."""
    return tuple(name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names))
