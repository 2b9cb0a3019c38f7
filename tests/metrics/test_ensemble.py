import numpy as np
import pytest

from seepage.errors import InputError
from seepage.metrics import auc, tpr_at_fpr
from seepage.metrics.ensemble import (
    Intersection,
    _place,
    agreement,
    best_at,
    found,
    rank_average,
    stacked,
    union,
    upset,
)
from tests.reference import ensemble as naive

INF = np.inf
MEMBERS = np.array([True, True, True, True, False, False, False, False])
# At FPR 1/4 one false alarm is allowed: "a" names records 0, 1 and 4, "b" names 0, 2 and 5.
TWO = {
    "a": np.array([9.0, 8, 1, 2, 7, 5, 0, 3]),
    "b": np.array([9.0, 2, 8, 1, 0, 7, 5, 3]),
}


def noise(n=400, attacks=6, targets=1, seed=0, shared=0.0):
    """Scores that know nothing; `shared` of their variance is common to all attacks."""
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n, targets))
    scores = {
        f"attack {at}": np.sqrt(shared) * common + np.sqrt(1 - shared) * rng.normal(size=(n, targets))
        for at in range(attacks)
    }
    return scores, np.stack([rng.permutation(n) < n // 2 for _ in range(targets)], axis=1)


def two_kinds(n=600, seed=0):
    """Two attacks that each find another fifth of the members, and one that finds nobody."""
    rng = np.random.default_rng(seed)
    members = rng.permutation(n) < n // 2
    kind = rng.integers(0, 5, n)
    scores = {name: rng.normal(size=n) + 6 * (members & (kind == k)) for k, name in enumerate(("left", "right"))}
    return scores | {"blind": rng.normal(size=n)}, members


# Who is found by whom


def exactly(attacks, n_members, n_nonmembers):
    return Intersection(attacks=attacks, n_members=n_members, n_nonmembers=n_nonmembers)


def test_eight_records_by_hand():
    assert np.flatnonzero(found(TWO["a"], MEMBERS, 0.25)).tolist() == [0, 1, 4]
    assert np.flatnonzero(found(TWO["b"], MEMBERS, 0.25)).tolist() == [0, 2, 5]
    assert upset(TWO, MEMBERS, 0.25) == [
        exactly(("a", "b"), 1, 0),
        exactly(("a",), 1, 1),
        exactly(("b",), 1, 1),
    ]
    together = union(TWO, MEMBERS, 0.25, rng=np.random.default_rng(0))
    assert (together.n_members, together.n_nonmembers) == (3, 2)
    assert (together.fpr, together.tpr.value) == (0.5, 0.75)
    # At that FPR "a" names records 0 and 1 alone, "b" records 0 and 2.
    assert (together.best_attack, together.best_tpr.value) == ("a", 0.5)
    # They agree on two of four members, as independent ones would.
    np.testing.assert_allclose(agreement(TWO, MEMBERS, 0.25), [[1, 0], [0, 1]])


def test_no_false_alarm_is_allowed_at_a_rate_of_zero():
    one_each = [exactly(attacks, 1, 0) for attacks in (("a",), ("b",), ("a", "b"))]
    assert upset(TWO, MEMBERS, 0) == one_each
    together = union(TWO, MEMBERS, 0, rng=np.random.default_rng(0))
    assert (together.fpr, together.tpr.value, together.best_tpr.value) == (0.0, 0.75, 0.5)


def test_a_tie_with_a_non_member_too_many_is_not_broken():
    scores = np.array([5.0, 5, 5, 1, 5, 5, 0, 0])
    assert not found(scores, MEMBERS, 0.25).any()
    assert found(scores, MEMBERS, 0.5).sum() == 6


CASES = {
    "continuous": lambda rng, shape: rng.normal(size=shape),
    "rounded": lambda rng, shape: np.round(rng.normal(size=shape)),
    "binary": lambda rng, shape: (rng.random(shape) < 0.3).astype(float),
    "constant": lambda rng, shape: np.ones(shape),
    "infinite": lambda rng, shape: rng.choice([-INF, 0.0, 1.0, INF], shape),
}


@pytest.mark.parametrize("fpr", [0.0, 0.07, 0.1, 0.5])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("targets", [1, 3])
def test_intersections_and_agreement_are_those_counted_one_by_one(case, fpr, targets):
    rng = np.random.default_rng(3)
    scores = {name: CASES[case](rng, (100, targets)) for name in "abcd"}
    members = rng.random((100, targets)) < 0.4
    rows = upset(scores, members, fpr)
    assert {tuple(row.attacks): (row.n_members, row.n_nonmembers) for row in rows} == naive.intersections(
        scores, members, fpr
    )
    assert [row.n_members for row in rows] == sorted((row.n_members for row in rows), reverse=True)
    together = union(scores, members, fpr, rng=rng)
    assert sum(row.n_members for row in rows) == together.n_members
    assert sum(row.n_nonmembers for row in rows) == together.n_nonmembers
    named = {name: found(columns, members, fpr)[members].tolist() for name, columns in scores.items()}
    expected = [[naive.kappa(named[one], named[other]) for other in "abcd"] for one in "abcd"]
    np.testing.assert_allclose(agreement(scores, members, fpr), expected, atol=1e-9)


@pytest.mark.parametrize("targets", [1, 4])
def test_an_attack_alone_is_found_at_its_own_tpr(targets):
    scores, members = noise(attacks=1, targets=targets)
    scores = {"only": scores["attack 0"] + members}
    own = tpr_at_fpr(scores["only"], members, 0.05, rng=np.random.default_rng(0))
    together = union(scores, members, 0.05, rng=np.random.default_rng(0))
    assert together.tpr.value == pytest.approx(own.value)
    assert together.best_tpr.value == together.tpr.value
    for end in ("low", "high"):
        assert getattr(together.tpr, end) == pytest.approx(getattr(own, end), abs=0.02)
    assert together.fpr == pytest.approx(0.05)


def test_the_order_of_the_records_changes_nothing():
    scores, members = two_kinds()
    order = np.random.default_rng(1).permutation(len(members))
    moved = {name: column[order] for name, column in scores.items()}
    assert upset(moved, members[order], 0.05) == upset(scores, members, 0.05)
    assert union(moved, members[order], 0.05, rng=np.random.default_rng(0)) == union(
        scores, members, 0.05, rng=np.random.default_rng(0)
    )


def test_attacks_that_find_different_members_find_more_together():
    scores, members = two_kinds()
    together = union(scores, members, 0.01, rng=np.random.default_rng(0))
    assert together.tpr.value > together.best_tpr.value + 0.1
    assert together.tpr.low > together.best_tpr.value
    kappas = agreement(scores, members, 0.01)
    assert kappas[0, 1] < 0  # each finds whom the other does not
    assert kappas[0, 0] == 1


def test_copies_of_one_attack_find_no_more_than_it():
    scores = noise(attacks=1)[0]["attack 0"]
    members = noise()[1]
    copies = {name: scores + members for name in "abc"}
    assert [row.attacks for row in upset(copies, members, 0.05)] == [["a", "b", "c"]]
    together = union(copies, members, 0.05, rng=np.random.default_rng(0))
    assert together.fpr == pytest.approx(0.05)
    assert (agreement(copies, members, 0.05) == 1).all()


def test_without_a_leak_the_union_finds_no_more_members_than_others():
    """Its TPR alone looks like a find: five times the rate of each attack."""
    unions = [union(*noise(seed=seed), 0.05, rng=np.random.default_rng(seed)) for seed in range(60)]
    tpr, fpr = np.mean([u.tpr.value for u in unions]), np.mean([u.fpr for u in unions])
    assert fpr > 0.2
    # Strictly above the (k + 1)-th of n non-members: a member passes with chance (k + 1) / (n + 1), not k / n.
    expected = 1 - (1 - 11 / 201) ** 6
    assert abs(tpr - expected) < 4 * np.std([u.tpr.value for u in unions]) / np.sqrt(60)
    covered = np.mean([u.tpr.low <= u.fpr <= u.tpr.high for u in unions])
    assert covered > 0.85
    assert abs(np.mean(agreement(*noise(n=4000, seed=1), 0.05)[0, 1:])) < 0.03


# One score from all


@pytest.mark.parametrize("case", CASES)
def test_a_place_among_the_non_members_orders_records_as_their_scores_do(case):
    rng = np.random.default_rng(0)
    scores, members = CASES[case](rng, (90, 2)), rng.random((90, 2)) < 0.5
    places = _place(scores, members)
    for target in range(2):
        assert auc(places[:, target], members[:, target]) == pytest.approx(auc(scores[:, target], members[:, target]))
        for fpr in (0.0, 0.1, 0.5):
            pair = [
                tpr_at_fpr(values[:, target], members[:, target], fpr, rng=np.random.default_rng(0)).value
                for values in (places, scores)
            ]
            assert pair[0] == pair[1]


def test_the_rank_average_by_hand():
    scores = {"a": np.array([1.0, 2, 3, 4]), "b": np.array([10.0, 10, -INF, INF])}
    np.testing.assert_allclose(rank_average(scores).ravel(), [3.5 / 8, 4.5 / 8, 4 / 8, 1])


def test_the_stacker_finds_what_no_attack_finds_alone():
    scores, members = two_kinds(1200)
    scores["wrong way"] = -scores["left"] - scores["right"]
    judged = stacked(scores, members, rng=np.random.default_rng(0))[:, 0]
    singles = [auc(column, members) for column in scores.values()]
    assert auc(judged, members) > max(singles) + 0.03


@pytest.mark.parametrize("targets", [1, 3])
def test_without_a_leak_the_stacker_is_at_chance_and_one_that_peeks_is_not(targets):
    from sklearn.linear_model import LogisticRegression

    honest, peeking = [], []
    for seed in range(40):
        scores, members = noise(n=80, attacks=8, targets=targets, seed=seed)
        judged = stacked(scores, members, rng=np.random.default_rng(seed))
        features = np.stack([column.ravel() for column in scores.values()], axis=1)
        fitted = LogisticRegression().fit(features, members.ravel()).decision_function(features)
        honest.append(auc(judged.ravel(), members.ravel()))
        peeking.append(auc(fitted, members.ravel()))
    assert abs(np.mean(honest) - 0.5) < 4 * np.std(honest) / np.sqrt(40)
    assert np.mean(peeking) > 0.55


# Choosing the best


def test_without_a_leak_the_best_attack_is_at_chance_and_the_naive_best_is_not():
    rows = [best_at(*noise(attacks=12, seed=seed), [0.05], rng=np.random.default_rng(seed))[0] for seed in range(60)]
    honest = np.array([row.tpr.value for row in rows])
    assert abs(honest.mean() - 12 / 202) < 4 * honest.std() / np.sqrt(60)
    assert np.mean([row.naive_tpr.value for row in rows]) > 0.075
    assert np.mean([row.tpr.low <= 0.05 <= row.tpr.high for row in rows]) > 0.85


@pytest.mark.parametrize("targets", [1, 4])
def test_an_attack_that_is_clearly_best_is_chosen_twice_and_keeps_its_tpr(targets):
    scores, members = noise(attacks=4, targets=targets)
    scores["attack 2"] = scores["attack 2"] + 2.0 * members
    for row in best_at(scores, members, [0.1, 0.02], rng=np.random.default_rng(0)):
        assert row.chosen == ["attack 2", "attack 2"]
        assert row.naive_attack == "attack 2"
        assert row.naive_tpr.value == pytest.approx(row.tpr.value, abs=0.1)


def test_rates_have_their_own_best():
    rng = np.random.default_rng(0)
    members = rng.permutation(2000) < 1000
    scores = {
        "few and sure": rng.normal(size=2000) + 8 * (members & (rng.random(2000) < 0.1)),
        "many and vague": rng.normal(size=2000) + 1.0 * members,
    }
    low, high = best_at(scores, members, [0.001, 0.3], rng=rng)
    assert low.chosen == ["few and sure"] * 2
    assert high.chosen == ["many and vague"] * 2


def test_a_rate_below_one_in_n_is_undefined():
    (row,) = best_at(*noise(), [0.001], rng=np.random.default_rng(0))
    assert row.tpr.value is None
    assert row.naive_tpr.value is None


@pytest.mark.usefixtures("wrong_shapes")
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: upset({}, MEMBERS, 0.1), "at least one attack"),
        (lambda: upset(TWO, MEMBERS, 1.0), "FPR in"),
        (lambda: upset({"a": np.full(8, np.nan)}, MEMBERS, 0.1), "NaN"),
        (lambda: upset({"a": np.ones(7)}, MEMBERS, 0.1), "one shape"),
        (lambda: best_at(TWO, MEMBERS, [0.1, 0.0], rng=np.random.default_rng(0)), r"in \(0, 1\)"),
        (lambda: stacked({"a": np.ones(6)}, MEMBERS[1:7], rng=np.random.default_rng(0)), "each half"),
    ],
)
def test_what_cannot_be_counted_is_an_error(call, words):
    with pytest.raises(InputError, match=words):
        call()
