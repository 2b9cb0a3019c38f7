"""The records of an audit: inputs, labels, ids and groups, in memory or memory-mapped."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike

from seepage.data.inputs import blocks, checked_inputs
from seepage.data.labels import label_values, number
from seepage.errors import InputError
from seepage.outside import check_kinds

MOST_CLASSES = 1_000_000  # a model has an output for each


@dataclass(frozen=True, eq=False, repr=False)
class Pool:
    """Samples with optional labels and groups.

    `inputs` is kept as uint8, float32 or float64. Images and binary records stay in one byte a value; what a model
    gets is `batch()`, floats:

        batch(i) = scale * inputs[i]

    so that uint8 images take `scale=1 / 255` and uint8 features take the default. Floats keep the values that
    were given, float64 those of float64, and so do whole numbers, as float64. An `np.memmap` stays on the disk and
    must be of one of the three.

    Args:
        inputs: (samples, ...); images are (samples, channels, height, width).
        labels: the class of each record, in any of the forms of `seepage.data.labels.label_values`: whole numbers from
            0 are class numbers and stay; texts, negative numbers and codes such as 90001 are numbered in sorted order
            (ordered categories in their own), and `classes` then names them. None where there are none.
        ids: (samples,) distinct names of the records, for reports; "0", "1", ... by default.
        groups: (samples,) the person, author or stratum of each record.
        name: what the data are called in a report.
        n_classes: by default the largest class number + 1.
        classes: a name for each class, in the order of their numbers; labels that are texts are looked up in it.
        scale: what uint8 inputs are multiplied by on their way into a model.
        columns: where the inputs are the encoded columns of a table, (name, category) of each value; the category is
            None for a number.

    Raises:
        InputError: the arrays do not belong together, are not finite, or have labels out of range.

    >>> pool = Pool([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1])
    >>> len(pool), pool.n_classes, pool.ids.tolist()
    (3, 2, ['0', '1', '2'])
    """

    inputs: Any
    labels: Any = None
    _: KW_ONLY
    ids: Any = None
    groups: Any = None
    name: str = "data"
    n_classes: int | None = None
    classes: tuple[str, ...] | None = None
    scale: float = 1.0
    columns: tuple[tuple[str, str | None], ...] | None = None

    def __post_init__(self):
        check_kinds("Pool", name=(self.name, str), n_classes=(self.n_classes, int | None), scale=(self.scale, float))
        if self.n_classes is not None and not 1 <= self.n_classes <= MOST_CLASSES:
            raise InputError(f"Pool: n_classes must be from 1 to {MOST_CLASSES:,}, got {self.n_classes:,}")
        if self.columns is None and hasattr(self.inputs, "columns") and hasattr(self.inputs, "to_numpy"):
            object.__setattr__(self, "columns", tuple((str(name), None) for name in self.inputs.columns))
        inputs = checked_inputs(self.inputs)
        n = len(inputs)
        labels, classes, n_classes = _numbered(self.labels, n, self.classes, self.n_classes)
        ids = np.arange(n).astype(str) if self.ids is None else _checked_names("ids", self.ids, n)
        if len(np.unique(ids)) < n:
            values, counts = np.unique(ids, return_counts=True)
            raise InputError(f"expected distinct ids, got {counts.max()} records with id '{values[counts.argmax()]}'")
        groups = None if self.groups is None else _checked_names("groups", self.groups, n)
        if not (np.isfinite(self.scale) and self.scale > 0) or (inputs.dtype != np.uint8 and self.scale != 1.0):
            raise InputError(
                f"expected scale > 0, and 1 unless inputs are uint8, got scale={self.scale} for {inputs.dtype} inputs"
            )
        checked = {"inputs": inputs, "labels": labels, "ids": ids, "groups": groups, "name": str(self.name)}
        if self.columns is not None and inputs.shape[1:] != (len(self.columns),):
            raise InputError(f"expected a column for each of the values {inputs.shape[1:]}, got {len(self.columns)}")
        checked |= {"n_classes": n_classes, "classes": classes, "scale": float(self.scale)}
        for field, value in checked.items():
            object.__setattr__(self, field, value)

    def __len__(self) -> int:
        return len(self.inputs)

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.inputs.shape))
        classes = "no labels" if self.labels is None else f"{self.n_classes} classes"
        return f"Pool({self.name!r}, {shape} {self.inputs.dtype}, {classes})"

    def batch(self, indices: Any = slice(None)) -> Float[np.ndarray, "batch ..."]:
        """What a model gets for these records: `scale * inputs[indices]` as a new array, float64 if the inputs are and
        float32 if not."""
        batch = np.array(self.inputs[indices], dtype=np.result_type(self.inputs.dtype, np.float32))
        if self.scale != 1.0:
            batch *= np.float32(self.scale)
        return batch

    def subset(self, indices: ArrayLike) -> "Pool":
        """The records at `indices` (integers or a bool mask), with their ids, labels and groups.

        Of a memory-mapped pool these records are read into memory.
        """
        indices = np.asarray(indices)
        if indices.dtype == bool and indices.shape != (len(self),):
            raise InputError(f"expected a bool mask of shape ({len(self)},), got shape {indices.shape}")
        if indices.dtype != bool and (indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer)):
            raise InputError(f"expected a bool mask or a list of integers, got {indices.dtype} {indices.shape}")
        try:
            inputs = np.array(self.inputs[indices])
        except IndexError:
            raise InputError(f"expected indices below {len(self)}, got {indices.max()}") from None
        return Pool(
            inputs,
            None if self.labels is None else self.labels[indices],
            ids=self.ids[indices],
            groups=None if self.groups is None else self.groups[indices],
            name=self.name,
            n_classes=self.n_classes,
            classes=self.classes,
            scale=self.scale,
            columns=self.columns,
        )

    def concat(self, *others: "Pool", name: str | None = None) -> "Pool":
        """This pool's records and then those of `others`, in memory.

        Where two pools share an id, every id is preceded by the number of its pool ("0/17", "1/17"). Columns that have
        names go by their names, in the order of this pool.

        Raises:
            InputError: pools that do not belong together.
        """
        others = tuple(other.in_order(self.columns) for other in others)
        pools = (self, *others)
        for other in others:
            for what in ("n_classes", "classes", "scale"):
                if (mine := getattr(self, what)) != (theirs := getattr(other, what)):
                    raise InputError(f"expected pools with the same {what}, got {mine} and {theirs}")
            mine, theirs = (self.inputs.shape[1:], self.inputs.dtype), (other.inputs.shape[1:], other.inputs.dtype)
            # Floats go together in the wider type, which holds both; bytes may have a scale that floats have not.
            if mine[0] != theirs[0] or (mine[1] == np.uint8) != (theirs[1] == np.uint8):
                raise InputError(f"expected records of the same shape and dtype, got {mine} and {theirs}")
            if (self.groups is None) != (other.groups is None):
                raise InputError("expected groups in all pools or in none")
        ids = np.concatenate([pool.ids for pool in pools])
        if len(np.unique(ids)) < len(ids):
            ids = np.concatenate([np.char.add(f"{k}/", pool.ids) for k, pool in enumerate(pools)])
        return Pool(
            np.concatenate([pool.inputs for pool in pools]),
            None if self.labels is None else np.concatenate([pool.labels for pool in pools]),
            ids=ids,
            groups=None if self.groups is None else np.concatenate([pool.groups for pool in pools]),
            name=name or self.name,
            n_classes=self.n_classes,
            classes=self.classes,
            scale=self.scale,
            columns=self.columns if all(other.columns == self.columns for other in others) else None,
        )

    def rounded(self) -> "Pool":
        """The same records in float32, for a model whose training rounded them."""
        return self if self.inputs.dtype != np.float64 else replace(self, inputs=self.inputs.astype(np.float32))

    def in_order(self, columns: Sequence[tuple[str, str | None]] | None) -> "Pool":
        """The same records with their columns in this order, by name; as they are where either has no names.

        Raises:
            InputError: other columns.
        """
        if columns is None or self.columns is None or tuple(columns) == self.columns:
            return self
        place = {column: at for at, column in enumerate(self.columns)}
        if len(place) < len(self.columns) or set(columns) != set(place):
            wanted, there = (", ".join(_column(one) for one in some) for some in (columns, self.columns))
            raise InputError(
                f"expected records with the columns {wanted[:300]}; got {there[:300]}: encode all tables together (one "
                "read_frame, then pool.subset for each side)"
            )
        return replace(self, inputs=self.inputs[:, [place[one] for one in columns]], columns=tuple(columns))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of what a model can learn from: inputs, scale, labels and n_classes.

        Ids, groups and names are left out: they are labels for people and change no training.
        """
        digest = hashlib.sha256(b"seepage.pool/1")
        digest.update(repr((self.inputs.shape, self.inputs.dtype.str, self.scale, self.n_classes)).encode())
        for _, block in blocks(self.inputs):
            digest.update(block.data)
        if self.labels is not None:
            digest.update(self.labels.astype("<i8").data)
        return digest.hexdigest()

    def duplicates(self) -> list[Int64[np.ndarray, "copies"]]:
        """Groups of two or more records whose inputs are identical, whatever their labels.

        >>> Pool([[1.0], [2.0], [1.0]]).duplicates()
        [array([0, 2])]
        """
        places = defaultdict(list)
        for place, digest in enumerate(_record_digests(self.inputs)):
            places[digest].append(place)
        return [np.array(group, dtype=np.int64) for group in places.values() if len(group) > 1]


def overlap(a: Pool | ArrayLike, b: Pool | ArrayLike) -> Int64[np.ndarray, "pairs 2"]:
    """Records of `a` that are in `b` too, inputs compared value for value, whatever their labels.

    Args:
        a, b: pools, or arrays (samples, ...) of inputs.

    Returns:
        A row (index in `a`, index in `b`) for each record of `a` that `b` also holds, in `a`'s order; of
        several copies in `b`, the first.

    Raises:
        InputError: the records of `a` and `b` differ in shape.

    >>> overlap([[1.0], [2.0], [3.0]], [[3.0], [0.0], [1.0], [1.0]]).tolist()
    [[0, 2], [2, 0]]
    """
    a = a if isinstance(a, Pool) else Pool(a)
    b = b if isinstance(b, Pool) else Pool(b)
    if a.inputs.shape[1:] != b.inputs.shape[1:]:
        raise InputError(f"expected records of one shape, got {a.inputs.shape[1:]} and {b.inputs.shape[1:]}")
    stored_alike = a.inputs.dtype == b.inputs.dtype and a.scale == b.scale
    scales = (1.0, 1.0) if stored_alike else (a.scale, b.scale)
    dtype = a.inputs.dtype if stored_alike else np.dtype(np.float32)
    if a.scale == b.scale == 1.0:  # values as they are: in the type that holds both
        dtype = np.result_type(a.inputs.dtype, b.inputs.dtype)
    first: dict[bytes, int] = {}
    for place, digest in enumerate(_record_digests(b.inputs, dtype, scales[1])):
        first.setdefault(digest, place)
    digests = enumerate(_record_digests(a.inputs, dtype, scales[0]))
    pairs = [(place, first[digest]) for place, digest in digests if digest in first]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _column(column: tuple[str, str | None]) -> str:
    return column[0] if column[1] is None else f"{column[0]}={column[1]}"


def _record_digests(inputs: np.ndarray, dtype: np.dtype | None = None, scale: float = 1.0) -> Iterator[bytes]:
    for _, block in blocks(inputs):
        block = block.reshape(len(block), -1).astype(dtype or block.dtype, copy=False)
        if block.dtype.kind == "f":
            block = block * block.dtype.type(scale) + block.dtype.type(0)  # -0 + 0 = 0: equal values get equal bytes
        data, size = block.tobytes(), block[:1].nbytes
        for start in range(0, len(data), size):
            yield hashlib.blake2b(data[start : start + size], digest_size=16).digest()


def _numbered(
    labels: Any, n: int, classes: Sequence[str] | None, n_classes: int | None
) -> tuple[np.ndarray | None, tuple[str, ...] | None, int | None]:
    """Class numbers, the names of the classes and their count."""
    if labels is None:
        if n_classes is not None or classes is not None:
            raise InputError("expected labels where n_classes or classes are given, got none")
        return None, None, None
    numbered = number(label_values(labels, n), classes=classes, n_classes=n_classes)
    return numbered.labels, numbered.classes, numbered.n_classes


def _checked_names(what: str, names: ArrayLike, n: int) -> np.ndarray:
    array = np.asarray(names)
    if array.shape != (n,):
        raise InputError(f"expected {what} of shape ({n},), one a record, got {array.shape}")
    return array.astype(str)
