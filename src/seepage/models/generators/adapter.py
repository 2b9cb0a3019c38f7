"""Somebody else's generator, behind the same `sample(labels, rng)`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import ArrayLike
from torch import Tensor, nn

from seepage.errors import InputError
from seepage.models.device import device_of
from seepage.models.outputs import labels_from
from seepage.outside import from_outside
from seepage.randomness import Seed, generator

Function = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Callback:
    """A function of yours as a generator. Make one with `from_callable`."""

    def __init__(self, function: Function, n_classes: int | None):
        self.n_classes = n_classes
        self._function = function

    def sample(self, labels: ArrayLike, rng: Seed) -> UInt8[np.ndarray, "samples channels height width"]:
        """One image a label.

        Raises:
            InputError: a label is not one of the generator's, or the function's answer is not one uint8 image a label.
        """
        rng = generator(rng)
        labels = labels_from(labels, n_classes=self.n_classes)
        with from_outside(f"the generator could not make images of {len(labels)} labels"):
            images = np.asarray(self._function(labels, rng))
        if images.dtype != np.uint8 or images.ndim != 4 or len(images) != len(labels):
            raise InputError(
                f"a generator must answer {len(labels)} labels with uint8 images ({len(labels)}, channels, height, "
                f"width), got {images.dtype} of shape {images.shape}"
            )
        return images


def from_callable(function: Function, *, n_classes: int | None = None) -> Callback:
    """A generator out of `function(labels, rng) -> uint8 (n, channels, height, width)`.

    Args:
        function: must take what is random from `rng`, a NumPy generator, or an audit cannot be repeated.
        n_classes: labels are checked to lie below it, where it is given.

    >>> grey = from_callable(lambda labels, rng: np.full((len(labels), 1, 2, 2), 128, dtype=np.uint8))
    >>> grey.sample([0, 1], np.random.default_rng(0)).shape
    (2, 1, 2, 2)
    """
    if not callable(function):
        raise InputError(f"expected a function of (labels, rng), got {function!r}")
    return Callback(function, n_classes)


class StyleGAN(nn.Module):
    """A StyleGAN2-ADA or StyleGAN3 generator as its own PyTorch code loads it.

        w = w_avg + psi (mapping(z, c) - w_avg), the same for every layer;    x = synthesis(w, ..., w)

    z ~ N(0, I), c one-hot, or of width 0 where the generator knows no classes.

    Those checkpoints are pickles, and a pickle runs code when it is opened, so that you open it yourself, where you
    trust it, with the code that it was made with:

        import pickle, seepage                     # with the generator's own repository on the path
        with open("cifar10.pkl", "rb") as file:
            network = pickle.load(file)["G_ema"].eval()
        generator = StyleGAN(network)

    Args:
        network: with `z_dim`, `c_dim`, `num_ws`, `mapping` and `synthesis`, in eval mode. It is asked where its weights
            are.
        truncation: psi; 1 leaves the styles alone, less gives more typical and less varied images.
        batch_size: images that `sample` makes at once.

    Raises:
        InputError: it is no StyleGAN, is in training mode, or a number is out of range.

    Reference: Karras et al. (2020), Training generative adversarial networks with limited data; the constants are those
        of its `generate.py`. Deviation: z comes from the NumPy generator that is handed in.
    """

    def __init__(self, network: nn.Module, truncation: float = 1.0, batch_size: int = 32):
        super().__init__()
        missing = [part for part in ("z_dim", "c_dim", "num_ws", "mapping", "synthesis") if not hasattr(network, part)]
        if missing:
            raise InputError(
                f"expected a StyleGAN (the entry 'G_ema' of a checkpoint), got a {type(network).__name__} without "
                f"{', '.join(missing)}"
            )
        check_module(network)
        if not 0 <= truncation <= 1:
            raise InputError(f"truncation must lie between 0 and 1, got {truncation}")
        if batch_size < 1:
            raise InputError(f"batch_size must be positive, got {batch_size}")
        self.network, self.truncation, self.batch_size = network, truncation, batch_size
        self.n_classes = network.c_dim or None
        self.eval()

    def styles(
        self, z: Float[Tensor, "images latent"], classes: Float[Tensor, "images classes"]
    ) -> Float[Tensor, "images styles"]:
        """The truncated style of each z."""
        w = self.network.mapping(z, classes)[:, 0]
        return torch.lerp(self.network.mapping.w_avg.expand_as(w), w, self.truncation)

    def forward(self, styles: Float[Tensor, "images styles"]) -> Float[Tensor, "images channels side side"]:
        """Images, differentiable; -1 is black and 1 is white, a network may go beyond."""
        made = self.network.synthesis(styles[:, None].expand(-1, self.network.num_ws, -1), noise_mode="const")
        if made.ndim != 4 or len(made) != len(styles):
            raise InputError(f"asked for {len(styles)} images, the generator answered with {tuple(made.shape)}")
        return made.float()

    @torch.no_grad()
    def sample(self, labels: ArrayLike, rng: Seed) -> UInt8[np.ndarray, "samples channels side side"]:
        """One image a label, clamp(127.5 x + 128, 0, 255); a generator that knows no classes makes images of whatever
        it makes.

        Raises:
            InputError: there are no labels, one of them is not the generator's, or the answer is not one image a label.
        """
        rng = generator(rng)
        labels = labels_from(labels, n_classes=self.n_classes)
        z = torch.from_numpy(rng.standard_normal((len(labels), self.network.z_dim), dtype=np.float32))
        c = torch.zeros(len(labels), self.network.c_dim)
        if self.n_classes:
            c[torch.arange(len(labels)), torch.from_numpy(labels)] = 1
        device, parts = device_of(self), []
        for some, which in zip(z.split(self.batch_size), c.split(self.batch_size), strict=True):
            images = self(self.styles(some.to(device), which.to(device)))
            parts.append((images * 127.5 + 128).clamp(0, 255).to(torch.uint8).cpu().numpy())
        return np.concatenate(parts)


def check_module(module: nn.Module) -> None:
    """Check that a generator is a torch module in eval mode.

    Raises:
        InputError: it is not.
    """
    if not isinstance(module, nn.Module):
        raise InputError(f"expected a torch module that makes images, got a {type(module).__name__}")
    if module.training:
        raise InputError("the generator is in training mode: call its eval() first")
