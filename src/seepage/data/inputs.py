"""Inputs as people have them, as one array: frames and objects that are numbers, and words for what is no array."""

from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from seepage.data.labels import is_missing
from seepage.errors import InputError


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
    if isinstance(inputs, np.ma.MaskedArray) and (masked := np.ma.getmaskarray(inputs)).any():
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
