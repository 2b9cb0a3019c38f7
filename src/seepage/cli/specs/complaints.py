"""What is wrong with a configuration, in one sentence that names the key or the flag as it was written."""

import math
import os
import re
import reprlib
from collections.abc import Mapping
from typing import Any, TypeVar, get_args, get_origin

from pydantic import ValidationError

from seepage.cli.specs.section import Section, section_of
from seepage.errors import InputError, unknown_name

LARGEST_INTEGER, LARGEST_SEED = 2**31 - 1, 2**63 - 1
MOST_CHARACTERS = 4096  # of one text; what a path may have
KINDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "string": "a text", "list": "a list",
    "tuple": "a list", "dict": "keys and values", "model": "keys and values", "path": "a path",
}  # fmt: skip

Kind = TypeVar("Kind", bound=Section)


def section_from(
    kind: type[Kind], values: dict[str, Any], where: str | os.PathLike, flags: Mapping[str, str] | None = None
) -> Kind:
    """The section with these values.

    Args:
        where: the file that they come from, for the message.
        flags: those that come from the command line instead: the flag by the dotted name of the field.

    Raises:
        InputError: an unknown key or an unusable value.
    """
    flags = flags or {}
    _check_sizes(values, where, flags)
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        # An unknown key, which may be why another is missing, goes before the rest.
        first = min(error.errors(), key=lambda complaint: complaint["type"] != "extra_forbidden")
    path, section = _place(first["loc"], kind)
    if first["type"] == "extra_forbidden":
        raise InputError(f"{where}: {unknown_name('key', str(first['loc'][-1]), section.model_fields)}")
    name = _named(path, where, flags)
    reason = _wording(first)
    if first["type"] == "missing":
        raise InputError(f"{name} {reason}")
    raise InputError(f"{name}{' ' if reason.startswith('must ') else ': '}{reason}, got {_repr(first['input'])}")


def _place(loc: tuple[str | int, ...], kind: type[Section]) -> tuple[list[str], type[Section]]:
    """The keys down to a value and the section that they end in, without which of several kinds was tried there."""
    path, section, annotation = [], kind, None
    for part in loc:
        if get_origin(annotation) is dict:
            path.append(str(part))
            annotation = get_args(annotation)[1]
        elif part in section.model_fields:
            annotation = section.model_fields[part].annotation
            path.append(str(part))
            section = section_of(annotation) or section
        elif isinstance(part, int):
            path.append(str(part))
    return path, section


def _named(path: list[str], where: str | os.PathLike, flags: Mapping[str, str]) -> str:
    """A key as it was written: a flag, or a key of the file."""
    key = ".".join(path)
    for flagged in (key, *(key for key in flags if key.startswith(f"{'.'.join(path)}."))):
        if flagged in flags:
            return flags[flagged]
    return f"{where}: {key or 'configuration'}"


def _check_sizes(value: Any, where: str | os.PathLike, flags: Mapping[str, str], path: tuple[str, ...] = ()) -> None:
    """Refuse what fits no field: the code behind would fail later, or take all memory, rather than say so."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, part in items:
            _check_sizes(part, where, flags, (*path, str(name)))
        return
    reason, largest = None, LARGEST_SEED if {"seed", "seeds"} & set(path) else LARGEST_INTEGER
    if isinstance(value, int) and abs(value) > largest:
        reason = f"must be an integer up to {largest:,}"
    elif isinstance(value, float) and (math.isnan(value) or (math.isinf(value) and "options" in path)):
        reason = "must be a finite number"
    elif isinstance(value, str) and (len(value) > MOST_CHARACTERS or "\0" in value):
        reason = f"must be a text of at most {MOST_CHARACTERS:,} characters, without NUL"
    if reason:
        raise InputError(f"{_named(list(path), where, flags)} {reason}, got {_repr(value)}")


def _wording(complaint: Mapping[str, Any]) -> str:
    """What a value must be, from pydantic's complaint, without pydantic's own terms.

    >>> _wording({"type": "less_than", "msg": "Input should be less than 0.5"})
    'must be less than 0.5'
    """
    kind = complaint["type"].partition("_")[0]
    if complaint["type"].endswith(("_type", "_parsing", "_from_float")) and kind in KINDS:
        return f"must be {KINDS[kind]}"
    text = complaint["msg"].removeprefix("Value error, ").partition(" after validation")[0]
    return re.sub(r"^(Input|List|Tuple|String) should ", "must ", text)


def _repr(value: Any) -> str:
    """A value in a few words, however much it holds."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 100
    if isinstance(value, int) and abs(value) > 10**40:  # Python refuses to write the longest
        return f"one of {value.bit_length()} bits"
    return short.repr(value)
