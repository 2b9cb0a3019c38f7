"""A defended model from Python: trained, written, read again, audited."""

import functools

import numpy as np
import pytest

import seepage
from seepage.cli.specs.defend import DefendConfig
from seepage.cli.specs.defend import read_defended as read_by_configuration
from seepage.errors import DataFileError, InputError
from seepage.models.target import TargetModel
from seepage.runs.run import Run
from seepage.studies.defended import defend, read_defended

RECIPE = seepage.Recipe(seepage.MLP, epochs=1)


@pytest.fixture(scope="module")
def digits():
    return seepage.load("digits").subset(range(200))


def test_what_was_written_is_what_is_read(digits, tmp_path):
    made = defend(RECIPE, digits, "label-smoothing", options={"smoothing": 0.2}, run=Run(tmp_path, seed=3))
    again = read_defended(tmp_path, seepage.defended(RECIPE, "label-smoothing", smoothing=0.2), digits)
    for name in ("members", "validation", "population"):
        assert np.array_equal(getattr(made, name), getattr(again, name))
    answers = [TargetModel.wrap(one.model).logits(digits.batch()) for one in (made, again)]
    assert np.array_equal(*answers)
    assert made.summary["defence"] == {"name": "label-smoothing", "options": {"smoothing": 0.2}}
    assert made.summary["train"]["accuracy"]["n"] == made.members.sum() == made.summary["n_members"]
    membership = again.membership(references=4, rng=0)
    assert (membership.origin, membership.n_references) == ("declared", 4)
    assert np.array_equal(membership.target, made.members)


def test_python_and_the_configuration_train_the_same_model(digits, tmp_path):
    config = DefendConfig.model_validate(
        {"data": {"name": "digits", "limit": 200}, "seed": 3, "out": tmp_path / "yaml",
         "recipe": {"epochs": 1, "defence": {"name": "label-smoothing", "options": {"smoothing": 0.2}}}}
    )  # fmt: skip
    config.run(progress=False)
    pool = config.data.pool(3)
    recipe = config.recipe.model_copy(update={"defence": None}).recipe()
    run = Run(tmp_path / "python", seed=3)
    made = defend(recipe, pool, "label-smoothing", options={"smoothing": 0.2}, run=run)
    read = read_by_configuration(tmp_path / "yaml")[2]
    assert np.array_equal(made.members, read.members)
    assert all(made.model.state_dict()[name].equal(values) for name, values in read.model.state_dict().items())
    assert not (tmp_path / "python" / "defended.yaml").exists()
    with pytest.raises(DataFileError, match=r"no defended\.yaml"):
        read_by_configuration(tmp_path / "python")


def test_each_mistake_is_one_error(digits, tmp_path):
    with pytest.raises(InputError, match=r"give run=Run\(folder="):
        defend(RECIPE, digits, "hamp", run=Run())
    with pytest.raises(InputError, match="members must be a share above 0"):
        defend(RECIPE, digits, "hamp", members=1.5, run=Run(tmp_path))
    defend(RECIPE, digits, "l2", run=Run(tmp_path))
    with pytest.raises(DataFileError, match="the records are not those"):
        read_defended(tmp_path, seepage.defended(RECIPE, "l2"), digits.subset(range(100)))
    other = seepage.Recipe(functools.partial(seepage.MLP, hidden=(7,)))
    with pytest.raises(InputError, match="do not fit the recipe"):
        read_defended(tmp_path, other, digits)
