"""What holds for every attack: one row of `FOUND` each."""

import dataclasses
import json
import re

import numpy as np
import pytest
from scipy.stats import spearmanr

from seepage.attacks import ATTACKS, BY_DEFAULT, default_attacks, find_attack, table
from seepage.attacks.base import NEEDS, Attack
from seepage.attacks.lira import LiRA
from seepage.attacks.multi_signal_lira import MultiSignalLiRA
from seepage.attacks.rmia import RMIA
from seepage.attacks.threshold import GlobalThreshold
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.signals.view import View
from tests.attacks.planted import auc, planted
from tests.attacks.trained import trained

# The least AUC on a planted leak of 2 in the scaled logit, where records differ by 1.5 and trainings by 0.7.
FOUND = {
    "loss": 0.75,
    "confidence": 0.75,
    "entropy": 0.6,
    "max-probability": 0.6,
    "modified-entropy": 0.75,
    "correctness": 0.55,
    "loss-per-class": 0.75,
    "confidence-per-class": 0.75,
    "entropy-per-class": 0.6,
    "modified-entropy-per-class": 0.75,
    "gradient-norm": 0.75,
    "attack-p": 0.75,
    "attack-r": 0.85,
    "difficulty-calibration": 0.8,
    "lira-online": 0.93,
    "lira-online-fixed-variance": 0.94,
    "lira-online-fixed-variance-official": 0.94,
    "lira-offline": 0.9,
    "lira-offline-fixed-variance": 0.93,
    "lira-offline-official": 0.85,
    "lira-offline-fixed-variance-official": 0.8,
    "rmia-online": 0.85,
    "rmia-offline": 0.85,
    "rmia-online-official": 0.85,
    "lira-multi-signal-online": 0.93,
    "lira-multi-signal-offline": 0.93,
    "shokri": 0.74,
    "shokri-global": 0.74,
    "salem-top-3": 0.74,
    "nasr": 0.74,
    "nasr-per-class": 0.74,
    "rank-only": 0.64,
    "augmentation": 0.6,
    "augmentation-learned": 0.6,
    "label-only-aerni": 0.65,
}
# The least AUC where digits with wrong labels were learned by heart, and the loss finds 0.69.
FOUND_TRAINED = {
    "nasr-known": 0.62,
    "noise": 0.6,
    "boundary": 0.6,
    "quantile-gaussian": 0.6,
    "quantile-pinball": 0.6,
    "loss-trajectory": 0.7,
    "sequence": 0.7,
    "fes-mia-ss": 0.64,
    "fes-mia-ss-1-shot": 0.64,
    "fes-mia-ss-5-shot": 0.64,
    "fes-mia-ss-10-shot": 0.64,
    "fes-mia-ss-label-free": 0.55,
    "fes-mia-ss-gradients": 0.64,
    "fes-mia-ss-gradients-label-free": 0.55,
    "fes-mia-ss-outputs": 0.58,
    "fes-mia-ls-outputs": 0.58,
}
BLIND_TO_LOG_ODDS = {
    "correctness",
    "gradient-norm",
    "rmia-online-official",
    "rank-only",
    "augmentation",
    "augmentation-learned",
    "label-only-aerni",
}
# At chance in that small world too: strangers' labels tell next to nothing of members (transfer), and few-shot
# learners on features or logits as they are see classes, which membership is not in; a leak in how peaked answers are
# is small there for 1 to 10 tuned shots. Each finds planted leaks in tests of its own.
NO_POWER_TRAINED = {"transfer"} | {name for name in ATTACKS if name.startswith("fes-mia-")} - set(FOUND_TRAINED)
# They fit something to random numbers of their own, so that a changed order of sums shows.
FITTED = {"nasr-known"}
VIEW, MEMBERS = planted(leak=2.0)
AUDITED = ~VIEW.population
every_attack = pytest.mark.parametrize("name", ATTACKS)
# What needs no more than answers is tested where the answers are drawn, the rest on models that were trained.
ON_OUTPUTS = [name for name, attack in ATTACKS.items() if attack.needs <= VIEW.available]
on_outputs = pytest.mark.parametrize("name", ON_OUTPUTS)
on_trained = pytest.mark.parametrize("name", [name for name in ATTACKS if name not in ON_OUTPUTS])


def score(name: str, view: View = VIEW) -> np.ndarray:
    return ATTACKS[name].score(view, rng=np.random.default_rng(0))


def rows_of(view: View, rows: np.ndarray) -> View:
    return dataclasses.replace(
        view,
        signals={name: values[rows] for name, values in view.signals.items()},
        labels=view.labels[rows],
        reference_in=view.reference_in[rows],
        reference_out=view.reference_out[rows],
        population=view.population[rows],
        known=view.known[rows],
        audited=view.audited[rows],
        gradient_norm=view.gradient_norm[rows],
        features=None if view.features is None else view.features[rows],
        outputs=view.outputs[rows],
        records=None if view.records is None else view.records.subset(rows),
    )


def test_every_attack_has_its_row_in_the_world_that_has_what_it_needs():
    assert set(FOUND) | set(FOUND_TRAINED) | NO_POWER_TRAINED == set(ATTACKS)
    assert set(FOUND) == set(ON_OUTPUTS)


@on_outputs
def test_a_planted_leak_is_found_with_members_high(name):
    assert auc(score(name)[AUDITED], MEMBERS[AUDITED]) > FOUND[name]


@on_outputs
def test_a_target_that_saw_nothing_gives_chance(name):
    # the references leak, the target does not; standard error of the AUC for 450 against 450 is 0.019
    view, members = planted(leak=2.0, target_leak=0.0, seed=3)
    audited = ~view.population
    assert abs(auc(score(name, view)[audited], members[audited]) - 0.5) < 0.055


@pytest.mark.parametrize("name", FOUND_TRAINED)
def test_what_a_trained_model_learned_by_heart_is_found(name):
    view, members = trained()
    assert auc(score(name, view)[view.audited], members[view.audited]) > FOUND_TRAINED[name]


@on_trained
def test_a_trained_model_that_saw_none_of_the_records_gives_chance(name):
    # standard error of the AUC for 120 against 120 is 0.037
    view, members = trained(leak=False)
    assert abs(auc(score(name, view)[view.audited], members[view.audited]) - 0.5) < 0.12


@every_attack
def test_scores_are_float64_one_a_record_and_the_same_every_time(name):
    view = VIEW if name in FOUND else trained()[0]
    scores = score(name, view)
    assert scores.shape == (view.n_samples,)
    assert scores.dtype == np.float64
    assert np.isfinite(scores[view.audited]).all()
    np.testing.assert_array_equal(scores, score(name, view))


@every_attack
def test_the_order_of_the_records_plays_no_part(name):
    view = VIEW if name in FOUND else trained()[0]
    order = np.random.default_rng(1).permutation(view.n_samples)
    there, here = score(name, rows_of(view, order))[view.audited[order]], score(name, view)[order][view.audited[order]]
    if name in FITTED:
        assert spearmanr(there, here).statistic > 0.99
    else:
        # A record's place in a float32 batch shows in the last digits of what a tuned copy answers.
        np.testing.assert_allclose(there, here, rtol=1e-9, atol=2e-6 if name.startswith("fes-mia-tt") else 1e-12)


@on_outputs
def test_unequal_counts_and_absent_references_give_a_score(name):
    # every pair is left out with probability 1/2; some records lose all their IN or all their OUT references
    rng = np.random.default_rng(2)
    keep = rng.random(VIEW.reference_in.shape) < 0.5
    keep[:20] = False
    keep[20:40] &= VIEW.reference_in[20:40]
    keep[40:60] &= VIEW.reference_out[40:60]
    view = dataclasses.replace(VIEW, reference_in=VIEW.reference_in & keep, reference_out=VIEW.reference_out & keep)
    scores = score(name, view)
    assert np.isfinite(scores).all()
    assert auc(scores[AUDITED], MEMBERS[AUDITED]) > min(0.6, FOUND[name])


@on_outputs
def test_constant_signals_give_constant_scores_and_no_nan(name):
    view = View.from_logits(
        np.ones_like(VIEW.outputs),
        np.zeros_like(VIEW.labels),
        target_column=0,
        reference_columns=VIEW.reference_columns,
        reference_in=VIEW.reference_in,
        reference_out=VIEW.reference_out,
        population=VIEW.population,
        gradient_norm=np.ones(VIEW.n_samples),
    )
    scores = score(name, view)[AUDITED]
    np.testing.assert_allclose(scores, scores[0], rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in ON_OUTPUTS if name not in BLIND_TO_LOG_ODDS])
def test_saturated_outputs_are_ranked_by_their_log_odds(name):
    # float32 probabilities of 1.0 everywhere: only the other classes' 1e-8 ... 1e-30 tell members apart
    view, members = planted(leak=2.0, n_samples=600)
    phi = view.signals["scaled-logit"] + 45.0
    others = np.log(0.5) - phi[..., None] + np.zeros(2)
    logits = np.concatenate([np.zeros((*phi.shape, 1)), others], axis=-1).astype(np.float32)
    saturated = View.from_logits(
        logits,
        np.zeros_like(view.labels),
        target_column=0,
        reference_columns=view.reference_columns,
        reference_in=view.reference_in,
        reference_out=view.reference_out,
        population=view.population,
    )
    assert (saturated.target("confidence") == 1.0).all()
    scores = score(name, saturated)[~view.population]
    assert len(np.unique(scores)) > (100 if name in ("attack-p", "attack-r", "rmia-online", "rmia-offline") else 440)
    least = 0.6 if name.startswith("entropy") else 0.7
    assert auc(scores, members[~view.population]) > least


@every_attack
def test_an_attack_says_what_it_needs(name):
    attack = ATTACKS[name]
    bare = View.from_logits(np.zeros((5, 1, 1, 3), np.float32), None, target_column=0)
    assert attack.needs <= set(NEEDS)
    if not attack.needs:
        attack.score(bare, rng=np.random.default_rng(0))
        return
    with pytest.raises(InputError, match=f"'{re.escape(attack.title)}' needs .*: this audit has none"):
        attack.score(bare, rng=np.random.default_rng(0))


# Few-shot learners among them have their own rows, for what they look at is an option of theirs.
LABEL_FREE = ["entropy", "max-probability", "salem-top-3"]


@pytest.mark.parametrize("name", LABEL_FREE)
def test_what_needs_no_label_scores_the_same_whatever_the_labels_are(name):
    assert "labels" not in ATTACKS[name].needs
    given = {
        "target_column": VIEW.target_column,
        "reference_columns": VIEW.reference_columns,
        "reference_in": VIEW.reference_in,
        "reference_out": VIEW.reference_out,
        "population": VIEW.population,
    }
    scores = score(name)
    assert auc(scores[AUDITED], MEMBERS[AUDITED]) > FOUND[name]
    shuffled = np.random.default_rng(5).permutation(VIEW.labels)
    for labels in (shuffled, None):
        np.testing.assert_array_equal(scores, score(name, View.from_logits(VIEW.outputs, labels, **given)))
    np.testing.assert_array_equal(scores, score(name, dataclasses.replace(VIEW, labelled=False)))


@on_outputs
def test_whether_an_attack_looks_at_labels_is_told_the_truth(name):
    # Every attack that says "labels" changes with them, or asks for them; what does not say so is in LABEL_FREE.
    attack = ATTACKS[name]
    assert ("labels" in attack.needs) == (name not in LABEL_FREE)
    if "labels" in attack.needs:
        with pytest.raises(InputError, match=r"needs .*labels of the records.*: this audit has none"):
            attack.score(dataclasses.replace(VIEW, labelled=False), rng=np.random.default_rng(0))
    if "labels" in attack.needs and name != "gradient-norm":  # whose labels went into the norms
        with pytest.raises(InputError, match="label"):  # the declaration is no formality
            attack._score(dataclasses.replace(VIEW, labelled=False), rng=np.random.default_rng(0))


def test_the_maximum_probability_is_that_of_the_naive_formula():
    p = np.exp(VIEW.target_log_probabilities()).max(axis=-1)
    np.testing.assert_allclose(score("max-probability"), np.log(p / (1 - p)).mean(axis=1), rtol=1e-6)


def test_with_signals_that_need_no_label_several_of_them_beside_references_need_none():
    attack = MultiSignalLiRA(signals=("top-log-odds", "top-gap", "entropy"))
    assert attack.needs == {"in-references"}
    scores = attack.score(dataclasses.replace(VIEW, labelled=False), rng=np.random.default_rng(0))
    assert auc(scores[AUDITED], MEMBERS[AUDITED]) > 0.8


def test_the_table_is_data():
    rows = json.loads(json.dumps(table()))
    assert [row["name"] for row in rows] == list(ATTACKS)
    assert all(row["title"] and row["source"] for row in rows)
    assert len({row["title"] for row in rows}) == len(rows)
    assert {row["access"] for row in rows} == {"label", "probabilities", "logits", "gradients", "weights"}


def test_defaults_follow_access_and_what_is_at_hand():
    everything = set(NEEDS)
    labels = {"labels"}
    assert default_attacks(everything, "weights", n_known=100) == list(BY_DEFAULT)
    assert {"fes-mia-ss", "fes-mia-ss-label-free"} <= set(default_attacks(everything, "logits", n_known=1))
    assert not [name for name in default_attacks(everything, "weights", n_known=0) if name.startswith("fes-mia")]
    assert default_attacks(everything, "label") == ["correctness", "label-only-aerni"]
    assert default_attacks(labels, Access.LOGITS) == ["loss", "entropy", "modified-entropy", "correctness"]
    assert default_attacks(set(), Access.LOGITS) == ["entropy", "max-probability"]
    assert default_attacks({"in-references", "out-references"}, "logits")[-1] == "salem-top-3"
    assert "gradient-norm" not in default_attacks(everything, "logits")
    assert "rmia-offline" not in default_attacks({"labels", "out-references"}, "logits")
    assert "lira-online" not in default_attacks({"labels", "out-references"}, "logits")
    with pytest.raises(InputError, match="access level"):
        default_attacks(everything, "everything")


def test_an_unknown_name_suggests_the_closest():
    with pytest.raises(InputError, match="did you mean 'lira-online'"):
        find_attack("lira-onlin")


def test_options_are_checked():
    with pytest.raises(InputError, match="per_sample, residual, official"):
        LiRA("online", variance="global")
    with pytest.raises(InputError, match="online, offline"):
        RMIA("on-line")
    with pytest.raises(InputError, match="a must be a number from 0 to 1"):
        RMIA("offline", a=1.5)
    with pytest.raises(InputError, match="statistic"):
        GlobalThreshold("cross-entropy")


@dataclasses.dataclass(frozen=True)
class Faulty(Attack):
    scores: np.ndarray
    title = "faulty"
    source = "a test"

    def _score(self, view, *, rng):
        return self.scores


@pytest.mark.parametrize("scores", [np.zeros((5, 1)), np.zeros(5, np.float32), np.array([0, 1, np.nan, 3, 4])])
def test_the_outer_call_refuses_what_is_no_score(scores):
    view = View.from_logits(np.zeros((5, 1, 1, 3), np.float32), np.zeros(5, int), target_column=0)
    with pytest.raises((InputError, TypeError)):
        Faulty(scores).score(view, rng=np.random.default_rng(0))
