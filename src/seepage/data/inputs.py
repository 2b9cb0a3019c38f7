"""Inputs as people have them, as one array that keeps their values, and words for what is no array of numbers."""

from collections.abc import Iterator
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from seepage.data.labels import is_missing
from seepage.errors import InputError

BLOCK_BYTES = 8 * 2**20
KEPT = (np.dtype(np.uint8), np.dtype(np.float32), np.dtype(np.float64))
LARGEST_EXACT_INT = 2**53  # above it float64 skips integers, and two different records could become the same


def checked_inputs(inputs: ArrayLike) -> np.ndarray:
    """Inputs (samples, ...) in one of the dtypes of `KEPT`, finite; a memory map stays one.

    Raises:
        InputError: they are no finite numbers in one array, or whole numbers that float64 does not hold.
    """
    if isinstance(inputs, np.memmap):
        if inputs.dtype not in KEPT:
            raise InputError(
                f"expected memory-mapped inputs in float32, float64 or uint8, got {inputs.dtype}: "
                "save them with np.save(path, inputs.astype(np.float64))"
            )
        array = inputs
    else:
        array = as_array(inputs)
    if array.ndim < 2 or array.size == 0:
        raise InputError(f"expected inputs of shape (samples, ...) with at least one value each, got {array.shape}")
    dtype = kept_dtype(array.dtype)
    if dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if array.dtype.kind in "iu" and max(abs(int(array.min())), abs(int(array.max()))) > LARGEST_EXACT_INT:
        raise InputError(
            f"expected whole numbers of at most {LARGEST_EXACT_INT} as inputs (float64 holds no more), got "
            f"{array.min()} to {array.max()}: leave ids out, or rescale them first"
        )
    array = array.astype(dtype, copy=False)
    for start, block in blocks(array):
        finite = np.isfinite(block).reshape(len(block), -1).all(axis=1)
        if not finite.all():
            raise InputError(f"expected finite inputs, got NaN or infinity in record {start + int(finite.argmin())}")
    return array


def kept_dtype(dtype: np.dtype) -> np.dtype:
    """As what inputs of that dtype are kept: the first of `KEPT` that holds all their values.

    Raises:
        InputError: they are no numbers.
    """
    if dtype.kind not in "fbiu":
        raise InputError(f"expected numbers as inputs, got dtype {dtype}: read_frame encodes text")
    if dtype.kind == "b" or dtype == KEPT[0]:
        return KEPT[0]
    return KEPT[1] if dtype.kind == "f" and dtype.itemsize <= 4 else KEPT[2]


def as_array(inputs: Any) -> np.ndarray:
    """Inputs as an array, Python objects as numbers where each of them is one.

    Args:
        inputs: (samples, ...), an array, a list, a tensor, or a data frame; its columns may be of several kinds of
            numbers, which NumPy puts together as objects.

    Raises:
        InputError: they are sparse, structured or masked, an entry is missing or no number, or they make no array.

    >>> as_array(np.array([[True, Decimal("1.5")], [False, 2]], dtype=object)).tolist()
    [[1.0, 1.5], [0.0, 2.0]]
    """
    if hasattr(inputs, "tocoo") and hasattr(inputs, "toarray"):
        raise InputError(
            f"expected inputs as one array of numbers, got a sparse {type(inputs).__name__} of shape {inputs.shape}: "
            "give inputs.toarray()"
        )
    if (masked := _mask(inputs)).any():
        record = int(masked.reshape(len(masked), -1).any(axis=1).argmax())
        raise InputError(
            f"expected inputs without a mask, got {int(masked.sum())} masked values, in record {record} for one: fill "
            "them as in training (inputs.filled(...)), or leave those records out"
        )
    if hasattr(inputs, "detach"):  # a tensor, also one that has a gradient, or is of a dtype that NumPy has not
        if str(inputs.layout) != "torch.strided":
            raise InputError(f"expected dense inputs, got a tensor in {inputs.layout}: give inputs.to_dense()")
        inputs = inputs.detach().cpu()
        inputs = inputs.float() if inputs.is_floating_point() and inputs.dtype.itemsize < 4 else inputs
    try:
        array = np.asarray(inputs)
    except ValueError as error:
        raise InputError(f"expected inputs that make one array (samples, ...): {error}") from None
    if array.dtype.names:
        raise InputError(
            f"expected inputs as one array of numbers, got a structured one with the fields "
            f"{', '.join(array.dtype.names)}: give numpy.lib.recfunctions.structured_to_unstructured(inputs)"
        )
    if array.dtype.kind != "O" or array.ndim < 2:
        return array
    entries = array.ravel().tolist()
    missing = np.array([is_missing(entry) for entry in entries], dtype=bool)
    kinds = {type(entry) for entry, is_gap in zip(entries, missing.tolist(), strict=True) if not is_gap}
    if not all(issubclass(kind, (Real, Decimal, np.bool_)) for kind in kinds):
        return array  # the pool says what it expects
    if missing.any():
        record = int(missing.argmax()) // array[0].size
        raise InputError(f"expected finite inputs, got a missing value in record {record}: fill it, or leave it out")
    if all(issubclass(kind, (int, np.integer, np.bool_)) for kind in kinds):
        whole = np.array([int(entry) for entry in entries])
        if whole.dtype.kind in "iu":  # `Pool` says of which size they may be
            return whole.reshape(array.shape)
    try:
        return array.astype(np.float64)
    except OverflowError:
        raise InputError("expected numbers that float64 holds as inputs, got a larger one: leave ids out") from None


def _mask(inputs: Any) -> np.ndarray:
    return np.ma.getmaskarray(inputs) if isinstance(inputs, np.ma.MaskedArray) else np.zeros(1, dtype=bool)


def blocks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Consecutive rows of `array`, contiguous and little-endian, about BLOCK_BYTES at a time, with their place."""
    rows = max(1, BLOCK_BYTES // array[:1].nbytes)
    for start in range(0, len(array), rows):
        block = np.ascontiguousarray(array[start : start + rows])
        yield start, block.astype(block.dtype.newbyteorder("<"), copy=False)
