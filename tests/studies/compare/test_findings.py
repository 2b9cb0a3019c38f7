"""Sentences come from numbers: changed numbers change them."""

import pytest

from seepage.attacks import resolve_attacks
from seepage.schema.comparison import CanaryFigures, Rates, TuningPoint, Worst
from seepage.schema.numbers import percent
from seepage.studies.compare import findings
from seepage.studies.compare.protocol import attack_infos
from tests.studies.compare.made import FAMILIES, around, defence

RATES = Rates(fpr=0.001, fnr=0.001)
INFOS = attack_infos(resolve_attacks(FAMILIES))
PLAIN = defence("undefended", accuracy=0.8, tpr=0.1, auc={"loss": 0.8, "lira-online": 0.9, "correctness": 0.7})


def told(*others, matched=None, floor=0.02):
    rows = [PLAIN, *others]
    names = [one.name for one in rows] if matched is None else matched
    return (
        findings.headline(rows, names, RATES, floor),
        findings.conclusions(rows, names, RATES, floor),
    )


def test_the_headline_counts_what_clearly_protects_at_the_accuracy():
    good, better = defence("good", tpr=0.05), defence("better", tpr=0.03)
    close, dear = defence("close", tpr=0.085), defence("dear", tpr=0.0, accuracy=0.4)
    headline, _ = told(good, better, close, dear, matched=["undefended", "good", "better", "close"])
    assert "10.0 % [9.0, 11.0] without a defence" in headline
    assert "3 of 4 defences keep the accuracy (at most 2 points less), and 2 of these clearly reduce it" in headline
    assert headline.endswith("'better' most, to 3.0 % [2.0, 4.0].")
    headline, _ = told(close)
    assert "1 of 1 defence keeps the accuracy" in headline
    assert headline.endswith("none of these clearly reduces it.")
    headline, _ = told(good, dear, floor=None)
    assert "Of 2 defences, at any accuracy, 2 clearly reduce it: 'dear' most, to 0 % " in headline


def test_where_the_rate_is_undefined_the_auc_is_told():
    headline, conclusions = told(defence("good", tpr=None, auc={"lira-online": 0.6}))
    assert headline.startswith("The strongest attack's AUC is 0.900")
    assert "AUC clearly falls from 0.900 to 0.600" in conclusions[0]


@pytest.mark.parametrize(
    ("tpr", "expected"), [(0.05, "clearly falls"), (0.09, "the intervals overlap"), (0.15, "clearly rises")]
)
def test_each_defence_is_set_against_the_undefended_model(tpr, expected):
    _, conclusions = told(defence("one", tpr=tpr, accuracy=0.79))
    assert expected in conclusions[0]
    assert f"to {percent(tpr)}" in conclusions[0]
    assert "test accuracy from 80.0 % to 79.0 %, within the floor" in conclusions[0]
    _, conclusions = told(defence("one", tpr=tpr, accuracy=0.5, reached_floor=False), matched=["undefended"])
    assert "more than 2 points less; no setting" in conclusions[0]


def test_a_defence_that_only_moves_scores_is_named():
    masked = defence("masked", auc={"loss": 0.5, "lira-online": 0.62, "correctness": 0.7, "rank-only": 0.55})
    sentence = findings.only_moves_scores(masked, PLAIN)
    assert "falls from 0.900 to 0.620" in sentence
    assert "label-only 0.700 to 0.700" in sentence
    assert "rank-only" not in sentence  # that one falls too
    real = defence("real", auc={"loss": 0.5, "lira-online": 0.62, "correctness": 0.6, "rank-only": 0.5})
    assert findings.only_moves_scores(real, PLAIN) is None
    # references still find as much
    none = defence("none", auc={"loss": 0.5, "lira-online": 0.9, "correctness": 0.7})
    assert findings.only_moves_scores(none, PLAIN) is None
    _, conclusions = told(masked, real)
    assert [one for one in conclusions if "moves the scores" in one] == [sentence]
    wins = [one for one in conclusions if "safer than it is" in one]
    assert len(wins) == 1
    assert "'masked' a label-only attack ('correctness', AUC 0.700" in wins[0]


def test_dp_sgd_is_the_yardstick_among_the_matched():
    dp = defence("dp-sgd", tpr=0.05, epsilon_claimed=8.0, delta_claimed=1e-5)
    less, more, alike = defence("less", tpr=0.01), defence("more", tpr=0.09), defence("alike", tpr=0.05)
    _, conclusions = told(dp, less, more, alike)
    assert conclusions[-1].startswith("At about the same accuracy DP-SGD ('dp-sgd') leaves 5.0 %")
    assert conclusions[-1].endswith("clearly less: 'less'; clearly more: 'more'.")
    _, conclusions = told(dp, less, matched=["undefended", "less"])
    assert not [one for one in conclusions if "DP-SGD" in one]


def limits(*others, infos=INFOS, seeds=(0, 1, 2), every_model=True):
    return findings.limits([PLAIN, *others], {}, RATES, seeds, infos, every_model)


def test_limits_tell_what_was_not_done():
    assert "plant canaries" in " ".join(limits())
    canaries = CanaryFigures(
        kind="mislabelled", n=20, fpr=0.01, attacks={}, worst=Worst(attack="lira-online", estimate=around(0.4))
    )
    with_canaries = defence("one", canaries=canaries)
    assert "plant canaries" not in " ".join(limits(with_canaries))
    _, conclusions = told(with_canaries)
    assert "'lira-online' finds 40.0 % [39.0, 41.0] of them at FPR 1 %" in conclusions[-1]
    assert not [one for one in limits() if "attack was run" in one]
    only_scores = [info for info in INFOS if info.family in ("scores", "label-only")]
    assert [one for one in limits(infos=only_scores) if one.startswith("No rank-only attack was run")]
    points = [TuningPoint(options={}, validation_accuracy=around(0.7, n=1234), chosen=True)]
    searched = defence("one", setting="searched", reached_floor=True, tuning=points)
    assert "1,234 validation records" in " ".join(limits(searched))
    assert [one for one in limits(seeds=(0,), every_model=False) if one.startswith("One seed")]
    assert "Two seeds" in " ".join(limits(seeds=(0, 1)))
    assert "epsilon" not in " ".join(limits())
    assert "epsilon" in " ".join(limits(defence("dp-sgd", epsilon_claimed=1.0)))
