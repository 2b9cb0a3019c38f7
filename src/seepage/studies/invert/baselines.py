"""What an attack has to beat: images and hits for which the target was not asked."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64, UInt8
from torch import Tensor

from seepage.errors import InputError
from seepage.inversion.base import Images, Rngs
from seepage.inversion.candidates import IMAGES_AT_ONCE
from seepage.inversion.priors.base import Prior

BYTE = 1 / 255
TARGET_FREE = ("pixels", "gan")  # priors that do not depend on the target; a random code of another knows of it

ABOUT = {
    "chance": ("Chance", "a class drawn blindly: one over the judge's classes"),
    "random-code": ("A random code", "what a prior that knows no target shows for a random code"),
    "random-public": ("A random public image", "of the attacker's images any one"),
    "wrong-class": ("Wrong class", "the attack's own images, judged for the next of the attacked classes"),
    "null-target": ("The null target", "the same attack on a model that never saw the private images"),
}


def chance(
    labels: Int[np.ndarray, " images"], n_classes: int
) -> tuple[Float[np.ndarray, " images"], Int[np.ndarray, " images"]]:
    """(hits, classes) of a judge's blind guess: the known chance 1 / n_classes."""
    return np.full(len(labels), 1 / n_classes), np.asarray(labels)


def wrong_class(
    judged: Int[np.ndarray, " images"], labels: Int[np.ndarray, " images"]
) -> tuple[Bool[np.ndarray, " images"], Int[np.ndarray, " images"]] | None:
    """(hits, classes) of the attack's images for another class each: the next of those attacked, in a circle.

    Every class is as often looked for as in the attack itself, in as many images: a judge that is fond of a class, or
    images that all show one class, are no accuracy. None with one attacked class.

    Args:
        judged: the class that the judge takes each image for; -1 for none.
        labels: that it was to show.
    """
    attacked = np.unique(labels)
    if len(attacked) < 2:
        return None
    other = attacked[(np.searchsorted(attacked, labels) + 1) % len(attacked)]
    return judged == other, other


@torch.no_grad()
def random_codes(prior: Prior, labels: Int64[Tensor, " images"], rngs: Rngs) -> Images:
    """One image of a random code for each label."""
    parts = [
        prior.images(prior.draw(rngs[start : start + IMAGES_AT_ONCE]), labels[start : start + IMAGES_AT_ONCE])
        for start in range(0, len(labels), IMAGES_AT_ONCE)
    ]
    return torch.cat(parts)


def random_public(public: UInt8[Tensor, "records channels height width"], rngs: Rngs) -> Images:
    """One public image from each generator.

    Raises:
        InputError: there is no public image.
    """
    if not len(public):
        raise InputError("there is no public image to draw")
    return public[[int(rng.integers(len(public))) for rng in rngs]] * BYTE
