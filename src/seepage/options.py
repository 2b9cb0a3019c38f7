"""Options of attacks and defences. Their bounds are declared once: in the annotations of a dataclass's fields.

    gamma: Annotated[float, Gt(0), Le(1)] = 0.9
    epochs: Annotated[int, Ge(1)] = 50
    mode: Annotated[str, OneOf("online", "offline")] = "online"
    width: Annotated[int, Ge(1)] | None = None

`Ge`, `Gt`, `Le`, `Lt` are those of annotated-types, which pydantic reads too.
"""

import functools
import math
import types
from collections.abc import Mapping
from dataclasses import fields, replace
from numbers import Integral, Real
from typing import Annotated, Any, ClassVar, TypeVar, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt, MinLen

from seepage.errors import InputError, shortened, unknown_name
from seepage.outside import check_annotated

T = TypeVar("T")
NUMBERS = {int: "whole number", float: "number"}


class OneOf:
    """One of these values."""

    def __init__(self, *values: str):
        self.values = values


def check_options(options: Any, where: str | None = None) -> None:
    """Check the kind and the bounds of each field of a dataclass that declares some.

    True and false are no numbers, a whole number is a `float` too, and a `float` is finite.

    Args:
        options: a dataclass; fields of other kinds than numbers, truth values, texts and tuples of these pass.
        where: whose options they are, for the message; the name of the class by default.

    Raises:
        InputError: a value is not as declared; the message names the field, what was expected and what came.
    """
    where = where or type(options).__name__
    for name, annotation in _annotations(type(options)).items():
        _check(where, name, getattr(options, name), annotation)


def with_options(what: str, known: Mapping[str, T], name: str, options: Mapping[str, Any]) -> T:
    """The one of that name among known dataclasses, with these options in place of its own.

    Args:
        what: they are, such as "defence".

    Raises:
        InputError: there is no such name or option, or an option's value is of another kind or cannot be.
    """
    if name not in known:
        raise unknown_name(what, name, known)
    names, kinds = [field.name for field in fields(known[name])], get_type_hints(type(known[name]))
    for option in options:
        if option not in names:
            raise unknown_name(f"option of the {what} '{name}'", option, names)
    options = {o: check_annotated(f"the {what} '{name}': {o}", value, kinds[o]) for o, value in options.items()}
    try:
        return replace(known[name], **options)
    except TypeError as error:
        raise InputError(f"the {what} '{name}' cannot be made with {options}: {error}") from None


@functools.cache
def _annotations(kind: type) -> Mapping[str, Any]:
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind) if get_origin(hints[field.name]) is not ClassVar}


def _check(where: str, name: str, value: Any, annotation: Any) -> None:
    bounds: list[Any] = []
    optional = False
    while get_origin(annotation) in (Annotated, Union, types.UnionType):
        inner = get_args(annotation)
        if get_origin(annotation) is Annotated:
            annotation, bounds = inner[0], [*bounds, *inner[1:]]
            continue
        optional = optional or type(None) in inner
        rest = [one for one in inner if one is not type(None)]
        if len(rest) > 1:  # several kinds: who declares them checks them
            return
        annotation = rest[0]
    if value is None and optional:
        return
    if get_origin(annotation) is tuple and get_args(annotation)[-1] is Ellipsis:
        if not isinstance(value, tuple | list) or (not value and MinLen(1) in bounds):
            raise InputError(f"{where}: {name} must be a list with something in it, got {_shown(value)}")
        for place, one in enumerate(value):
            _check(where, f"{name}[{place}]", one, get_args(annotation)[0])
        return
    choices = next((bound.values for bound in bounds if isinstance(bound, OneOf)), None)
    if choices is not None:
        if value not in choices:
            raise unknown_name(f"{name} of {where}", str(value), choices)
    elif annotation is bool:
        if not isinstance(value, bool):
            raise InputError(f"{where}: {name} must be True or False, got {_shown(value)}")
    elif annotation in NUMBERS and not _is_number(value, annotation, bounds):
        wanted = f"{NUMBERS[annotation]}{_range(bounds)}{' or None' if optional else ''}"
        raise InputError(f"{where}: {name} must be a {wanted}, got {_shown(value)}")


def _is_number(value: Any, kind: type, bounds: list[Any]) -> bool:
    if isinstance(value, bool) or not isinstance(value, Integral if kind is int else Real) or not math.isfinite(value):
        return False
    return all(
        (not isinstance(one, Ge) or value >= one.ge)
        and (not isinstance(one, Gt) or value > one.gt)
        and (not isinstance(one, Le) or value <= one.le)
        and (not isinstance(one, Lt) or value < one.lt)
        for one in bounds
    )


def _range(bounds: list[Any]) -> str:
    """
    >>> _range([Ge(0)]), _range([Gt(0)]), _range([Ge(1), Le(9)]), _range([Gt(0), Lt(1)])
    (' of at least 0', ' above 0', ' from 1 to 9', ' above 0 and below 1')
    """
    words = {
        Ge: lambda one: f"of at least {one.ge:,}",
        Gt: lambda one: f"above {one.gt:,}",
        Le: lambda one: f"up to {one.le:,}",
        Lt: lambda one: f"below {one.lt:,}",
    }
    ends = {type(one): one for one in bounds}
    if {Ge, Le} <= set(ends):
        return f" from {ends[Ge].ge:,} to {ends[Le].le:,}"
    told = [words[kind](ends[kind]) for kind in words if kind in ends]
    return f" {' and '.join(told)}" if told else ""


def _shown(value: Any) -> str:
    is_plain = value is None or isinstance(value, str | Real)
    return shortened(repr(value) if is_plain else f"a {type(value).__name__}", 100)
