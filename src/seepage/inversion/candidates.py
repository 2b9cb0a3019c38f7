"""Where a search begins: at the best of many codes that the prior draws."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from seepage.inversion.base import Attempt, Images, Rngs
from seepage.inversion.priors.base import Prior

IMAGES_AT_ONCE = 256
ROUND = 32  # candidates of one image that are drawn together; the draws depend on it where a code takes several

Place = Callable[[Tensor], Tensor]
Score = Callable[[Images, Int64[Tensor, " images"]], Float[Tensor, " images"]]


@torch.no_grad()
def scored(prior: Prior, codes: Float[Tensor, "codes ..."], labels: Int64[Tensor, " codes"], score: Score) -> Tensor:
    """The scores of the codes' images, of which only a few hundred exist at once."""
    parts = zip(codes.split(IMAGES_AT_ONCE), labels.split(IMAGES_AT_ONCE), strict=True)
    return torch.cat([score(prior.images(part, which), which) for part, which in parts])


def drawn(prior: Prior, rngs: Rngs, number: int) -> Float[Tensor, "images number ..."]:
    """That many random codes from each generator."""
    codes = prior.draw([rng for rng in rngs for _ in range(number)])
    return codes.unflatten(0, (len(rngs), number))


def as_drawn(codes: Tensor) -> Tensor:
    return codes


@torch.no_grad()
def best_of(
    attempt: Attempt, number: int, score: Score, keep: int = 1, place: Place = as_drawn
) -> tuple[Float[Tensor, "images keep ..."], Float[Tensor, "images keep"]]:
    """The codes with the highest scores among `number` random ones, for each image by itself; the best first.

    Args:
        attempt: the images to make.
        number: of candidates for each, at least 1.
        score: (images, labels) -> one number an image.
        keep: of them, at most `number`.
        place: what is done to a code before it is a candidate.

    Returns:
        Codes and their scores.
    """
    rows = torch.arange(len(attempt), device=attempt.labels.device)[:, None]
    codes = scores = None
    for first in range(0, number, ROUND):
        new = place(drawn(attempt.prior, attempt.rngs, min(ROUND, number - first)))
        labels = attempt.labels.repeat_interleave(new.shape[1])
        new_scores = scored(attempt.prior, new.flatten(0, 1), labels, score).view(len(attempt), -1)
        codes = new if codes is None else torch.cat([codes, new], 1)
        scores = new_scores if scores is None else torch.cat([scores, new_scores], 1)
        scores, order = scores.topk(min(keep, scores.shape[1]), dim=1)
        codes = codes[rows, order]
    return codes, scores
