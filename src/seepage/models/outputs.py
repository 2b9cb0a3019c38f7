"""From what a model answered to float32 logits: one check for live models, files and arrays computed elsewhere."""

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import ArrayLike

from seepage.errors import InputError, unknown_name

OUTPUT_KINDS = ("logits", "probabilities", "labels")

# Half-precision softmax over a hundred classes, and probabilities rounded to three digits, sum to one within this.
SUM_TOLERANCE = 1e-2

# A float32 softmax is closer to one than this; logits that come so close in every row are probabilities in disguise.
DISGUISE_TOLERANCE = 1e-5

# What a probability of zero is read as, as in the LiRA code: about the smallest positive float32.
SMALLEST_PROBABILITY = 1e-45

BLOCK_VALUES = 1 << 22  # values converted at once, so that float64 copies stay small


def output_kind(kind: str) -> str:
    """The kind itself, if there is one of that name."""
    if kind not in OUTPUT_KINDS:
        raise unknown_name("kind of outputs", str(kind), OUTPUT_KINDS)
    return kind


def logits_from(
    outputs: ArrayLike,
    kind: str = "logits",
    *,
    n_classes: int | None = None,
    tolerance: float = SUM_TOLERANCE,
    first_record: int = 0,
) -> Float32[np.ndarray, "samples *models classes"]:
    """Checked logits, up to a constant a row: the logits themselves, or log max(p, 1e-45) taken in float64.

    A last axis of one (or a plain vector) is a binary model's single output: the logit z of class 1 becomes (0, z),
    its probability p becomes (log(1 - p), log p).

    Args:
        outputs: (samples, ..., classes), or (samples,) for a binary model.
        kind: what the numbers are: "logits" or "probabilities". It is declared, never guessed.
        n_classes: how many classes there must be.
        tolerance: how far a row of probabilities may be from summing to one.
        first_record: number of the first row, for messages about a part of a larger array.

    Raises:
        InputError: a value is not finite, a probability is negative or does not sum to one, every row of the
            declared logits is a probability vector, or the shape is wrong. The first bad record is named.

    >>> logits_from(np.array([[0.5, 0.5], [1.0, 0.0]]), "probabilities").round(2).tolist()
    [[-0.6899999976158142, -0.6899999976158142], [0.0, -103.62000274658203]]
    """
    if output_kind(kind) == "labels":
        raise InputError("labels have no logits: pass kind='logits' or kind='probabilities'")
    outputs = _numeric(outputs)
    if outputs.ndim == 0 or outputs.shape[0] == 0:
        raise InputError(f"expected outputs of shape (samples, ..., classes), got an empty array {outputs.shape}")
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    binary = outputs.shape[-1] == 1
    classes = 2 if binary else outputs.shape[-1]
    if n_classes is not None and classes != n_classes:
        raise InputError(f"expected outputs for {n_classes} classes, got {classes}: output shape {outputs.shape}")

    logits = np.empty((*outputs.shape[:-1], classes), dtype=np.float32)
    disguised = kind == "logits" and not binary and logits[..., 0].size > 1
    step = max(1, BLOCK_VALUES // max(1, outputs[0].size))
    for start in range(0, len(outputs), step):
        block = np.asarray(outputs[start : start + step], dtype=np.float64)
        _check_finite(block, first_record + start)
        disguised = disguised and are_probabilities(block, tolerance=DISGUISE_TOLERANCE)
        if kind == "probabilities":
            block = np.concatenate([1 - block, block], axis=-1) if binary else block
            _check_probabilities(block, tolerance, first_record + start)
            block = np.log(np.maximum(block, SMALLEST_PROBABILITY))
        elif binary:
            block = np.concatenate([np.zeros_like(block), block], axis=-1)
        if np.abs(block).max() > np.finfo(np.float32).max:
            raise InputError("an output is too large for float32: pass logits, not exponentials of them")
        logits[start : start + step] = block
    if disguised:
        raise InputError(
            "the outputs were declared as logits, but every row is a probability vector: "
            "pass outputs='probabilities', or return the scores before softmax"
        )
    return logits


def labels_from(
    outputs: ArrayLike, *, n_classes: int | None = None, first_record: int = 0
) -> Int64[np.ndarray, "samples"]:
    """Checked labels: whole numbers from 0 to n_classes - 1.

    Raises:
        InputError: not one whole number a record, or out of range. The first bad record is named.

    >>> labels_from(np.array([2.0, 0.0]), n_classes=3)
    array([2, 0])
    """
    outputs = _numeric(outputs)
    if outputs.ndim == 2 and outputs.shape[1] == 1:
        outputs = outputs[:, 0]
    if outputs.ndim != 1:
        raise InputError(f"expected one label a record, shape (samples,), got shape {outputs.shape}")
    with np.errstate(invalid="ignore"):
        labels = outputs.astype(np.int64)
    bad = (labels != outputs) | (labels < 0)
    if n_classes is not None:
        bad |= labels >= n_classes
    if bad.any():
        record = int(bad.argmax())
        top = "" if n_classes is None else f" to {n_classes - 1}"
        raise InputError(
            f"the label of record {first_record + record} is {outputs[record]}, expected a whole number from 0{top}: "
            "map class names to 0, 1, ...; a regressor cannot be audited"
        )
    return labels


def are_probabilities(outputs: np.ndarray, *, tolerance: float = SUM_TOLERANCE) -> bool:
    """Whether every row of the last axis is a probability vector."""
    return bool(np.all(outputs >= 0) and np.all(np.abs(outputs.sum(axis=-1, dtype=np.float64) - 1) <= tolerance))


def _numeric(outputs: ArrayLike) -> np.ndarray:
    try:
        outputs = np.asarray(outputs)
    except (TypeError, ValueError) as error:
        raise InputError(f"the outputs are not an array of one shape: {error}") from error
    if outputs.dtype.kind not in "fiub":
        raise InputError(f"expected numbers as outputs, got an array of dtype {outputs.dtype}")
    return outputs


def _first(bad: np.ndarray) -> int:
    return int(bad.reshape(len(bad), -1).any(axis=1).argmax())


def _check_finite(block: np.ndarray, first_record: int) -> None:
    bad = ~np.isfinite(block)
    if bad.any():
        raise InputError(
            f"the output for record {first_record + _first(bad)} is not finite (NaN or infinity): "
            "look at that record and at the model's last layers"
        )


def _check_probabilities(block: np.ndarray, tolerance: float, first_record: int) -> None:
    # The lower edge is exact: a negative probability is a mistake however small, rounding never makes one.
    bad = (block < 0) | (block > 1 + tolerance)
    if bad.any():
        row = _first(bad)
        value = block[row][bad[row]].flat[0]
        raise InputError(
            f"record {first_record + row} has the probability {value:.6g}, expected 0 to 1: "
            "pass outputs='logits' if these are scores before softmax"
        )
    sums = block.sum(axis=-1)
    bad = np.abs(sums - 1) > tolerance
    if bad.any():
        row = _first(bad)
        worst = np.max(np.abs(sums[row] - 1))
        raise InputError(
            f"the probabilities of record {first_record + row} miss a sum of 1 by {worst:.3g}: "
            "pass one probability for every class, or divide each row by its sum if they were rounded"
        )
