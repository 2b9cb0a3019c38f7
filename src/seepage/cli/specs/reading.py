"""From a YAML file and flags to a configuration, with one readable complaint."""

import math
import os
import reprlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from seepage.cli.specs.strict_yaml import parse_yaml
from seepage.errors import DataFileError, InputError, unknown_name

MOST_BYTES = 2**20  # of a file
LARGEST_INTEGER, LARGEST_SEED = 2**31 - 1, 2**63 - 1
MOST_CHARACTERS = 4096  # of one text; what a path may have
MOST_EPOCHS = 1_000_000
MOST_MODELS = 100_000


class Section(BaseModel):
    # A number is finite unless its field says otherwise.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: Any, info: ValidationInfo) -> Any:
        """Neither true for the number 1, which YAML writes `yes` too, nor nothing for the working folder."""
        kinds = set(_kinds(cls.model_fields[info.field_name].annotation))
        parts = value if isinstance(value, list | tuple) else [value]
        if kinds & {int, float} and not kinds & {bool, Any} and any(isinstance(part, bool) for part in parts):
            raise ValueError("expected a number, not true or false (in YAML also yes, no, on and off)")
        if Path in kinds and value == "":
            raise ValueError("expected a path, which is not empty")
        return value

    @classmethod
    def of(cls, values: dict[str, Any], where: str | os.PathLike) -> Self:
        """The section with these values; `where` is named in the complaint.

        Raises:
            InputError: an unknown key or an unusable value.
        """
        _check_sizes(values, where)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise readable(error, where, cls) from None


class Task(Section):
    """What one command carries out."""

    @classmethod
    def read(cls, path: Path | None, flags: dict[str, Any]) -> Self:
        """The configuration of a YAML file, with flags (dotted keys) over it.

        Raises:
            DataFileError: the file is missing or is not YAML.
            InputError: an unknown key or an unusable value.
        """
        values = from_yaml(path)
        if {"data.name", "data.file"} & flags.keys():
            values["data"] = {}  # other data than the file's, whose options do not suit them
        for name, value in cls._placed(values, dict(flags)).items():
            set_value(values, name.split("."), value)
        return cls.of(values, path or "the flags")

    @classmethod
    def _placed(cls, values: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
        """Flags whose section depends on what else is given, under their full keys."""
        return flags


def from_yaml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)  # one byte more tells a file that is too large, and a pipe without end
        if len(content) > MOST_BYTES:
            raise DataFileError(f"{path} has more than {MOST_BYTES:,} bytes, which no configuration needs")
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataFileError(f"cannot read the configuration {path}: {error}") from None
    values = parse_yaml(text, path) or {}
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected keys and values, got {type(values).__name__}")
    # As in other tools, keys with x- in front hold what is written once under an anchor and used below.
    return {name: value for name, value in values.items() if not str(name).startswith("x-")}


def _check_sizes(value: Any, where: str | os.PathLike, path: tuple[str, ...] = ()) -> None:
    """Refuse what fits no field: the code behind would fail later, or take all memory, rather than say so."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, part in items:
            _check_sizes(part, where, (*path, str(name)))
        return
    reason, largest = None, LARGEST_SEED if {"seed", "seeds"} & set(path) else LARGEST_INTEGER
    if isinstance(value, int) and abs(value) > largest:
        reason = f"expected an integer up to {largest:,}"
    elif isinstance(value, float) and (math.isnan(value) or (math.isinf(value) and "options" in path)):
        reason = "expected a finite number"
    elif isinstance(value, str) and (len(value) > MOST_CHARACTERS or "\0" in value):
        reason = f"expected a text of at most {MOST_CHARACTERS:,} characters, without NUL"
    if reason:
        raise InputError(f"{where}: {'.'.join(path)}: {reason}, got {_repr(value)}")


def set_value(values: dict[str, Any], names: list[str], value: Any) -> None:
    for name in names[:-1]:
        if not isinstance(values.get(name), dict):
            values[name] = {}  # nothing there, or something that is no section: the flag stands
        values = values[name]
    values[names[-1]] = value


def readable(error: ValidationError, where: str | os.PathLike, kind: type[Section]) -> InputError:
    """The first complaint in one sentence; an unknown key, which may be why another is missing, goes before the rest
    and names the closest known one."""
    first = min(error.errors(), key=lambda complaint: complaint["type"] != "extra_forbidden")
    path = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        section = kind
        for name in path[:-1]:
            if name in section.model_fields:  # otherwise a place in a list, or which of several kinds was tried
                section = next(_sections(section.model_fields[name].annotation), section)
        return InputError(f"{where}: {unknown_name('key', path[-1], section.model_fields)}")
    return InputError(f"{where}: {'.'.join(path) or 'configuration'}: {first['msg']}, got {_repr(first['input'])}")


def _sections(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def _kinds(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of: `list[int] | None` of list, int and None."""
    yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


def _repr(value: Any) -> str:
    """A value in a few words, however much it holds."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 100
    if isinstance(value, int) and abs(value) > 10**40:  # Python refuses to write the longest
        return f"one of {value.bit_length()} bits"
    return short.repr(value)
