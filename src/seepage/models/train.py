"""Train models from a recipe: one by itself, or several as a procedure or a unit of a run needs them."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Bool
from torch import nn

from seepage.data import Pool
from seepage.errors import InputError, TrainingError
from seepage.models.device import choose_device
from seepage.models.engines import ENGINES, has_convolutions
from seepage.models.held_out import HeldOut
from seepage.models.plan import one_thread
from seepage.models.recipe import Recipe
from seepage.models.records import Records
from seepage.models.trial import try_recipe
from seepage.outside import check_kinds, from_outside
from seepage.randomness import Seed, generator


def train(
    recipe: Recipe,
    pool: Pool,
    members: Bool[np.ndarray, " samples"],
    *,
    validation: Bool[np.ndarray, " samples"] | None = None,
    population: Bool[np.ndarray, " samples"] | None = None,
    rng: Seed,
    device: str | None = None,
    report: Callable[[float], None] = lambda fraction: None,
) -> nn.Module:
    """Train one model on the pool's members, by itself.

    Args:
        recipe: how.
        pool: the records, with labels.
        members: (samples,) bool, true for the records to train on.
        validation, population: (samples,) bool, records that are not trained on, for recipes that choose by some or
            compare with some.
        rng: one seed is drawn from it; weights, batches, augmentation and dropout derive from that seed.
        device: "cpu" or "cuda"; by default the GPU where there is one.

    Returns:
        The trained module, in eval mode, giving logits; wrapped where the recipe says so.

    Raises:
        InputError: a mask has another shape than the pool, `members` selects nothing, held-out records are among
            them, or the recipe needs some that are not given.
        TrainingError: the training diverged.
    """
    rng = generator(rng)
    check_kinds("train", device=(device, str | torch.device | None), report=(report, Callable))
    try_recipe(recipe, pool, "train")
    given = {"members": members, "validation": validation, "population": population}
    masks = {name: _mask(name, mask, len(pool)) for name, mask in given.items() if mask is not None}
    for name in masks.keys() - {"members"}:
        if both := int((masks[name] & masks["members"]).sum()):
            raise InputError(f"train: {name} records are not trained on, got {both} of them among the members")
    rows = {name: np.flatnonzero(mask) for name, mask in masks.items()}
    device = choose_device(device)
    seed = int(rng.integers(2**62))
    column, held_out = rows.pop("members"), HeldOut(**rows)
    engine = "single" if recipe.procedure is None else "procedure"
    with one_thread():
        return train_models(
            recipe, Records.of(pool, device), [column], [seed], held_out=held_out, engine=engine, report=report
        )[0]


def train_models(
    recipe: Recipe,
    records: Records,
    columns: Sequence[np.ndarray],
    seeds: Sequence[int],
    *,
    held_out: HeldOut | None = None,
    engine: str | None = None,
    report: Callable[[float], None] = lambda fraction: None,
) -> list[nn.Module]:
    """Train one model for each column of member rows, in this process, and wrap them where the recipe says so.

    Args:
        recipe: how.
        records: the pool, where the engines train.
        columns: rows of the members of each model.
        seeds: one a model.
        held_out: rows that no model is trained on.
        engine: as a planner found it; by default stacked but for convolutions on a CPU and modules that cannot be.
        report: told the share that is done.

    Returns:
        Modules in eval mode, in the order of the columns.
    """
    with from_outside(
        f"training by the recipe failed (records of shape {records.input_shape}, {records.n_classes} classes)",
        TrainingError,
    ):
        return _train_models(recipe, records, columns, seeds, held_out, engine, report)


def _train_models(recipe, records, columns, seeds, held_out, engine, report) -> list[nn.Module]:
    arguments = (columns, seeds, held_out)
    if recipe.procedure is not None:
        modules = ENGINES["procedure"](recipe, records, *arguments).run(report)
    elif (engine or _engine_for(recipe, records, len(columns))) == "stacked":
        modules = ENGINES["stacked"](recipe, records, *arguments).run(report)
    else:
        modules = []
        for place, (column, seed) in enumerate(zip(columns, seeds, strict=True)):

            def part(fraction: float, place=place) -> None:
                report((place + fraction) / len(columns))

            modules += ENGINES["single"](recipe, records, [column], [seed], held_out).run(part)
    return wrapped(recipe, modules, records, columns, seeds, held_out or HeldOut())


def wrapped(
    recipe: Recipe,
    modules: Sequence[nn.Module],
    records: Records,
    columns: Sequence[np.ndarray],
    seeds: Sequence[int],
    held_out: HeldOut,
) -> list[nn.Module]:
    """Trained modules as they answer under the recipe: through its wrapper, where it has one."""
    if recipe.wrapper is None:
        return list(modules)
    return [
        recipe.wrapper.fit(module, records, column, held_out, seed=seed)
        for module, column, seed in zip(modules, columns, seeds, strict=True)
    ]


def _engine_for(recipe: Recipe, records: Records, n_models: int) -> str:
    module = recipe.build(records.input_shape, records.n_classes, 0)
    slow = has_convolutions(module) and not records.inputs.is_cuda
    return "single" if slow or n_models == 1 or not recipe.is_registered else "stacked"


def _mask(name: str, mask: np.ndarray, n_records: int) -> Bool[np.ndarray, " samples"]:
    mask = np.asarray(mask)
    if mask.shape != (n_records,) or mask.dtype != bool:
        raise InputError(
            f"train: {name} must be bool of shape ({n_records},), one for each record of the pool; "
            f"got {mask.dtype} of shape {mask.shape}"
        )
    return mask
