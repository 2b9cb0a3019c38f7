"""The sides of a study: which classes are private, and which of their images a target is trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int64

from seepage.data import Pool, overlap
from seepage.errors import InputError, unknown_name
from seepage.models.images import Images
from seepage.randomness import Seed, generator

LEAST_CLASSES = 2
SHOWN = 8  # labels in a complaint

Rows = Int64[np.ndarray, " rows"]
Sides = tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " held_out"]]


def private_labels(
    pool: Pool,
    present: Int64[np.ndarray, " labels"],
    private: int | float | Sequence[str | int] | None,
    *,
    all_by_default: bool,
    rng: Seed,
) -> Int64[np.ndarray, " classes"]:
    """The private labels, in order.

    Args:
        present: labels that the pool has images of.
        private: how many, which share, or which by name or label; None for all or half of them.

    Raises:
        InputError: fewer than two, or one that is not there.
    """
    rng = generator(rng)
    if private is None:
        private = len(present) if all_by_default else max(LEAST_CLASSES, len(present) // 2)
    if isinstance(private, (int, float)) and not isinstance(private, bool):
        share = isinstance(private, float) and math.isfinite(private)
        n = round(private * len(present)) if share else private
        if not LEAST_CLASSES <= n <= len(present):
            raise InputError(
                f"private: expected from {LEAST_CLASSES} to {len(present)} of the classes of '{pool.name}', "
                f"got {private}"
            )
        return np.sort(rng.choice(present, n, replace=False))
    if isinstance(private, (bool, str)):
        raise InputError(f"private: expected a number, a share, or a list of classes, got {private!r}")
    # A name goes before a label that reads the same.
    names = {str(one): one for one in present}
    names |= {name: label for label, name in enumerate(pool.classes or ()) if label in present}
    for one in private:
        if str(one) not in names:
            raise unknown_name("class", str(one), list(names))
    labels = np.unique([names[str(one)] for one in private])
    if len(labels) < LEAST_CLASSES:
        raise InputError(f"private: expected at least {LEAST_CLASSES} classes, got {len(labels)}")
    return labels


def split(labels: Int64[np.ndarray, " images"], held_out: float, rng: Seed) -> Sides:
    """Rows to train on and held out, each class by itself.

    Raises:
        InputError: the share leaves a class without an image on one side.
    """
    rng = generator(rng)
    if not 0 < held_out < 1:
        raise InputError(f"held_out is a share of each class's images between 0 and 1, got {held_out}")
    train, rest = [], []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        n = round(held_out * len(rows))
        if n < 1 or n == len(rows):
            raise InputError(
                f"a private class has {len(rows)} images, of which a share of {held_out:g} cannot be held out and the "
                "rest trained on: expected at least 2 a class, and a share that leaves one on either side"
            )
        rest.append(rows[:n])
        train.append(rows[n:])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(rest))


def set_aside(
    labels: Int64[np.ndarray, " images"], images: Images, share: float, rng: Seed
) -> Bool[np.ndarray, " images"]:
    """Which public images the judge has for itself: a share of each class, and none of a class with one image.

    A copy of an image that the attacker keeps stays with it: an attack that selects such an image would be judged by
    what the judge learnt by heart.

    Raises:
        InputError: the share is not at least 0 and below 1.
    """
    rng = generator(rng)
    if not 0 <= share < 1:
        raise InputError(f"for_judge is a share of each public class, at least 0 and below 1, got {share!r}")
    aside = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        n = max(1, round(share * len(rows))) if share else 0
        aside[rows[: min(n, len(rows) - 1)]] = True
    if aside.any():
        aside[np.flatnonzero(aside)[overlap(images[aside], images[~aside])[:, 0]]] = False
    return aside


def check_names(pool: Pool, chosen: Int64[np.ndarray, " classes"], public: Pool) -> None:
    """Nothing, where no public class bears the name of a private one.

    Raises:
        InputError: one does: a judge that knows it twice would call half of its images public.
    """
    if not (pool.classes and public.classes) or public.labels is None:
        return
    theirs = {str(public.classes[label]) for label in np.unique(public.labels)}
    both = [str(pool.classes[label]) for label in chosen if str(pool.classes[label]) in theirs]
    if both:
        shown = ", ".join(both[:SHOWN])
        raise InputError(
            f"public classes are to be others than the private ones, and both have {shown}"
            f"{', ...' if len(both) > SHOWN else ''}: leave them out of the public images, or give them other names "
            "if they are other classes"
        )


def declared(
    members: Bool[np.ndarray, " images"],
    rows: Rows,
    images: Images,
    labels: Int64[np.ndarray, " images"],
) -> Sides:
    """Which of the private images a model was trained on, and which it was not, counted among these.

    Args:
        members: of all images, those that it was trained on.
        rows: the private ones.

    Raises:
        InputError: no mask, a class without an image on one side, or images that are on both.
    """
    if members.dtype != bool or members.shape != labels.shape:
        raise InputError(
            f"members: expected true or false for each of {len(labels)} records, got {members.dtype} of shape "
            f"{members.shape}"
        )
    train, rest = np.flatnonzero(members[rows]), np.flatnonzero(~members[rows])
    for side, what in ((train, "was"), (rest, "was not")):
        lacking = np.setdiff1d(labels[rows], labels[rows[side]])
        if len(lacking):
            raise InputError(
                f"there is no image of class {lacking[0]} that the model {what} trained on: expected at least one of "
                "each private class on either side"
            )
    twice = len(overlap(images[rows[rest]], images[rows[train]]))
    if twice:
        raise InputError(
            f"{twice:,} images that the model was not trained on are also among those that it was: leave them out, for "
            "accuracy on held-out images rests on these"
        )
    return train, rest


def check_outputs(chosen: Int64[np.ndarray, " classes"], n_outputs: int) -> None:
    """Nothing, where the private labels are the outputs of a model.

    Raises:
        InputError: they are not.
    """
    if np.array_equal(chosen, np.arange(n_outputs)):
        return
    shown = ", ".join(map(str, chosen[:SHOWN])) or "none"
    raise InputError(
        f"output c of a model is the class with label c, and this one has {n_outputs} outputs: expected private images "
        f"of the labels 0 to {n_outputs - 1}, got {shown}{', ...' if len(chosen) > SHOWN else ''}; give images of all "
        "its classes, with the labels that it was trained on ('attacked' inverts some of them)"
    )
