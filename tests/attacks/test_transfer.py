"""The transfer attack: what a surrogate can know is what the target's labels of the population tell."""

import dataclasses

import numpy as np
import pytest
import torch

from seepage.attacks.trained.transfer import Transfer
from seepage.data import Pool
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.models.architectures import MLP
from seepage.signals.view import View
from tests.attacks.planted import auc
from tests.attacks.trained import trained
from tests.reference import students as naive


def rule_world(architecture=None):
    """The target says which side of a line a record is on; half of the records are labelled the other way."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)).astype(np.float32)
    side = (x @ [1.0, 2.0] > 0).astype(np.int64)
    turned = rng.random(300) < 0.5
    logits = np.stack([-side, side - 1.0], axis=1)[:, None, None].astype(np.float32)
    labels = np.where(turned, 1 - side, side)
    population = np.arange(300) >= 150
    records = Pool(x, labels, n_classes=2)
    view = View.from_logits(
        logits, labels, target_column=0, population=population, records=records, architecture=architecture
    )
    return view, turned


def score(attack, view, seed=0):
    return attack.score(view, rng=np.random.default_rng(seed))


def test_the_surrogate_has_learnt_the_targets_labels():
    view, turned = rule_world()
    scores = score(Transfer(), view)[view.audited]
    assert auc(scores, ~turned[view.audited]) > 0.97


def test_labels_are_all_it_asks_of_the_target():
    view, _ = trained()
    assert Transfer.access == Access.LABEL
    labels = view.outputs[:, view.target_column, 0].argmax(axis=-1)
    told = np.where(np.eye(10, dtype=bool)[labels], 0.0, -100.0).astype(np.float32)[:, None, None]
    blind = dataclasses.replace(
        view,
        signals=type(view.signals)(told, view.labels),
        outputs=told,
        target_column=0,
        reference_columns=(),
        reference_in=None,
        reference_out=None,
        gradient_norm=None,
        features=None,
        model=None,
    )
    np.testing.assert_array_equal(score(Transfer(), blind), score(Transfer(), view))


@pytest.mark.parametrize("leak", [True, False])
def test_the_target_never_saw_the_population_so_its_members_stay_near_chance(leak):
    view, members = trained(leak)
    scores, audited = score(Transfer(), view), view.audited
    assert np.isfinite(scores[audited]).all()
    assert np.isnan(scores[~audited]).all()
    assert abs(auc(scores[audited], members[audited]) - 0.5) < 0.11


def test_agrees_with_a_plain_full_batch_loop():
    view, _ = rule_world(architecture=MLP)
    torch.manual_seed(int(np.random.default_rng(5).integers(2**62)))
    expected = naive.surrogate_losses(
        MLP((2,), 2),
        view.records.batch(view.population),
        view.outputs[view.population, 0, 0].argmax(axis=-1),
        view.records.batch(view.audited),
        view.labels[view.audited],
        epochs=7,
        lr=1e-2,
    )
    scores = score(Transfer(epochs=7, lr=1e-2, batch_size=1000), view, seed=5)[view.audited]
    np.testing.assert_allclose(np.log1p(np.exp(-scores)), expected, atol=1e-4)


def test_the_order_of_the_records_plays_no_part():
    view, _ = rule_world()
    order = np.random.default_rng(1).permutation(view.n_samples)
    moved = View.from_logits(
        view.outputs[order],
        view.labels[order],
        target_column=0,
        population=view.population[order],
        records=view.records.subset(order),
    )
    np.testing.assert_array_equal(score(Transfer(), moved), score(Transfer(), view)[order])


def test_what_cannot_be_done_is_refused():
    with pytest.raises(InputError, match="epochs must be a whole number of at least 1"):
        Transfer(epochs=0)
    view, _ = rule_world()
    with pytest.raises(InputError, match="needs the records themselves"):
        score(Transfer(), dataclasses.replace(view, records=None))
