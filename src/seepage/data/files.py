"""Pools from files: .npz, .npy, .csv and .parquet. Nothing in a file is ever run."""

import csv
import functools
import inspect
import itertools
import math
import os
import re
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from seepage.data.cache import reading
from seepage.data.frames import FEW_CATEGORIES, check_categories, pool_from_columns
from seepage.data.labels import is_missing, key
from seepage.data.pool import KEPT, Pool
from seepage.errors import DataFileError, InputError, MissingExtraError, unknown_name
from seepage.outside import check_annotated

MAX_BYTES = 32 * 2**30
if hasattr(os, "sysconf"):  # more than half of this machine's memory could not be held, and worked on, anyway
    MAX_BYTES = min(MAX_BYTES, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
MOST_DEFLATED = 1100  # to how many times its size a deflated file can unpack; 1,032 by its format
BATCH_ROWS = 1024  # of a parquet file, after which its size is looked at
NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# What pandas reads as missing.
MISSING_CELLS = frozenset([
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
])  # fmt: skip
_CODE = re.compile(r"[+-]?0\d|\+")
_CODE_IN_LINE = re.compile(r'(?:^|[,"])\s*(?:[+-]?0\d|\+\d)')
INDEX = re.compile(r"__index_level_\d+__")  # how pandas calls an index without a name in a .parquet file
OF_TABLES = ("label", "group", "id", "categorical", "standardise")


def pool_from_file(path: str | os.PathLike, options: Mapping[str, Any]) -> Pool:
    """The records in a file; see `Pool.from_file`."""
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"expected a file ending in {', '.join(READERS)}, got {path}")
    if not os.path.isfile(path):
        raise DataFileError(f"no file at {path}")
    if path.suffix.lower() not in TABLES and (of_tables := [name for name in OF_TABLES if name in options]):
        raise InputError(
            f"{of_tables[0]}= ({'--label; ' * (of_tables[0] == 'label')}options: {{{of_tables[0]}: ...}}) is about the "
            f"columns of a table ({', '.join(TABLES)}), and {path} is none: {ARRAYS_OF[path.suffix.lower()]}"
        )
    return call_with_options(reader, path, options=options, owner=f"{path.suffix} files")


def call_with_options(function: Callable, *args: Any, options: Mapping[str, Any], owner: str) -> Any:
    """Call `function` with a user's options, an unknown one being a clear error."""
    known = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    for option in options:
        if option not in known:
            if not known:
                raise InputError(f"{owner} has no options, got '{option}'")
            raise unknown_name(f"option of {owner}:", option, known)
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        if name in options and parameter.kind is parameter.KEYWORD_ONLY:
            check_annotated(f"{owner}: option {name}", options[name], parameter.annotation)
            if name == "max_bytes" and options[name] < 1:
                raise InputError(f"{owner}: option max_bytes: expected at least 1, got {options[name]}")
    return function(*args, **options)


def no_labels(key: str, path: Path | None, *, options: str, flag: bool = True) -> InputError:
    """The error of a configuration whose records have none: what to do depends on the file.

    Args:
        key: of the configuration, whose records they are.
        path: their file, if they come from one.
        options: where in the configuration the label's column is named.
        flag: whether the command has --label.
    """
    if path is None:
        return InputError(f"{key}: the records have no labels")
    if path.suffix.lower() in TABLES:
        return InputError(
            f"{key}: {path} is a table without a column of labels: name it with {'--label NAME, or in YAML ' * flag}"
            f"{options}"
        )
    return InputError(f"{key}: {path} holds no labels: expected a .npz with the arrays 'inputs' and 'labels'")


def _npz(
    path: Path,
    *,
    name: str | None = None,
    n_classes: int | None = None,
    scale: float = 1.0,
    max_bytes: int = MAX_BYTES,
) -> Pool:
    arrays = read_arrays(path, max_bytes=max_bytes)
    roles = {"inputs": ("inputs", "x"), "labels": ("labels", "y"), "ids": ("ids",), "groups": ("groups",)}
    found = {role: [key for key in keys if key in arrays] for role, keys in roles.items()}
    unused = sorted(set(arrays) - {key for keys in found.values() for key in keys})
    if len(found["inputs"]) != 1 or len(found["labels"]) > 1 or unused:
        raise DataFileError(
            f"{path}: expected the arrays inputs (or x) and optionally labels (or y), ids and groups, "
            f"got {', '.join(sorted(arrays)) or 'none'}"
        )
    parts = {role: arrays[keys[0]] for role, keys in found.items() if keys}
    return Pool(
        parts.pop("inputs"),
        parts.pop("labels", None),
        **parts,
        name=name or path.stem,
        n_classes=n_classes,
        scale=scale,
    )


def read_arrays(path: str | os.PathLike, *, max_bytes: int = MAX_BYTES) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file; nothing in it is unpickled.

    Raises:
        DataFileError: the file is missing, corrupt, or larger than `max_bytes` when unpacked.
    """
    path = Path(path)
    if path.suffix.lower() in (*TABLES, ".npy"):
        raise DataFileError(f"expected a .npz file, several arrays with names (np.savez), got {path}")
    if not os.path.isfile(path):
        raise DataFileError(f"no file at {path}")
    with reading(path, ".npz"):
        # The archive's directory and each array's header are read first: either could promise terabytes.
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len({member.filename for member in members}) < len(members):
                raise ValueError("it holds two arrays of one name")
            _check_size(path, sum(member.file_size for member in members), max_bytes)
            for member in members:
                if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError(f"'{member.filename}' is compressed in a way that np.savez does not know")
                if member.file_size > MOST_DEFLATED * (member.compress_size + 1):
                    raise ValueError(f"'{member.filename}' holds fewer bytes than it says")
                with archive.open(member) as file:
                    _check_header(file, member.file_size, f"'{member.filename}'")
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}


def _check_header(file: IO[bytes], n_bytes: int, name: str) -> None:
    """Refuse an .npy header that promises more than the `n_bytes` that it stands in, before anything is set aside."""
    version = np.lib.format.read_magic(file)
    if version not in NPY_HEADERS:
        raise ValueError(f"{name} is in version {version} of the .npy format")
    shape, _, dtype = NPY_HEADERS[version](file)
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects")
    if max(shape, default=0) > 2**62:
        raise ValueError(f"{name} has a size in its header that no array can have: {shape}")
    if min(shape, default=0) < 0:
        raise ValueError(f"{name} has a negative size in its header: {shape}")
    if math.prod(shape) * max(dtype.itemsize, 1) > n_bytes:
        raise ValueError(f"{name} is shorter than its header says")


def _npy(
    path: Path,
    *,
    labels: Any = None,
    name: str | None = None,
    n_classes: int | None = None,
    scale: float = 1.0,
    max_bytes: int = MAX_BYTES,
) -> Pool:
    inputs = _mapped(path)
    if isinstance(labels, (str, os.PathLike)):
        labels = _mapped(Path(labels))
        _check_size(Path(labels.filename), labels.nbytes, max_bytes)
        labels = np.array(labels)
    if inputs.dtype not in KEPT:
        _check_size(path, inputs.size * 8, max_bytes)
        inputs = np.array(inputs)  # another dtype is converted, and so held in memory
    return Pool(inputs, labels, name=name or path.stem, n_classes=n_classes, scale=scale)


def _mapped(path: Path) -> np.memmap:
    if not os.path.isfile(path):
        raise DataFileError(f"no file at {path}")
    with reading(path, ".npy"):
        with open(path, "rb") as file:
            _check_header(file, path.stat().st_size, "it")
        # Mode c: writable for those who want a tensor over it, and never written back.
        return np.load(path, mmap_mode="c", allow_pickle=False)


def pools_from_files(paths: Sequence[str | os.PathLike], options: Mapping[str, Any]) -> list[Pool]:
    """A pool from each file, all encoded alike: tables are put together before their text is encoded.

    Encoded one by one, two files with different categories would get columns that mean different things.

    Raises:
        InputError: tables with different columns; and see `Pool.from_file`.
    """
    paths = [Path(path) for path in paths]
    if len({path.suffix.lower() in TABLES for path in paths}) > 1:
        raise InputError(f"expected tables only or arrays only, got {', '.join(map(str, paths))}")
    if paths[0].suffix.lower() not in TABLES:
        return [pool_from_file(path, options) for path in paths]
    options = dict(options)
    max_bytes = options.pop("max_bytes", MAX_BYTES)
    of_columns = {option: value for option, value in options.items() if option in OF_TABLES[:4]}
    named = call_with_options(_named, options=of_columns, owner="tables")
    tables = [_columns(path, max_bytes, named) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        if set(table) != set(tables[0]):
            differing = ", ".join(sorted(set(table) ^ set(tables[0])))
            raise InputError(f"expected the same columns in {paths[0]} and {path}, only one of them has: {differing}")
    lengths = [len(next(iter(table.values()))) for table in tables]
    joined = {column: np.concatenate([table[column] for table in tables]) for column in tables[0]}
    for column in set(joined) - named:
        _check_alike(column, {path: table[column] for path, table in zip(paths, tables, strict=True)}, joined[column])
    order = _label_order(paths[0], options.get("label"))
    read = functools.partial(pool_from_columns, joined, label_order=order)
    pool = call_with_options(read, options=options, owner="tables")
    ends = np.cumsum([0, *lengths])
    return [pool.subset(np.arange(start, end)) for start, end in itertools.pairwise(ends)]


def _named(
    *, label: str | None = None, group: str | None = None, id: str | None = None, categorical: Sequence[str] = ()
) -> set[str]:
    """Columns that the user says are no quantities."""
    return {label, group, id, *categorical} - {None}


def _check_alike(column: str, parts: Mapping[Path, np.ndarray], joined: np.ndarray) -> None:
    """Refuse a column of numbers in one file and of text in another, unless all are a few categories."""
    kinds: dict[bool, Path] = {}
    for path, values in parts.items():
        entries = [] if values.dtype.kind != "O" else [one for one in values.tolist() if not is_missing(one)]
        if values.dtype.kind != "O" or entries:
            kinds[values.dtype.kind in "UT" or any(isinstance(one, str) for one in entries)] = path
    if len(kinds) == 2 and len(np.unique(joined.astype(str))) > FEW_CATEGORIES:
        raise InputError(
            f"column '{column}' holds numbers in {kinds[False]} and text in {kinds[True]}: give it alike in all files, "
            "or name it in categorical="
        )


def _table(
    path: Path,
    *,
    label: str | None = None,
    group: str | None = None,
    id: str | None = None,
    categorical: Sequence[str] = (),
    standardise: bool = False,
    n_classes: int | None = None,
    name: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Pool:
    return pool_from_columns(
        _columns(path, max_bytes, _named(label=label, group=group, id=id, categorical=categorical)),
        label=label,
        label_order=_label_order(path, label),
        group=group,
        id=id,
        categorical=categorical,
        standardise=standardise,
        n_classes=n_classes,
        name=name or path.stem,
    )


def _columns(path: Path, max_bytes: int, named: Collection[str]) -> dict[str, np.ndarray]:
    reader = TABLES.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"expected a file ending in {', '.join(TABLES)}, got {path}")
    if not os.path.isfile(path):
        raise DataFileError(f"no file at {path}")
    return reader(path, max_bytes, named)


def _csv_columns(path: Path, max_bytes: int, named: Collection[str]) -> dict[str, np.ndarray]:
    """The columns by the names of the header; a column is numeric if every cell that is not missing is."""
    _check_size(path, path.stat().st_size, max_bytes)
    with reading(path, ".csv"), open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.reader(_without_nul(file), strict=True)
        header = [name.strip() for name in next(rows, [])]
        if header and not header[0]:
            raise ValueError("the first column has no name: leave it out (pandas: frame.to_csv(path, index=False))")
        if len(set(header)) < len(header) or not all(header):
            raise ValueError("expected a header of distinct names in the first row")
        first = next(filter(None, rows), None)
        first_line = rows.line_num
        if first is None:
            raise ValueError("expected a header and at least one row")
        matrix = None if named and _has_codes(path) else _matrix(path, first)
        if matrix is not None and matrix.shape[1] == len(header) and not (np.abs(matrix) >= 2**53).any():
            return {name: _whole(column) for name, column in zip(header, matrix.T, strict=True)}
        cells: list[list[str]] = [[] for _ in header]
        lines = []
        for row in itertools.chain([first], rows):
            if row and len(row) != len(header):
                raise ValueError(f"expected {len(header)} cells in line {rows.line_num}, got {len(row)}")
            if row:
                lines.append(first_line if row is first else rows.line_num)
            for column, cell in zip(cells, row, strict=False):
                column.append(cell.strip())
        for name, column in zip(header, cells, strict=True):
            _check_text(path, name, max(map(len, column)), len(column), max_bytes)
        columns = {name: _typed(column, name in named) for name, column in zip(header, cells, strict=True)}
        for name, column in columns.items():
            if name not in named and column.dtype.kind in "UO":
                check_categories(name, column, lambda row: f"line {lines[row]} of {path}")
        return columns


def _without_nul(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if "\0" in line:
            raise ValueError("it holds NUL characters: expected a text in UTF-8, not UTF-16 or binary")
        yield line


def _matrix(path: Path, first: Sequence[str]) -> np.ndarray | None:
    """All rows under the header if every cell is a number, without a Python string for each."""
    try:
        np.array(first, dtype=np.float64)
        return np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2, quotechar='"', comments=None, encoding="utf-8")
    except ValueError:
        return None


def _has_codes(path: Path) -> bool:
    """Whether a cell of digits is none by its writing."""
    with open(path, encoding="utf-8-sig") as file:
        return any(_CODE_IN_LINE.search(line) for line in file)


def _typed(cells: list[str], is_named: bool) -> np.ndarray:
    values: Any = [None if cell in MISSING_CELLS else cell for cell in cells]
    texts = np.array(values, dtype=object if None in values else str)
    if any("_" in cell for cell in cells) or (is_named and any(map(_CODE.match, cells))):
        return texts  # 1_1 is no number to anybody but Python, and 007 as a label or an id is not 7
    try:
        numbers = [value if value is None else float(value) for value in values]
    except ValueError:
        return texts
    if any(_is_long(cell) for cell in values if cell is not None):
        # An id keeps its digits; of a quantity `encode` says that float64 cannot hold it.
        whole = [int(cell) if cell and _is_long(cell) else number for cell, number in zip(values, numbers, strict=True)]
        return texts if is_named else np.array(whole, dtype=object)
    return np.array(numbers, dtype=object) if None in numbers else _whole(np.array(numbers))


def _is_long(cell: str) -> bool:
    """Whether it is a whole number of more digits than float64 holds: an account, a card, a hash, not a quantity."""
    digits = cell.lstrip("+-")
    return len(digits) > 15 and digits.isdecimal() and (len(digits) > 300 or int(float(digits)) != int(digits))


def _whole(numbers: np.ndarray) -> np.ndarray:
    """As integers where they all are, so that an id or a label 7 is not written 7.0."""
    whole = np.isfinite(numbers).all() and (numbers == np.round(numbers)).all() and np.abs(numbers).max() < 2**53
    return numbers.astype(np.int64) if whole else numbers


def _parquet_columns(path: Path, max_bytes: int, named: Collection[str]) -> dict[str, np.ndarray]:
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "parquet", f"reading {path.name}") from None

    kinds = pyarrow.types
    texts = (kinds.is_string, kinds.is_large_string)
    numbers = (kinds.is_integer, kinds.is_floating, kinds.is_boolean, kinds.is_decimal, kinds.is_null)

    def plain(name: str, column: pyarrow.ChunkedArray) -> np.ndarray:
        kind = column.type.value_type if kinds.is_dictionary(column.type) else column.type
        if not any(is_of(kind) for is_of in (*texts, *numbers)):
            raise ValueError(f"column '{name}' holds {kind}: expected numbers, true and false, or text")
        if kinds.is_dictionary(column.type):
            lengths = [pyarrow.compute.max(pyarrow.compute.binary_length(c.dictionary)).as_py() for c in column.chunks]
            _check_text(path, name, max(filter(None, lengths), default=0), len(column), max_bytes)
        # pyarrow's to_numpy turns the nulls of a dictionary column into one of its values, and whole numbers beside a
        # null, like decimals, into floats, which do not hold all of them.
        column = column.cast(kind)
        is_exact = (kinds.is_integer(kind) and column.null_count) or (kinds.is_decimal(kind) and kind.precision > 15)
        if is_exact:
            return np.array([one and _whole_decimal(one) for one in column.to_pylist()], dtype=object)
        return column.cast(pyarrow.float64() if kinds.is_decimal(kind) else kind).to_numpy()

    with reading(path, ".parquet"):
        with pyarrow.parquet.ParquetFile(path) as file:
            metadata, schema = file.metadata, file.schema_arrow
        groups = range(metadata.num_row_groups)
        _check_size(path, sum(metadata.row_group(k).total_byte_size for k in groups), max_bytes)
        _check_size(path, 8 * metadata.num_rows * metadata.num_columns, max_bytes)
        # A text that is repeated takes little room in the file, and as little here until it is known how long it is.
        of_text = [field.name for field in schema if any(is_of(field.type) for is_of in texts)]
        batches, n_bytes = [], 0
        with pyarrow.parquet.ParquetFile(path, read_dictionary=of_text) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                batches.append(batch)
                _check_size(path, n_bytes := n_bytes + batch.nbytes, max_bytes)
        if not batches:
            raise ValueError("it has no rows")
        table = pyarrow.Table.from_batches(batches)
        table.validate(full=True)
        if len(set(table.column_names)) < table.num_columns:
            raise ValueError("expected distinct names of columns")
        # Row numbers that pandas wrote beside the table are no feature.
        names = [name for name in table.column_names if name in named or not INDEX.fullmatch(name)]
        return {name: plain(name, table[name]) for name in names}


def _whole_decimal(number: Any) -> Any:
    """A whole number where it is one, however it is written."""
    return int(number) if number == int(number) else number


def _check_text(path: Path, name: str, longest: int, n: int, max_bytes: int) -> None:
    """Texts become rows as long as the longest: one long cell among many is paid for by all."""
    if 4 * longest * n > max_bytes:
        raise DataFileError(
            f"{path}: column '{name}' has a text of {longest:,} characters, too many for {n:,} rows: leave it out"
        )


def _label_order(path: Path, label: str | None) -> tuple[str, ...] | None:
    """The order of the label's categories, where a .parquet file says that they have one."""
    if label is None or path.suffix.lower() != ".parquet":
        return None
    import pyarrow
    import pyarrow.parquet

    with reading(path, ".parquet"), pyarrow.parquet.ParquetFile(path) as file:
        place = file.schema_arrow.get_field_index(label)
        kind = None if place < 0 else file.schema_arrow.field(place).type
        if kind is None or not pyarrow.types.is_dictionary(kind) or not kind.ordered:
            return None
        column = file.read(columns=[label]).unify_dictionaries()[label]
    return tuple(key(value) for value in column.chunk(0).dictionary.to_pylist())


def _check_size(path: Path, n_bytes: int, max_bytes: int) -> None:
    if n_bytes > max_bytes:
        raise DataFileError(
            f"{path} holds {n_bytes / 2**30:.3g} GiB, more than the {max_bytes / 2**30:.3g} GiB that are read at "
            f"once: give max_bytes= if that is right"
        )


ARRAYS_OF = {
    ".npz": "a .npz holds arrays: 'inputs' and, if there are any, 'labels', 'ids' and 'groups'",
    ".npy": "a .npy holds the inputs alone: save a .npz with the arrays 'inputs' and 'labels'",
}
TABLES: dict[str, Callable[[Path, int, Collection[str]], dict[str, np.ndarray]]] = {
    ".csv": _csv_columns,
    ".parquet": _parquet_columns,
}
READERS: dict[str, Callable[..., Pool]] = {".npz": _npz, ".npy": _npy, **dict.fromkeys(TABLES, _table)}
