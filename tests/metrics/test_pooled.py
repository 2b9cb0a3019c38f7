import numpy as np
import pytest

from seepage.errors import InputError
from seepage.metrics import tpr_at_fpr
from seepage.metrics.pooled import pooled_tpr_at_fpr


def world(leak, *, n=120, targets=12, spread=0.0, seed=0):
    """Each record in half of the targets; scores around the target's own centre."""
    rng = np.random.default_rng(seed)
    members = rng.permuted(np.tile(np.arange(targets) < targets // 2, (n, 1)), axis=1)
    centre, hard = spread * rng.normal(size=targets), 0.7 * rng.normal(size=(n, 1))
    return leak * members + hard + centre + rng.normal(size=members.shape), members


def rng():
    return np.random.default_rng(0)


def test_four_records_and_two_targets_by_hand():
    scores = np.array([[9.0, 8], [7, 1], [6, 5], [2, 4]])
    members = np.array([[True, True], [False, True], [True, False], [False, False]])
    # Non-members score 7, 5, 4 and 2; members 9, 8, 6 and 1.
    for fpr, expected in ((0, 2 / 4), (0.25, 3 / 4), (0.5, 3 / 4), (0.75, 3 / 4)):
        assert pooled_tpr_at_fpr(scores, members, fpr, rng=rng()).value == expected


def test_ties_are_not_broken():
    members = np.array([[True, False], [True, False], [False, True], [False, True]])
    assert pooled_tpr_at_fpr(np.ones((4, 2)), members, 0.5, rng=rng()).value == 0
    assert pooled_tpr_at_fpr(members.astype(float), members, 0.0, rng=rng()).value == 1
    infinite = np.where(members, np.inf, -np.inf)
    assert pooled_tpr_at_fpr(infinite, members, 0.25, rng=rng()).value == 1


def test_a_rate_that_one_target_cannot_have():
    scores, members = world(3.0)
    assert tpr_at_fpr(scores, members, 0.01, rng=rng()).value is None
    pooled = pooled_tpr_at_fpr(scores, members, 0.01, rng=rng())
    assert pooled.n == 720
    assert "few records: FPR 0.01 is 7.2 of 720" in pooled.flag
    outside = np.sort(scores[~members])[::-1]
    assert pooled.value == (scores[members] > outside[7]).mean()
    assert pooled_tpr_at_fpr(scores, members, 0.001, rng=rng()).value is None
    assert "zero of 720" in pooled_tpr_at_fpr(scores, members, 0, rng=rng()).flag


def test_one_target_is_the_ordinary_estimate():
    scores, members = world(1.0, n=300)
    one = scores[:, 0], members[:, 0]
    assert pooled_tpr_at_fpr(*one, 0.1, rng=rng()) == tpr_at_fpr(*one, 0.1, rng=rng())


def test_targets_on_scales_of_their_own_lose_by_pooling():
    scores, members = world(2.0, spread=4.0)
    assert (
        pooled_tpr_at_fpr(scores, members, 0.1, rng=rng()).value < tpr_at_fpr(scores, members, 0.1, rng=rng()).value / 2
    )


def test_the_interval_covers_the_rate_of_many_worlds():
    truth = pooled_tpr_at_fpr(*world(1.5, n=4000, targets=100, seed=99), 0.05, rng=rng()).value
    found = [pooled_tpr_at_fpr(*world(1.5, n=60, seed=seed), 0.05, rng=rng()) for seed in range(60)]
    covered = np.mean([one.low <= truth <= one.high for one in found])
    assert covered >= 0.88
    assert all(one.low <= one.value <= one.high for one in found)


def test_without_a_leak_members_are_found_as_often_as_others():
    found = [pooled_tpr_at_fpr(*world(0.0, seed=seed), 0.05, rng=rng()) for seed in range(60)]
    values = [one.value for one in found]
    assert abs(np.mean(values) - 0.05) < 4 * np.std(values) / np.sqrt(60)
    assert np.mean([one.low <= 0.05 <= one.high for one in found]) >= 0.88


def test_perfect_separation_is_as_sure_as_one_targets_members():
    members = world(0)[1]
    pooled = pooled_tpr_at_fpr(members.astype(float), members, 0.01, rng=rng())
    assert pooled.value == pooled.high == 1
    assert 0.9 < pooled.low < 1


def test_a_rate_of_one_is_refused():
    with pytest.raises(InputError, match="FPR in"):
        pooled_tpr_at_fpr(*world(0), 1.0, rng=rng())
