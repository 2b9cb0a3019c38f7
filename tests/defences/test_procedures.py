"""SELENA, DMP, distillation and adversarial regularisation: what each shows to whom, and limiting cases."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch

import seepage.defences.dmp as dmp
import seepage.defences.selena as selena
from seepage import MLP, SGD, Adam, Pool, Recipe
from seepage.defences import defended, find_defence
from seepage.defences.adversarial_regularisation import Attack, Network
from seepage.defences.students import answers, distillation_loss, student_recipe, train_student
from seepage.errors import InputError
from seepage.models.held_out import HeldOut
from seepage.models.optimisers import Steps
from seepage.models.recipe import BestValidation, StopAt
from seepage.models.records import Records
from seepage.models.train import train_models
from tests.reference import procedures as naive

RNG = np.random.default_rng(2)
POOL = Pool(RNG.normal(size=(120, 6)).astype(np.float32), RNG.integers(0, 3, 120))
RECORDS = Records.of(POOL)
COLUMNS = [np.arange(0, 60), np.arange(20, 70)]
HELD_OUT = HeldOut(validation=np.arange(70, 85), population=np.arange(85, 120))
RECIPE = Recipe(functools.partial(MLP, hidden=(16,)), SGD(0.2), epochs=6, batch_size=10)
QUICK = {
    "selena": {"sub_models": 5, "left_out": 2},
    "dmp": {"n_synthetic": 60, "generator_steps": 20},
    "distillation": {},
    "adversarial-regularisation": {"attack_steps": 3},
}


def trained(recipe, columns=COLUMNS, seeds=(1, 2)):
    return train_models(recipe, RECORDS, columns, seeds, held_out=HELD_OUT)


def difference(one, other):
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


@pytest.mark.parametrize("name", QUICK)
def test_a_model_is_the_same_beside_others_and_loads_into_the_recipe_s_skeleton(name):
    recipe = defended(RECIPE, name, **QUICK[name])
    both = trained(recipe)
    (alone,) = trained(recipe, COLUMNS[1:], (2,))
    assert difference(both[1], alone) < 1e-5
    assert difference(both[0], both[1]) > 1e-2
    assert not both[0].training
    skeleton = recipe.skeleton((6,), 3)
    skeleton.load_state_dict(both[0].state_dict())
    assert difference(skeleton, both[0]) == 0


@pytest.mark.parametrize("name", QUICK)
def test_the_epoch_can_be_chosen_by_validation_records(name):
    recipe = defended(replace(RECIPE, stop=BestValidation(), epochs=3), name, **QUICK[name])
    assert "validation" in recipe.uses
    assert len(trained(recipe)) == 2


def test_each_member_is_left_out_of_exactly_l_sub_models_and_by_chance():
    left_out = selena.assign(500, 25, 10, np.random.default_rng(0))
    assert (left_out.sum(axis=1) == 10).all()
    assert np.abs(left_out.mean(axis=0) - 0.4).max() < 5 * np.sqrt(0.24 / 500)
    assert len(np.unique(left_out, axis=0)) > 490


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_soft_labels_are_the_mean_of_the_models_that_did_not_see_the_member(average):
    members = np.array([3, 40, 7, 90])
    modules = [RECIPE.build((6,), 3, seed).eval() for seed in range(5)]
    is_left_out = selena.assign(4, 5, 2, np.random.default_rng(1))
    found = selena.soft_labels(modules, RECORDS, members, is_left_out, average)
    each = [answers(module, RECORDS, members).tolist() for module in modules]
    assert np.allclose(found, naive.split_ai(each, is_left_out, average), atol=1e-6)
    assert np.allclose(found.sum(1), 1)


def test_no_sub_model_is_trained_on_a_member_that_it_answers_for(monkeypatch):
    seen, plain = [], selena.train_models

    def watching(recipe, records, columns, seeds, **how):
        seen.extend(columns)
        return plain(recipe, records, columns, seeds, **how)

    asked = {}

    def soft(modules, records, members, is_left_out, average):
        asked["left out"], asked["members"] = is_left_out, members
        return torch.full((len(members), 3), 1 / 3)

    monkeypatch.setattr(selena, "train_models", watching)
    monkeypatch.setattr(selena, "soft_labels", soft)
    trained(defended(RECIPE, "selena", **QUICK["selena"]), COLUMNS[:1], (1,))
    assert len(seen) == 5
    for column, out in zip(seen, asked["left out"].T, strict=True):
        assert not set(asked["members"][out]) & set(column)
        assert set(asked["members"]) == set(column) | set(asked["members"][out])


@pytest.mark.parametrize(("temperature", "weight"), [(1.0, 1.0), (4.0, 0.3), (2.0, 0.0)])
def test_the_student_s_loss(temperature, weight):
    logits, targets = torch.randn(4, 3), torch.rand(9, 3).softmax(1)
    rows, labels = torch.tensor([8, 0, 3, 3]), torch.randint(0, 3, (9,))
    found = distillation_loss(logits, rows, targets, labels, temperature, weight)
    expected = naive.distillation(logits.tolist(), targets[rows].tolist(), labels[rows].tolist(), temperature, weight)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_a_student_that_is_taught_for_long_answers_as_its_teacher():
    (teacher,) = trained(RECIPE, COLUMNS[:1], (1,))
    rows = np.arange(60)
    targets = answers(teacher, RECORDS, rows).softmax(1)
    recipe = student_recipe(replace(RECIPE, optimiser=Adam(0.01)), 3, None, 300)
    student = train_student(
        recipe, RECORDS, RECORDS.inputs[:60], targets, seed=5, held_out=HeldOut(), report=lambda fraction: None
    )
    gap = (answers(student, RECORDS, rows).softmax(1) - targets).abs().max()
    assert float(gap) < 0.05
    assert difference(student, teacher) > 0.1


def test_students_of_the_hamp_paper_take_its_steps():
    found = student_recipe(replace(RECIPE, stop=StopAt(0.9)), 30, 1.0, 100)
    assert found.optimiser == SGD(1 / 30, momentum=0.99, weight_decay=1e-5 * 30)
    assert (found.schedule, found.reset_optimiser, found.shuffle) == (Steps((60, 90, 150), 0.1), True, False)
    assert (found.stop, found.epochs) == (None, 100)


def test_dmp_shows_the_student_no_member_and_nothing_of_the_labels(monkeypatch):
    shown, plain = {}, dmp.train_student

    def watching(recipe, records, inputs, targets, **how):
        shown.update(inputs=inputs, targets=targets, how=how)
        return plain(recipe, records, inputs, targets, **how)

    monkeypatch.setattr(dmp, "train_student", watching)
    trained(defended(RECIPE, "dmp", **QUICK["dmp"]), COLUMNS[:1], (1,))
    assert shown["inputs"].shape == (60, 6)
    originals = {tuple(row) for row in POOL.inputs.tolist()}
    assert not originals & {tuple(row) for row in shown["inputs"].tolist()}
    assert "labels" not in shown["how"]
    assert torch.allclose(shown["targets"].sum(1), torch.ones(60))


def test_dmp_makes_many_records_a_block_at_a_time_and_few_as_at_once(monkeypatch):
    def made(n):
        defence = defended(RECIPE, "dmp", n_synthetic=n, generator_steps=20).procedure
        return defence.synthetic(RECORDS, np.arange(40), 3, lambda fraction: None)

    at_once = made(10)
    monkeypatch.setattr(dmp, "MADE_AT_ONCE", 10)
    blocks = made(25)
    assert (blocks.shape, blocks.dtype) == ((25, *RECORDS.input_shape), at_once.dtype)
    assert torch.equal(blocks[:10], at_once)
    assert len(np.unique(blocks.numpy(), axis=0)) == 25  # no block repeats another
    assert torch.equal(made(10), at_once)


def test_dmp_takes_images_from_a_gan_too():
    pool = Pool(RNG.integers(0, 256, (40, 1, 8, 8), dtype=np.uint8), RNG.integers(0, 2, 40), scale=1 / 255)
    recipe = defended(replace(RECIPE, epochs=1), "dmp", generator="gan", generator_steps=2, n_synthetic=20)
    records = Records.of(pool)
    (module,) = train_models(recipe, records, [np.arange(30)], [3])
    assert answers(module, records, np.arange(40)).shape == (40, 2)
    made = recipe.procedure.synthetic(records, np.arange(30), 3, lambda fraction: None)
    assert (made.dtype, made.shape) == (torch.uint8, (20, 1, 8, 8))


def test_distillation_on_the_population_never_meets_a_member():
    defence = find_defence("distillation", on="population", temperature=1.0, weight=1.0)
    assert defence.uses == {"population"}
    assert find_defence("distillation").uses == frozenset()
    with pytest.raises(InputError, match="population"):
        train_models(defence.apply(RECIPE), RECORDS, COLUMNS[:1], [1])


def test_adversarial_regularisation_without_strength_is_the_plain_training():
    plain = trained(RECIPE)
    found = trained(defended(RECIPE, "adversarial-regularisation", alpha=0.0, attack_steps=2))
    assert max(map(difference, plain, found)) < 1e-5
    strong = trained(defended(RECIPE, "adversarial-regularisation", alpha=20.0, attack_lr=1e-2, attack_steps=20))
    assert difference(plain[0], strong[0]) > 1e-2


def test_its_attack_learns_to_tell_members_of_an_overfitted_model():
    members, references = np.arange(40), np.arange(60, 100)
    overfitted = replace(RECIPE, optimiser=Adam(0.03), epochs=150)
    (module,) = train_models(overfitted, RECORDS, [members], [1])
    attack = Attack(RECORDS, members, references, 10, 1e-3, 7)
    attack.train(module, 300)
    with torch.no_grad():
        sure = [
            float(attack.network(answers(module, RECORDS, rows), RECORDS.labels[rows]).mean())
            for rows in (members, references)
        ]
    assert sure[0] - sure[1] > 0.3
    assert isinstance(attack.network, Network)


def test_it_compares_with_population_records_that_are_no_members():
    recipe = defended(RECIPE, "adversarial-regularisation", **QUICK["adversarial-regularisation"])
    assert recipe.uses == {"population"}
    among = np.arange(85, 115)  # members of an audit's null model may be population records
    assert trained(recipe, [np.arange(85, 105)], (1,))
    with pytest.raises(InputError, match="adversarial regularisation needs population records"):
        trained(recipe, [among], (1,))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("selena", {"left_out": 25}, "below sub_models"),
        ("selena", {"average": "logit"}, "did you mean 'logits'"),
        ("dmp", {"generator": "vea"}, "did you mean 'vae'"),
        ("dmp", {"n_synthetic": 0}, "n_synthetic"),
        ("dmp", {"temperature": 0.0}, "temperature"),
        ("distillation", {"weight": 1.5}, "weight"),
        ("distillation", {"on": "member"}, "did you mean 'members'"),
        ("adversarial-regularisation", {"alpha": -1.0}, "alpha"),
        ("adversarial-regularisation", {"attack_steps": 0}, "attack_steps"),
    ],
)
def test_options_that_cannot_be_are_refused(name, options, says):
    with pytest.raises(InputError, match=says):
        find_defence(name, **options)


@pytest.mark.parametrize("name", QUICK)
def test_two_procedures_do_not_go_together(name):
    with pytest.raises(InputError, match="trains by a procedure"):
        defended(defended(RECIPE, name), "dp-sgd" if name != "dp-sgd" else "dmp")
