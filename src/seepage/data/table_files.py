"""The columns of tables in files: .csv and .parquet. Nothing in a file is ever run."""

import csv
import itertools
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seepage.data.cache import check_size, reading
from seepage.data.frames import check_categories
from seepage.data.labels import key
from seepage.errors import DataFileError, InputError, MissingExtraError

BATCH_ROWS = 1024  # of a parquet file, after which its size is looked at
# What pandas reads as missing.
MISSING_CELLS = frozenset([
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
])  # fmt: skip
_CODE = re.compile(r"[+-]?0\d|\+")
_CODE_IN_LINE = re.compile(r'(?:^|[,"])\s*(?:[+-]?0\d|\+\d)')
INDEX = re.compile(r"__index_level_\d+__")  # how pandas calls an index without a name in a .parquet file


def columns_of(path: Path, max_bytes: int, named: Collection[str]) -> dict[str, np.ndarray]:
    """The columns of a table by name, as numbers or texts.

    Args:
        path: the file.
        max_bytes: of the contents in memory.
        named: columns that are no quantities (labels, ids, ...), whose cells keep their writing.

    Raises:
        DataFileError: the file is missing, corrupt or too large.
        InputError: it is no table.
    """
    reader = TABLES.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"expected a file ending in {', '.join(TABLES)}, got {path}")
    if not os.path.isfile(path):
        raise DataFileError(f"no file at {path}")
    return reader(path, max_bytes, named)


def _csv_columns(path: Path, max_bytes: int, named: Collection[str]) -> dict[str, np.ndarray]:
    """The columns by the names of the header; a column is numeric if every cell that is not missing is."""
    check_size(path, path.stat().st_size, max_bytes)
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
        check_size(path, sum(metadata.row_group(k).total_byte_size for k in groups), max_bytes)
        check_size(path, 8 * metadata.num_rows * metadata.num_columns, max_bytes)
        # A text that is repeated takes little room in the file, and as little here until it is known how long it is.
        of_text = [field.name for field in schema if any(is_of(field.type) for is_of in texts)]
        batches, n_bytes = [], 0
        with pyarrow.parquet.ParquetFile(path, read_dictionary=of_text) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                batches.append(batch)
                check_size(path, n_bytes := n_bytes + batch.nbytes, max_bytes)
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


def label_order(path: Path, label: str | None) -> tuple[str, ...] | None:
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


TABLES: dict[str, Callable[[Path, int, Collection[str]], dict[str, np.ndarray]]] = {
    ".csv": _csv_columns,
    ".parquet": _parquet_columns,
}
