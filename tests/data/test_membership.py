"""Memberships are drawn so that nothing but training can tell members from others."""

import numpy as np
import pytest
from scipy.stats import chi2, rankdata

from seepage.data import Membership, Pool
from seepage.errors import InputError


def auc(scores, members):
    ranks = rankdata(scores)
    n = members.sum()
    return (ranks[members].sum() - n * (n + 1) / 2) / (n * (~members).sum())


def close_to_half(value, members, sigmas=4):
    """Whether an AUC differs from 1/2 by no more than chance explains (null variance 1/12 (1/m + 1/n))."""
    n, m = members.sum(), (~members).sum()
    return abs(value - 0.5) < sigmas * np.sqrt((n + m + 1) / (12 * n * m))


@pytest.mark.parametrize("k", [0, 1, 2, 7, 16])
def test_every_audited_record_is_in_half_of_the_references(k):
    membership = Membership.split(4000, references=k, known=0.1, validation=0.1, rng=np.random.default_rng(k))
    n_in = membership.references.sum(axis=1)
    trained = membership.audit | membership.known
    assert set(n_in[trained]) == ({k // 2} if k % 2 == 0 else {k // 2, k // 2 + 1})
    assert (n_in[~trained] == 0).all()
    if k % 2:  # the odd one goes by a fair coin
        assert abs((n_in[trained] > k // 2).mean() - 0.5) < 4 * 0.5 / np.sqrt(trained.sum())


def test_each_single_reference_column_is_a_fair_coin_for_each_record():
    membership = Membership.split(20_000, references=8, population=0, rng=np.random.default_rng(0))
    sizes = membership.references.sum(axis=0)
    assert (np.abs(sizes - 10_000) < 4 * np.sqrt(20_000 / 4)).all()
    assert len(set(sizes)) > 1  # sizes vary as they do for coins; a fixed size would make records dependent
    # neighbouring records agree half of the time, and all 70 halves of 8 are drawn alike
    agreement = (membership.references[1:] == membership.references[:-1]).mean(axis=0)
    assert (np.abs(agreement - 0.5) < 4 * 0.5 / np.sqrt(20_000)).all()
    _, counts = np.unique(np.packbits(membership.references, axis=1), return_counts=True)
    assert len(counts) == 70
    expected = 20_000 / 70
    assert ((counts - expected) ** 2 / expected).sum() < chi2.ppf(0.9999, 69)


def test_the_references_say_nothing_about_the_target():
    membership = Membership.split(20_000, references=9, targets=2, population=0, rng=np.random.default_rng(1))
    for column in membership.targets.T:
        assert abs(column.mean() - 0.5) < 4 * 0.5 / np.sqrt(20_000)
        assert close_to_half(auc(membership.references.sum(axis=1), column), column)
        assert all(close_to_half(auc(reference, column), column) for reference in membership.references.T)


def test_a_target_inside_the_balance_would_be_given_away_by_the_counts():
    """The trap that the design avoids, so that the test above is known to see it."""
    trap = Membership.every_model(2000, references=10, population=0, rng=np.random.default_rng(0)).references
    assert auc(-trap[:, 1:].sum(axis=1), trap[:, 0]) == 1.0


@pytest.mark.parametrize("k", [6, 7])
def test_turns_leave_nothing_in_the_counts_or_in_the_mean_over_references(k):
    """Every reference leaks strongly and the score of the target is noise: no attack may find anything.

    The difference of the target's score to the mean over its references would, with one IN reference
    fewer for members, read far from 1/2.
    """
    rng = np.random.default_rng(0)
    membership = Membership.every_model(20_000, references=k, population=0.1, rng=rng)
    leaky = rng.normal(size=membership.references.shape) + 3.0 * membership.references
    target_score = rng.normal(size=len(membership)) * 0.1
    for t in range(k):
        is_in, is_out = membership.reference_masks(t, rng=rng)
        members, audit = membership.targets[:, t], membership.audit
        assert not is_in[:, t].any()
        assert not is_out[:, t].any()
        assert not (is_in & is_out).any()
        assert (is_in <= membership.references).all()
        assert (is_out <= ~membership.references).all()
        assert (is_in.sum(axis=1) == is_out.sum(axis=1))[audit].all()
        used = is_in | is_out
        means = np.where(used, leaky, 0).sum(axis=1) / np.maximum(used.sum(axis=1), 1)
        for score in (is_in.sum(axis=1), is_out.sum(axis=1), target_score - means):
            assert close_to_half(auc(score[audit], members[audit]), members[audit])
    others = np.arange(k) != 0
    naive = target_score - leaky[:, others].mean(axis=1)
    assert auc(naive[audit], membership.targets[audit, 0]) > 0.6


def test_turns_use_as_many_references_as_the_balance_allows():
    membership = Membership.every_model(500, references=8, population=0, rng=np.random.default_rng(0))
    is_in, _ = membership.reference_masks(3, rng=np.random.default_rng(1))
    assert (is_in.sum(axis=1) == 3).all()
    population = Membership.every_model(500, references=8, population=0.2, rng=np.random.default_rng(0))
    is_in, is_out = population.reference_masks(3, rng=np.random.default_rng(1))
    assert (is_out.sum(axis=1)[population.population] == 7).all()


def test_an_ordinary_target_uses_every_reference_and_population_is_out_everywhere():
    membership = Membership.split(300, references=6, rng=np.random.default_rng(0))
    is_in, is_out = membership.reference_masks(0, rng=np.random.default_rng(0))
    assert (is_in ^ is_out).all()
    assert is_out[membership.population].all()
    with pytest.raises(InputError, match="target below 1"):
        membership.reference_masks(1, rng=np.random.default_rng(0))


def test_split_draws_disjoint_subsets_of_the_asked_size_that_no_model_saw():
    membership = Membership.split(
        1000, references=4, targets=3, population=0.2, validation=50, known=0.1, rng=np.random.default_rng(0)
    )
    sizes = [int(getattr(membership, name).sum()) for name in ("audit", "known", "validation", "population")]
    assert sizes == [650, 100, 50, 200]
    held_out = membership.population | membership.validation
    assert not membership.references[held_out].any()
    assert not membership.targets[held_out].any()
    assert (membership.origin, membership.n_references, membership.n_targets, len(membership)) == ("drawn", 4, 3, 1000)


def test_the_attacker_is_told_of_known_records_only():
    membership = Membership.split(1000, references=0, targets=2, known=0.3, rng=np.random.default_rng(0))
    for t in range(2):
        bits = membership.known_bits(t)
        assert ((bits == -1) == ~membership.known).all()
        np.testing.assert_array_equal(bits[membership.known] == 1, membership.targets[membership.known, t])


def test_canaries_are_always_audited():
    membership = Membership.split(
        200, references=2, population=0.5, known=0.2, canaries=range(50), rng=np.random.default_rng(0)
    )
    assert membership.canaries.sum() == 50
    assert membership.audit[:50].all()


@pytest.mark.parametrize("models", [2, 7, 16])
def test_canaries_are_in_half_of_the_models_and_ordinary_records_in_all_or_none(models):
    canaries = np.arange(500) % 5 == 0
    membership = Membership.canaries_in_turns(
        500, canaries=canaries, models=models, population=50, validation=0.1, rng=np.random.default_rng(models)
    )
    n_in = membership.targets.sum(axis=1)
    assert set(n_in[canaries]) == {models // 2, models - models // 2}
    np.testing.assert_array_equal(membership.audit, canaries)
    np.testing.assert_array_equal(membership.canaries, canaries)
    assert (membership.population.sum(), membership.validation.sum()) == (50, 50)
    held_out = membership.population | membership.validation
    assert not held_out[canaries].any()
    assert (n_in[~canaries & ~held_out] == models).all()
    assert (n_in[held_out] == 0).all()
    assert (membership.turns, membership.origin, membership.n_targets) == (True, "drawn", models)


def test_each_canary_draws_its_half_by_itself():
    membership = Membership.canaries_in_turns(20_000, canaries=range(10_000), models=8, rng=np.random.default_rng(0))
    columns = membership.targets[:10_000]
    assert (np.abs(columns.sum(axis=0) - 5000) < 4 * 50).all()
    assert len(set(columns.sum(axis=0))) > 1
    agreement = (columns[1:] == columns[:-1]).mean(axis=0)
    assert (np.abs(agreement - 0.5) < 4 * 0.005).all()


@pytest.mark.parametrize(
    ("train", "n_ordinary"), [(None, 70), (60, 62), (0.5, 36), (np.arange(40, 80), 42), (np.arange(100) >= 40, 62)]
)
def test_ordinary_records_are_all_a_share_or_those_of_a_list(train, n_ordinary):
    membership = Membership.canaries_in_turns(
        100, canaries=range(20), models=4, train=train, keep=[20, 21], population=10, rng=np.random.default_rng(0)
    )
    ordinary = membership.targets.all(axis=1)
    assert ordinary.sum() == n_ordinary
    assert ordinary[[20, 21]].all()
    if np.ndim(train):
        assert ordinary[train].all()
    assert (membership.targets.any(axis=1) == (ordinary | membership.canaries)).all()
    assert membership.population.sum() == 10


def test_reference_masks_of_canaries_are_even_and_ordinary_records_are_in_no_pair():
    membership = Membership.canaries_in_turns(
        300, canaries=range(100), models=16, population=50, rng=np.random.default_rng(0)
    )
    for t in (0, 15):
        is_in, is_out = membership.reference_masks(t, rng=np.random.default_rng(t))
        assert (is_in[:100].sum(axis=1) == 7).all()
        assert (is_out[:100].sum(axis=1) == 7).all()
        ordinary = membership.targets.all(axis=1)
        assert not (is_in | is_out)[ordinary].any()
        assert (is_out.sum(axis=1)[membership.population] == 15).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"models": 1}, "at least 2 models"),
        ({"keep": [3]}, "canaries and kept records to be disjoint, got 1"),
        ({"train": [2, 3, 50]}, "ordinary training records to be disjoint, got 2"),
        ({"train": 90}, "at most 80"),
        ({"population": 0.9}, "leave records"),
        ({"canaries": []}, "got 0 members of 0"),
        ({"canaries": [100]}, "indices from 0 to 99"),
    ],
)
def test_canaries_that_cannot_take_turns_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        Membership.canaries_in_turns(
            100, **{"canaries": range(20), "models": 4, "rng": np.random.default_rng(0), **options}
        )


def test_fixed_lists_become_the_target_and_references_stay_independent_of_them():
    pool = Pool(np.zeros((3000, 1)))
    membership = Membership.fixed(
        pool, members=np.arange(1000), references=6, origin="declared", population=0.5, rng=np.random.default_rng(0)
    )
    assert membership.target[:1000].all()
    assert not membership.target[1000:].any()
    assert membership.population.sum() == 1000
    assert not membership.population[:1000].any()
    assert (membership.references.sum(axis=1)[membership.audit] == 3).all()
    audit, target = membership.audit, membership.target
    assert all(close_to_half(auc(r[audit], target[audit]), target[audit]) for r in membership.references.T)
    assert membership.origin == "declared"


def test_fixed_leaves_unlisted_records_out_and_takes_the_users_subsets():
    membership = Membership.fixed(
        10, members=[0, 1, 2], nonmembers=[5, 6, 7, 8], population=[8], known=[0, 5], origin="unknown",
        references=2, rng=np.random.default_rng(0),
    )  # fmt: skip
    assert np.flatnonzero(membership.audit).tolist() == [1, 2, 6, 7]
    assert np.flatnonzero(membership.population).tolist() == [8]
    assert membership.known_bits()[[0, 5]].tolist() == [1, 0]
    assert not membership.references[[3, 4, 8, 9]].any()
    mask = np.arange(10) < 3
    same = Membership.fixed(10, members=mask, origin="unknown", rng=np.random.default_rng(0))
    np.testing.assert_array_equal(same.target, mask)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"members": [0, 1], "nonmembers": [1, 2]}, "got 1 records in both"),
        ({"members": [0, 0]}, "members once"),
        ({"members": [10]}, "indices from 0 to 9"),
        ({"members": [0.5]}, "bool mask or a list of indices"),
        ({"members": np.ones(9, dtype=bool)}, "shape"),
        ({"members": []}, "got 0 members of 10"),
        ({"members": np.ones(10, dtype=bool)}, "got 10 members of 10"),
        ({"members": [0], "population": [0]}, "population records among the non-members"),
        ({"members": [0], "population": 1.5}, "share"),
        ({"members": [0], "references": -1}, "number of models"),
        ({"members": [0], "origin": "guessed"}, "origin"),
        ({"members": [0], "origin": "drawn"}, "only Membership.split draws"),
        ({"members": [0, 1], "known": [1], "canaries": [1]}, "canaries among the audit"),
    ],
)
def test_wrong_lists_are_clear_errors(options, words):
    with pytest.raises(InputError, match=words):
        Membership.fixed(10, **{"origin": "unknown", "rng": np.random.default_rng(0), **options})


def valid():
    target = np.array([[True], [False], [True], [False]])
    return {"references": np.zeros((4, 0), dtype=bool), "targets": target, "audit": np.ones(4, dtype=bool)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"targets": np.ones((4, 1))}, "bool"),
        ({"targets": np.zeros(4, dtype=bool)}, r"shape \(4, any\)"),
        ({"targets": np.zeros((4, 0), dtype=bool)}, "at least one target"),
        ({"references": np.zeros((3, 2), dtype=bool)}, "references of shape"),
        ({"known": [True, False, False, False]}, "audit and known records to be disjoint, got 1"),
        ({"audit": [False, True, True, True], "population": [True, False, False, False]}, "population records OUT"),
        ({"audit": [False, True, True, True], "validation": [True, False, False, False]}, "validation records OUT"),
        ({"audit": [True, False, True, False]}, "got 2 members of 2 in target 0"),
        ({"audit": [True, True, True, False], "canaries": [False, False, False, True]}, "canaries"),
        ({"turns": True}, "takes its turn"),
    ],
)
def test_inconsistent_columns_and_subsets_are_refused(changes, words):
    Membership(**valid())
    with pytest.raises(InputError, match=words):
        Membership(**{**valid(), **changes})


def test_sizes_that_leave_no_audit_are_refused():
    with pytest.raises(InputError, match="members and non-members"):
        Membership.split(10, references=2, population=10, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="leave records"):
        Membership.split(10, references=2, population=0.8, known=0.5, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="at least 2 references"):
        Membership.every_model(10, references=1, rng=np.random.default_rng(0))


def test_the_same_generator_gives_the_same_membership_and_the_fingerprint_tells():
    def draw(seed):
        return Membership.split(100, references=4, rng=np.random.default_rng(seed))

    a = draw(0)
    assert a.fingerprint == draw(0).fingerprint != draw(1).fingerprint
    parts = {name: getattr(a, name) for name in ("references", "targets", "audit", "population")}
    assert Membership(**parts, origin="declared").fingerprint != a.fingerprint
    assert Membership(**parts, origin="drawn").fingerprint == a.fingerprint
