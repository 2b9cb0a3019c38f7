"""The checks that must hold before an audit may claim anything.

Each gate says what it guards: a failed gate that guards both claims makes the audit INVALID; one that
guards absence alone leaves a found leak standing, but turns "no evidence" into INCONCLUSIVE.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from scipy.stats import rankdata
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seepage import metrics
from seepage.auditing.controls import Controls
from seepage.auditing.evidence import Evidence
from seepage.auditing.findings import Scored
from seepage.auditing.settings import Settings
from seepage.report.result import Gate

# Gates fire at a level so strict that a sound audit is thrown away once in a thousand times.
GATE_LEVEL = 1e-3
# Fewer records a side than this cannot carry a statement that nothing leaks.
FEWEST_RECORDS = 50
# A share of the records beyond this on both sides is no accident of duplicates.
MOST_OVERLAP = 0.05
# References this much less accurate than the target are another kind of model.
ACCURACY_SLACK = 0.05
_BLIND_RECORDS = 4000
_BLIND_FEATURES = 50


@dataclass(frozen=True)
class Check:
    """A gate, and what falls with it."""

    gate: Gate
    guards: str = "both"  # "both" claims, or "absence" alone

    @property
    def failed(self) -> bool:
        return self.gate.status == "fail"


def twins(evidence: Evidence) -> Bool[np.ndarray, " samples"]:
    """Audited records that have an identical twin which some target treats differently.

    Such a record is a member and a non-member at once; no attack can be judged on it.
    """
    found = np.zeros(len(evidence.labels), dtype=bool)
    if evidence.records is None:
        return found
    targets = evidence.membership.targets
    for group in evidence.records.duplicates():
        if (targets[group] != targets[group[0]]).any():
            found[group] = True
    return found & evidence.membership.audit


def overlap(evidence: Evidence, n_twins: int) -> Check:
    question = "Are members and non-members different records?"
    if evidence.records is None:
        return Check(_not_run("overlap", question, "no records were given", "audit with the records themselves"))
    n = int(evidence.membership.audit.sum())
    if n_twins > MOST_OVERLAP * n:
        detail = f"{n_twins} of {n} audited records are on both sides"
        return Check(_failed("overlap", question, detail, "remove the records that are in both lists"))
    detail = f"{n_twins} of {n} audited records have a twin on the other side and were left out" if n_twins else (
        "no record is on both sides"
    )  # fmt: skip
    return Check(_passed("overlap", question, detail))


def randomised(evidence: Evidence) -> Check:
    question = "Was membership random, given everything else about the records?"
    origin = evidence.membership.origin
    if origin == "unknown":
        detail = "nobody said how the members were chosen, so a difference may have another cause than the training"
        way_out = "draw members at random and say so (membership 'declared'), or let the audit draw them"
        return Check(_not_run("randomised membership", question, detail, way_out))
    by = "drawn by this audit" if origin == "drawn" else "declared by the user"
    return Check(_passed("randomised membership", question, f"membership at random, {by}"))


def blind_baseline(evidence: Evidence, rows: np.ndarray, rng: np.random.Generator) -> Check:
    """Can the sides be told apart by the records alone, without any model?

    Two classifiers (linear, boosted trees) on the records' values and labels are cross-validated five-fold; the
    sides differ if one of them finds more than chance would once in a thousand audits (Das, Zhang and Tramèr
    2024: blind baselines).
    """
    name, question = "blind baseline", "Can the sides be told apart without any model?"
    if evidence.records is None:
        return Check(_not_run(name, question, "no records were given", "audit with the records themselves"))
    members = evidence.membership.targets[rows, 0]
    chosen = _both_sides(members, _BLIND_RECORDS, rng)
    members = members[chosen]
    if min(members.sum(), (~members).sum()) < 10:
        return Check(_not_run(name, question, "fewer than 10 records on a side", "audit more records"))
    inputs = evidence.records.batch(rows[chosen]).reshape(len(chosen), -1).astype(np.float64)
    one_hot = np.eye(evidence.logits.shape[-1])[evidence.labels[rows[chosen]]]
    p_values, aucs = zip(*_blind_tests(np.hstack([inputs, one_hot]), members, rng), strict=True)
    p_value, auc = min(1.0, len(p_values) * min(p_values)), aucs[int(np.argmin(p_values))]
    detail = f"a classifier on the records alone reaches AUC {auc:.3f} (p = {p_value:.2g}, n = {len(members)})"
    if p_value < GATE_LEVEL:
        way_out = "take non-members from the same source as the members, chosen by a coin, before training"
        return Check(_failed(name, question, detail, way_out))
    return Check(_passed(name, question, detail))


def _both_sides(members: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of at most `most` records, half from each side where there are enough."""
    sides = [rng.permutation(np.flatnonzero(members == side))[: most // 2] for side in (True, False)]
    return np.sort(np.concatenate(sides))


def _blind_tests(features: Float64[np.ndarray, "records features"], members: np.ndarray, rng) -> list:
    seed = int(rng.integers(2**31))
    n_components = min(_BLIND_FEATURES, features.shape[1], len(features) // 2)
    reduce = [StandardScaler(), PCA(n_components, random_state=seed)] if features.shape[1] > _BLIND_FEATURES else []
    models = [
        make_pipeline(*reduce, StandardScaler(), LogisticRegression(C=0.1, max_iter=200)),
        make_pipeline(*reduce, HistGradientBoostingClassifier(max_iter=50, random_state=seed)),
    ]
    folds = list(StratifiedKFold(5, shuffle=True, random_state=seed).split(features, members))
    tests = []
    for model in models:
        scores = np.empty(len(members))
        for train, test in folds:
            predicted = model.fit(features[train], members[train]).predict_proba(features[test])[:, 1]
            # Ranks within the fold: classifiers of different folds are on different scales. Equal predictions
            # share a rank, else the records' order would decide, which often gives the sides away.
            scores[test] = rankdata(predicted) / len(test)
        tests.append((metrics.leak_p_value(scores, members), metrics.auc(scores, members)))
    return tests


def sample_size(members: Bool[np.ndarray, "records targets"], settings: Settings) -> Check:
    name, question = "sample size", "Are there enough records for the rates asked for?"
    n_in, n_out = int(members.sum(axis=0).min()), int((~members).sum(axis=0).min())
    rates = sorted((rate for rate in settings.rates if rate > 0), reverse=True)
    undefined = [f"{rate:.3g}" for rate in rates if n_out * rate < 1]
    thin = [f"{rate:.3g}" for rate in rates if 1 <= n_out * rate < 10]
    detail = f"{n_in} members, {n_out} non-members"
    detail += f"; undefined at FPR {', '.join(undefined)}" if undefined else ""
    detail += f"; fewer than 10 false positives allowed at FPR {', '.join(thin)}" if thin else ""
    if min(n_in, n_out) < FEWEST_RECORDS:
        way_out = f"audit at least {FEWEST_RECORDS} records a side; 10 / FPR non-members for a given FPR"
        return Check(_failed(name, question, detail, way_out), guards="absence")
    return Check(_passed(name, question, detail))


def reference_accuracy(evidence: Evidence, rows: np.ndarray) -> Check:
    name, question = "references like the target", "Do the references reach the target's accuracy?"
    if not evidence.reference_models:
        way_out = "give a recipe, so that references are trained the way the target was"
        return Check(_not_run(name, question, "no reference models", way_out))
    rows = evidence.ordinary(rows)
    correct, membership = evidence.correct[rows], evidence.membership
    target = np.mean(
        [correct[~m, model].mean() for m, model in zip(membership.targets[rows].T, evidence.target_models, strict=True)]
    )
    per_reference = [
        correct[~m, model].mean()
        for m, model in zip(membership.references[rows].T, evidence.reference_models, strict=True)
        if not m.all()
    ]
    if not per_reference:
        way_out = "give references that were not trained on all of the records"
        return Check(_not_run(name, question, "every reference was trained on every record", way_out))
    mean = np.mean(per_reference)
    # How far one model's accuracy lies from another's: between trainings, and by the choice of records.
    noise = np.hypot(np.std(per_reference), np.sqrt(mean * (1 - mean) / len(rows)))
    noise *= np.sqrt(1 / len(evidence.target_models) + 1 / len(per_reference))
    detail = f"on records they were not trained on: target {target:.1%}, {len(per_reference)} references {mean:.1%}"
    if target - mean > max(ACCURACY_SLACK, 3 * noise):
        way_out = "train the references with the target's own recipe and as many records"
        return Check(_failed(name, question, detail, way_out), guards="absence")
    return Check(_passed(name, question, detail))


def reference_balance(evidence: Evidence, rows: np.ndarray, rng: np.random.Generator) -> Check:
    """Does the number of references that hold a record give its membership in the target away?"""
    name, question = "references balanced", "Is the number of references that hold a record free of the answer?"
    if not evidence.reference_models:
        return Check(_not_run(name, question, "no reference models", "none needed: there is nothing to balance"))
    members = evidence.membership.targets[rows, 0]
    counts = [mask[rows].sum(axis=1) for mask in evidence.membership.reference_masks(0, rng=rng)]
    p_value = min(
        1.0, 4 * min(metrics.leak_p_value(sign * c.astype(float), members) for c in counts for sign in (1, -1))
    )
    detail = f"records are in {counts[0].min()} to {counts[0].max()} and out of {counts[1].min()} to {counts[1].max()}"
    detail += f" references; the counts as scores: p = {p_value:.2g}"
    if p_value < GATE_LEVEL:
        way_out = "draw the references' columns without looking at the target's"
        return Check(_failed(name, question, detail, way_out))
    return Check(_passed(name, question, detail))


def degenerate(scored: Scored, evidence: Evidence) -> Check:
    name, question = "signals vary", "Do the scores differ between records?"
    constant = [attack for attack, scores in scored.scores.items() if (scores == scores[:1]).all()]
    answers = evidence.logits[np.ix_(scored.rows, evidence.target_models)]
    if len(constant) == len(scored.scores) or (answers == answers[:1]).all():
        detail = "the target gives all records the same answer"
        way_out = "check that the outputs belong to the records; an audit of constant answers can see nothing"
        return Check(_failed(name, question, detail, way_out))
    detail = f"constant for: {', '.join(constant)}" if constant else "no attack gives a constant score"
    return Check(_passed(name, question, detail))


def null_model(controls: Controls) -> Check:
    name, question = "null model", "Do the attacks stay silent on a model that never saw the records?"
    if controls.null is None:
        way_out = "give a pool with a population and a recipe, and the audit trains one"
        return Check(_not_run(name, question, controls.why_no_null, way_out))
    least = min(controls.null.p_values_holm.values())
    detail = f"smallest corrected p-value {least:.2g}, on the same sides"
    if least < GATE_LEVEL:
        way_out = "the sides differ by more than membership: look for a difference in how they were collected"
        return Check(_failed(name, question, detail, way_out))
    return Check(_passed(name, question, detail))


def positive_control(controls: Controls, settings: Settings) -> Check:
    name, question = "positive control", "Do the attacks find the leak of an overfitted model?"
    if controls.positive is None:
        way_out = "give a pool and a recipe, and the audit trains one"
        return Check(_not_run(name, question, controls.why_no_positive, way_out), guards="absence")
    least = min(controls.positive.p_values_holm.values())
    detail = f"smallest corrected p-value {least:.2g} on a model trained as long on a tenth of the records"
    if least > settings.alpha:
        return Check(_failed(name, question, detail, "audit more records, or with more references"), guards="absence")
    return Check(_passed(name, question, detail))


def _passed(name: str, question: str, detail: str) -> Gate:
    return Gate(name=name, question=question, status="pass", detail=detail)


def _failed(name: str, question: str, detail: str, way_out: str) -> Gate:
    return Gate(name=name, question=question, status="fail", detail=detail, way_out=way_out)


def _not_run(name: str, question: str, detail: str, way_out: str) -> Gate:
    return Gate(name=name, question=question, status="not run", detail=detail, way_out=way_out)
