"""Registered attacks in the study: thresholds beside a naive count, roles of the two models, nothing learnt from the
records that are judged."""

import numpy as np
import pytest
from scipy.special import log_softmax

from seepage.attacks import ATTACKS, BY_DEFAULT, find_attack
from seepage.errors import InputError
from seepage.metrics.thresholds import strict_threshold
from seepage.studies.compare.shadow.attackers import (
    MEMBERS,
    STUDIED,
    Answers,
    Evidence,
    check_studied,
    choose,
    score,
    why_not,
)
from seepage.studies.compare.shadow.measures import Terms, registered_result

CLASSES = 5


def answers(n, rng, *, target=3.0, shadow=3.0) -> Answers:
    """n records, the true class ahead by `target` at the target and by `shadow` at the shadow."""
    labels = rng.integers(0, CLASSES, n)
    difficulty = rng.normal(size=(n, CLASSES))
    logits = []
    for lead in (target, shadow):
        one = difficulty + 0.3 * rng.normal(size=(n, CLASSES))
        one[np.arange(n), labels] += lead
        logits.append(log_softmax(one, axis=1))
    return Answers(*logits, labels)


def join(a: Answers, b: Answers) -> Answers:
    return Answers(*(np.concatenate([getattr(a, f), getattr(b, f)]) for f in ("target", "shadow", "labels")))


def evidence(rng, *, lead=8.0, far=3.0) -> Evidence:
    """Members are ahead by `lead` at the model that was trained on them, all others by 3."""
    judged = {
        MEMBERS: answers(400, rng, target=lead),
        "same": answers(400, rng),
        "far": answers(200, rng, target=far, shadow=far),
    }
    shadow = join(answers(400, rng, shadow=lead), answers(400, rng))
    known = [(answers(30, rng, **{side: lead}), answers(30, rng)) for side in ("target", "shadow")]
    return Evidence(judged, shadow, np.arange(800) < 400, answers(300, rng), *known)


@pytest.mark.parametrize("name", STUDIED)
def test_every_attack_finds_members_and_its_rates_are_those_of_a_count(name):
    seen = evidence(np.random.default_rng(0))
    found = registered_result(name, seen, Terms(0.5, 0.95, 0.05), rng=np.random.default_rng(1))
    if name != "correctness":  # all are classified rightly by a lead of 3
        assert found.auc.low > 0.8
        assert found.recall.value > 0.7
    scored = score(name, seen, rng=np.random.default_rng(1))
    assert [accused.set for accused in found.sets] == ["same", "far"]
    best, at = -2.0, None
    for t in sorted(set(scored.shadow)):
        gain = np.mean(scored.shadow[:400] > t) - np.mean(scored.shadow[400:] > t)
        if gain >= best - 1e-12:
            best, at = max(best, gain), t
    for of in ("same", "far"):
        rate = found.on(of).false_positive_rate
        assert rate.value == pytest.approx(sum(s > at for s in scored.judged[of]) / len(scored.judged[of]))
        assert rate.low <= rate.value <= rate.high
    assert np.mean(scored.shadow[400:] > found.strict_threshold) <= 0.05


@pytest.mark.parametrize("name", STUDIED)
def test_a_target_that_never_saw_them_is_accused_as_often_as_it_finds(name):
    """Null: nobody of the target's is a member, and recall is the false-positive rate."""
    rng = np.random.default_rng(2)
    shadow = join(answers(400, rng, shadow=8.0), answers(400, rng))
    known = [(answers(30, rng), answers(30, rng)), (answers(30, rng, shadow=8.0), answers(30, rng))]
    judged = {MEMBERS: answers(600, rng), "same": answers(600, rng)}
    seen = Evidence(judged, shadow, np.arange(800) < 400, answers(300, rng), *known)
    found = registered_result(name, seen, Terms(0.5, 0.9999, 0.05), rng=rng)
    assert found.auc.low <= 0.5 <= found.auc.high
    rate = found.on("same").false_positive_rate
    assert found.recall.low <= rate.high
    assert rate.low <= found.recall.high


@pytest.mark.parametrize("name", STUDIED)
def test_the_threshold_and_one_set_s_scores_do_not_depend_on_another_set(name):
    rng = np.random.default_rng(3)
    seen = evidence(rng)
    other = Evidence(
        {**seen.judged, "far": answers(200, rng, target=50.0, shadow=-20.0)}, seen.shadow, seen.shadow_members,
        seen.population, seen.known_of_target, seen.known_of_shadow,
    )  # fmt: skip
    a, b = (score(name, one, rng=np.random.default_rng(4)) for one in (seen, other))
    np.testing.assert_allclose(a.shadow, b.shadow)
    np.testing.assert_allclose(a.judged["same"], b.judged["same"])


def test_a_reference_makes_up_for_what_is_easy_for_every_model():
    """Records that both models are sure of: the loss accuses them all, the calibrated loss no more than others."""
    seen = evidence(np.random.default_rng(5), far=8.0)
    plain, calibrated = (
        registered_result(name, seen, Terms(0.5, 0.95, 0.05), rng=np.random.default_rng(0)).on("far")
        for name in ("loss", "difficulty-calibration")
    )
    assert plain.false_positive_rate.value > 0.9
    assert calibrated.false_positive_rate.value < 0.6


def test_strict_thresholds_by_hand():
    scores, members = np.arange(100.0), np.zeros(100, dtype=bool)
    assert strict_threshold(scores, members, 0.05) == 94.0  # 95 to 99 lie above
    assert strict_threshold(scores, members, 0.001) == 99.0  # nobody does
    assert strict_threshold(np.ones(10), members[:10], 0.5) == 1.0  # ties accuse nobody


def test_what_cannot_be_studied_is_named():
    assert all(not why_not(name, find_attack(name)) for name in STUDIED)
    for name, words in (
        ("gradient-norm", "more than the target's probabilities"),
        ("lira-offline", "one shadow"),
        ("lira-online-fixed-variance-official", "the shadow was not"),
        ("label-only-aerni", "queries"),
    ):
        with pytest.raises(InputError, match=words):
            check_studied(["loss", name])
    with pytest.raises(InputError, match="did you mean 'loss'"):
        check_studied(["los"])
    chosen, left = choose(None, 50)
    assert chosen == STUDIED
    assert set(left) | {*STUDIED, "entropy"} >= set(BY_DEFAULT)
    assert all(left.values())
    chosen, left = choose(None, 5)
    assert "fes-mia-ss-outputs" not in chosen
    assert "10 known members" in left["fes-mia-ss-outputs"]
    with pytest.raises(InputError, match="there are 5: use more records"):
        choose(("loss", "fes-mia-ss-outputs"), 5)
    assert set(STUDIED) <= set(ATTACKS)
