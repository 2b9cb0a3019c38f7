"""PLG-MI's GAN: it makes images of a class out of the public images that the target finds most like it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from seepage.data import Pool
from seepage.inversion.objectives import max_margin
from seepage.inversion.oracle import Oracle
from seepage.inversion.priors.base import Prior
from seepage.inversion.priors.knowledge_gan import soft_labels
from seepage.inversion.priors.options import PriorOptions, check_public
from seepage.inversion.randomness import normal
from seepage.inversion.views import views
from seepage.models.device import device_of
from seepage.models.generators.gan import LATENT, Generator, train_gan
from seepage.models.plan import one_thread

WEIGHT = 0.2  # of the target in the generator's loss


class ConditionalGAN(Prior):
    """z ~ N(0, I), x = g(z, c) for the class c that is wanted.

    Args:
        generator: with a class for each of the target's.
    """

    name = "class-conditional GAN on public images, guided by the target"

    def __init__(self, generator: Generator):
        self.network, self.image_shape = generator.network, tuple(generator.image_shape)
        self.device = device_of(generator.network)

    def draw(self, rngs: Sequence[np.random.Generator]) -> Float[Tensor, "codes latent"]:
        return normal(rngs, LATENT, device=self.device)

    def images(self, codes: Float[Tensor, "codes ..."], labels: Int64[Tensor, " codes"]) -> Float[Tensor, "codes ..."]:
        return (self.network(codes, labels) + 1) / 2


def top_images(
    log_probabilities: Float[Tensor, "records classes"], n: int
) -> tuple[Int64[Tensor, " pairs"], Int64[Tensor, " pairs"]]:
    """The n records that have the highest probability of each class, and the classes: (records, classes), class by
    class. A record may stand for several classes, and its own likeliest one plays no part; of equals the first comes
    first.

    Reference: Yuan et al. (AAAI 2023), Pseudo label-guided model inversion attack, section 3.2.
    """
    n = min(n, len(log_probabilities))
    best = log_probabilities.argsort(dim=0, descending=True, stable=True)[:n]
    return best.T.flatten(), torch.arange(best.shape[1], device=best.device).repeat_interleave(n)


@dataclass(frozen=True)
class Guidance:
    """WEIGHT mean max-margin(T(view of g(z, c)), c), the generator's second teacher (PLG-MI, equation 4).

    The target's batch is the generator's: a step asks about `batch_size` images.
    """

    oracle: Oracle
    name: str

    def __call__(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        seen = views((images + 1) / 2, rng.spawn(len(images)), ratio=(1, 1), flip=0, jitter=0.2, degrees=5)
        return WEIGHT * max_margin(self.oracle.logits(seen), labels).mean()


def train_conditional_gan(
    public: UInt8[Tensor, "records channels side side"],
    oracle: Oracle,
    *,
    options: PriorOptions = PriorOptions(),  # noqa: B008 - frozen
    seed: int,
    folder: Path | None = None,
    report: Callable[[float], None] = lambda fraction: None,
) -> ConditionalGAN:
    """`train_gan` on the `top_n` public images of each of the target's classes, with `Guidance`.

    Args:
        public: square uint8 images, at least a batch of them.
        oracle: the target, which gives "weights".
        options: `steps` updates of both networks; `latent` and `critic_steps` are not for this kind.
        seed: everything random derives from it.
        folder: where the state is kept every 500 steps, to go on from; none by default.
        report: told the share of the steps that is done.

    Raises:
        InputError: the public images are not square, or too few.
        AccessError: the oracle gives no weights.
        StorageError: the folder cannot be written, or holds another training.
        TrainingError: the training diverged.

    Reference: Yuan et al. (AAAI 2023), Pseudo label-guided model inversion attack, sections 3.2 and 3.3; code
        github.com/LetheSec/PLG-MI-Attack, top_n_selection.py and train_cgan.py. Deviations: the networks, rates and one
        step of the discriminator for each of the generator are those of `train_gan`; views are `views.views`, none
        is mirrored, for a mirrored letter is another one, and all are turned and change their colours (there half are).
    """
    check_public(public, options)
    with one_thread():
        log_p = soft_labels(oracle, public)
    records, classes = (part.cpu() for part in top_images(log_p, options.top_n))
    pool = Pool(public.cpu()[records].numpy(), classes.numpy(), n_classes=log_p.shape[1], name="top public images")
    generator = train_gan(
        pool,
        n_steps=options.steps,
        batch_size=options.batch_size,
        width=options.width,
        rng=np.random.default_rng(seed),
        device=str(oracle.device),
        folder=folder,
        report=report,
        guide=Guidance(oracle, Pool(log_p.cpu().numpy()).fingerprint),
    )
    return ConditionalGAN(generator)
