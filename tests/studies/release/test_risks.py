"""Singling out, linkability and inference: known answers, loops, and set-ups that say nothing."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import binom

import seepage
from seepage.data import Pool
from seepage.errors import InputError
from seepage.report.release import _settings
from seepage.studies.release import Attacker, audit_released
from seepage.studies.release.risks import chance_of_a_guess, chance_of_a_link, commonest, wp29_risks, wrong_links
from seepage.studies.release.singling_out import at_random, judged, of_one_column, of_several_columns
from seepage.studies.release.typed import Attribute, Typed
from tests.reference import risks as naive

COLUMNS = (("age", None), ("town", "Bonn"), ("town", "Ulm"), ("town", "Kiel"), ("pay", None), ("size", None))
SMALL = Attacker(n_targets=60, n_predicates=60)


def people(n, rng, *, towns=3):
    """A table of whole and fractional numbers, a category, and a label that depends on all of them."""
    age, town = rng.integers(18, 90, n), rng.integers(0, towns, n)
    pay = 1000 + 20 * age + 300 * town + rng.normal(0, 200, n)
    size = rng.normal(1.7, 0.1, n)
    values = np.column_stack([age, *(town == at for at in range(3)), pay, size])
    return Pool(values, (pay > 2500).astype(int), columns=COLUMNS, classes=("low", "high"))


def sides(seed, n=120):
    rng = np.random.default_rng(seed)
    return [people(n, rng) for _ in range(3)]


def typed(seed=0, n=120):
    return Typed.of(*sides(seed, n))


def measured(release, members, holdout, attacker=SMALL, seed=0):
    return wp29_risks(Typed.of(release, members, holdout), attacker, rng=seed)[0]


# --- columns and distances


def test_columns_are_those_of_the_table_and_the_label():
    release, members, holdout = sides(1)
    release = dataclasses.replace(release, inputs=release.inputs + 0.2)
    seen = Typed.of(release, members, holdout)
    assert seen.names == ("age", "town", "pay", "size", "label")
    assert [attribute.is_number for attribute in seen.attributes] == [True, False, True, True, False]
    assert (seen.members[:, 1] == members.inputs[:, 1:4].argmax(axis=1)).all()
    assert (seen.release[:, 0] == np.rint(seen.release[:, 0])).all()  # whole in all originals
    assert (seen.release[:, 3] != np.rint(seen.release[:, 3])).any()
    assert (seen.holdout[:, 4] == holdout.labels).all()


def test_columns_without_names_are_what_they_look_like():
    rng = np.random.default_rng(2)
    pools = [Pool(one.inputs) for one in (people(50, rng), people(50, rng), people(50, rng))]
    seen = Typed.of(*pools)
    assert seen.names == ("x0", "x1 to x3", "x4", "x5")
    same = Pool(np.column_stack([pools[0].inputs, np.full(50, 3.0)]))
    assert Typed.of(same, same, same).constant == ("x6",)


def test_distances_and_neighbours_agree_with_loops_whatever_the_blocks(monkeypatch):
    seen, rng = typed(3, 40), np.random.default_rng(0)
    known = [[0, 1, 2], [2, 3, 4], [0, 1, 3, 4]]
    expected = [[naive.gower(row, one, seen.attributes, known[0]) for one in seen.release] for row in seen.members]
    np.testing.assert_allclose(seen.distances(seen.members, known[0]), expected)
    for blocks in (2**21, 200):
        monkeypatch.setattr("seepage.studies.release.typed.BLOCK_PAIRS", blocks)
        for columns, found in zip(known, seen.nearest(seen.members, known, 3, rng), strict=True):
            for row, places in zip(seen.members, found, strict=True):
                assert set(places) == set(naive.nearest(row, seen.release, seen.attributes, columns, 3))


def test_ties_are_drawn_lots_for():
    seen = typed(4, 60)
    (found,) = seen.nearest(np.repeat(seen.members[:1], 3000, axis=0), [[1]], 1, np.random.default_rng(0))
    alike = np.flatnonzero(seen.release[:, 1] == seen.members[0, 1])
    assert set(found[:, 0]) == set(alike)
    assert np.bincount(found[:, 0])[alike].min() > 0.5 * 3000 / len(alike)


# --- singling out


@pytest.mark.parametrize("several", [False, True])
def test_a_predicate_holds_for_one_released_record_and_is_read_off_the_release_alone(several):
    seen = typed(5)
    other = dataclasses.replace(seen, members=seen.members[::-1] * 3 + 7, holdout=seen.holdout * 0)

    def made(world):
        rng = np.random.default_rng(1)
        if several:
            return of_several_columns(world, world.release, 80, 3, rng)
        return of_one_column(world, world.release, 80, rng)

    predicates = made(seen)
    assert len(predicates) == 80
    assert all(naive.singled_out(predicates, seen.release))
    assert (predicates.matches(seen.release).sum(axis=1) == 1).all()
    for one, again in zip(vars(predicates).values(), vars(made(other)).values(), strict=True):
        np.testing.assert_array_equal(one, again)
    keys = np.column_stack(list(vars(predicates).values()))
    assert len(np.unique(keys, axis=0)) == len(keys)


def test_predicates_are_counted_as_loops_count_and_judged_as_all_memberships_judge():
    seen, rng = typed(6, 30), np.random.default_rng(2)
    members, control = seen.members[:5], seen.holdout[:5]
    predicates = of_several_columns(seen, seen.release, 25, 2, rng)
    found = judged(predicates, members, control, rng)
    assert found.attack.tolist() == naive.singled_out(predicates, members)
    assert found.control.tolist() == naive.singled_out(predicates, control)
    p, spread = naive.chance_of_singling_out(predicates, members, control)
    assert found.p_value == pytest.approx(p, abs=0.04)
    rate = (found.attack.mean() + found.control.mean()) / 2
    assert found.effect == pytest.approx(max(1, spread / (2 * 25 * rate * (1 - rate))), rel=0.15)


def test_predicates_about_the_same_people_are_fewer_witnesses():
    """Twenty conditions that all hold for whoever is oldest are one witness."""
    rng = np.random.default_rng(3)
    pools = [Pool(np.repeat(rng.normal(size=(80, 1)), 20, axis=1) + 1e-6 * rng.normal(size=(80, 20))) for _ in range(3)]
    seen = Typed.of(*pools)
    predicates = of_one_column(seen, seen.release, 10_000, rng).some(slice(None))
    assert judged(predicates, seen.members, seen.holdout, rng).effect > 5


def test_random_predicates_keep_to_the_columns_and_values_of_the_release():
    seen = typed(7)
    guesses = at_random(seen, seen.release, 500, 2, np.random.default_rng(0))
    town = guesses.columns == 1
    assert set(guesses.low[town]) <= set(seen.release[:, 1])
    np.testing.assert_array_equal(guesses.low[town], guesses.high[town])
    age = guesses.columns == 0
    assert (np.isinf(guesses.low[age]) != np.isinf(guesses.high[age])).all()


# --- linkability and inference


def test_links_agree_with_loops():
    seen = typed(8, 40)
    attacker = Attacker(n_targets=40, linked=(["age", "pay"], ["size", "town"]), neighbours=2)
    found = wp29_risks(seen, attacker, rng=0)[0]["linkability"]
    noisy = seen.attributes, [0, 2], [3, 1], 2
    ours, wrong = naive.links(seen.members, seen.release, *noisy)
    theirs, _ = naive.links(seen.holdout, seen.release, *noisy)
    assert (found.attack.value, found.control.value) == (np.mean(ours), np.mean(theirs))
    assert found.guessing == pytest.approx(max(wrong, chance_of_a_link(40, 2)))
    assert wrong_links(np.array([[0], [0], [1]]), np.array([[0], [1], [1]])) == pytest.approx(2 / 6)


def test_the_chance_of_a_link_is_that_of_random_sets():
    rng = np.random.default_rng(0)
    drawn = [len(set(rng.permutation(12)[:3]) & set(rng.permutation(12)[:3])) > 0 for _ in range(4000)]
    assert chance_of_a_link(12, 3) == pytest.approx(np.mean(drawn), abs=0.03)
    assert (chance_of_a_link(50_000, 1), chance_of_a_link(5, 3)) == (pytest.approx(1 / 50_000), 1)


@pytest.mark.parametrize("secret", ["age", "town", "pay", "label"])
def test_inferred_secrets_agree_with_loops(secret):
    seen = typed(9, 40)
    found = wp29_risks(seen, Attacker(n_targets=40, secrets=[secret]), rng=0)[0][f"inference of {secret}"]
    at = seen.names.index(secret)
    ours, chance = naive.guesses(seen.members, seen.release, seen.attributes, at, 0.1)
    theirs, _ = naive.guesses(seen.holdout, seen.release, seen.attributes, at, 0.1)
    assert (found.attack.value, found.control.value) == (np.mean(ours), np.mean(theirs))
    assert found.guessing == pytest.approx(chance)


@pytest.mark.parametrize("seed", range(20))
def test_the_commonest_value_is_that_of_a_loop_over_all_pairs(seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 12, 40).astype(float) if seed % 2 else rng.normal(size=40)
    for reach in (0.0, 0.35, 1.2):
        assert commonest(values, reach) == pytest.approx(naive.commonest(values.tolist(), reach))


def test_guesses_about_known_secrets_are_right_as_often_as_one_counts():
    sick = Attribute("sick", is_number=False, scale=1.0, deviation=0.3)
    mostly, truth = np.repeat([0.0, 1.0], [9, 1]), np.repeat([0.0, 1.0], [8, 2])
    assert chance_of_a_guess(mostly, truth, sick, 0.1) == pytest.approx(0.8)  # a random record: 0.9 * 0.8 + 0.1 * 0.2
    # A release that is mostly wrong: the commonest value is right in 0.2, a random record in 0.9 * 0.2 + 0.1 * 0.8.
    assert chance_of_a_guess(mostly, 1 - truth, sick, 0.1) == pytest.approx(0.26)
    years = Attribute("years", is_number=True, scale=50.0, deviation=10.0)
    released = np.array([0.0, 0.0, 30.0, 31.0, 32.0, 50.0])  # 31 is right about three of them
    assert chance_of_a_guess(released, np.array([30.0, 31.0, 32.0, 32.5]), years, 0.1) == pytest.approx(0.75)


# --- known answers


def test_a_release_of_the_originals_has_every_risk():
    _, members, holdout = sides(10)
    for name, risk in measured(members, members, holdout).items():
        assert risk.risk.value > 0.9, name
        assert risk.p_value < 0.05, name
        assert risk.works, name
    far = np.random.default_rng(0).normal(size=members.inputs.shape) * [2, 0, 0, 0, 50, 0.02]
    near = measured(dataclasses.replace(members, inputs=members.inputs + far), members, holdout)
    assert near["linkability"].risk.low > 0
    other = measured(holdout, members, holdout)["linkability"]
    assert other.attack.high < other.control.low
    assert other.p_value > 0.99


def test_a_release_that_knows_nobody_has_risks_whose_intervals_cover_zero():
    covered, alarms, n = {}, {}, 40
    for seed in range(n):
        for name, risk in measured(*sides(100 + seed, 80), seed=seed).items():
            covered[name] = covered.get(name, 0) + (risk.risk.value is None or risk.risk.low <= 0 <= risk.risk.high)
            alarms[name] = alarms.get(name, 0) + (risk.p_value <= 0.05)
    assert len(covered) == 8
    assert min(covered.values()) >= binom.ppf(0.001, n, 0.95)
    assert max(alarms.values()) <= binom.ppf(0.999, n, 0.05)


def test_a_share_of_copies_is_the_risk_of_inference():
    """Of a third of the members a copy is released: their secret is known, of the others no more than of anybody."""
    release, members, holdout = sides(11, 600)
    release = members.subset(range(200)).concat(release.subset(range(400)))
    attacker = Attacker(n_targets=600, secrets=["size"])
    risk = measured(release, members, holdout, attacker)["inference of size"].risk
    assert risk.low < 1 / 3 < risk.high
    assert risk.low > 0.2


def test_the_same_seed_gives_the_same_risks():
    pools = sides(12)
    assert measured(*pools, seed=3) == measured(*pools, seed=3)


# --- set-ups that say nothing


def test_a_release_whose_few_records_are_everybody_s_neighbours_links_nobody():
    _release, members, holdout = sides(13)
    centre = np.repeat(np.median(members.inputs, axis=0)[None], 60, axis=0)
    far = np.where(np.arange(60)[:, None] < 1, 0, [60, 0, 0, 0, 9000, 1])
    hub = Pool(centre + far, np.arange(60) % 2, columns=COLUMNS, classes=("low", "high"))
    risk = measured(hub, members, holdout)["linkability"]
    assert risk.attack.value > 0.7  # by an attack that links everybody with everybody
    assert not risk.works
    assert "says nothing" in risk.remark


def test_an_attack_no_better_than_guessing_says_so():
    release, members, holdout = sides(14)
    scrambled = release.inputs.copy()
    for columns in ([0], [1, 2, 3], [4], [5]):
        scrambled[:, columns] = scrambled[np.random.default_rng(columns[0]).permutation(len(release))][:, columns]
    found = measured(dataclasses.replace(release, inputs=scrambled), members, holdout)
    assert "did not work" in found["linkability"].remark
    assert "did not work" in found["inference of size"].remark


def test_an_attack_that_the_commonest_value_beats_does_not_work():
    """A secret that most people share: the nearest record is right more often than a random one, and less than it."""

    def with_secret(rng):
        place, other = rng.integers(0, 4, 1500), rng.integers(0, 6, 1500)
        secret = rng.random(1500) < np.array([0.99, 0.97, 0.9, 0.6])[place]
        return Pool(np.column_stack([np.eye(4)[place], np.eye(6)[other], secret]).astype(float), columns=columns)

    columns = tuple([("place", str(at)) for at in range(4)] + [("other", str(at)) for at in range(6)])
    columns += (("secret", None),)
    rng = np.random.default_rng(0)
    release, members, holdout = (with_secret(rng) for _ in range(3))
    attacker = Attacker(n_targets=1500, secrets=["secret"])
    risk = measured(release, members, holdout, attacker)["inference of secret"]
    share = members.inputs[:, -1].mean()
    assert risk.guessing == pytest.approx(share)
    assert share**2 + (1 - share) ** 2 < risk.attack.low < share
    assert not risk.works
    assert "did not work" in risk.remark


def test_what_counts_as_shown_is_at_the_level_of_the_intervals():
    _, members, holdout = sides(10)
    risk = measured(members, members, holdout)["inference of size"]
    faint = risk.model_copy(update={"p_value_holm": 0.07})
    for confidence, shown in ((0.9, True), (0.95, False), (0.99, False)):
        one = faint.model_copy(update={"confidence": confidence})
        assert one.is_significant == shown
        assert (one.remark == "members are attacked better than others") == shown
    found = audit_released(members, members, holdout, confidence=0.9, rng=0)
    assert {one.confidence for one in found.risks.values()} == {0.9}
    weak = faint.model_copy(update={"name": "linkability", "guessing": 1.0})
    for confidence, shown in ((0.9, False), (0.95, True)):
        alone = {"linkability": weak.model_copy(update={"confidence": confidence})}
        table = _settings(found.model_copy(update={"risks": alone}))
        assert any("did not work" in cell.text for row in table.rows for cell in row) == shown


def test_constant_columns_are_left_out_and_constant_releases_measure_nothing():
    rng = np.random.default_rng(15)
    release, members, holdout = (people(60, rng, towns=1) for _ in range(3))
    seen = Typed.of(release, members, holdout)
    assert seen.constant == ("town",)
    with pytest.raises(InputError, match="all records agree in the column 'town'"):
        wp29_risks(seen, Attacker(secrets=["town"]), rng=0)
    one = dataclasses.replace(release, inputs=release.inputs[[0] * 60], labels=release.labels[[0] * 60])
    risks, left_out = wp29_risks(Typed.of(one, members, holdout), SMALL, rng=0)
    assert set(left_out) == {"singling-out, one column", "singling-out, 3 columns", "linkability"}
    assert not any(risk.works and risk.p_value > 0.05 and risk.risk.value > 0.5 for risk in risks.values())
    flat = Pool(np.ones((30, 1)))
    assert list(wp29_risks(Typed.of(flat, flat, flat), SMALL, rng=0)[1]) == ["all three risks"]


def test_a_control_group_that_was_in_the_training_data_is_refused():
    release, members, holdout = sides(16)
    with pytest.raises(InputError, match=r"120 of the 120 hold-out records are members.*NOT made from"):
        audit_released(release, members, members, rng=0)
    with pytest.raises(InputError, match="40 of the 120 hold-out records are members"):
        audit_released(release, members, holdout.subset(range(80)).concat(members.subset(range(40))), rng=0)
    for coarse in (members, Pool(np.random.default_rng(9).integers(0, 2, (120, 3)).astype(float))):
        with pytest.raises(InputError, match="120 of the 120 hold-out records are members"):
            audit_released(dataclasses.replace(coarse), coarse, coarse.subset(np.arange(120)[::-1]), rng=0)
    few = holdout.subset(range(115)).concat(members.subset(range(5)))
    assert "5 of 120 hold-out records are some member" in audit_released(release, members, few, rng=0).remarks[0]
    coarse = [Pool(np.random.default_rng(seed).integers(0, 2, (60, 4)).astype(float)) for seed in range(3)]
    found = audit_released(*coarse, rng=0)  # twins by chance are as many among the members
    assert any("have a twin among the members" in remark for remark in found.remarks)


def test_lists_that_do_not_belong_together_are_noticed():
    release, members, holdout = sides(17)
    other = dataclasses.replace(release, columns=(("years", None), *COLUMNS[1:]))
    with pytest.raises(InputError, match=r"synthetic=: expected records with the columns age"):
        audit_released(other, members, holdout, rng=0)
    turned = dataclasses.replace(release, inputs=release.inputs[:, ::-1], columns=COLUMNS[::-1])
    first, second = (audit_released(one, members, holdout, rng=0) for one in (release, turned))
    assert first.risks == second.risks
    for factor in (0.001, 1000):
        with pytest.raises(InputError, match="same units"):
            audit_released(dataclasses.replace(release, inputs=release.inputs * factor), members, holdout, rng=0)
    standardised = (release.inputs - release.inputs.mean(axis=0)) / release.inputs.std(axis=0)
    with pytest.raises(InputError, match="same units"):
        audit_released(dataclasses.replace(release, inputs=standardised), members, holdout, rng=0)
    renamed = dataclasses.replace(release, classes=("high", "low"))
    with pytest.raises(InputError, match="classes of the same names"):
        audit_released(renamed, members, holdout, rng=0)
    with pytest.raises(InputError, match="at least 20 records"):
        audit_released(release, members, holdout.subset(range(19)), rng=0)
    swapped = audit_released(holdout, members, holdout, rng=0)
    assert swapped.remarks[0].startswith("The hold-out is closer to the release")
    old = holdout.subset(holdout.inputs[:, 0] > 55)
    assert "differ without any release, most in 'age'" in " ".join(audit_released(release, members, old, rng=0).remarks)
    assert not audit_released(release, members, holdout, rng=0).remarks


def test_images_in_other_units_are_noticed_and_have_only_the_risks_that_mean_something():
    digits = seepage.load("digits", flat=False).subset(range(180))
    release, members, holdout = (digits.subset(range(start, start + 60)) for start in (0, 60, 120))
    with pytest.raises(InputError, match="same units"):
        audit_released(Pool(release.batch() * 255, release.labels, n_classes=10), members, holdout, rng=0)
    found = audit_released(members, members, holdout, rng=0)
    assert set(found.risks) == {"linkability", "inference of label"}
    assert found.risks["linkability"].risk.value > 0.9
    assert found.risks["linkability"].known == "left half | right half"
    assert "pixels" in found.left_out["singling-out"]
    bare = [Pool(one.inputs, scale=one.scale) for one in (release, members, holdout)]
    assert "no label" in audit_released(*bare, rng=0).left_out["inference"]


@pytest.mark.parametrize(("options", "says"), [
    ({"n_targets": 0}, "n_targets must be"), ({"neighbours": 1.5}, "neighbours must be"), 
    ({"tolerance": -1}, "tolerance"),
    ({"secrets": "age"}, "secrets must be a list"), ({"linked": (["age"], [])}, "must be a list with something in it"),
    ({"linked": (["age"], ["age", "pay"])}, "no column on both sides"),
])  # fmt: skip
def test_an_attacker_that_cannot_be_is_refused(options, says):
    with pytest.raises(InputError, match=says):
        Attacker(**options)


def test_columns_that_are_not_there_are_refused():
    for options in ({"secrets": ["salary"]}, {"linked": (["age"], ["salary"])}):
        with pytest.raises(InputError, match="column 'salary'"):
            wp29_risks(typed(18), Attacker(**options), rng=0)
