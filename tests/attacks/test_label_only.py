"""Attacks that see labels only, with answers that are known."""

import dataclasses

import numpy as np
import pytest

from seepage.attacks.label_only.augmentation import Augmentation, LearnedAugmentation
from seepage.attacks.label_only.boundary import BoundaryDistance
from seepage.attacks.label_only.label_regression import LabelRegression, logistic_regressions
from seepage.attacks.label_only.live import in_own_order, is_binary, value_range
from seepage.attacks.label_only.noise import NoiseRobustness
from seepage.data import Pool
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.models.target import TargetModel
from seepage.signals.view import View
from tests.attacks.planted import auc, planted
from tests.attacks.trained import trained
from tests.reference import label_only

ATTACKS = [Augmentation(), LearnedAugmentation(), LabelRegression(), NoiseRobustness(), BoundaryDistance()]


def score(attack, view, seed=0):
    return attack.score(view, rng=np.random.default_rng(seed))


def with_queries(n_queries=5, n_samples=400, n_references=8, leak=1.0, seed=0):
    """Each query of a model that saw the record is right with higher probability, by how much depends on the query."""
    rng = np.random.default_rng(seed)
    is_in = rng.permuted(np.tile(np.arange(n_references) < n_references // 2, (n_samples, 1)), axis=1)
    members = rng.random(n_samples) < 0.5
    seen = np.column_stack([members, is_in])
    helps = np.linspace(0, 1, n_queries) * leak
    p = 0.4 + 0.5 * seen[..., None] * helps
    correct = (rng.random(p.shape) < p).astype(np.float64)
    view = View(
        {"correct": correct},
        rng.integers(0, 3, n_samples),
        target_column=0,
        reference_columns=np.arange(1, n_references + 1),
        reference_in=is_in,
        reference_out=~is_in,
    )
    return view, members


def live(predict, inputs, labels, **arguments):
    """A view of a live target that gives labels only."""
    model = TargetModel.wrap(lambda batch: predict(np.asarray(batch)), outputs="labels", n_classes=4)
    assert model.access == Access.LABEL
    pool = inputs if isinstance(inputs, Pool) else Pool(inputs, labels)
    signals = {"correct": np.zeros((len(labels), 1, 1))}
    return View(signals, np.asarray(labels), target_column=0, records=pool, model=model, n_classes=4, **arguments)


def halfplane(batch):
    return (batch.reshape(len(batch), -1).sum(axis=1) > 0).astype(np.int64)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.title)
def test_labels_are_all_that_is_asked_for(attack):
    assert attack.access == Access.LABEL


# Augmented queries


def test_the_share_of_right_labels_is_the_score():
    correct = np.array([[1, 1, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0]], dtype=float)
    view = View.from_signals({"correct": correct})
    np.testing.assert_array_equal(score(Augmentation(), view), [0.75, 0, 0.5])


@pytest.mark.parametrize("attack", ATTACKS[:3], ids=lambda attack: attack.title)
def test_a_planted_leak_is_found_and_a_stranger_is_not(attack):
    view, members = with_queries(seed=1)
    assert auc(score(attack, view), members) > 0.7
    stranger = dataclasses.replace(view, signals={"correct": view.signals["correct"].copy()})
    rng = np.random.default_rng(0)
    stranger.signals["correct"][:, 0] = rng.random((view.n_samples, 5)) < 0.6
    assert abs(auc(score(attack, stranger), members) - 0.5) < 0.08


@pytest.mark.parametrize("per_class", [False, True])
def test_the_learned_form_knows_which_queries_tell(per_class):
    view, members = with_queries(n_queries=9, n_samples=1500)
    learned = auc(score(LearnedAugmentation(per_class=per_class), view), members)
    assert learned > auc(score(Augmentation(), view), members) + 0.03


def test_a_network_for_each_class_knows_where_the_sign_turns():
    view, members = with_queries(n_samples=1500)
    turned = view.labels == 2
    view.signals["correct"][turned] = 1 - view.signals["correct"][turned]
    common, own = (score(LearnedAugmentation(per_class=per_class), view)[turned] for per_class in (False, True))
    assert auc(own, members[turned]) > 0.7 > 0.5 > auc(common, members[turned])


def test_one_query_a_record_is_too_few():
    view, _ = planted(leak=1.0, n_queries=1, n_samples=100)
    for attack in ATTACKS[:3]:
        with pytest.raises(InputError, match="more than one query a record"):
            score(attack, view)


# Regressions


def test_the_regressions_are_scikit_learns():
    rng = np.random.default_rng(2)
    features = (rng.random((40, 12, 6)) < 0.6).astype(float)
    members = rng.random((40, 12)) < 0.5
    members[:, 0], members[:, 1] = True, False
    for C in (0.01, 1.0, 100.0):
        weights = C * rng.uniform(0.5, 2, members.shape) * (rng.random(members.shape) < 0.8)
        weights[:, :2] = C
        found = logistic_regressions(features, members, weights)
        for row in range(len(features)):
            _, model = label_only.log_odds(features[row], members[row], weights[row] / C, features[row, 0], C)
            expected = np.append(model.coef_[0], model.intercept_)
            np.testing.assert_allclose(found[row], expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("C", [1.0, 1e4])
def test_the_regressions_reach_their_minimum_also_where_the_answers_separate(C):
    # full steps of Newton's method run away from it here
    rng = np.random.default_rng(0)
    features = (rng.random((40, 64, 18)) < 0.5).astype(float)
    members = rng.random((40, 64)) < 0.1
    members[:, 0], members[:, 1] = True, False
    found = logistic_regressions(features, members, np.full(members.shape, C))
    x = np.concatenate([features, np.ones((40, 64, 1))], axis=2)
    p = 1 / (1 + np.exp(-np.einsum("npf,nf->np", x, found)))
    gradient = C * np.einsum("npf,np->nf", x, p - members) + np.where(np.arange(19) < 18, found, 0)
    assert abs(gradient).max() < 1e-8 * C


@pytest.mark.parametrize("n_references", [2, 8, 15])
def test_each_record_has_its_own_regression(n_references):
    view, _ = with_queries(n_samples=60, n_references=n_references, seed=4)
    found = score(LabelRegression(C=0.7), view)
    n_in, n_out = view.reference_in.sum(axis=1), view.reference_out.sum(axis=1)
    for row in range(view.n_samples):
        half = n_references / 2
        weights = np.where(view.reference_in[row], half / n_in[row], half / n_out[row])
        if n_references % 2 == 0:
            np.testing.assert_array_equal(weights, 1)
        expected, _ = label_only.log_odds(
            view.references("correct")[row], view.reference_in[row], weights, view.target("correct")[row], 0.7
        )
        assert found[row] == pytest.approx(expected, abs=1e-6)


def ragged(view, seed=0):
    keep = np.random.default_rng(seed).random(view.reference_in.shape) < 0.6
    keep[:5] = False
    keep[5:10] &= view.reference_in[5:10]
    return dataclasses.replace(view, reference_in=view.reference_in & keep, reference_out=view.reference_out & keep)


def test_a_record_without_one_side_takes_the_mean_regression():
    view = ragged(with_queries(n_samples=80)[0])
    found = score(LabelRegression(), view)
    both = np.flatnonzero(view.reference_in.any(axis=1) & view.reference_out.any(axis=1))
    models = []
    for row in both:
        n_in, n_out = view.reference_in[row].sum(), view.reference_out[row].sum()
        weights = (n_in + n_out) / 2 * (view.reference_in[row] / n_in + view.reference_out[row] / n_out)
        features = view.references("correct")[row]
        _, model = label_only.log_odds(features, view.reference_in[row], weights, features[0], 1.0)
        models.append(np.append(model.coef_[0], model.intercept_))
    mean = np.mean(models, axis=0)
    assert both.min() >= 10
    np.testing.assert_allclose(found[:10], view.target("correct")[:10] @ mean[:-1] + mean[-1], atol=1e-6)


def test_counts_alone_do_not_move_a_score():
    view = ragged(with_queries(n_samples=80)[0])
    view = dataclasses.replace(view, signals={"correct": np.ones_like(view.signals["correct"])})
    np.testing.assert_allclose(score(LabelRegression(), view), 0, atol=1e-9)


def test_separable_answers_give_finite_scores():
    view, _ = with_queries(n_samples=30)
    view.signals["correct"][:, 1:] = view.reference_in[..., None]
    for C in (1.0, 1e6):
        assert np.isfinite(score(LabelRegression(C=C), view)).all()


def test_a_regression_needs_a_record_with_both_sides():
    view, _ = with_queries(n_samples=10)
    one_sided = np.arange(10) < 5
    view = dataclasses.replace(
        view,
        reference_in=view.reference_in & one_sided[:, None],
        reference_out=view.reference_out & ~one_sided[:, None],
    )
    with pytest.raises(InputError, match="one IN and one OUT"):
        score(LabelRegression(), view)
    with pytest.raises(InputError, match="C must be a number above 0"):
        LabelRegression(C=0)


# Noise


def images(n=30, seed=0, shape=(1, 4, 4)):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, *shape)).astype(np.float32)


def test_noise_is_counted_copy_by_copy():
    x = images()
    labels = halfplane(x)
    labels[:6] = 1 - labels[:6]
    view = live(halfplane, x, labels)
    found = score(NoiseRobustness(copies=40, sigma=0.3), view, seed=9)
    rng = np.random.default_rng(9)
    noise = [0.3 * x.std(dtype=np.float64) * rng.standard_normal(x.shape[1:]) for _ in range(40)]
    naive = label_only.share_kept(lambda r: halfplane(r[None])[0], x, labels, noise, lambda r, z: r + z)
    np.testing.assert_array_equal(found[:6], 0)
    np.testing.assert_allclose(found, naive, atol=1 / 40 + 1e-9)  # a sum within rounding of 0 may turn one copy
    assert np.mean(found != naive) < 0.1
    assert 0.5 < found[6:].mean() < 1
    assert view.model.n_queries == 30 + 24 * 40


def test_noise_is_as_large_as_what_the_model_gets():
    x = np.random.default_rng(0).integers(0, 256, (20, 1, 4, 4)).astype(np.uint8)
    seen = []

    def predict(batch):
        seen.append(batch.copy())
        return np.zeros(len(batch), dtype=int)

    score(NoiseRobustness(sigma=0.1), live(predict, Pool(x, np.zeros(20, int), scale=1 / 255), np.zeros(20, int)))
    inside = (seen[0] > 0.3) & (seen[0] < 0.7)  # nothing is cut there
    noise = np.stack([(batch - seen[0])[inside] for batch in seen[1:]])
    assert noise.std() == pytest.approx(0.1 * x.std() / 255, rel=0.1)


def test_columns_of_a_table_have_noise_in_their_own_units():
    x = images(40, shape=(3,)) * np.array([1, 100, 1e-3], dtype=np.float32)
    seen = []

    def predict(batch):
        seen.append(batch.copy())
        return np.zeros(len(batch), dtype=int)

    score(NoiseRobustness(copies=400, sigma=0.5), live(predict, x, np.zeros(40, int)))
    noise = np.stack([batch - seen[0] for batch in seen[1:]])
    np.testing.assert_allclose(noise.std(axis=(0, 1)), 0.5 * x.std(axis=0), rtol=0.15)
    np.testing.assert_allclose(np.ptp(noise, axis=1), 0, atol=1e-4)  # all records take the same draw


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_binary_records_are_asked_about_as_binary_records(dtype):
    rng = np.random.default_rng(0)
    x = (rng.random((50, 30)) < 0.4).astype(dtype)
    seen = []

    def predict(batch):
        seen.append(batch.copy())
        return np.zeros(len(batch), dtype=int)

    score(NoiseRobustness(copies=300, flips=2.0), live(predict, x, np.zeros(50, int)))
    assert set(np.unique(np.stack(seen))) == {0, 1}
    flipped = np.stack([batch != seen[0] for batch in seen[1:]])
    assert flipped.sum(axis=2).mean() == pytest.approx(2.0, rel=0.15)
    assert flipped.any(axis=(0, 1)).all()


def test_images_in_whole_numbers_stay_within_their_range():
    x = np.random.default_rng(0).integers(3, 17, (20, 1, 4, 4)).astype(np.uint8)
    pool = Pool(x, np.zeros(20, int), scale=1 / 16)
    seen = []

    def predict(batch):
        seen.append(batch.copy())
        return (batch.mean(axis=(1, 2, 3)) > 0.7).astype(int)

    assert not is_binary(pool)
    assert value_range(pool) == (3 / 16, 1.0)
    score(NoiseRobustness(sigma=2.0), live(predict, pool, np.zeros(20, int)))
    score(BoundaryDistance(budget=200), live(predict, pool, np.zeros(20, int)))
    assert {batch.shape[1:] for batch in seen} == {(1, 4, 4)}
    questions = np.concatenate(seen)
    assert questions.min() == np.float32(3 / 16)
    assert questions.max() == 1


def test_options_of_live_attacks_are_checked():
    for wrong in ({"copies": 0}, {"sigma": 0.0}, {"flips": -1.0}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} must be"):
            NoiseRobustness(**wrong)
    for wrong in ({"starts": 0}, {"budget": 70}, {"directions": 5}):
        with pytest.raises(InputError, match=f"{next(iter(wrong))} must be"):
            BoundaryDistance(**wrong)


# Boundary


def test_the_score_is_the_distance_to_the_boundary():
    x = images(60)
    labels = halfplane(x)
    labels[:10] = 1 - labels[:10]
    population = np.arange(60) >= 40
    view = live(halfplane, x, labels, population=population)
    found = score(BoundaryDistance(budget=3000), view)
    true = abs(x.reshape(60, -1).sum(axis=1)) / 4
    np.testing.assert_array_equal(found[:10], 0)
    assert (found[10:40] >= true[10:40] * (1 - 1e-5)).all()
    np.testing.assert_allclose(found[10:40], true[10:40], rtol=0.04)
    np.testing.assert_array_equal(found[40:], 0)  # not audited, not asked


@pytest.mark.parametrize("budget", [100, 400, 1000])
def test_no_record_costs_more_than_the_budget(budget):
    x = images(50)
    labels = halfplane(x)
    labels[:10] = 1 - labels[:10]
    view = live(halfplane, x, labels, population=np.arange(50) >= 40)
    score(BoundaryDistance(budget=budget), view)
    # 10 wrong ones cost a question each; the 10 starts from the population and 10 of noise are asked once
    assert 10 + 20 + 30 * (budget - 20 - 30) < view.model.n_queries <= 10 + 20 + 30 * (budget - 20)


def test_without_a_population_noise_is_the_start():
    x = images(30)
    view = live(halfplane, x, halfplane(x))
    true = abs(x.reshape(30, -1).sum(axis=1)) / 4
    np.testing.assert_allclose(score(BoundaryDistance(budget=3000), view), true, rtol=0.04)


def test_where_no_other_label_is_found_the_score_is_out_of_reach():
    x = images(30)
    labels = np.zeros(30, dtype=int)
    labels[3] = 1
    view = live(lambda batch: np.zeros(len(batch), dtype=int), x, labels)
    found = score(BoundaryDistance(), view)
    assert found[3] == 0
    others = np.delete(found, 3)
    assert np.ptp(others) == 0
    assert others[0] >= max(np.linalg.norm(a - b) for a in x for b in x)
    assert view.model.n_queries == 30 + 20


def test_records_without_a_start_do_not_disturb_the_others():
    x = images(40)
    sums = x.reshape(40, -1).sum(axis=1)
    population = np.zeros(40, dtype=bool)
    population[np.flatnonzero(sums > 0)[:8]] = True  # starts for the records below 0 alone
    found = score(BoundaryDistance(budget=3000, starts=8), live(halfplane, x, halfplane(x), population=population))
    below, above = sums < 0, (sums > 0) & ~population
    np.testing.assert_allclose(found[below], -sums[below] / 4, rtol=0.04)
    assert np.ptp(found[above]) == 0
    assert found[above][0] > found[below].max()


def test_a_target_that_is_always_wrong_gives_zero():
    x = images(20)
    view = live(halfplane, x, 1 - halfplane(x))
    np.testing.assert_array_equal(score(BoundaryDistance(), view), 0)
    np.testing.assert_array_equal(score(NoiseRobustness(), view), 0)


# Real models


def labels_only(view):
    return dataclasses.replace(view, model=TargetModel.wrap(view.model.module, access="label"))


LIVE = [NoiseRobustness(), BoundaryDistance(budget=300)]


@pytest.mark.parametrize("attack", LIVE, ids=lambda attack: attack.title)
def test_a_trained_model_leaks_by_its_labels_and_a_stranger_does_not(attack):
    for leak, low, high in ((True, 0.6, 0.8), (False, 0.4, 0.6)):
        view, members = trained(leak=leak)
        audited = view.audited
        found = score(attack, labels_only(view))
        assert low < auc(found[audited], members[audited]) < high
        assert np.isfinite(found).all()
        assert len(np.unique(found)) > (20 if isinstance(attack, BoundaryDistance) else 5)


def test_records_are_asked_in_an_order_of_their_own():
    x = images(20)
    x[3] = x[4]
    labels = np.arange(20) % 3
    mask = np.arange(20) < 12
    rows = in_own_order(live(halfplane, x, labels), mask)
    np.testing.assert_array_equal(np.sort(rows), np.arange(12))
    order = np.random.default_rng(0).permutation(20)
    moved = in_own_order(live(halfplane, x[order], labels[order]), mask[order])
    np.testing.assert_array_equal(x[order][moved], x[rows])
    np.testing.assert_array_equal(labels[order][moved], labels[rows])


@pytest.mark.parametrize("attack", LIVE, ids=lambda attack: attack.title)
def test_the_order_of_records_plays_no_part_with_a_live_model(attack):
    view = labels_only(trained(leak=True)[0])
    order = np.random.default_rng(1).permutation(view.n_samples)
    shuffled = View(
        {name: view.signals[name][order] for name in ("correct",)},
        view.labels[order],
        target_column=0,
        population=view.population[order],
        known=view.known[order],
        records=view.records.subset(order),
        model=view.model,
    )
    np.testing.assert_array_equal(score(attack, shuffled), score(attack, view)[order])
    np.testing.assert_array_equal(score(attack, view), score(attack, view))
