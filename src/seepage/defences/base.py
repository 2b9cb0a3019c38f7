"""The defence: it changes a recipe, and so how every model of an audit is trained or answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from seepage.errors import InputError
from seepage.models.recipe import Procedure, Recipe, cross_entropy
from seepage.models.wrapper import Wrapper
from seepage.options import Options

KINDS = ("training", "answers", "both")


@dataclass(frozen=True)
class Defence(Options, ABC):
    """A defence. Its fields are its options, with the source's defaults; they are checked when it is made.

    Attributes:
        title: the name for people.
        source: paper and section.
        kind: what it changes: the "training", the "answers", or "both".
        grid: settings that a search goes through, those that protect most first.
        notes: what its user must know, one sentence each; printed where it is used.
    """

    title: ClassVar[str]
    source: ClassVar[str]
    kind: ClassVar[str]
    grid: ClassVar[tuple[dict[str, Any], ...]] = ({},)

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    @abstractmethod
    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe with this defence in it.

        Raises:
            InputError: the recipe has something already that this defence would replace.
        """


def with_objective(recipe: Recipe, objective: Callable, **changes: Any) -> Recipe:
    """The recipe with another objective, where it has the plain one."""
    if recipe.objective is not cross_entropy:
        raise InputError("this defence sets the objective, and the recipe has one of its own: leave one of them out")
    return replace(recipe, objective=objective, **changes)


def with_procedure(recipe: Recipe, procedure: Procedure, **changes: Any) -> Recipe:
    """The recipe trained by a procedure, where it is trained plainly."""
    if recipe.procedure is not None:
        raise InputError(
            f"this defence trains by a procedure of its own, and the recipe by {type(recipe.procedure).__name__}: "
            "leave one of them out"
        )
    return replace(recipe, procedure=procedure, **changes)


def with_wrapper(recipe: Recipe, wrapper: Wrapper) -> Recipe:
    """The recipe whose models answer through a wrapper, where they answer plainly."""
    if recipe.wrapper is not None:
        raise InputError(
            f"this defence wraps the answers, and the recipe does so by {type(recipe.wrapper).__name__}: "
            "leave one of them out"
        )
    return replace(recipe, wrapper=wrapper)
