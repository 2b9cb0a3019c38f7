"""Keys of the pieces of a study: all that a piece depends on is in its key, so that no stale one is taken up."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from seepage.inversion import Budget, find_inversion
from seepage.inversion.priors import ModulePrior, PriorOptions
from seepage.models.wrapper import Wrapped
from seepage.studies.invert.line import Line
from seepage.studies.invert.measured import _accuracy, _hits, _inside
from seepage.studies.invert.targets import own, targets
from seepage.studies.invert.world import make_world
from tests.studies.invert.drawn import JUDGE, PRIORS, RECIPE, bars


def line(tmp_path, *, specs=None, given=None, budget=None, judge=JUDGE, per_class=1, priors=PRIORS, **world):
    made = make_world(bars(), **{"private": 6, "attacked": 4, "rng": np.random.default_rng(3), **world})
    specs = specs or targets(["undefended", "null", "shuffled"], RECIPE)
    attacks = {"gmi": find_inversion("gmi")}
    return Line(
        made, specs, attacks, {"gmi": budget or Budget(8, 1, 40)}, judge, priors, given, per_class, tmp_path, "cpu",
    )  # fmt: skip


def generator(seed=0, high=1.0):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(4, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8)))
    return ModulePrior(network.eval(), 4, (1, 8, 8), (0.0, high), name="mine")


def test_a_null_target_depends_on_which_classes_are_attacked(tmp_path):
    # Of the same classes and images, because the attacked ones are drawn last.
    four, five = (line(tmp_path, attacked=n) for n in (4, 5))
    assert four._world_key == five._world_key
    assert four.world.attacked != five.world.attacked
    labels = [one.world.null()[0].labels[one.world.public].tolist() for one in (four, five)]
    assert labels[0] != labels[1]
    assert four._target_key(0, "null") != five._target_key(0, "null")
    for name in ("undefended", "shuffled"):
        assert four._target_key(0, name) == five._target_key(0, name)


@pytest.mark.parametrize("other", [generator(seed=1), generator(high=2.0)])
def test_a_generator_of_the_same_name_may_be_another(tmp_path, other):
    first, again, second = (line(tmp_path, given=one) for one in (generator(), generator(), other))
    for key in (
        lambda one: one._prior_key(0, None, "gan"),
        lambda one: one._images_key(0, "undefended", "gmi", 2),
        lambda one: one._baselines_key(0),
        lambda one: one._ceiling_key(0, None, "gan"),
    ):
        assert key(first) == key(again)
        assert key(first) != key(second)


def test_a_model_of_the_users_is_known_by_its_class_and_named_weights(tmp_path):
    torch.manual_seed(0)
    first = nn.Sequential(nn.Flatten(), nn.Linear(64, 6))

    class Other(nn.Sequential):
        def forward(self, images):
            return -super().forward(images)

    keys = [
        line(tmp_path, specs=own(module))._target_key(0, "model")
        for module in (first, Other(*first), nn.Sequential(nn.Flatten(), nn.Linear(64, 6)))
    ]
    assert len(set(keys)) == 3
    assert line(tmp_path, specs=own(first))._target_key(9, "model") == keys[0]


def test_images_depend_on_the_seed_the_budget_and_how_many_are_made(tmp_path):
    plain = line(tmp_path)
    keys = {plain._images_key(seed, target, "gmi", c) for seed in (0, 1) for target in plain.targets for c in (0, 1)}
    for options in (
        {"budget": Budget(9, 1, 40)},
        {"per_class": 2},
        {"priors": PriorOptions(steps=21)},
        {"held_out": 0.5},
    ):
        keys.add(line(tmp_path, **options)._images_key(0, "undefended", "gmi", 0))
    assert len(keys) == 2 * 3 * 2 + 4
    assert plain._baselines_key(0) != line(tmp_path, per_class=2)._baselines_key(0)


def test_images_do_not_depend_on_the_judge(tmp_path):
    """So a study that is told to judge otherwise attacks nothing again."""
    first, second = line(tmp_path), line(tmp_path, judge=replace(JUDGE, epochs=3))
    assert first._judge_key(0) != second._judge_key(0)
    for key in (
        lambda one: one._target_key(0, "undefended"),
        lambda one: one._images_key(0, "undefended", "gmi", 2),
        lambda one: one._baselines_key(0),
        lambda one: one._ceiling_key(0, None, "gan"),
    ):
        assert key(first) == key(second)


def test_ceilings_are_of_priors_that_make_images_and_come_before_the_attacks(tmp_path):
    waves = line(tmp_path).waves([4, 5])
    assert [sorted({unit["make"] for unit in wave}) for wave in waves] == [
        ["judge", "prior", "target"], [], ["baselines", "ceiling"], ["images"],
    ]  # fmt: skip
    assert [unit for unit in waves[2] if unit["make"] == "ceiling"] == [
        {"make": "ceiling", "seed": 4, "target": None, "kind": "gan"}
    ]


def test_accuracy_counts_an_image_once_for_its_interval():
    once = _accuracy([np.array([True] * 8 + [False] * 2)], 0.95)
    thrice = _accuracy([np.array([True] * 8 + [False] * 2)] * 3, 0.95)
    assert once == thrice
    assert (once.value, once.n) == (0.8, 10)
    assert (round(once.low, 4), round(once.high, 4)) == (0.4439, 0.9748)  # Clopper-Pearson, 8 of 10
    mixed = _accuracy([np.array([True, False]), np.array([False, False])], 0.95)
    assert (mixed.value, mixed.n) == (0.25, 2)


def test_a_targets_own_word_is_asked_in_eval_mode_and_fisher_of_the_model_inside():
    module = nn.Sequential(nn.Flatten(), nn.Dropout(0.999), nn.Linear(64, 2)).train()
    nn.init.zeros_(module[2].weight)
    with torch.no_grad():
        module[2].weight[1] = 1.0
        module[2].bias.copy_(torch.tensor([1.0, 0.0]))
    images = torch.ones(5, 1, 8, 8)  # logits 1 and 64: class 1, unless the dropout acts
    assert _hits(module, images, np.ones(5, dtype=int)).all()
    assert module.training
    assert _inside(module) is module
    assert _inside(Wrapped(module)) is module
