"""Shapes and dtypes of annotations are checked in the test run: `Float[Tensor, "samples classes"]` holds at each call.

jaxtyping's import hook wraps every function and data class of seepage, of this process alone: workers and other child
processes run the code as users do. Only annotations that name a shape are checked. The others are pyright's, and to
check them here too would break classes that pydantic makes and slow the tests down. Of a list or a dictionary of arrays
beartype checks one.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import get_args

import jaxtyping
from beartype import beartype


def check() -> None:
    """Check all of seepage that is imported from now on."""
    jaxtyping.install_import_hook("seepage", f"{__name__}.checked")


@contextmanager
def unchecked() -> Iterator[None]:
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


def checked(signature: Callable) -> Callable:
    """What the hook calls with an empty function of the annotations that it found."""
    shapes = {name: hint for name, hint in signature.__annotations__.items() if _names_a_shape(hint)}
    if not shapes:
        return signature
    signature.__annotations__ = shapes
    return beartype(signature)


def _names_a_shape(hint: object) -> bool:
    if inspect.isclass(hint) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(map(_names_a_shape, get_args(hint)))
