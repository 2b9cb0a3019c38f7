"""Audits of records that have no labels: what is found, what is refused, and what the result says."""

import dataclasses

import numpy as np
import pytest
import torch

import seepage
from seepage import Membership, Pool, TargetModel
from seepage.attacks import ATTACKS
from seepage.errors import InputError
from seepage.report.render import html, markdown
from seepage.schema.audit import AuditResult
from tests.flat import audit
from tests.studies.audit.test_audit import QUICK, Memory, coin, lists, records, target
from tests.studies.audit.worlds import outputs, probabilities, target_alone

SAYS = "The records have no labels: only attacks that need none were made"


def inputs_alone(pool, members):
    return {"members": pool.inputs[members], "nonmembers": pool.inputs[~members]}


def audited(sure=8.0, **options):
    return audit(target(sure), **inputs_alone(records(), coin()), origin="declared", **options)


def without_labels(arrays):
    return {name: array for name, array in arrays.items() if name != "labels"}


def gate(result, name):
    return next(gate for gate in result.gates if gate.name == name)


@pytest.fixture(scope="module")
def leaky():
    return audited()


def test_a_model_that_knows_its_records_by_heart_is_found_without_labels(leaky):
    assert leaky.verdict == "LEAK SHOWN"
    assert {attack.name for attack in leaky.attacks} == {"max-probability", "entropy"}
    assert leaky.attack("max-probability").auc.value > 0.9
    assert leaky.attack("max-probability").needs == []
    assert not [gate for gate in leaky.gates if gate.status == "fail"]


def test_labels_add_to_what_is_found():
    with_labels = audit(target(4.0), **lists(records(), coin()), origin="declared")
    assert audited(4.0).attacks[0].auc.value < with_labels.attacks[0].auc.value


def test_inputs_may_be_an_array_a_tensor_a_frame_a_list_or_a_pool(leaky):
    pandas = pytest.importorskip("pandas")
    pool, members = records(), coin()
    there, not_there = pool.inputs[members], pool.inputs[~members]
    for as_given in (torch.tensor, pandas.DataFrame, list, Pool):
        result = audit(target(8.0), members=as_given(there), nonmembers=as_given(not_there), origin="declared")
        assert result.verdict == "LEAK SHOWN"
        assert result.attacks[0].auc == leaky.attacks[0].auc
    membership = Membership.fixed(pool, members=members, origin="declared", rng=0)
    result = audit(target(8.0), Pool(pool.inputs), membership)
    assert not result.labelled
    assert result.attacks[0].auc.value == pytest.approx(leaky.attacks[0].auc.value)


def test_the_labels_that_are_not_there_play_no_part(leaky):
    # The same attacks on the same records with any labels score them alike.
    pool = records()
    for labels in (pool.labels, np.roll(pool.labels, 1)):
        some = Pool(pool.inputs, labels, n_classes=3)
        result = audit(target(8.0), **lists(some, coin()), origin="declared", attacks=["entropy", "max-probability"])
        for attack in leaky.attacks:
            assert result.attack(attack.name).auc == attack.auc


def test_where_nothing_is_found_nothing_is_said_to_be_well():
    result = audited(sure=0.0)
    assert result.verdict == "INCONCLUSIVE"
    assert all(attack.p_value_holm > 0.05 for attack in result.attacks)
    assert any("whether the model knows these records" in reason for reason in result.reasons)


@pytest.mark.parametrize("sure", [0.0, 8.0])
def test_headline_terminal_and_page_say_that_there_are_no_labels(sure):
    result = audited(sure)
    assert SAYS in result.headline
    for text in (" ".join(str(result).split()), markdown(result), html(result)):
        assert SAYS in text
        assert "unknown: the records have no labels" in text or text == " ".join(str(result).split())
    assert "Labels of the records" in html(result)
    assert "no classes to compare" in markdown(result)
    assert "membership inference with labels" in markdown(result)
    assert " class " not in str(result).split("Most exposed records")[1].split("Next")[0]


def test_what_nobody_knows_without_labels_is_unknown_and_not_zero(leaky, tmp_path):
    assert not leaky.labelled
    for accuracy in (leaky.target.accuracy_members, leaky.target.accuracy_nonmembers):
        assert (accuracy.value, accuracy.flag) == (None, "unknown: the records have no labels")
    assert leaky.target.calibration_error is None
    assert leaky.target.negative_log_likelihood is None
    assert leaky.classes == []
    assert {record.label for record in leaky.records} == {None}
    leaky.save(tmp_path / "result.json")
    read = AuditResult.load(tmp_path / "result.json")
    assert (read.labelled, read.target, read.attacks) == (False, leaky.target, leaky.attacks)


def test_a_result_of_before_there_was_this_mode_had_labels(leaky):
    older = leaky.model_dump(mode="json", by_alias=True)
    del older["labelled"]
    assert AuditResult.model_validate(older).labelled


def test_every_gate_is_checked_or_says_why_it_is_not(leaky):
    unchecked = {"answers and labels", "scale", "references like the target"}
    assert {gate.name for gate in leaky.gates if "the records have n" in gate.detail} == unchecked | {
        "null model",
        "positive control",
    }
    for name in unchecked:
        assert gate(leaky, name).status == "not run"
        assert gate(leaky, name).way_out == "audit the records with their labels"
    for name in ("overlap", "blind baseline", "near-copies", "own answers", "signals vary", "direction"):
        assert gate(leaky, name).status == "pass"


def test_groups_are_compared_without_accuracies():
    pool, members = records(), coin()
    groups = np.where(np.arange(len(pool)) % 2, "a", "b")
    parts = {
        name: Pool(pool.inputs[rows], groups=groups[rows])
        for name, rows in (("members", members), ("nonmembers", ~members))
    }
    result = audit(target(8.0), **parts)
    assert [part.name for part in result.groups] == ["a", "b"]
    assert {(part.accuracy_members, part.accuracy_nonmembers) for part in result.groups} == {(None, None)}
    assert "Groups" in markdown(result)


# misuse that shows without labels


def test_sides_that_are_swapped_are_not_believed():
    given = inputs_alone(records(), coin())
    result = audit(target(8.0), members=given["nonmembers"], nonmembers=given["members"], origin="declared")
    assert result.verdict == "INCONCLUSIVE"
    assert gate(result, "direction").status == "fail"
    assert "a ranking is surely reversed" in result.headline


def test_the_same_records_on_both_sides_are_refused():
    pool = records()
    with pytest.raises(InputError, match="on both sides"):
        audit(target(), members=pool.inputs[:50], nonmembers=pool.inputs[:50])


def test_sides_that_differ_without_any_model_are_not_believed():
    given = inputs_alone(records(), coin())
    given["nonmembers"] = given["nonmembers"] + 0.7
    result = audit(target(8.0), **given, origin="declared")
    assert result.verdict == "INVALID"
    assert gate(result, "blind baseline").status == "fail"


def test_a_module_whose_weights_were_never_loaded_is_noticed():
    pool, members = records(), coin()
    torch.manual_seed(0)
    result = audit(seepage.MLP((8,), 3), **inputs_alone(pool, members), origin="declared")
    assert result.verdict != "LEAK SHOWN"
    assert gate(result, "answers and labels").status == "fail"


def network(scale):
    """A linear model of three clusters, trained where values are `scale` times as large."""
    module = torch.nn.Linear(2, 3)
    with torch.no_grad():
        module.weight.copy_(4 * torch.tensor([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]]) / scale)
        module.bias.copy_(torch.tensor([0.0, 1.0, 0.0]))
    return module


def clusters(n=200, seed=0):
    rng = np.random.default_rng(seed)
    centres = np.array([[1.0, 0.0], [-1.0, 1.0], [-1.0, -1.0]])
    return (centres[rng.integers(0, 3, n)] + rng.normal(0, 0.4, (n, 2))).astype(np.float32)


@pytest.mark.parametrize("factor", [255.0, 1 / 255])
def test_inputs_on_another_scale_are_noticed_by_odd_answers(factor):
    sides = {"members": factor * clusters(seed=3), "nonmembers": factor * clusters(seed=4)}
    result = audit(network(scale=1.0), **sides)
    assert gate(result, "scale").status == "fail"
    assert "ordinary with values" in gate(result, "scale").detail
    assert result.verdict not in ("NO EVIDENCE", "LEAK SHOWN")
    right = audit(network(scale=factor), **sides)
    assert gate(right, "scale").status == "not run"
    assert "not checked: the records have no labels" in gate(right, "scale").detail


# what is refused

X, Y = records().inputs[:50], records().labels[:50]
Z = records(seed=2).inputs[:50]
REFUSED = {
    "one side labelled": ({"members": (X, Y), "nonmembers": Z}, "members have labels and nonmembers have none"),
    "the other side labelled": ({"members": X, "nonmembers": Pool(Z, Y)}, "nonmembers have labels and members have"),
    "a population without": (
        {"members": (X, Y), "nonmembers": (Z, Y), "population": records(seed=3).inputs},
        "population have none",
    ),
    "labels that are None": ({"members": (X, None), "nonmembers": (Z, None)}, "labels of members are None"),
    "some labels are missing": (
        {"members": (X, np.where(np.arange(50) < 5, np.nan, 1.0)), "nonmembers": (Z, Y)},
        "5 labels are missing",
    ),
    "all labels are missing": ({"members": (X, np.full(50, np.nan)), "nonmembers": (Z, Y)}, "50 labels are missing"),
    "a tuple of three": ({"members": (X, Y, Y), "nonmembers": (Z, Y)}, "must be a pair .* got tuple of 3"),
    "labels in place of inputs": ({"members": Y, "nonmembers": Y}, "members, taken as inputs without labels: expected"),
    "a name": ({"members": "members.npz", "nonmembers": Z}, "must be a pair .* got str"),
    "named arrays": ({"members": {"x": X}, "nonmembers": {"x": Z}}, "must be a pair .* got dict"),
    "a recipe": ({"members": X, "nonmembers": Z, "recipe": QUICK}, "a recipe trains models, which takes labels"),
    "an attack that needs labels": (
        {"members": X, "nonmembers": Z, "attacks": ["entropy", "loss"]},
        "the attack 'loss' needs labels, and the records have none",
    ),
    "predicted labels alone": ({"members": X, "nonmembers": Z, "access": "label"}, "predicted labels alone"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_audited_without_labels_is_refused(case):
    options, message = REFUSED[case]
    memory = Memory(records(), coin())
    with pytest.raises(InputError, match=message):
        audit(TargetModel.wrap(memory, outputs="logits", access=options.pop("access", None)), **options)
    assert memory.n_asked == 0


def test_a_pool_without_labels_trains_nothing():
    with pytest.raises(InputError, match="a recipe trains models, which takes labels"):
        audit(None, Pool(X), recipe=QUICK, references=2)


def test_a_model_that_answers_labels_alone_is_refused():
    model = TargetModel.wrap(lambda x: np.zeros(len(x), int), outputs="labels")
    with pytest.raises(InputError, match="predicted labels alone"):
        audit(model, members=X, nonmembers=Z)


# outputs


def test_a_planted_leak_in_outputs_is_found_without_labels():
    given = without_labels(target_alone(outputs(leak=4.0, skill=3.0, population=0)))
    for arrays in (given, probabilities(given)):
        result = audit(outputs=arrays, origin="declared")
        assert result.verdict == "LEAK SHOWN"
        assert not result.labelled
        assert SAYS in result.headline


def test_outputs_that_leak_nothing_are_at_chance_without_labels():
    result = audit(outputs=without_labels(target_alone(outputs(leak=0.0))), origin="declared")
    assert result.verdict == "INCONCLUSIVE"
    assert all(0.4 < attack.auc.value < 0.6 for attack in result.attacks)


def test_references_in_outputs_without_labels_are_made_use_of():
    result = audit(outputs=without_labels(outputs(leak=4.0, skill=3.0)), origin="declared")
    assert result.verdict == "LEAK SHOWN"
    assert {attack.name for attack in result.attacks} == {"entropy", "max-probability", "salem-top-3"}
    assert gate(result, "references like the target").status == "not run"
    assert gate(result, "models and columns").status == "pass"


def test_columns_of_references_in_another_order_are_noticed_without_labels():
    arrays = without_labels(outputs(leak=5.0, skill=3.0, n=800))
    arrays["membership"] = np.roll(arrays["membership"], 1, axis=1)
    result = audit(outputs=arrays, origin="declared")
    assert gate(result, "models and columns").status == "fail"


def test_labels_beyond_access_are_not_asked_of_outputs_without_labels():
    with pytest.raises(InputError, match="predicted labels alone"):
        audit(outputs=without_labels(target_alone(outputs())), access="label")
    with pytest.raises(InputError, match="'loss' needs labels"):
        audit(outputs=without_labels(target_alone(outputs())), attacks=["loss"])


def test_known_records_are_told_without_their_labels():
    result = audited(known=60, attacks=["max-probability"])
    assert result.attacks[0].n_members + result.attacks[0].n_nonmembers == 180


def test_an_attack_of_ones_own_that_forgets_to_say_that_it_needs_labels_fails_clearly():
    @dataclasses.dataclass(frozen=True)
    class Forgetful(type(ATTACKS["entropy"])):
        needs = frozenset()
        title = "Forgetful"
        source = "test"

        def _score(self, view, *, rng):
            return (view.labels == 0).astype(float)

    with pytest.raises(InputError, match='must say "labels" in its needs'):
        audited(attacks=[Forgetful("entropy")])


def test_known_records_help_learners_that_need_no_label():
    # The known are told, not their labels.
    sides = {"members": clusters(seed=3), "nonmembers": clusters(seed=4)}
    options = {"known": 60, "access": "weights", "attacks": ["fes-mia-tt-5-shot", "max-probability"]}
    bare = audit(network(1.0), **sides, **options)
    assert bare.attack("fes-mia-tt-5-shot").needs == ["known", "model", "records"]
    assert bare.attacks[0].n_members + bare.attacks[0].n_nonmembers == 340
    labels = np.arange(200) % 3
    labelled = audit(network(1.0), **{side: (x, labels) for side, x in sides.items()}, **options)
    for attack in bare.attacks:
        assert attack.auc == labelled.attack(attack.name).auc
