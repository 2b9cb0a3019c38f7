import math

import numpy as np
import pytest

from seepage.errors import InputError
from seepage.metrics import log_mia, log_mia_chance, tpr_at_fpr
from seepage.metrics.log_mia import chance_corrected, log_mia_reading, log_mia_tail
from tests.metrics.test_roc import CASES
from tests.reference import log_mia as naive


def rng():
    return np.random.default_rng(7)


def ranking(d, found, allowed):
    """A balanced ranking with exactly `found` members ahead of the (allowed + 1)-th non-member."""
    half = d // 2
    scores, members = np.empty(d), np.arange(d) < half
    scores[:half] = np.where(np.arange(half) < found, 3.0, 0.0)
    scores[half:] = np.where(np.arange(half) < allowed, 2.0, 1.0)
    return scores, members


@pytest.mark.parametrize(
    ("d", "found", "value"),
    [
        (30, 0, 0),
        (30, 1, 0.25),
        (30, 7, 0.75),
        (30, 15, 1),
        (50_000, 25, 0.3217),
        (50_000, 500, 0.6139),
        (50_000, 25_000, 1),
    ],
)
def test_published_arithmetic(d, found, value):
    result = log_mia(*ranking(d, found, 0), "a", rng=rng())
    assert result.value == pytest.approx(value, abs=5e-5)
    assert (result.true_positives, result.false_positives_allowed, result.n) == (found, 0, d)
    assert result.low <= result.value <= result.high


@pytest.mark.parametrize(("d", "count"), [(30, 4), (200, 6), (2000, 8), (20_000, 10), (50_000, 11)])
def test_regime_b_allows_the_logarithm_of_the_records_judged(d, count):
    result = log_mia(*ranking(d, 5, count), "b", rng=rng())
    assert result.false_positives_allowed == count
    assert result.true_positives == 5


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("regime", ["a", "b"])
def test_agrees_with_a_walk_over_all_thresholds(case, regime):
    scores, members = CASES[case]
    count = 0 if regime == "a" else math.ceil(math.log(len(scores)))
    assert log_mia(scores, members, regime, rng=rng()).value == pytest.approx(
        naive.log_mia(scores, members, count), abs=1e-9
    )


@pytest.mark.parametrize(
    ("d", "a", "b"),
    [(30, 0.180, 0.589), (200, 0.109, 0.424), (2000, 0.073, 0.318), (20_000, 0.053, 0.260), (50_000, 0.047, 0.244)],
)
def test_chance_agrees_with_simulated_values(d, a, b):
    assert log_mia_chance(d // 2, d // 2, 0) == pytest.approx(a, abs=0.004)
    assert log_mia_chance(d // 2, d // 2, math.ceil(math.log(d))) == pytest.approx(b, abs=0.004)


@pytest.mark.parametrize(("n_in", "n_out", "count"), [(15, 15, 0), (15, 15, 4), (3, 50, 2), (60, 5, 4), (100, 100, 6)])
def test_chance_agrees_with_exact_fractions(n_in, n_out, count):
    assert log_mia_chance(n_in, n_out, count) == pytest.approx(naive.chance(n_in, n_out, count), abs=1e-9)


def test_chance_of_a_million_records_and_of_more_errors_than_non_members():
    """For many records the members ahead of the first non-member are geometric: E ln(X + 1) = 0.5078 when balanced."""
    assert log_mia_chance(10**6, 10**6, 0) == pytest.approx(0.507834 / math.log(10**6 + 1), abs=1e-6)
    assert log_mia_chance(20, 5, 5) == 1.0


def test_random_rankings_score_their_chance():
    generator, members = np.random.default_rng(0), np.arange(60) < 25
    results = [log_mia(generator.permutation(np.arange(60.0)), members, "b", rng=generator) for _ in range(1000)]
    values = [r.value for r in results]
    assert np.mean(values) == pytest.approx(results[0].chance, abs=4 * np.std(values) / np.sqrt(1000))


def test_interval_is_that_of_the_tpr_on_another_scale():
    scores, members = CASES["continuous"]
    result, tpr = log_mia(scores, members, "a", rng=rng()), tpr_at_fpr(scores, members, 0.0, rng=rng())
    n_in = members.sum()
    assert result.low == pytest.approx(math.log(tpr.low * n_in + 1) / math.log(n_in + 1))
    assert result.high == pytest.approx(math.log(tpr.high * n_in + 1) / math.log(n_in + 1))


def test_several_targets_average():
    generator = np.random.default_rng(1)
    members = generator.random((80, 4)) < 0.5
    scores = generator.normal(size=members.shape) + members
    result = log_mia(scores, members, "b", rng=rng())
    each = [log_mia(s, m, "b", rng=rng()) for s, m in zip(scores.T, members.T, strict=True)]
    assert result.chance_corrected == pytest.approx((result.value - result.chance) / (1 - result.chance))
    for field in ("value", "chance", "true_positives"):
        assert getattr(result, field) == pytest.approx(np.mean([getattr(e, field) for e in each]), abs=1e-12)
    assert result.low <= result.value <= result.high


def test_unknown_regime_is_refused():
    with pytest.raises(InputError, match="regime"):
        log_mia(*CASES["continuous"], "c", rng=rng())


@pytest.mark.parametrize(
    ("value", "chance", "corrected"), [(0.178, 0.178, 0), (1, 0.6, 1), (0.8, 0.6, 0.5), (0, 0.5, -1), (1, 1, 0)]
)
def test_chance_correction_runs_from_guessing_to_everyone(value, chance, corrected):
    assert chance_corrected(value, chance) == pytest.approx(corrected)
    scores, members = ranking(30, 7, 0)
    result = log_mia(scores, members, "a", rng=rng())
    assert result.chance_corrected == pytest.approx((0.75 - 0.17801) / (1 - 0.17801), abs=1e-4)


@pytest.mark.parametrize(
    ("d", "found", "words"),
    [
        (30, 0, "no more than guessing: 0 of 15, with no false positive among 15 non-members"),
        (30, 3, "no more than guessing: 3 of 15"),  # one random ranking in nine finds as many
        (30, 4, "a few members can be singled out: 4 of 15, with no false positive among 15 non-members"),
        (30, 9, "many members can be singled out"),
        (30, 15, "most members can be singled out"),  # of so few, all of them may be 78 %
        (2000, 2, "no more than guessing"),
        (2000, 15, "a few members"),
        (2000, 100, "many members"),
        (2000, 600, "most members can be singled out: 600 of 1000"),
        (2000, 980, "nearly all members can be singled out: 980 of 1000"),
        (50_000, 25_000, "nearly all members can be singled out: 25000 of 25000"),
    ],
)
def test_the_reading_in_words(d, found, words):
    assert log_mia(*ranking(d, found, 0), "a", rng=rng()).reading.startswith(words)


def test_the_reading_says_how_many_false_positives_there_may_be():
    scores, members = ranking(200, 70, 6)
    assert log_mia(scores, members, "b", rng=rng()).reading.endswith(
        "with at most 6 false positives among 100 non-members"
    )
    one = log_mia(scores, members, "a", false_positives_allowed=1, rng=rng())
    assert one.reading.endswith("with at most 1 false positive among 100 non-members")
    everyone = log_mia(*ranking(8, 4, 3), "b", false_positives_allowed=4, rng=rng())
    assert everyone.reading.startswith("no more than guessing: 4 of 4")
    assert everyone.chance_corrected == 0.0


def test_amounts_follow_the_low_end():
    counts = {"true_positives": 50, "n_in": 100, "n_out": 100, "false_positives_allowed": 0}
    least = {found: math.log(found + 1) / math.log(101) for found in (10, 11, 49.9, 50.1, 89.9, 90.1)}
    chance = 2 * least[10] - 1 + 1e-6  # half-way between it and 1 lies just above 10 members found
    words = [log_mia_reading(low, chance, **counts).split(" members")[0] for low in least.values()]
    assert words == ["a few", "many", "many", "most", "most", "nearly all"]
    assert log_mia_reading(chance, chance, **counts).startswith("no more than guessing")


@pytest.mark.parametrize(("d", "regime"), [(30, "a"), (30, "b"), (200, "a"), (200, "b")])
def test_random_rankings_read_as_guessing_but_for_one_in_twenty(d, regime):
    generator, members = np.random.default_rng(3), np.arange(d) < d // 2
    readings = [
        log_mia(generator.permutation(np.arange(float(d))), members, regime, rng=generator).reading for _ in range(600)
    ]
    alarms = sum(not reading.startswith("no more than guessing") for reading in readings)
    assert alarms <= 0.05 * 600 + 3 * math.sqrt(600 * 0.05 * 0.95)


def test_random_targets_together_read_as_guessing():
    generator = np.random.default_rng(4)
    alarms = 0
    for _ in range(60):
        members = generator.random((60, 3)) < 0.5
        reading = log_mia(generator.random(members.shape), members, "a", rng=generator).reading
        alarms += not reading.startswith("no more than guessing")
    assert alarms <= 9
    assert log_mia(members + 0.1 * generator.random(members.shape), members, "a", rng=generator).reading.startswith(
        "most"
    )


@pytest.mark.parametrize(("n_in", "n_out", "count"), [(5, 4, 0), (4, 6, 2), (3, 3, 3), (3, 2, 5)])
def test_the_tail_agrees_with_all_rankings(n_in, n_out, count):
    for found in range(n_in + 1):
        assert log_mia_tail(found, n_in, n_out, count) == pytest.approx(
            naive.tail(found, n_in, n_out, count), abs=1e-12
        )
