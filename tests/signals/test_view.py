import dataclasses

import numpy as np
import pytest
import torch

from seepage.attacks.base import NEEDS
from seepage.data import Pool
from seepage.errors import InputError
from seepage.models.target import TargetModel
from seepage.signals.functions import LABEL_FREE, SIGNALS
from seepage.signals.probabilities import OF_PROBABILITIES
from seepage.signals.view import ScalarSignals, View

RNG = np.random.default_rng(2)
LOGITS = RNG.normal(size=(6, 4, 2, 3)).astype(np.float32)
LABELS = RNG.integers(0, 3, 6)


def test_columns_of_the_target_and_of_the_references():
    view = View.from_logits(LOGITS, LABELS, target_column=2, reference_columns=[3, 0])
    loss = SIGNALS["loss"](LOGITS, LABELS)
    np.testing.assert_array_equal(view.target("loss"), loss[:, 2])
    np.testing.assert_array_equal(view.references("loss"), loss[:, [3, 0]])
    assert view.n_classes == 3
    assert view.available == {"labels", "queries"}
    assert (view.known == -1).all()
    assert not view.population.any()


def test_views_of_several_targets_compute_a_signal_once(monkeypatch):
    calls = []
    monkeypatch.setitem(SIGNALS, "loss", lambda *arguments: calls.append(1) or np.zeros((6, 4, 2)))
    signals = ScalarSignals(LOGITS, LABELS)
    for column in range(4):
        others = [other for other in range(4) if other != column]
        view = View(signals=signals, labels=LABELS, target_column=column, reference_columns=others)
        view.target("loss")
        assert view.references("loss") is view.references("loss")
    assert len(calls) == 1


def test_neighbouring_reference_columns_are_not_copied():
    signals = {"loss": np.zeros((6, 4, 2))}
    view = View(signals=signals, labels=LABELS, target_column=0, reference_columns=[1, 2, 3])
    assert np.shares_memory(view.references("loss"), signals["loss"])


def test_scalar_signals_without_logits():
    target, references = RNG.normal(size=(6, 2)), RNG.normal(size=(6, 3, 2))
    view = View.from_signals(
        {"loss": target, "hinge": target}, {"loss": references}, reference_out=np.ones((6, 3), bool)
    )
    np.testing.assert_array_equal(view.target("loss"), target)
    np.testing.assert_array_equal(view.references("loss"), references)
    np.testing.assert_array_equal(view.target("hinge"), target)
    assert view.available == {"labels", "out-references", "queries"}
    assert view.n_queries == 2
    with pytest.raises(InputError, match=r"View\.from_logits"):
        view.target_log_probabilities()
    with pytest.raises(InputError, match="did you mean 'hinge'"):
        view.target("hing")


def test_available_names_what_is_there():
    is_in = np.zeros((6, 3), dtype=bool)
    is_in[:3] = True
    view = View.from_logits(
        LOGITS,
        LABELS,
        target_column=0,
        reference_columns=[1, 2, 3],
        reference_in=is_in,
        reference_out=~is_in,
        population=np.arange(6) == 5,
        known=np.array([1, 0, -1, -1, -1, -1]),
        gradient_norm=np.ones(6),
        features=np.zeros((6, 3)),
        records=Pool(np.zeros((6, 3)), LABELS),
        model=TargetModel.wrap(torch.nn.Linear(3, 3)),
    )
    assert view.available == set(NEEDS)


@pytest.mark.usefixtures("wrong_shapes")
def test_the_population_and_known_records_are_not_audited():
    view = View.from_logits(
        LOGITS, LABELS, target_column=0, population=np.arange(6) == 5, known=np.array([1, 0, -1, -1, -1, -1])
    )
    assert view.audited.tolist() == [False, False, True, True, True, False]
    with pytest.raises(InputError, match="cannot be audited"):
        dataclasses.replace(view, audited=np.ones(6, dtype=bool))
    with pytest.raises(InputError, match="features of 6 samples"):
        dataclasses.replace(view, features=np.zeros((5, 3)))


def test_log_probabilities_are_those_of_the_target():
    view = View.from_logits(LOGITS, LABELS, target_column=1, reference_columns=[3, 0])
    expected = torch.from_numpy(LOGITS[:, 1].astype(np.float64)).log_softmax(-1).numpy()
    np.testing.assert_allclose(view.target_log_probabilities(), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_column": 1}, "at once"),
        ({"reference_out": np.ones((6, 3), bool)}, "both in and out"),
        ({"reference_in": np.ones((6, 2), bool)}, "shape"),
        ({"population": np.ones(6, bool)}, "train a reference model"),
        ({"population": np.arange(6) == 5, "known": np.ones(6, int)}, "known member"),
    ],
)
def test_contradictions_are_refused(change, message):
    is_in = np.zeros((6, 3), dtype=bool)
    is_in[0] = True
    arguments = {"target_column": 0, "reference_columns": [1, 2, 3], "reference_in": is_in} | change
    with pytest.raises(InputError, match=message):
        View.from_logits(LOGITS, LABELS, **arguments)


@pytest.mark.usefixtures("wrong_shapes")
@pytest.mark.parametrize("name", ["known", "population", "gradient_norm"])
def test_an_array_of_another_length_is_refused(name):
    with pytest.raises(InputError, match=f"expected {name} of shape"):
        View.from_logits(LOGITS, LABELS, target_column=0, **{name: np.zeros(5)})


def test_a_view_without_labels_gives_what_needs_none_and_refuses_the_rest():
    logits = np.random.default_rng(0).normal(size=(5, 1, 1, 3)).astype(np.float32)
    labelled = View.from_logits(logits, np.array([0, 1, 2, 0, 1]), target_column=0)
    view = View.from_logits(logits, None, target_column=0)
    assert (labelled.labelled, view.labelled) == (True, False)
    assert (labelled.available, view.available) == ({"labels"}, set())
    assert (view.n_samples, view.n_classes) == (5, 3)
    for name in LABEL_FREE:
        np.testing.assert_array_equal(view.target(name), labelled.target(name))
    for name in set(SIGNALS) - LABEL_FREE:
        for refused in (view, dataclasses.replace(labelled, labelled=False)):
            with pytest.raises(InputError, match=f"'{name}' is about a record's label, and these records have none"):
                refused.target(name)
        with pytest.raises(InputError, match="label"):
            view.signals[name]


def test_labels_that_are_not_there_cannot_be_used_by_mistake():
    view = View.from_logits(np.zeros((5, 1, 1, 3), np.float32), None, target_column=0)
    known = dataclasses.replace(view, known=np.array([1, 0, -1, -1, -1]), audited=None)  # a part of it has none either
    assert not known.labelled
    for use in (
        lambda labels: labels[0],
        lambda labels: labels == 1,
        lambda labels: labels.max(),
        lambda labels: np.asarray(labels),
        lambda labels: np.unique(labels),
        lambda labels: np.zeros(3)[labels],
        len,
        list,
    ):
        with pytest.raises(InputError, match="no labels"):
            use(known.labels)


@pytest.mark.parametrize("name", sorted(LABEL_FREE))
def test_what_is_said_to_need_no_label_is_the_same_for_every_label(name):
    logits = np.random.default_rng(1).normal(size=(50, 2, 4))
    for forms in (SIGNALS, OF_PROBABILITIES):
        if name in forms:
            values = [forms[name](logits, np.full(50, label)) for label in range(4)]
            for other in values[1:]:
                np.testing.assert_array_equal(values[0], other)
