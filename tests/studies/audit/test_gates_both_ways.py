"""The gates that look at records and answers: what each notices, what it lets pass, and the law that it judges by."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import log_softmax
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression

import seepage
import seepage.metrics
from seepage.attacks import resolve_attacks
from seepage.data import Pool
from seepage.studies.audit import gates
from seepage.studies.audit.findings import score
from seepage.studies.audit.gates.answers import _association, _renumbered
from seepage.studies.audit.gates.blind import difference
from seepage.studies.audit.gates.neighbours import count_neighbours
from seepage.studies.audit.outputs import evidence_from_outputs
from seepage.studies.settings import Settings
from tests.data.test_traits import images
from tests.flat import audit
from tests.studies.audit.worlds import outputs


def rng(seed=0):
    return np.random.default_rng(seed)


def half_and_half(n):
    return np.arange(n) < n // 2


def evidence_of(inputs, members, labels=None, seed=0):
    """Answers with skill for records of one's own."""
    n = len(inputs)
    labels = rng(seed).integers(0, 3, n) if labels is None else labels
    logits = rng(seed + 1).normal(size=(n, 1, 3)) + 2 * np.eye(3)[labels][:, None]
    arrays = {"logits": logits, "labels": labels, "membership": members[:, None]}
    evidence = evidence_from_outputs(arrays, origin="declared", access=None)
    return replace(evidence, records=Pool(inputs, labels, n_classes=3))


# The blind baseline


@pytest.mark.parametrize("sign", [1, -1], ids=["noisy non-members", "noisy members"])
def test_noise_on_one_side_is_noticed_and_named(sign):
    pictures, members = images(n=200, size=12), half_and_half(200)[::sign]
    pictures[~members] += rng().normal(0, 0.03, pictures[~members].shape)
    check = gates.blind_baseline(evidence_of(pictures, members), np.arange(200), rng())
    assert check.failed
    assert check.guards == "both"
    assert "'" in check.gate.detail  # a trait by its name
    assert "same code" in check.gate.way_out


def test_rounding_of_one_column_of_a_table_is_named():
    table = np.round(rng().lognormal(3, 0.5, (300, 4)), 2)
    members = half_and_half(300)
    table[~members, 2] = np.round(table[~members, 2])
    found = difference(table.astype(np.float32), np.zeros(300, int), members, rng())
    assert found.by == "'digits after the point in value 2'"
    assert found.p_value < 1e-20


def test_pairs_split_over_the_sides_show_as_an_area_below_one_half():
    table = np.repeat(rng().normal(size=(300, 3)), 2, axis=0)
    members = np.arange(600) % 2 == 0
    found = difference(table.astype(np.float32), np.zeros(600, int), members, rng())
    assert found.p_value < 1e-3
    assert found.auc < 0.5


@pytest.mark.parametrize("side", [True, False], ids=["members", "non-members"])
def test_labels_shuffled_on_one_side_alone_are_noticed(side):
    """Records alike, labels alike, but on one side they do not belong together."""
    table, members = rng().normal(size=(800, 5)), half_and_half(800)
    labels = (table[:, 0] + 0.5 * rng(1).normal(size=800) > 0).astype(int)
    labels[members == side] = rng(2).permutation(labels[members == side])
    found = difference(table.astype(np.float32), labels, members, rng())
    assert found.by == "how well the labels fit the records"
    assert found.p_value < 1e-4


def test_texts_of_another_length_are_noticed():
    words = np.array([f"word{i}" for i in range(50)])
    texts = [" ".join(words[rng(i).integers(0, 50, 20 if i < 100 else 30)]) for i in range(200)]
    found = difference(texts, np.zeros(200, int), half_and_half(200), rng())
    assert found.p_value < 1e-10
    assert found.by in ("'words'", "'characters'")


def test_the_p_value_of_the_blind_baseline_is_valid():
    """Far from every level, not only at .001: the tests are exact, the correction can only make them rarer."""
    found = [difference(rng(s).normal(size=(80, 4)).astype(np.float32), rng(s).integers(0, 2, 80),
                        rng(s + 500).permutation(half_and_half(80)), rng(s)).p_value for s in range(120)]  # fmt: skip
    for level in (0.01, 0.05, 0.2):
        assert sum(p <= level for p in found) <= binom.isf(1e-5, 120, level)


def test_records_that_do_not_fit_the_memory_are_fewer(monkeypatch):
    monkeypatch.setattr("seepage.studies.audit.gates.blind.MOST_BYTES", 1)
    evidence = evidence_of(rng().normal(size=(1200, 3)), half_and_half(1200))
    assert "n = 500" in gates.blind_baseline(evidence, np.arange(1200), rng()).gate.detail


# Near-copies


def naive_count(points, members):
    n, split = len(points), 0
    for i in range(n):
        distances = [np.inf if j == i else ((points[i] - points[j]) ** 2).sum() for j in range(n)]
        split += members[i] != members[int(np.argmin(distances))]
    return split


def test_neighbours_across_the_sides_against_a_loop():
    points, members = rng().normal(size=(40, 3)).astype(np.float32), rng(1).random(40) < 0.4
    assert count_neighbours(points, points, members, rng()).split == naive_count(points, members)


@pytest.mark.parametrize("share", [0.5, 0.15])
def test_the_mean_and_variance_of_the_count_are_those_of_shuffled_members(share):
    points, members = rng().normal(size=(80, 2)).astype(np.float32), rng(1).random(80) < share
    drawn, expected, tails = [], set(), []
    for seed in range(1500):
        found = count_neighbours(points, points, rng(seed).permutation(members), rng(seed))
        drawn.append(found.split)
        expected.add(found.expected)
        tails.append(found.p_many)
    assert len(expected) == 1
    assert np.mean(drawn) == pytest.approx(expected.pop(), abs=4 * np.std(drawn) / np.sqrt(1500))
    assert np.mean(np.array(tails) < 0.05) <= binom.isf(1e-5, 1500, 0.05) / 1500


def test_near_copies_share_no_record():
    """Closer than half the distance to the next: by the triangle inequality such pairs are disjoint."""
    for seed in range(20):
        points = np.repeat(rng(seed).normal(size=(60, 2)), rng(seed).integers(1, 4, 60), axis=0)
        points = (points + rng(seed).normal(0, 0.05, points.shape)).astype(np.float32)
        distances = np.sqrt(((points[:, None] - points) ** 2).sum(axis=-1))
        np.fill_diagonal(distances, np.inf)
        first, second = np.sort(distances, axis=1)[:, :2].T
        pairs = {tuple(sorted((i, int(distances[i].argmin())))) for i in np.flatnonzero(first < 0.5 * second)}
        assert len({record for pair in pairs for record in pair}) == 2 * len(pairs)
        assert count_neighbours(points, points, half_and_half(len(points)), rng()).pairs == len(pairs)


def test_copies_of_members_among_the_non_members_hide_a_leak():
    inputs, members = rng().normal(size=(400, 5)), half_and_half(400)
    inputs[200:240] = inputs[:40] + rng(1).normal(0, 0.01, (40, 5))
    check = gates.near_copies(evidence_of(inputs, members), np.arange(400), rng())
    assert (check.failed, check.guards) == (True, "absence")
    assert "copies of members" in check.gate.way_out


def test_mirrored_pictures_are_copies():
    pictures = images(n=120, size=12)
    both = np.concatenate([pictures, pictures[..., ::-1]])
    check = gates.near_copies(evidence_of(both, half_and_half(240)), np.arange(240), rng())
    assert (check.failed, check.guards) == (True, "absence")


def test_records_that_belong_together_on_one_side_feign_a_leak():
    people = np.repeat(rng().normal(size=(40, 4)), 10, axis=0)
    inputs = people + rng(1).normal(0, 0.1, people.shape)
    check = gates.near_copies(evidence_of(inputs, half_and_half(400)), np.arange(400), rng())
    assert (check.failed, check.guards) == (True, "both")
    assert "one person" in check.gate.way_out


def test_records_that_belong_together_and_were_drawn_one_by_one_pass():
    people = np.repeat(rng().normal(size=(40, 4)), 10, axis=0)
    inputs = people + rng(1).normal(0, 0.1, people.shape)
    members = rng(2).permutation(half_and_half(400))
    assert not gates.near_copies(evidence_of(inputs, members), np.arange(400), rng()).failed


def test_hubs_are_judged_by_shuffled_members_where_the_normal_law_fails():
    """Two central records are everybody's neighbour. If both are among the few members, nearly every edge is split:
    that has chance (20 / 220)^2, whatever a normal law says of so many edges."""
    points = rng().normal(size=(220, 60)).astype(np.float32)
    points[:2] *= 0.1
    members = np.arange(220) < 20
    found = count_neighbours(points, points, members, rng())
    distances = ((points[:, None] - points) ** 2).sum(axis=-1)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(axis=1)
    shuffled = rng(1).permuted(np.tile(members, (30_000, 1)), axis=1)
    as_many = (shuffled != shuffled[:, nearest]).sum(axis=1) >= found.split
    assert found.split > 190
    assert found.p_many == pytest.approx(4 * as_many.mean(), rel=0.2)
    assert found.p_many > 1e-2


def test_the_order_of_equal_records_is_no_neighbourhood():
    inputs = rng().integers(0, 2, (300, 4)).astype(float)  # sixteen different records, sides one after the other
    assert not gates.near_copies(evidence_of(inputs, half_and_half(300)), np.arange(300), rng()).failed


# Repeats


def test_repeats_on_one_side_count_once():
    inputs, members = rng().normal(size=(100, 3)), half_and_half(100)
    labels = rng().integers(0, 3, 100)
    inputs[1], inputs[2] = inputs[0], inputs[0]  # three copies among the members, one of another label
    labels[:3] = [0, 0, 1]
    inputs[99] = inputs[98]  # of other labels: two records
    labels[98:] = [0, 1]
    twins, repeats = gates.copies(evidence_of(inputs, members, labels))
    assert not twins.any()
    assert np.flatnonzero(repeats).tolist() == [1]
    inputs[60] = inputs[10]  # one record on both sides: then chance split them, and all copies go
    twins, repeats = gates.copies(evidence_of(inputs, members, labels))
    assert np.flatnonzero(twins).tolist() == [10, 60]
    assert np.flatnonzero(repeats).tolist() == [0, 1, 2, 98, 99]


def test_leaving_copies_out_keeps_membership_random():
    """At ten to one, pairs that happen to be on one side are on the larger one; to keep these would tell."""
    alarms = 0
    for seed in range(60):
        draw = rng(seed)
        inputs = np.concatenate([np.repeat(0.3 * draw.normal(size=(60, 3)), 2, axis=0), draw.normal(size=(480, 3))])
        evidence = evidence_of(inputs, draw.random(600) < 10 / 11, seed=seed)
        twins, repeats = gates.copies(evidence)
        rows = np.flatnonzero(~twins & ~repeats)
        score_of_strangers = -np.linalg.norm(inputs, axis=1)
        alarms += seepage.metrics.leak_p_value(score_of_strangers[rows], evidence.membership.target[rows]) <= 0.05
    assert alarms <= binom.isf(1e-5, 60, 0.05)


def test_members_that_were_repeated_for_training_are_audited_once_each():
    digits = seepage.load("digits").subset(rng().permutation(1797)[:400])  # in file order the writers differ
    twice = np.r_[np.arange(200), np.arange(200)]
    result = audit(
        lambda x: x[:, :10], members=(digits.batch(twice), digits.labels[twice]),
        nonmembers=(digits.batch(np.arange(200, 400)), digits.labels[200:]),
        model_outputs="logits", attacks=["loss"], origin="declared",
    )  # fmt: skip
    assert result.attacks[0].n_members == 200
    overlap = next(gate for gate in result.gates if gate.name == "overlap")
    assert "200 copies" in overlap.detail
    assert next(gate for gate in result.gates if gate.name == "blind baseline").status == "pass"


# Answers and labels


def answers(n=600, n_classes=4, skill=1.0, seed=0):
    labels = rng(seed).integers(0, n_classes, n)
    logits = rng(seed + 1).normal(size=(n, n_classes)) + skill * np.eye(n_classes)[labels]
    return log_softmax(logits, axis=1), labels


def test_the_association_of_two_classes_is_judged_as_shuffled_labels_are():
    given, labels = answers(n=120, n_classes=2, skill=0.3)
    p = np.exp(given)

    def found(y):
        return p[np.arange(120), y].sum()

    shuffled = [found(rng(s).permutation(labels)) for s in range(4000)]
    assert _association(given, labels, rng()) == pytest.approx(np.mean(np.array(shuffled) >= found(labels)), abs=0.02)


def test_answers_that_cluster_by_class_but_know_no_numbering_have_no_skill():
    """What untrained weights do: of every class they answer another one, whichever it is."""
    alarms = 0
    for seed in range(40):
        labels = rng(seed).integers(0, 8, 400)
        mapped = rng(seed + 100).normal(size=(8, 8))
        given = log_softmax(mapped[labels] + 0.3 * rng(seed).normal(size=(400, 8)), axis=1)
        alarms += _association(given, labels, rng()) >= 0.01
    assert alarms >= 36


def test_a_renumbering_is_found_and_the_classes_are_named():
    given, labels = answers(skill=3.0)
    before, after, p_value, example = _renumbered(given[:, [1, 2, 3, 0]], labels)
    assert after > 0.8 > 0.3 > before
    assert p_value < 1e-10
    assert "is label" in example


def test_more_outputs_than_labels_can_be_shifted_too():
    given, labels = answers(skill=3.0)
    wide = np.hstack([np.full((len(labels), 1), -20.0), given])  # a background class before the others
    assert _renumbered(wide, labels)[1] > 0.8
    assert _renumbered(wide, labels + 1) is None


def test_weighted_classes_are_no_other_numbering():
    """Weak features, 95 : 5, weight on the rare class: most records are answered wrongly, and rightly so."""
    for seed in range(20):
        labels = (rng(seed).random(1500) < 0.05).astype(int)
        given = np.stack([np.zeros(1500), 0.3 + rng(seed + 50).normal(size=1500) + 0.5 * labels], axis=1)
        assert (given.argmax(axis=1) == labels).mean() < 0.5
        assert _renumbered(log_softmax(given, axis=1), labels) is None


def test_sound_answers_are_not_renumbered():
    for seed in range(60):
        given, labels = answers(n=80, n_classes=5, skill=0.7, seed=seed)
        assert _renumbered(given, labels) is None


def test_a_weak_model_passes_and_one_that_answers_by_chance_casts_doubt():
    for skill, status in ((0.7, "pass"), (0.0, "fail")):
        given, labels = answers(skill=skill)
        arrays = {"logits": given[:, None], "labels": labels, "membership": half_and_half(600)[:, None]}
        evidence = evidence_from_outputs(arrays, origin="declared", access=None)
        check = gates.knows_the_task(evidence, np.arange(600), rng())
        assert check.gate.status == status
        assert status == "pass" or check.guards == "doubt"


def test_a_few_members_among_many_others_are_looked_at():
    labels = rng().integers(0, 3, 9000)
    logits = rng(1).normal(size=(9000, 1, 3)) + 3 * np.eye(3)[labels][:, None]
    members = np.arange(9000) < 2
    arrays = {"logits": logits, "labels": labels, "membership": members[:, None]}
    for seed in range(5):
        assert audit(outputs=arrays, attacks=["loss"], rng=seed).verdict == "INCONCLUSIVE"


def test_a_rare_class_that_is_never_answered_is_no_lack_of_skill():
    labels = (rng().random(2000) < 0.05).astype(int)
    logits = np.stack([np.full(2000, 3.0), rng(1).normal(size=2000) + labels], axis=1)  # always the common class
    arrays = {"logits": logits[:, None], "labels": labels, "membership": half_and_half(2000)[:, None]}
    evidence = evidence_from_outputs(arrays, origin="declared", access=None)
    assert (logits.argmax(axis=1) == 0).mean() > 0.9
    assert gates.knows_the_task(evidence, np.arange(2000), rng()).gate.status == "pass"


def test_weighted_classes_and_overconfidence_are_no_fault():
    """Accuracy below the common class, or a log-loss above a guess: each happens to sound models."""
    labels = (rng().random(2000) < 0.1).astype(int)
    weighted = np.stack([np.zeros(2000), rng(1).normal(size=2000) + 1.5 * labels], axis=1)
    right = rng(2).random(2000) < 0.85
    overconfident = 60.0 * np.eye(2)[np.where(right, labels, 1 - labels)]
    for logits in (weighted, overconfident):
        arrays = {"logits": logits[:, None], "labels": labels, "membership": half_and_half(2000)[:, None]}
        evidence = evidence_from_outputs(arrays, origin="declared", access=None)
        assert gates.knows_the_task(evidence, np.arange(2000), rng()).gate.status == "pass"


# Direction


def direction_of(leak, attacks=("loss", "entropy"), **sizes):
    arrays = outputs(leak=leak, **sizes)
    evidence = evidence_from_outputs(arrays, origin="declared", access=None)
    rows = np.flatnonzero(evidence.membership.audit)
    return gates.direction(score(evidence, resolve_attacks(list(attacks)), rows, Settings(), rng()), evidence)


@pytest.mark.parametrize(("leak", "status"), [(2.0, "pass"), (0.0, "pass"), (-2.0, "fail")])
def test_only_a_reversed_ranking_fails(leak, status):
    check = direction_of(leak)
    assert check.gate.status == status
    assert status == "pass" or check.guards == "doubt"
    assert status == "pass" or "whoever knows the sign" in check.gate.detail


def test_the_target_s_own_loss_is_looked_at_whatever_the_attacks():
    assert direction_of(-2.0, attacks=("lira-offline-fixed-variance",)).failed


def test_rankings_of_nothing_are_seldom_reversed():
    failed = sum(direction_of(0.0, n=100, references=2, seed=seed).failed for seed in range(150))
    assert failed <= binom.isf(1e-5, 150, 1e-3)


def test_a_model_that_refuses_other_scales_in_its_own_way_is_audited_all_the_same():
    class Refusal(Exception):
        pass

    pool = seepage.load("digits")
    table = np.random.default_rng(0).normal(size=(64, 10)).astype(np.float32)

    def picky(x):
        if x.max() > 1.001 or x.min() < 0:
            raise Refusal("not a picture")
        return x @ table

    some = rng().permutation(1797)[:600]
    x, y = pool.batch(some), (pool.batch(some) @ table).argmax(axis=1)
    y[::3] = (y[::3] + 1) % 10  # so that it errs on its members and is asked again
    lists = {"members": (x[:300], y[:300]), "nonmembers": (x[300:], y[300:])}
    result = audit(picky, **lists, model_outputs="logits", attacks=["loss"], origin="declared")
    scale = next(gate for gate in result.gates if gate.name == "scale")
    assert scale.status == "pass"


def test_a_strongly_regularised_model_gains_from_stretched_inputs_and_is_sound():
    pool = seepage.load("digits")
    members = rng().permutation(half_and_half(1797))
    x, y = pool.batch(), pool.labels
    model = LogisticRegression(C=0.001, max_iter=300).fit(x[members], y[members])
    assert model.score(16 * x[members], y[members]) > model.score(x[members], y[members]) + 0.02
    lists = {"members": (x[members], y[members]), "nonmembers": (x[~members], y[~members])}
    result = audit(model, **lists, attacks=["loss"], origin="declared")
    assert result.verdict != "INVALID"
    assert all(gate.status != "fail" for gate in result.gates)


# References


def test_at_ten_to_one_the_target_s_accuracy_rests_on_its_few_non_members():
    failed = 0
    for seed in range(150):
        draw = rng(seed)
        members = draw.permutation(np.arange(550) < 500)
        references = draw.permuted(np.tile(np.arange(8) < 4, (550, 1)), axis=1)
        labels = draw.integers(0, 3, 550)
        right = draw.random((550, 9)) < 0.7
        logits = 4.0 * np.eye(3)[np.where(right, labels[:, None], (labels[:, None] + 1) % 3)]
        arrays = {"logits": logits, "labels": labels, "membership": np.column_stack([members, references])}
        evidence = evidence_from_outputs(arrays, origin="declared", access=None)
        failed += gates.reference_accuracy(evidence, np.arange(550)).failed
    assert failed <= binom.isf(1e-5, 150, 2e-3)


def test_references_of_alike_columns_and_alike_answers_are_not_taken_for_inverted():
    failed = 0
    for seed in range(150):
        draw = rng(seed)
        column = draw.random(300) < 0.5
        common = draw.normal(size=(300, 1, 3))
        labels = draw.integers(0, 3, 300)
        logits = common + 0.4 * draw.normal(size=(300, 17, 3)) + 1.5 * np.eye(3)[labels][:, None]
        membership = np.column_stack([draw.random(300) < 0.5, np.repeat(column[:, None], 16, axis=1)])
        arrays = {"logits": logits, "labels": labels, "membership": membership}
        evidence = evidence_from_outputs(arrays, origin="declared", access=None)
        failed += gates.own_columns(evidence, np.arange(300), rng()).failed
    assert failed <= binom.isf(1e-5, 150, 1e-3)


@pytest.mark.parametrize("references", [1, 2, 3])
def test_few_references_do_not_tell_how_much_trainings_vary(references):
    failed = 0
    for seed in range(60):
        draw = rng(seed)
        accuracy = 0.7 + 0.03 * draw.normal(size=references + 1)
        labels = draw.integers(0, 3, 4000)
        right = draw.random((4000, references + 1)) < accuracy
        logits = 4.0 * np.eye(3)[np.where(right, labels[:, None], (labels[:, None] + 1) % 3)]
        membership = draw.random((4000, references + 1)) < 0.5
        arrays = {"logits": logits, "labels": labels, "membership": membership}
        evidence = evidence_from_outputs(arrays, origin="declared", access=None)
        failed += gates.reference_accuracy(evidence, np.arange(4000)).failed
    assert failed <= binom.isf(1e-5, 60, 1e-3)


@pytest.mark.parametrize("together", [False, True])
def test_models_behind_their_own_columns_pass(together):
    for leak in (0.0, 3.0):
        evidence = evidence_from_outputs(outputs(leak=leak, together=together), origin="declared", access=None)
        assert not gates.own_columns(evidence, np.flatnonzero(evidence.membership.audit), rng()).failed


# One class


def check_of_one_class(predicted, labels):
    """The gate on members and non-members whose answers name the class `predicted`."""
    n, n_classes = len(predicted), 5
    logits = np.zeros((2 * n, 1, n_classes))
    logits[np.arange(2 * n), 0, np.tile(predicted, 2)] = 3.0
    arrays = {"logits": logits, "labels": np.tile(labels, 2), "membership": half_and_half(2 * n)[:, None]}
    evidence = evidence_from_outputs(arrays, origin="declared", access=None)
    return gates.knows_the_task(evidence, np.arange(2 * n), rng())


def test_a_placeholder_instead_of_labels_is_noticed():
    check = check_of_one_class(rng().integers(0, 5, 200), np.zeros(200, dtype=int))
    assert check.failed
    assert check.guards == "doubt"
    assert "all of one class" in check.gate.detail


@pytest.mark.parametrize(
    ("predicted", "what"),
    [
        (np.repeat([0, 1, 2, 3, 4], [160, 10, 10, 10, 10]), "a class that is found"),
        (np.repeat([0, 1, 2, 3, 4], [80, 40, 30, 30, 20]), "a hard class"),
        (np.repeat([0, 1], [20, 180]), "a rare class that the model hardly ever names"),
    ],
)
def test_an_audit_of_one_class_alone_passes(predicted, what):
    assert not check_of_one_class(predicted, np.zeros(200, dtype=int)).failed, what
