"""Weights that somebody else trained, for a model to begin with."""

from __future__ import annotations

import os
from pathlib import Path

from torch import Tensor

from seepage.data.weights import weights
from seepage.errors import DataFileError, InputError
from seepage.models.architectures.efficientnet import own_names
from seepage.models.files import file_format, read_safetensors, read_torch

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


def read_pretrained(path: Path) -> dict[str, Tensor]:
    """The weights in a safetensors or torch file, under our names where the published ones are others.

    Raises:
        DataFileError: the file is damaged or of another kind.
        UnsafeFileError: it holds more than weights.
        InputError: what it holds is no state dict.
    """
    kind = file_format(path)
    if kind not in ("safetensors", "torch-zip"):
        raise DataFileError(f"{path} holds {kind}: expected weights, as safetensors or torch.save(model.state_dict())")
    state = read_safetensors(path) if kind == "safetensors" else read_torch(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise InputError(f"{path} holds no weights by name: expected what torch.save(model.state_dict()) writes")
    return own_names(state)
