"""A GAN without classes on public images: what the Wasserstein GAN and the k+1 GAN share."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from seepage.data import Pool
from seepage.inversion.priors.base import Prior
from seepage.inversion.priors.networks import ImageNetwork
from seepage.inversion.priors.options import PriorOptions
from seepage.inversion.randomness import normal
from seepage.models.generators.duel import Duel, finite, follow, settled


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
        self.device = next(generator.parameters()).device

    def draw(self, rngs: Sequence[np.random.Generator]) -> Float[Tensor, "codes latent"]:
        return normal(rngs, self.latent, device=self.device)

    def images(self, codes: Float[Tensor, "codes ..."], labels: Int64[Tensor, " codes"]) -> Float[Tensor, "codes ..."]:
        return self.generator(codes)


@dataclass(frozen=True)
class Settings:
    """All that a training depends on."""

    kind: str
    public: str
    seed: int
    steps: int
    batch_size: int
    width: int
    latent: int
    critic_steps: int
    target: str | None = None


class Unconditional(Duel):
    """A step: `critic_steps` updates of the critic, then one of the generator, by Adam with a rate that falls linearly
    to 0. The generator that comes out has the moving average of the weights, as in `train_gan`.

    Args:
        public: (records, channels, side, side) uint8.
        critic: makes the critic's network.
        rates: Adam's rates at the start, of "images" and "critic".
        betas: Adam's.
        options: how long and how large.
        kind, target: kept with the state, to know the training again.
        seed: everything random in step t comes from (seed, t).
        device: where networks are.
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
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.images = ImageNetwork(tuple(public.shape[1:]), options.latent, options.width)
            self.critic = critic()
        self.average = copy.deepcopy(self.images)
        about = {name: getattr(options, name) for name in ("steps", "batch_size", "width", "latent", "critic_steps")}
        settings = Settings(kind, Pool(public.cpu().numpy()).fingerprint, seed, target=target, **about)
        modules = {"images": self.images, "critic": self.critic, "average": self.average}
        super().__init__(modules, rates, betas, settings, device)

    @abstractmethod
    def critic_loss(self, rng: np.random.Generator) -> Tensor:
        """A scalar, on a new batch."""

    @abstractmethod
    def images_loss(self, rng: np.random.Generator) -> Tensor:
        """A scalar, on a new batch."""

    def step(self) -> None:
        rng = np.random.default_rng([self.settings.seed, self.steps_done])
        left = 1 - self.steps_done / self.settings.steps
        for _ in range(self.settings.critic_steps):
            self._update("critic", self.critic_loss(rng), left)
        self._update("images", self.images_loss(rng), left)
        follow(self.average, self.images, self.steps_done)
        self.steps_done += 1

    def trained(self) -> tuple[nn.Module, nn.Module]:
        """The averaged generator, and the critic.

        Raises:
            TrainingError: the training diverged.
        """
        finite(self.critic)
        rng = np.random.default_rng([self.settings.seed, self.settings.steps])
        return settled(self.average, lambda network: network(self.noise(rng))), self.critic

    def noise(self, rng: np.random.Generator) -> Float[Tensor, "batch latent"]:
        """A batch of z."""
        return self._tensor(rng.standard_normal((self.settings.batch_size, self.latent), dtype=np.float32))

    def fake(self, rng: np.random.Generator) -> Float[Tensor, "batch ..."]:
        """A batch of images for the critic: no gradient goes back to the generator."""
        with torch.no_grad():
            return self.images(self.noise(rng))

    def records(self, rng: np.random.Generator) -> Int64[Tensor, " batch"]:
        """Which public images are in a batch."""
        return torch.from_numpy(rng.integers(0, len(self.public), self.settings.batch_size))

    def real(self, records: Int64[Tensor, " batch"]) -> Float[Tensor, "batch ..."]:
        """These public images, in [0, 1]."""
        return self.public[records.to(self.public.device)].to(self.device).float() / 255
