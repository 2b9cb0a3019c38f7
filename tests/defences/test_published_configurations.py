"""The published configurations of HAMP's comparison: each can be carried out, and says what the code's scripts say."""

from pathlib import Path

import pytest

from seepage import SGD, Steps
from seepage.attacks import find_attack
from seepage.cli.specs.compare import CompareConfig
from seepage.cli.specs.complaints import section_from
from seepage.cli.specs.parts import RecipeConfig
from seepage.defences import find_defence
from seepage.defences.hamp import PUBLISHED

FOLDER = Path(__file__).parents[2] / "examples" / "hamp"
AUDITED = {"location30": 2700, "purchase100": 36_000, "texas100": 27_000, "cifar10": 45_000, "cifar100": 45_000}
RECORDS = {"location30": 5010, "cifar10": 60_000, "cifar100": 60_000}
STUDENT = {"location30": (0.5, 100), "purchase100": (0.5, 200), "texas100": (0.5, 100), "cifar10": (0.5, 200),
           "cifar100": (1.0, 200)}  # fmt: skip


@pytest.fixture(params=sorted(PUBLISHED))
def named(request):
    return request.param, CompareConfig.read(FOLDER / f"{request.param}.yaml", {})


def recipe_of(config, row):
    return section_from(RecipeConfig, config.recipe.model_dump(exclude_unset=True) | row.recipe, row.name).recipe()


def test_there_is_one_for_each_data_set():
    assert sorted(path.stem for path in FOLDER.glob("*.yaml")) == sorted(PUBLISHED)


def test_hamp_has_the_published_options_and_training(named):
    name, config = named
    rows = {row.label or row.name: row for row in config.defences}
    assert rows["hamp"].options == rows["hamp-training"].options == PUBLISHED[name]
    lr, epochs = STUDENT[name]
    for label in ("hamp", "hamp-training"):
        recipe = recipe_of(config, rows[label])
        assert recipe.optimiser == SGD(lr, momentum=0.99, weight_decay=1e-5)
        assert recipe.schedule == Steps((60, 90, 150), 0.1)
        assert recipe.epochs == epochs
        assert recipe.batch_size == (32 if name in ("purchase100", "texas100") else 64)
    assert rows["hamp-answers"].recipe == {}


def test_as_many_records_are_audited_as_there(named):
    name, config = named
    taken = config.data.limit or RECORDS[name]
    assert taken - config.validation - config.population == AUDITED[name]
    assert config.data.name == name


def test_every_row_and_attack_can_be_had(named):
    _, config = named
    for row in config.defences:
        defended = find_defence(row.name, **(row.options or {})).apply(recipe_of(config, row))
        assert defended.is_registered
        references = row.references or config.references
        for attack in config.attacks:
            assert find_attack(attack).least_references <= references // 2 - config.every_model, (row.name, attack)


def test_adversarial_regularisation_and_selena_are_as_large_as_there(named):
    _, config = named
    defences = {row.name: find_defence(row.name, **(row.options or {})) for row in config.defences}
    game, selena = defences["adversarial-regularisation"], defences["selena"]
    assert (game.attack_steps, game.classifier_steps) == (52, 2)
    assert (selena.sub_models, selena.left_out) == (25, 10)
