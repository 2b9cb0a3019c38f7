import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.errors import InputError
from seepage.metrics import clopper_pearson
from seepage.metrics.reconstruction import (
    EXACT_CLASSES,
    FEWEST_RESAMPLED,
    SIGN_DRAWS,
    advantage,
    class_accuracy,
    class_mean,
    expanded,
    paired_by_class,
    sign_flip_p_value,
)
from tests.reference import reconstruction as naive


def rng(seed=0):
    return np.random.default_rng(seed)


# Class means


def test_classes_count_alike_however_many_images_they_have():
    hits = np.array([True, True, True, True, False, False])
    found = class_accuracy(hits, np.array([3, 3, 3, 3, 8, 8]), rng=rng())
    assert (found.value, found.n, found.flag) == (0.5, 2, None)  # and not 4/6
    assert (found.low, found.high) == (0, 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 20))
def test_the_mean_is_what_a_loop_over_classes_gives(seed, n, k):
    source = rng(seed)
    values, classes = source.normal(size=n), source.integers(0, k, n)
    values[source.random(n) < 0.2] = np.nan
    found = class_mean(values, classes, rng=rng())
    means = naive.class_means(values, classes)
    assert found.n == len(means)
    if not means:
        assert found.value is None
        return
    assert found.value == pytest.approx(naive.class_mean(values, classes))
    if len(means) > 1 and len(set(means.values())) > 1:
        assert found.low <= found.value <= found.high
        if len(means) >= FEWEST_RESAMPLED:
            assert min(means.values()) <= found.low <= found.high <= max(means.values())


def test_few_classes_have_students_interval_cut_to_the_bounds():
    """Means 0.2, 0.4, 0.9: t = 4.303, standard error 0.2082."""
    values, classes = np.array([0.2, 0.4, 0.9]), np.arange(3)
    found = class_mean(values, classes, rng=rng())
    assert (found.low, found.high) == pytest.approx((0.5 - 4.303 * 0.2082, 0.5 + 4.303 * 0.2082), abs=5e-4)
    cut = class_accuracy(np.array([True, False, True]), classes, rng=rng())
    assert (cut.low, cut.high) == (0, 1)


def test_images_of_one_class_do_not_make_the_interval_narrower():
    """Fifty copies of an image say no more than the image."""
    hits, classes = np.arange(10) < 4, np.arange(10)
    once = class_accuracy(hits, classes, rng=rng())
    fifty = class_accuracy(np.repeat(hits, 50), np.repeat(classes, 50), rng=rng())
    assert fifty == once


@pytest.mark.parametrize("k", [3, 5, 10, 40])
@pytest.mark.parametrize("law", ["uniform", "all or nothing", "skewed"])
def test_the_interval_covers_the_mean_about_as_often_as_stated(k, law):
    """Classes are drawn; the plain percentile interval covers 84 % with five classes."""
    source, covered, times = rng(k), 0, 400
    for _ in range(times):
        if law == "uniform":
            p, mean = source.random(k), 0.5
        elif law == "skewed":
            p, mean = source.beta(1, 4, size=k), 0.2
        else:
            p, mean = (source.random(k) < 0.5).astype(float), 0.5
        found = class_mean(p, np.arange(k), bounds=(0, 1), rng=source)
        covered += found.low <= mean <= found.high
    assert covered / times > (0.88 if law == "skewed" else 0.9)


def test_expanded_percentiles_approach_the_stated_ones():
    assert expanded(0.95, 10**6) == pytest.approx(0.95, abs=1e-5)
    assert expanded(0.95, 10) > expanded(0.95, 40) > 0.95
    # t_9 is 2.262157, and the normal law leaves 0.0085506 beyond sqrt(10 / 9) times that
    assert expanded(0.95, 10) == pytest.approx(1 - math.erfc(math.sqrt(10 / 9) * 2.262157 / math.sqrt(2)), abs=1e-6)


@pytest.mark.parametrize("value", [False, True])
def test_where_all_classes_agree_the_bound_is_that_of_so_many_trials(value):
    found = class_accuracy(np.full(30, value), np.repeat(np.arange(10), 3), rng=rng())
    assert (found.value, found.n) == (float(value), 10)
    assert (found.low, found.high) == pytest.approx(clopper_pearson(10 * value, 10))
    assert found.flag == "all 10 classes have the same value"


def test_equal_values_without_bounds_have_no_interval_and_with_bounds_one_between_them():
    values, classes = np.full(6, 3.0), np.arange(6)
    assert class_mean(values, classes, rng=rng()).low is None
    found = class_mean(values, classes, rng=rng(), bounds=(0, 4))
    assert (found.low / 4, found.high / 4) == pytest.approx(clopper_pearson(4.5, 6))


def test_a_known_chance_has_no_width():
    found = class_accuracy(np.full(6, 0.1), np.arange(6), rng=rng())
    assert (found.low, found.value, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_one_class_has_no_interval_and_none_no_value():
    one = class_accuracy(np.array([True, False]), np.array([4, 4]), rng=rng())
    assert (one.value, one.low, one.high, one.n, one.flag) == (0.5, None, None, 1, "one class has no interval")
    none = class_mean(np.array([np.nan]), np.array([4]), rng=rng())
    assert (none.value, none.n, none.flag) == (None, 0, "1 classes have no value")
    assert class_mean(np.array([]), np.array([], int), rng=rng()).flag == "undefined: there are no images"


def test_images_without_a_value_are_left_out_and_said_so():
    found = class_mean(np.array([1.0, np.nan, 3.0, np.nan]), np.array([0, 0, 1, 2]), rng=rng())
    assert (found.value, found.n, found.flag) == (2.0, 2, "1 classes have no value")


@pytest.mark.usefixtures("wrong_shapes")
@pytest.mark.parametrize(
    ("values", "classes", "words"),
    [
        (np.ones(3), np.arange(2), "one value and one class"),
        (np.ones(2), np.array([0.0, 1.0]), r"whole number\) an image"),
        (np.array([1.0, np.inf]), np.arange(2), "finite values$"),
    ],
)
def test_what_is_no_value_for_a_class_is_refused(values, classes, words):
    with pytest.raises(InputError, match=words):
        class_mean(values, classes, rng=rng())


def test_hits_lie_between_0_and_1():
    with pytest.raises(InputError, match="from 0 to 1"):
        class_accuracy(np.array([2.0, 0.0]), np.arange(2), rng=rng())
    with pytest.raises(InputError, match="confidence"):
        class_accuracy(np.array([1.0, 0.0]), np.arange(2), confidence=95, rng=rng())


# Advantage


def test_the_advantage_pairs_by_class_whatever_the_order():
    hits, classes = np.array([True, True, False, True]), np.array([0, 0, 1, 2])
    other, others = np.array([False, True, True, False, True]), np.array([2, 0, 1, 0, 9])
    found, p = advantage(hits, classes, other, others, rng=rng())
    assert found.value == pytest.approx((0.5 - 1 + 1) / 3)
    assert found.n == 3
    assert 0 < p <= 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.2, 0.5, 1.0]), min_size=1, max_size=9))
def test_all_signs_are_counted(differences):
    assert sign_flip_p_value(np.array(differences), rng()) == pytest.approx(naive.sign_flip(differences))


def test_with_many_classes_signs_are_drawn():
    few = np.concatenate([np.full(9, 0.4), np.full(8, -0.4)])
    exact = sign_flip_p_value(few, rng())
    filled = np.concatenate([few, np.full(4, 1e-13)])  # too small to matter, enough to be drawn
    assert len(filled) > EXACT_CLASSES
    assert sign_flip_p_value(filled, rng()) == pytest.approx(exact, abs=0.015)
    assert sign_flip_p_value(np.ones(40), rng()) == 1 / (SIGN_DRAWS + 1)


def test_no_difference_is_no_evidence():
    hits, classes = np.array([True, False] * 10), np.repeat(np.arange(10), 2)
    found, p = advantage(hits, classes, hits, classes, rng=rng())
    assert (found.value, p) == (0, 1)
    assert found.low < 0 < found.high
    assert "all 10 classes have the same value" in found.flag


def test_a_full_advantage_is_bounded_by_what_so_many_classes_can_show():
    classes = np.arange(10)
    found, p = advantage(np.ones(10, bool), classes, np.full(10, 0.1), classes, rng=rng())
    least = clopper_pearson(10, 10, confidence=0.975)[0]
    assert (found.value, found.low, found.high) == pytest.approx((0.9, least - 0.1, 0.9))
    assert p == 2**-10


@pytest.mark.parametrize("k", [6, 12, 30])
def test_the_p_value_is_uniform_where_the_attack_is_the_baseline(k):
    """Hit rates differ between classes, images of one class are all alike in half of them."""
    source, found = rng(k), []
    for _ in range(400):
        rate = source.beta(1, 2, size=k)
        alike = np.arange(k) % 2 == 0
        sides = []
        for _side in range(2):
            hits = source.random((k, 3)) < rate[:, None]
            hits[alike] = hits[alike, :1]
            sides.append(hits.ravel())
        classes = np.repeat(np.arange(k), 3)
        found.append(advantage(sides[0], classes, sides[1], classes, rng=source)[1])
    found = np.array(found)
    for level in (0.05, 0.2, 0.5):
        noise = 3 * np.sqrt(level * (1 - level) / len(found))
        assert (found <= level).mean() <= level + noise
    assert (found <= 0.2).mean() > 0.06  # valid, and not empty


@pytest.mark.parametrize(("rate", "ours", "theirs"), [(0.9, 1, 20), (0.1, 20, 1)])
def test_unequal_numbers_of_images_do_not_make_false_discoveries(rate, ours, theirs):
    """Of ten classes all hit at a rate of 0.9 with chance 0.35; against an average of twenty all would differ so."""
    source, k = rng(1), 10
    found = [
        advantage(
            source.random(k * ours) < rate, np.repeat(np.arange(k), ours),
            source.random(k * theirs) < rate, np.repeat(np.arange(k), theirs), rng=source,
        )[1]
        for _ in range(300)
    ]  # fmt: skip
    assert (np.array(found) <= 0.05).mean() <= 0.09


def test_guessing_is_no_advantage_over_chance():
    source, classes = rng(2), np.arange(20)
    chance = np.full(20, 0.1)
    found = [advantage(source.random(20) < 0.1, classes, chance, classes, rng=source)[1] for _ in range(300)]
    assert (np.array(found) <= 0.05).mean() <= 0.06


def test_against_a_known_chance_no_image_is_left_out():
    """Three of four, one of four and four of four against a quarter: .5, 0 and .75, whatever the draws."""
    hits, classes = np.array([1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 1, 1], bool), np.repeat(np.arange(3), 4)
    for seed in range(10):
        found, p = advantage(hits, classes, np.full(3, 0.25), np.arange(3), rng=rng(seed))
        assert found.value == pytest.approx(1.25 / 3)
        assert p == 0.25  # of the four choices of signs, the one that is there


def test_every_attacked_class_needs_a_baseline():
    with pytest.raises(InputError, match="no image of class 3"):
        advantage(np.ones(2, bool), np.array([1, 3]), np.ones(1, bool), np.array([1]), rng=rng())


# Target against target


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(3, 14))
@pytest.mark.filterwarnings("ignore:Precision loss")  # of the naive one, where three numbers are nearly alike
def test_pairs_by_class_are_those_of_a_naive_implementation(seed, k):
    source = rng(seed)
    first = {f"c{at}": float(source.integers(0, 5) / 4) for at in range(k)}
    second = {name: float(source.integers(0, 5) / 4) for name in reversed(first)}
    value, low, high, p = naive.paired(first, second)
    found, p_value = paired_by_class(first, second, rng=rng())
    assert (found.value, found.n, p_value) == (pytest.approx(value), k, pytest.approx(p))
    if np.ptp([second[name] - first[name] for name in first]) > 0 and k < FEWEST_RESAMPLED:
        assert found.low == pytest.approx(max(-1, low))
        assert found.high == pytest.approx(min(1, high))
    elif np.ptp([second[name] - first[name] for name in first]) > 0:  # the bootstrap is near to Student's law
        assert found.low == pytest.approx(low, abs=0.12)
        assert found.high == pytest.approx(high, abs=0.12)


def test_a_fall_that_overlapping_intervals_hide_is_seen_in_pairs():
    """Twenty classes, easy to hard; each is a fifth less often recognised with the second target."""
    easy = {c: c / 20 for c in range(1, 21)}
    after = {c: max(0.0, share - 0.2 + 0.02 * (c % 3)) for c, share in easy.items()}
    one, other = (
        class_accuracy(np.array(list(shares.values())), np.array(list(shares)), rng=rng()) for shares in (easy, after)
    )
    assert other.high > one.low
    found, p_value = paired_by_class(easy, after, rng=rng())
    assert found.high < -0.1
    assert p_value < 0.001


def test_the_order_of_two_targets_is_the_sign_of_their_difference():
    a, b = {1: 0.9, 2: 0.3, 3: 0.6, 4: 0.8}, {1: 0.4, 2: 0.2, 3: 0.6, 4: 0.1}
    there, p = paired_by_class(a, b, rng=rng())
    back, q = paired_by_class(b, a, rng=rng())
    assert (there.value, there.low, there.high, p) == pytest.approx((-back.value, -back.high, -back.low, q))
    assert paired_by_class(a, a, rng=rng())[1] == 1


def test_classes_that_one_target_lacks_are_left_out_and_said_so():
    found, _ = paired_by_class({1: 0.5, 2: 1.0, 9: 0.0}, {2: 0.5, 1: 0.5}, rng=rng())
    assert (found.value, found.n, found.flag) == (-0.25, 2, "1 classes are not in both")
    with pytest.raises(InputError, match="both targets were attacked for"):
        paired_by_class({1: 0.5}, {2: 0.5}, rng=rng())
    with pytest.raises(InputError, match="between 0 and 1"):
        paired_by_class({1: 0.5, 2: 55.0}, {1: 0.5, 2: 0.4}, rng=rng())
