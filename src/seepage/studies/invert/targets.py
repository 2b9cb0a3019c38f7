"""The models that are attacked: undefended, defended, and two from which nothing can be had."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from torch import nn

from seepage.defences import find_defence
from seepage.defences.tl_dmi import trained_parameters
from seepage.errors import InputError
from seepage.models.module import Module
from seepage.models.recipe import Recipe
from seepage.schema.inversion import Role

UNDEFENDED, NULL, SHUFFLED, OWN = "undefended", "null", "shuffled", "model"
PLAIN = {
    UNDEFENDED: ("No defence", "the recipe as it is"),
    NULL: ("Null: other classes", "trained on public classes under the numbers of private ones: it holds nothing"),
    SHUFFLED: ("Shuffled labels", "trained on the private images with each other's labels: its classes show nobody"),
}


@dataclass(frozen=True)
class Choice:
    """One target.

    Attributes:
        name: "undefended", "null", "shuffled", or a defence of `seepage.DEFENCES`.
        options: of the defence; its defaults where there are none.
        sweep: a target for each setting of the defence's grid instead of one.
        label: what it is called; by default the name, with the options that are given.
        recipe: how it is trained where that is not the study's recipe.
    """

    name: str
    options: Mapping[str, Any] | None = None
    sweep: bool = False
    label: str | None = None
    recipe: Recipe | None = None


@dataclass(frozen=True, eq=False)
class TargetSpec:
    """A target with everything settled.

    Attributes:
        recipe: how it is trained; for a model of the user's, None.
        module: the user's model.
    """

    name: str
    title: str
    role: Role
    recipe: Recipe | None
    options: Mapping[str, Any]
    notes: tuple[str, ...]
    module: nn.Module | None = None

    @functools.cached_property
    def own(self) -> list[str]:
        """What a model of the user's depends on: its class, and the names and values of its weights."""
        return [type(self.module).__qualname__, Module(self.module, "logits").fingerprint()]

    def recipe_of(self, seed: int) -> Recipe | None:
        """The recipe in the repetition of that seed: what is made once for several targets is made once for each."""
        if self.recipe is None or self.recipe.procedure is None:
            return self.recipe
        return replace(self.recipe, procedure=self.recipe.procedure.repeated(seed))

    def n_trained(self, module: nn.Module) -> int:
        """Parameters that saw private records: |theta_C| where the first layers are frozen, none of a null target."""
        if self.role == NULL:
            return 0
        everything = sum(parameter.numel() for parameter in module.parameters())
        return everything if self.recipe is None else trained_parameters(self.recipe, module)


def targets(choices: Sequence[Choice | str], recipe: Recipe) -> dict[str, TargetSpec]:
    """The targets by name.

    Raises:
        InputError: there is no such defence or option, or two targets have one name.
    """
    found: dict[str, TargetSpec] = {}
    for choice in choices:
        choice = Choice(choice) if isinstance(choice, str) else choice
        for spec in _specs(choice, choice.recipe or recipe):
            if spec.name in found:
                raise InputError(f"two targets are called '{spec.name}': give one of them a label")
            found[spec.name] = spec
    if not found:
        raise InputError("there is nothing to attack: name at least one target, such as 'undefended'")
    return found


def own(module: nn.Module) -> dict[str, TargetSpec]:
    """A trained model of the user's as the one target."""
    return {OWN: TargetSpec(OWN, type(module).__name__, "undefended", None, {}, (), module)}


def _specs(choice: Choice, recipe: Recipe) -> list[TargetSpec]:
    if choice.name in PLAIN:
        if choice.options or choice.sweep:
            raise InputError(f"the target '{choice.name}' has no options, got {dict(choice.options or {})}")
        title, note = PLAIN[choice.name]
        role = choice.name
        return [TargetSpec(choice.label or choice.name, title, role, recipe, {}, (note,))]
    if choice.sweep:
        settings = [{**(choice.options or {}), **setting} for setting in find_defence(choice.name).grid]
    else:
        settings = [dict(choice.options or {})]
    specs = []
    for setting in settings:
        defence = find_defence(choice.name, **setting)
        given = ", ".join(f"{name} {_short(value)}" for name, value in setting.items())
        name = choice.label if choice.label and not choice.sweep else " ".join(filter(None, (choice.name, given)))
        options = {field.name: getattr(defence, field.name) for field in fields(defence)}
        title = name if choice.label else f"{defence.title}{f' ({given})' if given else ''}"
        specs.append(TargetSpec(name, title, "defended", defence.apply(recipe), options, defence.notes))
    return specs


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
