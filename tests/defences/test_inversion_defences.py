"""TL-DMI, MID, BiDO and negative label smoothing: formulas by hand, limiting cases, and what sees whom."""

import functools
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import seepage.defences.pretraining as pretraining
import seepage.defences.tl_dmi as tl_dmi
from seepage import CNN, MLP, SGD, Adam, Pool, Recipe
from seepage.defences import defended, find_defence
from seepage.defences.bido import MEASURES, BiDO, gaussian, hidden_layers, linear
from seepage.defences.bottleneck import Bottleneck, divergence, moments, with_bottleneck
from seepage.defences.negative_label_smoothing import negative_label_smoothing
from seepage.defences.one_by_one import seeds_from
from seepage.defences.penalised import Penalised
from seepage.defences.tl_dmi import trained_parameters, transferred
from seepage.errors import DataFileError, InputError
from seepage.models.architectures import build
from seepage.models.freezing import FrozenBatchNorm
from seepage.models.held_out import HeldOut
from seepage.models.images import to_shape
from seepage.models.recipe import BestValidation, StopAt, cross_entropy
from seepage.models.records import Records
from seepage.models.train import train_models
from seepage.models.trial import try_recipe
from seepage.writing import DamagedFile
from tests.defences import trained as small
from tests.reference import inversion_defences as naive

RNG = np.random.default_rng(3)
# 60 records of classes 0 to 2, then 40 of strangers' classes 5, 7, 8 and 9.
LABELS = np.concatenate([np.arange(60) % 3, np.array([5, 7, 8, 9])[np.arange(40) % 4]])
IMAGES = RNG.integers(0, 256, (100, 1, 8, 8), dtype=np.uint8)
RECORDS = replace(Records.of(Pool(IMAGES, LABELS, scale=1 / 255)), n_classes=3)
COLUMNS = [np.arange(0, 40), np.arange(15, 50)]
HELD_OUT = HeldOut(validation=np.arange(50, 60), population=np.arange(60, 100))
RECIPE = Recipe(functools.partial(CNN, widths=(4, 6)), SGD(0.05, weight_decay=0.01), epochs=3, batch_size=8)
NAMES = {"tl-dmi": {"freeze": "body.3"}, "mid": {}, "bido-hsic": {}, "bido-coco": {}, "neg-ls": {"alpha": -0.5}}


def trained(recipe, columns=COLUMNS, seeds=(1, 2), records=RECORDS, held_out=HELD_OUT):
    return train_models(recipe, records, columns, seeds, held_out=held_out)


def difference(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return max(float((a - b).abs().max()) for a, b in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_the_same_beside_others_and_loads_into_the_recipe_s_skeleton(name):
    recipe = defended(RECIPE, name, **NAMES[name])
    both = trained(recipe)
    (alone,) = trained(recipe, COLUMNS[1:], (2,))
    assert difference(both[1], alone) < 1e-5
    assert difference(both[0], both[1]) > 1e-2
    assert not both[0].training
    skeleton = recipe.skeleton((1, 8, 8), 3)
    skeleton.load_state_dict(both[0].state_dict())
    assert difference(skeleton, both[0]) == 0
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in both[0].modules())
    assert recipe.is_registered
    assert recipe.fingerprint != RECIPE.fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_it_is_not_the_plain_training_and_can_choose_its_epoch(name):
    (plain,) = trained(RECIPE, COLUMNS[:1], (1,))
    recipe = defended(replace(RECIPE, stop=BestValidation()), name, **NAMES[name])
    assert "validation" in recipe.uses
    (chosen,) = trained(recipe, COLUMNS[:1], (1,))
    (found,) = trained(defended(RECIPE, name, **NAMES[name]), COLUMNS[:1], (1,))
    x = RECORDS.batch(torch.arange(20))
    assert not torch.allclose(found(x), plain(x), atol=1e-3)
    assert torch.isfinite(chosen(x)).all()


# TL-DMI


def watched(monkeypatch):
    """What `train_models` is asked for, and the models that it gives."""
    calls, plain = [], tl_dmi.train_models

    def watching(recipe, records, columns, seeds, **how):
        models = plain(recipe, records, columns, seeds, **how)
        states = [{name: value.clone() for name, value in model.state_dict().items()} for model in models]
        calls.append((recipe, records, columns, seeds, states))
        return models

    monkeypatch.setattr(tl_dmi, "train_models", watching)
    return calls


def test_the_frozen_layers_of_the_result_are_the_pre_trained_ones_bit_for_bit(monkeypatch):
    calls = watched(monkeypatch)
    recipe = defended(RECIPE, "tl-dmi", freeze="body.3")
    (model,) = trained(recipe, COLUMNS[:1], (1,))
    (before,), after = calls[0][4], model.state_dict()
    same = {
        name for name in after if before[name].shape == after[name].shape and torch.equal(before[name], after[name])
    }
    # Layers of the body: conv, pool, norm, relu, and these once more. The first conv and its norm, statistics and all.
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert same == {"body.0.weight"} | {f"body.2.{n}" for n in norm}
    assert not any(isinstance(layer, FrozenBatchNorm) for layer in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert trained_parameters(recipe, model) == 4 * 6 * 9 + 2 * 6 + 6 * 4 * 3 + 3
    assert trained_parameters(RECIPE, model) == trained_parameters(recipe, model) + 4 * 9 + 2 * 4


def test_it_is_pre_trained_on_strangers_alone_with_labels_of_their_own(monkeypatch):
    calls = watched(monkeypatch)
    (model,) = trained(defended(RECIPE, "tl-dmi", freeze=1, pretraining_epochs=2, lr=0.01), COLUMNS[:1], (1,))
    (first, lesson, (rows,), seeds, _), (second, records, columns, tuned_seeds, _) = calls
    assert set(rows) == set(range(60, 100))
    assert lesson.n_classes == 4
    assert lesson.labels[60:64].tolist() == [0, 1, 2, 3]
    assert set(lesson.labels[:60].tolist()) == {-1}  # nothing can be learnt from a member's label by mistake
    assert (first.epochs, first.optimiser, first.objective) == (2, RECIPE.optimiser, cross_entropy)
    assert (second.epochs, second.optimiser) == (RECIPE.epochs, replace(RECIPE.optimiser, lr=0.01))
    assert records is RECORDS
    assert np.array_equal(columns[0], COLUMNS[0])
    assert tuned_seeds == [1] != seeds
    assert model(RECORDS.batch(torch.arange(2))).shape == (2, 3)


def test_members_among_the_population_are_left_out_of_the_pre_training(monkeypatch):
    calls = watched(monkeypatch)
    records = replace(RECORDS, labels=RECORDS.labels % 3)
    trained(defended(RECIPE, "tl-dmi", freeze=1), [np.array([0, 1, 61, 62])], (1,), records)
    assert set(calls[0][2][0]) == set(range(60, 100)) - {61, 62}
    calls.clear()  # a null model, which is trained on the population alone and on all of it
    trained(defended(RECIPE, "tl-dmi", freeze=1), [np.arange(60, 100)], (1,), records)
    assert set(calls[0][2][0]) == set(range(60, 100))


def test_rules_that_look_at_the_members_classes_are_not_those_of_the_pre_training(monkeypatch):
    calls = watched(monkeypatch)
    trained(defended(defended(replace(RECIPE, stop=BestValidation()), "neg-ls"), "tl-dmi"), COLUMNS[:1], (1,))
    trained(defended(replace(RECIPE, stop=StopAt(0.9)), "tl-dmi"), COLUMNS[:1], (1,))
    assert [call[0].stop for call in calls] == [None, BestValidation(), StopAt(0.9), StopAt(0.9)]
    assert calls[0][0].objective is cross_entropy
    assert calls[1][0].objective is not cross_entropy


def test_nothing_frozen_is_the_plain_training_from_the_pre_trained_weights(tmp_path):
    path = tmp_path / "start.safetensors"
    start = RECIPE.build((1, 8, 8), 7, 99)
    safetensors.torch.save_file(start.state_dict(), path)
    recipe = defended(RECIPE, "tl-dmi", freeze=0, pretrain=str(path))
    assert recipe.uses == frozenset()
    (found,) = trained(recipe, COLUMNS[:1], (1,), held_out=HeldOut())

    def from_start(input_shape, n_classes):
        module = RECIPE.model(input_shape, n_classes)
        body = {name: value for name, value in start.state_dict().items() if not name.startswith("head")}
        module.load_state_dict(body, strict=False)
        return module

    (expected,) = train_models(replace(RECIPE, model=from_start), RECORDS, COLUMNS[:1], [1])
    assert difference(found, expected) == 0


@pytest.mark.parametrize("nothing", [0, 0.0])
def test_nothing_frozen_leaves_all_parameters_to_the_members(nothing):
    recipe = defended(RECIPE, "tl-dmi", freeze=nothing)
    (model,) = trained(recipe, COLUMNS[:1], (1,))
    assert trained_parameters(recipe, model) == sum(p.numel() for p in model.parameters())
    state = RECIPE.build((1, 8, 8), 7, 99).state_dict()
    module = transferred((1, 8, 8), 3, RECIPE.model, state, nothing)
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert not any(isinstance(layer, FrozenBatchNorm) for layer in module.modules())
    assert torch.equal(module.body[0].weight, state["body.0.weight"])


def test_the_head_is_new_also_where_strangers_have_as_many_classes():
    state = RECIPE.build((1, 8, 8), 3, 99).state_dict()
    torch.manual_seed(1)
    module = transferred((1, 8, 8), 3, RECIPE.model, state, 1)
    assert torch.equal(module.body[0].weight, state["body.0.weight"])
    assert not torch.equal(module.head.weight, state["head.weight"])


def test_layers_that_were_not_loaded_are_never_frozen():
    """The released code looks for weights under another name, loads none, and freezes random blocks."""
    state = RECIPE.build((1, 8, 8), 3, 99).state_dict()
    renamed = {f"feature.{name}": value for name, value in state.items()}
    with pytest.raises(InputError, match=r"expected 'body.0.weight' of shape \(4, 1, 3, 3\), got none"):
        transferred((1, 8, 8), 3, RECIPE.model, renamed, 1)
    with pytest.raises(InputError, match=r"got one of shape \(5, 1, 3, 3\)"):
        transferred((1, 8, 8), 3, RECIPE.model, {**state, "body.0.weight": torch.zeros(5, 1, 3, 3)}, 1)
    for upto in (5, 1.0, "head"):
        with pytest.raises(InputError, match=r"leaves the head as it was drawn .* before head"):
            transferred((1, 8, 8), 3, RECIPE.model, state, upto)


def test_a_file_of_weights_is_the_one_that_was_named(tmp_path):
    path = tmp_path / "start.safetensors"
    safetensors.torch.save_file(RECIPE.build((1, 8, 8), 7, 99).state_dict(), path)
    recipe = defended(RECIPE, "tl-dmi", pretrain=str(path))
    other = tmp_path / "other.safetensors"
    safetensors.torch.save_file(RECIPE.build((1, 8, 8), 7, 98).state_dict(), other)
    assert defended(RECIPE, "tl-dmi", pretrain=str(other)).fingerprint != recipe.fingerprint
    other.replace(path)
    with pytest.raises(DataFileError, match="not the file that the recipe names"):
        trained(recipe, COLUMNS[:1], (1,))
    with pytest.raises(DataFileError, match="there is no file"):
        defended(RECIPE, "tl-dmi", pretrain=str(tmp_path / "none"))


def test_it_needs_strangers_of_two_classes():
    recipe = defended(RECIPE, "tl-dmi")
    assert recipe.uses == {"population"}
    with pytest.raises(InputError, match="tl-dmi needs population records"):
        trained(recipe, held_out=HeldOut())
    with pytest.raises(InputError, match="all population records are of one"):
        trained(recipe, held_out=HeldOut(population=np.arange(60, 100, 4)))


def a_named_set(monkeypatch, tmp_path, n=30):
    """A data set of colour images of another size, three classes, in place of CIFAR-10; and an empty cache."""
    images = np.random.default_rng(8).integers(0, 256, (n, 3, 12, 12), dtype=np.uint8)
    asked = []

    def load(name, **options):
        asked.append((name, options))
        return Pool(images, np.arange(n) % 3, name=name, scale=1 / 255)

    monkeypatch.setattr(pretraining, "load", load)
    monkeypatch.setenv("SEEPAGE_DATA", str(tmp_path / "cache"))
    return images, asked


def test_a_named_data_set_is_brought_to_the_records_shape_and_scale(monkeypatch, tmp_path):
    images, _ = a_named_set(monkeypatch, tmp_path)
    found = pretraining.lesson("cifar10", None, RECORDS, np.arange(60))
    assert (found.inputs.shape, found.inputs.dtype, found.scale) == ((30, 1, 8, 8), torch.uint8, 1 / 255)
    assert (found.n_classes, found.labels[:4].tolist()) == (3, [0, 1, 2, 0])
    grey = torch.from_numpy(images).float().mean(1, keepdim=True)
    naive_mean = float(grey.mean())
    assert float(found.inputs.float().mean()) == pytest.approx(naive_mean, abs=1.5)
    floats = replace(RECORDS, inputs=RECORDS.inputs.float() / 255, scale=1.0)
    other = pretraining.lesson("cifar10", None, floats, np.arange(60))
    assert (other.inputs.dtype, other.scale) == (torch.float32, 1.0)
    torch.testing.assert_close(other.batch(torch.arange(30)), found.batch(torch.arange(30)))  # what a model gets
    few = pretraining.lesson("cifar10", 7, RECORDS, np.arange(60))
    assert len(few.inputs) == len(few.labels) == 7
    assert torch.equal(few.inputs, pretraining.lesson("cifar10", 7, RECORDS, np.arange(60)).inputs)


def test_settings_that_freeze_more_or_less_share_one_pre_training(monkeypatch, tmp_path):
    """One training on the named set for all targets, seeds and amounts of freezing, kept for the next study too."""
    a_named_set(monkeypatch, tmp_path)
    lessons, plain = [], pretraining.train_models
    monkeypatch.setattr(pretraining, "train_models", lambda *a, **k: lessons.append(a) or plain(*a, **k))
    models = {}
    for upto in (0, 1, 2, 4):
        recipe = defended(RECIPE, "tl-dmi", freeze=upto, pretrain="cifar10", pretraining_epochs=1)
        assert recipe.uses == frozenset()
        models[upto] = trained(recipe, held_out=HeldOut())
    assert len(lessons) == 1
    first = [one.state_dict()["body.0.weight"] for upto in (1, 2, 4) for one in models[upto]]
    assert all(torch.equal(one, first[0]) for one in first)  # whichever members and seed
    assert not torch.equal(models[0][0].state_dict()["body.0.weight"], first[0])  # nothing frozen: trained further
    (kept,) = (tmp_path / "cache" / "pretrained" / "units").iterdir()
    assert torch.equal(safetensors.torch.load_file(kept)["body.0.weight"], first[0])
    other = defended(RECIPE, "tl-dmi", freeze=2, pretrain="cifar10", pretraining_epochs=1, pretraining_seed=1)
    assert not torch.equal(trained(other)[0].state_dict()["body.0.weight"], first[0])
    kept.write_bytes(kept.read_bytes()[:100])  # damaged: made again, and the same
    recipe = defended(RECIPE, "tl-dmi", freeze=2, pretrain="cifar10", pretraining_epochs=1)
    with pytest.warns(DamagedFile, match="it is made again"):
        assert torch.equal(trained(recipe)[0].state_dict()["body.0.weight"], first[0])
    assert len(lessons) == 3


def test_a_repetition_of_a_study_pre_trains_anew_and_its_targets_share_that():
    named = find_defence("tl-dmi", pretrain="cifar10", pretraining_seed=5)
    assert [named.repeated(seed).pretraining_seed for seed in (0, 2)] == [5, 7]
    for other in ({"pretrain": "public"}, {"pretrain": "random"}):
        assert find_defence("tl-dmi", **other).repeated(2) == find_defence("tl-dmi", **other)


def test_a_data_set_that_holds_private_records_is_refused(monkeypatch, tmp_path):
    """Frozen layers that saw the members would be no defence, and look like one."""
    images, _ = a_named_set(monkeypatch, tmp_path)
    recipe = defended(RECIPE, "tl-dmi", pretrain="cifar10", pretraining_epochs=1)
    inputs = RECORDS.inputs.clone()
    inputs[55] = torch.from_numpy(to_shape(images[:1], (1, 8, 8)))[0]  # a record that is not even trained on
    with pytest.raises(InputError, match="1 images of pretrain='cifar10' are records of the pool too"):
        trained(recipe, records=replace(RECORDS, inputs=inputs))
    floats = replace(RECORDS, inputs=inputs.float() / 255, scale=1.0)
    with pytest.raises(InputError, match="1 images"):
        trained(recipe, records=floats)
    inputs[55], inputs[70] = RECORDS.inputs[55], inputs[55]  # the attacker's own images may be among them
    trained(recipe, COLUMNS[:1], (1,), records=replace(RECORDS, inputs=inputs))


def test_what_a_named_data_set_cannot_be_brought_to_is_said(monkeypatch, tmp_path):
    a_named_set(monkeypatch, tmp_path)
    recipe = defended(RECIPE, "tl-dmi", pretrain="cifar10")
    with pytest.raises(InputError, match=r"values from -1 to 1.*let the model normalise"):
        trained(recipe, records=replace(RECORDS, inputs=2 * RECORDS.inputs.float() / 255 - 1, scale=1.0))
    with pytest.raises(InputError, match="pretraining_records=31, and cifar10 has 30 images"):
        trained(replace(recipe, procedure=replace(recipe.procedure, pretraining_records=31)))
    table = Pool(RNG.random((20, 6)), np.arange(20) % 2)
    rows = Recipe(functools.partial(MLP, hidden=(8,)))
    with pytest.raises(InputError, match=r"are images, and the records have the shape \(6,\)"):
        try_recipe(defended(rows, "tl-dmi", pretrain="cifar10"), table, "defend")


def test_random_layers_are_frozen_as_they_were_drawn():
    recipe = defended(RECIPE, "tl-dmi", freeze="body.3", pretrain="random")
    assert recipe.uses == frozenset()
    one, other = trained(recipe, held_out=HeldOut())
    (again,) = trained(recipe, COLUMNS[:1], (1,), held_out=HeldOut())
    assert difference(one, again) == 0
    norm = one.state_dict()
    assert norm["body.2.running_mean"].abs().max() == 0  # no statistics of anything
    assert not torch.equal(one.body[0].weight, other.body[0].weight)  # each model draws its own
    drawn = RECIPE.build((1, 8, 8), 3, seeds_from(1, 1)[0]).state_dict()
    assert torch.equal(one.body[0].weight, drawn["body.0.weight"])
    assert not torch.equal(one.body[4].weight, drawn["body.4.weight"])
    assert trained_parameters(recipe, one) == 4 * 6 * 9 + 2 * 6 + 6 * 4 * 3 + 3


def test_a_file_may_hold_the_features_alone_and_nothing_of_another_model(tmp_path):
    state = RECIPE.build((1, 8, 8), 7, 99).state_dict()
    body = {name: value for name, value in state.items() if not name.startswith("head")}
    torch.save(body, tmp_path / "features.pt")
    (model,) = trained(
        defended(RECIPE, "tl-dmi", freeze="body.3", pretrain=str(tmp_path / "features.pt")), [COLUMNS[0]], (1,)
    )
    assert torch.equal(model.body[0].weight, state["body.0.weight"])
    deeper = functools.partial(CNN, widths=(4, 6, 8))(input_shape=(1, 8, 8), n_classes=7).state_dict()
    torch.save({**deeper, "head.weight": state["head.weight"]}, tmp_path / "deeper.pt")
    recipe = defended(RECIPE, "tl-dmi", pretrain=str(tmp_path / "deeper.pt"))
    pool = Pool(IMAGES[:60], LABELS[:60], scale=1 / 255)
    says = r"expected its 12 entries and no more than a head, got 'body.10.bias' \(6 such"
    with pytest.raises(InputError, match=says):
        try_recipe(recipe, pool, "defend")  # before anything is trained
    torch.save({"state": body}, tmp_path / "nested.pt")
    with pytest.raises(InputError, match="take the weights out"):
        try_recipe(defended(RECIPE, "tl-dmi", pretrain=str(tmp_path / "nested.pt")), pool, "defend")
    (tmp_path / "code.pkl").write_bytes(pickle.dumps(body["body.0.weight"].numpy()))
    with pytest.raises(InputError, match="holds no plain weights"):
        try_recipe(defended(RECIPE, "tl-dmi", pretrain=str(tmp_path / "code.pkl")), pool, "defend")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"pretrain": "cifar11"}, "did you mean 'cifar10'"),
        ({"pretrain": "adult"}, "rows of a table, expected a data set of images"),
        ({"pretrain": ""}, "the name of a data set, a file, 'public' or 'random'"),
        ({"pretrain": "weights.safetensors", "pretraining_epochs": 3}, "takes only sha256: leave pretraining_epochs="),
        ({"pretraining_records": 100}, "takes only pretraining_epochs: leave pretraining_records="),
        ({"pretrain": "random", "pretraining_seed": 1}, "takes nothing more: leave pretraining_seed="),
        ({"pretrain": "cifar10", "sha256": "00"}, "leave sha256="),
        ({"pretrain": "cifar10", "pretraining_records": 1}, "at least 2 or None, got 1"),
        ({"pretrain": "cifar10", "pretraining_seed": -1}, "at least 0, got -1"),
    ],
)
def test_sources_of_pre_training_that_cannot_be_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        find_defence("tl-dmi", **options)


# MID


def test_the_divergence_is_the_integral():
    assert float(divergence(torch.zeros(1, 3), torch.ones(1, 3))) == 0
    assert float(divergence(torch.tensor([[1.0]]), torch.tensor([[1.0]]))) == pytest.approx(0.5)
    # KL of N(0, e^-2) is e^-2 / 2 - 1 / 2 + 1
    assert float(divergence(torch.tensor([[0.0]]), torch.tensor([[math.exp(-1)]]))) == pytest.approx(
        math.exp(-2) / 2 + 0.5
    )
    mean, deviation = RNG.normal(size=(4, 3)), RNG.uniform(0.2, 2, (4, 3))
    by_hand = [
        sum(naive.divergence_by_integration(m, d) for m, d in zip(*rows, strict=True))
        for rows in zip(mean, deviation, strict=True)
    ]
    found = divergence(torch.from_numpy(mean), torch.from_numpy(deviation))
    assert float(found) == pytest.approx(np.mean(by_hand), rel=1e-6)


def test_the_bottleneck_samples_in_training_and_answers_by_the_mean():
    torch.manual_seed(0)
    layer, x = Bottleneck(6, 2), torch.randn(1, 6)
    mean, deviation = moments(layer.statistics(x))
    assert torch.equal(mean, layer.statistics(x)[:, :2])
    torch.testing.assert_close(deviation, torch.log1p(torch.exp(layer.statistics(x)[:, 2:] - 5)))
    assert torch.equal(layer.eval()(x), mean)
    draws = layer.train()(x.expand(20_000, 6)).detach()
    torch.testing.assert_close(draws.mean(0), mean.detach()[0], rtol=0, atol=5 * 0.02 / 20_000**0.5)
    torch.testing.assert_close(draws.std(0), deviation.detach()[0], rtol=0.03, atol=0)


def test_the_bottleneck_is_half_as_wide_as_the_features_and_before_the_head_of_any_model():
    module = with_bottleneck((6,), 3, functools.partial(MLP, hidden=(9,)))
    assert (module.head[0].statistics.in_features, module.head[0].statistics.out_features) == (9, 8)
    assert (module.head[1].in_features, module.head[1].out_features) == (4, 3)
    assert with_bottleneck((6,), 3, functools.partial(MLP, hidden=(9,)), 7).head[1].in_features == 7

    def own(input_shape, n_classes):
        return nn.Sequential(nn.Linear(6, n_classes), nn.ReLU(), nn.Linear(n_classes, n_classes), nn.Softplus())

    module = with_bottleneck((6,), 3, own)
    assert isinstance(module[0], nn.Linear)
    assert isinstance(module[2][0], Bottleneck)
    assert module(torch.zeros(2, 6)).shape == (2, 3)
    with pytest.raises(InputError, match="the linear layer that gives the 5 logits"):
        with_bottleneck((6,), 5, lambda shape, n: nn.Sequential(nn.Linear(6, 4)))


def test_the_price_of_information_is_in_the_loss_and_bought_by_less_of_it():
    def nats(beta):
        recipe = replace(RECIPE, optimiser=Adam(0.01), epochs=40)
        (model,) = trained(defended(recipe, "mid", beta=beta), COLUMNS[:1], (1,))
        with torch.no_grad():
            features = model.features(RECORDS.batch(torch.from_numpy(COLUMNS[0])))
            return float(divergence(*moments(model.head[0].statistics(features))))

    found = [nats(beta) for beta in (0.0, 0.01, 1.0)]
    assert found[0] > 3 * found[1] > 10 * found[2]


# BiDO


def batch(m=7):
    inputs, labels = RNG.uniform(0, 1, (m, 2, 3)), RNG.integers(0, 3, m)
    hidden = [RNG.normal(0, 3, (m, 4)), RNG.normal(0, 3, (m, 2, 2, 2))]
    return inputs, hidden, np.eye(3)[labels]


@pytest.mark.parametrize("measure", MEASURES)
def test_the_penalty_is_the_naive_one(measure):
    inputs, hidden, targets = batch()
    found = BiDO(measure, 0.7, 1.9).penalty(*(torch.from_numpy(inputs), [torch.from_numpy(z) for z in hidden],
                                              torch.from_numpy(targets)))  # fmt: skip
    flat = [z.reshape(7, -1).tolist() for z in hidden]
    expected = naive.bido(flat, inputs.reshape(7, -1).tolist(), targets.tolist(), measure, 0.7, 1.9)
    assert float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("measure", MEASURES)
def test_gradients_are_the_slopes_and_finite_for_a_layer_that_is_constant(measure):
    inputs, hidden, targets = (torch.from_numpy(np.asarray(part)) for part in (*batch()[:1], batch()[1][0], batch()[2]))
    defence = BiDO(measure, 0.7, 1.9)
    assert torch.autograd.gradcheck(lambda z: defence.penalty(inputs, [z], targets), hidden.requires_grad_(), atol=1e-5)
    for m in (7, 4):  # a centred kernel of ones is all but zero, and zero to the bit where 1 / m is exact
        flat = torch.full((m, 4), 0.3, requires_grad=True)
        (slope,) = torch.autograd.grad(defence.penalty(inputs[:m], [flat], targets[:m]), flat)
        assert torch.isfinite(slope).all()


def test_two_records_by_hand():
    """m = 2: both centred kernels are c (1, -1; -1, 1) / 2 with c = 1 - K_12 (Gaussian) or 1 (labels that differ)."""
    x, y = torch.tensor([[0.0], [10.0]]), torch.eye(2)
    c = 1 - math.exp(-100 / 50)
    prepared, dependence = MEASURES["coco"]
    # The product is c (1, -1; -1, 1) / 2, of Frobenius norm c.
    assert float(dependence(prepared(gaussian(x)), prepared(linear(y)))) == pytest.approx(math.sqrt(c) / 2)
    prepared, dependence = MEASURES["hsic"]
    # One eigenvalue each, c and 1, shrunk by the ridge 2e-5.
    found = float(dependence(prepared(gaussian(x)), prepared(linear(y))))
    assert found == pytest.approx(c / (c + 2e-5) / (1 + 2e-5))


@pytest.mark.parametrize("measure", MEASURES)
def test_nothing_depends_on_a_constant(measure):
    inputs, _, targets = (torch.from_numpy(np.asarray(part)) for part in (batch()[0], 0, batch()[2]))
    prepared, dependence = MEASURES[measure]
    constant = prepared(gaussian(torch.ones(7, 4, dtype=torch.float64)))
    assert float(dependence(constant, prepared(linear(targets)))) == pytest.approx(0, abs=1e-6)
    assert float(dependence(prepared(gaussian(inputs)), prepared(linear(targets)))) > 1e-3


def test_float32_layers_give_what_float64_gives():
    images = torch.rand(32, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    x = MEASURES["hsic"][0](gaussian(images))
    exact = MEASURES["hsic"][0](gaussian(images.double()))
    one, other = (float(MEASURES["hsic"][1](z, exact)) for z in (x, exact))
    assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "options", "kinds"),
    [
        ("mlp", {"hidden": (8, 8, 8)}, ["ReLU"] * 3),
        ("cnn", {"widths": (4, 4), "convolutions": 2}, ["ReLU"] * 4),
        ("vgg16-bn", {}, ["ReLU"] * 13),
        ("resnet18", {}, ["_BasicBlock"] * 8),
        ("wideresnet", {"depth": 10}, ["_WideBlock"] * 3),
        ("densenet-bc", {"depth": 10}, ["_Bottleneck", "_Transition", "_Bottleneck", "_Transition", "_Bottleneck"]),
        ("facenet64", {}, ["PReLU"] + ["_Block"] * 24),
    ],
)
def test_hidden_layers_of_every_architecture(name, options, kinds):
    with torch.device("meta"):
        found = hidden_layers(build(name, (1, 16, 16), 3, **options))
    assert [type(layer).__name__ for layer in found] == kinds


def test_hidden_layers_of_a_module_without_sequences_and_by_name():
    class Own(nn.Module):
        def __init__(self, *_):
            super().__init__()
            self.first, self.act, self.second = nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)

        def forward(self, x):
            return self.second(self.act(self.first(x)))

    module = Own()
    assert hidden_layers(module) == [module.act]
    assert BiDO(layers=("first", "act")).watched(module) == [module.first, module.act]
    with pytest.raises(InputError, match="did you mean 'first'"):
        BiDO(layers=("fisrt",)).watched(module)
    del module.act
    with pytest.raises(InputError, match=r"name layers=.*first, second"):
        BiDO().watched(module)


def test_both_weights_at_zero_are_the_plain_training():
    for measure in MEASURES:
        found = trained(BiDO(measure, 0.0, 0.0).apply(RECIPE))
        assert max(map(difference, found, trained(RECIPE))) < 1e-6


def test_weights_move_the_dependence_they_weigh():
    prepared, dependence = MEASURES["hsic"]
    rows = torch.from_numpy(COLUMNS[0])
    x, y = RECORDS.batch(rows), nn.functional.one_hot(RECORDS.labels[rows], 3).float()

    def dependences(a1, a2):
        recipe = Recipe(functools.partial(MLP, hidden=(16,)), Adam(0.003), epochs=10, batch_size=20)
        (model,) = trained(BiDO("hsic", a1, a2).apply(recipe), COLUMNS[:1], (1,))
        with torch.no_grad():
            z = prepared(gaussian(model.features(x)))
            return float(dependence(z, prepared(gaussian(x)))), float(dependence(z, prepared(linear(y))))

    neither, less_input, more_label = dependences(0, 0), dependences(1, 0), dependences(0, 5)
    assert less_input[0] < 0.5 * neither[0]
    assert more_label[1] > 1.2 * neither[1]


def test_the_penalty_sees_the_batch_and_mixed_labels_of_a_mixed_one():
    seen = []

    def penalty(inputs, hidden, targets):
        seen.append((inputs, hidden, targets))
        return targets.sum() * 0

    recipe = replace(RECIPE, mixup=1.0)
    training = Penalised(
        recipe, RECORDS, COLUMNS[0], 1, HELD_OUT, lambda module: [module.body[3], module.head], penalty
    )
    training.step()
    ((inputs, hidden, targets),) = seen
    indices, mix = training.block[0][0], training.block[2][0]
    assert 0 < mix < 1
    batch = RECORDS.batch(indices)
    torch.testing.assert_close(inputs, mix * batch + (1 - mix) * batch.flip(0))
    one_hot = torch.eye(3)[RECORDS.labels[indices]]
    torch.testing.assert_close(targets, mix * one_hot + (1 - mix) * one_hot.flip(0))
    assert [z.shape for z in hidden] == [(8, 4, 4, 4), (8, 3)]


def test_published_weights_of_each_measure():
    assert find_defence("bido-hsic").weights == (0.05, 0.5)
    assert find_defence("bido-coco").weights == (1.0, 50.0)
    assert find_defence("bido-coco", a1=2.0).weights == (2.0, 50.0)
    assert {"a1": 0.05, "a2": 2.5} in find_defence("bido-hsic").grid
    assert {"a1": 2.0, "a2": 20.0} in find_defence("bido-coco").grid


# Negative label smoothing


@pytest.mark.parametrize("epoch", [0, 49, 50, 51, 74, 75, 99])
def test_the_schedule_of_a_hundred_passes_is_that_of_the_code(epoch):
    recipe = find_defence("neg-ls", alpha=-0.5).apply(replace(RECIPE, epochs=100))
    logits, labels = RNG.normal(size=(5, 4)), RNG.integers(0, 4, 5)
    found = recipe.objective(torch.from_numpy(logits), torch.from_numpy(labels), epoch=torch.tensor(epoch))
    smoothing = naive.smoothing_at(epoch, -0.5)
    assert smoothing == {0: 0, 49: 0, 50: -0.01, 51: -0.02, 74: -0.25, 75: -0.5, 99: -0.5}[epoch]
    assert float(found) == pytest.approx(naive.smoothed(logits.tolist(), labels.tolist(), smoothing), rel=1e-6)


def test_the_schedule_goes_with_the_recipe_s_passes():
    options = find_defence("neg-ls").apply(replace(RECIPE, epochs=8)).objective.keywords
    assert options == {"alpha": -0.05, "start": 4.0, "full": 6.0, "epochs": 8}
    assert naive.smoothing_at(5, -0.05, 8, 4, 6) == -0.025
    logits, labels = torch.zeros(1, 2), torch.tensor([0])
    # Two classes alike: every loss is ln 2, whatever the smoothing.
    assert float(negative_label_smoothing(logits, labels, torch.tensor(5), **options)) == pytest.approx(math.log(2))


def test_both_engines_train_the_same_models():
    small.check_both_engines(find_defence("neg-ls", alpha=-2.0, start=0.0).apply(small.PLAIN))


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("tl-dmi", {"freeze": 1.5}, "freeze must be .* or a number from 0 to 1, got 1.5"),
        ("tl-dmi", {"freeze": -1}, "freeze must be a text"),
        ("tl-dmi", {"freeze": True}, "got True"),
        ("tl-dmi", {"freeze": ""}, "got ''"),
        ("tl-dmi", {"lr": 0.0}, "lr must be a number above 0"),
        ("tl-dmi", {"pretraining_epochs": -1}, "pretraining_epochs"),
        ("mid", {"beta": -0.1}, "beta"),
        ("mid", {"width": 0}, "width"),
        ("bido-hsic", {"measure": "hisc"}, "did you mean 'hsic'"),
        ("bido-coco", {"a1": -1.0}, "a1"),
        ("neg-ls", {"alpha": 0.1}, "alpha must be a number below 0"),
        ("neg-ls", {"start": 0.8}, "start must be at most full"),
    ],
)
def test_options_that_cannot_be_are_refused(name, options, says):
    with pytest.raises(InputError, match=says):
        find_defence(name, **options)


def test_bido_needs_batches():
    with pytest.raises(InputError, match="batch_size of at least 2"):
        defended(replace(RECIPE, batch_size=1), "bido-hsic")


def test_two_procedures_do_not_go_together_and_a_procedure_and_an_objective_do():
    with pytest.raises(InputError, match="trains by a procedure"):
        defended(defended(RECIPE, "tl-dmi"), "mid")
    assert trained(defended(defended(RECIPE, "neg-ls"), "bido-coco"), COLUMNS[:1], (1,))
