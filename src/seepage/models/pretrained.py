"""Weights that somebody else trained, for a model to begin with."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor

from seepage.data.cache import reading
from seepage.data.weights import weights
from seepage.errors import DataFileError
from seepage.models.architectures.efficientnet import own_names
from seepage.models.files import read_state

# Of `seepage.data.weights.WEIGHTS` those that an architecture of ours has, by the same name.
PRETRAINED = ("efficientnet-lite0",)


def pretrained_file(source: str | os.PathLike) -> Path:
    """The file that a name of `PRETRAINED` or a path stands for; a named one is downloaded where it is not there.

    Raises:
        DataFileError: there is no such file, or it cannot be had.
    """
    if source in PRETRAINED:
        return weights(str(source))
    if not Path(source).is_file():
        raise DataFileError(
            f"there is no file {source} of pre-trained weights: expected a .safetensors or torch file of weights, or "
            f"one of {', '.join(PRETRAINED)}"
        )
    return Path(source)


def read_pretrained(source: str | os.PathLike) -> dict[str, Tensor]:
    """The weights of that name or in that file, under our names where the published ones are others.

    Raises:
        DataFileError: there is no such file, it is damaged, or of another kind.
        UnsafeFileError: opening it could run code.
        InputError: what it holds is no state dict.
    """
    path = pretrained_file(source)
    if (
        source in PRETRAINED
    ):  # in torch's old format, which of unknown files is not opened; the checksum says what it is
        with reading(path, "torch"):
            return own_names(torch.load(path, map_location="cpu", weights_only=True))
    return own_names(read_state(path))
