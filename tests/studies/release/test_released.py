import dataclasses

import numpy as np
import pytest
from scipy.stats import binom, kstest, spearmanr

import seepage
from seepage.data import Pool
from seepage.errors import InputError
from seepage.metrics import auc, holm, leak_p_value
from seepage.studies.release import released as module
from seepage.studies.release import sides
from seepage.studies.release.closeness import Space, closeness, nearest
from seepage.studies.release.density import classifier_ratio, kernel_ratio
from seepage.studies.release.released import audit_released
from seepage.studies.release.usefulness import usefulness
from tests.reference import released as naive

RNG = np.random.default_rng(0)


def normal_pool(n, rng, d=4, shift=0.0):
    return Pool(rng.normal(shift, 1, size=(n, d)).astype(np.float32))


def near(pool, rng, noise=0.01):
    return Pool((pool.batch() + noise * rng.normal(size=pool.inputs.shape)).astype(np.float32))


def close(synthetic, members, holdout, rng):
    return closeness(synthetic, members, holdout, Space.of(members, holdout), confidence=0.95, rng=rng)


# --- distances


def test_distances_agree_with_loops_whatever_the_blocks(monkeypatch):
    queries, records = RNG.normal(size=(30, 3)).astype(np.float32), RNG.normal(size=(20, 3)).astype(np.float32)
    expected = naive.distances(queries, records, 5)
    np.testing.assert_allclose(nearest(queries, records, 5)[0], expected, rtol=1e-6)
    monkeypatch.setattr("seepage.studies.release.closeness.BLOCK_VALUES", 10)
    found, places = nearest(queries, records, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(queries[:, None] - records[places], axis=2), found, rtol=1e-5)


def test_a_copy_far_from_the_origin_is_at_distance_zero():
    # |a|^2 + |b|^2 - 2 a.b alone would leave about 0.01
    records = (1e4 + RNG.normal(size=(50, 40))).astype(np.float32)
    assert (nearest(records, records)[0] == 0).all()


def test_numbers_are_standardised_and_one_hot_columns_and_images_are_not():
    numbers = np.column_stack([RNG.normal(50, 10, 200), RNG.random(200) < 0.3, np.full(200, 7.0)])
    pool = Pool(numbers.astype(np.float32))
    seen = Space.of(pool.subset(range(100)), pool.subset(range(100, 200)))(pool)
    np.testing.assert_allclose(seen[:, 0], (numbers[:, 0] - numbers[:, 0].mean()) / numbers[:, 0].std(), atol=1e-4)
    assert set(np.unique(seen[:, 1])) == {0, 1}
    assert (seen[:, 2] == 0).all()
    images = Pool(RNG.integers(0, 256, size=(5, 1, 3, 3)).astype(np.uint8), scale=1 / 255)
    np.testing.assert_array_equal(Space.of(images)(images), images.batch().reshape(5, -1))


def test_distances_of_binary_records_are_hammings():
    bits = RNG.integers(0, 2, size=(40, 30)).astype(np.uint8)
    pool, other = Pool(bits[:20]), Pool(bits[20:])
    space = Space.of(pool, other)
    differing = (bits[:20, None] != bits[None, 20:]).sum(axis=2)
    np.testing.assert_allclose(nearest(space(pool), space(other))[0][:, 0] ** 2, differing.min(axis=1), rtol=1e-12)


# --- whom a release is closest to


def test_the_share_and_its_p_value_agree_with_counting_everything_out():
    rng = np.random.default_rng(5)
    members, holdout, synthetic = (normal_pool(n, rng) for n in (7, 7, 12))
    space = Space.of(members, holdout)
    counts = naive.neighbours_of(space(synthetic), np.concatenate([space(members), space(holdout)]))
    found = close(synthetic, members, holdout, rng)
    assert found.closer_to_members.value == pytest.approx(sum(counts[:7]) / 12)
    assert found.closer_to_members.n == 12
    assert found.p_value == pytest.approx(naive.chance_of_share(counts, 7), abs=0.02)


def test_the_interval_is_binomial_where_every_released_record_has_its_own_neighbour():
    rng = np.random.default_rng(1)
    members, holdout = normal_pool(30, rng), normal_pool(30, rng)
    synthetic = near(members.subset(range(20)).concat(holdout.subset(range(5))), rng, 1e-4)
    share = close(synthetic, members, holdout, rng).closer_to_members
    assert (share.value, share.flag) == (0.8, None)
    assert (share.low, share.high) == pytest.approx(naive.binomial_interval(20, 25, 0.95))


def test_many_released_records_around_few_originals_do_not_make_it_sure():
    """A hundred records at three places in space, which know of nobody: the binomial interval misses 0.5 mostly."""
    hits = alarms = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        members, holdout = normal_pool(30, rng), normal_pool(30, rng)
        around = Pool(normal_pool(3, rng).inputs[rng.integers(0, 3, 100)])
        found = close(near(around, rng, 1e-4), members, holdout, rng)
        hits += found.closer_to_members.low <= 0.5 <= found.closer_to_members.high
        alarms += found.p_value <= 0.05
    assert hits >= binom.ppf(0.001, 150, 0.95)
    assert alarms <= binom.ppf(0.999, 150, 0.05)


def test_lists_of_different_length_are_cut_and_ties_go_to_either_side():
    rng = np.random.default_rng(2)
    members, holdout = normal_pool(400, rng), normal_pool(100, rng)
    assert abs(close(normal_pool(300, rng), members, holdout, rng).closer_to_members.value - 0.5) < 0.15
    ordered = normal_pool(200, rng, shift=99).concat(members)  # no matter that those who are far come first
    assert close(near(members, rng), ordered, holdout, rng).closer_to_members.value > 0.3
    twins = normal_pool(200, rng)
    share = close(twins, twins, twins, rng).closer_to_members
    assert share.low < 0.5 < share.high


def test_copies_are_counted_beside_those_of_the_hold_out():
    rng = np.random.default_rng(3)
    members, holdout = normal_pool(50, rng), normal_pool(40, rng)
    copied = members.subset([0, 1, 2]).concat(members.subset([0])).concat(holdout.subset([7]))
    found = close(copied.concat(normal_pool(5, rng)), members, holdout, rng)
    assert (found.identical.value, found.identical.n) == (0.4, 10)
    assert (found.copied_members.value, found.copied_members.n) == (3 / 50, 50)
    assert (found.copied_holdout.value, found.copied_holdout.n) == (1 / 40, 40)


# --- density ratios


def test_the_kernel_ratio_agrees_with_a_mixture_written_out(monkeypatch):
    monkeypatch.setattr("seepage.studies.release.density.BLOCK_VALUES", 100)
    mix = RNG.normal(size=(6, 6))
    records, synthetic, reference = (RNG.normal(size=(n, 6)) @ mix for n in (15, 30, 24))
    expected = naive.kernel_ratio(records, synthetic, reference, 3)
    np.testing.assert_allclose(kernel_ratio(records, synthetic, reference, dimensions=3, rng=RNG), expected, rtol=1e-6)


def test_far_away_and_collapsed_releases_have_finite_ratios():
    records, reference = RNG.normal(size=(30, 4)), RNG.normal(size=(30, 4))
    records[:, 3] = reference[:, 3] = 0  # a direction in which nothing varies
    point = np.tile([100.0, 0, 0, 0], (30, 1))
    assert np.isfinite(kernel_ratio(records, point, reference, rng=RNG)).all()


def test_both_ratios_order_records_as_the_true_ratio_does():
    rng = np.random.default_rng(4)
    synthetic, reference, records = rng.normal(1, 1, (1500, 2)), rng.normal(size=(1500, 2)), rng.normal(size=(300, 2))
    truth = records.sum(axis=1)  # log N(x; 1, I) - log N(x; 0, I), less a constant
    assert spearmanr(kernel_ratio(records, synthetic, reference, rng=rng), truth).statistic > 0.9
    assert spearmanr(classifier_ratio(records, synthetic, reference, rng=rng), truth).statistic > 0.7


def test_the_classifier_weighs_both_sets_alike_and_reduces_wide_records():
    rng = np.random.default_rng(6)
    nothing_to_see = classifier_ratio(*(np.ones((n, 2)) for n in (20, 900, 100)), rng=rng)
    np.testing.assert_allclose(nothing_to_see, 0, atol=1e-6)  # by numbers alone it would be log 9
    wide = rng.normal(size=(60, 200))
    wide[:30, :50] += rng.normal(size=(30, 1)) + 2
    assert auc(classifier_ratio(wide, wide[::2], wide[1::2], rng=rng), np.arange(60) < 30) > 0.4


# --- the audit as a whole


def test_a_release_made_of_the_members_is_found_by_every_test_of_distances():
    rng = np.random.default_rng(7)
    members, holdout = normal_pool(200, rng), normal_pool(200, rng)
    found = audit_released(near(members, rng), members, holdout, rng=rng)
    for name in ("nearest", "nearest-5", "nearest-calibrated", "density-kernel"):
        assert found.attacks[name].p_value_holm < 0.01, name
    assert found.best.name in ("nearest", "nearest-calibrated")
    assert found.attacks["nearest"].auc.low > 0.95
    assert found.closeness.closer_to_members.low > 0.95
    assert found.closeness_p_value_holm < 0.01
    assert found.p_value < 1e-6
    # made of the hold-out, it does not accuse the members
    assert audit_released(near(holdout, rng), members, holdout, rng=rng).p_value == 1


def test_local_overfitting_in_a_dense_place_is_found_by_the_comparison_with_the_population():
    """Release and members agree best where all are sparse; the plain distance ranks by how dense a place is."""
    rng = np.random.default_rng(8)
    spread = np.exp(rng.uniform(-4, 4, (600, 1)))
    pool = Pool((rng.normal(size=(600, 4)) * spread).astype(np.float32))
    members, holdout, reference = (pool.subset(range(k, k + 200)) for k in (0, 200, 400))
    kept = rng.random(200) < 0.5
    outer = Pool((rng.normal(size=(100, 4)) * np.exp(rng.uniform(-4, 4, (100, 1)))).astype(np.float32))
    synthetic = near(members.subset(kept), rng, 1e-4).concat(outer)
    attacks = audit_released(synthetic, members, holdout, reference=reference, rng=rng).attacks
    assert attacks["nearest-calibrated"].auc.value > 0.55
    assert attacks["nearest-calibrated"].p_value < 1e-3


def test_a_release_that_knows_nobody_raises_no_more_alarms_than_stated():
    n_runs, alarms = 60, 0
    for seed in range(n_runs):
        rng = np.random.default_rng(seed)
        members, holdout, third = (normal_pool(60, rng) for _ in range(3))
        alarms += audit_released(near(third, rng), members, holdout, rng=rng).p_value <= 0.05
    assert alarms <= binom.ppf(0.999, n_runs, 0.05)


def test_p_values_of_a_release_that_knows_nobody_are_uniform_or_larger():
    p_values = {name: [] for name in ("nearest", "calibrated", "kernel", "share")}
    for seed in range(200):
        rng = np.random.default_rng(seed)
        members, holdout, reference, third = (normal_pool(60, rng) for _ in range(4))
        records = np.concatenate([members.batch(), holdout.batch()])
        is_member = np.arange(120) < 60
        to_release, to_reference = (nearest(records, pool.batch())[0][:, 0] for pool in (third, reference))
        p_values["nearest"].append(leak_p_value(-to_release, is_member))
        p_values["calibrated"].append(leak_p_value(to_reference - to_release, is_member))
        ratio = kernel_ratio(records, third.batch(), reference.batch(), rng=rng)
        p_values["kernel"].append(leak_p_value(ratio, is_member))
        p_values["share"].append(close(third, members, holdout, rng).p_value)
    for name, values in p_values.items():
        assert kstest(values, "uniform", alternative="greater").pvalue > 1e-3, name
    assert abs(np.mean(p_values["share"]) - 0.5) < 0.1  # one test of one exact law is not merely larger


def test_hold_out_records_that_stand_for_the_population_are_not_judged():
    rng = np.random.default_rng(9)
    members, holdout, synthetic = (normal_pool(n, rng) for n in (60, 50, 70))
    alone = audit_released(synthetic, members, holdout, rng=rng)
    assert {name: attack.n_holdout for name, attack in alone.attacks.items()} == {
        "nearest": 50, "nearest-5": 50, "nearest-calibrated": 25, "density-kernel": 25, "density-classifier": 25,
    }  # fmt: skip
    assert alone.reference.startswith("25 hold-out records")
    given = audit_released(synthetic, members, holdout, reference=normal_pool(30, rng), rng=rng)
    assert {attack.n_holdout for attack in given.attacks.values()} == {50}
    assert given.reference == "30 records that were given"
    assert {attack.n_members for attack in given.attacks.values()} == {60}


def test_what_is_reported_belongs_to_the_scores():
    rng = np.random.default_rng(10)
    members, holdout, synthetic, reference = (normal_pool(60, rng) for _ in range(4))
    space, is_member = Space.of(members, holdout), np.arange(120) < 60
    found = audit_released(synthetic, members, holdout, reference=reference, rng=rng, rates=(0.1,))
    records = np.concatenate([space(members), space(holdout)])
    far = naive.distances(records, space(synthetic), 5)
    expected = {
        "nearest": -far[:, 0],
        "nearest-5": -far.mean(axis=1),
        "nearest-calibrated": naive.distances(records, space(reference), 1)[:, 0] - far[:, 0],
    }
    for name, scores in expected.items():
        assert found.attacks[name].auc.value == pytest.approx(auc(scores, is_member)), name
        assert found.attacks[name].p_value == pytest.approx(leak_p_value(scores, is_member)), name
        (estimate,) = found.attacks[name].tpr_at_fpr.values()
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.n == 60


def test_all_tests_are_corrected_together():
    rng = np.random.default_rng(13)
    members, holdout = normal_pool(60, rng), normal_pool(60, rng)
    copies = Pool(np.concatenate([members.inputs[:3].repeat(20, axis=0), normal_pool(30, rng).inputs]))
    for synthetic in (copies, near(members, rng, 0.5)):
        found = audit_released(synthetic, members, holdout, rng=rng)
        tests = [*found.attacks.values(), *found.risks.values()]
        plain = [test.p_value for test in tests] + [found.closeness.p_value]
        corrected = [test.p_value_holm for test in tests] + [found.closeness_p_value_holm]
        np.testing.assert_allclose(corrected, holm(plain))
        assert found.p_value == min(corrected)


def test_the_share_counts_for_the_verdict():
    rng = np.random.default_rng(14)
    members, holdout = normal_pool(60, rng), normal_pool(60, rng)
    found = audit_released(near(members, rng, 0.1), members, holdout, rng=rng, attacker=None)
    attacks = {name: attack.model_copy(update={"p_value_holm": 1.0}) for name, attack in found.attacks.items()}
    assert found.model_copy(update={"attacks": attacks}).p_value == found.closeness_p_value_holm < 0.01


def test_the_same_seed_gives_the_same_result():
    pools = [normal_pool(60, RNG) for _ in range(3)]
    first, second = (audit_released(*pools, rng=np.random.default_rng(3)) for _ in range(2))
    assert first.model_dump(exclude={"provenance"}) == second.model_dump(exclude={"provenance"})


def test_digits_with_noise_lead_back_to_their_originals_and_other_digits_do_not():
    rng = np.random.default_rng(11)
    digits = seepage.load("digits", flat=False)
    rows = rng.permutation(len(digits))
    members, holdout, third = (digits.subset(rows[k : k + 200]) for k in (0, 200, 400))
    leak = audit_released(near(members, rng, 0.1), members, holdout, rng=rng)
    assert leak.attacks["nearest-calibrated"].p_value_holm < 1e-6
    assert audit_released(near(third, rng, 0.1), members, holdout, rng=rng).p_value > 0.01


def test_usefulness_is_that_of_labels_and_records():
    rng = np.random.default_rng(12)
    digits = seepage.load("digits")
    rows = rng.permutation(len(digits))
    members, holdout = digits.subset(rows[:800]), digits.subset(rows[800:])
    recipe = seepage.Recipe(seepage.MLP, epochs=15)
    same = usefulness(members, members, holdout, recipe, rng=rng)
    assert same.originals.value > 0.9
    assert abs(same.released.value - same.originals.value) < 0.05
    assert same.majority.value == np.mean(holdout.labels == np.bincount(members.labels).argmax())
    scrambled = Pool(members.inputs, rng.permutation(members.labels), n_classes=10)
    found = audit_released(scrambled, members, holdout, recipe=recipe, rng=rng)
    assert found.usefulness.released.value < 0.4 < found.usefulness.originals.value
    assert found.closeness.copied_members.value == 1


def test_what_cannot_be_audited_says_so():
    members, holdout = normal_pool(30, RNG), normal_pool(30, RNG)
    with pytest.raises(InputError, match="records of one shape"):
        audit_released(normal_pool(30, RNG, d=3), members, holdout, rng=RNG)
    with pytest.raises(InputError, match="at least 20 records"):
        audit_released(normal_pool(5, RNG), members, holdout, rng=RNG)
    recipe = seepage.Recipe(seepage.MLP)
    with pytest.raises(InputError, match="labels of the same classes"):
        audit_released(normal_pool(30, RNG), members, holdout, recipe=recipe, rng=RNG)
    labelled = Pool(members.inputs, np.arange(30) % 2)
    choosing = dataclasses.replace(recipe, stop=seepage.models.recipe.BestValidation())
    with pytest.raises(InputError, match="needs no held-out records"):
        usefulness(labelled, labelled, labelled, choosing, rng=RNG)
    assert sides.LEAST_RECORDS > module.NEIGHBOURS
