"""Somebody else's generator as a prior."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from seepage.data.cache import reading
from seepage.data.weights import weights
from seepage.errors import DataFileError, InputError
from seepage.inversion.priors.base import Prior
from seepage.inversion.randomness import normal
from seepage.models.device import device_of
from seepage.models.files import file_format, read_torch
from seepage.models.generators.adapter import check_module
from seepage.models.generators.gan import LATENT, Generator

SHARPNESS = 5.0  # of the classes that a code stands for: a draw is nearly always of one


def fitted(images: Float[Tensor, "images ..."], image_shape: tuple[int, int, int]) -> Float[Tensor, "images ..."]:
    """Images in another shape, differentiably: colour to the mean of its channels, grey to every channel, sides resized
    by bilinear interpolation that averages where it shrinks."""
    channels, height, width = image_shape
    if images.shape[1] != channels:
        images = images.mean(1, keepdim=True).expand(-1, channels, -1, -1)
    if images.shape[2:] != (height, width):
        images = F.interpolate(images, (height, width), mode="bilinear", antialias=True, align_corners=False)
    return images


class ModulePrior(Prior):
    """Any network z -> images, z ~ N(0, I).

        x = clamp((g(z) - low) / (high - low), 0, 1), in the shape asked for

    Args:
        module: in eval mode; it is asked where its weights are.
        latent: the shape of one z, or its length.
        image_shape: (channels, height, width) of the target's images.
        output_range: (low, high) of what it answers: (-1, 1) after tanh, (0, 1) after a sigmoid.
        name: tells it from other generators, in a report and in a run that goes on.

    Raises:
        InputError: the module is in training mode, the range is empty, or it does not answer with one image a z.
    """

    def __init__(
        self,
        module: nn.Module,
        latent: int | tuple[int, ...],
        image_shape: tuple[int, int, int],
        output_range: tuple[float, float] = (-1.0, 1.0),
        name: str = "a generator of your own",
    ):
        check_module(module)
        if not output_range[0] < output_range[1]:
            raise InputError(f"expected the range of the answers as (low, high), got {output_range}")
        self.module, self.image_shape, self.name = module.requires_grad_(False), tuple(image_shape), name
        self.latent = (latent,) if isinstance(latent, int) else tuple(latent)
        self.low, self.high = output_range
        self.device = device_of(module)
        with torch.no_grad():
            self._answer(torch.zeros(1, *self.latent, device=self.device))

    def draw(self, rngs: Sequence[np.random.Generator]) -> Float[Tensor, "codes ..."]:
        return normal(rngs, *self.latent, device=self.device)

    def images(self, codes: Float[Tensor, "codes ..."], labels: Int64[Tensor, " codes"]) -> Float[Tensor, "codes ..."]:
        scaled = (self._answer(codes) - self.low) / (self.high - self.low)
        return fitted(scaled.clamp(0, 1), self.image_shape)

    def _answer(self, codes: Tensor) -> Tensor:
        made = self.module(codes)
        if made.ndim != 4 or len(made) != len(codes):
            raise InputError(
                f"a generator must answer {len(codes)} codes with images ({len(codes)}, channels, height, width), got "
                f"{tuple(made.shape)}"
            )
        return made


class DCGANPrior(ModulePrior):
    """A DCGAN from its state dict: main.0.weight, main.1..., transposed convolutions with batch norms between them.

    Args:
        state: the weights, by name; their shapes say how deep and wide it is.
        image_shape, name: as for `ModulePrior`.

    Raises:
        InputError: the weights are not those of a DCGAN.

    Reference: Radford, Metz and Chintala (2016), section 3; layers as in PyTorch's example dcgan.
    """

    def __init__(self, state: dict[str, Tensor], image_shape: tuple[int, int, int], name: str = "DCGAN"):
        network = _dcgan(state)
        super().__init__(network, (network.latent,), image_shape, name=name)

    @classmethod
    def load(cls, path: str | os.PathLike, image_shape: tuple[int, int, int], name: str | None = None) -> DCGANPrior:
        """From a torch file with the weights under netG_state_dict, or nothing but them; no code in it is run.

        Raises:
            DataFileError: the file is missing, or no torch file of weights.
            UnsafeFileError: it holds more than weights.
            InputError: the weights are not those of a DCGAN.
        """
        path = Path(path)
        content = _read_weights(path)
        with reading(path):
            return cls(dict(content.get("netG_state_dict", content)), image_shape, name or f"DCGAN {path.name}")


class SavedGANPrior(Prior):
    """A class-conditional generator of `train_gan`, whose classes are not the target's.

        code = (z, a) ~ N(0, I);    x = g(z, c) with every class-wise weight averaged over shares softmax(5 a)

    so that a draw is nearly always of one class, and a descent can go from one to another.

    Args:
        generator: trained or loaded.
        image_shape: (channels, height, width) of the target's images.
        name: tells it from other generators.
    """

    def __init__(self, generator: Generator, image_shape: tuple[int, int, int], name: str = "GAN"):
        self.network, self.n_classes = generator.network, generator.n_classes
        self.image_shape, self.name = tuple(image_shape), name
        self.device = device_of(generator.network)

    def draw(self, rngs: Sequence[np.random.Generator]) -> Float[Tensor, "codes latent"]:
        return normal(rngs, LATENT + self.n_classes, device=self.device)

    def images(self, codes: Float[Tensor, "codes ..."], labels: Int64[Tensor, " codes"]) -> Float[Tensor, "codes ..."]:
        z, shares = codes[:, :LATENT], (SHARPNESS * codes[:, LATENT:]).softmax(1)
        return fitted((self.network(z, shares) + 1) / 2, self.image_shape)


def open_generator(name: str | os.PathLike, image_shape: tuple[int, int, int]) -> Prior:
    """The generator of a name or a file, for images of this shape.

    Args:
        name: "dcgan-faces"; or a file: `.safetensors` that `Generator.save` wrote, `.tar`, `.pt` or `.pth` with the
            weights of a DCGAN.
        image_shape: (channels, height, width).

    Raises:
        InputError: there is no such generator, or the weights are not a DCGAN's.
        DataFileError: the file is missing or damaged.
        UnsafeFileError: the file holds more than weights.
    """
    if str(name) == "dcgan-faces":
        return DCGANPrior.load(weights("dcgan-faces"), image_shape, "DCGAN dcgan-faces")
    path = Path(name)
    if path.suffix == ".safetensors":
        return SavedGANPrior(Generator.load(path), image_shape, f"GAN {path.name}")
    if path.suffix in (".tar", ".pt", ".pth"):
        return DCGANPrior.load(path, image_shape)
    raise InputError(
        f"unknown generator '{name}': expected dcgan-faces, or a file that ends in .safetensors, .tar, .pt or .pth"
    )


def _read_weights(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataFileError(f"there is no file {path}")
    if file_format(path) != "torch-zip":
        raise DataFileError(f"{path} is no torch file of weights: expected one that torch.save wrote")
    content = read_torch(path)
    return content if isinstance(content, dict) else {}


def _dcgan(state: dict[str, Tensor]) -> nn.Module:
    places = {
        int(found[1]): value
        for key, value in state.items()
        if (found := re.fullmatch(r"main\.(\d+)\.weight", key)) and getattr(value, "ndim", 0) == 4
    }
    if (
        sorted(places) != list(range(0, 3 * len(places), 3))
        or not places
        or any(value.shape[2] != value.shape[3] for value in places.values())
    ):
        raise InputError(
            "expected the weights of a DCGAN (main.0.weight, main.3.weight, ... of transposed convolutions), got "
            f"{', '.join(list(state)[:3]) or 'none'}"
        )
    kernels = [places[place] for place in sorted(places)]
    layers: list[nn.Module] = []
    for place, kernel in enumerate(kernels):
        n_in, n_out, size, _ = kernel.shape
        first, last = place == 0, place == len(kernels) - 1
        layers.append(nn.ConvTranspose2d(n_in, n_out, size, 1 if first else 2, 0 if first else 1, bias=False))
        layers += [nn.Tanh()] if last else [nn.BatchNorm2d(n_out), nn.ReLU()]
    network = _DCGAN(nn.Sequential(*layers), kernels[0].shape[0])
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"the weights are not those of a DCGAN: {' '.join(str(error).split())[:200]}") from None
    return network.eval()


class _DCGAN(nn.Module):
    def __init__(self, main: nn.Module, latent: int):
        super().__init__()
        self.main, self.latent = main, latent

    def forward(self, z: Tensor) -> Tensor:
        return self.main(z[:, :, None, None])
