"""The tables of a result: controls, exposed records, classes, groups, target, training, provenance."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from scipy.special import log_softmax
from scipy.stats import t as student

from seepage import metrics
from seepage.attacks import Attack
from seepage.metrics.calibration import expected_calibration_error, negative_log_likelihood, reliability
from seepage.runs.store import digest
from seepage.schema import audit as report
from seepage.schema.estimates import Estimate
from seepage.schema.parts import Provenance
from seepage.schema.saved import LARGEST, MOST_ROWS
from seepage.schema.training import Target, Training
from seepage.studies.audit.controls import Controls
from seepage.studies.audit.ensemble import per_record
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.findings import Scored
from seepage.studies.audit.gather import Trainer
from seepage.studies.settings import Settings

UNKNOWN = Estimate(value=None, low=None, high=None, n=0, flag="unknown: the records have no labels")
MOST_VALUES = 1_000_000  # of all records that are shown


def control_rows(controls: Controls, settings: Settings, rng) -> list[report.Control]:
    rows = []
    for name, expects, scored in (
        ("null model", "nothing found", controls.null),
        ("positive control", "leak found", controls.positive),
    ):
        if scored is not None:
            scores = scored.scores[scored.leading]
            auc = metrics.roc_auc(scores, scored.members, confidence=settings.confidence, rng=rng)
            rows.append(
                report.Control(
                    name=name,
                    expects=expects,
                    p_value_holm=scored.p_values_holm[scored.leading],
                    best_attack=scored.leading,
                    auc=(auc),
                )
            )
    return rows


def exposed(scored: Scored, evidence: Evidence, settings: Settings) -> list[report.ExposedRecord]:
    """The members that stand out most, under the leading attack.

    With several targets a record's p-value is twice the median over those that hold it, which is a valid
    p-value whatever the dependence between targets. The q-value is corrected for having chosen the attack.
    """
    scores, members = scored.scores[scored.leading], scored.members
    p_values = np.full(scores.shape, np.nan)
    for target in range(scores.shape[1]):
        is_member = members[:, target]
        p_values[is_member, target] = metrics.exposure(scores[:, target], is_member)[0]
    held = ~np.isnan(p_values).all(axis=1)
    combined = np.nanmedian(p_values[held], axis=1) * (1 if scores.shape[1] == 1 else 2)
    combined = np.minimum(combined, 1.0)
    q_values = np.minimum(1.0, len(scored.scores) * metrics.benjamini_hochberg(combined))
    mean_score = np.nanmean(np.where(members, scores, np.nan)[held], axis=1)
    records = np.flatnonzero(held)
    order = np.lexsort((-mean_score, combined))[: settings.show_records]
    names, pool = evidence.names, evidence.records
    classes = class_names(evidence)
    together = {name: array.max(axis=1) for name, array in per_record(scored).items()}
    exposed = []
    # Large records would make a file that cannot be read again: then only the first, the most exposed, are shown whole.
    n_shown = 0 if pool is None or not settings.show_values else MOST_VALUES // max(1, math.prod(pool.inputs.shape[1:]))
    for at, place in enumerate(order):
        row = int(scored.rows[records[place]])
        values = None
        if at < n_shown:
            values = pool.batch([row]).ravel().tolist()
        exposed.append(
            report.ExposedRecord(
                id=str(names[row]),
                label=None if evidence.labels is None else classes[evidence.labels[row]],
                group=None if pool is None or pool.groups is None else str(pool.groups[row]),
                score=float(np.clip(np.nan_to_num(mean_score[place]), -LARGEST, LARGEST)),  # a file has no infinity
                p_value=float(combined[place]),
                q_value=float(q_values[place]),
                rank_average=float(together["rank_average"][records[place]]),
                n_found=int(together["n_found"][records[place]]),
                values=values,
            )
        )
    return exposed


def class_names(evidence: Evidence) -> list[str]:
    pool = evidence.records
    if pool is not None and pool.classes is not None:
        return list(pool.classes)
    return list(map(str, range(evidence.logits.shape[-1]) if evidence.classes is None else evidence.classes))


def class_slices(scored: Scored, evidence: Evidence, rng) -> list[report.Slice]:
    """None without labels: classes that the model predicts are no property of the records."""
    if evidence.labels is None:
        return []
    return slices(scored, evidence, evidence.labels, class_names(evidence), rng)


def group_slices(scored: Scored, evidence: Evidence, rng) -> list[report.Slice]:
    if evidence.records is None or evidence.records.groups is None:
        return []
    names, groups = np.unique(evidence.records.groups, return_inverse=True)
    return slices(scored, evidence, groups, list(map(str, names)), rng)


def slices(scored: Scored, evidence: Evidence, part: np.ndarray, names: list[str], rng) -> list[report.Slice]:
    """The leading attack and the accuracies in each part of the audited records.

    Where there are too many parts to list, the smallest stand together in the last row.
    """
    sizes = np.bincount(part[scored.rows], minlength=len(names))
    if (sizes > 0).sum() > MOST_ROWS:
        listed = np.sort(np.argsort(-sizes, kind="stable")[: MOST_ROWS - 1])
        place = np.full(len(names), len(listed))
        place[listed] = np.arange(len(listed))
        rest = (sizes > 0).sum() - len(listed)
        part, names = place[part], [*(names[one] for one in listed), f"the {rest:,} smallest others, together"]
    rows, members, scores = scored.rows, scored.members, scored.scores[scored.leading]
    correct = None if evidence.correct is None else evidence.correct[np.ix_(rows, evidence.target_models)]
    slices = []
    for index in np.unique(part[rows]):
        here = part[rows] == index
        m, s, c = members[here], scores[here], None if correct is None else correct[here]
        if min(m.sum(axis=0).min(), (~m).sum(axis=0).min()) >= 2:
            auc = metrics.roc_auc(s, m, confidence=scored.settings.confidence, rng=rng)
        else:
            auc = Estimate(value=None, low=None, high=None, n=len(m), flag="fewer than 2 records on a side")
        slices.append(
            report.Slice(
                name=names[index],
                n_members=float(m.sum(axis=0).mean()),
                n_nonmembers=float((~m).sum(axis=0).mean()),
                accuracy_members=float(c[m].mean()) if c is not None and m.any() else None,
                accuracy_nonmembers=float(c[~m].mean()) if c is not None and (~m).any() else None,
                auc=auc,
            )
        )
    return slices


def target(evidence: Evidence, rows: np.ndarray, settings: Settings, rng: np.random.Generator) -> Target:
    rows = evidence.ordinary(rows)
    members = evidence.membership.targets[rows]
    if evidence.labels is None:
        known = {f"accuracy_{side}": UNKNOWN for side in ("members", "nonmembers")}
    else:
        correct = evidence.correct[np.ix_(rows, evidence.target_models)]
        known = {
            "accuracy_members": _accuracy(correct, members, settings.confidence),
            "accuracy_nonmembers": _accuracy(correct, ~members, settings.confidence),
            **_calibration(evidence, rows, ~members, settings.confidence, rng),
        }
    return Target(
        kind=evidence.kind,
        access=str(evidence.access),
        n_targets=len(evidence.target_models),
        n_queries=evidence.n_asked,
        fingerprint=evidence.fingerprint or _outputs_digest(evidence.logits[:, evidence.target_models]),
        n_parameters=evidence.n_parameters,
        **known,
    )


def _calibration(evidence: Evidence, rows: np.ndarray, outside: np.ndarray, confidence: float, rng) -> dict:
    """Calibration error and negative log-likelihood of each target's answers on what it was not trained on."""
    errors, losses = [], []
    for place, model in enumerate(evidence.target_models):
        some = rows[outside[:, place]]
        if not len(some):
            continue
        answers, labels = log_softmax(evidence.logits[some, model, 0].astype(np.float64), axis=1), evidence.labels[some]
        losses.append(negative_log_likelihood(answers, labels, confidence=confidence))
        if len(evidence.target_models) == 1:
            errors.append(expected_calibration_error(np.exp(answers), labels, confidence=confidence, rng=rng))
        else:  # the interval is over the models: no resampling within each
            bins = reliability(np.exp(answers), labels, confidence=confidence)
            gaps = np.abs(bins.accuracy - bins.confidence)
            errors.append(np.nansum(bins.counts * gaps) / len(some))
    if len(errors) == 1:
        return {"calibration_error": (errors[0]), "negative_log_likelihood": (losses[0])}
    each = {"calibration_error": errors, "negative_log_likelihood": [loss.value for loss in losses]}
    return {name: mean_over_targets(np.array(values), confidence, most=None) for name, values in each.items() if values}


def _outputs_digest(logits: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(logits)).hexdigest()


def _accuracy(correct: np.ndarray, chosen: np.ndarray, confidence: float) -> Estimate:
    """Accuracy on the chosen records: Clopper-Pearson for one model, mean and Student's interval over several."""
    if correct.shape[1] == 1:
        return metrics.proportion(correct[chosen[:, 0], 0], confidence=confidence)
    each = np.array([c[m].mean() for c, m in zip(correct.T, chosen.T, strict=True) if m.any()])
    return mean_over_targets(each, confidence, most=1.0)


def mean_over_targets(each: np.ndarray, confidence: float, most: float | None) -> Estimate:
    """Mean over models and Student's interval, cut to what is possible."""
    mean, half = float(each.mean()), 0.0
    if len(each) > 1:
        half = float(student.ppf(0.5 + confidence / 2, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each)))
    high = mean + half if most is None else min(most, mean + half)
    return Estimate(value=mean, low=max(0.0, mean - half), high=high, n=len(each))


def training(evidence: Evidence, rows: np.ndarray, settings: Settings, plans: dict) -> Training | None:
    if evidence.training is None:
        return None
    plan, rows = evidence.training.plan, evidence.ordinary(rows)
    models = evidence.reference_models or evidence.target_models
    members = (evidence.membership.references if evidence.reference_models else evidence.membership.targets)[rows]
    correct = evidence.correct[np.ix_(rows, models)]
    return Training(
        n_models=len(models),
        engine=plan.engine,
        workers=plan.workers,
        chunk=plan.chunk,
        stacked_step_s=plan.stacked_step_s,
        single_step_s=plan.single_step_s,
        seconds=evidence.training.seconds,
        recipe=evidence.training.recipe,
        plans=plans,
        train_accuracy=_accuracy(correct, members, settings.confidence),
        test_accuracy=_accuracy(correct, ~members, settings.confidence),
    )


def provenance(
    evidence: Evidence, settings: Settings, trainer: Trainer, started: float, attacks: Mapping[str, Attack]
) -> Provenance:
    run = trainer.run
    pool = evidence.records
    fingerprint = pool.fingerprint if pool is not None else digest(_outputs_digest(evidence.logits))
    return Provenance.now(
        started=started,
        seed=trainer.root_seed,
        data="outputs" if pool is None else pool.name,
        data_fingerprint=fingerprint,
        n_records=evidence.n_samples,
        membership=evidence.membership.origin,
        command=run.command or f"seepage.audit(..., run=Run(seed={trainer.root_seed}))",
        settings={
            **asdict(settings),
            "attacks": list(attacks) if attacks else "default",
            "queries": trainer.queries,
            **({"config": dict(run.config)} if run.config else {}),
        },
    )
