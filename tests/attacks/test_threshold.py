import numpy as np
import pytest

from seepage.attacks.per_class import CLASSWISE, ClassThreshold, best_threshold
from seepage.attacks.threshold import STATISTICS, GlobalThreshold
from seepage.signals.view import View
from tests.reference import per_class as naive

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_global_threshold_is_the_mean_over_queries_with_its_sign(statistic):
    values = RNG.lognormal(size=(10, 3))
    view = View.from_signals({STATISTICS[statistic].signal: values})
    scores = GlobalThreshold(statistic).score(view, rng=RNG)
    sign = {"confidence": 1, "max-probability": 1, "correctness": 1}.get(statistic, -1)
    expected = values[:, 0] if statistic == "correctness" else values.sum(axis=1) / 3  # the gap attack asks once
    np.testing.assert_allclose(scores, sign * expected, rtol=1e-12)


@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("statistic", CLASSWISE)
def test_class_thresholds_agree_with_trying_every_cut(statistic, rounded):
    rng = np.random.default_rng(1)
    target, references = rng.lognormal(size=(40, 2)), rng.lognormal(size=(40, 4, 2))
    if rounded:  # many ties
        target, references = np.ceil(target), np.ceil(references)
    kind = rng.integers(0, 3, (40, 4))
    labels = rng.integers(0, 4, 40)
    kind[labels == 1] = 1  # a class without any IN value
    kind[labels == 2] = 2  # a class without any reference
    is_in, is_out = kind == 0, kind == 1
    signal = STATISTICS[statistic].signal
    view = View.from_signals(
        {signal: target}, {signal: references}, labels=labels, reference_in=is_in, reference_out=is_out
    )
    value, seen = target.mean(axis=1), references.mean(axis=2)
    if statistic != "confidence":
        value, seen = -np.log(value), -np.log(seen)
    expected = naive.class_thresholds(value.tolist(), seen.tolist(), is_in, is_out, labels)
    np.testing.assert_allclose(ClassThreshold(statistic).score(view, rng=RNG), expected, atol=1e-9)


def test_best_threshold_worked_by_hand():
    # separable: half-way between the lowest member and the highest non-member
    assert best_threshold(np.array([3.0, 4.0]), np.array([0.0, 1.0])) == 2.0
    # nothing to gain: members are low, everyone is accused, as good as nobody
    assert best_threshold(np.array([0.0, 1.0]), np.array([3.0, 4.0])) == 0.0
    # one value for all
    assert best_threshold(np.ones(3), np.ones(2)) == 1.0


def test_class_thresholds_help_where_classes_differ():
    rng = np.random.default_rng(3)
    n_samples, n_references = 2000, 8
    labels = rng.integers(0, 10, n_samples)
    is_in = rng.permuted(np.tile(np.arange(n_references) < 4, (n_samples, 1)), axis=1)
    members = rng.random(n_samples) < 0.5
    inside = np.concatenate([members[:, None], is_in], axis=1)
    phi = 3.0 * labels[:, None] + 2.0 * inside + rng.normal(size=inside.shape)
    view = View.from_signals(
        {"scaled-logit": phi[:, :1]},
        {"scaled-logit": phi[:, 1:, None]},
        labels=labels,
        reference_in=is_in,
        reference_out=~is_in,
    )
    scores = ClassThreshold("confidence").score(view, rng=rng)
    accuracy = ((scores >= 0) == members).mean()
    assert accuracy > 0.8  # Phi(1) = 0.84 is the best there is
