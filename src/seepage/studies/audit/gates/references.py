"""Gates on the references: like the target, balanced, and each behind its own column of the membership."""

import numpy as np
from scipy.special import ndtri
from scipy.stats import norm, rankdata

from seepage import metrics
from seepage.models.access import Access
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.gates.check import (
    GATE_LEVEL,
    GIVE_LABELS,
    NO_LABELS,
    SET_UP_LEVEL,
    Check,
    failed,
    not_run,
    passed,
)

# References that differ this much from the target in accuracy are another kind of model.
ACCURACY_SLACK = 0.05
# Standard deviation of the accuracy between trainings by one recipe: few references cannot tell that it is less.
LEAST_SPREAD = 0.03
MOST_RECORDS = 4000


def reference_accuracy(evidence: Evidence, rows: np.ndarray) -> Check:
    """Target and references compared record by record, on what neither was trained on.

    d_i = 1[target right] - share of the references OUT of record i that are right, over the target's non-members. The
    mean of d varies by the choice of records, var(d) / n, and from training to training, which shows in the accuracies
    of the references beyond what the choice of their records explains; 3 points of standard deviation are granted in
    any case, because few references cannot tell.
    """
    name, question = "references like the target", "Are the references as accurate as the target?"
    if not evidence.labelled:
        return not_run(name, question, NO_LABELS, GIVE_LABELS)
    if not evidence.reference_models:
        way_out = "give a recipe, so that references are trained the way the target was"
        return not_run(name, question, "no reference models", way_out)
    rows = evidence.ordinary(rows)
    membership = evidence.membership
    gaps, variances, accuracies, between = [], [], [], []
    for inside, model in zip(membership.targets[rows].T, evidence.target_models, strict=True):
        out = rows[~inside]
        others = [at for at, m in enumerate(evidence.reference_models) if m != model]
        right = evidence.correct[np.ix_(out, [evidence.reference_models[at] for at in others])]
        is_out = ~membership.references[np.ix_(out, others)]
        compared = is_out.any(axis=1)
        if compared.sum() < 2:
            continue
        expected = (right & is_out)[compared].sum(axis=1) / is_out[compared].sum(axis=1)
        gap = evidence.correct[out[compared], model] - expected
        some = is_out.any(axis=0)
        each = (right & is_out)[:, some].sum(axis=0) / is_out[:, some].sum(axis=0)
        gaps.append(gap.mean())
        variances.append(gap.var(ddof=1) / len(gap))
        accuracies.append(evidence.correct[out[compared], model].mean())
        # The target's own training varies too; the references' part is common to all targets.
        spread = _between(each, is_out[:, some].sum(axis=0))
        between.append(spread * (1 / len(evidence.target_models) + 1 / len(each)))
    if not gaps:
        way_out = "give references that were not trained on all of the records"
        return not_run(name, question, "every reference was trained on every record", way_out)
    gap = float(np.mean(gaps))
    noise = np.sqrt(np.mean(variances) + np.mean(between))
    target = float(np.mean(accuracies))
    detail = (
        f"on records they were not trained on: target {target:.1%}, {len(evidence.reference_models)} references "
        f"{target - gap:.1%}"
    )
    if abs(gap) <= max(ACCURACY_SLACK, ndtri(1 - SET_UP_LEVEL / 2) * noise):
        return passed(name, question, detail)
    if gap > 0:
        way_out = "train the references with the target's own recipe and as many records"
    else:
        way_out = (
            "check that the target's trained weights were loaded, its labels and the scale of its inputs; or train the "
            "references with the target's own recipe"
        )
    return failed(name, question, detail, way_out, guards="absence")


def _between(accuracies: np.ndarray, n_records: np.ndarray) -> float:
    """Variance of the accuracy from training to training (method of moments), at least that of LEAST_SPREAD."""
    beyond = 0.0
    if len(accuracies) > 1:
        beyond = accuracies.var(ddof=1) - (accuracies * (1 - accuracies) / n_records).mean()
    return max(beyond, LEAST_SPREAD**2)


def reference_balance(evidence: Evidence, rows: np.ndarray, rng: np.random.Generator) -> Check:
    """Does the number of references that hold a record give its membership in the target away?"""
    name, question = "references balanced", "Is the number of references that hold a record free of the answer?"
    if not evidence.reference_models:
        return not_run(name, question, "no reference models", "none needed: there is nothing to balance")
    members = evidence.membership.targets[rows, 0]
    counts = [mask[rows].sum(axis=1) for mask in evidence.membership.reference_masks(0, rng=rng)]
    p_value = min(
        1.0, 4 * min(metrics.leak_p_value(sign * c.astype(float), members) for c in counts for sign in (1, -1))
    )
    detail = f"records are in {counts[0].min()} to {counts[0].max()} and out of {counts[1].min()} to {counts[1].max()}"
    detail += f" references; the counts as scores: p = {p_value:.2g}"
    if p_value < GATE_LEVEL:
        way_out = "draw the references' columns without looking at the target's"
        return failed(name, question, detail, way_out)
    return passed(name, question, detail)


def own_columns(evidence: Evidence, rows: np.ndarray, rng: np.random.Generator) -> Check:
    """Does each model remember the records of its own column of the membership?

    z of model m and column j: the rank sum of the losses of m's answers (without labels, of minus the log-odds of the
    likeliest class) among the members of j, in standard deviations of a random column. A model whose z with another
    column is surely larger than |z| with its own was given another model's column; references whose own z together is
    surely negative have their membership inverted.
    """
    name, question = "models and columns", "Does each model remember the records that its own column names?"
    if not evidence.reference_models or evidence.access == Access.LABEL:
        why = "no reference models" if not evidence.reference_models else "labels alone do not show it"
        return not_run(name, question, why, "audit with reference models and probabilities")
    rows = rng.permutation(rows)[:MOST_RECORDS]
    membership = evidence.membership
    columns, models = membership.references[rows], evidence.reference_models
    if not membership.turns:
        columns = np.hstack([membership.targets[rows], columns])
        models = [*evidence.target_models, *models]
    inside = columns - columns.mean(axis=0)
    spread = columns.std(axis=0)
    sure = -evidence.signals["loss"] if evidence.labelled else evidence.signals["top-log-odds"]
    ranks = rankdata(sure[rows, :, 0][:, models], axis=0)
    ranks -= ranks.mean(axis=0)
    ranks /= np.maximum(ranks.std(axis=0), 1e-12)
    standard = inside / np.where(spread > 0, spread, np.inf)
    z = ranks.T @ standard / np.sqrt(len(rows) - 1)
    own, n = np.diag(z), len(models)
    n_targets = 0 if membership.turns else len(evidence.target_models)
    # Columns that are alike, over answers that are alike, make these z alike: the variance under shuffled records.
    alike = ((ranks.T @ ranks) * (standard.T @ standard))[n_targets:, n_targets:].sum() / len(rows) ** 2
    together = own[n_targets:].sum() / np.sqrt(max(alike, 1e-9))
    excess = (z - np.abs(own)[:, None]) / np.sqrt(2)
    worst, column = np.unravel_index(excess.argmax(), excess.shape)
    if excess[worst, column] > ndtri(1 - SET_UP_LEVEL / (2 * n * n)) and z[worst, column] > ndtri(1 - SET_UP_LEVEL):
        detail = (
            f"model {worst} remembers the records of column {column} (z = {z[worst, column]:.1f}), not those of its "
            f"own (z = {own[worst]:.1f})"
        )
        return failed(name, question, detail, "put the membership's columns into the order of the models")
    if norm.cdf(together) < SET_UP_LEVEL / 2:
        detail = f"{n - n_targets} references are surer of records that they were not trained on (z = {together:.1f})"
        return failed(
            name, question, detail, "the membership seems inverted: True (1) must mean that a model was trained"
        )
    return passed(name, question, f"no model is nearer to another column; references and their own: z = {together:.1f}")
