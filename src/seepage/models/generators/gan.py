"""A small class-conditional GAN for square images, made to train on one core of a CPU in minutes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from seepage.data import Pool
from seepage.data.cache import reading
from seepage.errors import DataFileError, InputError
from seepage.models.device import choose_device
from seepage.models.generators.tensors import filled, read_tensors, write_tensors
from seepage.models.generators.trainer import GanTrainer
from seepage.models.outputs import labels_from
from seepage.models.plan import one_thread
from seepage.randomness import Seed, generator

SCHEMA = "seepage.generator/1"
LATENT = 128
BASE_SIDES = (4, 8)  # the generator begins with an image of this side, and doubles it
SAMPLED_AT_ONCE = 256
LR_GENERATOR, LR_DISCRIMINATOR, BETAS = 2e-3, 1e-3, (0.5, 0.99)  # ten times the usual: the steps are few


class Generator:
    """What `train_gan` returns: images of the classes asked for.

    Attributes:
        image_shape: (channels, side, side).
        n_classes: labels run from 0 to n_classes - 1.
    """

    def __init__(self, network: Images):
        self.image_shape, self.n_classes = network.image_shape, network.n_classes
        self.network = network.eval().requires_grad_(False)

    def sample(self, labels: ArrayLike, rng: Seed) -> UInt8[np.ndarray, "samples channels side side"]:
        """One image a label.

        x = 127.5 (tanh(g(z, c)) + 1), rounded; z ~ N(0, I).

        Args:
            labels: (samples,), whole numbers below `n_classes`.
            rng: source of the z.

        Raises:
            InputError: a label is not one of the generator's.
        """
        rng = generator(rng)
        labels = labels_from(labels, n_classes=self.n_classes)
        z = torch.from_numpy(rng.standard_normal((len(labels), LATENT), dtype=np.float32))
        device = self.network.first.weight.device
        parts = [np.empty((0, *self.image_shape), dtype=np.uint8)]
        with torch.no_grad():
            for some, which in zip(
                z.split(SAMPLED_AT_ONCE), torch.from_numpy(labels).split(SAMPLED_AT_ONCE), strict=True
            ):
                images = self.network(some.to(device), which.to(device))
                parts.append(((images + 1) * 127.5).round_().to(torch.uint8).cpu().numpy())
        return np.concatenate(parts)

    def save(self, path: str | os.PathLike) -> None:
        """Write weights and shape to one safetensors file, whole or not at all."""
        write_tensors(Path(path), self.network.state_dict(), {"schema": SCHEMA, **self.network.options})

    @classmethod
    def load(cls, path: str | os.PathLike) -> Generator:
        """The generator that `save` wrote; the file holds numbers only, so that opening it runs no code.

        Raises:
            DataFileError: the file is missing, corrupt or holds something else.
        """
        path = Path(path)
        tensors, about = read_tensors(path)
        if about.pop("schema", None) != SCHEMA:
            raise DataFileError(f"{path} is not a generator: expected a file that Generator.save wrote")
        with reading(path):
            shape, n_classes, width = tuple(about["image_shape"]), about["n_classes"], about["width"]
        return cls(filled(path, lambda: Images(shape, n_classes, width), tensors))


def of_class(table: nn.Embedding, classes: Tensor) -> Tensor:
    """A row of the table for each of (batch,) whole numbers, the mean row for shares (batch, n_classes) of classes."""
    return classes @ table.weight if classes.is_floating_point() else table(classes)


class ClassNorm(nn.Module):
    """Batch normalisation with a gain and an offset for each class."""

    def __init__(self, n_channels: int, n_classes: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(n_channels, affine=False)
        self.gain = nn.Embedding(n_classes, n_channels)
        self.offset = nn.Embedding(n_classes, n_channels)
        nn.init.ones_(self.gain.weight)
        nn.init.zeros_(self.offset.weight)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        gain, offset = (of_class(table, labels)[:, :, None, None] for table in (self.gain, self.offset))
        return self.norm(x) * gain + offset


class Images(nn.Module):
    """The generator's network: z (batch, LATENT), labels (batch,) -> images (batch, *image_shape) in [-1, 1]. In place
    of labels it takes shares (batch, n_classes) of each class.

    The side of the image is halved while it stays at least 4; from there transposed convolutions double it again
    (32 from 4, 28 from 7, 8 from 4).
    """

    def __init__(self, image_shape: tuple[int, ...], n_classes: int, width: int):
        super().__init__()
        channels, base, widths = plan_sides(image_shape, width)
        self.options = {"image_shape": list(image_shape), "n_classes": n_classes, "width": width}
        self.image_shape, self.n_classes = tuple(image_shape), n_classes
        self.start = (widths[0], base, base)
        self.first = nn.Linear(LATENT, widths[0] * base * base, bias=False)
        # Classes begin apart; through the gains alone, which begin alike, they would part only slowly.
        self.classes = nn.Embedding(n_classes, widths[0] * base * base)
        nn.init.normal_(self.classes.weight, std=0.5)
        self.norms = nn.ModuleList(ClassNorm(n, n_classes) for n in widths)
        sizes = zip(widths, [*widths[1:], channels], strict=True)
        self.doublings = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, stride=2, padding=1) for a, b in sizes)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        x = (self.first(z) + of_class(self.classes, labels)).unflatten(1, self.start)
        for norm, double in zip(self.norms, self.doublings, strict=True):
            x = double(F.relu(norm(x, labels)))
        return x.tanh()


class Discriminator(nn.Module):
    """D(x, c) = v^T h(x) + w_c^T h(x) + b: a projection onto the class, every weight divided by its largest singular
    value. Images (batch, *image_shape), labels (batch,) -> (batch,)."""

    def __init__(self, image_shape: tuple[int, ...], n_classes: int, width: int):
        super().__init__()
        channels, _, widths = plan_sides(image_shape, width)
        widths = widths[::-1]
        sizes = zip([channels, *widths], widths, strict=False)
        self.halvings = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, stride=2, padding=1)) for a, b in sizes)
        self.last = spectral_norm(nn.Conv2d(widths[-1], widths[-1], 3, padding=1))
        self.score = spectral_norm(nn.Linear(widths[-1], 1))
        self.classes = spectral_norm(nn.Embedding(n_classes, widths[-1]))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        for halve in (*self.halvings, self.last):
            x = F.leaky_relu(halve(x), 0.1)
        h = x.sum(dim=(2, 3))
        return self.score(h)[:, 0] + (self.classes(labels) * h).sum(dim=1)


class Guide(Protocol):
    """A part of the generator's loss that is not the discriminator's.

    Attributes:
        name: tells one guide from another, so that no training goes on with another one.
    """

    name: str

    def __call__(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> Tensor:
        """A scalar, differentiable in the images, which have values in [-1, 1]."""


def train_gan(
    pool: Pool,
    *,
    n_steps: int,
    batch_size: int = 64,
    width: int = 32,
    rng: Seed,
    device: str | None = None,
    folder: str | os.PathLike | None = None,
    report: Callable[[float], None] = lambda fraction: None,
    guide: Guide | None = None,
) -> Generator:
    """A generator of images like the pool's, class by class.

    A step is one of the discriminator D and then one of the generator g, by Adam with a rate that falls linearly to 0:

        D: mean max(0, 1 - D(x, c)) + mean max(0, 1 + D(g(z, c), c))      g: -mean D(g(z', c'), c')

    The generator returned has the moving average of g's weights; the statistics of its batch norms are taken anew
    for these. Everything random in step t comes from (seed, t) alone, so that a training that was killed and starts
    again in its folder gives the generator that it would have given.

    Args:
        pool: uint8 images (samples, channels, side, side) with labels; side 8, 28, 32 or another that halves down to
            between 4 and 8.
        n_steps: of both networks.
        batch_size: records a step.
        width: channels at half the image's side; the networks' cost grows with its square.
        rng: one seed is drawn from it.
        device: "cpu" or "cuda"; by default the GPU where there is one.
        folder: where the state is kept every 500 steps, to go on from; none by default.
        report: told the share of the steps that is done.
        guide: what else g's loss has in it; nothing by default.

    Raises:
        InputError: the pool does not hold labelled square uint8 images, or a number is not positive.
        StorageError: the folder cannot be written, or holds the training of another generator.
        TrainingError: the training diverged.

    Reference: Miyato and Koyama (2018), cGANs with projection discriminator, section 3 and appendix A; Miyato et al.
        (2018), Spectral normalization for GANs; the moving average as in Karras et al. (2018), and statistics taken
        anew as in Brock et al. (2019). Deviations: one step of D for each of g, rates about ten times higher, DCGAN's
        layers at a quarter of their width, and an offset a class in g's first layer beside the class-wise norms: made
        for minutes of one core, not for the best image.
    """
    rng = generator(rng)
    _check(pool, n_steps=n_steps, batch_size=batch_size, width=width)
    device = choose_device(device)
    seed = int(rng.integers(2**62))
    with one_thread():
        training = Training(pool, seed, n_steps, batch_size, width, device, guide)
        network, _ = training.train(folder, report)
        return Generator(network)


class Training(GanTrainer):
    """The training of `train_gan`."""

    def __init__(
        self,
        pool: Pool,
        seed: int,
        n_steps: int,
        batch_size: int,
        width: int,
        device: str,
        guide: Guide | None = None,
    ):
        self.pool, self.guide = pool, guide
        size = tuple(pool.inputs.shape[1:]), pool.n_classes, width
        settings = {
            "pool": pool.fingerprint, "seed": seed, "n_steps": n_steps, "batch_size": batch_size, "width": width,
        } | ({} if guide is None else {"guide": guide.name})  # fmt: skip
        super().__init__(
            lambda: (Images(*size), Discriminator(*size)),
            {"images": LR_GENERATOR, "critic": LR_DISCRIMINATOR},
            BETAS,
            settings,
            n_records=len(pool),
            seed=seed,
            n_steps=n_steps,
            batch_size=batch_size,
            device=device,
        )

    def critic_loss(self, rng: np.random.Generator) -> Tensor:
        records = self.records(rng)
        real = self._tensor(self.pool.inputs[records]).float() / 127.5 - 1
        real_labels = self._tensor(self.pool.labels[records])
        z, labels = self.draw(rng)
        with torch.no_grad():
            fake = self.images(z, labels)
        # One pass over both, so that the singular vectors move once for the two of them.
        scores = self.critic(torch.cat([real, fake]), torch.cat([real_labels, labels]))
        on_real, on_fake = scores.chunk(2)
        return F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean()

    def images_loss(self, rng: np.random.Generator) -> Tensor:
        z, labels = self.draw(rng)
        fake = self.images(z, labels)
        loss = -self.critic(fake, labels).mean()
        return loss if self.guide is None else loss + self.guide(fake, labels, rng)

    def draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Noise, and labels as frequent as they are in the pool."""
        labels = self.pool.labels[self.records(rng)]
        return self.noise(LATENT, rng), self._tensor(labels)


def plan_sides(image_shape: tuple[int, ...], width: int) -> tuple[int, int, list[int]]:
    """Channels of the image, the side to begin with, and the channels at each side from there to half the image's.

    Raises:
        InputError: the images are not square, or their side is not 4 to 7 doubled.
    """
    if len(image_shape) != 3 or image_shape[1] != image_shape[2]:
        raise InputError(f"expected square images (channels, side, side), got records of shape {image_shape}")
    side, doublings = image_shape[1], 0
    while side % 2 == 0 and side // 2 >= BASE_SIDES[0]:
        side, doublings = side // 2, doublings + 1
    if not doublings or side >= BASE_SIDES[1]:
        raise InputError(
            "expected images with a side of 8, 12, 14, 16, 20, 24, 28, 32, ... (4 to 7 doubled), "
            f"got {image_shape[1]}: resize them"
        )
    return image_shape[0], side, [max(width, 4 * width >> step) for step in range(doublings)]


def _check(pool: Pool, **positive: int) -> None:
    if pool.labels is None:
        raise InputError(f"a class-conditional generator needs labels, and the pool '{pool.name}' has none")
    if pool.inputs.dtype != np.uint8 or pool.inputs.ndim != 4:
        raise InputError(
            f"expected uint8 images (samples, channels, side, side), got {pool.inputs.dtype} {pool.inputs.shape}"
        )
    for name, value in positive.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InputError(f"{name} must be a positive whole number, got {value!r}")
