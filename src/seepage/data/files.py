"""Pools from files: .npz, .npy, .csv and .parquet. Nothing in a file is ever run."""

import inspect
import itertools
import math
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from seepage.data.cache import MAX_BYTES, check_size, reading
from seepage.data.frames import FEW_CATEGORIES, TableOptions, pool_from_columns
from seepage.data.inputs import KEPT
from seepage.data.labels import is_missing
from seepage.data.pool import Pool
from seepage.data.table_files import TABLES, columns_of, label_order
from seepage.errors import DataFileError, InputError, unknown_name
from seepage.options import check, kinds_of
from seepage.outside import check_kinds

MOST_DEFLATED = 1100  # to how many times its size a deflated file can unpack; 1,032 by its format
NPY_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
OF_TABLES = ("label", "group", "id", "categorical", "standardise")


def read_file(path: str | os.PathLike, **options: Any) -> Pool:
    """The records in a `.npz`, `.npy`, `.csv` or `.parquet` file; never runs code from it.

    Args:
        path: the file; its suffix says what it is.
        options: for every kind `name`, `n_classes` and `max_bytes` (of the contents in memory);
            `.npz` (arrays `inputs` or `x`; optional `labels` or `y`, `ids`, `groups`): `scale`;
            `.npy` (the inputs, memory-mapped): `scale` and `labels`, an array or another `.npy` file;
            `.csv` (with a header) and `.parquet`: `label`, `group`, `id`, `categorical` and
            `standardise`, as in `read_frame`.

    Raises:
        DataFileError: the file is missing, corrupt, too large, or lacks what it must hold.
        InputError: an option or suffix is not known, or the contents do not make a pool.
        MissingExtraError: `.parquet` without the extra `parquet`.
    """
    check_kinds("read_file", path=(path, str | os.PathLike))
    path = Path(path)
    suffix, owner = path.suffix.lower(), f"{path.suffix} files"
    if suffix not in READERS and suffix not in TABLES:
        raise InputError(f"expected a file ending in {', '.join((*READERS, *TABLES))}, got {path}")
    if not os.path.isfile(path):
        raise DataFileError(f"no file at {path}")
    if suffix in TABLES:
        chosen = call_with_options(
            TableOptions, options={**options, "name": options.get("name") or path.stem}, owner=owner
        )
        columns = columns_of(path, chosen.max_bytes, chosen.named)
        return pool_from_columns(columns, chosen, label_order(path, chosen.label))
    if of_tables := [name for name in OF_TABLES if name in options]:
        raise InputError(
            f"{of_tables[0]}= ({'--label; ' * (of_tables[0] == 'label')}options: {{{of_tables[0]}: ...}}) is about the "
            f"columns of a table ({', '.join(TABLES)}), and {path} is none: {ARRAYS_OF[suffix]}"
        )
    return call_with_options(READERS[suffix], path, options=options, owner=owner)


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
            check(f"{owner}: option {name}", options[name], kinds_of(parameter.annotation))
            if name == "max_bytes" and options[name] < 1:
                raise InputError(f"{owner}: option max_bytes: expected at least 1, got {options[name]}")
    return function(*args, **options)


def no_labels(key: str, path: Path | None, *, options: str, flag: bool = True, without: str = "") -> InputError:
    """The error of a configuration whose records have none: what to do depends on the file.

    Args:
        key: of the configuration, whose records they are.
        path: their file, if they come from one.
        options: where in the configuration the label's column is named.
        flag: whether the command has --label.
        without: what the command offers where nobody knows the labels.
    """
    without = without and f"; {without}"
    if path is None:
        return InputError(f"{key}: the records have no labels")
    if path.suffix.lower() in TABLES:
        return InputError(
            f"{key}: {path} is a table without a column of labels: name it with {'--label NAME, or in YAML ' * flag}"
            f"{options}{without}"
        )
    return InputError(f"{key}: {path} holds no labels: expected a .npz with the arrays 'inputs' and 'labels'{without}")


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
        parts["inputs"],
        parts.get("labels"),
        ids=parts.get("ids"),
        groups=parts.get("groups"),
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
            check_size(path, sum(member.file_size for member in members), max_bytes)
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
        check_size(Path(labels.filename), labels.nbytes, max_bytes)
        labels = np.array(labels)
    if inputs.dtype not in KEPT:
        check_size(path, inputs.size * 8, max_bytes)
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
        InputError: tables with different columns; and see `read_file`.
    """
    paths = [Path(path) for path in paths]
    if len({path.suffix.lower() in TABLES for path in paths}) > 1:
        raise InputError(f"expected tables only or arrays only, got {', '.join(map(str, paths))}")
    if paths[0].suffix.lower() not in TABLES:
        return [read_file(path, **options) for path in paths]
    chosen = call_with_options(TableOptions, options={"name": "data", **options}, owner="tables")
    tables = [columns_of(path, chosen.max_bytes, chosen.named) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        if set(table) != set(tables[0]):
            differing = ", ".join(sorted(set(table) ^ set(tables[0])))
            raise InputError(f"expected the same columns in {paths[0]} and {path}, only one of them has: {differing}")
    lengths = [len(next(iter(table.values()))) for table in tables]
    joined = {column: np.concatenate([table[column] for table in tables]) for column in tables[0]}
    for column in set(joined) - chosen.named:
        _check_alike(column, {path: table[column] for path, table in zip(paths, tables, strict=True)}, joined[column])
    pool = pool_from_columns(joined, chosen, label_order(paths[0], chosen.label))
    ends = np.cumsum([0, *lengths])
    return [pool.subset(np.arange(start, end)) for start, end in itertools.pairwise(ends)]


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


ARRAYS_OF = {
    ".npz": "a .npz holds arrays: 'inputs' and, if there are any, 'labels', 'ids' and 'groups'",
    ".npy": "a .npy holds the inputs alone: save a .npz with the arrays 'inputs' and 'labels'",
}
READERS: dict[str, Callable[..., Pool]] = {".npz": _npz, ".npy": _npy}
