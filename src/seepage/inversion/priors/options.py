"""How a prior is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import torch
from annotated_types import Ge

from seepage.errors import InputError
from seepage.models.generators.gan import plan_sides
from seepage.options import OneOf, Options

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from torch import Tensor

STARTS = ("zero", "grey", "noise")


@dataclass(frozen=True)
class PriorOptions(Options):
    """Options of every kind of prior; each kind reads those that it has.

    Attributes:
        steps: updates of the generator.
        width: channels of the networks at half the image's side; their cost grows with its square.
        batch_size: images of one update.
        latent: dimensions of z; the conditional GAN has 128, as in its source.
        critic_steps: updates of the critic before each one of the generator; the conditional GAN has 1.
        top_n: public images that stand for one class in the conditional GAN.
        start: what pixels begin as, one of "zero", "grey" and "noise".

    Raises:
        InputError: a number is not a positive whole one, or there is no such start.
    """

    steps: Annotated[int, Ge(1)] = 2000
    width: Annotated[int, Ge(1)] = 32
    batch_size: Annotated[int, Ge(1)] = 64
    latent: Annotated[int, Ge(1)] = 100
    critic_steps: Annotated[int, Ge(1)] = 2
    top_n: Annotated[int, Ge(1)] = 30
    start: Annotated[str, OneOf(*STARTS)] = "zero"


def check_public(public: UInt8[Tensor, "records channels height width"], options: PriorOptions) -> None:
    """Nothing, where a GAN can be trained on these images.

    Raises:
        InputError: they are no square uint8 images, or fewer than a batch.
    """
    if public.dtype != torch.uint8 or public.ndim != 4:
        raise InputError(
            f"expected public images as uint8 (records, channels, side, side), got {public.dtype} {tuple(public.shape)}"
        )
    plan_sides(tuple(public.shape[1:]), options.width)
    if len(public) < options.batch_size:
        raise InputError(
            f"a prior is trained on batches of {options.batch_size} public images, and there are {len(public)}: "
            "give more of them, or a smaller batch_size"
        )
