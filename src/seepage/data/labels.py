"""Labels as people have them, and the numbers of their classes.

    numbers, texts, bools, one-hot rows, a column, categories -> Values -> class numbers and, where needed, names

Whole numbers from 0 on are class numbers already: column j of a network is the class j. All else (texts, negative
numbers, codes such as 90001 and 100234) is numbered by value, and the value becomes the name of its class.
"""

import contextlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Int64

from seepage.errors import InputError

# Whole numbers from here on are codes, not class numbers, where less than one number in SPARSE is in use.
LEAST_CODE, SPARSE = 1000, 10
LARGEST_WHOLE_FLOAT = 2.0**53  # above it floats skip integers
MISSING = ("NoneType", "NAType", "NaTType")
TIMES = ("datetime", "date", "time", "timedelta", "Timestamp", "Timedelta", "Period")


@dataclass(frozen=True, eq=False)
class Values:
    """What is said about each record, before its classes are numbered.

    Attributes:
        values: (samples,) of int64 or text.
        order: all classes in their order, where the labels declare it (ordered categories, named one-hot columns).
        n_classes: where the form tells how many there are (one-hot rows).
    """

    values: np.ndarray
    order: tuple[str, ...] | None = None
    n_classes: int | None = None


@dataclass(frozen=True, eq=False)
class Numbered:
    """Class numbers: labels (samples,), a name for each class where numbers alone do not name it, their count."""

    labels: Int64[np.ndarray, " samples"]
    classes: tuple[str, ...] | None
    n_classes: int


def key(value: Any) -> str:
    """The name of a class by its value: 1, 1.0, True and "1" have the same.

    >>> key(np.int64(3)), key(3.0), key(True), key(b"cat"), key("cat")
    ('3', '3', '1', 'cat', 'cat')
    """
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    if isinstance(value, (Real, np.number)) and float(value).is_integer():
        return str(int(value))  # pyright: ignore[reportArgumentType] - an integer whatever its class
    return str(value)


def is_number(name: str) -> bool:
    """Whether the name of a class is that of a class number, 0 or more."""
    return name.isascii() and name.isdigit() and name == str(int(name))


def value_of(name: str) -> str:
    """The name of the number that a text writes, or else the text: tools write classes 0 and 1 in several ways.

    >>> value_of("1.0"), value_of("True"), value_of("true"), value_of("1.5"), value_of("cat")
    ('1', '1', '1', '1.5', 'cat')
    """
    if name.lower() in ("true", "false"):
        return str(int(name.lower() == "true"))
    return str(int(name.partition(".")[0])) if re.fullmatch(r"-?[0-9]{1,15}\.0+", name) else name


def spelt_as(names: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """Names of classes, those that are among `others` by value alone spelt as there.

    >>> spelt_as(["False", "True", "x"], ["0", "1"]), spelt_as(["1", "1.0"], ["1"])
    (('0', '1', 'x'), ('1', '1.0'))
    """
    known, of_value = set(others), {value_of(other): other for other in others}
    if len(of_value) < len(known):  # two of them differ in spelling alone, so here a spelling means something
        return tuple(names)
    spelt = tuple(name if name in known else of_value.get(value_of(name), name) for name in names)
    return spelt if len(set(spelt)) == len(set(names)) else tuple(names)


def is_missing(value: Any) -> bool:
    """Whether it is None, NaN, pandas' NA or NaT."""
    return type(value).__name__ in MISSING or (isinstance(value, (float, Decimal)) and value != value)


def are_codes(largest: int, n_different: int) -> bool:
    """Whether whole numbers are codes, such as 90001 and 100234, rather than class numbers with gaps."""
    return largest >= LEAST_CODE and largest >= SPARSE * n_different


def label_values(labels: Any, n: int | None = None) -> Values:
    """Read labels in any of the forms that tools give.

    Args:
        labels: (samples,) of whole numbers (of any type), bools or texts; a column (samples, 1); one-hot rows
            (samples, classes) with exactly one 1 each, dense or sparse; categories; a data frame of one of these;
            arrays, tensors, series and lists alike.
        n: how many there must be.

    Raises:
        InputError: they are of none of these forms, an entry is missing, or they are the targets of a regression.
    """
    values = _values(labels)
    if n is not None and len(values.values) != n:
        raise InputError(f"expected labels of shape ({n},), one a record, got {len(values.values)}")
    return values


def number(values: Values, *, classes: Sequence[str] | None = None, n_classes: int | None = None) -> Numbered:
    """Number the classes.

    Args:
        values: what `label_values` read.
        classes: names of all classes in their order. Numbers then are places in it, texts are looked up.
        n_classes: how many there are, where they are more than the labels show.

    Raises:
        InputError: a label is not among the classes, or there are more than `n_classes`.
    """
    found = values.values
    is_text = found.dtype.kind == "U"
    if classes is not None:
        classes = tuple(map(str, classes))
        if n_classes is not None and len(classes) != n_classes:
            raise InputError(f"expected {n_classes} names of classes, got {len(classes)}")
        labels = _looked_up(found, classes) if is_text else _places(found, classes)
        return Numbered(labels, classes, len(classes))
    if not is_text and found.min() >= 0:
        largest = int(found.max())
        if n_classes is not None:
            return Numbered(_below(found, n_classes), None, int(n_classes))
        width = values.n_classes or 0
        if largest < width or not are_codes(largest, len(np.unique(found))):
            return Numbered(found, None, max(largest + 1, width))
    order = values.order or ordered(map(key, np.unique(found)))
    if n_classes is not None and len(order) != n_classes:
        raise InputError(
            f"expected labels of n_classes={n_classes} classes, got {len(order)} different ones ({few(order)}): "
            "give class numbers from 0, or classes= with the names of all"
        )
    return Numbered(_looked_up(found.astype(str), order), order, len(order))


def number_together(parts: Sequence[Values]) -> list[Numbered]:
    """Number the labels of several parts (members, non-members) alike, whichever classes each of them lacks."""
    whole = joined(parts)
    counts = [part.n_classes for part in parts if part.n_classes is not None]
    together = whole.values
    if together.dtype.kind != "U" and counts and together.min() >= 0 and together.max() < max(counts):
        numbered = number(whole, n_classes=max(counts))
    else:
        numbered = number(whole)
    ends = np.cumsum([0, *(len(part.values) for part in parts)])
    return [replace(numbered, labels=numbered.labels[start:end]) for start, end in itertools.pairwise(ends)]


def joined(parts: Sequence[Values]) -> Values:
    """The labels of all parts in one: texts as soon as one part has texts, which go by their value beside numbers."""
    if all(part.values.dtype.kind != "U" for part in parts):
        return Values(np.concatenate([part.values for part in parts]))
    if not all(part.values.dtype.kind == "U" for part in parts):
        parts = [_by_value(part) if part.values.dtype.kind == "U" else part for part in parts]
    orders = [part.order or ordered(map(key, np.unique(part.values))) for part in parts]
    declared = [part.order for part in parts if part.order is not None]
    names = dict.fromkeys(itertools.chain(*declared))
    rest = set(itertools.chain(*orders)) - set(names)
    # Orders that agree with sorting stay sorted with what the others add; a declared one comes first otherwise.
    order = ordered({*names, *rest}) if all(one == ordered(one) for one in declared) else (*names, *ordered(rest))
    return Values(np.concatenate([part.values.astype(str) for part in parts]), order if declared else None)


def _by_value(part: Values) -> Values:
    different, which = np.unique(part.values, return_inverse=True)
    names = {*different.tolist(), *(part.order or ())}
    if len(set(map(value_of, names))) < len(names):
        return part
    order = None if part.order is None else tuple(map(value_of, part.order))
    return Values(np.array([value_of(name) for name in different.tolist()])[which], order)


def ordered(names: Any) -> tuple[str, ...]:
    """Names of classes in sorted order, numbers by size.

    >>> ordered({"10", "9", "-1"}), ordered({"b", "a", "10"})
    (('-1', '9', '10'), ('10', 'a', 'b'))
    """
    names = list(names)
    return tuple(sorted(names, key=int) if all(is_number(name.removeprefix("-")) for name in names) else sorted(names))


def ordered_categories(labels: Any) -> tuple[str, ...] | None:
    """The names of ordered categories (pandas' ordered categoricals, polars' enums); None for everything else."""
    dtype = getattr(labels, "dtype", None)
    categories = getattr(dtype, "categories", None)
    if categories is None or not getattr(dtype, "ordered", type(dtype).__name__ == "Enum"):
        return None
    return tuple(key(category) for category in categories)


def _values(labels: Any) -> Values:
    if hasattr(labels, "tocoo"):
        return _sparse(labels)
    if hasattr(labels, "detach"):
        labels = labels.detach().cpu()
        labels = (labels if labels.dtype.itemsize >= 4 or not labels.is_floating_point() else labels.float()).numpy()
    if hasattr(labels, "columns") and hasattr(labels, "to_numpy"):
        return _table(labels)
    order = ordered_categories(labels)
    try:
        array = np.asarray(labels)
    except (ValueError, TypeError) as error:
        raise InputError(f"expected labels, one a record, that make one array: {error}") from None
    if isinstance(labels, (list, tuple)) and array.dtype.kind in "US":
        array = np.array(labels, dtype=object)  # NumPy turns numbers among texts into texts
    if isinstance(labels, np.ma.MaskedArray) and (masked := np.ma.getmaskarray(labels)).any():
        raise InputError(f"{int(masked.sum())} labels are missing (masked): leave those records out")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.shape[1] > 1:
        return Values(_hot(array), n_classes=array.shape[1])
    if array.ndim != 1 or array.size == 0:
        raise InputError(
            f"expected labels of shape (samples,), one a record, or one-hot rows (samples, classes), got {array.shape}"
        )
    values = _plain(array)
    return Values(values if order is None else np.array([key(value) for value in values]), order)


def _table(frame: Any) -> Values:
    """Labels in a data frame: one column, or one-hot columns that are named by their classes."""
    names = [key(name) for name in frame.columns]
    if len(names) == 1:
        return _values(frame[next(iter(frame.columns))])
    hot = _hot(np.asarray(frame.to_numpy()))
    if names == [str(place) for place in range(len(names))]:
        return Values(hot, n_classes=len(names))
    return Values(np.array(names)[hot], tuple(names))


def _hot(rows: np.ndarray) -> Int64[np.ndarray, " samples"]:
    """The place of the one 1 in each row."""
    if rows.dtype.kind == "O":
        with contextlib.suppress(TypeError, ValueError):
            rows = rows.astype(np.float64)
    if rows.dtype.kind not in "biuf":
        raise InputError(f"expected labels of shape (samples,), one a record, got {rows.dtype} of shape {rows.shape}")
    ones = (rows == 1).sum(axis=1)
    bad = (ones != 1) | ((rows != 0).sum(axis=1) != 1)
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"labels of shape {rows.shape} are one-hot rows, exactly one 1 each, but row {row} is "
            f"{rows[row, :8].tolist()}: give one class a record; several labels a record, and shares of classes, "
            "cannot be audited"
        )
    return rows.argmax(axis=1).astype(np.int64)


def _sparse(labels: Any) -> Values:
    """One-hot rows of a sparse matrix, or a sparse column, without a dense copy of the former."""
    if len(labels.shape) != 2 or labels.shape[1] == 1:
        return _values(labels.toarray())
    entries = labels.tocoo()
    kept = np.asarray(entries.data) != 0
    rows, columns = np.asarray(entries.row)[kept], np.asarray(entries.col)[kept]
    counts = np.bincount(rows, minlength=labels.shape[0])
    if (counts != 1).any() or (np.asarray(entries.data)[kept] != 1).any():
        raise InputError(
            f"sparse labels of shape {labels.shape} are one-hot rows, exactly one 1 each; row "
            f"{int((counts != 1).argmax())} has {int(counts[(counts != 1).argmax()])} entries"
        )
    found = np.empty(labels.shape[0], dtype=np.int64)
    found[rows] = columns
    return Values(found, n_classes=labels.shape[1])


def _plain(array: np.ndarray) -> np.ndarray:
    """(samples,) of int64 or text."""
    if array.dtype.kind in "OT":
        array = _of_objects(array)
    kind = array.dtype.kind
    if kind in "mM":
        raise _regression(f"times ({array.dtype})")
    if kind == "S":
        return np.char.decode(array, "utf-8", "replace")
    if kind == "U":
        return array
    if kind == "f":
        array = array.astype(np.float64)
        bad = ~np.isfinite(array)
        if bad.any():
            raise InputError(
                f"{int(bad.sum())} labels are missing or not finite, record {int(bad.argmax())} for one: "
                "leave those records out"
            )
        fractions = (array != np.round(array)) | (np.abs(array) > LARGEST_WHOLE_FLOAT)
        if fractions.any():
            row = int(fractions.argmax())
            raise _regression(f"numbers such as {array[row]:.6g} (record {row})")
        return array.astype(np.int64)
    if kind not in "biu":
        raise InputError(f"expected whole numbers or texts as labels, got dtype {array.dtype}")
    if array.dtype == np.uint64 and array.max() > np.iinfo(np.int64).max:
        return array.astype(str)
    return array.astype(np.int64)


def _of_objects(array: np.ndarray) -> np.ndarray:
    """An array of Python objects as one of numbers or of text."""
    entries = array.tolist()
    missing = [is_missing(one) for one in entries]
    if any(missing):
        raise InputError(
            f"{sum(missing)} of {len(entries)} labels are missing, record {missing.index(True)} for one: "
            "leave those records out"
        )
    if any(kind.__name__ in TIMES for one in set(map(type, entries)) for kind in one.__mro__):
        raise _regression(f"times such as {entries[0]}")
    numbers = [isinstance(one, (Real, Decimal, np.number, np.bool_)) for one in entries]
    if all(numbers):
        plain = np.array(entries)
        if plain.dtype.kind in "biuf":
            return plain
        if fractions := [one for one in entries if one != int(one)]:
            raise _regression(f"numbers such as {fractions[0]}")
        whole = np.array([int(one) for one in entries])
        return whole if whole.dtype.kind in "iu" else np.array([str(int(one)) for one in entries])
    if any(numbers):
        text = entries[numbers.index(False)]
        raise InputError(
            f"labels are numbers and others, {entries[numbers.index(True)]!r} and {text!r}: give them all as one"
        )
    if any(np.ndim(one) for one in entries):
        raise InputError(f"expected one label a record, got {entries[0]!r} for the first")
    return np.array([key(one) for one in entries])


def _regression(what: str) -> InputError:
    return InputError(
        f"labels are {what}, the target of a regression: expected classes, as whole numbers or texts; "
        "numbers that stand for classes can be given as texts"
    )


def _below(labels: np.ndarray, n_classes: int) -> Int64[np.ndarray, " samples"]:
    if labels.min() < 0:
        raise InputError(f"expected labels from 0, got {labels.min()}: leave n_classes= and classes= out for codes")
    if labels.max() >= n_classes:
        raise InputError(f"expected labels below n_classes={n_classes}, got {labels.max()}")
    return labels.astype(np.int64)


def _places(labels: np.ndarray, classes: Sequence[str]) -> Int64[np.ndarray, " samples"]:
    outside = (labels < 0) | (labels >= len(classes))
    if outside.any():
        raise InputError(
            f"labels that are numbers are places in classes= ({few(classes)}), 0 to {len(classes) - 1}, got "
            f"{labels[outside][0]}: labels that are texts are looked up in it (np.asarray(labels).astype(str))"
        )
    return labels.astype(np.int64)


def _looked_up(names: np.ndarray, classes: Sequence[str]) -> Int64[np.ndarray, " samples"]:
    """The place of each name among the classes."""
    place = {name: index for index, name in enumerate(classes)}
    if len(place) < len(classes):
        raise InputError(f"expected distinct names of classes, got {few(classes)}")
    different, which = np.unique(names, return_inverse=True)
    spelt = spelt_as(different.tolist(), classes)
    if unknown := [name for name in spelt if name not in place]:
        raise InputError(f"the label '{unknown[0]}' is not among the classes ({few(classes)})")
    return np.array([place[name] for name in spelt], dtype=np.int64)[which]


def few(names: Sequence[str]) -> str:
    """At most six of the names, and how many there are."""
    return ", ".join(names[:6]) + (f", ... ({len(names)} in all)" if len(names) > 6 else "")
