"""From a YAML file and flags to a configuration, with one readable complaint."""

import os
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from seepage.errors import DataFileError, InputError, unknown_name


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def of(cls, values: dict[str, Any], where: str | os.PathLike) -> Self:
        """The section with these values; `where` is named in the complaint.

        Raises:
            InputError: an unknown key or an unusable value.
        """
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
        values = yaml.safe_load(Path(path).read_text()) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise DataFileError(f"cannot read the configuration {path}: {error}") from None
    except yaml.YAMLError as error:
        raise DataFileError(f"{path} is not YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected keys and values, got {type(values).__name__}")
    return values


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
            if name.isdigit():  # a place in a list, whose rows are what its annotation says
                continue
            annotation = section.model_fields[name].annotation
            section = next(a for a in getattr(annotation, "__args__", (annotation,)) if a is not type(None))
        return InputError(f"{where}: {unknown_name('key', path[-1], section.model_fields)}")
    return InputError(f"{where}: {'.'.join(path) or 'configuration'}: {first['msg']}, got {first['input']!r}"[:400])
