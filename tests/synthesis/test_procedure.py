from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import gamma as gamma_law
from scipy.stats import kstest

import seepage
from seepage.data import Membership, Pool
from seepage.errors import InputError
from seepage.models.held_out import HeldOut
from seepage.models.recipe import BestValidation
from seepage.models.records import Records
from seepage.models.train import train_models
from seepage.synthesis import procedure as module
from seepage.synthesis.mechanism import latent_noise
from seepage.synthesis.procedure import TrainOnSynthetic

DIGITS = seepage.load("digits").subset(range(400))
SMALL = TrainOnSynthetic(latent=8, epochs=100, batch_size=32, network="mlp", width=128)
SHORT = replace(SMALL, epochs=2)
RECIPE = seepage.Recipe(seepage.MLP, epochs=20)


def trained(procedure, columns, seeds, held_out=None, recipe=RECIPE):
    recipe = replace(recipe, procedure=procedure)
    return train_models(recipe, Records.of(DIGITS), columns, seeds, held_out=held_out)


def accuracy(model, rows):
    with torch.no_grad():
        return float((model(torch.from_numpy(DIGITS.batch(rows))).argmax(1).numpy() == DIGITS.labels[rows]).mean())


def test_radius_and_direction_of_the_noise():
    noise = latent_noise(4000, 6, 3.0, np.random.default_rng(0))
    radius = np.linalg.norm(noise, axis=1)
    assert radius.mean() == pytest.approx(6 / 3, rel=0.03)
    assert kstest(radius, gamma_law(6, scale=1 / 3).cdf).pvalue > 0.01
    np.testing.assert_allclose((noise / radius[:, None]).mean(axis=0), 0, atol=0.03)
    assert noise.std() == pytest.approx(np.sqrt(7) / 3, rel=0.03)  # sqrt(n + 1) / epsilon


def test_a_model_learns_from_the_release():
    (model,) = trained(SMALL, [np.arange(300)], [1])
    assert accuracy(model, np.arange(300, 400)) > 0.6


def test_the_release_has_a_record_for_each_member_in_order_and_epsilon_changes_only_the_noise():
    members = DIGITS.subset(range(300))
    vae = SMALL.generator(members, seed=3)
    exact, near, far = (replace(SMALL, epsilon=e).release(members, seed=3, vae=vae) for e in (None, 1e6, 1.0))
    for release in (exact, near, far):
        assert (release.labels == members.labels).all()
        assert release.inputs.shape == members.inputs.shape
        assert (release.n_classes, release.scale) == (members.n_classes, members.scale)
    np.testing.assert_allclose(near.inputs, exact.inputs, atol=0.05)
    own, next_one = (
        np.linalg.norm(exact.inputs - members.inputs[rows], axis=1) for rows in (range(300), range(-1, 299))
    )
    assert own.mean() < 0.8 * next_one.mean()
    assert np.linalg.norm(far.inputs - members.inputs, axis=1).mean() > own.mean()


def test_originals_reach_the_model_through_the_release_alone(monkeypatch):
    seen = []

    def learnt(recipe, records, columns, seeds, **options):
        seen.append((records, columns, options["held_out"]))
        return [recipe.build(records.input_shape, records.n_classes, 0).eval()]

    monkeypatch.setattr(module, "train_models", learnt)
    held_out = HeldOut(np.arange(350, 360), np.arange(360, 375))
    SHORT.train(RECIPE, Records.of(DIGITS), [np.arange(300)], [1], held_out, lambda fraction: None)
    ((records, (rows,), aside),) = seen
    release = SHORT.release(DIGITS.subset(range(300)), seed=1)
    np.testing.assert_array_equal(records.inputs[rows], release.inputs)
    np.testing.assert_array_equal(records.inputs[aside.validation], DIGITS.inputs[350:360])
    np.testing.assert_array_equal(records.labels[aside.population], DIGITS.labels[360:375])
    assert len(records.inputs) == 325


def test_each_model_is_its_own_whichever_others_are_trained_beside_it():
    first, second = np.arange(0, 200), np.arange(100, 300)
    together, alone = trained(SHORT, [first, second], [1, 2]), trained(SHORT, [second], [2])
    for a, b in zip(together[1].parameters(), alone[0].parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(next(together[0].parameters()), next(together[1].parameters()))


def test_a_rule_that_chooses_by_validation_is_given_some():
    recipe = replace(RECIPE, stop=BestValidation())
    (model,) = trained(SHORT, [np.arange(300)], [1], HeldOut(validation=np.arange(300, 350)), recipe)
    assert not model.training
    with pytest.raises(InputError, match="validation"):
        trained(SHORT, [np.arange(300)], [1], recipe=recipe)


def test_an_audit_trains_the_whole_pipeline_for_every_model():
    pipeline = replace(SHORT, epsilon=4.0)
    recipe = replace(RECIPE, epochs=2, procedure=pipeline)
    membership = Membership.every_model(DIGITS, references=6, rng=np.random.default_rng(0))
    attacks = ["loss", "rmia-online"]
    result = seepage.audit_recipe(
        recipe,
        DIGITS,
        membership,
        attacker=seepage.Attacker(attacks=attacks),
        settings=seepage.Settings(controls=False),
        run=seepage.Run(workers=1),
    )
    assert result.training.recipe["procedure"]["kind"] == "TrainOnSynthetic"
    assert result.training.recipe["procedure"]["epsilon"] == 4.0
    assert {attack.name for attack in result.attacks} == set(attacks)


@pytest.mark.parametrize("options", [{"epsilon": 0.0}, {"epsilon": np.inf}, {"latent": 0}, {"epochs": 1.5}])
def test_options_out_of_range(options):
    with pytest.raises(InputError, match=next(iter(options))):
        TrainOnSynthetic(**options)


def test_values_are_drawn_where_the_decoder_gives_chances():
    bits = Pool((DIGITS.inputs > 0.5).astype(np.uint8), DIGITS.labels, n_classes=10)
    drawn, likeliest = (replace(SHORT, draw=d) for d in (True, False))
    vae = SHORT.generator(bits, seed=0)
    expected = vae.decode(vae.encode(bits.inputs, bits.labels), bits.labels)
    np.testing.assert_array_equal(likeliest.release(bits, seed=0, vae=vae).inputs, expected > 0.5)
    one = drawn.release(bits, seed=0, vae=vae).inputs
    assert one.mean() == pytest.approx(expected.mean(), abs=0.01)
    assert (one != (expected > 0.5)).mean() > 0.05
    np.testing.assert_array_equal(one, drawn.release(bits, seed=0, vae=vae).inputs)
