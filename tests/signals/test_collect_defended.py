"""Runs whose recipes have a procedure, a wrapper, or choose by held-out records."""

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch

import seepage.signals.collect as collecting
from seepage import MLP, SGD, Pool, Recipe
from seepage.errors import InputError
from seepage.models.held_out import HeldOut
from seepage.models.recipe import BestValidation, Procedure
from seepage.models.train import train, train_models
from seepage.models.wrapper import Wrapped, Wrapper
from seepage.signals.collect import collect, training_keys
from tests.flat import audit

RNG = np.random.default_rng(3)
POOL = Pool(RNG.normal(size=(60, 5)).astype(np.float32), RNG.integers(0, 3, 60))
COLUMNS = np.zeros((60, 4), dtype=bool)
COLUMNS[:40] = RNG.random((40, 4)) < 0.5
HELD_OUT = HeldOut(validation=np.arange(40, 50), population=np.arange(50, 60))
PLAIN = Recipe(MLP, SGD(0.1), epochs=2, batch_size=8, version="1")


class Raised(Wrapped):
    def __init__(self, module):
        super().__init__(module)
        self.register_buffer("by", torch.zeros(()))

    def forward(self, x):
        return self.module(x) + torch.arange(3) * self.by


@dataclass(frozen=True)
class Raise(Wrapper):
    """Adds to each logit its place times the number of members and a part that only the seed gives."""

    uses: ClassVar = frozenset({"validation"})

    def around(self, module, input_shape, n_classes):
        return Raised(module)

    def _fit(self, wrapped, records, members, held_out, *, seed):
        wrapped.by.fill_(len(members) + len(held_out.need("validation", 1, "raising")) / 100 + seed % 7)


@dataclass(frozen=True)
class Halved(Procedure):
    """Trains on the first half of the members, in twos."""

    chunk: ClassVar[int] = 2
    uses: ClassVar = frozenset({"population"})

    def train(self, recipe, records, columns, seeds, held_out, report):
        held_out.need("population", 10, "halving")
        halves = [column[: len(column) // 2] for column in columns]
        return train_models(recipe, records, halves, seeds, held_out=held_out, report=report)


def collected(recipe, **options):
    # Which engine is the faster depends on the hour: runs that are compared train by the same one.
    engine = {"engine": "single"} if recipe.procedure is None else {}
    return collect(recipe, POOL, COLUMNS, root_seed=5, held_out=HELD_OUT, workers=0, **engine | options)


def test_models_answer_through_the_wrapper_that_was_fitted_for_each():
    plain, raised = collected(PLAIN), collected(replace(PLAIN, wrapper=Raise()), live=[1])
    gaps = (raised.logits - plain.logits)[:, :, 0]  # (samples, models, classes)
    assert np.allclose(gaps[..., 0], 0)
    seeds = [collecting.seed_of(key) for key in training_keys(PLAIN, POOL, COLUMNS, 5)]
    expected = COLUMNS.sum(axis=0) + 0.1 + np.array([seed % 7 for seed in seeds])
    assert np.allclose(gaps[..., 1], expected, atol=1e-4)
    assert np.allclose(gaps[..., 2], 2 * expected, atol=1e-4)
    with torch.no_grad():  # what is kept of a live model answers as it did
        again = raised.modules[1](torch.from_numpy(POOL.batch())).numpy()
    assert np.array_equal(again, raised.logits[:, 1, 0])


def test_recipes_that_differ_in_the_wrapper_alone_train_once_in_a_weights_cache(tmp_path, monkeypatch):
    raised = replace(PLAIN, wrapper=Raise())
    without = [collected(PLAIN).logits, collected(raised).logits]
    first = collected(PLAIN, weights_cache=tmp_path / "cache").logits
    monkeypatch.setattr(collecting, "train_models", lambda *_, **__: pytest.fail("trained again"))
    second = collected(raised, weights_cache=tmp_path / "cache").logits
    assert np.array_equal(first, without[0])
    assert np.array_equal(second, without[1])


def test_another_training_finds_nothing_of_its_own_in_the_weights_cache(tmp_path):
    collected(PLAIN, weights_cache=tmp_path)
    longer = replace(PLAIN, epochs=4)
    assert np.array_equal(collected(longer, weights_cache=tmp_path).logits, collected(longer).logits)


def test_a_procedure_trains_the_models_of_a_run_whatever_its_chunks(tmp_path):
    halved = replace(PLAIN, procedure=Halved())
    found = collected(halved, folder=tmp_path)
    assert found.plan.engine == "procedure"
    assert (found.plan.chunk, found.plan.stacked_step_s) == (2, None)
    seeds = [collecting.seed_of(key) for key in training_keys(halved, POOL, COLUMNS, 5, HELD_OUT)]
    for model, (column, seed) in enumerate(zip(COLUMNS.T, seeds, strict=True)):
        half = np.flatnonzero(column)[: column.sum() // 2]
        alone = train_models(PLAIN, collecting.Records.of(POOL), [half], [seed])[0]
        with torch.no_grad():
            logits = alone(torch.from_numpy(POOL.batch())).numpy()
        assert np.abs(logits - found.logits[:, model, 0]).max() < 1e-5
    assert collected(halved, folder=tmp_path).n_resumed == 2


def test_the_engine_cannot_be_chosen_for_a_procedure_nor_a_procedure_for_steps():
    with pytest.raises(InputError, match="trains by it, not by the engine 'stacked'"):
        collected(replace(PLAIN, procedure=Halved()), engine="stacked")
    with pytest.raises(InputError, match="for recipes that have one"):
        collected(PLAIN, engine="procedure")


def test_keys_name_the_held_out_records_of_recipes_that_use_some():
    other = replace(HELD_OUT, validation=np.arange(40, 49))
    choosing = replace(PLAIN, stop=BestValidation())
    assert training_keys(PLAIN, POOL, COLUMNS, 1, HELD_OUT) == training_keys(PLAIN, POOL, COLUMNS, 1, other)
    assert training_keys(choosing, POOL, COLUMNS, 1, HELD_OUT) != training_keys(choosing, POOL, COLUMNS, 1, other)


def test_one_training_takes_masks_and_refuses_those_that_overlap():
    members = COLUMNS[:, 0]
    masks = {name: np.isin(np.arange(60), getattr(HELD_OUT, name)) for name in ("validation", "population")}
    recipe = replace(PLAIN, procedure=Halved(), wrapper=Raise())
    module = train(recipe, POOL, members, **masks, rng=np.random.default_rng(0))
    assert isinstance(module, Raised)
    with pytest.raises(InputError, match="population records are not trained on"):
        train(PLAIN, POOL, members, population=members, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="raising needs validation records"):
        train(replace(PLAIN, wrapper=Raise()), POOL, members, rng=np.random.default_rng(0))


def test_a_drawn_membership_sets_validation_records_aside_for_a_recipe_that_chooses_by_some():
    recipe = replace(PLAIN, stop=BestValidation())
    options = {"references": 4, "attacks": ["loss"], "controls": False, "engine": "single", "workers": 0}
    result = audit(None, POOL, recipe=recipe, **options)
    plain = audit(None, POOL, recipe=PLAIN, **options)
    n = [r.attacks[0].n_members + r.attacks[0].n_nonmembers for r in (result, plain)]
    assert n == [42, 48]
