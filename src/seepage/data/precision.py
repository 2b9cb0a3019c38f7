"""What float32 cannot hold: tensors are float32, and records come in float64.

Rounding alone is no harm: a network that was trained on float32 is asked what it was trained on. Harm is done where
what was given is no longer there: a whole number becomes another one (an account number beyond 16,777,216, seconds
since 1970), the values of a column stand closer together than float32's steps, distinct records become the same, or a
value overflows. How many records there are plays no part.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from seepage.errors import InputError

LEAST_STEPS = 1000  # of float32 over the densest half of a column's values; a measured quantity needs no more
LARGEST_WHOLE = 2.0**53  # beyond it every float is a whole number, which says nothing
LOOKED_AT = 20_000  # records, spread over all, whose values are sorted: how dense they are shows in fewer
NOISE = 1e-11  # numbers that differ relatively by less were the same before a sum was taken in another order
TWINS = 0.01  # share of records that may become the same as another: in one column or two some do by chance


def check_float32(
    inputs: np.ndarray, columns: Sequence[tuple[str, str | None]] | None = None, *, taker: str, trained: bool = False
) -> None:
    """That records keep apart as float32, which is what `taker` takes.

    Args:
        inputs: (samples, ...); only float64 has more to lose.
        columns: their names, as `Pool.columns`.
        taker: who takes float32, for the message.
        trained: it is a model that was trained already, so that other records are no way out.

    Raises:
        InputError: a value is beyond float32; a column of whole numbers has some that float32 does not; the values of
            another are closer together than its steps; or more than one record in a hundred becomes the same as a
            distinct one. It names the column and what to do.
    """
    if inputs.dtype != np.float64:
        return
    flat = inputs.reshape(len(inputs), -1)
    way_out = (
        "if it was trained on rounded records, round them yourself (inputs.astype(np.float32); --float32); else give "
        "the model in float64 (a torch module: model.double())"
        if trained
        else "subtract its smallest value or divide it (of a table: standardise=True, options: {standardise: true}), "
        "or round the records yourself (inputs.astype(np.float32))"
    )
    largest = np.maximum(np.abs(flat.min(axis=0)), np.abs(flat.max(axis=0)))
    if (largest > np.finfo(np.float32).max).any():
        column = int(largest.argmax())
        raise InputError(
            f"{taker} takes float32, and {_name(column, inputs, columns)} holds {largest[column]:.6g}, which is beyond "
            f"it: {way_out}"
        )
    narrow = flat.astype(np.float32)
    for column in range(flat.shape[1]):
        if lost := _lost(flat[:, column], narrow[:, column]):
            raise InputError(
                f"{taker} takes float32, which cannot hold {_name(column, inputs, columns)}: {lost}: {way_out}"
            )
    twins = _twins(flat, narrow)
    if len(twins) > TWINS * len(flat):
        first, second = twins[0]
        column = int((flat[first] != flat[second]).argmax())
        raise InputError(
            f"{taker} takes float32, in which the distinct records {first} and {second} become the same, and "
            f"{len(twins)} in all ({_name(column, inputs, columns)} holds {flat[first, column]:.17g} and "
            f"{flat[second, column]:.17g}): {way_out}"
        )


def _lost(wide: np.ndarray, narrow: np.ndarray) -> str | None:
    """What of a column float32 does not hold, in words; None where it is rounding alone."""
    changed = wide != narrow
    if not changed.any():
        return None
    if np.abs(wide).max() < LARGEST_WHOLE and (wide == np.round(wide)).all():
        row = int(changed.argmax())
        return f"the whole number {wide[row]:.0f} becomes {narrow[row]:.0f}"
    values = np.unique(
        wide[:: max(1, len(wide) // LOOKED_AT)]
    )  # a code for a missing value counts once, however often it stands there
    half = (len(values) + 1) // 2
    widths = values[half - 1 :] - values[: len(values) - half + 1]
    start = int(widths.argmin())
    dense = values[start : start + half]
    largest = np.abs(dense[[0, -1]]).max()
    steps = widths[start] / np.spacing(np.float32(largest))
    if steps >= LEAST_STEPS or widths[start] <= NOISE * largest:
        return None
    return (
        f"half of its distinct values lie between {dense[0]:.17g} and {dense[-1]:.17g}, which float32 divides into "
        f"{max(1, round(steps))} steps"
    )


def _name(column: int, inputs: np.ndarray, columns: Sequence[tuple[str, str | None]] | None) -> str:
    if columns is not None:
        return f"the column '{columns[column][0]}'"
    return f"column {column}" if inputs.ndim == 2 else f"the value at {np.unravel_index(column, inputs.shape[1:])}"


def _twins(wide: np.ndarray, narrow: np.ndarray) -> list[tuple[int, int]]:
    """Records that become the same as an earlier one, from which they differ by more than the noise of a sum."""
    narrow = np.ascontiguousarray(narrow) + np.float32(0)  # -0 + 0 = 0
    earlier, twins = defaultdict(list), []
    for row, values in enumerate(narrow):
        digest = hashlib.blake2b(values, digest_size=16).digest()
        others = earlier[digest]
        if others:
            apart = np.abs(wide[others] - wide[row]) > NOISE * np.abs(wide[row])
            if apart.any(axis=1).all():  # from each of those, so it is one record fewer
                twins.append((others[0], row))
            else:
                continue
        others.append(row)
    return twins
