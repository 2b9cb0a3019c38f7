"""Do the target's answers go with the labels?

An audit of a model that was never loaded, of shuffled labels or of classes in another order finds nothing. This
gate finds what cannot be right: a model is better on its own training records than a guess, with the labels in the
order that it was trained with.
"""

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.optimize import linear_sum_assignment
from scipy.special import ndtr
from scipy.stats import binom

from seepage.models.access import Access
from seepage.signals.functions import log_softmax, row_blocks
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.gates.check import GIVE_LABELS, NO_LABELS, SET_UP_LEVEL, Check, failed, not_run, passed

MOST_RECORDS = 4000
MOST_CLASSES = 300
RENUMBERINGS = 2000
# A model that does not beat a guess at this level might be one whose weights were never loaded.
SKILL_LEVEL = 0.01
# Mean accuracy over classes, 0 for a guess and 1 for no error, up to which it is as good as none.
LEAST_SKILL = 0.2


def knows_the_task(evidence: Evidence, rows: np.ndarray, rng: np.random.Generator) -> Check:
    """Do the first target's answers go with the labels of the audited records?"""
    name, question = "answers and labels", "Do the model's answers go with the labels?"
    rows = evidence.ordinary(rows)
    if evidence.membership.canaries[rows].all():
        return not_run(name, question, "there are canaries alone", "add records with their true labels to the pool")
    if evidence.live and evidence.live[0].is_untrained:
        detail = "every layer of the model still has the weights that it was made with"
        return failed(name, question, detail, "load the trained weights (load_state_dict) before the audit")
    if not evidence.labelled:
        return not_run(name, question, NO_LABELS, GIVE_LABELS)
    inside = evidence.membership.targets[rows, 0]
    # Of each side at most half, so that a few members among many others are not left out.
    sides = [rng.permutation(rows[inside == side])[: MOST_RECORDS // 2] for side in (True, False)]
    rows = rng.permutation(np.concatenate(sides))
    answers, labels, columns = _in_use(evidence.logits[:, evidence.target_models[0], 0], evidence.labels, rows)
    inside = evidence.membership.targets[rows, 0]
    accuracy, chance = (answers.argmax(axis=1) == labels).mean(), largest_share(labels)
    detail = f"accuracy {accuracy:.1%}; the commonest label alone would give {chance:.1%}, n = {len(rows)}"
    way_out = (
        "check that the trained weights were loaded, that labels and records (or rows of the outputs) are in the same "
        "order, and that records are on the scale that the model was trained on; canaries with wrong labels are to be "
        "named as such (membership, canaries=)"
    )
    for side, part in (("", slice(None)), (" of the members", inside), (" of the non-members", ~inside)):
        if found := _renumbered(answers[part], labels[part], columns):
            before, after, p_value, example = found
            detail = (
                f"with the classes{side} in another order the accuracy is {after:.1%} instead of {before:.1%} "
                f"(p = {p_value:.2g}; {example})"
            )
            order = "give the labels, or the columns of the outputs, the order that the model was trained with"
            return failed(name, question, detail, order if after >= 0.5 else f"{order}; {way_out}")
    p_value = _association(answers, labels, rng)
    if p_value >= SKILL_LEVEL:
        detail = f"the answers are no better than chance: {detail}, p = {p_value:.2g}"
        return failed(name, question, detail, way_out, guards="doubt")
    # Of one class alone a constant guess is always right, and says nothing.
    several = len(np.unique(labels[inside])) > 1
    if several and _worse_than_a_guess(answers[inside], labels[inside], evidence.access > Access.LABEL):
        detail = f"on its members the model is worse than a constant guess: {detail}"
        return failed(name, question, detail, way_out, guards="doubt")
    if not several and _lost_among_others(answers[inside], labels[inside][0]):
        detail = f"the members are all of one class, and the answers are spread over the others: {detail}"
        return failed(name, question, detail, way_out, guards="doubt")
    return passed(name, question, detail)


def _lost_among_others(answers: Float64[np.ndarray, "members classes"], label: int) -> bool:
    """Whether members that are all of one class get answers spread over the classes, that one not surely first.

    A placeholder instead of the labels looks so. A class that the model finds hard does not: its own members have it
    first, or, where it is rare, nearly all go to the class that the model prefers.
    """
    counts = np.bincount(answers.argmax(axis=1), minlength=answers.shape[1])
    own, other = counts[label], np.delete(counts, label).max(initial=0)
    is_first = binom.sf(own - 1, own + other, 0.5) < SKILL_LEVEL
    is_spread = binom.cdf(max(own, other), counts.sum(), 0.5) < SKILL_LEVEL
    return bool(is_spread and not is_first)


def _in_use(
    logits: Float[np.ndarray, "samples classes"], labels: Int64[np.ndarray, " samples"], rows: np.ndarray
) -> tuple[Float64[np.ndarray, "records columns"], Int64[np.ndarray, " records"], Int64[np.ndarray, " columns"]]:
    """The rows' log-probabilities of those classes alone that are the label or the prediction of one; their labels, as
    places among these classes; and the classes. Of many classes few are in use."""
    predicted = np.array([logits[row].argmax() for row in rows], dtype=np.int64)
    columns = np.union1d(labels[rows], predicted)
    answers = np.empty((len(rows), len(columns)))
    for block in row_blocks(len(rows), logits.shape[1]):
        answers[block] = log_softmax(logits[rows[block]])[:, columns]
    return answers, np.searchsorted(columns, labels[rows]), columns


def largest_share(labels: np.ndarray) -> float:
    return np.unique(labels, return_counts=True)[1].max() / len(labels)


def _association(
    answers: Float64[np.ndarray, "records classes"], labels: Int64[np.ndarray, " records"], rng: np.random.Generator
) -> float:
    """p-value of "the answers know nothing of the labels", the larger of two.

    The statistic is the sum over records of the probability of the label, less what the classes' shares alone give.
    One null shuffles the labels over the records (permutation mean and variance, normal law). The other renumbers the
    classes: answers of weights that were never trained cluster by class too, but to them all numberings are alike. It
    counts from four classes on (where a random numbering is the best with chance 1/24), below which there are too few.
    """
    p = np.exp(answers)
    centred = p - p.mean(axis=0)
    classes, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(classes) < 2:
        return 0.0  # one label: nothing can be shuffled, and nothing says that it is wrong
    found = centred[np.arange(len(labels)), labels].sum()
    # Hoeffding: the variance of sum_i a[i, label of a random record] is the doubly centred sum of squares over n - 1.
    a = centred[:, classes]
    doubly = a - (a @ counts / len(labels))[:, None]
    variance = (counts * (doubly**2).sum(axis=0)).sum() / (len(labels) - 1)
    by_records = float(ndtr(-found / np.sqrt(variance))) if variance > 0 else 1.0
    if len(classes) < 4:
        return by_records
    some = np.argsort(-counts, kind="stable")[:MOST_CLASSES]
    by_class = np.zeros((len(some), p.shape[1]))
    for row, label in enumerate(some):
        by_class[row] = centred[place == label].sum(axis=0)
    columns = classes[some]
    identity = np.trace(by_class[:, columns])
    rows = np.arange(len(some))
    drawn = np.array([by_class[rows, rng.permutation(columns)].sum() for _ in range(RENUMBERINGS)])
    better = drawn > identity + 1e-9 * abs(identity)
    by_numbering = (1 + better.sum()) / (1 + RENUMBERINGS)
    return max(by_records, float(by_numbering))


def _renumbered(
    answers: Float64[np.ndarray, "records classes"],
    labels: Int64[np.ndarray, " records"],
    columns: Int64[np.ndarray, " classes"] | None = None,
) -> tuple[float, float, float, str] | None:
    """The accuracy before and after the best renumbering of the classes, where that is surely better.

    The renumbering is chosen on one half of the records and judged on the other, record against record (McNemar,
    exact) and in the mean over classes (normal law). A model for which no numbering is better than its own by both
    counts is accused at SET_UP_LEVEL at most.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2 or len(labels) < 2 * len(classes):
        return None
    some = np.sort(classes[np.argsort(-counts, kind="stable")[:MOST_CLASSES]])
    kept = np.isin(labels, some)
    predicted, truth = answers[kept].argmax(axis=1), labels[kept]
    half = np.arange(len(truth)) < len(truth) // 2  # the records are in random order
    confusion = np.zeros((answers.shape[1], len(some)))
    place = np.searchsorted(some, truth)
    np.add.at(confusion, (predicted[half], place[half]), 1.0)
    used = np.flatnonzero(confusion.any(axis=1) | np.isin(np.arange(answers.shape[1]), some))
    # Of equally good renumberings the one that changes least.
    confusion[some, np.arange(len(some))] += 0.5
    from_class, to_place = linear_sum_assignment(-confusion[used])
    renumbering = np.full(answers.shape[1], -1)
    renumbering[used[from_class]] = some[to_place]
    before, after = predicted[~half] == truth[~half], renumbering[predicted[~half]] == truth[~half]
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    p_value = float(binom.sf(gained - 1, gained + lost, 0.5)) if gained + lost else 1.0
    # In the mean over classes too: a model of weighted classes prefers a rare one, and another order would not.
    judged = truth[~half]
    weight = (1 / np.bincount(judged, minlength=answers.shape[1]).clip(1))[judged]
    change = weight * (after.astype(float) - before)
    by_class = change.sum() / max(np.sqrt((change**2).sum()), 1e-12)
    level = SET_UP_LEVEL / 3  # all records, each side
    if p_value >= level or ndtr(-by_class) >= level:
        return None
    moved = next(c for c in used[from_class] if renumbering[c] != c and (predicted == c).any())
    number = np.arange(answers.shape[1]) if columns is None else columns
    example = f"the model's class {number[moved]} is label {number[renumbering[moved]]}, for one"
    return before.mean(), after.mean(), p_value, example


def _worse_than_a_guess(answers: np.ndarray, labels: np.ndarray, has_probabilities: bool) -> bool:
    """Whether a constant answer would be as good or better in every way: accuracy, plain and by class, and log-loss.

    Sound models that are worse in some of them exist (weighted classes, an overconfident Bayes), one that is worse in
    all of them on its own training records does not.
    """
    right = answers.argmax(axis=1) == labels
    classes = np.unique(labels)
    by_class = np.mean([right[labels == label].mean() for label in classes])
    skill = (by_class * len(classes) - 1) / max(1, len(classes) - 1)
    no_better = right.mean() <= largest_share(labels) and skill <= LEAST_SKILL
    return has_probabilities and no_better and _loses(answers, labels)


def _loses(answers: np.ndarray, labels: np.ndarray) -> bool:
    """Whether the log-loss is surely above that of a constant answer, plain and with every class weighing the same."""
    classes, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if len(labels) < 2:
        return False
    shares = counts / len(labels)
    loss = np.minimum(-answers[np.arange(len(labels)), labels], 50.0)
    for weights, guess in (
        (np.ones(len(labels)), -(shares * np.log(shares)).sum()),
        (1 / (shares[place] * len(classes)), np.log(len(classes))),
    ):
        excess = weights * (loss - guess)
        if excess.mean() <= 3 * excess.std(ddof=1) / np.sqrt(len(excess)):
            return False
    return True
