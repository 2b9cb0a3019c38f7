"""What float32 cannot hold: tensors are float32, and records come in float64.

Rounding alone is no harm: a network that was trained on float32 is asked what it was trained on. Harm is done where
distinct values become the same (seconds since 1970 are 128 apart in float32, account numbers beyond 16,777,216 two),
or where a value overflows.
"""

from collections.abc import Sequence

import numpy as np

from seepage.errors import InputError

# A column is looked at where float32 has fewer steps over its range than so many per record: with more, values that
# fall together are few.
STEPS_PER_RECORD = 50
COARSE = 2**20  # fewer steps over the whole range than this are too few for a measured quantity
MERGED = 0.01  # share of a column's distinct values that may fall together
DECIMALS = 6  # values with at most so many digits after the point are written down, not measured


def check_float32(inputs: np.ndarray, columns: Sequence[tuple[str, str | None]] | None = None, *, taker: str) -> None:
    """That records keep apart as float32, which is what `taker` takes.

    Args:
        inputs: (samples, ...); only float64 has more to lose.
        columns: their names, as `Pool.columns`.
        taker: who takes float32, for the message.

    Raises:
        InputError: a value is beyond float32, distinct values of a column fall together, or distinct records do. It
            names the column and what to do.
    """
    if inputs.dtype != np.float64:
        return
    flat = inputs.reshape(len(inputs), -1)
    low, high = flat.min(axis=0), flat.max(axis=0)
    largest = np.maximum(np.abs(low), np.abs(high))
    way_out = (
        "subtract its smallest value or divide it (Pool.from_frame and files: standardise=True), give a model that "
        "takes float64 (a torch module: model.double()), or, if the model was trained on rounded values, round them "
        "yourself: inputs.astype(np.float32)"
    )
    if (largest > np.finfo(np.float32).max).any():
        column = int(largest.argmax())
        raise InputError(
            f"{taker} takes float32, and {_name(column, inputs, columns)} holds {largest[column]:.6g}, which is beyond "
            f"it: {way_out}"
        )
    steps = (high - low) / np.spacing(largest.astype(np.float32)).astype(np.float64)
    for column in np.flatnonzero((steps > 0) & (steps < STEPS_PER_RECORD * len(flat))):
        values = np.unique(flat[:, column])
        left = len(np.unique(values.astype(np.float32)))
        written = np.array_equal(values, values.round(DECIMALS))
        if len(values) - left > MERGED * len(values) and (written or steps[column] < COARSE):
            example = _merged(values)
            raise InputError(
                f"{taker} takes float32, which cannot hold {_name(column, inputs, columns)}: {len(values)} distinct "
                f"values become {left} ({example[0]:.17g} and {example[1]:.17g} the same): {way_out}"
            )
    if (pair := _twins(flat)) is not None:
        column = int((flat[pair[0]] != flat[pair[1]]).argmax())
        values = flat[list(pair), column]
        raise InputError(
            f"{taker} takes float32, in which the distinct records {pair[0]} and {pair[1]} become the same "
            f"({_name(column, inputs, columns)} holds {values[0]:.17g} and {values[1]:.17g}): {way_out}"
        )


def _name(column: int, inputs: np.ndarray, columns: Sequence[tuple[str, str | None]] | None) -> str:
    if columns is not None:
        return f"the column '{columns[column][0]}'"
    return f"column {column}" if inputs.ndim == 2 else f"the value at {np.unravel_index(column, inputs.shape[1:])}"


def _merged(values: np.ndarray) -> tuple[float, float]:
    """Two neighbours of sorted distinct values that are one in float32."""
    at = int((np.diff(values.astype(np.float32)) == 0).argmax())
    return float(values[at]), float(values[at + 1])


def _twins(flat: np.ndarray) -> tuple[int, int] | None:
    """Two records that differ and are the same in float32."""
    narrow = np.ascontiguousarray(flat.astype(np.float32)) + np.float32(0)  # -0 + 0 = 0
    order = np.lexsort(narrow.T[:: max(1, narrow.shape[1] // 8)][:8])  # records that are the same are neighbours
    same = (narrow[order[1:]] == narrow[order[:-1]]).all(axis=1)
    for place in np.flatnonzero(same):
        first, second = int(order[place]), int(order[place + 1])
        if (flat[first] != flat[second]).any():
            return min(first, second), max(first, second)
    return None
