"""One of four verdicts, with what it rests on; never "safe"."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

import seepage
from seepage.attacks import resolve_attacks
from seepage.errors import InputError
from seepage.metrics import (
    epsilon_lower_one_run_from_scores,
    holm,
    leak_p_value,
    roc_auc,
    smallest_detectable_auc,
    smallest_detectable_tpr,
)
from seepage.schema.audit import Gate
from seepage.studies.audit.findings import Scored, _epsilon, score
from seepage.studies.audit.gates import Check
from seepage.studies.audit.outputs import evidence_from_outputs
from seepage.studies.audit.verdict import decide, lower_bound, smallest_leak
from seepage.studies.settings import Settings
from tests.studies.audit.worlds import outputs, target_alone

PASSED, FAILED, NOT_RUN = "pass", "fail", "not run"


def check(status, guards="both", name="a gate"):
    return Check(Gate(name=name, question="?", status=status, detail="seen", way_out="do this"), guards)


def scored_with(p_values, n=100, settings=None):
    """Scores that are noise, with the p-values as given."""
    rng = np.random.default_rng(0)
    scores = {f"attack-{at}": rng.normal(size=(n, 1)) for at in range(len(p_values))}
    corrected = dict(zip(scores, map(float, holm(p_values)), strict=True))
    members = (np.arange(n) < n // 2)[:, None]
    given = dict(zip(scores, p_values, strict=True))
    return Scored(scores, dict.fromkeys(scores, 0.0), members, np.arange(n), given, corrected, settings or Settings())


FOUND, NOTHING = scored_with([0.001, 0.5]), scored_with([0.04, 0.5])


@pytest.mark.parametrize(
    ("scored", "checks", "verdict"),
    [
        (FOUND, [check(PASSED)], "LEAK SHOWN"),
        (FOUND, [check(NOT_RUN)], "LEAK SHOWN"),
        (FOUND, [check(FAILED, "absence")], "LEAK SHOWN"),
        (FOUND, [check(PASSED), check(FAILED)], "INVALID"),
        (NOTHING, [check(PASSED), check(NOT_RUN)], "NO EVIDENCE"),
        (NOTHING, [check(PASSED), check(FAILED, "absence")], "INCONCLUSIVE"),
        (NOTHING, [check(PASSED), check(FAILED, "doubt")], "INCONCLUSIVE"),
        (FOUND, [check(PASSED), check(FAILED, "doubt")], "INVALID"),
        (NOTHING, [check(FAILED, "absence"), check(FAILED)], "INVALID"),
    ],
)
def test_which_gate_brings_which_verdict(scored, checks, verdict):
    assert decide(scored, checks, "causal", Settings())[0] == verdict


def test_attacks_are_corrected_together():
    """0.04 would be found by itself; the best of two must reach 0.025."""
    assert decide(scored_with([0.04]), [], "causal", Settings())[0] == "LEAK SHOWN"
    assert decide(scored_with([0.04, 0.5]), [], "causal", Settings())[0] == "NO EVIDENCE"
    assert decide(scored_with([0.024, 0.5]), [], "causal", Settings())[0] == "LEAK SHOWN"


def test_a_p_value_of_alpha_itself_is_found_and_alpha_is_the_user_s():
    assert decide(scored_with([0.05]), [], "causal", Settings())[0] == "LEAK SHOWN"
    strict = Settings(alpha=0.01)
    assert decide(scored_with([0.05], settings=strict), [], "causal", strict)[0] == "NO EVIDENCE"


def test_the_worst_finding_decides_wherever_it_stands():
    scored = scored_with([0.9, 0.8, 0.001])
    assert scored.leading == "attack-2"
    verdict, _, reasons = decide(scored, [], "causal", Settings())
    assert verdict == "LEAK SHOWN"
    assert "attack-2" in reasons[0]


def test_failed_gates_are_named_with_the_way_out():
    for guards in ("both", "absence"):
        _, _, reasons = decide(
            NOTHING, [check(PASSED, name="fine"), check(FAILED, guards, "bad")], "causal", Settings()
        )
        assert any("bad" in reason and "do this" in reason for reason in reasons)
        assert not any("fine" in reason for reason in reasons)


def test_an_association_is_called_one():
    *_, reasons = decide(FOUND, [], "association", Settings())
    assert any("association" in reason for reason in reasons)
    *_, reasons = decide(FOUND, [], "causal", Settings())
    assert not any("association" in reason for reason in reasons)


def test_no_verdict_says_safe():
    for verdict in ([], [check(FAILED)], [check(FAILED, "absence")]):
        for scored in (FOUND, NOTHING):
            assert "safe" not in " ".join(map(str, decide(scored, verdict, "causal", Settings()))).lower()


def test_the_smallest_leak_is_that_of_the_corrected_level():
    scored = scored_with([0.5] * 4, n=400)
    found = smallest_leak(scored, Settings())
    auc = smallest_detectable_auc(200, 200, alpha=0.05 / 12)
    tpr = smallest_detectable_tpr(200, 200, alpha=0.05 / 12, fpr=0.1)
    assert (found.auc, found.tpr, found.fpr, found.power, found.alpha) == (auc, tpr, 0.1, 0.8, 0.05)
    assert smallest_leak(scored_with([0.5], n=400), Settings()).auc < found.auc


def test_a_leak_of_the_smallest_detectable_size_is_found_about_as_often_as_promised():
    n, found = 200, 0
    members = np.arange(n) < n // 2
    auc = smallest_leak(scored_with([0.5], n=n), Settings()).auc
    shift = np.sqrt(2) * norm.ppf(auc)
    for seed in range(100):
        scores = np.random.default_rng(seed).normal(size=n) + shift * members
        found += leak_p_value(scores, members, fpr=0.1) <= 0.05
    assert 0.65 <= found / 100 <= 0.97


def test_a_leak_of_the_smallest_detectable_tpr_is_found_as_often_as_promised_in_its_worst_shape():
    """Flat above the threshold: members there are spread like non-members, only more of them."""
    n, fpr, found = 200, 0.1, 0
    members = np.arange(2 * n) < n
    tpr = smallest_leak(scored_with([0.5], n=2 * n), Settings()).tpr
    for seed in range(100):
        rng = np.random.default_rng(seed)
        above = rng.random(2 * n) < np.where(members, tpr, fpr)
        found += leak_p_value(above + rng.random(2 * n), members, fpr=fpr) <= 0.05
    assert 0.68 <= found / 100 <= 0.97


def test_with_several_targets_the_tpr_is_corrected_for_their_number():
    one, four = scored_with([0.5], n=400), scored_with([0.5], n=400)
    members = np.repeat(one.members, 4, axis=1)
    four = replace(four, members=members, scores={name: np.repeat(s, 4, axis=1) for name, s in four.scores.items()})
    found, found_of_four = smallest_leak(one, Settings()), smallest_leak(four, Settings())
    assert found_of_four.tpr > found.tpr
    assert found_of_four.auc == found.auc
    assert found_of_four.tpr == smallest_detectable_tpr(200, 200, alpha=0.05 / 12, fpr=0.1)


def leaky(n=400, attacks=("loss", "lira-online")):
    evidence = evidence_from_outputs(outputs(leak=1.5, n=n, population=0), origin="declared", access=None)
    return score(evidence, resolve_attacks(attacks), np.arange(n), Settings(), np.random.default_rng(0))


def test_the_lower_bound_is_one_sided_at_the_level_corrected_for_all_attacks():
    scored = leaky()
    bound = lower_bound(scored, Settings(), np.random.default_rng(1))
    assert bound.attack == scored.leading
    assert bound.confidence == pytest.approx(1 - 0.05 / 2)
    scores = scored.scores[scored.leading]
    expected = roc_auc(scores, scored.members, confidence=0.95, rng=np.random.default_rng(1))
    assert bound.auc == pytest.approx(expected.low)
    assert bound.fpr == 0.1  # the least rate that allows 10 of about 200 non-members
    assert 0 < bound.tpr < 1


def test_a_rate_that_allows_fewer_than_ten_false_positives_carries_no_bound():
    bound = lower_bound(leaky(n=120), Settings(), np.random.default_rng(1))
    assert (bound.fpr, bound.tpr) == (None, None)
    assert bound.auc > 0.5


def test_a_planted_leak_is_shown_and_more_surely_the_stronger_it_is():
    weak, strong = (
        seepage.audit_outputs(
            outputs(leak=leak, n=300), origin="declared", attacker=seepage.Attacker(attacks=["loss", "lira-online"])
        )
        for leak in (1.0, 2.5)
    )
    assert (weak.verdict, strong.verdict) == ("LEAK SHOWN", "LEAK SHOWN")
    assert 0.5 < weak.lower_bound.auc < strong.lower_bound.auc


def test_of_an_unknown_origin_a_leak_is_an_association():
    result = seepage.audit_outputs(outputs(leak=2.0), attacker=seepage.Attacker(attacks=["loss"]))
    assert (result.verdict, result.claim) == ("LEAK SHOWN", "association")
    assert any("association" in reason for reason in result.reasons)
    assert result.attacks[0].epsilon.kind == "epsilon_empirical"


def test_a_declaration_that_nothing_could_check_is_an_association_too():
    result = seepage.audit_outputs(outputs(leak=2.0), origin="declared", attacker=seepage.Attacker(attacks=["loss"]))
    assert (result.verdict, result.claim) == ("LEAK SHOWN", "association")
    assert any("without the records nothing could check the sides" in reason for reason in result.reasons)


@pytest.mark.parametrize("n_attacks", [1, 4])
def test_epsilon_holds_for_all_attacks_together(n_attacks):
    members = np.random.default_rng(0).random((400, 1)) < 0.5
    scores = np.random.default_rng(1).normal(size=(400, 1)) + 2.0 * members
    found = _epsilon(scores, members, True, n_attacks, Settings(), np.random.default_rng(2))
    level = {"alpha": 0.05 / n_attacks, "delta": 1e-5, "rng": np.random.default_rng(2)}
    assert found.value == epsilon_lower_one_run_from_scores(scores[:, 0], members[:, 0], **level)
    assert found.confidence == 0.95
    assert (f"all {n_attacks} attacks" in found.note) == (n_attacks > 1)


def test_the_number_of_attacks_reaches_every_epsilon():
    """The heuristic chooses its threshold at random, so by the mean over audits."""

    def mean_epsilon(attacks):
        worlds = [target_alone(outputs(leak=2.0, n=200, seed=seed)) for seed in range(8)]
        results = [seepage.audit_outputs(arrays, attacker=seepage.Attacker(attacks=attacks)) for arrays in worlds]
        return np.mean([result.attack("loss").epsilon.value for result in results])

    assert mean_epsilon(["loss", "confidence", "attack-p", "modified-entropy"]) < mean_epsilon(["loss"])


def test_the_p_value_of_an_audit_tests_the_tpr_that_it_promises():
    scored = leaky(attacks=("loss",))
    expected = leak_p_value(scored.scores["loss"], scored.members, fpr=scored.tested_rate)
    assert scored.p_values["loss"] == expected != leak_p_value(scored.scores["loss"], scored.members)


def identical_sides(n=150):
    """Every member has a non-member that the model answers alike."""
    half = target_alone(outputs(n=n, population=0))
    arrays = {name: np.concatenate([half[name]] * 2) for name in ("logits", "labels")}
    return arrays | {"membership": (np.arange(2 * n) < n)[:, None]}


def test_identical_members_and_non_members_show_nothing_and_separate_at_one_half():
    result = seepage.audit_outputs(identical_sides(), origin="declared")
    assert result.verdict in ("NO EVIDENCE", "INCONCLUSIVE")
    assert result.lower_bound is None
    for attack in result.attacks:
        assert attack.auc.value == pytest.approx(0.5)
        assert attack.auc.low <= 0.5 <= attack.auc.high
        assert attack.p_value_holm > 0.05


def test_no_evidence_comes_with_the_smallest_leak_that_would_have_been_seen():
    result = seepage.audit_outputs(outputs(seed=2), origin="declared", attacker=seepage.Attacker(attacks=["loss"]))
    assert result.verdict == "NO EVIDENCE"
    assert 0.5 < result.smallest_detectable.auc < 0.7
    assert result.smallest_detectable.tpr > result.smallest_detectable.fpr


def test_constant_answers_say_nothing():
    arrays = target_alone(outputs(n=100, population=0))
    arrays |= {"logits": np.zeros_like(arrays["logits"]), "labels": np.zeros(100, dtype=int)}
    result = seepage.audit_outputs(arrays)
    assert result.verdict == "INVALID"
    assert any("same answer" in reason for reason in result.reasons)
    for attack in result.attacks:
        assert (attack.auc.value, attack.p_value) == (0.5, 1.0)


@pytest.mark.parametrize("sides", [(2, 2), (2, 60), (60, 2), (20, 20)])
def test_too_few_records_are_inconclusive(sides):
    arrays = target_alone(outputs(n=sum(sides), population=0))
    arrays["membership"] = (np.arange(sum(sides)) < sides[0])[:, None]
    result = seepage.audit_outputs(arrays, attacker=seepage.Attacker(attacks=["loss"]))
    assert result.verdict == "INCONCLUSIVE"
    assert any("50 records" in reason for reason in result.reasons)


@pytest.mark.parametrize("sides", [(1, 50), (50, 1)])
def test_one_record_on_a_side_is_refused(sides):
    arrays = target_alone(outputs(n=51, population=0))
    arrays["membership"] = (np.arange(51) < sides[0])[:, None]
    with pytest.raises(InputError, match=f"at least 2 members and 2 non-members, got {sides[0]} and {sides[1]}"):
        seepage.audit_outputs(arrays, attacker=seepage.Attacker(attacks=["loss"]))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("alpha", 0.0), ("alpha", 0.5), ("confidence", 1.0), ("prior", 0.0), ("power", 0.4), ("delta", 1.0),
        ("delta", -1e-9), ("rates", ()), ("rates", (1.0,)), ("rates", (-0.1,)), ("show_records", -1),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_at_once(setting, value):
    with pytest.raises(InputError, match=setting):
        Settings(**{setting: value})


def test_of_several_findings_the_one_that_finds_most_members_at_a_low_rate_leads():
    """A sure attack with two values points at nobody; one that finds a fifth of the members at FPR 0.1 % does."""
    rng = np.random.default_rng(0)
    n = 2000
    members = (np.arange(n) < n // 2)[:, None]
    coarse = (rng.random((n, 1)) < np.where(members, 0.8, 0.3)).astype(float)
    sharp = rng.normal(size=(n, 1)) + 9.0 * (members & (rng.random((n, 1)) < 0.2))
    scores, p = {"coarse": coarse, "sharp": sharp}, {"coarse": 1e-90, "sharp": 1e-9}
    scored = Scored(scores, dict.fromkeys(scores, 0.0), members, np.arange(n), p, p, Settings())
    assert scored.order == ["sharp", "coarse"]
    assert scored.supported_rate == 0.01
    unfound = Scored(
        scores, dict.fromkeys(scores, 0.0), members, np.arange(n), p, {"coarse": 0.2, "sharp": 0.3}, Settings()
    )
    assert unfound.order == ["coarse", "sharp"]
