import numpy as np
import pytest
from scipy.stats import binom, binomtest

from seepage.errors import InputError
from seepage.metrics import clopper_pearson, proportion
from seepage.schema.estimates import Estimate
from tests.reference import epsilon as naive


@pytest.mark.parametrize(("x", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (3, 1000), (997, 1000)])
def test_clopper_pearson_agrees_with_scipy_and_with_binomial_sums(x, n):
    theirs = binomtest(x, n).proportion_ci(0.95, method="exact")
    assert clopper_pearson(x, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert clopper_pearson(x, n) == pytest.approx(naive.clopper_pearson(x, n, 0.025), abs=1e-9)


def test_clopper_pearson_of_arrays_is_that_of_each_element():
    low, high = clopper_pearson(np.array([0, 3, 7]), 7)
    assert [clopper_pearson(x, 7) for x in (0, 3, 7)] == list(zip(low, high, strict=True))


def test_clopper_pearson_covers_every_proportion_at_least_as_often_as_stated():
    n = 30
    x = np.arange(n + 1)
    low, high = clopper_pearson(x, n, 0.9)
    for p in np.linspace(0.001, 0.999, 500):
        assert binom.pmf(x, n, p)[(low <= p) & (p <= high)].sum() >= 0.9


@pytest.mark.parametrize(
    ("x", "n", "confidence"), [(3, 2, 0.95), (-1, 2, 0.95), (0, 0, 0.95), (1, 2, 95.0), (1, 2, 0.0)]
)
def test_impossible_counts_are_refused(x, n, confidence):
    with pytest.raises(InputError):
        clopper_pearson(x, n, confidence)


def test_proportion_counts_and_keeps_n():
    estimate = proportion(np.array([True] * 3 + [False]))
    assert (estimate.value, estimate.n) == (0.75, 4)
    assert (estimate.low, estimate.high) == clopper_pearson(3, 4)
    with pytest.raises(InputError, match="non-empty"):
        proportion(np.array([], dtype=bool))


def test_an_undefined_estimate_stays_undefined_on_every_scale():
    undefined = Estimate.of(None, None, None, 5, "too few")
    assert undefined.through(lambda x: 2 * x) == undefined
