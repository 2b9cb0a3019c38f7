"""Train on the release, test on real records: what the release is worth."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool
from sklearn.ensemble import RandomForestClassifier
from torch import nn

from seepage.data import Pool
from seepage.errors import InputError
from seepage.metrics import proportion
from seepage.models.recipe import Recipe
from seepage.models.target import TargetModel
from seepage.models.train import train
from seepage.models.trial import is_recipe
from seepage.randomness import Seed, generator
from seepage.schema.release import Usefulness


def usefulness(
    synthetic: Pool,
    members: Pool,
    holdout: Pool,
    recipe: Recipe | None,
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> Usefulness:
    """Train by one recipe on the release and on the originals, and test both on the hold-out.

    Args:
        synthetic: the release, with labels.
        members: the records it was made from.
        holdout: what the models are tested on.
        recipe: how the models are trained; it needs no held-out records. None: random forests of 100 trees on the
            flattened values, which take tables and images in any units.
        confidence: of the intervals, Clopper-Pearson.
        rng: seeds of the two trainings.

    Raises:
        InputError: a pool has no labels, or they differ in classes; the recipe needs held-out records.

    Reference: Esteban, Hyland and Rätsch (2017), arXiv 1706.02633, "train on synthetic, test on real".
    """
    rng = generator(rng)
    counts = {"release": synthetic.n_classes, "members": members.n_classes, "hold-out": holdout.n_classes}
    if None in counts.values() or len(set(counts.values())) > 1:
        raise InputError(f"expected labels of the same classes in release, members and hold-out, got {counts}")
    if len({pool.classes for pool in (synthetic, members, holdout) if pool.classes is not None}) > 1:
        raise InputError("expected classes of the same names and order in release, members and hold-out")
    if recipe is not None and is_recipe(recipe, "usefulness").uses:
        raise InputError(f"expected a recipe that needs no held-out records, got one that needs {set(recipe.uses)}")
    if recipe is None:
        right = [_of_forest(pool, holdout, rng) for pool in (synthetic, members)]
    else:
        trained = [train(recipe, pool, np.ones(len(pool), bool), rng=rng) for pool in (synthetic, members)]
        right = [_right(module, holdout) for module in trained]
    right.append(holdout.labels == np.bincount(members.labels).argmax())
    model = "the recipe's model" if recipe is not None else "a random forest"
    released, originals, majority = (proportion(flags, confidence=confidence) for flags in right)
    return Usefulness(released=released, originals=originals, majority=majority, model=model)


def _of_forest(pool: Pool, holdout: Pool, rng: np.random.Generator) -> Bool[np.ndarray, " samples"]:
    forest = RandomForestClassifier(100, random_state=int(rng.integers(2**31)))
    forest.fit(pool.batch().reshape(len(pool), -1), pool.labels)
    return forest.predict(holdout.batch().reshape(len(holdout), -1)) == holdout.labels


def _right(module: nn.Module, pool: Pool) -> Bool[np.ndarray, " samples"]:
    return TargetModel.wrap(module, outputs="logits").logits(pool.batch()).argmax(axis=1) == pool.labels
