"""HAMP: labels of the asked entropy, its loss by hand and in the limits, three modes, and what it does to digits."""

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import seepage
from seepage.defences.hamp import HAMP, PUBLISHED, hamp_loss
from seepage.defences.output_modification import OutputModification
from seepage.defences.soft_labels import soft_label
from seepage.errors import InputError
from seepage.models.objectives import label_smoothing
from seepage.models.recipe import cross_entropy
from tests.defences import trained
from tests.reference import defences as naive

GENERATOR = np.random.default_rng(3)
LOGITS = 3 * GENERATOR.normal(size=(9, 5))
LABELS = GENERATOR.integers(0, 5, 9)
ARGUMENTS = torch.from_numpy(LOGITS), torch.from_numpy(LABELS)

# What the code's loop gives, worked out by hand: classes, gamma, p and q of the grid, steps, H(p), exact p.
VECTORS = [
    (100, 0.80, 0.33, 0.0067677, 67, 3.7129, 0.337371),
    (100, 0.60, 0.54, 0.0046465, 46, 2.8037, 0.548506),
    (30, 0.50, 0.68, 0.0110345, 32, 1.7044, 0.680923),
    (10, 0.95, 0.26, 0.0822222, 74, 2.1990, 0.269814),
    (100, 0.50, 0.64, 0.0036364, 36, 2.3077, 0.640981),
    (100, 0.05, 0.97, 0.000303, 3, 0.2726, 0.975185),
    (100, 0.15, 0.91, 0.000909, 9, 0.7161, 0.913653),
    (100, 0.01, 0.99, 0.000101, 1, 0.1020, 0.995842),
]
GAMMAS = (0.0, 0.01, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 0.999, 1 - 1e-9, 1 - 1e-16)


@pytest.mark.parametrize(("k", "gamma", "p", "q", "steps", "entropy", "exact"), VECTORS)
def test_labels_of_the_published_settings(k, gamma, p, q, steps, entropy, exact):
    on_grid = soft_label(k, gamma)
    assert on_grid[0] == p == round(1 - 0.01 * steps, 2)
    assert on_grid[1] == pytest.approx(q, abs=1e-7)
    assert naive.entropy([on_grid[0]] + [on_grid[1]] * (k - 1)) == pytest.approx(entropy, abs=6e-5)
    assert soft_label(k, gamma, "exact")[0] == pytest.approx(exact, abs=6e-7)


@pytest.mark.parametrize("k", [2, 3, 10, 30, 100, 101, 1000])
@pytest.mark.parametrize("gamma", GAMMAS)
def test_labels_have_the_entropy_and_never_name_another_class(k, gamma):
    on_grid, expected = soft_label(k, gamma), naive.soft_label(k, gamma)
    assert on_grid == pytest.approx((float(expected[0]), float(expected[1])), abs=1e-12)
    exact = soft_label(k, gamma, "exact")
    for p, q in (on_grid, exact):
        assert p > 1 / k
        assert p > q
        assert p + (k - 1) * q == pytest.approx(1)
    assert naive.entropy([exact[0]] + [exact[1]] * (k - 1)) == pytest.approx(gamma * math.log(k), abs=1e-9)


def test_labels_without_entropy_are_hard():
    assert soft_label(7, 0.0, "exact") == (1.0, 0.0)
    assert soft_label(7, 0.0)[0] == 0.99  # one step is always taken


@pytest.mark.parametrize("alpha", [0.0, 0.3])
@pytest.mark.parametrize("reduction", ["mean", "batchmean"])
@pytest.mark.parametrize(("gamma", "method"), [(0.6, "grid"), (0.6, "exact"), (0.0, "exact")])
def test_the_loss_agrees_with_the_naive_one_and_with_torch(gamma, method, reduction, alpha):
    ours = hamp_loss(*ARGUMENTS, gamma, alpha, method, reduction).item()
    p, q = soft_label(5, gamma, method)
    assert ours == pytest.approx(naive.hamp_loss(LOGITS.tolist(), LABELS.tolist(), p, q, alpha, reduction))
    labels = torch.full((9, 5), q, dtype=torch.float64).scatter_(1, ARGUMENTS[1][:, None], p)
    log_f = ARGUMENTS[0].log_softmax(1)
    if reduction == "mean":  # torch warns of what the code does here, so its two divisions are written out
        divergence = torch.nn.functional.kl_div(log_f, labels, reduction="sum") / log_f.numel()
    else:
        divergence = torch.nn.functional.kl_div(log_f, labels, reduction="batchmean")
    entropy = torch.distributions.Categorical(logits=ARGUMENTS[0]).entropy().mean()
    assert ours == pytest.approx((divergence - alpha * entropy).item())


def test_without_entropy_it_is_the_cross_entropy():
    plain = cross_entropy(*ARGUMENTS).item()
    assert hamp_loss(*ARGUMENTS, 0.0, 0.0, "exact", "batchmean").item() == pytest.approx(plain)
    assert hamp_loss(*ARGUMENTS, 0.0, 0.0, "exact", "mean").item() == pytest.approx(plain / 5)


def test_without_the_reward_it_is_label_smoothing_less_a_constant():
    p, q = soft_label(5, 0.4)
    smoothed = label_smoothing(*ARGUMENTS, (1 - p) * 5 / 4).item()
    constant = naive.entropy([p, q, q, q, q])
    assert hamp_loss(*ARGUMENTS, 0.4, 0.0, reduction="batchmean").item() == pytest.approx(smoothed - constant)


def test_the_reductions_differ_by_the_number_of_classes():
    mean, batch = (
        hamp_loss(*ARGUMENTS, 0.6, alpha, reduction=r).item() for alpha, r in ((0.1, "mean"), (0.5, "batchmean"))
    )
    assert 5 * mean == pytest.approx(batch)


def test_a_prediction_equal_to_the_soft_label_leaves_only_the_reward():
    p, q = soft_label(3, 0.5)
    logits = torch.tensor([[math.log(p), math.log(q), math.log(q)]], dtype=torch.float64)
    loss = hamp_loss(logits, torch.tensor([0]), 0.5, 0.7)
    assert loss.item() == pytest.approx(-0.7 * naive.entropy([p, q, q]))


@pytest.mark.parametrize("method", ["grid", "exact"])
def test_both_engines_train_the_same_models(method):
    defence = HAMP(gamma=0.6, alpha=0.01, soft_labels=method, reset_optimiser=True, mode="training")
    trained.check_both_engines(defence.apply(trained.PLAIN))


def test_a_model_that_fits_its_records_gives_them_the_soft_label():
    fits = replace(trained.OVERFITTED, epochs=80, optimiser=seepage.Adam(0.01))
    shares = np.exp(-trained.losses(HAMP(gamma=0.6, alpha=0, mode="training").apply(fits)))[trained.IS_TRAINED_ON]
    p, _ = soft_label(10, 0.6)
    assert np.median(shares) == pytest.approx(p, abs=0.03)
    rewarded = np.exp(-trained.losses(HAMP(gamma=0.6, alpha=0.1, mode="training").apply(fits)))
    assert np.median(rewarded[trained.IS_TRAINED_ON]) < np.median(shares) - 0.05


def test_on_digits_it_narrows_the_gap_and_keeps_the_accuracy():
    plain, defended = trained.OVERFITTED, HAMP(mode="training").apply(trained.OVERFITTED)
    assert trained.loss_gap(defended) < 0.7 * trained.loss_gap(plain)
    assert trained.accuracy(defended) > trained.accuracy(plain) - 0.03


def test_answers_keep_labels_and_order_and_nothing_else():
    defended = HAMP(mode="full").apply(trained.OVERFITTED)
    inputs = torch.from_numpy(trained.EASY.inputs[:200])
    model = seepage.train(defended, trained.EASY, trained.IS_TRAINED_ON, rng=np.random.default_rng(2))
    with torch.no_grad():
        answers, inside = model(inputs), model.module(inputs)
    assert torch.equal(answers.argsort(1), inside.argsort(1))
    assert (answers.sort(1).values - inside.sort(1).values).abs().mean() > 0.05


def test_modes_change_the_training_the_answers_or_both():
    recipe = trained.PLAIN
    training = HAMP(mode="training").apply(recipe)
    answers = HAMP(mode="answers", randomness="fresh", values="binary", ties="official").apply(recipe)
    both = HAMP(gamma=0.5, alpha=0.2, soft_labels="exact", reduction="batchmean").apply(recipe)
    assert training.wrapper is None
    assert training.reset_optimiser
    assert not training.shuffle
    assert answers.objective is cross_entropy
    assert answers.wrapper == OutputModification(randomness="fresh", values="binary", ties="official")
    assert (answers.reset_optimiser, answers.shuffle) == (recipe.reset_optimiser, recipe.shuffle) == (False, True)
    assert both.wrapper == OutputModification()
    assert both.objective.func is hamp_loss
    assert both.objective.keywords == {"gamma": 0.5, "alpha": 0.2, "soft_labels": "exact", "reduction": "batchmean"}
    with pytest.raises(InputError, match="randomness='fresh' has no effect in the mode 'training'"):
        HAMP(mode="training", randomness="fresh")
    with pytest.raises(InputError, match=r"gamma=0\.5 has no effect in the mode 'answers'"):
        HAMP(mode="answers", gamma=0.5)
    assert [HAMP(mode=m).kind for m in ("training", "answers", "full")] == ["training", "answers", "both"]
    assert len({r.fingerprint for r in (recipe, training, answers, both)}) == 4
    assert all(r.is_registered for r in (training, answers, both))


def test_the_optimiser_is_reset_where_it_is_sgd():
    adam = replace(trained.PLAIN, optimiser=seepage.Adam())
    assert not HAMP(mode="training").apply(adam).reset_optimiser
    assert not HAMP(mode="training", reset_optimiser=False).apply(trained.PLAIN).reset_optimiser
    assert HAMP(mode="training", shuffle=True).apply(trained.PLAIN).shuffle


def test_a_recipe_with_an_objective_or_a_wrapper_of_its_own_is_refused():
    own = replace(trained.PLAIN, objective=functools.partial(label_smoothing, smoothing=0.1))
    with pytest.raises(InputError, match="one of its own"):
        HAMP(mode="training").apply(own)
    assert HAMP(mode="answers").apply(own).objective is own.objective
    with pytest.raises(InputError, match="OutputModification"):
        HAMP().apply(replace(trained.PLAIN, wrapper=OutputModification()))


def test_published_settings():
    assert HAMP.published("cifar10") == HAMP()
    assert HAMP.published("purchase100", mode="training") == HAMP(gamma=0.8, alpha=0.01, mode="training")
    with pytest.raises(InputError, match="did you mean 'cifar10'"):
        HAMP.published("cifar")
    entropies = [options["gamma"] for options in HAMP().grid]
    assert entropies == sorted(entropies, reverse=True)
    assert len(entropies) == len(PUBLISHED) == len({str(options) for options in HAMP().grid})
    assert HAMP(mode="answers").grid == ({},)
    for options in HAMP().grid:
        replace(HAMP(), **options)


def test_notes_are_those_of_the_mode():
    training, answers = HAMP(mode="training").notes, HAMP(mode="answers").notes
    assert HAMP().notes == training + answers
    assert "learning rate" in training[0]
    assert "order" in answers[0]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"gamma": 1.0}, "below 1"),
        ({"gamma": -0.1}, "at least 0"),
        ({"gamma": math.nan}, "gamma"),
        ({"alpha": -1e-9}, "alpha"),
        ({"alpha": math.inf}, "alpha"),
        ({"soft_labels": "gird"}, "did you mean 'grid'"),
        ({"reduction": "sum"}, "reduction"),
        ({"mode": "train"}, "did you mean 'training'"),
        ({"ties": "break"}, "ties"),
    ],
)
def test_what_it_cannot_be_made_with(options, complaint):
    with pytest.raises(InputError, match=complaint):
        HAMP(**options)


def test_the_loss_checks_its_options_too():
    for options, complaint in (({"gamma": 1.0, "alpha": 0.0}, "gamma"), ({"gamma": 0.5, "alpha": -1.0}, "alpha")):
        with pytest.raises(InputError, match=complaint):
            hamp_loss(*ARGUMENTS, **options)
    with pytest.raises(InputError, match="reduction"):
        hamp_loss(*ARGUMENTS, 0.5, 0.0, reduction="sum")
    with pytest.raises(InputError, match="2 classes"):
        soft_label(1, 0.5)
