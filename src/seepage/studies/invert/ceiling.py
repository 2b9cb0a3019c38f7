"""What a prior can show at all: real private images, searched for in it by their pixels."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from seepage.errors import InputError
from seepage.inversion.base import Budget, Images, Report, Rngs, silent
from seepage.inversion.optimisers import Adam
from seepage.inversion.priors.base import Prior

BUDGET = Budget(steps=600, restarts=3)
STARTS = 32  # random codes, of which a try begins at the nearest
RATE = 0.05
IMAGES_AT_ONCE = 16


def shown_at_best(
    prior: Prior,
    images: Images,
    labels: Int64[Tensor, " images"],
    rngs: Rngs,
    budget: Budget = BUDGET,
    report: Report = silent,
) -> Images:
    """The nearest that a prior has to each image, as far as a search by pixels finds it; no target is asked.

        min over codes  mean over pixels (G(code) - x)^2,   by Adam, from the nearest of 32 random codes, a few tries

    Codes may leave the region that the prior draws from. It is no strict limit: an image that is near in pixels may be
    blurred, and an attack that goes by the class may be recognised more often. In pixels every image lies as it is.

    Args:
        prior: a generator.
        images: real ones, in [0, 1].
        labels: their classes, for a prior that knows classes.
        rngs: one an image.
        budget: steps, and tries of which the nearest is kept.

    Returns:
        One image for each, in [0, 1].

    Raises:
        InputError: labels, generators and images are not as many.

    Reference: Zhu et al. (2016), Generative visual manipulation on the natural image manifold (arXiv 1609.03552),
        section 3.1. Deviation: pixels alone, without features, and no network that guesses a start.
    """
    if not len(images) == len(labels) == len(rngs):
        raise InputError(f"expected a label and a generator for each image, got {len(labels)} for {len(images)}")
    found = []
    for start in range(0, len(images), IMAGES_AT_ONCE):
        part = slice(start, start + IMAGES_AT_ONCE)
        wanted, which = images[part].to(prior.device), labels[part].to(prior.device)
        best, least = wanted, torch.full((len(wanted),), torch.inf, device=prior.device)
        for _ in range(budget.restarts):
            made, distance = _search(prior, wanted, which, rngs[part], budget.steps)
            nearer = distance < least
            best = torch.where(nearer[:, None, None, None], made, best)
            least = torch.where(nearer, distance, least)
        found.append(best)
        report(min(1.0, (start + len(wanted)) / len(images)))
    return torch.cat(found)


def distance(images: Images, wanted: Images | Float[Tensor, "channels height width"]) -> Float[Tensor, " images"]:
    """Mean squared difference of pixels, from one image or from as many."""
    return (images - wanted).square().mean(dim=(1, 2, 3))


def _search(
    prior: Prior, wanted: Images, labels: Int64[Tensor, " images"], rngs: Rngs, steps: int
) -> tuple[Images, Float[Tensor, " images"]]:
    """One try: the nearest images along the way, and their distances."""
    codes, update = _nearest_code(prior, wanted, labels, rngs), Adam(RATE)
    state = update.start(codes)
    best, least = None, torch.full((len(wanted),), torch.inf, device=prior.device)
    for step in range(steps):
        codes = codes.detach().requires_grad_()
        images = prior.images(codes, labels)
        gaps = distance(images, wanted)
        (gradient,) = torch.autograd.grad(gaps.sum(), codes)
        with torch.no_grad():
            nearer = gaps < least
            best = images if best is None else torch.where(nearer[:, None, None, None], images, best)
            least = torch.where(nearer, gaps, least)
            codes, state = update.step(codes, gradient, state, step)
    return best.detach(), least.detach()


@torch.no_grad()
def _nearest_code(prior: Prior, wanted: Images, labels: Int64[Tensor, " images"], rngs: Rngs) -> Tensor:
    found = []
    for image, label, rng in zip(wanted, labels, rngs, strict=True):
        codes = prior.draw([rng] * STARTS)
        found.append(codes[distance(prior.images(codes, label.expand(STARTS)), image).argmin()])
    return torch.stack(found)
