"""What attacks that ask a live target about points of their own share: an order of the records, and their values."""

import numpy as np
from jaxtyping import Bool, Int64

from seepage.data import Pool
from seepage.signals.view import View


def in_own_order(view: View, mask: Bool[np.ndarray, " samples"]) -> Int64[np.ndarray, " rows"]:
    """The records in `mask`, in an order that depends on what they hold, not on where they stand.

    A model's rounding can differ with a record's company in a batch, and one answer that turns changes a whole search.
    """
    inputs = view.records.inputs
    rows = sorted(np.flatnonzero(mask), key=lambda row: (inputs[row].tobytes(), view.labels[row]))
    return np.array(rows, dtype=np.int64)


def is_binary(records: Pool) -> bool:
    """Whether every value that a model gets is 0 or 1."""
    if records.inputs.dtype == np.uint8:
        return records.scale == 1.0 and bool(records.inputs.max() <= 1)
    return all(bool(((values == 0) | (values == 1)).all()) for values in records.inputs)


def value_range(records: Pool) -> tuple[float, float]:
    """The values that a question may have: those among records in whole numbers, any where they are real."""
    if records.inputs.dtype != np.uint8:
        return -np.inf, np.inf
    return float(records.inputs.min() * records.scale), float(records.inputs.max() * records.scale)
