"""Loss trajectory and metric sequence: students of the target and of one reference."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.special import expit, log_expit

from seepage.attacks.trained import distillation, population, recurrent
from seepage.attacks.trained.loss_trajectory import LossTrajectory
from seepage.attacks.trained.sequence import MetricSequence
from seepage.errors import InputError
from tests.attacks.planted import auc
from tests.attacks.trained import trained
from tests.reference import students as naive

BOTH = (LossTrajectory(), MetricSequence())
FIT = {"hidden": 8, "steps": 60, "lr": 1e-2, "most_rows": 1000}
both = pytest.mark.parametrize("attack", BOTH, ids=["loss-trajectory", "sequence"])


def fresh(view, **changes):
    """The same view without what was kept on it."""
    return dataclasses.replace(view, **changes)


def score(attack, view, seed=0):
    return attack.score(view, rng=np.random.default_rng(seed))


def permuted(view, order):
    return dataclasses.replace(
        view,
        signals={name: values[order] for name, values in view.signals.items()},
        labels=view.labels[order],
        reference_in=view.reference_in[order],
        reference_out=view.reference_out[order],
        population=view.population[order],
        known=view.known[order],
        audited=view.audited[order],
        gradient_norm=view.gradient_norm[order],
        features=view.features[order],
        outputs=view.outputs[order],
        records=view.records.subset(order),
    )


def test_the_losses_on_the_way_are_those_of_a_plain_full_batch_loop():
    view, _ = trained()
    made = distillation.trajectories(fresh(view), epochs=4, lr=5e-3, batch_size=1000, seed=3)
    for column, ours in ((view.target_column, made.target), (view.reference_columns[0], made.reference)):
        torch.manual_seed(3)
        module = view.architecture((1, 8, 8), 10)
        expected = naive.loss_trajectory(
            module,
            view.records.batch(view.population),
            view.outputs[view.population, column, 0],
            view.records.batch(made.rows),
            view.labels[made.rows],
            epochs=4,
            lr=5e-3,
        )
        losses = -log_expit(ours[..., 0])
        np.testing.assert_allclose(losses[:, :-1], expected, atol=1e-4)
        np.testing.assert_allclose(losses[:, -1], view.signals["loss"][made.rows, column, 0], rtol=1e-12)


def test_pairs_are_the_first_references_and_never_the_populations():
    view, _ = trained()
    made = distillation.trajectories(view, epochs=1, lr=1e-3, batch_size=32, seed=0)
    assert not view.population[made.rows].any()
    np.testing.assert_array_equal(made.is_in, view.reference_in[made.rows, 0])
    assert made.is_pair.sum() == (~view.population).sum()


def test_without_passes_the_trajectory_orders_records_as_the_loss_does():
    view, _ = trained()
    scores = score(LossTrajectory(epochs=0, hidden=()), view)
    rows = np.flatnonzero(view.audited)
    np.testing.assert_array_equal(np.argsort(scores[rows]), np.argsort(view.target("scaled-logit")[rows, 0]))


def test_metrics_agree_with_the_naive_ones():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 2, (30, 4)), rng.integers(0, 4, 30)
    expected = [naive.metrics(row, label) for row, label in zip(logits, labels, strict=True)]
    np.testing.assert_allclose(distillation.metrics(logits, labels), expected, rtol=1e-9, atol=1e-9)


@both
def test_a_trained_leak_is_found_and_the_students_help(attack):
    view, members = trained()
    a = view.audited
    found = auc(score(attack, view)[a], members[a])
    assert found > 0.7
    assert found > auc(-view.target("loss")[a, 0], members[a]) + 0.03


@both
def test_a_target_that_saw_nothing_gives_chance(attack):
    # the reference leaks, the target does not; standard error of the AUC for 120 against 120 is 0.037
    view, members = trained(leak=False)
    a = view.audited
    assert abs(auc(score(attack, view)[a], members[a]) - 0.5) < 0.11


@both
def test_only_what_is_audited_needs_a_score_and_two_runs_agree(attack):
    view, _ = trained()
    scores = score(attack, fresh(view))
    assert np.isfinite(scores[view.audited]).all()
    assert np.isnan(scores[view.population]).all()
    np.testing.assert_array_equal(score(attack, fresh(view)), scores)
    assert not np.array_equal(score(attack, fresh(view), seed=1), scores)


@both
def test_the_order_of_the_records_plays_no_part(attack):
    view, _ = trained()
    order = np.random.default_rng(1).permutation(view.n_samples)
    np.testing.assert_allclose(score(attack, permuted(view, order)), score(attack, fresh(view))[order], rtol=1e-9)


def test_both_attacks_share_the_students_of_a_view(monkeypatch):
    calls, train = [], population.train
    monkeypatch.setattr(population, "train", lambda *given, **options: calls.append(1) or train(*given, **options))
    view = fresh(trained()[0])
    score(LossTrajectory(epochs=2), view)
    score(MetricSequence(epochs=2, steps=2), view)
    assert len(calls) == 2  # the target's student and the reference's
    score(LossTrajectory(epochs=3), view)
    assert len(calls) == 4


def test_a_reference_without_both_sides_is_passed_over():
    view, _ = trained()
    is_in = view.reference_in.copy()
    is_in[:, 0] = False
    made = distillation.trajectories(fresh(view, reference_in=is_in), epochs=0, lr=1e-3, batch_size=8, seed=0)
    np.testing.assert_array_equal(made.is_in, is_in[made.rows, 1])
    one_side = fresh(
        view, reference_in=is_in & (np.arange(8) > 6), reference_out=view.reference_out & (np.arange(8) < 7)
    )
    with pytest.raises(InputError, match="IN and OUT records outside the population"):
        score(LossTrajectory(epochs=0), one_side)


@both
def test_without_the_architecture_of_the_references_a_small_one_is_taken(attack):
    view, members = trained()
    scores = score(dataclasses.replace(attack, epochs=5), fresh(view, architecture=None))
    assert auc(scores[view.audited], members[view.audited]) > 0.6


def test_raw_losses_are_an_option():
    view, members = trained()
    scores = score(LossTrajectory(values="loss"), view)
    assert auc(scores[view.audited], members[view.audited]) > 0.65


def test_options_are_checked():
    with pytest.raises(InputError, match="epochs must be a whole number of at least 0"):
        LossTrajectory(epochs=-1)
    with pytest.raises(InputError, match="scaled-logit, loss"):
        LossTrajectory(values="entropy")
    with pytest.raises(InputError, match="must be a whole number of at least 1"):
        MetricSequence(hidden=0)


def test_the_network_reads_the_order_of_a_sequence():
    # rising or falling: every step by itself, and any sum of steps with the same weight, says nothing
    rng = np.random.default_rng(0)
    rising = rng.random(400) < 0.5
    slope = np.where(rising, 1.0, -1.0)[:, None] * np.linspace(-1, 1, 12) * rng.choice([1.0, 3.0], (400, 1))
    x = np.stack([slope + rng.normal(0, 1, (400, 1)), rng.normal(size=(400, 12))], axis=2)
    log_odds = recurrent.fit(x[:300], rising[:300], **FIT, rng=rng)
    assert auc(log_odds(x[300:]), rising[300:]) > 0.95


def test_sequences_that_are_all_alike_say_nothing():
    members = np.arange(60) % 2 == 0
    log_odds = recurrent.fit(np.ones((60, 5, 3)), members, **FIT, rng=np.random.default_rng(0))
    values = log_odds(np.ones((7, 5, 3)))
    np.testing.assert_array_equal(values, values[0])


def test_few_sequences_are_enough():
    rng = np.random.default_rng(0)
    log_odds = recurrent.fit(rng.normal(size=(3, 5, 2)), np.array([True, False, True]), **FIT, rng=rng)
    assert np.isfinite(log_odds(rng.normal(size=(4, 5, 2)))).all()
    with pytest.raises(InputError, match="members and non-members"):
        recurrent.fit(rng.normal(size=(3, 5, 2)), np.ones(3, bool), **FIT, rng=rng)


def test_the_network_agrees_with_the_naive_one():
    torch.manual_seed(0)
    network = recurrent.Attentive(3, 4).double()
    torch.nn.init.normal_(network.head.weight)
    x = torch.randn(6, 5, 3, dtype=torch.float64)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    expected = [naive.attentive(sequence, weights) for sequence in x.numpy()]
    np.testing.assert_allclose(network(x).detach().numpy(), expected, rtol=1e-9)
    assert expit(expected).std() > 0
