"""Attacks that learn from pairs of a record and a reference model, and are then asked about the target's answers."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, Real

from seepage.attacks.learned.classifier import MOST_ROWS
from seepage.errors import InputError
from seepage.signals.functions import log_softmax
from seepage.signals.view import View

# (record, model) for each row -> its features
Features = Callable[[np.ndarray, np.ndarray], np.ndarray]

LEAST_OF_A_CLASS = 30  # members, and non-members, without which a class has no classifier of its own
MOST_OF_A_CLASS = 1_000  # pairs, or more where there are few classes


class Pairs(NamedTuple):
    """Records beside models of which it is known whether they were trained on them."""

    rows: Int64[np.ndarray, " pairs"]
    models: Int64[np.ndarray, " pairs"]
    members: Bool[np.ndarray, " pairs"]

    def at(self, index: np.ndarray) -> "Pairs":
        return Pairs(*(part[index] for part in self))

    def drawn(self, most: int, rng: np.random.Generator) -> "Pairs":
        if self.rows.size <= most:
            return self
        return self.at(np.sort(rng.choice(self.rows.size, most, replace=False)))

    @property
    def suffice(self) -> bool:
        return min(int(self.members.sum()), int((~self.members).sum())) >= LEAST_OF_A_CLASS


def score_by_references(
    view: View,
    features: Features,
    fit: Callable[..., Callable],
    *,
    per_class: bool,
    by_label: bool,
    rng: np.random.Generator,
    order_by: Real[np.ndarray, "samples keys"] | None = None,
) -> Float64[np.ndarray, " samples"]:
    """Train on (record, reference) pairs, score (record, target).

    The pairs are those of the IN and OUT masks; the population, which is only ever OUT and may be of another kind,
    teaches nothing. Of too many pairs some are drawn, from an order that depends on what records hold, not on where
    they stand.

    Args:
        view: what the attack may see.
        features: (pairs,) records and (pairs,) models -> float64 (pairs, features).
        fit: `classifier.fit` with its options.
        per_class: a classifier for each class; one with too few pairs takes the classifier of all classes together.
        by_label: in each class members and non-members weigh the same, so that the label alone says nothing; for
            features that give the label away.
        rng: draws pairs and first weights.
        order_by: (samples, keys), tells records apart, the last key first; by default what models answer about them,
            and their labels.
    """
    pairs = reference_pairs(view, order_by)
    everything = np.arange(view.n_samples), np.full(view.n_samples, view.target_column)

    def train(some: Pairs, most: int) -> Callable:
        some = some.drawn(most, rng)
        labels = view.labels[some.rows] if by_label else np.zeros_like(some.rows)
        weights = balanced(labels, some.members)
        return fit(features(some.rows, some.models), some.members, weights=weights, rng=rng)

    if not per_class:
        return train(pairs, MOST_ROWS)(features(*everything))
    scores, overall = np.empty(view.n_samples), None
    classes = np.unique(view.labels)
    for label in classes:
        rows = view.labels == label
        own = pairs.at(rows[pairs.rows])
        if own.suffice:
            classify = train(own, max(MOST_ROWS // classes.size, MOST_OF_A_CLASS))
        else:
            overall = overall or train(pairs, MOST_ROWS)
            classify = overall
        scores[rows] = classify(features(*(part[rows] for part in everything)))
    return scores


def reference_pairs(view: View, order_by: Real[np.ndarray, "samples keys"] | None = None) -> Pairs:
    """All (record, reference) pairs of the masks but the population's, in an order that its keys alone decide."""
    is_in, is_out = view.reference_in, view.reference_out & ~view.population[:, None]
    if not is_out.any():
        is_out = view.reference_out  # nothing else is OUT
    if order_by is None:
        first = answers(view)[:, :, 0]
        of_label = np.take_along_axis(first, view.labels[:, None, None], axis=2)[..., 0]
        order_by = np.column_stack([of_label, first[:, view.target_column], view.labels])
    order = np.lexsort([*is_in.T, *is_out.T, *order_by.T])
    place, reference = np.nonzero((is_in | is_out)[order])
    rows = order[place]
    return Pairs(rows, view.reference_columns[reference], is_in[rows, reference])


def balanced(labels: Int64[np.ndarray, " rows"], members: Bool[np.ndarray, " rows"]) -> Float64[np.ndarray, " rows"]:
    """Weights by which each label's members weigh as much as its non-members, and each label as much as it is frequent.

    A label without one of them weighs nothing; if there is no other, all rows weigh 1.
    """
    _, label = np.unique(labels, return_inverse=True)
    counts = np.bincount(2 * label + members, minlength=2 * (label.max(initial=-1) + 1)).reshape(-1, 2)
    totals = np.where(counts.min(axis=1) > 0, counts.sum(axis=1), 0)
    weights = totals[label] / (2 * counts[label, members.astype(np.int64)])
    return weights if weights.any() else np.ones(label.shape)


def answers(view: View) -> np.ndarray:
    """The view's outputs (samples, models, queries, classes).

    Raises:
        InputError: it was made of scalar signals.
    """
    if view.outputs is None:
        raise InputError("expected a view with outputs, this one was made of scalar signals: use View.from_logits")
    return view.outputs


def log_odds(outputs: np.ndarray) -> Float64[np.ndarray, "*outputs classes"]:
    """log p_c - log(1 - p_c) for every class c, from logits or log-probabilities, without saturation near p_c = 1."""
    log_p = log_softmax(outputs)
    top = log_p.argmax(axis=-1)[..., None]
    below = log_p.copy()
    np.put_along_axis(below, top, -np.inf, axis=-1)
    second = below.max(axis=-1, keepdims=True)
    log_rest = second + np.log(np.exp(below - second).sum(axis=-1, keepdims=True))
    log_not = np.log1p(-np.exp(below))  # the top class, whose 1 - p may lose digits, is put in next
    np.put_along_axis(log_not, top, log_rest, axis=-1)
    return log_p - log_not


def one_hot(labels: Int64[np.ndarray, " rows"], n_classes: int) -> Float64[np.ndarray, "rows classes"]:
    hot = np.zeros((len(labels), n_classes))
    hot[np.arange(len(labels)), labels] = 1.0
    return hot
