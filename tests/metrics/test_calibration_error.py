import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.errors import InputError
from seepage.metrics import clopper_pearson
from seepage.metrics.calibration import (
    expected_calibration_error,
    negative_log_likelihood,
    overconfidence_error,
    reliability,
)
from tests.reference import calibration as naive

# Four records in two of four bins. (0.5, 0.75]: confidences 0.7, 0.75, one right. (0.75, 1]: 0.9, 1.0, both right.
BY_HAND = np.array([[0.7, 0.3], [0.25, 0.75], [0.9, 0.1], [0.0, 1.0]])
LABELS = np.array([0, 0, 0, 1])


def rng():
    return np.random.default_rng(0)


def calibrated(n, seed, k=3):
    """A model whose labels are drawn from its own probabilities."""
    source = np.random.default_rng(seed)
    p = source.dirichlet(np.ones(k), size=n)
    return p, (source.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=k - 1)


def test_four_records_by_hand():
    found = reliability(BY_HAND, LABELS, bins=4)
    assert found.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert found.counts.tolist() == [0, 0, 2, 2]
    assert found.confidence[2:] == pytest.approx([0.725, 0.95])
    assert found.accuracy[2:].tolist() == [0.5, 1.0]
    assert np.isnan(found.confidence[:2]).all()
    assert np.isnan(found.accuracy[:2]).all()
    assert (found.low[0], found.high[0]) == (0, 1)
    assert (found.low[2], found.high[2]) == pytest.approx(clopper_pearson(1, 2))
    ece = expected_calibration_error(BY_HAND, LABELS, bins=4, rng=rng())
    assert ece.value == pytest.approx(0.5 * 0.225 + 0.5 * 0.05)
    assert overconfidence_error(BY_HAND, LABELS, bins=4, rng=rng()).value == pytest.approx(0.5 * 0.725 * 0.225)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it():
    edges = np.linspace(0, 1, 16)[8:]
    found = reliability(np.stack([edges, 1 - edges], axis=1), np.zeros(8, int))
    assert found.counts.tolist() == [0] * 7 + [1] * 8


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 50), st.integers(1, 20))
def test_both_errors_are_what_plain_loops_give(seed, n, bins):
    source = np.random.default_rng(seed)
    p, labels = source.dirichlet(np.full(4, 0.4), size=n), source.integers(0, 4, n)
    assert reliability(p, labels, bins=bins).counts.tolist() == [len(m) for m in naive.bins_of(p, labels, bins)]
    for ours, theirs in (
        (expected_calibration_error, naive.expected_calibration_error),
        (overconfidence_error, naive.overconfidence_error),
    ):
        estimate = ours(p, labels, bins=bins, rng=rng())
        assert estimate.value == pytest.approx(theirs(p, labels, bins), abs=1e-12)
        assert 0 <= estimate.low <= estimate.value <= estimate.high
        assert estimate.n == n


def test_a_calibrated_model_shows_the_bias_of_few_records_and_no_more():
    """About sqrt(bins / n) / 3, which shrinks with n; the interval reaches zero's side and the flag says so."""
    for n in (300, 30_000):
        p, labels = calibrated(n, seed=1)
        ece = expected_calibration_error(p, labels, rng=rng())
        assert ece.value < math.sqrt(15 / n)
        assert ece.low == 0
        assert "calibrated model" in ece.flag


def test_a_calibrated_model_is_flagged_in_about_95_of_100():
    flagged = [expected_calibration_error(*calibrated(100, seed), rng=rng()).flag is not None for seed in range(100)]
    assert 88 <= sum(flagged) <= 99


def test_the_interval_holds_the_error_of_a_large_sample():
    """An overconfident model: the label is the predicted class in 60 of 100 records of confidence 0.9."""
    p = np.tile([0.9, 0.1], (400, 1))
    held = 0
    for seed in range(40):
        labels = (np.random.default_rng(seed).random(400) > 0.6).astype(int)
        ece = expected_calibration_error(p, labels, rng=rng())
        held += ece.low <= 0.3 <= ece.high
        assert ece.flag is None
    assert held >= 34


def test_only_too_much_confidence_counts_as_overconfidence():
    p = np.tile([0.6, 0.4], (50, 1))
    assert overconfidence_error(p, np.zeros(50, int), rng=rng()).value == 0
    assert overconfidence_error(p, np.ones(50, int), rng=rng()).value == pytest.approx(0.36)
    assert expected_calibration_error(p, np.zeros(50, int), rng=rng()).value == pytest.approx(0.4)


def test_the_same_source_gives_the_same_interval():
    p, labels = calibrated(100, 3)
    assert expected_calibration_error(p, labels, rng=rng()) == expected_calibration_error(p, labels, rng=rng())


def test_likelihood_by_hand_and_without_bound():
    log_p = np.log([[0.5, 0.5], [0.75, 0.25], [0.1, 0.9]])
    labels = np.array([0, 1, 1])
    losses = -np.log([0.5, 0.25, 0.9])
    found = negative_log_likelihood(log_p, labels)
    assert found.value == pytest.approx(losses.mean())
    # Student's t with 2 degrees of freedom: 4.3027 at 95 %.
    assert found.high - found.value == pytest.approx(4.302653 * losses.std(ddof=1) / math.sqrt(3), rel=1e-6)
    assert negative_log_likelihood(log_p[:1], labels[:1]).low is None
    certain = np.array([[0.0, -np.inf]])
    assert negative_log_likelihood(certain, np.array([0])).value == 0
    wrong = negative_log_likelihood(certain, np.array([1]))
    assert wrong.value == math.inf
    assert "probability zero" in wrong.flag


@pytest.mark.usefixtures("wrong_shapes")
@pytest.mark.parametrize(
    ("p", "labels", "message"),
    [
        (np.array([[2.0, -1.0]]), np.array([0]), "row 0"),
        (np.array([[0.5, 0.5], [0.9, 0.9]]), np.array([0, 1]), "row 1"),
        (np.array([[0.5, np.nan]]), np.array([0]), "row 0"),
        (np.array([[0.5, 0.5]]), np.array([2]), "from 0 to 1"),
        (np.array([[0.5, 0.5]]), np.array([0.0]), "whole numbers"),
        (np.array([[0.5, 0.5]]), np.array([0, 1]), "one label a row"),
        (np.empty((0, 2)), np.array([], int), "one label a row"),
    ],
)
def test_what_is_no_probability_is_refused(p, labels, message):
    with pytest.raises(InputError, match=message):
        expected_calibration_error(p, labels, rng=rng())


def test_logits_are_not_taken_for_log_probabilities():
    with pytest.raises(InputError, match="log_softmax"):
        negative_log_likelihood(np.array([[3.0, 1.0]]), np.array([0]))
    with pytest.raises(InputError, match="at least 1 bin"):
        reliability(BY_HAND, LABELS, bins=0)
