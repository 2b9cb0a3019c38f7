"""From a YAML file and flags to what a command carries out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from seepage.cli.specs.complaints import section_from
from seepage.cli.specs.section import Section
from seepage.cli.specs.strict_yaml import parse_yaml
from seepage.errors import DataFileError, InputError

MOST_BYTES = 2**20  # of a file


class Task(Section):
    """What one command carries out.

    Attributes:
        aliases: flags of another name than their field, or of fields in a section: the field's dotted name; with the
            help, where there is no field to say it.
        yaml_only: fields that are no flags.
    """

    aliases: ClassVar[Mapping[str, str | tuple[str, str]]] = {}
    yaml_only: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def read(cls, path: Path | None, flags: dict[str, Any], spellings: Mapping[str, str] | None = None) -> Self:
        """The configuration of a YAML file, with flags (dotted keys) over it; `spellings` is how these were written.

        Raises:
            DataFileError: the file is missing or is not YAML.
            InputError: an unknown key or an unusable value.
        """
        values = from_yaml(path)
        placed = cls._placed(values, dict(flags))
        for section in ("data", "public", "nonmembers"):
            if {f"{section}.name", f"{section}.file"} & flags.keys():
                values[section] = {}  # other data than the file's, whose options do not suit them
        for name, value in placed.items():
            set_value(values, name.split("."), value)
        return section_from(cls, values, path or "the flags", spellings)

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


def set_value(values: dict[str, Any], names: list[str], value: Any) -> None:
    for name in names[:-1]:
        if not isinstance(values.get(name), dict):
            values[name] = {}  # nothing there, or something that is no section: the flag stands
        values = values[name]
    values[names[-1]] = value
