"""Values and code of others: a user's model, recipe, data set, attack or executor, and the libraries behind them."""

import os
import reprlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from seepage.errors import InputError, SeepageError, shortened

MOST_CHARACTERS = 1000
KINDS = {
    "int": "a whole number", "float": "a number", "bool": "true or false", "string": "a text", "list": "a list",
    "tuple": "a list", "dict": "keys and values", "model": "keys and values", "path": "a path",
}  # fmt: skip
WORDS = {int: "whole number", float: "number", bool: "True or False", str: "text", type(None): "None"}


@contextmanager
def from_outside(what: str, kind: type[SeepageError] = InputError) -> Iterator[None]:
    """Whatever is raised comes back as one error that says what was asked, with the original as its cause.

    Errors of this package pass as they are, and so do Ctrl-C and a lack of memory. `sys.exit()` does not: code that was
    asked something may not end the program that asked, let alone say that all went well.

    Args:
        what: what was asked and could not be done, as the beginning of a sentence.
        kind: the error to raise.

    >>> with from_outside("the model could not answer"):
    ...     {}["a"]
    Traceback (most recent call last):
    ...
    seepage.errors.InputError: the model could not answer: KeyError: 'a'
    """
    try:
        yield
    except (SeepageError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        try:
            text = str(error)
        except Exception:  # an error that cannot even say what it is
            text = "(without a text)"
        raise kind(f"{what}: {type(error).__name__}: {text[:MOST_CHARACTERS]}") from error


def check_kinds(where: str, **values: tuple[Any, Any]) -> None:
    """Check that each value is of the kind that stands beside it.

    True and false are no numbers, a whole number is a `float` too, NumPy's numbers are as Python's, and a path is
    neither empty, which would be the working folder, nor bytes.

    Args:
        where: the function that they were given to, for the message.

    Raises:
        InputError: one is not.
    """
    for name, (value, kind) in values.items():
        kinds: tuple[type, ...] = getattr(kind, "__args__", (kind,))
        if not _fits(value, kinds):
            wanted = " or ".join(WORDS.get(one, one.__name__) for one in kinds)
            wanted = wanted if bool in kinds else f"a {wanted}"
            got = f"{value!r}" if isinstance(value, str | int | float) else f"a {type(value).__name__}"
            raise InputError(f"{where}: {name} must be {wanted}, got {shortened(got, 100)}")
        if os.PathLike in kinds and isinstance(value, str | os.PathLike):
            path = os.fspath(value)
            if not isinstance(path, str) or not path or "\0" in path:
                raise InputError(f"{where}: {name} must be a path, not empty and without NUL, got {path!r}")


def check_annotated(where: str, value: Any, annotation: Any) -> Any:
    """Check a value by the annotation of what it is for, such as `tuple[str, ...] | None`, as strictly.

    Returns:
        The value: a list as a tuple, and NumPy's values as Python's.

    Raises:
        InputError: it is of another kind.
    """
    if annotation is Any:
        return value
    plain = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    plain = tuple(plain) if isinstance(plain, list) else plain
    try:
        TypeAdapter(annotation).validate_python(plain, strict=True)
    except ValidationError as error:
        raise InputError(f"{where} {wording(error.errors()[0])}, got {reprlib.repr(value)}") from None
    return plain


def wording(complaint: Mapping[str, Any]) -> str:
    """What a value must be, from pydantic's complaint: the same words in Python, in YAML and for a flag.

    >>> wording({"type": "less_than", "msg": "Input should be less than 0.5"})
    'must be less than 0.5'
    """
    kind = complaint["type"].partition("_")[0]
    if complaint["type"] == "sequence_str":
        return "must be a list, not one text"
    if complaint["type"] == "too_short":
        return f"must be a list of at least {complaint['ctx']['min_length']}"
    if complaint["type"].endswith(("_type", "_parsing", "_from_float")) and kind in KINDS:
        return f"must be {KINDS[kind]}"
    return complaint["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def _fits(value: Any, kinds: tuple[type, ...]) -> bool:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return bool in kinds or object in kinds
    return isinstance(value, kinds) or (float in kinds and isinstance(value, int))
