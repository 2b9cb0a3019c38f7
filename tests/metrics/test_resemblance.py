import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from seepage.errors import InputError
from seepage.metrics import resemblance as code
from seepage.metrics.resemblance import diversity, frechet_distance, kernel_distance, nearer_private, nearest
from tests.reference import reconstruction as naive


def rng(seed=0):
    return np.random.default_rng(seed)


def line(*values):
    return np.array(values, dtype=float)[:, None]


# Nearest real images


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 8), st.integers(1, 8))
def test_distances_are_what_loops_give(seed, n, n_private, n_held_out):
    source = rng(seed)
    features, private, held_out = (source.integers(0, 3, (m, 2)).astype(float) for m in (n, n_private, n_held_out))
    labels, of_private, of_held_out = (source.integers(0, 3, m) for m in (n, n_private, n_held_out))
    np.testing.assert_allclose(
        nearest(features, labels, private, of_private), naive.nearest(features, labels, private, of_private)
    )
    sides = (private, of_private, held_out, of_held_out)
    np.testing.assert_allclose(
        nearer_private(features, labels, *sides), naive.nearer_private(features, labels, *sides), atol=1e-12
    )


def test_a_copy_is_at_no_distance_however_far_from_the_origin():
    far = rng().normal(1e6, 1, size=(5, 8))
    assert nearest(far[:1], np.array([0]), far, np.zeros(5, int)).tolist() == [0]


def test_one_private_image_against_three():
    """At 0: private at 2; held out at 1, 3, 5. Of three single draws two are farther, and one nearer."""
    zero = np.zeros(1, int)
    found = nearer_private(line(0), zero, line(2), zero, line(1, 3, 5), np.zeros(3, int))
    assert found.tolist() == pytest.approx([2 / 3])
    tied = nearer_private(line(0), zero, line(3), zero, line(1, 3, 5), np.zeros(3, int))
    assert tied.tolist() == pytest.approx([(1 + 0.5) / 3])


def test_copies_of_training_images_are_nearer_and_a_class_without_one_side_has_no_value():
    private, held_out = rng(1).normal(size=(6, 4)), rng(2).normal(size=(9, 4))
    labels = np.repeat([0, 1], 3)
    found = nearer_private(private, labels, private, labels, held_out, np.array([0] * 9))
    assert found[:3].tolist() == pytest.approx([1, 1, 1])
    assert np.isnan(found[3:]).all()


@pytest.mark.parametrize(("n_private", "n_held_out"), [(7, 3), (3, 7), (5, 5)])
def test_an_image_of_the_class_is_as_near_to_the_one_as_to_the_other(n_private, n_held_out):
    source, found = rng(3), []
    for _ in range(1500):
        sides = source.normal(size=(n_private, 3)), source.normal(size=(n_held_out, 3))
        zeros = [np.zeros(n, int) for n in (1, n_private, n_held_out)]
        found.append(nearer_private(source.normal(size=(1, 3)), zeros[0], sides[0], zeros[1], sides[1], zeros[2])[0])
    assert np.mean(found) == pytest.approx(0.5, abs=3.5 * np.std(found) / np.sqrt(len(found)))


def test_large_sets_do_not_overflow():
    zeros = np.zeros(5000, int)
    found = nearer_private(line(0), zeros[:1], line(1), zeros[:1], np.arange(5000.0)[:, None] + 0.5, zeros)
    assert found[0] == pytest.approx(1 - 1 / 5000)


# Frechet distance


def test_two_normal_laws_have_the_closed_form():
    """One feature: (mu - nu)^2 + (sd_a - sd_b)^2."""
    a, b = rng().normal(0, 1, (50, 1)), rng(1).normal(3, 2, (70, 1))
    expected = (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b).value == pytest.approx(expected)
    a, b = rng().normal(0, 1, (200_000, 2)) * [1, 2], rng(1).normal(0, 1, (200_000, 2)) * [3, 2] + [5, 0]
    assert frechet_distance(a, b).value == pytest.approx(25 + 4, abs=0.25)


def test_it_is_what_the_matrix_square_root_gives():
    mix = rng(5).normal(size=(4, 4))
    a, b = rng(1).normal(size=(60, 4)) @ mix, rng(2).normal(size=(45, 4)) + 1
    of_a, of_b = np.cov(a.T), np.cov(b.T)
    gap = a.mean(0) - b.mean(0)
    expected = gap @ gap + np.trace(of_a + of_b - 2 * sqrtm(of_a @ of_b).real)
    found = frechet_distance(a, b)
    assert found.value == pytest.approx(expected)
    assert found.value == pytest.approx(frechet_distance(b, a).value)
    assert (found.low, found.high, found.n, found.flag) == (None, None, 45, None)


def test_few_images_have_no_covariance():
    a = rng().normal(size=(100, 10))
    assert frechet_distance(a, a).value == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, a[:19]).value is None
    assert frechet_distance(a, a[:19]).flag == "undefined: 19 images are too few for 10 features"
    assert frechet_distance(a, a[:20]).flag == "biased upwards: 20 images for 10 features"
    assert frechet_distance(a, a).flag is None


def test_a_feature_that_is_constant_is_no_trouble():
    a = np.column_stack([rng().normal(size=40), np.ones(40)])
    b = np.column_stack([rng(1).normal(size=40), np.zeros(40)])
    assert frechet_distance(a, b).value == pytest.approx(1 + frechet_distance(a[:, :1], b[:, :1]).value)


# Kernel distance


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 7), st.integers(2, 7), st.integers(1, 4))
def test_the_kernel_distance_is_what_loops_over_pairs_give(seed, n, m, degree):
    a, b = rng(seed).normal(size=(n, 3)), rng(seed + 1).normal(size=(m, 3))
    found = kernel_distance(a, b, degree, rng=rng())
    assert found.value == pytest.approx(naive.kernel_distance(a, b, degree), abs=1e-9)
    assert found.low <= found.value <= found.high
    assert found.n == min(n, m)


def test_equal_laws_have_a_distance_of_zero_on_average_and_the_interval_covers_it():
    source, values, covered = rng(7), [], 0
    for _ in range(150):
        found = kernel_distance(source.normal(size=(12, 4)), source.normal(size=(30, 4)), rng=source)
        values.append(found.value)
        covered += found.low <= 0 <= found.high
    assert np.mean(values) == pytest.approx(0, abs=3.5 * np.std(values) / np.sqrt(len(values)))
    assert min(values) < 0
    assert covered / 150 > 0.9


def test_the_interval_covers_a_distance_that_is_there():
    """Linear kernel: the squared distance of the means, over the width."""
    source, covered = rng(8), 0
    for _ in range(150):
        found = kernel_distance(source.normal(size=(40, 4)), source.normal(size=(40, 4)) + 1, 1, rng=source)
        covered += found.low <= 1 <= found.high
    assert covered / 150 > 0.88


def test_of_many_images_some_are_drawn(monkeypatch):
    monkeypatch.setattr(code, "MOST_IMAGES", 50)
    a = rng().normal(size=(400, 2))
    found = kernel_distance(a, a + 2, rng=rng())
    assert found.n == 50
    assert found.low > 0


def test_one_image_has_no_kernel_distance():
    found = kernel_distance(line(1.0), line(1.0, 2.0), rng=rng())
    assert (found.value, found.flag) == (None, "undefined: expected two images or more on each side, got 1")


# Diversity


def test_diversity_by_hand():
    """Distances 4 and 0 between reconstructions, 16 and 16 between real images: 4/32."""
    made, labels = line(0, 2, 7, 7), np.array([0, 0, 1, 1])
    real, of_real = line(0, 4, 3, -1), np.array([0, 0, 1, 1])
    found = diversity(made, labels, real, of_real, rng=rng())
    assert (found.value, found.n) == (0.125, 2)
    assert (found.low, found.high) == (0, 0.25)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_diversity_is_what_loops_over_pairs_give(seed):
    source = rng(seed)
    made, real = source.normal(size=(12, 2)), source.normal(size=(15, 2))
    labels, of_real = np.repeat(np.arange(4), [2, 3, 3, 4]), np.repeat(np.arange(5), [5, 3, 2, 2, 3])
    assert diversity(made, labels, real, of_real, rng=rng()).value == pytest.approx(
        naive.diversity(made, labels, real, of_real)
    )


def test_one_image_a_class_has_no_diversity():
    one = diversity(line(0, 1), np.arange(2), line(0, 1, 2, 3), np.array([0, 0, 1, 1]), rng=rng())
    assert (one.value, one.n, one.flag) == (None, 0, "undefined: it takes two images of one class")
    alike = diversity(line(0, 1), np.zeros(2, int), line(5, 5), np.zeros(2, int), rng=rng())
    assert (alike.value, alike.flag) == (None, "undefined: the private images of a class are all alike")
    single = diversity(line(0, 1), np.zeros(2, int), line(5, 6), np.zeros(2, int), rng=rng())
    assert (single.value, single.low, single.flag) == (1, None, "one class has no interval")


# What is refused


@pytest.mark.usefixtures("wrong_shapes")
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: nearest(line(0), np.zeros(1, int), np.zeros((2, 2)), np.zeros(2, int)), "of one width"),
        (lambda: nearest(line(0), np.zeros(2, int), line(0), np.zeros(1, int)), "one label an image"),
        (lambda: frechet_distance(line(0, np.nan), line(0, 1)), "not finite"),
        (lambda: frechet_distance(np.zeros(3), np.zeros(3)), "of one width"),
        (lambda: kernel_distance(line(0, 1), line(0, 1), 0, rng=rng()), "degree of 1 or more"),
        (lambda: kernel_distance(line(0, 1), line(0, 1), True, rng=rng()), "degree of 1 or more"),
        (lambda: kernel_distance(line(0, 1), line(0, 1), confidence=2, rng=rng()), "confidence"),
    ],
)
def test_what_is_no_feature_is_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()
