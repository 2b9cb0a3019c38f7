"""A small class-conditional GAN for square images, made to train on one core of a CPU in minutes."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from jaxtyping import UInt8
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from seepage.data import Pool
from seepage.errors import DataFileError, InputError, StorageError, TrainingError
from seepage.models.outputs import labels_from
from seepage.models.plan import one_thread

SCHEMA = "seepage.generator/1"
LATENT = 128
BASE_SIDES = (4, 8)  # the generator begins with an image of this side, and doubles it
AVERAGE = 0.999  # decay of the moving average of the generator's weights
CHECKPOINT_STEPS = 500
STATISTICS_BATCHES = 50
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

    def sample(self, labels: ArrayLike, rng: np.random.Generator) -> UInt8[np.ndarray, "samples channels side side"]:
        """One image a label.

        x = 127.5 (tanh(g(z, c)) + 1), rounded; z ~ N(0, I).

        Args:
            labels: (samples,), whole numbers below `n_classes`.
            rng: source of the z.

        Raises:
            InputError: a label is not one of the generator's.
        """
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
        _write(Path(path), self.network.state_dict(), {"schema": SCHEMA, **self.network.options})

    @classmethod
    def load(cls, path: str | os.PathLike) -> Generator:
        """The generator that `save` wrote; the file holds numbers only, so that opening it runs no code.

        Raises:
            DataFileError: the file is missing, corrupt or holds something else.
        """
        tensors, about = _read(Path(path))
        if about.pop("schema", None) != SCHEMA:
            raise DataFileError(f"{path} is not a generator: expected a file that Generator.save wrote")
        try:
            network = Images(tuple(about["image_shape"]), about["n_classes"], about["width"])
            network.load_state_dict(tensors)
        except (KeyError, TypeError, RuntimeError, InputError) as error:
            raise DataFileError(f"{path} is not a whole generator ({error}): save it again") from None
        return cls(network)


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
        return self.norm(x) * self.gain(labels)[:, :, None, None] + self.offset(labels)[:, :, None, None]


class Images(nn.Module):
    """The generator's network: z (batch, LATENT), labels (batch,) -> images (batch, *image_shape) in [-1, 1].

    The side of the image is halved while it stays at least 4; from there transposed convolutions double it again
    (32 from 4, 28 from 7, 8 from 4).
    """

    def __init__(self, image_shape: tuple[int, ...], n_classes: int, width: int):
        super().__init__()
        channels, base, widths = _plan(image_shape, width)
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
        x = (self.first(z) + self.classes(labels)).unflatten(1, self.start)
        for norm, double in zip(self.norms, self.doublings, strict=True):
            x = double(F.relu(norm(x, labels)))
        return x.tanh()


class Discriminator(nn.Module):
    """D(x, c) = v^T h(x) + w_c^T h(x) + b: a projection onto the class, every weight divided by its largest singular
    value. Images (batch, *image_shape), labels (batch,) -> (batch,)."""

    def __init__(self, image_shape: tuple[int, ...], n_classes: int, width: int):
        super().__init__()
        channels, _, widths = _plan(image_shape, width)
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


def train_gan(
    pool: Pool,
    *,
    n_steps: int,
    batch_size: int = 64,
    width: int = 32,
    rng: np.random.Generator,
    device: str | None = None,
    folder: str | os.PathLike | None = None,
    report: Callable[[float], None] = lambda fraction: None,
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
    _check(pool, n_steps=n_steps, batch_size=batch_size, width=width)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    settings = Settings(pool.fingerprint, int(rng.integers(2**62)), n_steps, batch_size, width)
    checkpoint = None if folder is None else Path(folder) / "training.safetensors"
    with one_thread():
        training = Training(pool, settings, device)
        if checkpoint is not None and checkpoint.exists():
            training.restore(checkpoint)
        while training.steps_done < n_steps:
            training.step()
            if checkpoint is not None and training.steps_done % CHECKPOINT_STEPS == 0:
                training.keep(checkpoint)
            report(training.steps_done / n_steps)
        if checkpoint is not None:
            training.keep(checkpoint)
        return training.generator()


@dataclass(frozen=True)
class Settings:
    """All that a training depends on."""

    pool: str
    seed: int
    n_steps: int
    batch_size: int
    width: int


class Training:
    """Both networks, the average and the optimisers' state, between two steps."""

    def __init__(self, pool: Pool, settings: Settings, device: str):
        shape = tuple(pool.inputs.shape[1:])
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.images = Images(shape, pool.n_classes, settings.width)
            self.critic = Discriminator(shape, pool.n_classes, settings.width)
        self.average = copy.deepcopy(self.images)
        for module in self.modules.values():
            module.to(device).train()
        self.optimisers = {
            "images": torch.optim.Adam(self.images.parameters(), LR_GENERATOR, BETAS),
            "critic": torch.optim.Adam(self.critic.parameters(), LR_DISCRIMINATOR, BETAS),
        }
        self.pool, self.settings, self.device, self.steps_done = pool, settings, device, 0

    @property
    def modules(self) -> dict[str, nn.Module]:
        return {"images": self.images, "critic": self.critic, "average": self.average}

    def step(self) -> None:
        rng = np.random.default_rng([self.settings.seed, self.steps_done])
        left = 1 - self.steps_done / self.settings.n_steps
        records = rng.integers(0, len(self.pool), self.settings.batch_size)
        real = self._tensor(self.pool.inputs[records]).float() / 127.5 - 1
        real_labels = self._tensor(self.pool.labels[records])

        z, labels = self._draw(rng)
        with torch.no_grad():
            fake = self.images(z, labels)
        # One pass over both, so that the singular vectors move once for the two of them.
        scores = self.critic(torch.cat([real, fake]), torch.cat([real_labels, labels]))
        on_real, on_fake = scores.chunk(2)
        self._update("critic", F.relu(1 - on_real).mean() + F.relu(1 + on_fake).mean(), LR_DISCRIMINATOR * left)

        z, labels = self._draw(rng)
        self._update("images", -self.critic(self.images(z, labels), labels).mean(), LR_GENERATOR * left)
        # Early weights are far from the last ones: the average forgets faster as long as it is short.
        decay = min(AVERAGE, (1 + self.steps_done) / (10 + self.steps_done))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.images.parameters()), 1 - decay)
        self.steps_done += 1

    def generator(self) -> Generator:
        """The average, with the statistics that its own images have."""
        network = copy.deepcopy(self.average).train()
        rng = np.random.default_rng([self.settings.seed, self.settings.n_steps])
        for norm in network.norms:
            norm.norm.reset_running_stats()
            norm.norm.momentum = None  # a plain mean over the batches
        with torch.no_grad():
            for _ in range(STATISTICS_BATCHES):
                network(*self._draw(rng))
        if not all(bool(torch.isfinite(value).all()) for value in network.state_dict().values()):
            raise TrainingError("the training of a generator diverged: its weights are no longer finite")
        return Generator(network)

    def keep(self, path: Path) -> None:
        """Write everything that the next step depends on."""
        tensors = {
            f"{name}.{key}": v for name, module in self.modules.items() for key, v in module.state_dict().items()
        }
        for name, optimiser in self.optimisers.items():
            for place, state in optimiser.state_dict()["state"].items():
                tensors |= {f"adam.{name}.{place}.{key}": value for key, value in state.items()}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot write to the folder {path.parent}: {error.strerror}") from None
        _write(path, tensors, {"settings": vars(self.settings), "steps_done": self.steps_done})

    def restore(self, path: Path) -> None:
        """Go on from what `keep` wrote."""
        tensors, about = _read(path)
        if about.get("settings") != vars(self.settings):
            raise StorageError(
                f"{path.parent} holds the training of another generator (other data, seed, steps, batch size or "
                "width): choose another folder, or delete this one to start again"
            )
        for name, module in self.modules.items():
            prefix = f"{name}."
            module.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        for name, optimiser in self.optimisers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                if key.startswith(f"adam.{name}."):
                    _, _, place, what = key.split(".")
                    state.setdefault(int(place), {})[what] = value
            optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
        self.steps_done = about["steps_done"]

    def _update(self, name: str, loss: Tensor, lr: float) -> None:
        optimiser, parameters = self.optimisers[name], list(self.modules[name].parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        optimiser.param_groups[0]["lr"] = lr
        optimiser.step()

    def _draw(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Noise, and labels as frequent as they are in the pool."""
        n = self.settings.batch_size
        labels = self.pool.labels[rng.integers(0, len(self.pool), n)]
        return self._tensor(rng.standard_normal((n, LATENT), dtype=np.float32)), self._tensor(labels)

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.asarray(array)).to(self.device)


def _plan(image_shape: tuple[int, ...], width: int) -> tuple[int, int, list[int]]:
    """Channels of the image, the side to begin with, and the channels at each side from there to half the image's."""
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


def _write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    try:
        with open(part, "wb") as file:
            file.write(safetensors.torch.save(content, metadata={"about": json.dumps(about)}))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror}") from None


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118 - not a mapping
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise DataFileError(f"{path} cannot be read as safetensors: {error}") from None
