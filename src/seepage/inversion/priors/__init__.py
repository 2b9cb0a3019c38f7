"""What an attacker knows about images: nothing (pixels), or a generator of images, trained here or brought along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from seepage.errors import InputError, unknown_name
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors.adapters import DCGANPrior, ModulePrior, SavedGANPrior, open_generator
from seepage.inversion.priors.base import Prior
from seepage.inversion.priors.conditional import ConditionalGAN, train_conditional_gan
from seepage.inversion.priors.knowledge_gan import KnowledgeGAN, train_knowledge_gan
from seepage.inversion.priors.options import PriorOptions
from seepage.inversion.priors.pixels import Pixels
from seepage.inversion.priors.stylegan import StyleGANPrior
from seepage.inversion.priors.wgan_gp import WassersteinGAN, train_wgan_gp

__all__ = [
    "KINDS", "ConditionalGAN", "DCGANPrior", "KnowledgeGAN", "ModulePrior", "Pixels", "Prior", "PriorOptions",
    "SavedGANPrior", "StyleGANPrior", "WassersteinGAN", "make_prior", "open_generator", "train_conditional_gan",
    "train_knowledge_gan", "train_wgan_gp",
]  # fmt: skip

KINDS: dict[str, str] = {
    "pixels": "codes are images",
    "gan": "a Wasserstein GAN on public images, or a generator that is brought along",
    "knowledge-gan": "a GAN on public images whose discriminator learns the target's labels (KED-MI)",
    "conditional-gan": "a class-conditional GAN on the public images that the target finds most like a class (PLG-MI)",
}


def make_prior(
    kind: str,
    public: UInt8[Tensor, "records channels height width"],
    oracle: Oracle | None,
    *,
    options: PriorOptions = PriorOptions(),  # noqa: B008 - frozen
    given: Prior | None = None,
    seed: int,
    device: torch.device | str | None = None,
    folder: Path | None = None,
    report: Callable[[float], None] = lambda fraction: None,
) -> Prior:
    """The prior of a kind, trained where it must be.

    Args:
        kind: one of `KINDS`.
        public: the attacker's images, uint8.
        oracle: the target; "knowledge-gan" asks it for probabilities and "conditional-gan" has its weights, the others
            do without.
        options: how it is trained.
        given: a generator that takes the place of training for the kind "gan", on whichever device it is; the others
            leave it alone.
        seed: everything random about a training derives from it.
        device: where the prior is; by default where the oracle is, and the CPU without one.
        folder: where this prior's training keeps its state, for itself alone; none by default.
        report: told the share of the training that is done.

    Raises:
        InputError: there is no such kind, the public images are too few or not square, a given generator makes images
            of another shape, or the kind needs an oracle.
        AccessError: the oracle gives less than the kind needs.
        StorageError: the folder cannot be written, or holds another training.
        TrainingError: a training diverged.
    """
    if kind not in KINDS:
        raise unknown_name("kind of prior", kind, KINDS)
    shape = tuple(public.shape[1:])
    if device is None:
        device = torch.device("cpu") if oracle is None else oracle.device
    if kind == "pixels":
        return Pixels(shape, options.start, device)
    if kind == "gan":
        if given is None:
            return train_wgan_gp(public, options=options, seed=seed, device=device, folder=folder, report=report)
        if tuple(given.image_shape) != shape:
            raise InputError(
                f"the generator '{given.name}' makes images of shape {tuple(given.image_shape)}, and the public ones "
                f"have {shape}: open it with image_shape={shape}"
            )
        return given.to(device)
    if oracle is None:
        raise InputError(f"the prior '{kind}' is trained against a target: give an oracle")
    train = train_knowledge_gan if kind == "knowledge-gan" else train_conditional_gan
    return train(public, oracle, options=options, seed=seed, folder=folder, report=report)
