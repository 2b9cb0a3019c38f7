"""Gates on what the target answers: is it the trained model, asked about these records, on its own scale and labels?

An audit of another model, of shuffled labels or of records on another scale finds nothing, and would say so. These
gates find what cannot be right: a model is better on its own training records than a guess, on the scale that it
was trained on, with the labels in the order that it was trained with, and knows members at least as well as others.
"""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment
from scipy.special import ndtr
from scipy.stats import binom

from seepage import metrics
from seepage.auditing.evidence import Evidence
from seepage.auditing.findings import Scored
from seepage.auditing.gates.check import GATE_LEVEL, Check, failed, not_run, passed
from seepage.errors import SeepageError
from seepage.models.access import Access
from seepage.models.target import TargetModel
from seepage.signals.functions import log_softmax

MOST_RECORDS = 4000
MOST_CLASSES = 300
RENUMBERINGS = 2000
# A model that does not beat a guess at this level might be one whose weights were never loaded.
SKILL_LEVEL = 0.01
# A model that gets its own members right this often is asked on the right scale.
SURELY_RIGHT = 0.98
# Another scale must gain so much accuracy, and leave at most that share of the errors.
LEAST_GAIN = 0.05
MOST_LEFT = 0.75
SCALE_RECORDS = 600


def direction(scored: Scored, evidence: Evidence) -> Check:
    """Is any ranking surely the wrong way round? By each attack, and by the target's own loss and correctness."""
    name, question = "direction", "Do members rank above non-members, if the ranking tells them apart at all?"
    members, at = scored.members, np.ix_(scored.rows, evidence.target_models)
    rankings = dict(scored.scores)
    if evidence.access > Access.LABEL:
        rankings["the loss"] = -evidence.signals["loss"][:, :, 0][at]
    rankings["being right"] = evidence.correct[at].astype(np.float64)
    p_values = {by: len(rankings) * metrics.leak_p_value(-scores, members) for by, scores in rankings.items()}
    by = min(p_values, key=p_values.get)
    columns = zip(rankings[by].T, members.T, strict=True)
    auc = np.mean([metrics.auc(*column) for column in columns])
    if p_values[by] >= GATE_LEVEL:
        return passed(name, question, f"no ranking is surely reversed (least AUC {auc:.3f}, by {by})")
    detail = (
        f"by {by} members rank surely below non-members (AUC {auc:.3f}, p = {p_values[by]:.2g}): whoever knows the "
        "sign can tell them apart"
    )
    way_out = (
        "check that the lists are not swapped and that True (1) means member; that both sides have their labels and "
        "their scale; then that the sides are records of one source. If all that is right, the training itself pushed "
        "members away (unlearning, some defences), and that is a leak"
    )
    return failed(name, question, detail, way_out, guards="absence")


def knows_the_task(evidence: Evidence, rows: np.ndarray, rng: np.random.Generator) -> Check:
    """Do the first target's answers go with the labels of the audited records?"""
    name, question = "answers and labels", "Do the model's answers go with the labels?"
    rows = evidence.ordinary(rows)
    if evidence.membership.canaries[rows].all():
        return not_run(name, question, "there are canaries alone", "add records with their true labels to the pool")
    if evidence.live and evidence.live[0].is_untrained:
        detail = "every layer of the model still has the weights that it was made with"
        return failed(name, question, detail, "load the trained weights (load_state_dict) before the audit")
    rows = rng.permutation(rows)[:MOST_RECORDS]
    labels, target = evidence.labels[rows], evidence.target_models[0]
    answers = log_softmax(evidence.logits[rows, target, 0])
    inside = evidence.membership.targets[rows, 0]
    accuracy, chance = (answers.argmax(axis=1) == labels).mean(), _largest_share(labels)
    detail = f"accuracy {accuracy:.1%}; the commonest label alone would give {chance:.1%}, n = {len(rows)}"
    if found := _renumbered(answers, labels):
        before, after, p_value, example = found
        detail = (
            f"with the classes in another order the accuracy is {after:.1%} instead of {before:.1%} (p = {p_value:.2g}; "
            f"{example})"
        )
        way_out = "give the labels, or the columns of the outputs, the order that the model was trained with"
        return failed(name, question, detail, way_out)
    way_out = (
        "check that the trained weights were loaded, that labels and records (or rows of the outputs) are in the same "
        "order, and that records are on the scale that the model was trained on; canaries with wrong labels are to be "
        "named as such (membership, canaries=)"
    )
    p_value = _association(answers, labels, rng)
    if p_value >= SKILL_LEVEL:
        return failed(name, question, f"the answers are no better than chance: {detail}, p = {p_value:.2g}", way_out)
    if _worse_than_a_guess(answers[inside], labels[inside], evidence.access > Access.LABEL):
        return failed(name, question, f"on its members the model is worse than a constant guess: {detail}", way_out)
    return passed(name, question, detail)


def _largest_share(labels: np.ndarray) -> float:
    return np.unique(labels, return_counts=True)[1].max() / len(labels)


def _association(
    answers: Float64[np.ndarray, "records classes"], labels: Int64[np.ndarray, " records"], rng: np.random.Generator
) -> float:
    """p-value of "the answers know nothing of the labels", the larger of two.

    The statistic is the sum over records of the probability of the label, less what the classes' shares alone give.
    One null shuffles the labels over the records (permutation mean and variance, normal law). The other renumbers the
    classes: answers of weights that were never trained cluster by class too, but to them all numberings are alike. It
    counts from four classes on, below which there are too few numberings.
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
    drawn = np.array([by_class[np.arange(len(some)), rng.permutation(columns)].sum() for _ in range(RENUMBERINGS)])
    by_numbering = (1 + (drawn >= identity).sum()) / (1 + RENUMBERINGS)
    return max(by_records, float(by_numbering))


def _renumbered(
    answers: Float64[np.ndarray, "records classes"], labels: Int64[np.ndarray, " records"]
) -> tuple[float, float, float, str] | None:
    """The accuracy before and after the best renumbering of the classes, where that is surely better.

    The renumbering is chosen on one half of the records and judged on the other, record against record (McNemar,
    exact), so a sound model is accused once in a thousand audits at most.
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
    if p_value >= GATE_LEVEL:
        return None
    moved = next(c for c in used[from_class] if renumbering[c] != c and (predicted == c).any())
    return before.mean(), after.mean(), p_value, f"the model's class {moved} is label {renumbering[moved]}, for one"


def _worse_than_a_guess(answers: np.ndarray, labels: np.ndarray, has_probabilities: bool) -> bool:
    """Whether a constant answer would be better in every way: accuracy, log-loss, and log-loss with classes weighted.

    A sound model that is worse in one of them exists (weighted classes, overconfident Bayes), one that is worse in all
    of them on its own training records does not.
    """
    right = answers.argmax(axis=1) == labels
    return has_probabilities and right.mean() <= _largest_share(labels) and _loses(answers, labels)


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


def scale(evidence: Evidence, rows: np.ndarray, rng: np.random.Generator) -> Check:
    """Does the target know its own members surely better on another scale, or in another layout?

    The likeliest other scales, by accuracy and by log-loss, are chosen on a sixth of at most 600 members and judged on
    the rest: the error must fall by a quarter or more (record against record, McNemar, exact), or a log-loss that is
    worse than a constant answer must become better than one while accuracy stays. A regularised model can gain a little
    from other inputs than its own, but not that much.
    """
    name, question = "scale", "Is the model asked on the scale that it was trained on?"
    if not evidence.live or evidence.records is None:
        return not_run(name, question, "there is no model to ask", "audit the model itself, with the records")
    if evidence.training is not None and evidence.kind.startswith("trained"):
        return passed(name, question, "this audit trained the model and asks it alike")
    members = rng.permutation(evidence.ordinary(rows))
    members = members[evidence.membership.targets[members, 0]][:SCALE_RECORDS]
    labels, target = evidence.labels[members], evidence.live[0]
    before = log_softmax(evidence.logits[members, evidence.target_models[0], 0])
    right = before.argmax(axis=1) == labels
    if len(members) < 2 or right.mean() >= SURELY_RIGHT:
        return passed(name, question, f"it gets {right.mean():.1%} of its members right (n = {len(members)})")
    inputs = evidence.records.batch(members)
    few = max(1, len(members) // 6)
    ways, tried = _other_scales(inputs), {}
    for how, change in ways.items():
        try:
            answers = _answers(target, change(inputs[:few]))
        except SeepageError:  # it does not take such records, so it was not trained on them
            continue
        loss = -answers[np.arange(few), labels[:few]].mean()
        tried[how] = ((answers.argmax(axis=1) == labels[:few]).mean(), -loss)
    candidates = {max(tried, key=lambda how: tried[how][at]) for at in (0, 1)} if tried else set()
    for how in sorted(candidates):
        after = _answers(target, ways[how](inputs[few:]))
        if found := _better(before[few:], after, labels[few:], target.access > Access.LABEL):
            way_out = "give the records as the model was trained on them, on both sides"
            return failed(name, question, f"with {how} {found}", way_out)


X


def _answers(target: TargetModel, inputs: np.ndarray) -> Float64[np.ndarray, "records classes"]:
    if target.access > Access.LABEL:
        return log_softmax(target.logits(inputs))
    predicted = target.labels(inputs)
    return np.where(np.arange(max(target.n_classes or 0, predicted.max() + 1)) == predicted[:, None], 0.0, -100.0)


def _better(before: np.ndarray, after: np.ndarray, labels: np.ndarray, has_probabilities: bool) -> str | None:
    """What is surely better about the answers `after`, in words; None where nothing is."""
    right, then = before.argmax(axis=1) == labels, after.argmax(axis=1) == labels
    gained, lost = int((then & ~right).sum()), int((right & ~then).sum())
    p_value = float(binom.sf(gained - 1, gained + lost, 0.5)) if gained + lost else 1.0
    gain = then.mean() - right.mean()
    is_large = gain >= LEAST_GAIN and (~then).mean() <= MOST_LEFT * (~right).mean()
    if p_value < GATE_LEVEL and is_large and then.mean() >= _largest_share(labels) + LEAST_GAIN:
        return (
            f"it gets {then.mean():.1%} of its members right instead of {right.mean():.1%} (p = {p_value:.2g}, n = "
            f"{len(labels)})"
        )
    if has_probabilities and gain >= -LEAST_GAIN and _loses(before, labels):
        losses = [-answers[np.arange(len(labels)), labels].mean() for answers in (after, before)]
        shares = np.unique(labels, return_counts=True)[1] / len(labels)
        if losses[0] < 0.9 * -(shares * np.log(shares)).sum():
            return (
                f"its loss on its members is {losses[0]:.2g} instead of {losses[1]:.2g}, which is worse than a constant "
                f"guess (n = {len(labels)})"
            )
    return None


def _other_scales(inputs: np.ndarray) -> Mapping[str, Callable[[np.ndarray], np.ndarray]]:
    """What is often forgotten before a model is asked, by name."""
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0)
    low, high = inputs.min(axis=0), inputs.max(axis=0)
    spread, width = np.where(spread > 0, spread, 1), np.where(high > low, high - low, 1)
    total, whole = np.float32(inputs.mean()), np.float32(inputs.std() or 1)
    ways: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        **{f"values divided by {factor}": _times(1 / factor) for factor in (255, 16, 100, 1000)},
        **{f"values times {factor}": _times(factor) for factor in (255, 16, 100, 1000)},
        "each column standardised": lambda x: (x - mean) / spread,
        "all values standardised together": lambda x: (x - total) / whole,
        "each column brought to 0 to 1": lambda x: (x - low) / width,
        "values from 0 to 1 brought to -1 to 1": lambda x: 2 * x - 1,
        "values from -1 to 1 brought to 0 to 1": lambda x: (x + 1) / 2,
        "values turned over (1 - x)": lambda x: 1 - x,
        "values divided by 255 and brought to -1 to 1": lambda x: x / 127.5 - 1,
    }
    if inputs.ndim == 4:
        ways["the channels in reverse order"] = lambda x: x[:, ::-1] if x.shape[1] <= 4 else x[..., ::-1]
        ways["rows and columns exchanged"] = lambda x: (
            np.swapaxes(x, -1, -2) if x.shape[1] <= 4 else np.swapaxes(x, 1, 2)
        )
    return {how: _float32(change) for how, change in ways.items()}


def _times(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: x * factor


def _float32(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.ascontiguousarray(change(x), dtype=np.float32)


def degenerate(scored: Scored, evidence: Evidence) -> Check:
    name, question = "signals vary", "Do the scores differ between records?"
    constant = [attack for attack, scores in scored.scores.items() if (scores == scores[:1]).all()]
    answers = evidence.logits[np.ix_(scored.rows, evidence.target_models)]
    if len(constant) == len(scored.scores) or (answers == answers[:1]).all():
        detail = "the target gives all records the same answer"
        way_out = "check that the outputs belong to the records; an audit of constant answers can see nothing"
        return failed(name, question, detail, way_out)
    detail = f"constant for: {', '.join(constant)}" if constant else "no attack gives a constant score"
    return passed(name, question, detail)
