"""Audits of outputs that somebody else computed: the format, the files that come out, and what is refused."""

import json
import math

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

import seepage
from seepage.errors import DataFileError, InputError
from tests import flat
from tests.reference import log_mia as naive_log_mia
from tests.reference import roc as naive_roc
from tests.studies.audit.worlds import outputs, probabilities, target_alone


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    """One audit of leaking outputs: the result as JSON and the scores."""
    folder = tmp_path_factory.mktemp("leaky")
    np.savez(folder / "outputs.npz", **outputs(leak=1.5, n=150, population=50, seed=3))
    flat.audit(outputs=folder / "outputs.npz", out=folder / "out")
    with np.load(folder / "out" / "scores.npz") as arrays:
        return json.loads((folder / "out" / "result.json").read_text()), dict(arrays), folder / "out"


def audit(arrays, **options):
    return flat.audit(outputs=arrays, **{"attacks": ["loss"]} | options)


def test_the_folder_holds_result_report_and_scores_and_nothing_half_written(leaky):
    assert {path.name for path in leaky[2].iterdir()} == {
        "result.json",
        "report.html",
        "rows.npy",
        "scores.npz",
        "together.npz",
        "run",
    }


def test_result_has_the_published_keys(leaky):
    result, _, _ = leaky
    assert result["schema"] == "seepage.audit/2"
    assert result["verdict"] in ("LEAK SHOWN", "NO EVIDENCE", "INCONCLUSIVE", "INVALID")
    assert {gate["status"] for gate in result["gates"]} <= {"pass", "fail", "not run"}
    assert all(gate["way_out"] for gate in result["gates"] if gate["status"] != "pass")
    for attack in result["attacks"]:
        for name in ("auc", "balanced_accuracy"):
            assert attack[name]["low"] <= attack[name]["value"] <= attack[name]["high"]
        for name in ("tpr_at_fpr", "tnr_at_fnr"):
            assert set(attack[name]) == {"0.1", "0.01", "0.001", "0"}
            for estimate in attack[name].values():
                assert {"value", "low", "high", "n"} <= set(estimate)
        for regime in ("a", "b"):
            assert {"value", "low", "high", "n", "chance"} <= set(attack["log_mia"][regime])
        assert 0 < attack["p_value"] <= attack["p_value_holm"] <= 1
        assert attack["cost"]["seconds"] >= 0


def test_a_rate_below_one_record_is_null_and_says_why(leaky):
    result, scores, _ = leaky
    n_members = int(scores["membership"].sum())
    n_nonmembers = int((~scores["membership"]).sum())
    assert n_nonmembers < 100
    for attack in result["attacks"]:
        tpr, tnr = attack["tpr_at_fpr"]["0.001"], attack["tnr_at_fnr"]["0.001"]
        assert (tpr["value"], tpr["low"], tpr["high"], tpr["n"]) == (None, None, None, n_nonmembers)
        assert (tnr["value"], tnr["n"]) == (None, n_members)
        assert "undefined" in tpr["flag"]
        assert attack["tpr_at_fpr"]["0"]["value"] is not None


def test_every_attack_that_fits_ran_and_has_its_scores(leaky):
    result, scores, _ = leaky
    names = {attack["name"] for attack in result["attacks"]}
    assert {"loss", "lira-online", "lira-offline", "rmia-online", "attack-r", "correctness"} <= names
    assert set(scores) == names | {"membership"}


def test_numbers_agree_with_scikit_learn_and_with_naive_counts(leaky):
    result, scores, _ = leaky
    members = scores["membership"]
    assert members.dtype == bool
    assert len(members) == 150  # the population is not scored
    for attack in result["attacks"]:
        found = scores[attack["name"]]
        assert found.dtype == np.float64
        assert attack["auc"]["value"] == pytest.approx(roc_auc_score(members, found), abs=1e-12)
        assert attack["auc"]["value"] == pytest.approx(naive_roc.auc_by_pairs(found, members), abs=1e-12)
        count = int(0.1 * (~members).sum())
        assert attack["tpr_at_fpr"]["0.1"]["value"] == pytest.approx(naive_roc.tpr_at_count(found, members, count))
        best = max((tpr + 1 - fpr) / 2 for _, fpr, tpr in naive_roc.roc_points(found, members))
        assert attack["balanced_accuracy"]["value"] <= best + 1e-12
        for regime, allowed in (("a", 0), ("b", math.ceil(math.log(len(members))))):
            value = naive_log_mia.log_mia(found, members, allowed)
            chance = naive_log_mia.chance(int(members.sum()), int((~members).sum()), allowed)
            assert attack["log_mia"][regime]["value"] == pytest.approx(value, abs=1e-9)
            assert attack["log_mia"][regime]["chance"] == pytest.approx(chance, abs=1e-9)


def test_scores_and_membership_are_those_of_the_given_records(leaky):
    arrays = outputs(leak=1.5, n=150, population=50, seed=3)
    _, scores, folder = leaky
    rows = np.load(folder / "rows.npy")
    np.testing.assert_array_equal(rows, np.flatnonzero(~arrays["population"]))
    np.testing.assert_array_equal(scores["membership"], arrays["membership"][rows, 0])
    right = arrays["logits"][rows, 0].argmax(axis=1) == arrays["labels"][rows]
    np.testing.assert_array_equal(scores["correctness"], right)


def test_a_planted_leak_is_shown_with_what_it_is_at_least(leaky):
    result, scores, _ = leaky
    assert result["verdict"] == "LEAK SHOWN"
    leading = result["attacks"][0]
    assert result["lower_bound"]["attack"] == leading["name"]
    assert 0.5 < result["lower_bound"]["auc"] < leading["auc"]["value"]
    for name in ("loss", "lira-online", "rmia-online"):
        assert roc_auc_score(scores["membership"], scores[name]) > 0.6, f"{name}: higher = member"


def test_probabilities_say_the_same_as_their_logits():
    arrays = outputs(leak=1.0, n=100, population=0)
    one, other = (audit(given, attacks=["loss", "lira-online"]) for given in (arrays, probabilities(arrays)))
    for name in ("loss", "lira-online"):
        assert one.attack(name).auc.value == pytest.approx(other.attack(name).auc.value, abs=2e-3)
    assert (one.target.access, other.target.access) == ("logits", "probabilities")


def test_probabilities_of_a_single_model_run_the_attacks_that_need_no_references(tmp_path):
    arrays = target_alone(probabilities(outputs(leak=1.5, n=150, population=0)))
    assert arrays["probs"].shape == (150, 1, 3)
    result = flat.audit(outputs=arrays, out=tmp_path)
    assert {attack.name for attack in result.attacks} == {"loss", "entropy", "modified-entropy", "correctness"}
    assert {attack.access for attack in result.attacks} <= {"label", "probabilities"}
    assert result.training is None
    assert result.verdict == "LEAK SHOWN"


@pytest.mark.parametrize(("asked", "seen"), [("logits", "probabilities"), ("label", "label")])
def test_the_attacker_never_sees_more_than_the_arrays_hold(asked, seen):
    arrays = target_alone(probabilities(outputs(n=60, population=0)))
    result = audit(arrays, attacks=["correctness"], access=asked)
    assert result.target.access == seen


def test_a_population_lets_the_attacks_run_that_need_one():
    arrays = target_alone(outputs(leak=1.0, n=100, population=50))
    result = audit(arrays, attacks=["attack-p"])
    assert result.attack("attack-p").n_members + result.attack("attack-p").n_nonmembers == 100
    with pytest.raises(InputError, match="population"):
        audit({name: array for name, array in arrays.items() if name != "population"}, attacks=["attack-p"])


def test_single_probabilities_of_a_binary_model_work():
    arrays = target_alone(probabilities(outputs(leak=1.0, n=100, population=0, n_classes=2)))
    single = arrays | {"probs": arrays["probs"][..., 1:]}
    assert audit(single).attack("loss").auc.value == pytest.approx(audit(arrays).attack("loss").auc.value, abs=1e-9)


def test_ids_name_the_exposed_records():
    arrays = outputs(leak=2.0, n=80, population=0)
    named = arrays | {"ids": np.array([f"person-{at}" for at in range(80)])}
    plain, result = audit(arrays), audit(named)
    assert [record.id for record in result.records] == [f"person-{record.id}" for record in plain.records]
    members = np.flatnonzero(arrays["membership"][:, 0])
    assert {int(record.id) for record in plain.records} <= set(members)


def test_the_same_seed_gives_the_same_numbers_and_the_seed_is_recorded():
    arrays = outputs(n=80, population=20)
    one, two, other = (audit(arrays, attacks=["lira-online"], rng=seed) for seed in (5, 5, 6))
    assert one.provenance.seed == 5
    without_time = {"cost"}
    first, second = (r.attacks[0].model_dump(exclude=without_time) for r in (one, two))
    assert first == second
    assert first != other.attacks[0].model_dump(exclude=without_time)
    assert one.provenance.data_fingerprint == two.provenance.data_fingerprint
    assert one.target.fingerprint


def test_the_prior_that_the_predictive_values_assume_is_in_the_result():
    settings = seepage.Settings(prior=0.01)
    result = audit(outputs(leak=2.0, n=100, population=0), settings=settings)
    assert result.prior == 0.01
    tpr, ppv = result.attacks[0].tpr_at_fpr["0.1"], result.attacks[0].positive_predictive_value["0.1"]
    assert ppv.value == pytest.approx(0.01 * tpr.value / (0.01 * tpr.value + 0.99 * 0.1), rel=0.05)


def test_membership_in_zeros_and_ones_is_understood():
    arrays = outputs(leak=1.0, n=80, population=20)
    numbers = {name: array.astype(np.uint8) if array.dtype == bool else array for name, array in arrays.items()}
    assert audit(numbers).attacks[0].auc == audit(arrays).attacks[0].auc


def spoilt(name, change):
    arrays = outputs(n=60, population=20)
    return arrays | {name: change(arrays[name].copy())}


def with_value(array, value):
    array[7, 0, 1] = value
    return array


BAD = {
    "logits of two axes": (lambda: spoilt("logits", lambda a: a[:, 0]), "samples, models, classes"),
    "labels too few": (lambda: spoilt("labels", lambda a: a[:-1]), "'labels'.*79"),
    "labels of two axes": (lambda: spoilt("labels", lambda a: a[:, None].repeat(2, 1)), "one class a record"),
    "a label too large": (lambda: spoilt("labels", lambda a: a + 1), "label of record .* is 3, expected.* 0 to 2"),
    "a negative label": (lambda: spoilt("labels", lambda a: a - 1), "is -1, expected"),
    "labels in text": (lambda: spoilt("labels", lambda a: a.astype(str)), "they are texts"),
    "membership too narrow": (lambda: spoilt("membership", lambda a: a[:, :-1]), r"'membership' must be .*\(80, 9\)"),
    "membership of two and three": (lambda: spoilt("membership", lambda a: a + 2), "true or false"),
    "population too short": (lambda: spoilt("population", lambda a: a[1:]), "'population' must be"),
    "population that was trained on": (lambda: spoilt("population", lambda a: ~a), "population records OUT"),
    "no member": (lambda: spoilt("membership", lambda a: a & False), "members and non-members"),
    "everybody a member": (
        lambda: {k: v for k, v in spoilt("membership", lambda a: a | True).items() if k != "population"},
        "members and non-members",
    ),
    "NaN": (lambda: spoilt("logits", lambda a: with_value(a, np.nan)), "record 7 is not finite"),
    "infinity": (lambda: spoilt("logits", lambda a: with_value(a, np.inf)), "record 7 is not finite"),
    "probabilities called logits": (
        lambda: {**outputs(n=60, population=20), "logits": probabilities(outputs(n=60, population=20))["probs"]},
        "probability vector",
    ),
    "logits called probabilities": (
        lambda: {"probs": outputs()["logits"], **{k: v for k, v in outputs().items() if k != "logits"}},
        "expected 0 to 1",
    ),
    "probabilities that miss a sum of one": (
        lambda: probabilities(outputs()) | {"probs": 0.9 * probabilities(outputs())["probs"]},
        "miss a sum of 1",
    ),
    "both kinds": (lambda: outputs() | probabilities(outputs()), "expected one of 'logits' and 'probs'"),
    "neither kind": (lambda: {k: v for k, v in outputs().items() if k != "logits"}, "neither"),
    "no membership": (lambda: {k: v for k, v in outputs().items() if k != "membership"}, "'membership' is missing"),
    "an array too many": (lambda: outputs() | {"labls": np.zeros(3)}, "unknown array 'labls'"),
    "ids too few": (lambda: outputs() | {"ids": np.arange(3)}, "'ids' must be"),
    "no record": (lambda: {k: v[:0] for k, v in outputs().items()}, "empty array"),
    "no names": (lambda: outputs()["logits"], "named arrays"),
}


@pytest.mark.parametrize("case", BAD)
def test_arrays_that_do_not_fit_are_refused_with_what_is_wrong(case):
    make, message = BAD[case]
    with pytest.raises(InputError, match=message):
        audit(make())


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "not a usable"), (b"PK\x03\x04 broken", "not a usable"), (None, "no file")]
)
def test_a_file_that_is_missing_or_broken_is_refused(tmp_path, content, message):
    path = tmp_path / "outputs.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataFileError, match=message):
        audit(path)


def test_a_file_with_objects_in_it_is_not_opened(tmp_path):
    np.savez(tmp_path / "outputs.npz", logits=np.array([object()]))
    with pytest.raises(DataFileError, match="could run code"):
        audit(tmp_path / "outputs.npz")


def test_nothing_that_would_be_ignored_goes_with_outputs():
    for option in ({"queries": "flip"}, {"layer": "last"}, {"known": 5}):
        with pytest.raises(InputError, match=f"{next(iter(option))}= does not go with outputs"):
            audit(outputs(), **option)


def test_the_true_negative_rate_is_the_true_positive_rate_with_the_sides_swapped(leaky):
    result, scores, _ = leaky
    members = scores["membership"]
    for attack in result["attacks"]:
        found, count = scores[attack["name"]], int(0.1 * members.sum())
        naive = naive_roc.tpr_at_count([-s for s in found], [not m for m in members], count)
        assert attack["tnr_at_fnr"]["0.1"]["value"] == pytest.approx(naive)


def test_the_attacks_together_are_kept_record_by_record(tmp_path):
    result = flat.audit(
        outputs=outputs(leak=3.0, n=200), origin="declared", attacks=["loss", "lira-online", "entropy"], out=tmp_path
    )
    with np.load(tmp_path / "scores.npz") as scores, np.load(tmp_path / "together.npz") as together:
        names = [name for name in scores if name != "membership"]
        ranks = np.mean([rankdata(scores[name]) for name in names], axis=0) / len(scores["loss"])
        np.testing.assert_allclose(together["rank_average"], ranks)
        rows = np.load(tmp_path / "rows.npy").astype(str).tolist()
        for record in result.records:
            place = rows.index(record.id)
            assert record.rank_average == pytest.approx(ranks[place])
            assert record.n_found == together["n_found"][place]
    assert max(record.n_found for record in result.records) > 1


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (lambda n: np.zeros(n), r"'ids' must be distinct, got \d+ records with id '0.0'"),
        (lambda n: np.array(["a", "a", *map(str, range(n - 2))]), "'ids' must be distinct, got 2 records with id 'a'"),
        (lambda n: np.array([np.nan, *range(n - 1)]), "'ids' must name each record, got nan in record 0"),
        (lambda n: np.array([None, *map(str, range(n - 1))], dtype=object), "got None in record 0"),
        (lambda n: np.array([1, "1", *map(str, range(2, n))], dtype=object), "distinct"),
    ],
)
def test_ids_that_name_no_one_record_are_refused_at_the_start(ids, words):
    arrays = outputs(leak=1.0, n=60, population=0)
    with pytest.raises(InputError, match=words):
        audit({**arrays, "ids": ids(len(arrays["labels"]))})
