"""Fields of a configuration, taken from the values that they fill.

    class AuditConfig(fields_of(Settings, "alpha", "prior"), Task): ...

The kind and the bounds of a field are the annotation in the dataclass, its default is the dataclass's, and its
description stands in the docstring, under "Attributes:". So nothing is declared twice.
"""

import inspect
from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

from pydantic import Field, create_model

from seepage.cli.specs.section import Section

Value = TypeVar("Value")


def fields_of(value: Any, *names: str, **kinds: Any) -> type[Section]:
    """A section with fields of a dataclass.

    Args:
        value: the dataclass, or one of its values, whose own values are then the defaults.
        names: which fields.
        kinds: further fields, which YAML writes otherwise than Python, with the annotation for YAML.
    """
    cls = value if isinstance(value, type) else type(value)
    defaults = {field.name: field.default for field in fields(cls)}
    if value is not cls:
        defaults = {name: getattr(value, name) for name in defaults}
    texts, kinds = descriptions(cls), _annotations(cls, names) | kinds
    made = {
        name: (kind, Field(... if defaults[name] is MISSING else defaults[name], description=texts.get(name)))
        for name, kind in kinds.items()
    }
    return create_model(f"{cls.__name__}Fields", __base__=Section, **made)


def _annotations(cls: type, names: tuple[str, ...]) -> dict[str, Any]:
    """The annotations of these fields alone: those of others may name what is not imported yet."""
    part = type(cls.__name__, (), {"__annotations__": {name: cls.__annotations__[name] for name in names}})
    part.__module__ = cls.__module__
    return get_type_hints(part, include_extras=True)


def filled(section: Section, cls: type[Value], /, **others: Any) -> Value:
    """A dataclass from the fields of a configuration that have the names of its own; lists are tuples there."""
    there = {field.name for field in fields(cls)} & type(section).model_fields.keys() - others.keys()
    values = {name: getattr(section, name) for name in there}
    return cls(**{name: tuple(one) if isinstance(one, list) else one for name, one in values.items()}, **others)


def descriptions(cls: type) -> dict[str, str]:
    """What a docstring says of each attribute, in one line each.

    >>> class Point:
    ...     '''A point.
    ...
    ...     Attributes:
    ...         x, y: where it is,
    ...             from the left and from below.
    ...     '''
    >>> descriptions(Point)["y"]
    'where it is, from the left and from below'
    """
    found: dict[str, str] = {}
    names: list[str] = []
    _, _, text = (inspect.getdoc(cls) or "").partition("Attributes:\n")
    for line in text.splitlines():
        if line and not line.startswith(" "):
            break  # the next part of the docstring
        if line.startswith("    ") and not line.startswith("     "):
            head, _, line = line.partition(":")
            names = [name.strip() for name in head.split(",")]
        for name in names:
            found[name] = f"{found.get(name, '')} {line.strip()}".strip()
    return {name: text.removesuffix(".") for name, text in found.items()}
