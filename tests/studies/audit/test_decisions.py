"""What attackers who know a few records decide: counts by hand, what is shown beside, and what is doubted."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from seepage.attacks import Attack, resolve_attacks, titles
from seepage.errors import InputError
from seepage.metrics import auc, clopper_pearson
from seepage.report.render import markdown
from seepage.schema.audit import AuditResult
from seepage.studies.audit.decisions import decisions
from seepage.studies.audit.findings import score
from seepage.studies.audit.outputs import evidence_from_outputs
from seepage.studies.settings import Settings
from tests import flat
from tests.reference.few_shot import threshold


def told(leak=2.0, seed=0, n=600, n_known=50):
    """Outputs of a target that raises its members' scaled logit, and `n_known` records whose membership is known."""
    rng = np.random.default_rng(seed)
    members, labels = rng.permutation(n) < n // 2, rng.integers(0, 3, n)
    logits = rng.normal(0, 1, (n, 1, 3)).astype(np.float32)
    logits[np.arange(n), 0, labels] += 1 + leak * members
    known = np.zeros(n, dtype=bool)
    for side in (False, True):
        known[np.flatnonzero(members == side)[: n_known // 2]] = True
    return {"logits": logits, "labels": labels, "membership": members[:, None], "known": known}


def audit(arrays, attacks=None, **options):
    return flat.audit(outputs=arrays, origin="declared", attacks=attacks, rng=1, **options)


def decided(arrays, names=("fes-mia-ss", "fes-mia-ss-label-free")):
    """The decisions alone, without the rest of an audit."""
    evidence, attacks = evidence_from_outputs(arrays, origin="declared", access=None), resolve_attacks(names)
    rng = np.random.default_rng(1)
    scored = score(evidence, attacks, np.flatnonzero(evidence.membership.audit), Settings(), rng)
    return decisions(scored, evidence, attacks, titles(attacks), rng)


def rows_of(result):
    return {row.name: row for row in result.decisions.rows}


def loss_of(arrays):
    logits = arrays["logits"][:, 0].astype(np.float64)
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), arrays["labels"]]


def test_default_attacks_with_known_records_lead_to_the_section():
    result = audit(told())
    assert {"fes-mia-ss", "fes-mia-ss-label-free"} <= {attack.name for attack in result.attacks}
    rows = rows_of(result)
    assert list(rows) == ["fes-mia-ss", "fes-mia-ss-label-free", "loss", "max-probability"]
    assert [row.is_baseline for row in rows.values()] == [False, False, True, True]
    assert [row.labels for row in rows.values()] == [True, False, True, False]
    assert (result.decisions.n_known_members, result.decisions.n_known_nonmembers) == (25, 25)
    assert result.decisions.flag is None
    assert result.attack("fes-mia-ss").cost.references == 0


def test_the_numbers_of_the_loss_are_those_of_its_threshold_by_hand():
    arrays = told()
    row = rows_of(audit(arrays))["loss"]
    scores, members, known = -loss_of(arrays), arrays["membership"][:, 0], arrays["known"]
    bar = threshold(scores[known & ~members], scores[known & members])
    said = scores > bar
    inside, outside = members & ~known, ~members & ~known
    tpr, fpr = said[inside].mean(), said[outside].mean()
    assert row.tpr.value == pytest.approx(tpr)
    assert row.fpr.value == pytest.approx(fpr)
    assert (row.tpr.low, row.tpr.high) == pytest.approx(clopper_pearson(said[inside].sum(), inside.sum()))
    assert row.balanced_accuracy.value == pytest.approx((tpr + 1 - fpr) / 2)
    assert row.balanced_accuracy.low < row.balanced_accuracy.value < row.balanced_accuracy.high
    assert row.auc.value == pytest.approx(auc(scores[~known], members[~known]))
    best = max((np.mean(scores[inside] > t) + np.mean(scores[outside] <= t)) / 2 for t in scores)
    assert row.best_balanced_accuracy == pytest.approx(best)
    assert row.balanced_accuracy.value <= row.best_balanced_accuracy


def test_a_few_shot_attack_decides_by_the_sign_of_its_score(tmp_path):
    arrays = told()
    result = audit(arrays, ["fes-mia-ss"], out=tmp_path)
    with np.load(tmp_path / "scores.npz") as kept:
        scores, members = kept["fes-mia-ss"], kept["membership"]
    row = rows_of(result)["fes-mia-ss"]
    assert row.tpr.value == pytest.approx((scores > 0)[members].mean())
    assert row.fpr.value == pytest.approx((scores > 0)[~members].mean())


def test_a_target_that_tells_nothing_is_guessed():
    values = [{row.name: row for row in decided(told(leak=0.0, seed=seed)).rows} for seed in range(20)]
    for name in values[0]:
        # standard error of one balanced accuracy is 0.021, of the mean of twenty 0.005
        assert np.mean([rows[name].balanced_accuracy.value for rows in values]) == pytest.approx(0.5, abs=0.02), name
        assert sum(rows[name].balanced_accuracy.low > 0.5 for rows in values) <= 4


def test_one_known_record_a_side_and_equal_answers_are_no_error():
    assert rows_of(audit(told(n_known=2)))["fes-mia-ss"].balanced_accuracy.value > 0.4
    arrays = told()
    arrays["logits"] = np.ones_like(arrays["logits"])
    for row in rows_of(audit(arrays)).values():
        assert (row.tpr.value, row.fpr.value, row.balanced_accuracy.value) == (0.0, 0.0, 0.5)


def exchanged():
    """Known members that the target never saw, and known non-members that it was trained on."""
    arrays = told(leak=3.0)
    known, members = arrays["known"], arrays["membership"]
    members[known] = ~members[known]
    return arrays


def test_known_records_whose_sides_are_exchanged_are_doubted():
    result = audit(exchanged())
    assert "check that the sides of the known records are not exchanged" in result.decisions.flag
    assert "by loss (AUC 0.0" in result.decisions.flag
    # weights of at least 0 keep the order, and the bar between the means the decision
    row = rows_of(result)["fes-mia-ss"]
    assert row.auc.value > 0.8
    assert row.balanced_accuracy.value > 0.7
    assert f"Mind: {result.decisions.flag}" in " ".join(str(result).split())
    assert f"Mind: {result.decisions.flag}" in markdown(result)


def test_lists_that_are_swapped_altogether_are_doubted_here_too():
    arrays = told(leak=3.0)
    arrays["membership"] = ~arrays["membership"]
    result = audit(arrays)
    assert result.verdict == "INCONCLUSIVE"  # by the gate on the direction
    assert "not exchanged" in result.decisions.flag


def test_known_records_of_a_target_that_tells_nothing_are_seldom_doubted():
    # at most one in a hundred, both scalars together: more than two of forty in one of a hundred runs
    assert sum(decided(told(leak=0.0, seed=seed)).flag is not None for seed in range(40)) <= 2


def test_the_page_and_the_terminal_say_what_is_decided():
    result = audit(told())
    page, text = markdown(result), str(result)
    for shown in (
        "What attackers who know a few records decide",
        "FeS-MIA SimpleShot on signals",
        "Maximum probability",
    ):
        assert shown in page
        assert shown in text
    assert f"{result.decisions.log_mia_chance_b:.3f} in regime B" in page
    assert "The attackers know 25 members and 25 non-members" in page


def test_the_page_says_what_to_do_where_a_leak_is_shown_and_nothing_elsewhere():
    result = audit(told())
    best = max(result.decisions.rows, key=lambda row: row.balanced_accuracy.value)
    page = markdown(result)
    assert f"decides with a balanced accuracy of {best.balanced_accuracy.value:.3f} [" in page
    assert f"({best.title}, the best row). What to do:" in page
    silent = audit(told(leak=0.0, seed=3))
    assert f"The verdict is {silent.verdict}: these decisions support no claim" in markdown(silent)
    assert "What to do: do not rely" not in markdown(silent)


def test_without_known_records_there_is_no_section():
    arrays = told()
    del arrays["known"]
    result = audit(arrays)
    assert result.decisions is None
    assert "who know a few records" not in str(result) + markdown(result)


def test_results_from_before_are_read_on(tmp_path):
    """They have no decisions, and attacks under names that mean others today or none."""
    values = audit(told(), ["loss", "fes-mia-ss-5-shot"]).model_dump(by_alias=True, mode="json")
    del values["decisions"]
    for old in ("fes-mia-ls-1-shot", "fes-mia-ss-outputs"):
        values["attacks"][1]["name"] = old
        values["ensemble"] = values["lower_bound"] = None
        values["verdict"] = "NO EVIDENCE"
        values["controls"] = []
        AuditResult.of(tmp_path, values).report(tmp_path / f"{old}.md")
        assert AuditResult.of(tmp_path, values).attack(old).title == "FeS-MIA SimpleShot on signals, 5-shot"
        assert "FeS-MIA SimpleShot" in (tmp_path / f"{old}.md").read_text()


def test_several_targets_give_means_over_them():
    arrays, other = told(), told(seed=1)
    evidence = evidence_from_outputs(arrays, origin="declared", access=None)
    both = replace(
        evidence,
        logits=np.concatenate([evidence.logits, other["logits"][:, :, None]], axis=1),
        target_models=[0, 1],
        probabilities=np.zeros(2, dtype=bool),
        membership=replace(evidence.membership, targets=np.column_stack([arrays["membership"], other["membership"]])),
    )
    attacks = resolve_attacks(["fes-mia-ss"])
    scored = score(both, attacks, np.flatnonzero(both.membership.audit), Settings(), np.random.default_rng(0))
    found = decisions(scored, both, attacks, titles(attacks), np.random.default_rng(0))
    said = scored.scores["fes-mia-ss"] > 0
    row = found.rows[0]
    rates = [said[members, at].mean() for at, members in enumerate(scored.members.T)]
    assert row.tpr.value == pytest.approx(np.mean(rates))
    assert row.tpr.n == scored.members.sum(axis=0).min()
    assert 0.6 < row.balanced_accuracy.value < row.best_balanced_accuracy


def test_known_records_of_one_side_alone_are_refused():
    """No attack can learn from them: the audit would leave the few-shot attacks and the section out without a word."""
    arrays = told()
    arrays["known"] &= arrays["membership"][:, 0]
    with pytest.raises(InputError, match="must be members and non-members, got 25, all of them members"):
        audit(arrays)
    arrays = told()
    arrays["known"] &= ~arrays["membership"][:, 0]
    with pytest.raises(InputError, match="got 25, all of them non-members"):
        audit(arrays)


@dataclass(frozen=True)
class Dice(Attack):
    title = source = "dice"

    def _score(self, view, *, rng):
        return rng.normal(size=view.n_samples)


def test_nothing_found_is_no_evidence_only_where_the_scalars_beside_find_nothing_either():
    found = audit(told(), attacks=[Dice()])
    assert found.verdict == "INCONCLUSIVE"
    assert "audit with 'loss' too" in " ".join(found.reasons)
    nothing = audit(told(leak=0.0), attacks=[Dice()])
    assert all(row.balanced_accuracy.low < 0.5 for row in rows_of(nothing).values())
    assert nothing.verdict == "NO EVIDENCE"
