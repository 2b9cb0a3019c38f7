"""The search: the most protective setting that keeps the accuracy, and it never sees an audit's non-members."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from seepage.data import load
from seepage.defences import find_defence
from seepage.errors import InputError, TrainingError
from seepage.models.architectures import MLP
from seepage.models.recipe import Recipe
from seepage.runs.run import Run
from seepage.schema.estimates import Estimate
from seepage.studies.compare.choice import Choice, entries
from seepage.studies.compare.tuning import Trial, search
from seepage.studies.draw import Draw

RECIPE = Recipe(functools.partial(MLP, hidden=(16,)), epochs=25, batch_size=16)
GRID = find_defence("label-smoothing").grid
HOW = {"seed": 0, "confidence": 0.95, "run": Run(engine="single", workers=1)}


def row(name="label-smoothing"):
    return entries([Choice(name)], RECIPE, 4, search=True)[1]


class Told:
    """A trial whose accuracies are given, in the grid's order."""

    def __init__(self, *values):
        self.values, self.recipes = list(values), []

    def accuracy(self, recipe, title):
        value = self.values[len(self.recipes)]
        self.recipes.append(recipe)
        return Estimate(value=value, low=None, high=None, n=50, flag=None if value is not None else "diverged")


def test_the_first_setting_that_reaches_the_floor_is_taken_and_no_further_one_is_tried():
    trial = Told(0.5, 0.7, 0.9)
    found = search(row(), trial, floor=0.7)
    assert found.options == GRID[1]
    assert found.reached_floor
    assert [point.chosen for point in found.points] == [False, True]
    assert [point.options for point in found.points] == list(GRID[:2])
    wanted = [find_defence("label-smoothing", **options).apply(RECIPE) for options in GRID[:2]]
    assert [recipe.fingerprint for recipe in trial.recipes] == [recipe.fingerprint for recipe in wanted]


def test_where_none_reaches_it_the_most_accurate_is_taken_and_that_is_said():
    found = search(row(), Told(0.5, 0.6, None, 0.6, 0.55), floor=0.7)
    assert found.options == GRID[1]  # of equals the more protective
    assert not found.reached_floor
    assert [point.chosen for point in found.points] == [False, True, False, False, False]
    assert found.points[2].validation_accuracy.flag == "diverged"
    with pytest.raises(TrainingError, match="no setting of 'label-smoothing'"):
        search(row(), Told(*[None] * len(GRID)), floor=0.7)


def test_a_diverged_training_does_not_reach_the_floor():
    assert search(row(), Told(None, 0.8), floor=0.0).options == GRID[1]


@pytest.fixture(scope="module")
def pool():
    return load("digits").subset(np.arange(300))


def trial(pool, folder, every_model=True):
    membership = Draw(every_model=every_model, validation=0.2, population=0.1).membership(pool, 4, 0)
    return membership, Trial.of(pool, membership, folder=folder, **HOW)


@pytest.mark.parametrize("every_model", [True, False])
def test_what_an_audit_judges_as_non_members_changes_nothing(pool, tmp_path, every_model):
    membership, plain = trial(pool, tmp_path / "a", every_model)
    judged = membership.audit & ~membership.target
    assert judged.any()
    inputs, labels = pool.inputs.copy(), pool.labels.copy()
    inputs[judged], labels[judged] = 7.0, (labels[judged] + 1) % 10
    _, other = trial(replace(pool, inputs=inputs, labels=labels), tmp_path / "b", every_model)
    floor = plain.accuracy(RECIPE, "").value - 0.1
    assert search(row(), plain, floor) == search(row(), other, floor)
    assert len(plain.pool) == len(pool) - judged.sum()
    # while validation labels do change it
    labels = pool.labels.copy()
    labels[membership.validation] = (labels[membership.validation] + 1) % 10
    _, changed = trial(replace(pool, labels=labels), tmp_path / "c", every_model)
    assert changed.accuracy(RECIPE, "").value < plain.accuracy(RECIPE, "").value - 0.2


def test_accuracy_is_counted_on_validation_records_of_a_model_that_is_trained_once(pool, tmp_path, monkeypatch):
    membership, found = trial(pool, tmp_path)
    accuracy = found.accuracy(RECIPE, "")
    assert accuracy.n == membership.validation.sum() == 60
    assert accuracy.low < accuracy.value < accuracy.high
    np.testing.assert_array_equal(found.pool.labels[found.held_out.validation], pool.labels[membership.validation])
    np.testing.assert_array_equal(found.pool.ids[found.column[:, 0]], pool.ids[membership.target])
    monkeypatch.setattr("seepage.signals.collect.train_models", None)  # a further training would call it
    assert found.accuracy(RECIPE, "") == accuracy


def test_a_diverging_training_is_told_in_words(pool, tmp_path):
    from seepage.models.optimisers import SGD

    _, found = trial(pool, tmp_path)
    accuracy = found.accuracy(replace(RECIPE, optimiser=SGD(lr=1e30)), "")
    assert accuracy.value is None
    assert "diverged" in accuracy.flag or "did not come to an end" in accuracy.flag


def test_a_floor_needs_validation_records(pool, tmp_path):
    membership = Draw(validation=0, population=0.1).membership(pool, 4, 0)
    with pytest.raises(InputError, match=r"validation=0\.1"):
        Trial.of(pool, membership, folder=tmp_path, **HOW)
