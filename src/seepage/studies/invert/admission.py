"""What a study can be made of: everything that can be refused is refused before anything is trained."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from seepage.data import Pool, overlap
from seepage.defences.adversarial_regularisation import AdversarialRegularisation
from seepage.errors import DataFileError, InputError, StorageError
from seepage.inversion.base import Inversion
from seepage.inversion.catalogue import default_inversions, find_inversion
from seepage.inversion.priors.base import Prior
from seepage.inversion.priors.options import PriorOptions, check_public
from seepage.models.device import device_of
from seepage.models.images import as_images
from seepage.models.recipe import Recipe
from seepage.models.target import TargetModel
from seepage.models.trial import try_recipe
from seepage.outside import from_outside
from seepage.schema.reading import load_result
from seepage.studies.invert.evaluators import Embedder, Evaluator, evaluator_checks
from seepage.studies.invert.selection import selections
from seepage.studies.invert.targets import OWN, UNDEFENDED, Choice, TargetSpec, own, targets
from seepage.studies.invert.world import World

ASKED = 64  # images that a model of the user's is shown to see how it answers


def attacks_of(attacks: Mapping[str, Inversion] | Sequence[str] | None) -> dict[str, Inversion]:
    """The attacks by name.

    Raises:
        InputError: there is none, or none of that name.
    """
    if isinstance(attacks, str):
        raise InputError(f"invert: attacks is a list of names, got a text: write attacks=['{attacks}']")
    if attacks is None:
        attacks = default_inversions()
    found = dict(attacks) if isinstance(attacks, Mapping) else {name: find_inversion(name) for name in attacks}
    if not found:
        raise InputError("invert: there is no attack to run: name at least one ('seepage inversions' lists them)")
    for name, attack in found.items():
        if not isinstance(attack, Inversion):
            raise InputError(f"invert: expected an attack under the name '{name}', got a {type(attack).__name__}")
    return found


def with_selections(attacks: Mapping[str, Inversion], number: int, world: World) -> dict[str, Inversion]:
    """The attacks, and beside them what asks the target and searches for nothing.

    Raises:
        InputError: an attack has the name of one of these.
    """
    beside = selections(attacks.values(), number, len(world.images))
    for name in attacks:
        if name in beside:
            raise InputError(
                f"invert: '{name}' is the name of a selection that stands beside every attack: take another"
            )
    return {**attacks, **beside}


def own_model(model: nn.Module, pool: Pool) -> tuple[nn.Module, int]:
    """A copy of a model of the user's in eval mode, and how many outputs it has.

    Raises:
        InputError: it is no torch module, cannot be asked about these images, or does not answer with logits.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"inversion searches with a model's gradients: expected a torch module, got {model!r:.80}")
    model = copy.deepcopy(model).eval()
    images = np.float32(as_images(pool)[:ASKED]) / np.float32(255)
    n_outputs = TargetModel.wrap(model, outputs="logits").logits(images).shape[1]
    with torch.no_grad():
        raw = model(torch.from_numpy(images[:1]).to(device_of(model)))
    if raw.shape != (1, n_outputs):
        raise InputError(f"expected a model with an output for each class, got answers of shape {tuple(raw.shape)}")
    return model, n_outputs


def targets_of(
    choices: Sequence[Choice | str], recipe: Recipe, world: World, model: nn.Module | None
) -> dict[str, TargetSpec]:
    """What is attacked, by name; a model of the user's takes the place of "undefended" and comes first.

    Raises:
        InputError: there is no such target, or its training needs what a study of inversion does not have.
    """
    if isinstance(choices, (str, Choice)):
        raise InputError(f"invert: targets is a list, got one alone: write targets=[{choices!r}]")
    for choice in choices:
        if not isinstance(choice, (str, Choice)):
            raise InputError(f"invert: a target is a name or a Choice, got {choice!r}")
    specs = targets(choices, recipe)
    if model is not None:
        others = {name: spec for name, spec in specs.items() if spec.role != UNDEFENDED}
        if OWN in others:
            raise InputError(f"the model that is given is called '{OWN}': give the other target another label")
        specs = own(model) | others
    for spec in specs.values():
        if spec.recipe is not None:
            check_recipe(spec.name, spec.recipe, world)
        if spec.role == "null" and not len(world.public):
            raise InputError(
                f"{spec.name}: it is trained on labelled public images, and the public ones have no labels"
            )
    return specs


def check_recipe(name: str, recipe: Recipe, world: World) -> None:
    """Nothing, where it can be trained.

    Raises:
        InputError: it needs records that nobody set aside, or nobody would know if its code changed.
    """
    if "validation" in recipe.uses:
        raise InputError(f"{name}: it chooses by validation records, and a study of inversion sets none aside")
    if "population" in recipe.uses and not len(world.public):
        raise InputError(f"{name}: it is trained on labelled public images, and the public ones have no labels")
    if isinstance(recipe.procedure, AdversarialRegularisation):
        raise InputError(
            f"{name}: it compares members with other records of their classes, and the public images are of others"
        )
    if not recipe.is_registered and not recipe.version:
        raise InputError(
            f"{name}: the folder needs to know when your own model or objective changes: give "
            "Recipe(..., version='1') and change the version whenever that code changes"
        )
    inside = np.flatnonzero(world.pool.labels < world.n_classes)[[0, -1]]
    two = replace(world.pool.subset(np.unique(inside)), n_classes=world.n_classes, classes=None)
    try_recipe(recipe, two, f"invert: {name}")


def check_judge(judge: Recipe | Evaluator, model: nn.Module | None, world: World) -> None:
    """Nothing, where it can judge.

    Raises:
        InputError: it is no judge, cannot see such images, knows other classes, is the attacked model, or was trained
            on images that attacks select from.
    """
    if isinstance(judge, Recipe):
        if "population" in judge.uses:
            raise InputError(
                "the judge would be trained on the attacker's public images, which attacks select from: take its "
                "defence away; it is taught the public images that are set aside for it (for_judge) as it is"
            )
        return check_recipe("the judge", judge, world)
    if not isinstance(judge, Evaluator):
        raise InputError(f"judge: expected a Recipe or an Evaluator, got a {type(judge).__name__}")
    image, _ = world.of(world.train[:1])
    with from_outside(f"judge: {type(judge).__name__} could not look at an image of shape {tuple(image.shape[1:])}"):
        if isinstance(judge, Embedder):
            judge.embed(image)  # it is acquainted with the classes later
            n = world.n_classes
        else:
            n = judge.look(image)[0].shape[1]
    if n < world.n_classes:
        raise InputError(f"expected a judge of the {world.n_classes} private classes, got one of {n}")
    if n > world.n_classes:
        check_knows(judge, n, world)
    if model is not None:
        evaluator_checks(judge, model)


def check_knows(judge: Evaluator, n: int, world: World) -> None:
    """Nothing, where no attack can select an image that a judge of public classes knows by heart.

    Raises:
        InputError: one can, or nobody knows.
    """
    if judge.public is None or not len(judge.public):
        raise InputError(
            f"the judge knows {n} classes, and {world.n_classes} are private: the others must be public ones, and no "
            "attack may have the images that it learnt them by; give these: Trained(..., public=images)"
        )
    own = (255 * judge.public.detach().cpu().float()).round().clamp(0, 255).byte().numpy()
    if own.shape[1:] != world.image_shape:
        raise InputError(
            f"the judge's public images have the shape {own.shape[1:]}, and the private ones {world.image_shape}"
        )
    if twice := len(overlap(world.images, own)):
        raise InputError(
            f"the judge was trained on {twice:,} of the public images that attacks select from: it would know them by "
            "heart; train it on others"
        )


def check_priors(attacks: Mapping[str, Inversion], world: World, options: PriorOptions, given: Prior | None) -> None:
    """Nothing, where the priors of these attacks can be made of the public images.

    Raises:
        InputError: these are too few or not square, or a given generator makes images of another shape.
    """
    kinds = {attack.prior for attack in attacks.values()}
    if given is not None and tuple(given.image_shape) != world.image_shape:
        raise InputError(
            f"the generator '{given.name}' makes images of shape {tuple(given.image_shape)}, and the private ones have "
            f"{world.image_shape}: open it with image_shape={world.image_shape}"
        )
    if kinds - {"pixels"} - ({"gan"} if given is not None else set()):
        check_public(torch.from_numpy(world.images), options)


def plain(value: Any) -> Any:
    """Numbers and lists as JSON has them, of NumPy's."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return [plain(one) for one in value] if isinstance(value, (list, tuple, range)) else value


def check_levels(**levels: float) -> None:
    """Nothing, where each is a share of one.

    Raises:
        InputError: one is not strictly between 0 and 1.
    """
    for name, value in levels.items():
        if not 0 < value < 1:
            raise InputError(f"invert: {name} must lie strictly between 0 and 1, got {value!r}")


def check_numbers(**numbers: tuple[int, int]) -> None:
    """Nothing, where each is a whole number of at least what stands beside it.

    Raises:
        InputError: one is not.
    """
    for name, (value, least) in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"invert: {name} must be a whole number of at least {least}, got {value!r}")


def check_seeds(seeds: Sequence[int]) -> list[int]:
    """The seeds as a list.

    Raises:
        InputError: there is none, one comes twice, or one is no whole number of at least 0.
    """
    if isinstance(seeds, (int, np.integer, str)):
        raise InputError(f"invert: seeds is a list of whole numbers, such as (0, 1, 2), got {seeds!r}")
    seeds = list(seeds)
    if not seeds or len(set(seeds)) < len(seeds) or any(not isinstance(s, (int, np.integer)) or s < 0 for s in seeds):
        raise InputError(f"invert: expected seeds as different whole numbers of at least 0, got {seeds}")
    return [int(seed) for seed in seeds]


def check_folder(out: Path, pool: Pool) -> None:
    """Nothing, where a result in `out` would not replace one of something else.

    Raises:
        StorageError: the folder holds a result of another kind, or of other data.
    """
    file = out / "result.json"
    if not file.exists():
        return
    advice = "choose another folder, or delete this one to start again"
    try:
        there = load_result(file)
    except (DataFileError, OSError, json.JSONDecodeError):
        raise StorageError(f"{file} is there, and no result of a study of inversion: {advice}") from None
    if not there.schema_.startswith("seepage.inversion/"):
        raise StorageError(f"{out} holds a result of another kind ({there.schema_}): {advice}")
    if there.provenance.data_fingerprint != pool.fingerprint:
        raise StorageError(f"{out} holds a study of other data ({there.provenance.data}): {advice}")
