"""Figures of several seeds: against a naive second implementation, limiting cases, and coverage."""

import numpy as np
import pytest

from seepage.attacks import resolve_attacks
from seepage.schema import comparison as report
from seepage.schema.estimates import Estimate
from seepage.studies.compare import figures, protocol
from tests.reference import comparison as naive
from tests.studies.compare.made import defence

CONFIDENCE = {"confidence": 0.95}


def estimate(value, low=None, high=None, n=100, flag=None):
    return Estimate(value=value, low=low, high=high, n=n, flag=flag)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_seeds_are_combined_as_the_naive_way_does(count, confidence):
    rng = np.random.default_rng(count)
    values = 0.6 + 0.03 * rng.standard_normal(count)
    lows, highs = values - 0.05 * rng.random(count), values + 0.09 * rng.random(count)
    found = figures.combined([estimate(*one) for one in zip(values, lows, highs, strict=True)], confidence=confidence)
    assert (found.value, found.low, found.high) == pytest.approx(
        naive.combined(values, lows, highs, confidence), abs=1e-5
    )
    assert found.n == 100


def test_an_interval_is_the_audits_own_where_seeds_agree_and_students_where_only_they_differ():
    agree = figures.combined([estimate(0.7, 0.6, 0.75)] * 3, **CONFIDENCE)
    assert (agree.low, agree.high) == (pytest.approx(0.6), pytest.approx(0.75))
    alone = figures.combined([estimate(v, v, v) for v in (0.5, 0.6, 0.7)], **CONFIDENCE)
    assert alone.high - 0.6 == pytest.approx(4.302653 * 0.1 / np.sqrt(3), rel=1e-6)  # t of 2 degrees of freedom
    # records that all seeds share do not become more with the seeds
    many = figures.combined([estimate(0.7, 0.6, 0.8)] * 50, **CONFIDENCE)
    assert many.high == pytest.approx(0.8)
    cut = figures.combined([estimate(v, v, v) for v in (0.0, 1.0)], **CONFIDENCE)
    assert (cut.low, cut.high) == (0.0, 1.0)
    assert figures.combined([estimate(v, v, v) for v in (1.0, 3.0)], most=None, **CONFIDENCE).high > 3


def test_what_is_undefined_in_a_seed_is_undefined_and_flags_are_kept():
    found = figures.combined([estimate(0.5, 0.4, 0.6), estimate(None, n=7, flag="too few")], **CONFIDENCE)
    assert found == estimate(None, n=7, flag="too few")
    flagged = figures.combined([estimate(0.5, 0.4, 0.6), estimate(0.6, 0.5, 0.7, flag="few")], **CONFIDENCE)
    assert flagged.flag == "few"


@pytest.mark.parametrize("seeds", [2, 3])
@pytest.mark.parametrize("between", [0.0, 0.02, 0.1])
def test_the_interval_covers_as_often_as_it_says(between, seeds):
    rng = np.random.default_rng(3)
    shared, own, repeats = 0.02, 0.0, 2000
    half = 1.959964 * np.hypot(shared, own)
    covered = 0
    for _ in range(repeats):
        values = 0.5 + shared * rng.standard_normal() + np.hypot(between, own) * rng.standard_normal(seeds)
        found = figures.combined([estimate(v, v - half, v + half) for v in values], **CONFIDENCE)
        covered += found.low <= 0.5 <= found.high
    assert covered / repeats >= 0.94


def test_each_family_has_the_maximum_of_its_own_attacks():
    names = ("loss", "entropy", "lira-online", "correctness", "noise", "rank-only", "modified-entropy-per-class")
    infos = protocol.attack_infos(resolve_attacks(names))
    families = {info.name: info.family for info in infos}
    assert families == {
        "loss": "scores",
        "entropy": "scores",
        "lira-online": "references",
        "modified-entropy-per-class": "references",
        "correctness": "label-only",
        "noise": "label-only",
        "rank-only": "rank-only",
    }
    rng = np.random.default_rng(0)
    attacks = {
        name: report.AttackFigures(**{m: estimate(float(rng.random()), 0, 1) for m in report.METRICS}) for name in names
    }
    for family, leak in figures.by_family(attacks, infos).items():
        for metric in report.METRICS:
            inside = {name: getattr(attacks[name], metric).value for name in names if families[name] == family}
            worst = getattr(leak, metric)
            assert worst.estimate.value == max(inside.values())
            assert inside[worst.attack] == worst.estimate.value


def test_the_frontier_is_what_brute_force_finds():
    rng = np.random.default_rng(1)
    for size in (1, 2, 5, 9):
        # few distinct values, so that ties and twins are there
        points = [(f"d{i}", *map(float, rng.integers(0, 4, 2) / 4)) for i in range(size)]
        made = [defence(name, accuracy=accuracy, tpr=leak) for name, accuracy, leak in points]
        found = report.frontier(made, lambda one: one.worst.tpr.estimate.value)
        assert sorted(found) == sorted(naive.frontier(points))


def test_matched_are_those_within_the_floor_and_its_tolerance():
    accuracies = {"undefended": 0.8, "better": 0.85, "at": 0.77, "below": 0.769}
    made = [defence(name, accuracy=value) for name, value in accuracies.items()]
    assert [one.name for one in figures.matched(made, 0.02, 0.01)] == ["undefended", "better", "at"]
    assert [one.name for one in figures.matched(made, 0.04, 0.0)] == list(accuracies)
    assert figures.matched(made, None, 0.01) == []
