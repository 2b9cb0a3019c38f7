"""From what a model answered to logits: one check for live models, files and arrays computed elsewhere."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike

from seepage.errors import InputError, unknown_name

OUTPUT_KINDS = ("logits", "probabilities", "labels")

# Half-precision softmax over a hundred classes, and probabilities rounded to three digits, sum to one within this.
SUM_TOLERANCE = 1e-2

# Exporters that compute in float32 make a zero -1e-7; a score that is no probability is further below.
NEGATIVE_TOLERANCE = 1e-5

# A float32 softmax is closer to one than this; logits that come so close in every row are probabilities in disguise.
DISGUISE_TOLERANCE = 1e-5

# With fewer answers than this, "all between 0 and 1" says little.
SIGMOID_EVIDENCE = 8

# Probabilities above this are known to 12 decimals where one is computed from the other.
LEAST_ROUNDED = 1e-3

# What a probability of zero is read as, as in the LiRA code: about the smallest positive float32.
SMALLEST_PROBABILITY = 1e-45

BLOCK_VALUES = 1 << 22  # values converted at once, so that float64 copies stay small

Say = Callable[[str], str]  # how the caller says what its outputs are: kind -> advice


def passing(argument: str, flag: str | None = None) -> Say:
    """Advice to say the kind of outputs by that argument.

    >>> passing("model_outputs", "--model-outputs")("logits")
    "pass model_outputs='logits' (--model-outputs logits)"
    """
    return lambda kind: f"pass {argument}='{kind}'" + (f" ({flag} {kind})" if flag else "")


KIND, OUTPUTS = passing("kind"), passing("outputs")


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
    say: Say = KIND,
    doubted: bool = True,
) -> Float[np.ndarray, "samples *models classes"]:
    """Checked logits, up to a constant a row: the logits themselves, or log max(p, 1e-45) in float64.

    Logits keep the precision in which they came, float32 or float64. A last axis of one (or a plain vector) is a
    binary model's single output: the logit z of class 1 becomes (0, z), its probability p becomes (log(1 - p), log p).
    Logits of -inf, as logarithms of probabilities have them, count as the logarithm of 1e-45. Probabilities just below
    0 or above 1, as exporters round them, are read as 0 and 1.

    Args:
        outputs: (samples, ..., classes), or (samples,) for a binary model.
        kind: what the numbers are: "logits" or "probabilities". It is declared, never guessed.
        n_classes: how many classes there must be.
        tolerance: how far a row of probabilities may be from summing to one.
        first_record: number of the first row, for messages about a part of a larger array.
        say: how the caller declares the kind, for advice.
        doubted: look whether logits are probabilities. Once is enough: those of one record's neighbours may look so.

    Raises:
        InputError: a value is not finite, a probability is negative or does not sum to one, every row of the
            declared logits is a probability vector (or one in per cent), or the shape is wrong. The first bad record is
            named.

    >>> logits_from(np.array([[0.5, 0.5], [1.0, 0.0]]), "probabilities").round(2).tolist()
    [[-0.69, -0.69], [0.0, -103.62]]
    """
    if output_kind(kind) == "labels":
        raise InputError(f"labels have no logits: {say('logits')} or {say('probabilities')}")
    outputs = _numeric(outputs)
    if outputs.ndim == 0 or outputs.shape[0] == 0:
        raise InputError(f"expected outputs of shape (samples, ..., classes), got an empty array {outputs.shape}")
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    binary = outputs.shape[-1] == 1
    classes = 2 if binary else outputs.shape[-1]
    if n_classes is not None and classes != n_classes:
        raise InputError(f"expected outputs for {n_classes} classes, got {classes}: output shape {outputs.shape}")

    dtype = np.result_type(outputs.dtype, np.float32) if kind == "logits" else np.dtype(np.float64)
    logits = np.empty((*outputs.shape[:-1], classes), dtype=dtype)
    doubted = doubted and kind == "logits" and not binary and logits[..., 0].size > 1
    total, least_miss = None, DISGUISE_TOLERANCE if logits[..., 0].size < SIGMOID_EVIDENCE else tolerance
    step = max(1, BLOCK_VALUES // max(1, outputs[0].size))
    for start in range(0, len(outputs), step):
        given = outputs[start : start + step]
        block = np.asarray(given, dtype=np.float64)
        if kind == "logits" and not binary:
            block = _zeros_read(block)
        _check_finite(block, first_record + start)
        if doubted:
            found = _total(block, least_miss)
            doubted, total = found is not None and total in (None, found), found
        if kind == "probabilities":
            block = _both(given, block) if binary else block
            _check_probabilities(block, tolerance, first_record + start, say)
            block = np.log(np.clip(block, SMALLEST_PROBABILITY, 1))
        elif binary:
            block = np.concatenate([np.zeros_like(block), block], axis=-1)
        if np.abs(block).max() > np.finfo(np.float32).max:
            raise InputError("an output is too large for float32: pass logits, not exponentials of them")
        logits[start : start + step] = block
    if doubted:
        disguise = "is a probability vector" if total == 1 else "sums to 100, as per cent do"
        divide = "" if total == 1 else "divide each by 100 and "
        raise InputError(
            f"the outputs were declared as logits, but every row {disguise}: {divide}{say('probabilities')}, or "
            "return the scores before softmax"
        )
    return logits


def undeclared_sigmoid(outputs: np.ndarray, say: Say) -> None:
    """Refuse outputs that nobody declared, that would be read as logits and look like the answers of sigmoids.

    Args:
        outputs: (samples, classes), or one value a record.
        say: how the caller declares the kind.

    Raises:
        InputError: all values lie between 0 and 1.
    """
    if outputs.min() < -NEGATIVE_TOLERANCE or outputs.max() > 1 + NEGATIVE_TOLERANCE:
        return
    if outputs.size == len(outputs):
        raise InputError(
            "every single output lies between 0 and 1, as a sigmoid's do: "
            f"{say('probabilities')} if it ends in one, {say('logits')} if it does not"
        )
    raise InputError(
        "every output lies between 0 and 1 and the rows do not sum to one, as those of one sigmoid for each class do: "
        f"return the scores before the sigmoid, or divide each row by its sum ({say('probabilities')}); "
        f"{say('logits')} if they are scores before softmax"
    )


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


def _rounding(block: np.ndarray) -> float:
    """The last digit of numbers that have two or three decimals; 0 for any other."""
    return next((10.0**-d for d in (2, 3) if np.abs(block - block.round(d)).max() < 1e-7), 0.0)


def _total(block: np.ndarray, tolerance: float) -> int | None:
    """1 where every row could be probabilities, 100 where it could be such in per cent, None where neither."""
    if block.min() < -NEGATIVE_TOLERANCE:
        return None
    sums = block.sum(axis=-1).mean()
    fits = (whole for whole in (1, 100) if sums > 0.9 * whole and not _misses(block / whole, tolerance).any())
    return next(fits, None)


def _misses(block: np.ndarray, tolerance: float) -> np.ndarray:
    """Which rows are no probabilities by their sum.

    A list of the likeliest classes has zeros for the rest and sums to less than one; rounding adds up over the classes.
    """
    sums = block.sum(axis=-1)
    bad = np.abs(sums - 1) > tolerance
    if bad.any():
        bad &= (sums > 1) | (sums <= 0) | (block.min(axis=-1) > 0)
        bad &= np.abs(sums - 1) > 0.5 * block.shape[-1] * _rounding(block)
    return bad


def _both(given: np.ndarray, block: np.ndarray) -> np.ndarray:
    """The probabilities of both classes from that of class 1.

    1 - p is no more exact than p: 1 - 0.9 must be 0.1 and 1 - 2/3 the 1/3 of another record, or equal probabilities
    become unequal. So float64 is taken to 12 decimals, but for the smallest; narrower floats that are decimals of at
    most four digits are those decimals.
    """
    if given.dtype.itemsize < 8 and given.dtype.kind == "f":
        decimals = block.round(4)
        written = decimals.astype(given.dtype) == given
        rest = np.where(written, (1 - decimals).round(4), 1 - block)
        return np.concatenate([rest, np.where(written, decimals, block)], axis=-1)
    pair = np.concatenate([1 - block, block], axis=-1)
    return np.where(pair > LEAST_ROUNDED, pair.round(12), pair)


def _zeros_read(block: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities, whose zeros are -inf: as far below the largest as a zero counts."""
    zeros = np.isneginf(block)
    if not zeros.any():
        return block
    top = block.max(axis=-1, keepdims=True)
    return np.where(zeros & np.isfinite(top), top + np.log(SMALLEST_PROBABILITY), block)


def _numeric(outputs: ArrayLike) -> np.ndarray:
    try:
        if isinstance(outputs, np.ma.MaskedArray) and np.ma.getmaskarray(outputs).any():
            raise InputError("the outputs hold masked values: give an answer for every record and class")
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


def _check_probabilities(block: np.ndarray, tolerance: float, first_record: int, say: Say) -> None:
    bad = (block < -NEGATIVE_TOLERANCE) | (block > 1 + tolerance)
    if bad.any():
        row = _first(bad)
        value = block[row][bad[row]].flat[0]
        per_cent = not (block < 0).any() and np.abs(block.sum(axis=-1) - 100).max() <= 100 * tolerance
        raise InputError(
            f"record {first_record + row} has the probability {value:.6g}, expected 0 to 1: "
            + ("divide by 100" if per_cent else f"{say('logits')} if these are scores before softmax")
        )
    bad = _misses(block, tolerance)
    if bad.any():
        row = _first(bad)
        worst = np.max(np.abs(block.sum(axis=-1)[row] - 1))
        raise InputError(
            f"the probabilities of record {first_record + row} miss a sum of 1 by {worst:.3g}: give one for every "
            "class; if they were rounded, or are those of one sigmoid for each class, divide each row by its sum (a "
            "callable around the model can)"
        )
