"""Columns of mixed kinds, as data frames and tables hold them, encoded into a pool."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from jaxtyping import Float

from seepage.data.cache import MAX_BYTES
from seepage.data.labels import TIMES, Numbered, Values, is_missing, label_values, number, ordered_categories
from seepage.data.pool import Pool
from seepage.errors import InputError, unknown_name
from seepage.outside import check_kinds

MAX_CATEGORIES = 1000  # a column with more is an id or free text, not a feature
FEW_CATEGORIES = 50  # that a column of text may have before it is asked whether it is one of numbers or dates
FEW_TEXTS = 0.1  # share of the cells of a column of numbers that are texts by mistake, such as '?'


def frame_columns(frame: Any) -> dict[str, np.ndarray]:
    """The columns of a duck-typed data frame, by name."""
    try:
        columns = {str(name): np.asarray(frame[name].to_numpy()) for name in frame.columns}
    except AttributeError:
        raise InputError(
            f"expected a data frame with .columns and frame[column].to_numpy(), got {type(frame).__name__}"
        ) from None
    if len(columns) < len(list(frame.columns)):
        raise InputError("expected distinct names of columns, got one twice")
    return columns


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """How the columns of a table become a pool (see `read_frame`), and what a file of one may hold in memory."""

    label: str | None = None
    group: str | None = None
    id: str | None = None
    categorical: Sequence[str] = ()
    standardise: bool = False
    n_classes: int | None = None
    name: str | None = None
    max_bytes: int = MAX_BYTES

    @property
    def named(self) -> set[str]:
        """Columns that the user says are no quantities."""
        return {self.label, self.group, self.id, *self.categorical} - {None}


def read_frame(
    frame: Any,
    *,
    label: str | None = None,
    group: str | None = None,
    id: str | None = None,
    categorical: Sequence[str] = (),
    standardise: bool = False,
    n_classes: int | None = None,
    name: str = "data",
) -> Pool:
    """The rows of a data frame (pandas, polars: anything with `columns` and `frame[column].to_numpy()`).

    Text columns and those in `categorical` are one-hot encoded, one value for each category in sorted
    order and one more for missing entries; numeric columns are kept as they are, or centred and
    divided by their standard deviation over the whole frame with `standardise`. Text labels become
    class numbers in sorted order, ordered categories in their own.

    Raises:
        InputError: a column is not there, has missing numbers, or holds neither numbers nor text.
    """
    check_kinds(
        "read_frame", label=(label, str | None), group=(group, str | None), id=(id, str | None),
        standardise=(standardise, bool),
    )  # fmt: skip
    if isinstance(categorical, str):
        raise InputError(f"read_frame: categorical must be a list of columns, got '{categorical}'")
    options = TableOptions(
        label=label,
        group=group,
        id=id,
        categorical=categorical,
        standardise=standardise,
        n_classes=n_classes,
        name=name,
    )
    columns = frame_columns(frame)
    return pool_from_columns(columns, options, ordered_categories(frame[label]) if label in columns else None)


def pool_from_columns(
    columns: Mapping[str, np.ndarray], options: TableOptions, label_order: tuple[str, ...] | None
) -> Pool:
    """The pool of a table; `read_frame` says how its columns are encoded."""
    label, group, id, categorical = options.label, options.group, options.id, options.categorical
    for column in (label, group, id, *categorical):
        if column is not None and column not in columns:
            raise unknown_name("column", column, columns)
    numbered = None if label is None else _class_numbers(label, columns[label], label_order, options.n_classes)
    features = {column: values for column, values in columns.items() if column not in (label, group, id)}
    return Pool(
        encode(features, categorical=categorical, standardise=options.standardise),
        None if numbered is None else numbered.labels,
        ids=None if id is None else _plain(columns[id]).astype(str),
        groups=None if group is None else _plain(columns[group]).astype(str),
        name=options.name or "data",
        n_classes=options.n_classes if numbered is None else numbered.n_classes,
        classes=None if numbered is None else numbered.classes,
        columns=encoded_columns(features, categorical=categorical),
    )


def encoded_columns(
    columns: Mapping[str, np.ndarray], *, categorical: Sequence[str] = ()
) -> tuple[tuple[str, str | None], ...]:
    """What each value of `encode` is: (column, category), the category None for numbers and "" for a missing entry.

    >>> encoded_columns({"colour": np.array(["red", "blue"]), "size": np.array([1.0, 2.0])})
    (('colour', 'blue'), ('colour', 'red'), ('size', None))
    """
    named: list[tuple[str, str | None]] = []
    for name, values in columns.items():
        if name not in categorical and _numbers(name, values) is not None:
            named.append((name, None))
            continue
        missing = _missing(_plain(values))
        categories = np.unique(_plain(values)[~missing].astype(str)).tolist() + [""] * bool(missing.any())
        named += [(name, str(category)) for category in categories]
    return tuple(named)


def encode(
    columns: Mapping[str, np.ndarray], *, categorical: Sequence[str] = (), standardise: bool = False
) -> Float[np.ndarray, "samples features"]:
    """One matrix of numbers: text columns and those in `categorical` one-hot, the others as they are.

    Args:
        columns: name -> (samples,) of numbers or text, in the order that the matrix keeps.
        categorical: columns of numbers that are codes.
        standardise: centre numeric columns and divide them by their standard deviation (a constant by 1).

    Returns:
        The columns side by side, in float64 if one is of numbers, which keep their values; a categorical column takes
        one for each of its categories in sorted order, and one more if entries are missing.

    Raises:
        InputError: a numeric column has missing entries, or a column is neither numbers nor text; one of more than 50
            categories holds dates, or numbers but for a few texts.

    >>> encode({"colour": np.array(["red", "blue", "red"]), "size": np.array([1.0, 2.0, 3.0])}).tolist()
    [[0.0, 1.0, 1.0], [1.0, 0.0, 2.0], [0.0, 1.0, 3.0]]
    """
    if not columns:
        raise InputError("expected at least one column besides label, group and id, got none")
    parts = []
    for name, values in columns.items():
        numbers = None if name in categorical else _numbers(name, values)
        if numbers is None:
            if name not in categorical:
                check_categories(name, values)
            parts.append(_one_hot(name, values))
        elif standardise:
            parts.append(((numbers - numbers.mean()) / (numbers.std() or 1.0))[:, None])
        else:
            parts.append(numbers[:, None])
    return np.concatenate(parts, axis=1)


def _numbers(name: str, values: np.ndarray) -> np.ndarray | None:
    """The column in float64, or None if it holds text."""
    values = _plain(values)
    if values.dtype.kind not in "biufOUT":
        raise InputError(f"column '{name}' holds {values.dtype}: turn it into numbers or text, or leave it out")
    if values.dtype.kind in "UT":
        return None
    missing = _missing(values)
    if values.dtype.kind == "O":
        kinds = set(map(type, values[~missing].tolist()))
        if times := [kind.__name__ for kind in kinds if any(base.__name__ in TIMES for base in kind.__mro__)]:
            raise InputError(f"column '{name}' holds {times[0]}: turn it into numbers or text, or leave it out")
        if not all(issubclass(kind, (Real, Decimal, np.bool_)) for kind in kinds):
            return None
    if missing.any():
        raise InputError(
            f"column '{name}' has {missing.sum()} missing of {len(values)} numbers: fill them, leave those rows "
            f"out, or name it in categorical=, where missing is a category of its own"
        )
    try:
        numbers = values.astype(np.float64)
    except OverflowError:  # a whole number of hundreds of digits
        numbers = np.full(len(values), np.inf)
    large = np.abs(numbers) >= 2**53
    # As objects: NumPy compares a whole number with a float as floats.
    if values.dtype.kind in "iuO" and (values[large].astype(object) != numbers[large]).any():
        raise InputError(
            f"column '{name}' holds whole numbers beyond 2^53, which float64 cannot hold: it looks like an id; name it "
            "in id=, group= or categorical=, or leave it out"
        )
    return numbers


def check_categories(name: str, values: np.ndarray, place: Callable[[int], str] = lambda row: f"row {row}") -> None:
    """Check that a column of text holds categories, and neither dates nor numbers with a few texts among them.

    Args:
        name: of the column.
        values: (samples,) of text, or of text and numbers.
        place: what a row is called in the message.

    Raises:
        InputError: it has more than 50 different entries that are dates, or that are numbers in over 90 % of the rows.
    """
    values = _plain(values)
    rows = np.flatnonzero(~_missing(values))
    texts = values[rows].astype(str)
    different, which = np.unique(texts, return_inverse=True)
    if len(different) <= FEW_CATEGORIES:
        return
    if all(map(_is_date, different.tolist())):
        raise InputError(f"column '{name}' holds dates such as '{different[0]}': turn it into numbers, or leave it out")
    strange = ~np.array([_is_numeral(text) for text in different.tolist()])[which]
    if 0 < strange.mean() < FEW_TEXTS:
        first = int(strange.argmax())
        raise InputError(
            f"column '{name}' holds numbers and the text '{texts[first]}' in {place(int(rows[first]))} "
            f"({strange.sum()} of {len(texts)} are texts): mend them, leave their rows out, or name it in categorical="
        )


def _is_date(text: str) -> bool:
    try:
        return "-" in text and datetime.fromisoformat(text) is not None
    except ValueError:
        return False


def _is_numeral(text: str) -> bool:
    try:
        return float(text) is not None
    except ValueError:
        return False


def _one_hot(name: str, values: np.ndarray) -> np.ndarray:
    values = _plain(values)
    missing = _missing(values)
    categories, codes = np.unique(values[~missing].astype(str), return_inverse=True)
    if len(categories) > MAX_CATEGORIES:
        raise InputError(
            f"column '{name}' has {len(categories)} different texts, more than {MAX_CATEGORIES}: "
            "it looks like an id; name it in id= or group=, or leave it out"
        )
    encoded = np.zeros((len(values), len(categories) + missing.any()), dtype=np.float32)
    encoded[np.flatnonzero(~missing), codes] = 1
    encoded[missing, len(categories) :] = 1
    return encoded


def _class_numbers(name: str, values: np.ndarray, order: tuple[str, ...] | None, n_classes: int | None) -> Numbered:
    """Labels as class numbers, those of ordered categories in their `order`."""
    if (missing := _missing(_plain(values))).any():
        raise InputError(f"column '{name}' has {missing.sum()} missing of {len(values)} labels: leave those rows out")
    try:
        found = label_values(values)
        if order is not None:
            found = Values(found.values.astype(str), order)
        return number(found, n_classes=n_classes)
    except InputError as error:
        raise InputError(f"column '{name}': {error}") from None


def _plain(values: np.ndarray) -> np.ndarray:
    if values.ndim != 1:
        raise InputError(f"expected one value a row in each column, got an array of shape {values.shape}")
    return values


def _missing(values: np.ndarray) -> np.ndarray:
    """Where a column has None, NaN, pandas' NA or NaT."""
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype.kind != "O":
        return np.zeros(len(values), dtype=bool)
    return np.array([is_missing(value) for value in values.tolist()], dtype=bool)
