"""The excess risk of an attack and its interval."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from seepage.errors import InputError
from seepage.metrics.excess import excess_risk, rate, wilson
from seepage.schema.estimates import Estimate
from tests.reference import risks as naive


@pytest.mark.parametrize(("hits", "n"), [(0, 10), (10, 10), (1, 7), (37, 100), (499, 500)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_wilsons_interval_inverts_the_score_test(hits, n, confidence):
    assert wilson(hits, n, confidence) == pytest.approx(naive.wilson(hits, n, confidence), abs=1e-9)


def test_the_risk_is_what_membership_adds_of_what_was_left_to_gain():
    assert excess_risk(rate(90, 100), rate(80, 100)).value == pytest.approx(0.5)
    assert excess_risk(rate(100, 100), rate(0, 100)).value == 1
    same = excess_risk(rate(30, 100), rate(30, 100))
    assert same.value == 0
    assert same.low < 0 < same.high
    reverse = excess_risk(rate(30, 100), rate(80, 100))
    assert reverse.high < 0
    nothing_left = excess_risk(rate(10, 10), rate(10, 10))
    assert nothing_left.value is nothing_left.low is None
    assert "nothing is left to gain" in nothing_left.flag
    assert excess_risk(rate(100, 100), rate(99, 100)).high == 1


@pytest.mark.parametrize("counts", [(90, 100, 80, 100), (3, 50, 1, 70), (50, 50, 20, 60), (0, 30, 0, 30)])
def test_the_interval_is_that_of_donner_and_zou(counts):
    hits, n, others, m = counts
    attack, control = rate(hits, n), rate(others, m)
    failures = [(1 - one.value, 1 - one.high, 1 - one.low) for one in (attack, control)]
    low, high = naive.mover_ratio(*failures)
    found = excess_risk(attack, control)
    assert (found.low, found.high) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize(("p", "q", "n", "m"), [
    (0.05, 0.05, 200, 200), (0.3, 0.3, 100, 100), (0.8, 0.8, 200, 50), (0.95, 0.95, 200, 200), (0.6, 0.3, 100, 100),
])  # fmt: skip
def test_the_interval_covers_as_often_as_it_says_all_outcomes_counted_out(p, q, n, m):
    truth, covered = 1 - (1 - p) / (1 - q), 0.0
    ours, theirs = binom.pmf(np.arange(n + 1), n, p), binom.pmf(np.arange(m + 1), m, q)
    rates = [{at: rate(at, size) for at in np.flatnonzero(law > 1e-5)} for size, law in ((n, ours), (m, theirs))]
    for hits, attack in rates[0].items():
        for others, control in rates[1].items():
            found = excess_risk(attack, control)
            weight = ours[hits] * theirs[others]
            covered += weight if found.value is None or found.low <= truth <= found.high else 0
    assert 0.94 <= covered <= 0.98


def test_what_is_no_rate_is_refused():
    for hits, n in ((1, 0), (-1, 5), (6, 5), (math.nan, 5)):
        with pytest.raises(InputError, match="successes"):
            wilson(hits, n)


def test_an_undefined_rate_has_no_excess():
    with pytest.raises(InputError, match="expected an estimate with a value and an interval, got none: nobody"):
        excess_risk(rate(3, 10), Estimate.of(None, None, None, 10, "nobody was asked"))
