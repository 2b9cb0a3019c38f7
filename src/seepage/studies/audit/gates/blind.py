"""The blind baseline: can the sides be told apart by the records alone, without any model?"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.stats import rankdata
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from seepage import metrics
from seepage.data.traits import Traits, traits
from seepage.metrics.separation import random_half
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.gates.check import GATE_LEVEL, Check, failed, not_run, passed

MOST_RECORDS = 4000
MOST_BYTES = 1 << 28  # of the records that are looked at, as float32
MOST_COMPONENTS = 50
MOST_CLASSES = 50
LEAST_SIDE = 10


class Difference(NamedTuple):
    """What tells the sides apart best: p-value corrected for all that was tried, AUC, and what it was."""

    p_value: float
    auc: float
    by: str


def blind_baseline(evidence: Evidence, rows: np.ndarray, rng: np.random.Generator) -> Check:
    name, question = "blind baseline", "Can the sides be told apart without any model?"
    if evidence.records is None:
        return not_run(name, question, "no records were given", "audit with the records themselves")
    chosen = some_of_both(evidence, rows, MOST_RECORDS, rng)
    members = evidence.membership.targets[chosen, 0]
    if min(members.sum(), (~members).sum()) < LEAST_SIDE:
        return not_run(name, question, f"fewer than {LEAST_SIDE} records on a side", "audit more records")
    labels = None if evidence.labels is None else evidence.labels[chosen]
    found = difference(evidence.records.batch(chosen), labels, members, rng)
    detail = f"AUC {found.auc:.3f} by {found.by}, p = {found.p_value:.2g}, n = {len(members)}"
    if found.p_value < GATE_LEVEL:
        way_out = "take non-members from the same source as the members, chosen by a coin, before training, and "
        return failed(name, question, f"they can: {detail}", way_out + "prepare both sides by the same code")
    return passed(name, question, f"nothing tells them apart; most does: {detail}")


def some_of_both(evidence: Evidence, rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """At most `most` of the rows, half from each side where there are enough, and no more than fit the memory.

    They come in random order: whatever breaks ties by place knows nothing of the sides then.
    """
    most = int(np.clip(MOST_BYTES // (4 * evidence.records.inputs[0].size), 500, most))
    members = evidence.membership.targets[rows, 0]
    sides = [rng.permutation(rows[members == side])[: most // 2] for side in (True, False)]
    return rng.permutation(np.concatenate(sides))


def difference(
    records: np.ndarray | Sequence[str],
    labels: Int64[np.ndarray, " records"] | None,
    members: Bool[np.ndarray, " records"],
    rng: np.random.Generator,
) -> Difference:
    """Look for a difference between the sides, in both directions.

    Half of the level goes to named traits of the kind of record (`seepage.data.traits`), each a rank test of all
    records. Half goes to two classifiers of the side (linear, trees) on values, traits and labels, and to one of the
    label: how well its label fits a record must not depend on the side (labels shuffled on one side, another labeller).
    Each is trained on a random half and judged on the other, both ways round, so that every judged score is independent
    of the judged records' sides. An AUC surely below one half counts too: it is the mark of pairs that were split over
    the sides.

    Args:
        records: numbers (records, ...), or texts.
        labels: class numbers; None where there are none: values and traits alone are looked at then.
        members: True = member.
        rng: draws the halves.

    Returns:
        A p-value that is valid whatever the records are, if membership is random given records and labels.

    Reference: Das, Zhang and Tramèr (2024), arXiv 2406.16201, for the idea; the tests are ours.
    """
    seen = traits(records)
    n_tests = 2 * max(1, len(seen.names))
    by_trait = [
        Difference(n_tests * metrics.leak_p_value(sign * column, members), metrics.auc(column, members), f"'{trait}'")
        for trait, column in zip(seen.names, seen.values.T, strict=True)
        for sign in (1.0, -1.0)
    ]
    by_classifier = _classifiers(_features(records, seen, rng), labels, members, rng)
    best = min([*by_trait, *by_classifier])
    return best._replace(p_value=min(1.0, 2 * best.p_value))


def _features(
    records: np.ndarray | Sequence[str], seen: Traits, rng: np.random.Generator
) -> Float64[np.ndarray, "records features"]:
    """Values (or their principal components and what these leave over), and traits; each column from -1 to 1."""
    seed = int(rng.integers(2**31))
    if isinstance(records[0], str):
        words = HashingVectorizer(n_features=1 << 14, alternate_sign=False).transform(records)
        parts = [TruncatedSVD(min(MOST_COMPONENTS, len(records) - 1), random_state=seed).fit_transform(words)]
    else:
        flat = np.nan_to_num(records.reshape(len(records), -1))
        parts = [flat]
        if flat.shape[1] > MOST_COMPONENTS:
            reduce = PCA(min(MOST_COMPONENTS, len(flat) // 2), svd_solver="randomized", random_state=seed)
            flat = StandardScaler().fit_transform(flat)
            parts = [reduce.fit_transform(flat)]
            parts.append(np.log1p(((flat - reduce.inverse_transform(parts[0])) ** 2).sum(axis=1, keepdims=True)))
    features = np.hstack([*parts, seen.values]).astype(np.float64)
    largest = np.abs(features).max(axis=0)
    return features / np.where(largest > 0, largest, 1)


def _classifiers(
    features: np.ndarray, labels: np.ndarray | None, members: np.ndarray, rng: np.random.Generator
) -> list[Difference]:
    seed = int(rng.integers(2**31))
    trees = ExtraTreesClassifier(100, min_samples_leaf=5, random_state=seed)
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
    labels = np.zeros(len(members), dtype=np.int64) if labels is None else labels  # one class for all says nothing
    classes, counts = np.unique(labels, return_counts=True)
    common = classes[np.argsort(-counts, kind="stable")[:MOST_CLASSES]]
    # Trees see ranks: they compute on float32, in which one far value, or a time in seconds, hides all the others.
    ranks = rankdata(features, axis=0) / len(features)
    on_values, on_ranks = (np.hstack([numbers, labels[:, None] == common]) for numbers in (features, ranks))
    first = random_half(members, rng)
    found = []

    def judge(by: str, scores: np.ndarray, others: np.ndarray) -> None:
        # Twelve tests: three classifiers, two halves, two directions.
        found.extend(
            Difference(12 * metrics.leak_p_value(sign * scores, others), metrics.auc(scores, others), by)
            for sign in (1.0, -1.0)
        )

    for half in (first, ~first):
        others = members[~half]
        for by, model, seen in (
            ("a linear classifier", linear, on_values), ("a classifier of trees", trees, on_ranks)
        ):  # fmt: skip
            model.fit(seen[half], members[half])
            judge(by, model.predict_proba(seen[~half])[:, 1], others)
        known = np.isin(labels, common)
        if len(common) > 1 and len(np.unique(labels[half & known])) > 1:
            with warnings.catch_warnings():  # labels are classes here, however many there are
                warnings.filterwarnings("ignore", message="The number of unique classes")
                fitted = trees.fit(ranks[half & known], labels[half & known])
            place = np.searchsorted(fitted.classes_, labels[~half]).clip(max=len(fitted.classes_) - 1)
            fit = fitted.predict_proba(ranks[~half])[np.arange(len(others)), place]
            unseen = fitted.classes_[place] != labels[~half]
            judge("how well the labels fit the records", np.where(unseen, 0.0, fit), others)
    return found
