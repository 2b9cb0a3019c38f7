"""A GAN without classes on public images: what the Wasserstein GAN and the k+1 GAN share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from seepage.data import Pool
from seepage.inversion.priors.base import Prior
from seepage.inversion.priors.networks import ImageNetwork
from seepage.inversion.priors.options import PriorOptions
from seepage.inversion.randomness import normal
from seepage.models.device import device_of
from seepage.models.generators.trainer import GanTrainer


class GANPrior(Prior):
    """z ~ N(0, I), x = g(z).

    Args:
        generator: z (codes, latent) -> images in [0, 1].
        critic: what `penalty` asks.
        image_shape: (channels, side, side).
        latent: dimensions of z.
    """

    def __init__(self, generator: nn.Module, critic: nn.Module, image_shape: tuple[int, int, int], latent: int):
        self.generator = generator.eval().requires_grad_(False)
        self.critic = critic.eval().requires_grad_(False)
        self.image_shape, self.latent = tuple(image_shape), latent
        self.device = device_of(generator)

    def draw(self, rngs: Sequence[np.random.Generator]) -> Float[Tensor, "codes latent"]:
        return normal(rngs, self.latent, device=self.device)

    def images(self, codes: Float[Tensor, "codes ..."], labels: Int64[Tensor, " codes"]) -> Float[Tensor, "codes ..."]:
        return self.generator(codes)


class PublicTraining(GanTrainer):
    """A training on public images, whose generator knows no classes.

    Args:
        public: (records, channels, side, side) uint8.
        critic: makes the critic's network.
        rates, betas, seed, device: as for `GanTrainer`.
        options: how long and how large.
        kind, target: kept with the state, to know the training again.
    """

    def __init__(
        self,
        public: UInt8[Tensor, "records channels side side"],
        critic: Callable[[], nn.Module],
        rates: dict[str, float],
        betas: tuple[float, float],
        options: PriorOptions,
        *,
        kind: str,
        seed: int,
        device: torch.device | str,
        target: str | None = None,
    ):
        self.public, self.latent = public, options.latent
        shape = tuple(public.shape[1:])
        about = {name: getattr(options, name) for name in ("steps", "batch_size", "width", "latent", "critic_steps")}
        settings = {"kind": kind, "public": Pool(public.cpu().numpy()).fingerprint, "seed": seed, **about}
        super().__init__(
            lambda: (ImageNetwork(shape, options.latent, options.width), critic()),
            rates,
            betas,
            settings if target is None else settings | {"target": target},
            n_records=len(public),
            seed=seed,
            n_steps=options.steps,
            batch_size=options.batch_size,
            critic_steps=options.critic_steps,
            device=device,
        )

    def draw(self, rng: np.random.Generator) -> tuple[Float[Tensor, "batch latent"]]:
        return (self.noise(self.latent, rng),)

    def fake(self, rng: np.random.Generator) -> Float[Tensor, "batch ..."]:
        """A batch of images for the critic: no gradient goes back to the generator."""
        with torch.no_grad():
            return self.images(*self.draw(rng))

    def real(self, records: np.ndarray) -> Float[Tensor, "batch ..."]:
        """These public images, in [0, 1]."""
        return self.public[torch.from_numpy(records).to(self.public.device)].to(self.device).float() / 255
