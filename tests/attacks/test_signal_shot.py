"""FeS-MIA on signals that are the same for all classes: the form that works."""

import dataclasses
import itertools

import numpy as np
import pytest

from seepage.attacks import ATTACKS
from seepage.attacks.few_shot import Episodes, SignalShot
from seepage.attacks.few_shot.signal_shot import minus_log
from seepage.attacks.few_shot.support import best_thresholds
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.signals.view import View
from tests.attacks.planted import auc, planted
from tests.attacks.test_few_shot import live, with_known
from tests.attacks.trained import trained
from tests.reference import few_shot as naive

EVERY = [
    SignalShot(*shots, labels, gradients)
    for shots, labels, gradients in itertools.product([(None,), (3,)], [True, False], [True, False])
]
on_outputs = pytest.mark.parametrize(
    "attack", [attack for attack in EVERY if not attack.gradients], ids=lambda attack: attack.title
)


def rng(seed=0):
    return np.random.default_rng(seed)


def answers(logits, known, labels=None, **fields):
    """A view of some logits, one query each."""
    logits = np.asarray(logits, np.float64)[:, None, None]
    labels = np.zeros(len(logits), int) if labels is None else labels
    return View.from_logits(logits, labels, target_column=0, known=np.asarray(known), **fields)


def leaking(leak=2.0, seed=0, n=60):
    return with_known(*planted(leak=leak, target_leak=leak, seed=seed, n_queries=1), n=n), planted(
        leak=leak, seed=seed
    )[1]


# second implementation


@pytest.mark.parametrize("shots", [None, 1, 4])
@pytest.mark.parametrize("labels", [True, False])
def test_scores_agree_with_loops(shots, labels):
    view, _ = leaking(n=20)
    generator = rng(1)
    rows = np.stack([generator.permutation(view.n_samples)[:50] for _ in range(4)])
    support, validation = rows[:, : 2 * (shots or 0)], rows[:, 2 * (shots or 0) : 2 * (shots or 0) + 12]
    queries = rows[:, 2 * (shots or 0) + 12 :]
    drawn = Episodes(support.reshape(4, 2, -1), validation.reshape(4, 2, 6), queries)
    scores = SignalShot(shots, labels).score_episodes(view, drawn, rng=rng())

    def signals(numbers):
        return [naive.three(view.outputs[i, 0, 0], int(view.labels[i]) if labels else None) for i in numbers]

    for number in range(4):
        known = [signals([*drawn.support[number, side], *drawn.validation[number, side]]) for side in (0, 1)]
        told = known if shots is None else [signals(drawn.support[number, side]) for side in (0, 1)]
        expected = naive.signal_shot(told, known, signals(queries[number]))
        np.testing.assert_allclose(scores[number], expected, rtol=1e-6, atol=1e-8)


def test_an_audit_is_one_episode_with_all_known_records_though_one_side_has_more():
    view, _ = leaking()
    known = view.known.copy()
    known[np.flatnonzero(known == 1)[:11]] = -1
    view = dataclasses.replace(view, known=known, audited=None)
    signals = [
        naive.three(logits, int(label)) for logits, label in zip(view.outputs[:, 0, 0], view.labels, strict=True)
    ]
    told = [[signals[i] for i in np.flatnonzero(known == side)] for side in (0, 1)]
    assert [len(side) for side in told] == [30, 19]
    expected = naive.signal_shot(told, told, [signals[i] for i in np.flatnonzero(view.audited)])
    np.testing.assert_allclose(SignalShot().score(view, rng=rng())[view.audited], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("seed", range(20))
def test_thresholds_agree_with_trying_all(seed):
    generator = rng(seed)
    outside, inside = generator.integers(0, 8, (3, generator.integers(1, 9))), generator.integers(2, 10, (3, 7))
    found = best_thresholds(outside.astype(float), inside.astype(float))
    for at in range(3):
        assert found[at] == pytest.approx(naive.threshold(outside[at], inside[at]), abs=1e-12)


# limiting cases


def test_the_threshold_of_a_known_answer():
    assert best_thresholds(np.array([[0.0, 1.0]]), np.array([[2.0, 3.0]])) == [1.5]  # all told apart
    assert best_thresholds(np.array([[5.0]]), np.array([[1.0]])) == [3.0]  # exchanged: no bar helps, the middle is left
    assert best_thresholds(np.array([[4.0, 4.0]]), np.array([[4.0]])) == [4.0]  # one and the same
    near = np.array([[1.0]]), np.array([[np.nextafter(1.0, 2.0)]])  # no number lies between them
    assert near[0] <= best_thresholds(*near) < near[1]


def test_one_record_a_side_decides_half_way_between_them():
    # log-odds, -log entropy and gap rise together in l: the bar lies between the two known answers
    logits = [[0.0, 1.0], [0.0, 3.0], *([0.0, x] for x in np.linspace(0.2, 5, 25))]
    view = answers(logits, [0, 1, *[-1] * 25], labels=np.ones(27, int))
    scores = SignalShot().score(view, rng=rng())
    order = np.array(logits)[:, 1]
    assert (np.diff(scores[2:]) > 0).all()
    assert (scores[2:][order[2:] < 1.0] < 0).all()
    assert (scores[2:][order[2:] > 3.0] > 0).all()


@on_outputs
def test_equal_answers_are_nobodys(attack):
    view = answers(np.full((40, 3), 0.5), [0, 1] * 5 + [-1] * 30)
    np.testing.assert_array_equal(attack.score(view, rng=rng())[10:], 0.0)


@on_outputs
def test_one_signal_that_is_constant_leaves_the_others(attack):
    view, members = leaking()
    plain = {name: view.target(name) for name in ("scaled-logit", "hinge", "top-log-odds", "top-gap")}
    view = View.from_signals(
        plain | {"entropy": np.full_like(plain["hinge"], 0.3)}, labels=view.labels, known=view.known
    )
    scores = attack.score(view, rng=rng())
    assert auc(scores[view.audited], members[view.audited]) > (0.7 if attack.labels else 0.6)


@on_outputs
def test_answers_that_are_sure_beyond_measure_keep_the_order_of_the_others(attack):
    view, _ = leaking()
    logits = view.outputs[:, 0, 0].astype(np.float64)
    logits[:3, 0] += [800.0, 1e30, 1e200]
    sure = View.from_logits(logits[:, None, None], view.labels, target_column=0, known=view.known, audited=view.audited)
    scores = attack.score(sure, rng=rng())
    assert np.isfinite(scores[view.audited]).all()
    rest = np.flatnonzero(view.audited)[3:]
    assert len(np.unique(scores[rest])) > 0.99 * len(rest)


def test_zeros_are_the_smallest_number_above_zero():
    values = minus_log(np.array([[0.0, 0.0], [1e-300, 0.0], [1.0, 0.0]]))
    np.testing.assert_allclose(values[:, 0], [690.775528, 690.775528, 0.0])
    np.testing.assert_array_equal(values[:, 1], 0.0)


# what plays no part


@on_outputs
def test_classes_that_change_places_leave_the_score(attack):
    view, _ = leaking()
    order = rng(1).permutation(view.n_classes)
    moved = View.from_logits(
        view.outputs[..., order],
        np.argsort(order)[view.labels],
        target_column=0,
        known=view.known,
        audited=view.audited,
    )
    np.testing.assert_allclose(attack.score(moved, rng=rng()), attack.score(view, rng=rng()), rtol=1e-9, atol=1e-9)


LABEL_FREE = [name for name, attack in ATTACKS.items() if name.startswith("fes-mia") and "labels" not in attack.needs]


@pytest.mark.parametrize("name", LABEL_FREE)
def test_what_needs_no_labels_looks_at_none(name):
    view, _ = trained()
    other = dataclasses.replace(view, labels=rng(1).integers(0, 10, view.n_samples), gradient_norm=None)
    # signals are made of labels too: those of the other view are made of the others
    other = dataclasses.replace(other, signals=View.from_logits(view.outputs, other.labels, target_column=0).signals)
    np.testing.assert_array_equal(*(ATTACKS[name].score(each, rng=rng()) for each in (view, other)))


def test_which_few_shot_forms_need_labels():
    assert {name for name in ATTACKS if name.startswith("fes-mia")} - set(LABEL_FREE) == {
        "fes-mia-ss", "fes-mia-ss-1-shot", "fes-mia-ss-5-shot", "fes-mia-ss-10-shot", "fes-mia-ss-gradients",
        "fes-mia-ss-outputs", "fes-mia-ls-outputs",
    }  # fmt: skip
    view, _ = trained()
    view = dataclasses.replace(view, labelled=False)
    with pytest.raises(InputError, match="needs labels of the records"):
        SignalShot().score(view, rng=rng())
    assert np.isfinite(SignalShot(labels=False).score(view, rng=rng())[view.audited]).all()


# leaks


@on_outputs
def test_a_planted_leak_is_found_as_by_the_scalar_that_sees_as_much(attack):
    view, members = leaking()
    scalar = view.target("scaled-logit" if attack.labels else "top-log-odds")[:, 0]
    scores = attack.score(view, rng=rng())
    audited = view.audited
    assert auc(scores[audited], members[audited]) > auc(scalar[audited], members[audited]) - 0.02
    said = scores[audited] > 0
    assert (said[members[audited]].mean() + 1 - said[~members[audited]].mean()) / 2 > (0.65 if attack.labels else 0.55)


@on_outputs
def test_a_target_that_saw_nothing_gives_chance_and_decides_no_better(attack):
    found = []
    for seed in range(10):
        view, members = leaking(leak=0.0, seed=seed)
        scores, inside = attack.score(view, rng=rng())[view.audited], members[view.audited]
        found.append([auc(scores, inside), ((scores > 0)[inside].mean() + 1 - (scores > 0)[~inside].mean()) / 2])
    # standard error of one AUC is 0.02, of the mean of ten 0.007
    np.testing.assert_allclose(np.mean(found, axis=0), 0.5, atol=0.025)


@on_outputs
def test_known_records_on_the_wrong_sides_do_not_turn_the_scores_round(attack):
    view, members = leaking()
    wrong = dataclasses.replace(view, known=np.where(view.known < 0, -1, 1 - view.known))
    scores, right = (attack.score(each, rng=rng())[view.audited] for each in (wrong, view))
    inside = members[view.audited]
    assert auc(scores, inside) > auc(right, inside) - 0.05 > 0.55


@pytest.mark.parametrize("attack", [attack for attack in EVERY if attack.labels], ids=lambda attack: attack.title)
def test_labels_of_somebody_else_hide_what_they_would_have_shown(attack):
    view, members = trained()
    shuffled = dataclasses.replace(view, labels=rng(3).permutation(view.labels), gradient_norm=None)
    shuffled = dataclasses.replace(
        shuffled, signals=View.from_logits(view.outputs, shuffled.labels, target_column=0).signals
    )
    right, wrong = (attack.score(each, rng=rng())[view.audited] for each in (view, shuffled))
    assert auc(wrong, members[view.audited]) < auc(right, members[view.audited]) - 0.05


# gradients


def test_gradients_are_asked_for_once_and_counted():
    view, _ = live(2.0)
    norms = view.layer_gradient_norms(of_label=True)
    assert norms.shape == (view.n_samples, 1)
    assert view.n_asked == view.n_samples
    assert view.layer_gradient_norms(of_label=True) is norms
    assert view.n_asked == view.n_samples
    np.testing.assert_allclose(
        np.sqrt((norms**2).sum(axis=1)), view.model.gradient_norm(view.records.batch(), view.labels), rtol=1e-6
    )


def test_without_labels_the_gradient_is_that_of_the_predicted_one():
    view, _ = trained()
    predicted = view.outputs[:, 0, 0].argmax(axis=1)
    expected = view.model.gradient_norm(view.records.batch(), predicted)
    np.testing.assert_allclose(
        np.sqrt((view.layer_gradient_norms(of_label=False) ** 2).sum(axis=1)), expected, rtol=1e-5
    )


def test_who_is_like_all_known_records_is_no_member_however_their_mean_is_rounded():
    for value in np.random.default_rng(5).normal(size=100):
        known = np.full((1, 37), value)
        assert not value > best_thresholds(known, known)[0]


def test_what_each_form_needs():
    assert (SignalShot().access, SignalShot().needs, SignalShot().least_known) == (
        Access.PROBABILITIES, {"known", "labels"}, 1
    )  # fmt: skip
    white = SignalShot(5, labels=False, gradients=True)
    assert (white.access, white.needs, white.least_known) == (Access.GRADIENTS, {"known", "model", "records"}, 5)
    with pytest.raises(InputError, match="shots must be a whole number of at least 1"):
        SignalShot(0)
    view, _ = leaking(n=8)
    with pytest.raises(InputError, match="needs 5 known members"):
        SignalShot(5).score(view, rng=rng())
