"""The controls of a whole audit: what they are judged by, and what they catch."""

from dataclasses import replace

import numpy as np
import pytest

import seepage
from seepage.data import plant
from seepage.studies.audit.controls import CONTROL_SHARE
from seepage.studies.audit.gather import Trainer

RECIPE = seepage.Recipe(seepage.MLP, optimiser=seepage.Adam(lr=1e-2), epochs=20, batch_size=32)


def pool_of(n, rng, noisy):
    """Two classes a plane apart; `noisy` records have a label drawn by a coin."""
    inputs = rng.normal(size=(n, 20)).astype(np.float32)
    labels = (inputs[:, 0] > 0).astype(np.int64)
    labels[noisy] = rng.integers(0, 2, noisy.sum())
    return seepage.Pool(inputs, labels)


def audited(noisy_side):
    rng = np.random.default_rng(0)
    members = rng.random(2400) < 0.4
    noisy = (~members if noisy_side else True) & (rng.random(2400) < 0.6)
    pool = pool_of(2400, rng, noisy)
    membership = seepage.Membership.fixed(
        pool, members=members, origin="declared", population=500, references=4, rng=np.random.default_rng(1)
    )
    model = seepage.train(RECIPE, pool, membership.target, rng=np.random.default_rng(2))
    result = seepage.audit_recipe(
        RECIPE,
        pool,
        membership,
        model=model,
        attacker=seepage.Attacker(attacks=["loss", "attack-r"]),
        run=seepage.Run(seed=3),
    )
    return result, {gate.name: gate for gate in result.gates}


def test_non_members_that_are_harder_are_no_leak_and_the_null_model_says_so():
    """A model that saw no audited record finds the clean labels easier: the sides differ by more than training."""
    result, gates = audited(noisy_side=True)
    assert gates["null model"].status == "fail"
    assert result.verdict == "INVALID"


def test_sides_that_a_coin_drew_let_the_null_model_stay_silent():
    """The target has learnt its noisy labels by heart and is found; the stranger in its place is not."""
    result, gates = audited(noisy_side=False)
    assert result.verdict == "LEAK SHOWN"
    assert result.attacks[0].p_value_holm < 1e-6
    assert gates["null model"].status == "pass"
    assert {control.name: control.expects for control in result.controls} == {
        "null model": "nothing found",
        "positive control": "leak found",
    }
    assert 0 < CONTROL_SHARE < 0.5


def test_the_positive_control_takes_as_many_steps_as_the_references_even_where_canaries_are_few(monkeypatch):
    """Every model of a canary audit is trained on nearly all records, the control on a few canaries alone."""
    trained, train = {}, Trainer.train

    def counting(self, pool, columns, name, held_out, recipe=None, live=()):
        trained[name] = (recipe or self.recipe).epochs * columns.sum(axis=0).mean()
        return train(self, pool, columns, name, held_out, recipe, live)

    monkeypatch.setattr(Trainer, "train", counting)
    rng = np.random.default_rng(0)
    planted = plant(pool_of(300, rng, np.zeros(300, dtype=bool)), "mislabelled", n=40, rng=rng)
    membership = seepage.Membership.canaries_in_turns(
        planted.pool, canaries=planted.canaries, models=4, population=50, rng=rng
    )
    recipe = replace(RECIPE, epochs=1)
    seepage.audit_recipe(
        recipe,
        planted.pool,
        membership,
        attacker=seepage.Attacker(attacks=["loss"]),
        run=seepage.Run(engine="single", workers=0),
    )
    assert trained["positive-control"] == pytest.approx(trained["models"])
