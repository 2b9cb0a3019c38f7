"""Fields of a configuration, taken from the values that they fill.

    class AuditConfig(fields_of(Settings, "alpha", "prior"), Task): ...

The kind and the bounds of a field are the annotation in the dataclass, its default is the dataclass's, and its
description stands in the docstring, under "Attributes:". So nothing is declared twice.
"""

import inspect
import types
from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import Field, create_model
from pydantic.fields import FieldInfo

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
    hints = get_type_hints(cls, localns=dict.fromkeys(LATE, Any), include_extras=True)
    texts, made = descriptions(cls), {}
    for field in fields(cls):
        if field.name in names or field.name in kinds:
            default = field.default if value is cls else getattr(value, field.name)
            default = ... if default is MISSING else default
            made[field.name] = (
                kinds.get(field.name, hints[field.name]),
                Field(default, description=texts.get(field.name)),
            )
    if missing := {*names, *kinds} - made.keys():
        raise TypeError(f"{cls.__name__} has no {', '.join(sorted(missing))}")
    return create_model(f"{cls.__name__}Fields", __base__=Section, **made)


def filled(config: Section, cls: type[Value], **others: Any) -> Value:
    """A dataclass from the fields of a configuration that have the names of its own; lists are tuples there."""
    there = {field.name for field in fields(cls)} & type(config).model_fields.keys() - others.keys()
    values = {name: getattr(config, name) for name in there}
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


def kinds_of(annotation: Any) -> list[Any]:
    """The kinds that a value may be of: `Annotated[int, Ge(0)] | None` is int and None."""
    if isinstance(annotation, FieldInfo):
        return kinds_of(annotation.annotation)
    if get_origin(annotation) is Annotated:
        return kinds_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for part in get_args(annotation) for kind in kinds_of(part)]
    return [annotation]


def limits_of(field: FieldInfo) -> Iterator[Any]:
    """The bounds of a field, in its annotation or beside it."""
    yield from field.metadata
    parts = [field.annotation]
    while parts:
        part = parts.pop()
        if get_origin(part) in (Union, types.UnionType):
            parts += get_args(part)
        elif get_origin(part) is Annotated:
            yield from part.__metadata__


def field_at(kind: type[Section], path: str) -> FieldInfo | None:
    """The field with this dotted name, through sections; None below a mapping whose keys are free."""
    top, _, below = path.partition(".")
    field = kind.model_fields[top]
    if not below:
        return field
    section = section_of(field)
    return None if section is None else field_at(section, below)


def section_of(field: FieldInfo) -> type[Section] | None:
    """The section that a field holds, alone or in a list."""
    for kind in kinds_of(field):
        kind = get_args(kind)[0] if get_origin(kind) is list else kind
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
    return None
