"""What configurations are made of: sections, and what their fields are."""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator
from pydantic.fields import FieldInfo


class Section(BaseModel):
    # A number is finite unless its field says otherwise.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: Any, info: ValidationInfo) -> Any:
        """Neither true for the number 1, which YAML writes `yes` too, nor nothing for the working folder."""
        kinds = set(parts_of(cls.model_fields[info.field_name].annotation))
        parts = value if isinstance(value, list | tuple) else [value]
        if kinds & {int, float} and not kinds & {bool, Any} and any(isinstance(part, bool) for part in parts):
            raise ValueError("must be a number, not true or false (in YAML also yes, no, on and off)")
        if Path in kinds and value == "":
            raise ValueError("must be a path, which is not empty")
        return value


def kinds_of(annotation: Any) -> list[Any]:
    """The kinds that a value may be of: `Annotated[int, Ge(0)] | None` is int and None."""
    if isinstance(annotation, FieldInfo):
        return kinds_of(annotation.annotation)
    if get_origin(annotation) is Annotated:
        return kinds_of(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for part in get_args(annotation) for kind in kinds_of(part)]
    return [annotation]


def limits_of(annotation: Any) -> Iterator[Any]:
    """The bounds of a field, beside its annotation or in it."""
    if isinstance(annotation, FieldInfo):
        yield from annotation.metadata
        yield from limits_of(annotation.annotation)
    elif get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    elif get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from limits_of(part)


def parts_of(annotation: Any) -> Iterator[Any]:
    """What an annotation is made of: `list[int] | None` of list, int and None."""
    yield annotation
    for part in get_args(annotation):
        yield from parts_of(part)


def section_of(annotation: Any) -> type[Section] | None:
    """The section in an annotation, alone or in a list."""
    sections = (part for part in parts_of(annotation) if isinstance(part, type) and issubclass(part, Section))
    return next(sections, None)


def field_at(kind: type[Section], path: str) -> FieldInfo | None:
    """The field with this dotted name, through sections; None below a mapping whose keys are free."""
    top, _, below = path.partition(".")
    field = kind.model_fields[top]
    section = section_of(field.annotation)
    if not below or section is None:
        return None if below else field
    return field_at(section, below)
