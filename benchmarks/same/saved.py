"""What a run saved, as one flat mapping from path to value, and how two of them differ.

A path names the file and then the keys: `out/result.json:attacks[loss].auc.value`. Rows of a list are named by their
`name`, `label` or `id` where these tell them apart, so that a row more does not move all others.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import load_file

# Keys whose value is of the moment or of the machine, wherever they stand.
IGNORED = {
    "seconds": "a time",
    "training_seconds": "a time",
    "stacked_step_s": "a time",
    "single_step_s": "a time",
    "created": "a date",
    "seepage": "the version",
    "command": "what was typed; commands may be spelt anew",
    "config": "the configuration as it was given: its keys are judged by what they do",
}
# Folders of a run that no reader of results opens: their numbers are in the results beside them.
UNREAD_FOLDERS = {"run"}
# Files that no number is in.
UNREAD_FILES = {"about.json": "checksums of the files beside it, times and all", "written.json": "the same"}
# Where a value stands now: pattern of an old path -> replacement, applied in this order to every path before.
MOVED: tuple[tuple[str, str], ...] = (
    # The honesty study is a part of a comparison.
    (
        r"^out/result\.json:(variants|rays|sets|strict_rate|comparisons|generator|attacks_left_out)\b",
        r"out/result.json:shadow_study.\1",
    ),
)

_NUMERAL = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?")
_DIGEST = re.compile(r"[0-9a-f]{16,}")

Kind = Literal["number", "words", "only before", "only after"]


@dataclass(frozen=True)
class Difference:
    """A path at which two runs differ; `relative` is of numbers alone."""

    kind: Kind
    path: str
    before: Any = None
    after: Any = None
    relative: float | None = None


def read(folder: Path) -> dict[str, Any]:
    """Every saved value below `folder` by its path; arrays stay whole."""
    values: dict[str, Any] = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        if not file.is_file() or file.name in UNREAD_FILES or UNREAD_FOLDERS & set(name.parts[:-1]):
            continue
        if file.suffix == ".json":
            values |= _flat(f"{name}:", json.loads(file.read_text()))
        elif file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                values |= {f"{name}:{key}": arrays[key] for key in arrays.files}
        elif file.suffix == ".npy":
            values[f"{name}:"] = np.load(file, allow_pickle=False)
        elif file.suffix == ".safetensors":
            values |= {f"{name}:{key}": array for key, array in load_file(file).items()}
        elif file.suffix == ".csv":
            values |= {f"{name}:{line}": text for line, text in enumerate(file.read_text().splitlines())}
    return values


def _flat(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in IGNORED:
                yield from _flat(f"{path}.{key}" if not path.endswith(":") else f"{path}{key}", part)
    elif isinstance(value, list):
        for name, part in zip(_names(value), value, strict=True):
            yield from _flat(f"{path}[{name}]", part)
    else:
        yield path, value


def _names(rows: list) -> list:
    """What tells the rows apart: a key that all of them have with different values, or their places."""
    for key in ("label", "name", "id"):
        names = [row.get(key) if isinstance(row, dict) else None for row in rows]
        if None not in names and len(set(map(str, names))) == len(rows):
            return names
    return list(range(len(rows)))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Every path at which the two are not equal to the last bit, in the order of paths."""
    before = {_moved(path): value for path, value in before.items()}
    found = [Difference("only before", path, before=before[path]) for path in before.keys() - after.keys()]
    found += [Difference("only after", path, after=after[path]) for path in after.keys() - before.keys()]
    for path in before.keys() & after.keys():
        found += _difference(path, before[path], after[path])
    return sorted(found, key=lambda one: one.path)


def _moved(path: str) -> str:
    for pattern, replacement in MOVED:
        path = re.sub(pattern, replacement, path)
    return path


def _difference(path: str, one: Any, other: Any) -> list[Difference]:
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return _array_difference(path, np.asarray(one), np.asarray(other))
    if type(one) is type(other) and (one == other or (one != one and other != other)):
        return []
    if isinstance(one, str) and isinstance(other, str):
        same_numbers = not _DIGEST.fullmatch(one) and _numerals(one) == _numerals(other)
        return [Difference("words" if same_numbers else "number", path, one, other)]
    return [Difference("number", path, one, other, _relative(one, other))]


def _array_difference(path: str, one: np.ndarray, other: np.ndarray) -> list[Difference]:
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return [Difference("number", path, f"{one.dtype} {one.shape}", f"{other.dtype} {other.shape}")]
    differ = one != other
    if one.dtype.kind in "fc":
        differ &= ~(np.isnan(one) & np.isnan(other))
    if not np.any(differ):
        return []
    place = tuple(int(at) for at in np.argwhere(differ)[0])
    where = f"{path}{list(place)}, the first of {np.count_nonzero(differ)} of {one.size}"
    first, second = one[place].item(), other[place].item()
    return [Difference("number", where, first, second, _relative(first, second))]


def _relative(one: Any, other: Any) -> float | None:
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in (one, other)):
        return None
    return abs(one - other) / max(abs(one), abs(other)) if one != other else 0.0


def _numerals(text: str) -> list[str]:
    return _NUMERAL.findall(text)
