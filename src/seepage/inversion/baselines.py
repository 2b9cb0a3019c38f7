"""Images that no attack made, and hits that need none: what an attack has to beat."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int64, UInt8
from torch import Tensor

from seepage.errors import InputError
from seepage.inversion.base import Attempt, Budget, Images, Rngs
from seepage.inversion.candidates import IMAGES_AT_ONCE, ROUND, best_of
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors.base import Prior
from seepage.models.access import Access

BYTE = 1 / 255

ABOUT = {
    "chance": ("Chance", "a class drawn blindly: one over the judge's classes"),
    "random-code": ("A random code", "what the attack's prior shows for a random code; the target is not asked"),
    "best-of-random": (
        "The best random code",
        "of many random codes, the one that the target is surest of",
    ),
    "wrong-class": ("Wrong class", "the attack's own images, judged for the next of the attacked classes"),
    "public-nearest": ("The nearest public image", "the public image that the target is surest of: nothing is made"),
}


def chance(
    labels: Int[np.ndarray, " images"], n_classes: int
) -> tuple[Float[np.ndarray, " images"], Int[np.ndarray, " images"]]:
    """(hits, classes) of a judge's blind guess: the known chance 1 / n_classes."""
    return np.full(len(labels), 1 / n_classes), np.asarray(labels)


def wrong_class(
    log_probabilities: Float32[np.ndarray, "images classes"], labels: Int[np.ndarray, " images"]
) -> tuple[Bool[np.ndarray, " images"], Int[np.ndarray, " images"]] | None:
    """(hits, classes) of the attack's images for another class each: the next of those attacked, in a circle.

    Every class is as often looked for as in the attack itself, in as many images: a judge that is fond of a class, or
    images that all show one class, are no accuracy. None with one attacked class.
    """
    attacked = np.unique(labels)
    if len(attacked) < 2:
        return None
    other = attacked[(np.searchsorted(attacked, labels) + 1) % len(attacked)]
    return log_probabilities.argmax(axis=1) == other, other


@torch.no_grad()
def random_codes(prior: Prior, labels: Int64[Tensor, " images"], rngs: Rngs) -> Images:
    """One image of a random code for each label."""
    parts = [
        prior.images(prior.draw(rngs[start : start + IMAGES_AT_ONCE]), labels[start : start + IMAGES_AT_ONCE])
        for start in range(0, len(labels), IMAGES_AT_ONCE)
    ]
    return torch.cat(parts)


@torch.no_grad()
def best_of_random(oracle: Oracle, prior: Prior, labels: Int64[Tensor, " images"], rngs: Rngs, number: int) -> Images:
    """For each label, of `number` random codes' images the one that the target gives the highest probability.

    Of a target that answers with labels alone, one that it gives that label, if there is any. It costs `number`
    queries an image, which the oracle counts.

    Raises:
        InputError: `number` is not positive.
    """
    if number < 1:
        raise InputError(f"expected one random code or more to choose from, got {number}")

    def score(images: Images, which: Int64[Tensor, " images"]) -> Float[Tensor, " images"]:
        if oracle.access < Access.PROBABILITIES:
            return (oracle.labels(images) == which).float()
        return oracle.log_probabilities(images).gather(1, which[:, None])[:, 0]

    found, step = [], max(1, IMAGES_AT_ONCE // ROUND)
    for start in range(0, len(labels), step):
        part = labels[start : start + step]
        codes, _ = best_of(Attempt(oracle, prior, part, rngs[start : start + step], Budget()), number, score)
        found.append(prior.images(codes[:, 0], part))
    return torch.cat(found)


@torch.no_grad()
def public_nearest(
    oracle: Oracle, public: UInt8[Tensor, "records channels height width"], labels: Int64[Tensor, " images"]
) -> Images:
    """For each label the public image that the target gives the highest probability.

    Where a label comes several times it gets the second, the third and so on, from the first again where there are no
    more. Every public image is asked about once.

    Raises:
        AccessError: the target does not give probabilities.
        InputError: there is no public image.
    """
    if not len(public):
        raise InputError("there is no public image to choose from: leave this baseline out")
    asked = labels.unique()
    sure = torch.cat(
        [oracle.log_probabilities(part.to(oracle.device) * BYTE)[:, asked] for part in public.split(IMAGES_AT_ONCE)]
    )
    chosen = torch.empty_like(labels)
    for column, label in enumerate(asked):
        places = (labels == label).nonzero()[:, 0]
        ranked = sure[:, column].argsort(descending=True, stable=True)
        chosen[places] = ranked[torch.arange(len(places), device=labels.device) % len(public)]
    return public[chosen.to(public.device)].to(oracle.device) * BYTE
