"""Records as tensors, where the engines train."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from seepage.data import Pool
from seepage.data.precision import check_float32
from seepage.errors import InputError


@dataclass(frozen=True)
class Records:
    """A pool's records where the engines train: inputs (records, ...), labels (records,)."""

    inputs: Tensor
    labels: Tensor
    n_classes: int
    scale: float = 1.0

    @classmethod
    def of(cls, pool: Pool, device: torch.device | str = "cpu") -> "Records":
        """The pool's records as tensors on `device`; bytes stay bytes, floats become float32.

        Raises:
            InputError: no labels, or records that float32 cannot hold.
        """
        if pool.labels is None:
            raise InputError(f"training needs labels, and the pool '{pool.name}' has none")
        check_float32(pool.inputs, pool.columns, taker="training")
        dtype = np.uint8 if pool.inputs.dtype == np.uint8 else np.float32
        inputs, labels = np.ascontiguousarray(pool.inputs, dtype=dtype), np.asarray(pool.labels)
        inputs = inputs if inputs.flags.writeable else inputs.copy()
        return cls(torch.from_numpy(inputs).to(device), torch.from_numpy(labels).to(device), pool.n_classes, pool.scale)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.inputs.shape[1:])

    def batch(self, indices: Tensor) -> Tensor:
        """Inputs at `indices`, as float32 and scaled: what a model gets."""
        picked = self.inputs.index_select(0, indices.reshape(-1))
        if picked.dtype == torch.uint8:
            picked = picked.to(torch.float32).mul_(self.scale)
        return picked.reshape(*indices.shape, *self.input_shape)
