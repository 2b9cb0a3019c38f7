"""Thresholds worked out by hand, a loop over all of them, and what happens where nothing leaks."""

import numpy as np
import pytest
from scipy.special import log_softmax

from seepage.errors import InputError
from seepage.metrics.thresholds import accuracy_threshold, youden_threshold
from seepage.studies.compare.shadow.attackers import Answers, Evidence
from seepage.studies.compare.shadow.measures import Terms, threat_result
from seepage.studies.compare.shadow.threats import Threat, entropy, fit_threats, max_score


def sure(n, sharpness, rng, n_classes=5):
    """Log-probabilities of n records, the likeliest class ahead by about `sharpness`."""
    logits = rng.normal(size=(n, n_classes))
    logits[np.arange(n), rng.integers(0, n_classes, n)] += sharpness
    return log_softmax(logits, axis=1)


def test_youden_by_hand():
    members = np.array([True, False, True, True, False])
    # above 1: 3 of 3 members and 1 of 2 others, +0.5; above 4: 1 of 3 and none, +0.33; above 2: 2 of 3 and 1 of 2
    assert youden_threshold(np.array([5.0, 4.0, 3.0, 2.0, 1.0]), members) == 1.0
    # perfectly apart: the largest non-member is the threshold, and is itself not called a member
    assert youden_threshold(np.array([5.0, 0.0, 4.0, 3.0, 2.0]), members) == 2.0


def test_a_score_at_the_threshold_is_no_member():
    threat = Threat("max-score", "", "", max_score, 0.0)
    assert threat.calls_member(np.log([[0.5, 0.5], [0.51, 0.49]])).tolist() == [False, True]


def test_where_members_score_lower_nobody_is_called_one():
    scores, members = np.array([1.0, 2.0, 3.0, 4.0]), np.array([True, True, False, False])
    threshold = youden_threshold(scores, members)
    assert not (scores > threshold).any()


def test_accuracy_by_hand():
    members = np.array([True, True, False, False])
    # right of 4 at thresholds 1, 2, 3, 4: 3, 3, 3, 2; of equal ones the largest
    assert accuracy_threshold(np.array([4.0, 2.5, 3.0, 1.0]), members, points=4) == 3.0
    # 1 to 9 are all right, as 10 > t; 10 itself is not
    assert accuracy_threshold(np.array([10.0, 10.0, 1.0, 1.0]), members, points=10) == 9.0


@pytest.mark.parametrize("seed", range(5))
def test_thresholds_are_those_of_a_loop(seed):
    rng = np.random.default_rng(seed)
    members = rng.random(60) < 0.5
    scores = np.round(rng.normal(size=60) + members, 1)  # with ties
    best, at = -2.0, None
    for t in sorted(set(scores)):
        advantage = np.mean(scores[members] > t) - np.mean(scores[~members] > t)
        if advantage >= best - 1e-12:
            best, at = max(best, advantage), t
    assert youden_threshold(scores, members) == at
    best, at = -1, None
    for t in np.linspace(scores.min(), scores.max(), 50):
        right = sum((score > t) == member for score, member in zip(scores, members, strict=True))
        if right >= best:
            best, at = right, t
    assert accuracy_threshold(scores, members, points=50) == at


def test_what_is_one_as_a_probability_still_has_an_order():
    log_p = log_softmax(np.array([[800.0, 0.0, 0.0], [900.0, 0.0, 0.0], [40.0, 0.0, 0.0]]), axis=1)
    assert (np.exp(log_p).max(axis=1) == 1).all()
    assert max_score(log_p).argsort().tolist() == [2, 0, 1]
    assert entropy(log_p)[0] == 0.0


def test_the_three_attacks_find_members_whose_shadow_twins_were_surer():
    rng = np.random.default_rng(0)
    members = np.arange(800) < 400
    threats = fit_threats(np.concatenate([sure(400, 9, rng), sure(400, 3, rng)]), members, rng=rng)
    assert [threat.name for threat in threats] == ["max-score", "top-3", "entropy"]
    for threat in threats:
        assert threat.calls_member(sure(300, 9, rng)).mean() > 0.9, threat.name
        assert threat.calls_member(sure(300, 3, rng)).mean() < 0.1, threat.name


@pytest.mark.parametrize("sharpness", [2.0, 8.0])
def test_a_stranger_s_members_are_found_as_often_as_anybody_is_accused(sharpness):
    """Null: the target never saw those who are called its members, so recall and false-positive rate are one rate."""
    rng = np.random.default_rng(1)
    shadow, members = np.concatenate([sure(500, 6, rng), sure(500, 2, rng)]), np.arange(1000) < 500
    judged = {name: sure(2000, sharpness, rng) for name in ("members", "same")}
    every = {name: Answers(log_p, log_p, log_p.argmax(axis=1)) for name, log_p in {**judged, "shadow": shadow}.items()}
    known = every["same"], every["same"]  # of which these attacks ask nothing
    evidence = Evidence({name: every[name] for name in judged}, every["shadow"], members, every["same"], known, known)
    for threat in fit_threats(shadow, members, rng=rng):
        found = threat_result(threat, evidence, Terms(0.5, 0.999, 0.01), rng=rng)
        rate = found.on("same").false_positive_rate
        assert found.recall.low <= rate.high, threat.name
        assert rate.low <= found.recall.high, threat.name
        assert found.auc.low <= 0.5 <= found.auc.high, threat.name


def test_no_side_may_be_empty_and_logits_are_no_answers():
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="0 members of 10"):
        fit_threats(sure(10, 3, rng), np.zeros(10, dtype=bool), rng=rng)
    with pytest.raises(InputError, match="log_softmax"):
        fit_threats(rng.normal(size=(10, 3)), np.arange(10) < 5, rng=rng)
