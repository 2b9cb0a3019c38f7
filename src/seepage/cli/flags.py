"""Flags from a configuration: name, kind, bounds, default and help of each stand in its field, and nowhere else.

A field of a configuration is a flag of its command: `show_values` is `--show-values`. Fields of a section are flags
where the configuration's table `aliases` names them: `{"limit": "data.limit"}`. What `yaml_only` lists is no flag, so
that the help stays short. Values are checked by the configuration, in the same words as those of a YAML file.
"""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from seepage.cli.specs.parts import DataConfig, listed
from seepage.cli.specs.reading import Task
from seepage.cli.specs.section import Section, field_at, kinds_of, limits_of
from seepage.cli.specs.strict_yaml import parse_yaml

METAVARS = {int: "INTEGER", float: "FLOAT", Path: "PATH", DataConfig: "NAME|FILE", dict: "NAME=VALUE"}
SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
MOST_SHOWN = 4_000  # bounds above it keep memory safe, and nobody meets them


@dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        names: its spellings, without dashes.
        path: the field that it sets, with dots.
        field: that field; None for a key of free options.
        text: its help, where it is another than the field's.
    """

    names: tuple[str, ...]
    path: str
    field: FieldInfo | None
    text: str | None = None

    @cached_property
    def kinds(self) -> list[Any]:
        """What a value may be: the parts of `int | None` without None."""
        return [] if self.field is None else [kind for kind in kinds_of(self.field) if kind is not type(None)]

    @property
    def key(self) -> str:
        """The name that click keeps its value under."""
        return self.path.replace(".", "__")

    @property
    def spellings(self) -> list[str]:
        """As they are typed; what is done unless it is switched off has `--no-` in front."""
        before = "--no-" if self.kinds == [bool] and self.field.default is True else "--"
        return [before + name.replace("_", "-") for name in self.names]

    @cached_property
    def element(self) -> Any:
        """Of a list, what it is made of; otherwise None."""
        lists = [kind for kind in self.kinds if get_origin(kind) in (list, tuple)]
        return get_args(lists[0])[0] if lists and not {int, float, str} & set(self.kinds) else None

    @property
    def is_repeated(self) -> bool:
        """Given once for each value: options by name, and lists of numbers."""
        return self._is_options or (self.element is not None and bool({int, float} & set(kinds_of(self.element))))

    @property
    def _is_options(self) -> bool:
        return any(get_origin(kind) is dict for kind in self.kinds)

    def option(self) -> click.Option:
        """The flag for click."""
        choices = [str(value) for kind in self.kinds if get_origin(kind) is Literal for value in get_args(kind)]
        if choices:
            metavar = f"[{'|'.join(choices)}]"
        elif self._is_options:
            metavar = METAVARS[dict]
        elif self.element is not None and not self.is_repeated:
            metavar = "NAMES"
        else:
            kinds = kinds_of(self.element) if self.is_repeated else self.kinds
            known = [METAVARS[kind] for kind in kinds if kind in METAVARS]
            metavar = "NUMBER" if {int, float} <= set(kinds) else (known or ["TEXT"])[0]
        if self.kinds == [bool]:
            return click.Option([self.key, *self.spellings], is_flag=True, default=None, help=self._help())
        return click.Option(
            [self.key, *self.spellings],
            metavar=metavar,
            multiple=self.is_repeated,
            help=self._help(),
            shell_complete=lambda context, option, begun: [one for one in choices if one.startswith(begun)],
        )

    def _help(self) -> str:
        text = self.text or (self.field.description if self.field else None) or ""
        default = None if self.text or self.field is None else self.field.get_default()
        notes = []
        if isinstance(default, list) and default:
            notes.append(f"default: {', '.join(map(str, default))}")
        elif isinstance(default, str | int | float | Path) and self.kinds != [bool]:
            notes.append(f"default: {default}")
        notes += ["repeatable"] * self.is_repeated + self._bounds()
        text = text and f"{text[0].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"
        return f"{text}  [{'; '.join(notes)}]" if notes else text

    def _bounds(self) -> list[str]:
        """As in `x > 0 and < 0.5`."""
        limits = [
            f"{sign} {limit}"
            for part in (limits_of(self.field) if self.field is not None else ())
            for name, sign in SIGNS.items()
            if (limit := getattr(part, name, None)) is not None and limit < MOST_SHOWN
        ]
        return [f"x {' and '.join(limits)}"] if limits else []

    def set(self, value: Any) -> dict[str, Any]:
        """The fields with their values, for what was typed."""
        if self.kinds == [bool]:
            return {self.path: self.field.default is not True}
        if DataConfig in self.kinds:
            return {f"{self.path}.{'file' if _is_file(value) else 'name'}": value}
        if self._is_options:
            return dict(self._named(part) for part in value)
        if self.is_repeated:
            return {self.path: [number(part) for part in value]}
        if self.element is not None:
            return {self.path: listed(value)}
        return {self.path: number(value) if {int, float} & set(self.kinds) else value}

    def _named(self, text: str) -> tuple[str, Any]:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"{self.spellings[0]} {text}: expected NAME=VALUE")
        return f"{self.path}.{name}", parse_yaml(value, f"{self.spellings[0]} {name}")


def flags_of(kind: type[Task]) -> Iterator[Flag]:
    """The flags of a command, in the order of the fields."""
    aliases: dict[str, list[str]] = {}
    texts = {}
    for name, place in kind.aliases.items():
        path, texts[name] = place if isinstance(place, tuple) else (place, None)
        aliases.setdefault(path, []).append(name)
    # Its own fields first, then those of the values that it fills, in their order; last of all where it writes to.
    order = {name: None for one in kind.__mro__ for name in inspect.get_annotations(one)}
    for top in sorted((name for name in order if name in kind.model_fields), key="out".__eq__):
        field = kind.model_fields[top]
        own = [] if top in kind.yaml_only or (_is_section(field) and not _is_data(field)) else [top]
        if own or top in aliases:
            yield Flag((*aliases.get(top, ()), *own), top, field)
        for path, spellings in aliases.items():
            if path.startswith(f"{top}."):
                yield Flag(tuple(spellings), path, field_at(kind, path), texts[spellings[0]])


def _is_section(field: FieldInfo) -> bool:
    return any(isinstance(kind, type) and issubclass(kind, Section) for kind in kinds_of(field))


def _is_data(field: FieldInfo) -> bool:
    return DataConfig in kinds_of(field)


def _is_file(text: str) -> bool:
    from seepage.data import DATASETS

    return text not in DATASETS and ("." in text or Path(text).exists())


def number(text: str) -> Any:
    """The number that a text says; a text that says none as it is, for the configuration to complain of."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
