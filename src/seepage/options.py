"""Options: frozen dataclasses whose annotations say what each field may be. They are checked when they are made.

    @dataclass(frozen=True)
    class Smoothing(Options):
        share: Annotated[float, Ge(0), Lt(1)] = 0.1
        epochs: Annotated[int, Ge(1)] | None = None
        mode: Literal["all", "wrong"] = "all"

Pydantic reads the same annotations. Errors name the class and the field: "Smoothing: share must be a number of at least
0 and below 1, got 3".
"""

import functools
import sys
from abc import ABCMeta
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from math import inf
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Interval, Le, Lt, MaxLen, MinLen

from seepage.errors import InputError, close_name, shortened, unknown_name

UNBOUNDED = Interval()
LARGEST = sys.float_info.max
_WORDS = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", NoneType: "None"}
_NUMBERS = (int, float)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


class OneOf:
    """The keys of a table as choices, where `Literal[...]` would repeat them: `Annotated[str, OneOf(*SIGNALS)]`."""

    def __init__(self, *names: str):
        self.names = names

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core.core_schema import literal_schema  # only where pydantic asks

        return literal_schema(list(self.names))


@dataclass(frozen=True)
class Kind:
    """One alternative of what an option may be.

    Attributes:
        type: int, float, bool, str, NoneType, tuple, or another class.
        bounds: of a number. Infinities are allowed only where a bound is infinite itself; NaN never is.
        choices: all that it may be; empty where there is no such list.
        shortest, longest: the least and the greatest number of items of a tuple, or of characters.
        items: what each item of a tuple may be.
    """

    type: type
    bounds: Interval = UNBOUNDED
    choices: tuple[Any, ...] = ()
    shortest: int = 0
    longest: float = inf
    items: tuple["Kind", ...] = ()

    def admits(self, value: Any) -> bool:
        if self.choices:
            return any(type(value) is type(one) and value == one for one in self.choices)
        if self.type in _NUMBERS:
            return isinstance(value, _NUMBERS if self.type is float else int) and self._within(value)
        if not isinstance(value, self.type):
            return False
        if self.type in (str, tuple) and not self.shortest <= len(value) <= self.longest:
            return False
        return not self.items or all(any(kind.admits(item) for kind in self.items) for item in value)

    def _within(self, value: float) -> bool:
        b: Any = self.bounds  # annotated-types says of a bound only that it can be compared
        is_number = not isinstance(value, bool) and (-LARGEST <= value <= LARGEST or value in (b.ge, b.le))
        above = (b.gt is None or value > b.gt) and (b.ge is None or value >= b.ge)
        return is_number and above and (b.lt is None or value < b.lt) and (b.le is None or value <= b.le)

    @property
    def words(self) -> str:
        """What it may be, as it stands after "must be"."""
        if self.choices:
            return f"one of {', '.join(map(str, self.choices))}"
        words = "a list" if self.type is tuple else _WORDS.get(self.type, f"of type {self.type.__name__}")
        if self.longest < inf:
            least = f"{self.shortest} to " if self.shortest < self.longest else ""
            return f"{words} of {least}{self.longest:,} values"
        return f"{words}{' with something in it' if self.shortest else ''}{_range(self.bounds)}"


class Options:
    """Base of a frozen dataclass of options. One that compares fields calls `super().__post_init__()` first."""

    def __post_init__(self):
        """Check every field by its annotation, and make it plain: lists as tuples, NumPy's numbers as Python's.

        A field that has its default is not checked.

        Raises:
            InputError: a value is not what the annotation says.
        """
        for name, kinds in declared(type(self)).items():
            value = getattr(self, name)
            if value is not getattr(type(self), name, MISSING):
                object.__setattr__(self, name, check(f"{type(self).__name__}: {name}", value, kinds))


@functools.cache
def declared(cls: type) -> Mapping[str, tuple[Kind, ...]]:
    """What each field of a dataclass that is given when it is made may be, by name."""
    try:
        hints = get_type_hints(cls, include_extras=True)
    except NameError:  # a name that only a type checker knows
        return {}
    return {field.name: kinds_of(hints[field.name]) for field in fields(cls) if field.init}


def with_options(what: str, known: Mapping[str, T], name: str, options: Mapping[str, Any]) -> T:
    """The attack or defence of that name, with these options in place of its defaults.

    Args:
        what: the kind of thing, for messages: "defence".
        known: all of that kind, by name.

    Raises:
        InputError: there is none of that name, or it has no such option, or an option's value cannot be.
    """
    if name not in known:
        raise unknown_name(what, name, known)
    names = [field.name for field in fields(known[name])]
    for option in options:
        if option not in names:
            raise unknown_name(f"option of the {what} '{name}'", option, names)
    return replace(known[name], **options)


def check(name: str, value: Any, kinds: Sequence[Kind]) -> Any:
    """The value made plain: lists and arrays as tuples, NumPy's numbers as Python's.

    Args:
        name: of the value, with the name of what it is given to before it: "HAMP: gamma".
        value: what was given.
        kinds: what it may be, as `kinds_of` reads them from an annotation; anything where there are none.

    Raises:
        InputError: it is none of these.

    >>> check("HAMP: gamma", 3, kinds_of(Annotated[float, Ge(0), Le(1)]))
    Traceback (most recent call last):
    ...
    seepage.errors.InputError: HAMP: gamma must be a number from 0 to 1, got 3
    """
    plain = _plain(value, kinds)
    if not kinds or any(kind.admits(plain) for kind in kinds):
        return plain
    for kind in kinds:
        if isinstance(plain, tuple) and kind.items and kind.shortest <= len(plain) <= kind.longest:
            for place, item in enumerate(plain):
                check(f"{name}[{place}]", item, kind.items)
    known = [choice for kind in kinds for choice in kind.choices if isinstance(choice, str)]
    close = close_name(plain, known) if isinstance(plain, str) else None
    hint = f" (did you mean '{close}'?)" if close else ""
    words = " or ".join(kind.words for kind in kinds)
    raise InputError(f"{name} must be {words}, got {_got(value)}{hint}")


def kinds_of(annotation: Any) -> tuple[Kind, ...]:
    """What an annotation allows; empty where it is of a form that is not checked, such as a function or a shape."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return tuple(_bounded(kind, args[1:]) for kind in kinds_of(args[0]))
    if origin is Literal:
        return (Kind(type(args[0]), choices=args),)
    if origin in (Union, UnionType):
        parts = [kinds_of(part) for part in args]
        return tuple(kind for part in parts for kind in part) if all(parts) else ()
    if origin in (tuple, Sequence):
        endless = origin is Sequence or args[-1] is Ellipsis
        parts = [kinds_of(part) for part in args[: 1 if endless else None]]
        if not all(part and part == parts[0] for part in parts):
            return ()
        kind = Kind(tuple, items=parts[0])
        return (kind if endless else replace(kind, shortest=len(args), longest=len(args)),)
    if annotation is None:
        return (Kind(NoneType),)
    return (Kind(annotation),) if type(annotation) in (type, ABCMeta) and annotation is not object else ()


def _bounded(kind: Kind, metadata: Iterable[Any]) -> Kind:
    """The kind with the bounds, the least length or the choices that stand beside it."""
    bounds: dict[str, Any] = {}
    for one in metadata:
        if isinstance(one, OneOf):
            return replace(kind, choices=one.names)
        if isinstance(one, MinLen):
            kind = replace(kind, shortest=one.min_length)
        elif isinstance(one, MaxLen):
            kind = replace(kind, longest=one.max_length)
        elif isinstance(one, Gt | Ge | Lt | Le):
            bounds |= {slot: getattr(one, slot) for slot in type(one).__slots__}
    return replace(kind, bounds=Interval(**bounds))


def _plain(value: Any, kinds: Sequence[Kind]) -> Any:
    numpy = sys.modules.get("numpy")  # loaded already where a value is one of its own
    own = {kind.type for kind in kinds}
    if numpy and own & {*_NUMBERS, bool} and isinstance(value, numpy.generic):
        return value.item()
    if tuple in own and (isinstance(value, list | tuple) or (numpy and isinstance(value, numpy.ndarray))):
        items = next(kind.items for kind in kinds if kind.type is tuple)
        return tuple(_plain(item, items) for item in value)
    return value


def _range(bounds: Interval) -> str:
    """
    >>> [_range(Interval(**b)) for b in ({"ge": 0}, {"gt": 0}, {"ge": 1, "le": 9}, {"gt": 0, "lt": 1})]
    [' of at least 0', ' above 0', ' from 1 to 9', ' above 0 and below 1']
    """
    if bounds.ge is not None and bounds.le is not None:
        return f" from {bounds.ge:,} to {bounds.le:,}"
    words = {"ge": "of at least", "gt": "above", "le": "up to", "lt": "below"}
    ends = [f"{word} {getattr(bounds, end):,}" for end, word in words.items() if getattr(bounds, end) is not None]
    return f" {' and '.join(ends)}" if ends else ""


def _got(value: Any) -> str:
    is_plain = value is None or isinstance(value, (str, int, float, tuple, list))
    return shortened(repr(value), 100) if is_plain else f"a {type(value).__name__}"
