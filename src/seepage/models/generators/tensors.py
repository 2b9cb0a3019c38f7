"""A generator's weights in one safetensors file, with a checksum of its content."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from seepage.data.cache import reading
from seepage.errors import DataFileError, StorageError
from seepage.models.files import read_safetensors
from seepage.writing import check_place, payload_digest, whole_file


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """One safetensors file, whole or not at all."""
    content = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    about = {**about, "sha256": _digest(about, content)}
    try:
        with whole_file(path) as file:
            file.write(safetensors.torch.save(content, metadata={"about": json.dumps(about)}))
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from None


def _digest(about: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    return payload_digest("", about, {name: value.numpy() for name, value in tensors.items()})


def read_tensors(path: Path, *, unchecked: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote, unless its content is not what the checksum in it says.

    Args:
        unchecked: take a file of an older version, which has no checksum.

    Raises:
        DataFileError: the file is missing, damaged or no safetensors.
    """
    check_place(path)
    tensors = read_safetensors(path)
    with reading(path, "safetensors"):
        with safetensors.safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
        if not isinstance(about, dict):
            raise ValueError(f"expected keys and values about it, got {type(about).__name__}")
    wanted = about.pop("sha256", None)
    if wanted is None and unchecked:
        return tensors, about
    if wanted is None or wanted != _digest(about, tensors):
        raise DataFileError(f"{path} is damaged: it does not have the checksum of its content")
    return tensors, about


def filled(path: Path, build: Callable[[], nn.Module], tensors: Mapping[str, Tensor]) -> nn.Module:
    """The module that `build` makes with these weights in it; sizes that a file names are checked before they are paid.

    Raises:
        DataFileError: the weights are not those of this module.
    """
    with reading(path):
        with torch.device("meta"):
            shapes = {name: value.shape for name, value in build().state_dict().items()}
        if shapes != {name: value.shape for name, value in tensors.items()}:
            raise ValueError("its weights do not have the shapes that it says: save it again")
        module = build()
        module.load_state_dict(tensors)
        return module
