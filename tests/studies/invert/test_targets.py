"""Targets that share a pre-training: once for each repetition of a study, the same for all amounts of freezing."""

import functools

import numpy as np
import pytest

from seepage import CNN, SGD, Pool, Recipe
from seepage.errors import InputError, SeepageError
from seepage.studies.invert.admission import targets_of
from seepage.studies.invert.targets import Choice, targets
from seepage.studies.invert.world import make_world

RECIPE = Recipe(functools.partial(CNN, widths=(4, 6)), SGD(0.05), epochs=2, batch_size=8)


def pre_training(spec, seed):
    procedure = spec.recipe_of(seed).procedure
    return procedure.pretrain, procedure.pretraining_seed


def test_targets_of_one_seed_share_a_pre_training_and_other_seeds_have_their_own():
    rows = [Choice("tl-dmi", {"freeze": k, "pretrain": "cifar10"}, label=f"freeze {k}") for k in (0, 2)]
    found = targets([*rows, "undefended", Choice("tl-dmi", {"freeze": 2}, label="public")], RECIPE)
    assert pre_training(found["freeze 0"], 1) == pre_training(found["freeze 2"], 1) == ("cifar10", 1)
    assert pre_training(found["freeze 0"], 2) == ("cifar10", 2)
    assert found["freeze 0"].recipe_of(1).describe() != found["freeze 0"].recipe_of(2).describe()
    assert found["undefended"].recipe_of(2) is RECIPE
    assert found["public"].recipe_of(2).describe() == found["public"].recipe.describe()  # by each model's own seed


def test_what_cannot_be_pre_trained_is_refused_before_anything_is_trained(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (80, 1, 8, 8), dtype=np.uint8)
    world = make_world(Pool(images, np.arange(80) % 8, scale=1 / 255), private=4, held_out=0.3, rng=0)
    for options, says in (
        ({"pretrain": "adult"}, "rows of a table"),
        ({"pretrain": "cifar10", "freeze": 5}, "leaves the head as it was drawn"),
        ({"pretrain": str(tmp_path / "none.safetensors")}, "there is no file"),
        ({"pretrain": "mnits"}, "did you mean 'mnist'"),
    ):
        with pytest.raises(SeepageError, match=says):
            targets_of([Choice("tl-dmi", options)], RECIPE, world, None)
    unlabelled = make_world(Pool(images, np.arange(80) % 8, scale=1 / 255), public=Pool(images[:5] // 2, scale=1 / 255),
                      held_out=0.3, rng=0)  # fmt: skip
    with pytest.raises(InputError, match="trained on labelled public images"):
        targets_of([Choice("tl-dmi", {"pretrain": "public"})], RECIPE, unlabelled, None)
    for without in ("cifar10", "random"):  # these need no labelled public image
        targets_of([Choice("tl-dmi", {"pretrain": without})], RECIPE, unlabelled, None)
