"""A Wasserstein GAN with gradient penalty on public images: the prior of GMI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from seepage.inversion.priors.networks import Critic
from seepage.inversion.priors.options import PriorOptions, check_public
from seepage.inversion.priors.unconditional import GANPrior, PublicTraining
from seepage.models.plan import one_thread

PENALTY = 10.0
RATES, BETAS = {"images": 4e-3, "critic": 2e-3}, (0.5, 0.999)


class WassersteinGAN(GANPrior):
    """penalty(x) = -D(x): what the critic of a Wasserstein GAN finds unlike a public image (GMI, equation 2)."""

    name = "Wasserstein GAN on public images"

    def penalty(self, images: Float[Tensor, "codes ..."], labels: Int64[Tensor, " codes"]) -> Float[Tensor, " codes"]:
        return -self.critic(images)


def gradient_penalty(
    critic: nn.Module,
    real: Float[Tensor, "batch ..."],
    fake: Float[Tensor, "batch ..."],
    shares: Float[Tensor, " batch"],
) -> Float[Tensor, ""]:
    """mean (||grad D(x)||_2 - 1)^2 at x = real + share (fake - real), one share an image.

    Reference: Gulrajani et al. (2017), Improved training of Wasserstein GANs, equation 3.
    """
    between = torch.lerp(real, fake, shares.view(-1, 1, 1, 1)).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


class _Training(PublicTraining):
    def critic_loss(self, rng: np.random.Generator) -> Tensor:
        real, fake = self.real(self.records(rng)), self.fake(rng)
        shares = self._tensor(rng.random(len(real), dtype=np.float32))
        on_real, on_fake = self.critic(torch.cat([real, fake])).chunk(2)
        return on_fake.mean() - on_real.mean() + PENALTY * gradient_penalty(self.critic, real, fake, shares)

    def images_loss(self, rng: np.random.Generator) -> Tensor:
        return -self.critic(self.images(*self.draw(rng))).mean()


def train_wgan_gp(
    public: UInt8[Tensor, "records channels side side"],
    *,
    options: PriorOptions = PriorOptions(),  # noqa: B008 - frozen
    seed: int,
    device: torch.device | str = "cpu",
    folder: Path | None = None,
    report: Callable[[float], None] = lambda fraction: None,
) -> WassersteinGAN:
    """A generator of images like the public ones, and its critic.

        D: mean D(g(z)) - mean D(x) + 10 mean (||grad D(between)|| - 1)^2        g: -mean D(g(z'))

    Args:
        public: square uint8 images, at least a batch of them.
        options: `steps` updates of g, with `critic_steps` of D before each.
        seed: everything random derives from it.
        device: "cpu" or "cuda".
        folder: where the state is kept every 500 steps, to go on from; none by default.
        report: told the share of the steps that is done.

    Raises:
        InputError: the public images are not square, or too few.
        StorageError: the folder cannot be written, or holds another training.
        TrainingError: the training diverged.

    Reference: Zhang et al. (CVPR 2020), The secret revealer, section 3; code github.com/AI-secure/GMI-Attack (z 100,
        Adam 2e-4 with betas .5 and .999, five critic steps, batches of 64). Deviations: see RATES, which are higher
        and fall to 0, and the default of `critic_steps`, for steps are few; the critic has no norm; the generator is
        the moving average of its weights.
    """
    check_public(public, options)
    shape = tuple(public.shape[1:])
    with one_thread():
        training = _Training(
            public, lambda: Critic(shape, options.width), RATES, BETAS, options, kind="gan", seed=seed, device=device
        )
        generator, critic = training.train(folder, report)
    return WassersteinGAN(generator, critic, shape, options.latent)
