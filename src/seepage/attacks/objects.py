"""Attack objects that a user hands over: are they attacks, what are they called, under what are their scores kept?"""

import inspect
import re
from collections.abc import Collection
from dataclasses import MISSING, Field, fields
from itertools import chain, count
from typing import Any

from seepage.attacks.base import NEEDS, Attack
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.runs.store import digest

LONGEST = 60  # characters of one option in a name
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # where an object lies in memory: different in every run


def check_object(value: Any) -> Attack:
    """Refuse what is no attack, or one that would fail or be mistaken for another only after the training.

    Raises:
        InputError: it is a class, something else, or of a class that does not say what it must.
    """
    if isinstance(value, type) and issubclass(value, Attack):
        raise InputError(
            f"attacks: expected an attack object, got the class {value.__name__}: write {value.__name__}()"
        )
    if not isinstance(value, Attack):
        raise InputError(
            f"attacks: expected names and attack objects, got {_text(value)} ({type(value).__name__}): give a name, "
            "such as 'loss' ('seepage attacks' lists them), or an object, such as LiRA('offline')"
        )
    maker = next(each for each in type(value).__mro__ if "__init__" in vars(each))
    if "__dataclass_fields__" not in vars(maker):  # two with different options would be equal and have one name
        raise InputError(
            f"attacks: expected the options of {maker.__name__} as fields, got an __init__: write "
            "@dataclass(frozen=True) above the class, and a field for each option"
        )
    texts, needs = (getattr(value, "title", None), getattr(value, "source", None)), value.needs
    is_told = all(isinstance(text, str) for text in texts) and isinstance(value.access, Access)
    if not (is_told and isinstance(needs, (set, frozenset)) and needs <= NEEDS.keys()):
        raise InputError(
            f"attacks: expected {type(value).__name__} to have title and source (text), access (an Access) and needs "
            f"(a set of {', '.join(NEEDS)}), got {texts[0]!r}, {texts[1]!r}, {value.access!r} and {needs!r}"
        )
    return value


def object_name(attack: Attack, taken: Collection[str] = ()) -> str:
    """The class, and the options that differ from its defaults.

    Where another attack has that name already (of a class that is called the same, or with options that look the
    same), a number follows.

    >>> from seepage.attacks import LiRA
    >>> object_name(LiRA("offline", centre="mean"))
    "LiRA(mode='offline', centre='mean')"
    >>> object_name(LiRA("offline", centre="mean"), taken=["LiRA(mode='offline', centre='mean')"])
    "LiRA(mode='offline', centre='mean') #2"
    """
    options = {field: getattr(attack, field.name) for field in fields(attack) if field.init}
    told = [f"{field.name}={_text(value)}" for field, value in options.items() if not is_same(value, _default(field))]
    name = f"{type(attack).__name__}({', '.join(told)})"
    return next(each for each in chain([name], (f"{name} #{n}" for n in count(2))) if each not in taken)


def identity(attack: Attack) -> str | None:
    """What scores of an attack can be kept under: a digest of its class, the code of that, and its options.

    None where these do not say all: an option is a function, a model or an array, or the code is in no file.
    """
    options = {field.name: getattr(attack, field.name) for field in fields(attack)}
    if not all(map(_is_plain, options.values())):
        return None
    own, order = type(attack), type(attack).__mro__
    try:
        code = [inspect.getsource(each) for each in order[: order.index(Attack)]]
    except (OSError, TypeError):  # typed into a prompt or a notebook
        return None
    return digest([own.__module__, own.__qualname__, repr(attack), repr(options), code])


def is_same(one: Any, other: Any) -> bool:
    """Whether two attacks, or two options, are equal. Arrays are only where they are the same object."""
    try:
        return one is other or bool(one == other)
    except (RuntimeError, ValueError):  # what tensors and arrays of several values raise
        return False


def _default(field: Field) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _text(value: Any) -> str:
    text = " ".join(_ADDRESS.sub("", repr(value)).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _is_plain(value: Any) -> bool:
    """Whether its text says all of a value."""
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return isinstance(value, (str, int, float, type(None)))
