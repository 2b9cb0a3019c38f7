"""What is compared: a defence, at given options or at those that a search finds, on a recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from seepage.defences import find_defence
from seepage.defences.base import Defence
from seepage.errors import InputError
from seepage.models.recipe import Recipe
from seepage.models.trial import is_recipe

UNDEFENDED = "undefended"
TUNING = "tuning"  # the folder of the searches
WEIGHTS_CACHE = "shelf"  # the folder of trained models that rows share
SHADOW_STUDY = "shadow-study"  # the folder of the pairs of target and shadow
RESERVED = (UNDEFENDED, TUNING, WEIGHTS_CACHE, SHADOW_STUDY)


@dataclass(frozen=True)
class Choice:
    """One row of a comparison.

    Attributes:
        name: a defence of `seepage.defences.DEFENCES`.
        options: of the defence. None: its defaults, or a search through its grid where the comparison has a floor;
            an empty mapping: its defaults in any case.
        recipe: what the defence is applied to, where that is not the comparison's recipe: a source may train its
            defence with another optimiser.
        references: models for this row, where they cost too much for the comparison's number. Its members are then
            drawn apart from those of the other rows.
        label: what the row is called; by default the defence's name. No two rows may be called the same.
    """

    name: str
    options: Mapping[str, Any] | None = None
    recipe: Recipe | None = None
    references: int | None = None
    label: str | None = None


@dataclass(frozen=True)
class Entry:
    """A row with everything settled but the options that are searched for.

    Attributes:
        label: unique in the comparison.
        folder: unique too, and fit for the name of a folder.
        defence: None for the undefended model.
        recipe: without the defence.
        references: trained models, or references beside the one target.
        grid: options to search through, or None where they are given.
    """

    label: str
    folder: str
    defence: Defence | None
    recipe: Recipe
    references: int
    name: str | None = None
    options: Mapping[str, Any] | None = None
    grid: tuple[Mapping[str, Any], ...] | None = None

    def at(self, options: Mapping[str, Any]) -> Defence:
        """The defence with these options; the undefended row has none."""
        return find_defence(str(self.name), **options)


def entries(choices: Sequence[Choice], recipe: Recipe, references: int, *, search: bool) -> list[Entry]:
    """The undefended model and a row for each choice.

    Raises:
        InputError: an unknown defence or option, or two rows of one name.
    """
    rows = [Entry(UNDEFENDED, UNDEFENDED, None, recipe, references)]
    for choice in choices:
        if not isinstance(choice, Choice):
            raise InputError(
                f"compare: expected defences as Choice(name, ...), got {choice!r}: write Choice({str(choice)!r}), say"
            )
        if choice.recipe is not None:
            is_recipe(choice.recipe, f"compare: Choice({choice.name!r})")
        label = choice.label or choice.name
        folder = re.sub(r"[^A-Za-z0-9._=-]+", "-", label).strip(".-")
        taken = {row.folder for row in rows} | set(RESERVED)
        if not folder or folder in taken:
            raise InputError(
                f"compare: a row cannot be called '{label}': that name is taken or reserved; give each choice a label "
                "of its own, as in Choice('hamp', {'gamma': 0.95}, label='hamp 0.95')"
            )
        searched = search and choice.options is None
        rows.append(
            Entry(
                label=label,
                folder=folder,
                defence=find_defence(choice.name, **(choice.options or {})),
                recipe=recipe if choice.recipe is None else choice.recipe,
                references=references if choice.references is None else choice.references,
                name=choice.name,
                options=choice.options or {},
                grid=find_defence(choice.name).grid if searched else None,
            )
        )
    return rows


def options_of(defence: Defence | None) -> dict[str, Any]:
    """All options of a defence, as JSON values."""
    if defence is None:
        return {}
    return {field.name: plain(getattr(defence, field.name)) for field in fields(defence)}


def plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [part if isinstance(part, (str, int, float)) else str(part) for part in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
