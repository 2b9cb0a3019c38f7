"""Random numbers with a generator of its own for every image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

Rngs = Sequence[np.random.Generator]


def normal(rngs: Rngs, *shape: int, device: torch.device | str = "cpu") -> Float32[Tensor, "images ..."]:
    """Standard normal numbers, `shape` of them from each generator."""
    drawn = np.stack([rng.standard_normal(shape, dtype=np.float32) for rng in rngs])
    return torch.from_numpy(drawn).to(device)


def uniform(rngs: Rngs, *shape: int, device: torch.device | str = "cpu") -> Float32[Tensor, "images ..."]:
    """Numbers from [0, 1), `shape` of them from each generator."""
    drawn = np.stack([rng.random(shape, dtype=np.float32) for rng in rngs])
    return torch.from_numpy(drawn).to(device)
