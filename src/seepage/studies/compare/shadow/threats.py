"""The three attacks of the study, each with its threshold fixed on one shadow model before the target is asked.

None sees a label: whoever is asked "was this record in the training set?" about a picture has only the scores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from seepage.attacks.learned import classifier
from seepage.attacks.learned.top_k import top_scores
from seepage.errors import InputError
from seepage.metrics.thresholds import accuracy_threshold, youden_threshold

LogProbabilities = Float64[np.ndarray, "records classes"]
Scores = Float64[np.ndarray, " records"]

TOP = 3


@dataclass(frozen=True, eq=False)
class Threat:
    """An attack whose threshold is fixed: a record is called a member where score(log p) > threshold.

    Attributes:
        name, title: in results and reports.
        rule: the decision in words, with its numbers.
        score: (records, classes) -> (records,), higher = more likely a member.
        threshold: on the scale of the scores.
    """

    name: str
    title: str
    rule: str
    score: Callable[[LogProbabilities], Scores]
    threshold: float

    def calls_member(self, log_probabilities: LogProbabilities) -> Bool[np.ndarray, " records"]:
        return self.score(log_probabilities) > self.threshold


def fit_threats(
    shadow: LogProbabilities, members: Bool[np.ndarray, " records"], *, rng: np.random.Generator
) -> list[Threat]:
    """All three attacks, from what the shadow model answers for its own members and non-members.

    Args:
        shadow: the shadow's log-probabilities, answered the way in which the target answers.
        members: which of the records the shadow was trained on.
        rng: first weights of the top-3 classifier.

    Raises:
        InputError: no members, no non-members, or answers that are not log-probabilities.

    Reference: Hintersdorf, Struppek and Kersting (2022), To trust or not to trust prediction scores for membership
        inference attacks (arXiv 2111.09076), section 4, and their code; Salem et al. (2019), adversary 1 and 3.
        Deviations: the largest scores are compared as log-odds in float64, which order what is 1.000 as a probability;
        the top-3 network is trained to its optimum by L-BFGS instead of Adam with a stop rule; and its score of exactly
        even odds calls nobody a member.
    """
    shadow = checked_log_probabilities(shadow)
    if members.shape != shadow.shape[:1] or members.all() or not members.any():
        raise InputError(
            f"expected members and non-members of the shadow among {len(shadow)} records, got "
            f"{int(members.sum())} members of {members.size}"
        )
    largest, least = youden_threshold(max_score(shadow), members), accuracy_threshold(-entropy(shadow), members)
    network = classifier.fit(top_scores(shadow[:, None], TOP), members, hidden=(64,), rng=rng)
    return [
        Threat(
            "max-score",
            "Largest score",
            f"member where the largest score is above {_as_probability(largest)}: largest TPR - FPR on the shadow",
            max_score,
            largest,
        ),
        Threat(
            f"top-{TOP}",
            f"Shadow classifier on the top {TOP} scores",
            f"member where a network that learned from the shadow's {TOP} largest scores finds it likelier than not",
            lambda log_p: network(top_scores(log_p[:, None], TOP)),
            0.0,
        ),
        Threat(
            "entropy",
            "Prediction entropy",
            f"member where the entropy is below {-least:.3g} nats: highest accuracy on the shadow",
            lambda log_p: -entropy(log_p),
            least,
        ),
    ]


def max_score(log_probabilities: LogProbabilities) -> Scores:
    """max_c log p_c - log(1 - p_c): ordered as the largest probability, but never saturated.

    >>> max_score(np.log([[0.75, 0.25], [0.5, 0.5]])).round(4).tolist()
    [1.0986, 0.0]
    """
    return top_scores(log_probabilities[:, None], 1)[:, 0]


def entropy(log_probabilities: LogProbabilities) -> Scores:
    """-sum_c p_c log p_c, in nats.

    >>> entropy(np.log([[0.5, 0.5]])).round(4).tolist()
    [0.6931]
    """
    p = np.exp(log_probabilities)
    return -np.where(p > 0, p * np.where(p > 0, log_probabilities, 0.0), 0.0).sum(axis=1)


def checked_log_probabilities(log_probabilities: np.ndarray) -> LogProbabilities:
    """As float64, if rows are log-probabilities of at least two classes."""
    log_p = np.asarray(log_probabilities, dtype=np.float64)
    if log_p.ndim != 2 or not log_p.size or log_p.shape[1] < 2 or np.isnan(log_p).any():
        raise InputError(f"expected log-probabilities (records, 2 or more classes) without NaN, got {log_p.shape}")
    if np.abs(np.exp(log_p).sum(axis=1) - 1).max() > 1e-3:
        raise InputError("expected log-probabilities, rows whose exponentials sum to one: pass log_softmax(logits)")
    return log_p


def _as_probability(log_odds: float) -> str:
    """
    >>> _as_probability(0.0), _as_probability(30.0)
    ('0.5', '1 - 9.4e-14')
    """
    if log_odds > 7:
        return f"1 - {np.exp(-log_odds):.2g}"
    return f"{1 / (1 + np.exp(-log_odds)):.4g}"
