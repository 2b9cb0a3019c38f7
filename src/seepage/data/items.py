"""A pool from a torch-like dataset, item by item."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from seepage.data.inputs import BLOCK_BYTES, kept_dtype
from seepage.data.pool import Pool
from seepage.errors import InputError, StorageError
from seepage.outside import from_outside
from seepage.writing import whole_file


def read_dataset(
    dataset: Any,
    *,
    memmap: str | os.PathLike | None = None,
    n_classes: int | None = None,
    scale: float = 1.0,
    name: str = "data",
) -> Pool:
    """The items of a torch-like `Dataset` (`len` and `[i]`), each an input or a pair (input, label).

    Every item is taken once, in order. With `memmap`, a file name, the inputs go to that `.npy` file
    and never all into memory.

    Raises:
        InputError: an item has another shape than the first, or no length is known.
        StorageError: the file cannot be written.
    """
    what = type(dataset).__name__
    with from_outside(f"expected a map-style dataset with len(dataset) and dataset[i], got {what}"):
        n = len(dataset)
    if n == 0:
        raise InputError("expected a dataset with at least one item, got none")
    # The first and the last before the others: what cannot be read should say so at once.
    (first, label), _ = _item(dataset, 0), _item(dataset, n - 1)
    dtype = kept_dtype(first.dtype)
    shape = (n, *first.shape)
    labels = None if label is None else []

    def rows(start: int, stop: int) -> np.ndarray:
        block = np.empty((stop - start, *first.shape), dtype=dtype)
        for i in range(start, stop):
            value, answer = _item(dataset, i)
            if (value.shape, value.dtype, answer is None) != (first.shape, first.dtype, label is None):
                raise InputError(
                    f"expected items like dataset[0], {first.dtype} {first.shape}, got {value.dtype} {value.shape} "
                    f"with{'out' if answer is None else ''} a label at dataset[{i}]"
                )
            block[i - start] = value
            if labels is not None:
                labels.append(answer)
        return block

    inputs = rows(0, n) if memmap is None else _mapped(Path(memmap), rows, shape, dtype)
    return Pool(inputs, labels, name=name, n_classes=n_classes, scale=scale)


def _item(dataset: Any, i: int) -> tuple[np.ndarray, Any]:
    """An item's input and, where it has one, its label: a number, a text or a one-hot row."""
    with from_outside(f"{type(dataset).__name__} could not give its item {i}, dataset[{i}]"):
        item = dataset[i]
        parts = tuple(item) if isinstance(item, (tuple, list)) else (item,)
        if not 1 <= len(parts) <= 2:
            raise InputError(f"expected items that are an input or a pair (input, label), got {len(parts)} parts")
        if len(parts) == 1:
            return np.asarray(parts[0]), None
        label = np.asarray(parts[1])
        return np.asarray(parts[0]), label.item() if label.size == 1 else label


def _mapped(path: Path, rows: Callable[[int, int], np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
    """Write the rows to `path` a block at a time and open it.

    Written in order rather than into a map: a full disk is then an error here, not a killed process.
    """
    step = max(1, BLOCK_BYTES // max(1, dtype.itemsize * int(np.prod(shape[1:]))))
    try:
        with whole_file(path) as file:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, shape[0], step):
                file.write(rows(start, min(start + step, shape[0])).tobytes())
    except OSError as error:
        raise StorageError(f"the pool's inputs cannot be written to {path}: {error.strerror}") from None
    return np.load(path, mmap_mode="c", allow_pickle=False)
