"""Distances between codes, and what is said of the odds there."""

import math
import statistics

import numpy as np
import pytest
from click.testing import CliRunner

from seepage import Pool
from seepage.cli import main
from seepage.schema.numbers import odds
from seepage.synthesis import distances
from seepage.synthesis.distances import CodeDistances, code_distances
from seepage.synthesis.mechanism import clipped
from tests.flat import synthesise
from tests.reference import synthesis as naive

RNG = np.random.default_rng(8)
WARNING = "does not hide which of two typical records"


def measured(groups, **changes):
    given = {"epsilon": 1.0, "releases": 1, "same_class": False, "rng": np.random.default_rng(0)}
    return code_distances(groups, **{**given, **changes})


def said(**changes):
    given = {
        "median": 4.0, "largest": 10.0, "is_exact": True, "n_pairs": 50, "n_measured": 50, "same_class": False,
        "epsilon": 20.0, "releases": 1,
    }  # fmt: skip
    return " ".join(CodeDistances(**{**given, **changes}).sentences)


def test_the_distances_are_those_of_a_double_loop_within_each_group():
    groups = [RNG.normal(size=(n, 5)).astype(np.float32) + 9 * n for n in (300, 1, 2, 41)]
    pairs = naive.distances([codes.tolist() for codes in groups])
    found = measured(groups)
    assert found.n_pairs == found.n_measured == len(pairs) == 300 * 299 // 2 + 1 + 41 * 40 // 2
    assert found.is_exact
    assert found.median == pytest.approx(statistics.median(pairs), abs=1e-9)
    assert found.largest == pytest.approx(pairs[-1], abs=1e-9)


def test_of_many_pairs_the_median_is_of_a_sample_and_the_largest_is_bounded(monkeypatch):
    groups = [RNG.normal(size=(n, 3)) * scale for n, scale in ((200, 1.0), (40, 5.0))]
    exact = measured(groups)
    monkeypatch.setattr(distances, "MOST_FOR_MEDIAN", 100)
    drawn = measured(groups)
    assert (drawn.is_exact, drawn.n_measured, drawn.largest) == (True, 100_000, exact.largest)
    assert drawn.median == pytest.approx(exact.median, rel=0.02)
    assert drawn == measured(groups)
    assert measured([np.array([[0.0], [1.0]])] * 101).median == 1  # no record is compared with itself
    line = np.arange(700.0)[:, None]  # the ends are in different blocks of rows
    assert measured([line]).largest == 699
    assert "(100,000 pairs drawn at random), largest" in drawn.sentences[0]
    monkeypatch.setattr(distances, "MOST_FOR_LARGEST", 100)
    bounded = measured(groups)
    assert not bounded.is_exact
    assert exact.largest <= bounded.largest <= 2 * exact.largest
    assert "largest at most" in bounded.sentences[0]
    apart = [clipped(codes + 0.5, 1.0) for codes in groups]
    assert measured(apart).largest <= 2 + 1e-9  # no two clipped codes are further apart
    ends = np.array([[3.0, 0.0], [5.0, 0.0]] * 20)  # about their mean, not about zero
    assert measured([ends]).largest == pytest.approx(2)


@pytest.mark.parametrize(
    ("options", "n_pairs"),
    [
        ({"labels": "kept"}, 60 * 59 // 2),
        ({"labels": "conditional"}, 20 * 19 // 2 + 40 * 39 // 2),
        ({"labels": "per-class"}, 20 * 19 // 2 + 40 * 39 // 2),
        ({"labels": "kept", "clip": 0.1, "releases": 2}, 60 * 59 // 2),
    ],
)
def test_the_distances_of_a_release_are_those_of_the_codes_that_get_the_noise(options, n_pairs):
    pool = Pool(RNG.random((60, 6)).astype(np.float32), np.repeat([0, 1], (20, 40)))
    made = synthesise(pool, epsilon=3.0, latent=3, epochs=2, rng=1, **options)
    sides = [np.arange(60)] if options["labels"] == "kept" else [np.arange(20), np.arange(20, 60)]
    groups = []
    for place, rows in enumerate(sides):
        vae = made.vaes[place if len(made.vaes) > 1 else 0]
        labels = pool.labels[rows] if options["labels"] == "conditional" else None
        groups.append(clipped(vae.encode(pool.inputs[rows], labels), options.get("clip")))
    pairs = naive.distances([codes.tolist() for codes in groups])
    assert made.distances.n_pairs == len(pairs) == n_pairs
    assert made.distances.median == pytest.approx(statistics.median(pairs), rel=1e-5)
    assert made.distances.largest == pytest.approx(pairs[-1], rel=1e-5)
    assert made.distances.releases == options.get("releases", 1)


def test_a_bound_that_protects_no_typical_pair_is_called_so():
    text = said()
    assert "two records: median 4, largest 10 (all 50 pairs)" in text
    assert "at the median distance exp(80.0), more than a factor of 10^34; at the largest exp(200.0)" in text
    assert WARNING in text
    assert "take an epsilon of about 0.25." in text
    assert "No guarantee covers them" in text
    assert "two records of one class" in said(same_class=True)
    thrice = said(epsilon=1.0, releases=3)
    assert "over all 3 releases: at the median distance exp(12.0)" in thrice
    assert "epsilon of about 0.083" in thrice


def test_a_bound_that_holds_at_typical_pairs_is_said_without_a_warning():
    tiny = said(epsilon=1e-6)
    assert "at the median distance 1.01; at the largest 1.01." in tiny
    assert WARNING not in tiny
    assert "take an epsilon" not in tiny
    at_e = said(epsilon=0.25)
    assert "at the median distance 2.72; at the largest 12.19." in at_e
    assert "take an epsilon" not in at_e
    below, above = (math.log(1000) / 4 * factor for factor in (0.999, 1.001))
    assert WARNING not in said(epsilon=below)
    assert "take an epsilon" in said(epsilon=below)
    assert WARNING in said(epsilon=above)


@pytest.mark.parametrize("epsilon", [1e5, 1e300, 1.7e308, math.inf])
def test_no_epsilon_overflows(epsilon):
    text = said(epsilon=epsilon)
    assert (WARNING in text) == math.isfinite(epsilon)  # without noise nothing is protected at all
    assert "nan" not in text
    assert "inf" not in text
    assert len(text) < 1000


def test_odds_are_never_stated_below_the_bound():
    assert odds(0.0) == "1"
    for exponent in (1e-9, 0.3, 1.0, 5.5, 6.9):
        assert math.exp(exponent) <= float(odds(exponent)) <= math.exp(exponent) + 0.011
    assert odds(6.91) == "exp(7.0), more than a factor of 10^3"
    assert odds(math.inf) == "none"


@pytest.mark.parametrize("epsilon", [2.0, math.inf])
def test_codes_that_are_all_the_same_and_no_two_records(epsilon):
    same = measured([np.ones((30, 4))], epsilon=epsilon)
    assert (same.median, same.largest, same.is_vacuous) == (0, 0, False)
    assert "all the same" in same.sentences[1]
    half = measured([np.array([[0.0]] * 10 + [[1.0]])], epsilon=epsilon)
    assert (half.median, half.largest) == (0, 1)
    assert "at the median distance 1; at the largest" in half.sentences[1]
    for groups in ([], [np.ones((1, 4))], [np.ones((1, 4)), np.zeros((1, 4))]):
        alone = measured(groups, epsilon=epsilon)
        assert (alone.median, alone.largest, alone.n_pairs, alone.is_vacuous) == (None, None, 0, False)
        assert alone.sentences == ("There are no two records: no distance between codes can be stated.",)


def test_the_command_prints_the_distances_and_saves_none(tmp_path):
    out = tmp_path / "digits.npz"
    options = ["--data", "digits", "--limit", "200", "--epochs", "20", "--out", str(out), "--epsilon"]
    done = CliRunner().invoke(main, ["synthesise", *options, "200"])
    assert done.exit_code == 0, done.output
    assert "Distance between the codes of two records of one class: median" in done.output
    assert "Bound on the odds: at the median distance exp(" in done.output
    assert WARNING in done.output
    saved = (out.parent / "digits.npz.json").read_text()
    assert "median" not in saved
    assert "distances" not in saved
    small = CliRunner().invoke(main, ["synthesise", *options, "0.0001"])
    assert "Bound on the odds: at the median distance 1.01" in small.output
    assert WARNING not in small.output
