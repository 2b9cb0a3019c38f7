"""Each gate fires on what it is for, stays silent on a sound audit, and says the way out."""

from dataclasses import replace

import numpy as np
import pytest

import seepage
from seepage.attacks import resolve_attacks
from seepage.data import Membership, Pool
from seepage.studies.audit import gates
from seepage.studies.audit.controls import Controls
from seepage.studies.audit.findings import score
from seepage.studies.audit.gates.blind import difference
from seepage.studies.audit.outputs import evidence_from_outputs
from seepage.studies.settings import Settings
from tests.studies.audit.worlds import outputs, target_alone


def evidence_of(arrays, *, records=None, origin="declared"):
    evidence = evidence_from_outputs(arrays, origin=origin, access=None)
    return evidence if records is None else replace(evidence, records=records)


def rows_of(evidence):
    return np.flatnonzero(evidence.membership.audit)


def scored(arrays, attacks=("loss",)):
    evidence = evidence_of(arrays)
    return score(evidence, resolve_attacks(attacks), rows_of(evidence), Settings(), np.random.default_rng(0))


def pool_with_copies(n_copies, n=200):
    """Records of which `n_copies` members are also non-members."""
    arrays = outputs(n=n, population=0)
    members = np.flatnonzero(arrays["membership"][:, 0])
    others = np.flatnonzero(~arrays["membership"][:, 0])
    inputs = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    inputs[others[:n_copies]] = inputs[members[:n_copies]]
    return evidence_of(arrays, records=Pool(inputs, arrays["labels"])), np.union1d(
        members[:n_copies], others[:n_copies]
    )


def test_records_on_both_sides_are_found_whatever_their_place():
    evidence, both = pool_with_copies(3)
    np.testing.assert_array_equal(np.flatnonzero(gates.copies(evidence)[0]), both)


def test_copies_on_one_side_are_no_overlap():
    evidence, _ = pool_with_copies(0)
    inputs = evidence.records.inputs.copy()
    members = np.flatnonzero(evidence.membership.target)
    inputs[members[1]] = inputs[members[0]]
    assert not gates.copies(replace(evidence, records=Pool(inputs, evidence.labels)))[0].any()


@pytest.mark.parametrize(("n_twins", "status"), [(0, "pass"), (10, "pass"), (11, "fail")])
def test_a_few_twins_are_left_out_and_many_are_no_accident(n_twins, status):
    evidence, _ = pool_with_copies(0)
    check = gates.overlap(evidence, n_twins)  # of 200 records: 5 % are 10
    assert check.gate.status == status
    assert check.guards == "both"
    assert str(n_twins) in check.gate.detail or n_twins == 0


def test_without_records_overlap_and_baseline_are_not_run():
    evidence = evidence_of(outputs())
    checks = gates.overlap(evidence, 0), gates.blind_baseline(evidence, rows_of(evidence), np.random.default_rng(0))
    assert [check.gate.status for check in checks] == ["not run", "not run"]


@pytest.mark.parametrize(("origin", "status"), [("declared", "pass"), ("unknown", "not run")])
def test_randomised_membership_passes_only_where_somebody_vouches_for_it(origin, status):
    check = gates.randomised(evidence_of(outputs(), origin=origin))
    assert check.gate.status == status
    assert not check.failed


def blind(shift, seed, n=120, labels=None):
    arrays = outputs(n=n, population=0, seed=seed)
    rng = np.random.default_rng([9, seed])
    inputs = rng.normal(size=(n, 4)) + shift * arrays["membership"][:, :1]
    records = Pool(inputs, arrays["labels"] if labels is None else labels(arrays))
    evidence = evidence_of(arrays, records=records)
    return gates.blind_baseline(replace(evidence, labels=records.labels), rows_of(evidence), rng)


def test_the_blind_baseline_fires_on_members_from_elsewhere():
    check = blind(shift=1.0, seed=0)
    assert check.failed
    assert check.guards == "both"
    assert "same source" in check.gate.way_out


def test_the_blind_baseline_sees_labels_that_give_the_sides_away():
    check = blind(shift=0.0, seed=0, labels=lambda arrays: arrays["membership"][:, 0].astype(int))
    assert check.failed


def test_the_blind_baseline_sees_a_difference_that_is_not_linear():
    arrays = outputs(n=300, population=0)
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(300, 1)) * np.where(arrays["membership"][:, :1], 3.0, 0.3)
    evidence = evidence_of(arrays, records=Pool(inputs, arrays["labels"]))
    assert gates.blind_baseline(evidence, rows_of(evidence), rng).failed


def test_the_blind_baseline_is_silent_on_random_splits():
    assert not any(blind(shift=0.0, seed=seed).failed for seed in range(6))


@pytest.mark.parametrize("members_first", [True, False])
def test_the_order_of_the_records_is_no_difference_between_the_sides(members_first):
    """Records that are all alike: every prediction ties, and lists put one side before the other."""
    n = 200
    side = np.arange(n) < n // 2
    arrays = target_alone(outputs(n=n, population=0))
    arrays |= {"membership": (side if members_first else ~side)[:, None], "labels": np.zeros(n, dtype=int)}
    evidence = evidence_of(arrays, records=Pool(np.zeros((n, 2)), arrays["labels"]))
    check = gates.blind_baseline(evidence, rows_of(evidence), np.random.default_rng(0))
    assert not check.failed
    assert "AUC 0.500" in check.gate.detail


@pytest.mark.slow
def test_over_many_random_splits_the_blind_baseline_keeps_its_rate():
    assert sum(blind(shift=0.0, seed=seed, n=80).failed for seed in range(200)) <= 3


def test_the_blind_baseline_needs_ten_records_a_side():
    arrays = target_alone(outputs(n=100, population=0)) | {"membership": (np.arange(100) < 9)[:, None]}
    evidence = evidence_of(arrays, records=Pool(np.random.default_rng(0).normal(size=(100, 2)), arrays["labels"]))
    assert gates.blind_baseline(evidence, rows_of(evidence), np.random.default_rng(0)).gate.status == "not run"


@pytest.mark.parametrize(("n_members", "status"), [(49, "fail"), (50, "pass")])
def test_fewer_than_fifty_records_a_side_cannot_carry_an_absence(n_members, status):
    for members in (np.arange(200) < n_members, np.arange(200) >= n_members):
        check = gates.sample_size(members[:, None], Settings())
        assert check.gate.status == status
        assert check.guards == "absence" or not check.failed


def test_sample_size_names_the_rates_that_are_undefined_or_thin():
    detail = gates.sample_size((np.arange(400) < 200)[:, None], Settings()).gate.detail
    assert "200 members, 200 non-members" in detail
    assert "undefined at FPR 0.001" in detail
    assert "fewer than 10 false positives allowed at FPR 0.01" in detail
    assert "0.1," not in detail


def test_the_side_that_some_target_has_fewest_of_counts():
    members = np.column_stack([np.arange(200) < 100, np.arange(200) < 20])
    assert gates.sample_size(members, Settings()).failed


def with_reference_accuracy(target, references, n=300, seed=0):
    """Outputs of which the target has one accuracy and each reference another, on any record."""
    arrays = outputs(n=n, population=0, seed=seed)
    rng = np.random.default_rng([5, seed])
    right = rng.random(arrays["membership"].shape) < np.array([target] + [references] * 8)
    wrong = (arrays["labels"][:, None] + 1) % 3
    answered = np.where(right, arrays["labels"][:, None], wrong)
    return evidence_of(arrays | {"logits": 4.0 * np.eye(3, dtype=np.float32)[answered]})


def test_references_worse_than_the_target_are_another_kind_of_model():
    evidence = with_reference_accuracy(0.95, 0.6)
    check = gates.reference_accuracy(evidence, rows_of(evidence))
    assert check.failed
    assert check.guards == "absence"
    assert "recipe" in check.gate.way_out


def test_references_as_good_as_the_target_pass_and_far_better_ones_show_that_something_is_wrong_with_it():
    alike, broken = (with_reference_accuracy(target, 0.9) for target in (0.9, 0.1))
    assert gates.reference_accuracy(alike, rows_of(alike)).gate.status == "pass"
    check = gates.reference_accuracy(broken, rows_of(broken))
    assert check.failed
    assert check.guards == "absence"
    assert "weights were loaded" in check.gate.way_out


def test_references_as_good_as_the_target_seldom_fail_by_chance_in_small_audits():
    checks = []
    for seed in range(100):
        evidence = with_reference_accuracy(0.7, 0.7, n=60, seed=seed)
        checks.append(gates.reference_accuracy(evidence, rows_of(evidence)).failed)
    assert sum(checks) <= 4


def test_accuracy_is_compared_on_records_that_neither_was_trained_on():
    """Members answered perfectly must not hide that the target is the better model."""
    for target, columns, fails in ((0.9, "references", True), (0.6, "targets", False)):
        evidence = with_reference_accuracy(target, 0.6)
        logits = evidence.logits.copy()
        right = 4.0 * np.eye(3, dtype=np.float32)[evidence.labels]
        for model, column in enumerate(getattr(evidence.membership, columns).T, start=columns == "references"):
            logits[column, model, 0] = right[column]
        assert gates.reference_accuracy(replace(evidence, logits=logits), rows_of(evidence)).failed == fails


def test_references_trained_on_everything_cannot_be_compared():
    arrays = outputs(n=100, population=0)
    arrays["membership"][:, 1:] = True
    evidence = evidence_of(arrays)
    assert gates.reference_accuracy(evidence, rows_of(evidence)).gate.status == "not run"


def test_reference_counts_that_give_the_answer_away_make_an_audit_invalid():
    arrays = outputs(n=200, population=0, references=4)
    target = arrays["membership"][:, 0]
    arrays["membership"][:, 1:] = np.where(target[:, None], np.arange(4) < 1, np.arange(4) < 3)
    result = seepage.audit_outputs(arrays, attacker=seepage.Attacker(attacks=["loss"]))
    assert result.verdict == "INVALID"
    assert any("references balanced" in reason for reason in result.reasons)


@pytest.mark.parametrize("together", [False, True])
def test_balanced_references_pass(together):
    evidence = evidence_of(outputs(n=200, references=7, together=together))
    assert not gates.reference_balance(evidence, rows_of(evidence), np.random.default_rng(0)).failed


def judged(arrays, attacks):
    evidence = evidence_of(arrays)
    return gates.degenerate(scored(arrays, attacks), evidence)


def test_constant_answers_fail_and_one_constant_attack_does_not():
    arrays = target_alone(outputs(n=100, population=0))
    constant = arrays | {"logits": np.ones_like(arrays["logits"])}
    assert judged(constant | {"labels": np.zeros(100, dtype=int)}, ["loss", "correctness"]).failed
    always_right = arrays | {"logits": arrays["logits"] + 50 * np.eye(3, dtype=np.float32)[arrays["labels"]][:, None]}
    check = judged(always_right, ["loss", "correctness"])
    assert check.gate.status == "pass"
    assert "correctness" in check.gate.detail


def test_a_constant_answer_fails_even_where_labels_make_the_scores_differ():
    arrays = target_alone(outputs(n=100, population=0))
    assert judged(arrays | {"logits": np.ones_like(arrays["logits"]) * [0.0, 1.0, 2.0]}, ["loss"]).failed


def test_scores_that_are_all_alike_fail_however_the_answers_differ():
    arrays = target_alone(outputs(n=100, population=0))
    always_right = arrays | {"logits": arrays["logits"] + 50 * np.eye(3, dtype=np.float32)[arrays["labels"]][:, None]}
    assert judged(always_right, ["correctness"]).failed


def test_a_null_model_that_raises_an_alarm_makes_the_audit_invalid():
    quiet, loud = scored(outputs()), scored(outputs(leak=3.0))
    assert gates.null_model(Controls(quiet, None)).gate.status == "pass"
    check = gates.null_model(Controls(loud, None))
    assert check.failed
    assert check.guards == "both"


@pytest.mark.parametrize(("p_value", "status"), [(2e-3, "pass"), (5e-4, "fail")])
def test_a_gate_throws_a_sound_audit_away_once_in_a_thousand_times(p_value, status):
    control = replace(scored(outputs()), p_values_holm={"loss": p_value})
    assert gates.null_model(Controls(control, None)).gate.status == status


def test_an_overfitted_model_that_is_not_found_shows_that_there_is_no_power():
    quiet, loud = scored(outputs()), scored(outputs(leak=3.0))
    assert gates.positive_control(Controls(None, loud), Settings()).gate.status == "pass"
    check = gates.positive_control(Controls(None, quiet), Settings())
    assert check.failed
    assert check.guards == "absence"


def test_controls_that_were_not_made_say_why():
    controls = Controls(None, None, "no population", "no recipe")
    for check, why in (
        (gates.null_model(controls), "population"),
        (gates.positive_control(controls, Settings()), "recipe"),
    ):
        assert check.gate.status == "not run"
        assert why in check.gate.detail


def test_a_population_record_that_is_a_member_s_twin_is_found():
    arrays = outputs(n=100, population=20)
    inputs = np.random.default_rng(0).normal(size=(120, 2))
    member = int(np.flatnonzero(arrays["membership"][:, 0])[0])
    inputs[110] = inputs[member]
    evidence = evidence_of(arrays, records=Pool(inputs, arrays["labels"]))
    assert np.flatnonzero(gates.copies(evidence)[0]).tolist() == [member]


def test_twins_are_looked_for_under_every_target():
    inputs = np.random.default_rng(0).normal(size=(40, 2))
    inputs[1] = inputs[0]
    targets = np.zeros((40, 2), dtype=bool)
    targets[::2] = True
    targets[:2] = [[True, True], [True, False]]
    arrays = outputs(n=40, population=0, references=1)
    membership = Membership(references=np.zeros((40, 0), bool), targets=targets, audit=np.ones(40, bool))
    evidence = evidence_of(arrays, records=Pool(inputs, arrays["labels"]))
    assert np.flatnonzero(gates.copies(replace(evidence, membership=membership))[0]).tolist() == [0, 1]


@pytest.mark.parametrize("far", [None, 1e7, 1e10, 1e37, 1e300, 1.7e308])
def test_one_far_value_does_not_hide_a_difference_from_the_blind_baseline(far):
    """Most members have one column in two narrow bands; in float32, as trees see it, a far value flattens the rest."""
    rng = np.random.default_rng(0)
    member = rng.random(1000) < 0.5
    x = rng.normal(size=(1000, 5))
    bands = rng.choice([-1, 1], 1000) + 0.05 * rng.normal(size=1000)
    x[:, 0] = np.where(member & (rng.random(1000) < 0.8), bands, x[:, 0])
    if far is not None:
        x[:100, 0] = far  # a code for missing values, on both sides
    found = difference(x, rng.integers(0, 2, 1000), member, rng)
    assert found.p_value < 1e-6
