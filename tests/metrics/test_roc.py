import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import roc_auc_score, roc_curve

from seepage.errors import InputError
from seepage.metrics import auc, roc
from tests.reference import roc as naive

RNG = np.random.default_rng(5)
INF = np.inf


def adversarial():
    """What breaks ROC code: ties of every kind, infinities, unequal sizes."""
    normal = RNG.normal(size=60)
    few = np.arange(60) < 7
    half = np.arange(60) % 2 == 0
    return {
        "continuous": (normal, half),
        "few members": (normal, few),
        "many members": (normal, ~few),
        "binary": ((normal > 0.5).astype(float), half),
        "binary, few members": ((normal > 0).astype(float), few),
        "constant": (np.full(60, 3.0), half),
        "rounded": (np.round(normal, 1), half),
        "infinite": (np.where(normal > 1, INF, np.where(normal < -1, -INF, normal)), half),
        "all infinite": (np.where(normal > 0, INF, -INF), few),
        "separated": (normal + 100 * half, half),
        "inverted": (normal - 100 * half, half),
        "adjacent floats": (np.where(normal > 0, 1.0, np.nextafter(1.0, 2)), half),
        "huge": (normal * 1e307, half),
        "signed zeros": (np.where(normal > 0, 0.0, -0.0), half),
    }


CASES = adversarial()


@pytest.mark.parametrize("case", CASES)
def test_curve_has_every_distinct_threshold_and_agrees_with_the_naive_one(case):
    scores, members = CASES[case]
    curve = roc(scores, members)
    points = np.array(naive.roc_points(scores, members))
    np.testing.assert_array_equal(curve.thresholds, points[:, 0])
    np.testing.assert_allclose(curve.fpr, points[:, 1], atol=1e-9)
    np.testing.assert_allclose(curve.tpr, points[:, 2], atol=1e-9)
    assert (curve.fpr[0], curve.tpr[0], curve.thresholds[0]) == (0, 0, INF)
    assert (curve.fpr[-1], curve.tpr[-1]) == (1, 1)


@pytest.mark.parametrize("case", CASES)
def test_auc_counts_pairs_and_is_the_area_under_the_curve(case):
    scores, members = CASES[case]
    curve = roc(scores, members)
    assert auc(scores, members) == pytest.approx(naive.auc_by_pairs(scores, members), abs=1e-9)
    assert auc(scores, members) == pytest.approx(np.trapezoid(curve.tpr, curve.fpr), abs=1e-9)


@pytest.mark.parametrize("case", [c for c in CASES if "infinite" not in c])
def test_agrees_with_scikit_learn_where_it_takes_the_scores(case):
    scores, members = CASES[case]
    fpr, tpr, thresholds = roc_curve(members, scores, drop_intermediate=False)
    curve = roc(scores, members)
    np.testing.assert_allclose(curve.fpr, fpr, atol=1e-12)
    np.testing.assert_allclose(curve.tpr, tpr, atol=1e-12)
    np.testing.assert_array_equal(curve.thresholds, thresholds)
    assert auc(scores, members) == pytest.approx(roc_auc_score(members, scores), abs=1e-12)


def test_six_rows_with_auc_eight_ninths():
    """The shape of SACRO-ML's six-row example: TPR 2/3 and FPR 1/3 at one half, AUC 8/9."""
    scores = np.array([0.9, 0.8, 0.45, 0.6, 0.2, 0.1])
    members = np.array([True, True, True, False, False, False])
    assert auc(scores, members) == pytest.approx(8 / 9)
    assert np.mean(scores[members] >= 0.5) == pytest.approx(2 / 3)
    curve = roc(scores, members)
    at_half = np.flatnonzero(curve.thresholds >= 0.5)[-1]
    assert (curve.tpr[at_half], curve.fpr[at_half]) == pytest.approx((2 / 3, 1 / 3))


def test_constant_scores_say_nothing():
    curve = roc(*CASES["constant"])
    assert auc(*CASES["constant"]) == 0.5
    assert curve.fpr.tolist() == curve.tpr.tolist() == [0, 1]


labelled = st.integers(4, 40).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, n, elements=st.integers(-8, 8).map(float)),
        st.permutations([True, True, False, False] + [i % 3 == 0 for i in range(n - 4)]).map(np.array),
        st.permutations(range(n)).map(np.array),
    )
)


@settings(max_examples=60, deadline=None)
@given(labelled)
def test_auc_ignores_order_and_any_increasing_map_and_mirrors_when_roles_swap(drawn):
    scores, members, order = drawn
    value = auc(scores, members)
    assert auc(scores[order], members[order]) == value
    assert auc(np.exp(scores) * 3 - 1, members) == value
    assert auc(np.where(scores == 8, INF, scores), members) == value
    assert auc(-scores, members) == pytest.approx(1 - value, abs=1e-12)
    assert auc(-scores, ~members) == pytest.approx(value, abs=1e-12)


@pytest.mark.usefixtures("wrong_shapes")
@pytest.mark.parametrize(
    ("scores", "members", "message"),
    [
        ([1.0, np.nan, 2.0, 3.0], [True, True, False, False], "1 of 4 scores are NaN"),
        ([1.0, 2.0, 3.0, 4.0], [1, 1, 0, 0], "astype"),
        ([1.0, 2.0, 3.0], [True, True, False], "at least 2 members and 2 non-members"),
        ([1.0, 2.0, 3.0, 4.0], [True, True, False], "one shape"),
        ([], [], "bool"),
    ],
)
def test_bad_input_is_refused_in_words(scores, members, message):
    with pytest.raises(InputError, match=message):
        auc(np.array(scores), np.array(members))
