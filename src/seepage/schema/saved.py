"""What every result is: frozen parts, saved as one versioned JSON file and read back."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Sized
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator

from seepage.errors import DataFileError, InputError, StorageError, shortened
from seepage.schema import display
from seepage.writing import whole_file

MOST_BYTES = 64 * 2**20  # of a file; what is written here has a hundredth of it
MOST_CHARACTERS = 10_000  # of one text
# What a page has room for, and what is drawn in seconds.
MOST_ATTACKS, MOST_TARGETS, MOST_RATES, MOST_ROWS = 200, 100, 100, 5_000
MOST_WORKERS = 4096  # more than anybody has: what says more is a mistake
LARGEST = 1e100  # of a number, so that an axis and the square of it are still numbers

LARGEST_COUNT = 2**53
DEEPEST = 20  # levels of what is free in form

_READING = object()


class _Made(type(BaseModel)):
    """Where a part is made here: what it cannot hold is an error of this package. Reading a file goes another way."""

    def __call__(cls, *args: Any, **values: Any) -> Any:
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = ".".join(map(str, (cls.__name__, *first["loc"])))
            raise InputError(f"the result cannot be made: {where}: {first['msg']}") from error


class Part(BaseModel, metaclass=_Made):
    """What is written is read back: so lengths, names and texts are checked when a part is made, not when it is drawn.

    Infinity is written as null. Numbers of a file are those that can be drawn; a `dict[str, object]` may hold any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")

    @model_validator(mode="before")
    @classmethod
    def _readable(cls, values: Any) -> Any:
        """Texts that nobody reads to the end are cut: names of classes and ids come from somebody's data."""
        return {name: _cut(value) for name, value in values.items()} if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _drawable(self, info: ValidationInfo) -> Self:
        if info.context is _READING:
            for name in type(self).model_fields:
                _check_value(name, getattr(self, name))
        return self


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return shortened(value, MOST_CHARACTERS)
    if isinstance(value, list):
        return [shortened(one, MOST_CHARACTERS) if isinstance(one, str) else one for one in value]
    return value


def _check_value(name: str, value: Any) -> None:
    if isinstance(value, dict):
        _check_depth(name, value, DEEPEST)
    for one in value if isinstance(value, list) else value.values() if isinstance(value, dict) else (value,):
        if isinstance(one, int | float) and not abs(one) <= LARGEST:
            raise ValueError(f"'{name}' holds a number beyond {LARGEST:g}")
        if isinstance(one, int) and abs(one) > LARGEST_COUNT and name not in ("seed", "seeds", "options"):
            raise ValueError(f"'{name}' holds a number beyond 2^53")
        if isinstance(one, int | float) and one < 0 and (name == "n" or name.startswith("n_")):
            raise ValueError(f"'{name}' is a count, and negative")


def _check_depth(name: str, value: Any, levels: int) -> None:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if levels == 0:
        raise ValueError(f"'{name}' is nested too deeply")
    for part in parts:
        _check_depth(name, part, levels - 1)


def equally_long(**lists: Sized) -> None:
    """Check lists, by name.

    Raises:
        ValueError: they do not have one length, or are empty.
    """
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"expected lists of one length, with something in them, got {told}")


def distinct(what: str, names: Iterable[str]) -> set[str]:
    """The names.

    Raises:
        ValueError: one stands there twice.
    """
    counts = Counter(names)
    twice = next((name for name, n in counts.items() if n > 1), None)
    if twice is not None:
        raise ValueError(f"expected distinct {what}, '{shortened(twice, 100)}' stands there {counts[twice]} times")
    return set(counts)


def known(what: str, names: Iterable[str], there: Iterable[str]) -> None:
    """Check names.

    Raises:
        ValueError: one of them is not among those that are there.
    """
    unknown = next((name for name in names if name not in there), None)
    if unknown is not None:
        raise ValueError(f"unknown {what} '{shortened(unknown, 100)}'")


def check_room(**counts: int) -> None:
    """Refuse at the start what a result has no room for at the end.

    Args:
        counts: how many there are to be, by their name: attacks, targets, defences or rows.

    Raises:
        InputError: there are more.
    """
    for what, n in counts.items():
        most = {"attacks": MOST_ATTACKS, "rows": MOST_ROWS}.get(what, MOST_TARGETS)
        if n > most:
            raise InputError(f"a result has room for {most:,} {what}, got {n:,}: make several of it")


def read_values(path: str | os.PathLike, written_by: str) -> tuple[Path, dict[str, Any]]:
    """The file of a result, which may be named by its folder, and the JSON in it.

    Raises:
        DataFileError: it is missing, too large, or no JSON object with every key once and finite numbers.
    """
    path = Path(path)
    path = path / "result.json" if os.path.isdir(path) else path
    if not os.path.isfile(path):
        raise DataFileError(f"no result at {path}: expected a result.json that '{written_by}' wrote")
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise DataFileError(f"{path} has more than {MOST_BYTES:,} bytes: it is no result that '{written_by}' wrote")
        values = json.loads(content, object_pairs_hook=_once, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise DataFileError(f"{path} is nested too deeply: it is no result that '{written_by}' wrote") from None
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path} is no result that '{written_by}' wrote, cannot be read as JSON: {error}") from None
    if not isinstance(values, dict):
        raise DataFileError(f"{path} holds a {type(values).__name__}, expected a result that '{written_by}' wrote")
    return path, values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    distinct("keys", (name for name, _ in pairs))
    return dict(pairs)


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no finite number")
    return number


def kind_of(schema: str) -> str:
    """
    >>> kind_of("seepage.audit/2")
    'audit'
    """
    return schema.split("/")[0].removeprefix("seepage.")


class Saved(Part):
    """A whole result. Its class names the schema, and the command that writes such files."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, ser_json_inf_nan="null")

    SCHEMA: ClassVar[str]  # the only value of `schema_`
    KIND: ClassVar[str]  # its name without version
    WRITTEN_BY: ClassVar[str]

    schema_: str

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        cls.SCHEMA = cls.model_fields["schema_"].default
        cls.KIND = kind_of(cls.SCHEMA)

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True, indent=1)

    def save(self, path: str | os.PathLike) -> Path:
        """Write the JSON to `path` in one atomic step."""
        path = Path(path)
        content = self.to_json().encode()
        if len(content) > MOST_BYTES:
            raise StorageError(
                f"{path} would have {len(content):,} bytes, more than are read again: ask for less at once"
            )
        with whole_file(path) as file:
            file.write(content)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike) -> Self:
        """Read a saved result; `path` is the file or the folder that holds `result.json`.

        Raises:
            DataFileError: the file is missing, is not JSON, or follows another schema.
        """
        return cls.of(*read_values(path, cls.WRITTEN_BY))

    @classmethod
    def of(cls, path: Path, values: dict[str, Any]) -> Self:
        """The result that these values are; `path` is named in the complaint.

        Raises:
            DataFileError: they follow another schema, or name what is not there.
        """
        if values.get("schema", cls.SCHEMA) != cls.SCHEMA:
            raise DataFileError(f"{path} follows {shortened(str(values['schema']), 100)}, expected {cls.SCHEMA}")
        try:
            return cls.model_validate(values, strict=True, context=_READING)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the file"
            raise DataFileError(f"{path} is not a {cls.SCHEMA} result: {where}: {first['msg']}") from None
        except RecursionError:
            raise DataFileError(f"{path} is not a {cls.SCHEMA} result: it is nested too deeply") from None

    def write(self, folder: Path) -> None:
        """The result and its page in a folder: result.json, report.html, report.md.

        Raises:
            StorageError: one cannot be written.
        """
        try:
            self.save(folder / "result.json")
        except OSError as error:
            raise StorageError(f"cannot write {folder / 'result.json'}: {error.strerror}") from None
        self.report(folder / "report.html")
        self.report(folder / "report.md")

    def report(self, path: str | os.PathLike) -> Path:
        """Render the result to `path`; the suffix chooses .html or .md."""
        return display.page(self, path)

    def __str__(self) -> str:
        return display.text(self)
