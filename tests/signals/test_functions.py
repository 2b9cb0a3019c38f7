import tracemalloc

import numpy as np
import pytest

from seepage.errors import InputError
from seepage.signals.functions import SIGNALS
from tests.reference import signals as naive

RNG = np.random.default_rng(5)

LOGITS = {
    "ordinary": (RNG.normal(0, 3, (30, 5)), RNG.integers(0, 5, 30)),
    "two classes": (RNG.normal(0, 3, (10, 2)), RNG.integers(0, 2, 10)),
    "right and saturated": (np.array([[60.0, 0, 1], [0, 300, 1], [0, 0, 700]]), np.array([0, 1, 2])),
    "wrong and saturated": (np.array([[60.0, 0, 1], [0, 300, 1], [0, 0, 700]]), np.array([1, 2, 0])),
    "ties": (np.array([[1.0, 1, 1], [2, 2, 0], [0, 5, 5]]), np.array([1, 0, 0])),
    "log-probabilities with a zero": (np.array([[-1e-9, -103.97, -20.7], [-103.97, -103.97, 0.0]]), np.array([0, 2])),
}


@pytest.mark.parametrize("case", LOGITS)
@pytest.mark.parametrize("name", SIGNALS)
def test_signals_agree_with_many_digit_arithmetic(name, case):
    logits, labels = LOGITS[case]
    expected = [naive.signal(name, row, int(label)) for row, label in zip(logits, labels, strict=True)]
    np.testing.assert_allclose(SIGNALS[name](logits, labels), expected, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("confidence", [0.72747516, 0.24472847]),
        ("loss", [0.31817543, 1.40760596]),
        ("scaled-logit", [0.98185009, -1.12692802]),
        ("hinge", [1.0, -1.0]),
        ("correct", [1.0, 0.0]),
    ],
)
def test_vectors_of_tensorflow_privacy(name, expected):
    logits = np.array([[1, 2, -3.0], [-1, 1, 0]])
    np.testing.assert_allclose(SIGNALS[name](logits, np.array([1, 2])), expected, atol=1e-8)


def test_scaled_logit_of_probabilities_is_that_of_tensorflow_privacy():
    probabilities = np.array([[0.1, 0.85, 0.05], [0.1, 0.5, 0.4]])
    values = SIGNALS["scaled-logit"](np.log(probabilities), np.array([1, 2]))
    np.testing.assert_allclose(values, [1.73460106, -0.40546511], atol=1e-8)


def test_taylor_softmax_worked_by_hand():
    # u = (1, 0); T(1 - 0.6) = 1 + 0.4 + 0.08 + 0.064 / 6, T(0) = 1
    top = 1 + 0.4 + 0.08 + 0.064 / 6
    value = SIGNALS["taylor-softmax"](np.array([[2.0, 0.0]]), np.array([0]))
    np.testing.assert_allclose(value, [top / (top + 1)])
    # degree 0: every class counts one
    np.testing.assert_allclose(SIGNALS["taylor-softmax"](np.array([[2.0, 0.0]]), np.array([0]), n=1), [0.5])


@pytest.mark.parametrize("name", sorted(set(SIGNALS) - {"taylor-softmax"}))
def test_log_probabilities_give_what_logits_give(name):
    logits, labels = LOGITS["ordinary"]
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(SIGNALS[name](log_p, labels), SIGNALS[name](logits, labels), rtol=1e-9)


@pytest.mark.parametrize("name", ["loss", "scaled-logit", "entropy", "modified-entropy"])
def test_probabilities_that_float32_rounds_to_one_keep_their_order(name):
    others = np.array([1e-9, 1e-12, 1e-20, 1e-30], dtype=np.float32)
    logits = np.log(np.stack([1 - others, others / 2, others / 2], axis=1))
    assert (logits[:, 0] == 0).all()
    values = SIGNALS[name](logits, np.zeros(4, dtype=int))
    assert (np.diff(values) > 0).all() if name == "scaled-logit" else (np.diff(values) < 0).all()
    if name == "loss":
        np.testing.assert_allclose(values, others, rtol=1e-5)


@pytest.mark.parametrize("name", SIGNALS)
def test_zero_probability_counts_as_the_smallest_that_float32_has(name):
    with np.errstate(divide="ignore"):
        logits = np.log(np.array([[1.0, 0, 0], [0, 0.5, 0.5]], dtype=np.float32))
    values = SIGNALS[name](logits, np.zeros(2, dtype=int))
    assert np.isfinite(values).all()
    if name == "loss":
        assert values[0] < 1e-44
        assert values[1] > 100


@pytest.mark.parametrize("name", SIGNALS)
def test_blocks_and_outer_axes_change_nothing(name, monkeypatch):
    logits = RNG.normal(size=(7, 3, 2, 4)).astype(np.float32)
    labels = RNG.integers(0, 4, 7)
    whole = SIGNALS[name](logits, labels)
    assert whole.shape == (7, 3, 2)
    assert whole.dtype == np.float64
    monkeypatch.setattr("seepage.signals.functions.BLOCK_VALUES", 30)
    np.testing.assert_array_equal(SIGNALS[name](logits, labels), whole)
    np.testing.assert_array_equal(SIGNALS[name](logits[:, 1, 1], labels), whole[:, 1, 1])


def test_memory_beyond_the_result_is_bounded():
    logits = np.zeros((20_000, 16, 1, 10), dtype=np.float32)  # 26 MB as float64
    tracemalloc.start()
    values = SIGNALS["modified-entropy"](logits, np.zeros(20_000, dtype=int))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - values.nbytes < 16e6


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinite_outputs_are_refused(bad):
    logits = np.zeros((3, 4))
    logits[1, 2] = bad
    for signal in SIGNALS.values():
        with pytest.raises(InputError, match="NaN or infinity"):
            signal(logits, np.zeros(3, dtype=int))


@pytest.mark.usefixtures("wrong_shapes")
def test_wrong_shapes_and_labels_are_refused():
    with pytest.raises(InputError, match="from 0 to 3"):
        SIGNALS["loss"](np.zeros((3, 4)), np.array([0, 1, 4]))
    with pytest.raises(InputError, match="from 0 to 3"):
        SIGNALS["loss"](np.zeros((3, 4)), np.array([0, 1, -1]))
    with pytest.raises(InputError, match="at least 2 classes"):
        SIGNALS["loss"](np.zeros((3, 1)), np.zeros(3, dtype=int))
    with pytest.raises(InputError):
        SIGNALS["loss"](np.zeros((3, 4)), np.zeros(2, dtype=int))
