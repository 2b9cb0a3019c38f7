"""Rates, predictive values and mean largest scores on counts that can be checked by hand."""

import numpy as np
import pytest

from seepage.metrics.intervals import proportion
from seepage.metrics.thresholds import mean_share, predictive_value
from seepage.studies.compare.shadow.attackers import Answers, Evidence
from seepage.studies.compare.shadow.measures import Terms, complement, precision, threat_result
from seepage.studies.compare.shadow.threats import Threat, max_score


def answers(*largest):
    p = np.array(largest)
    return np.log(np.stack([p, 1 - p], axis=1))


def test_one_attack_by_hand():
    above = Threat("max-score", "Largest score", "", max_score, float(np.log(0.7 / 0.3)))  # member above 0.7
    shadow, members = answers(0.9, 0.8, 0.6, 0.75), np.array([True, True, False, False])
    groups = {
        "members": answers(0.99, 0.9, 0.8, 0.6),
        "same": answers(0.95, 0.65, 0.55, 0.5),
        "far": answers(0.51, 0.52),
        "shadow": shadow,
    }
    every = {name: Answers(log_p, log_p, log_p.argmax(axis=1)) for name, log_p in groups.items()}
    own = every.pop("shadow")
    evidence = Evidence(every, own, members, every["far"], (own, own), (own, own))
    found = threat_result(above, evidence, Terms(0.1, 0.95, 0.5), rng=np.random.default_rng(0))
    # the shadow's own non-members are at 0.75 and 0.6: above 0.6 lies half of them
    assert found.strict_threshold == pytest.approx(np.log(0.6 / 0.4))
    assert found.strict_recall.value == pytest.approx(3 / 4)
    assert found.on("same").strict_false_positive_rate.value == pytest.approx(2 / 4)
    assert found.on("far").strict_false_positive_rate.value == 0
    assert found.recall.value == 0.75
    assert found.shadow_accuracy.value == 0.75
    assert (found.precision.value, found.precision.n) == (0.75, 4)
    same, far = found.on("same"), found.on("far")
    assert (same.false_positive_rate.value, same.false_positive_rate.n) == (0.25, 4)
    assert same.positive_predictive_value.value == pytest.approx(0.1 * 0.75 / (0.1 * 0.75 + 0.9 * 0.25))
    assert same.max_score_false_positives.value == pytest.approx(0.95)
    assert same.max_score_true_negatives.value == pytest.approx((0.65 + 0.55 + 0.5) / 3)
    assert far.false_positive_rate.value == 0
    assert far.max_score_false_positives.value is None
    assert found.max_score_false_negatives.value == pytest.approx(0.6)
    assert found.auc.value == pytest.approx((4 + 3 + 3 + 2) / 16)


def test_where_nobody_is_called_a_member_nothing_is_predicted():
    nobody = np.zeros(5, dtype=bool)
    assert precision(nobody, nobody, 0.95).value is None
    assert predictive_value(proportion(nobody), proportion(nobody), 0.5).value is None


def test_a_predictive_value_falls_with_the_prior_and_its_interval_holds_it():
    named, accused = (proportion(np.arange(100) < n, confidence=0.975) for n in (80, 30))
    values = [predictive_value(named, accused, prior) for prior in (0.5, 0.1, 0.01)]
    assert values[0].value > values[1].value > values[2].value
    assert all(value.low < value.value < value.high for value in values)


def test_ends_change_about_and_means_stay_probabilities():
    turned = complement(mean_share(np.array([0.2, 0.4]), 0.95))
    assert turned.value == pytest.approx(0.7)
    assert turned.low <= turned.value <= turned.high
    assert (mean_share(np.array([0.0, 1.0]), 0.95).low, mean_share(np.array([0.0, 1.0]), 0.95).high) == (0.0, 1.0)
    assert mean_share(np.array([0.3]), 0.95).low is None
