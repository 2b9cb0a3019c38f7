"""KED-MI's GAN: its discriminator learns the target's labels of public images, and knows generated ones besides."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

from seepage.data import Pool
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors.networks import ClassDiscriminator, log_sum_exp, unreal
from seepage.inversion.priors.options import PriorOptions, check_public
from seepage.inversion.priors.unconditional import GANPrior, PublicTraining
from seepage.models.plan import one_thread

ENTROPY = 1e-4
RATES, BETAS = {"images": 2e-3, "critic": 1e-3}, (0.5, 0.999)
LABELLED_AT_ONCE = 256


class KnowledgeGAN(GANPrior):
    """penalty(x) = softplus(LSE D(x)) - LSE D(x) = -log p(real) (KED-MI, equation 6; each image judged alone)."""

    name = "GAN on public images, with the target's labels"

    def penalty(self, images: Float[Tensor, "codes ..."], labels: Int64[Tensor, " codes"]) -> Float[Tensor, " codes"]:
        _, logits = self.critic(images, alone=True)
        return unreal(logits)


def soft_labels(
    oracle: Oracle, public: UInt8[Tensor, "records channels height width"]
) -> Float32[Tensor, "records classes"]:
    """log p of every public image, each asked about once."""
    return torch.cat(
        [oracle.log_probabilities(some.to(oracle.device).float() / 255) for some in public.split(LABELLED_AT_ONCE)]
    )


def discriminator_loss(
    on_real: Float[Tensor, "batch classes"],
    on_fake: Float[Tensor, "fakes classes"],
    soft: Float[Tensor, "batch classes"],
) -> Float[Tensor, ""]:
    """mean H(T(x), D(x)) + 1/2 [mean softplus(-LSE D(x)) + mean softplus(LSE D(g(z)))]

    H(p, D) = -sum_k p_k log softmax_k(D).

    Args:
        on_real, on_fake: logits of the discriminator.
        soft: probabilities of the target for the real images.
    """
    labelled = -(soft * on_real.log_softmax(1)).sum(1).mean()
    return labelled + (unreal(on_real).mean() + F.softplus(log_sum_exp(on_fake)).mean()) / 2


def generator_loss(
    real_features: Float[Tensor, "batch features"],
    fake_features: Float[Tensor, "fakes features"],
    on_fake: Float[Tensor, "fakes classes"],
) -> Float[Tensor, ""]:
    """mean |mean f(g(z)) - mean f(x)| + 1e-4 sum H(softmax D(g(z))): features as those of real images are on average,
    and classes that the target is sure of. The entropy is a sum over the batch, as in the code."""
    log_p = on_fake.log_softmax(1)
    entropy = -(log_p.exp() * log_p).sum()
    return (fake_features.mean(0) - real_features.mean(0)).abs().mean() + ENTROPY * entropy


class _Training(PublicTraining):
    soft: Tensor

    def critic_loss(self, rng: np.random.Generator) -> Tensor:
        records = self.records(rng)
        _, on_real = self.critic(self.real(records))
        _, on_fake = self.critic(self.fake(rng))
        return discriminator_loss(on_real, on_fake, self.soft[torch.from_numpy(records).to(self.soft.device)])

    def images_loss(self, rng: np.random.Generator) -> Tensor:
        fake_features, on_fake = self.critic(self.images(*self.draw(rng)))
        with torch.no_grad():
            real_features = self.critic.features(self.real(self.records(rng))).flatten(1)
        return generator_loss(real_features, fake_features, on_fake)


def train_knowledge_gan(
    public: UInt8[Tensor, "records channels side side"],
    oracle: Oracle,
    *,
    options: PriorOptions = PriorOptions(),  # noqa: B008 - frozen
    seed: int,
    folder: Path | None = None,
    report: Callable[[float], None] = lambda fraction: None,
) -> KnowledgeGAN:
    """A generator of images like the public ones, and a discriminator that knows the target's classes.

    See `discriminator_loss` and `generator_loss`. The target is asked about every public image once, before the
    training.

    Args:
        public: square uint8 images, at least a batch of them.
        oracle: the target, which answers with "probabilities" at least.
        options: `steps` updates of the generator, with `critic_steps` of the discriminator before each.
        seed: everything random derives from it.
        folder: where the state is kept every 500 steps, to go on from; none by default.
        report: told the share of the steps that is done.

    Raises:
        InputError: the public images are not square, or too few.
        AccessError: the oracle gives no probabilities.
        StorageError: the folder cannot be written, or holds another training.
        TrainingError: the training diverged.

    Reference: Chen et al. (ICCV 2021), Knowledge-enriched distributional model inversion, section 3.1; code
        github.com/SCccc21/Knowledge-Enriched-DMI, k+1_gan.py (z 100, Adam 2e-4 with betas .5 and .999, five steps of
        the discriminator, batches of 64). Deviations: see RATES, which are higher and fall to 0, and the default of
        `critic_steps`, for steps are few; one batch of public images serves both parts of the discriminator's loss;
        the generator is the moving average of its weights; `networks.ClassDiscriminator` says how it differs.
    """
    check_public(public, options)
    shape = tuple(public.shape[1:])
    with one_thread():
        log_p = soft_labels(oracle, public)
        training = _Training(
            public, lambda: ClassDiscriminator(shape, options.width, log_p.shape[1]), RATES, BETAS, options,
            kind="knowledge-gan", seed=seed, device=oracle.device, target=Pool(log_p.cpu().numpy()).fingerprint,
        )  # fmt: skip
        training.soft = log_p.exp()
        generator, critic = training.train(folder, report)
    return KnowledgeGAN(generator, critic, shape, options.latent)
