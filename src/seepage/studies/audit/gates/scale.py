"""Is the target asked on the scale, and in the layout, that it was trained on?"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.stats import binom

from seepage.models.access import Access
from seepage.models.target import TargetModel
from seepage.signals.functions import log_softmax, top_log_odds
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.gates.answers import largest_share
from seepage.studies.audit.gates.check import GIVE_LABELS, NO_LABELS, SET_UP_LEVEL, Check, failed, not_run, passed

# A model that gets its own members right this often is asked on the right scale.
SURELY_RIGHT = 0.98
# Another scale must gain so much accuracy, and leave at most that share of the errors.
LEAST_GAIN = 0.05
MOST_LEFT = 0.75
# On stretched inputs the model must have known at most that share of what it knows then.
MOST_KNOWN = 0.5
# A log-loss must fall to that part.
LEAST_RATIO = 10
STRETCHED = 1.5
MOST_RECORDS = 600
# Without labels: answers of which half are surer than that (log-odds of the likeliest class), or so many are one class,
TOO_SURE = 40.0
ONE_CLASS = 0.98
# are odd where another scale gives answers of several classes, the median of the log-odds in between.
SEVERAL_CLASSES = 0.8
SURE = (1.0, 25.0)
GIVE_AS_TRAINED = "give the records as the model was trained on them, on both sides"


def scale(evidence: Evidence, rows: np.ndarray, rng: np.random.Generator) -> Check:
    """Does the target know its own members surely better on another scale, or in another layout?

    The likeliest other scales, by accuracy and by log-loss, are chosen on a sixth of at most 600 members and judged on
    the rest: a quarter of the errors must go (record against record, McNemar, exact), and where the inputs are
    stretched the model must have known at most half as much before; or a log-loss that is worse than a constant
    answer must fall to a tenth and below one while accuracy stays. A regularised model gains from stretched inputs,
    but not so much.

    Without labels only odd answers show it: nearly all of one class, or surer than training makes them, and ordinary on
    another scale. A sound model can be like that too (a rare class, a naive Bayes on counts), so a leak that is found
    stands.
    """
    name, question = "scale", "Is the model asked on the scale that it was trained on?"
    if evidence.is_trained_here:
        return passed(name, question, "this audit trained the model and asks it alike")
    if not evidence.live or evidence.records is None:
        return not_run(name, question, "there is no model to ask", "audit the model itself, with the records")
    members = rng.permutation(evidence.ordinary(rows))
    members = members[evidence.membership.targets[members, 0]][:MOST_RECORDS]
    target = evidence.live[0]
    before = log_softmax(evidence.logits[members, evidence.target_models[0], 0])
    if evidence.labels is None:
        return _by_answers(name, question, target, evidence.records.batch(members), before)
    labels = evidence.labels[members]
    right = before.argmax(axis=1) == labels
    if len(members) < 2 or right.mean() >= SURELY_RIGHT:
        return passed(name, question, f"it gets {right.mean():.1%} of its members right (n = {len(members)})")
    inputs = evidence.records.batch(members)
    few = max(1, len(members) // 6)
    ways, tried = _other_scales(inputs), {}
    for how, change in ways.items():
        answers = _answers(target, change(inputs[:few]), before.shape[1])
        if answers is not None:
            loss = -answers[np.arange(few), labels[:few]].mean()
            tried[how] = ((answers.argmax(axis=1) == labels[:few]).mean(), -loss)
    candidates = {max(tried, key=lambda how: tried[how][at]) for at in (0, 1)} if tried else set()
    for how in sorted(candidates):
        after = _answers(target, ways[how](inputs[few:]), before.shape[1])
        level = SET_UP_LEVEL / len(candidates)
        has_probabilities = target.access > Access.LABEL
        if after is None:
            continue
        is_stretched = ways[how](inputs[:few]).std() > STRETCHED * inputs[:few].std()
        if found := _more_accurate(before[few:], after, labels[few:], level, is_stretched):
            return failed(name, question, f"with {how} {found}", GIVE_AS_TRAINED)
        if has_probabilities and (found := _less_wrong(before[few:], after, labels[few:])):
            return failed(name, question, f"with {how} {found}", GIVE_AS_TRAINED, guards="doubt")
    detail = f"it gets {right.mean():.1%} of its members right, and surely no more on {len(tried)} other scales"
    return passed(name, question, detail)


class Looks(NamedTuple):
    """What answers look like without labels."""

    commonest: float  # share of the records whose answer is the class that is answered most
    sureness: float  # median log-odds of the likeliest class

    @classmethod
    def of(cls, answers: Float64[np.ndarray, "records classes"]) -> "Looks":
        predicted = answers.argmax(axis=1)
        return cls(float(largest_share(predicted)), float(np.median(top_log_odds(answers, predicted))))

    def __str__(self) -> str:
        return f"{self.commonest:.0%} of one class, median log-odds of the likeliest class {self.sureness:.1f}"


def _by_answers(name: str, question: str, target: TargetModel, inputs: np.ndarray, before: np.ndarray) -> Check:
    """The gate without labels."""
    looks = Looks.of(before)
    if looks.commonest >= ONE_CLASS or looks.sureness >= TOO_SURE:
        for how, change in _other_scales(inputs).items():
            answers = _answers(target, change(inputs), before.shape[1])
            other = None if answers is None else Looks.of(answers)
            if other and other.commonest <= SEVERAL_CLASSES and SURE[0] <= other.sureness <= SURE[1]:
                detail = f"the answers to its members are odd ({looks}), and ordinary with {how} ({other})"
                return failed(name, question, detail, GIVE_AS_TRAINED, guards="absence")
    return not_run(name, question, f"{NO_LABELS}; the answers look like this: {looks}", GIVE_LABELS)


def _answers(target: TargetModel, inputs: np.ndarray, n_classes: int) -> Float64[np.ndarray, "records classes"] | None:
    """What the target answers to such records; None where it takes none of this kind, whatever it raises."""
    try:
        if target.access > Access.LABEL:
            return log_softmax(target.logits(inputs))
        return np.where(np.arange(n_classes) == target.labels(inputs)[:, None], 0.0, -100.0)
    except Exception:  # the user's own model: it was not trained on them, then
        return None


def _more_accurate(
    before: np.ndarray, after: np.ndarray, labels: np.ndarray, level: float, is_stretched: bool
) -> str | None:
    """The gain in accuracy, in words, where it is sure and too large for a sound model; else None.

    Stretched inputs make up for a strong regularisation, so after these the model must have known hardly half as much.
    """
    right, then = before.argmax(axis=1) == labels, after.argmax(axis=1) == labels
    gained, lost = int((then & ~right).sum()), int((right & ~then).sum())
    p_value = float(binom.sf(gained - 1, gained + lost, 0.5)) if gained + lost else 1.0
    guess = largest_share(labels)
    is_large = then.mean() - right.mean() >= LEAST_GAIN and (~then).mean() <= MOST_LEFT * (~right).mean()
    if is_stretched:
        is_large &= right.mean() - guess <= MOST_KNOWN * (then.mean() - guess)
    if p_value >= level or not is_large or then.mean() < guess + LEAST_GAIN:
        return None
    return (
        f"it gets {then.mean():.1%} of its members right instead of {right.mean():.1%} (p = {p_value:.2g}, n = "
        f"{len(labels)})"
    )


def _less_wrong(before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> str | None:
    """How a log-loss that is worse than a constant guess becomes a good one, in words; None where it does not.

    An overconfident model (a naive Bayes on counts) can be like that on its own scale: it casts doubt, no more.
    """
    gain = (after.argmax(axis=1) == labels).mean() - (before.argmax(axis=1) == labels).mean()
    loss, was = (-answers[np.arange(len(labels)), labels].mean() for answers in (after, before))
    shares = np.unique(labels, return_counts=True)[1] / len(labels)
    guess = -(shares * np.log(shares)).sum()
    if gain < -LEAST_GAIN or was <= guess or loss >= 0.9 * guess or was < LEAST_RATIO * loss:
        return None
    return (
        f"its loss on its members is {loss:.2g} instead of {was:.2g}, which is worse than a constant guess "
        f"(n = {len(labels)})"
    )


def _other_scales(inputs: np.ndarray) -> Mapping[str, Callable[[np.ndarray], np.ndarray]]:
    """What is often forgotten before a model is asked, by name."""
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0)
    low, high = inputs.min(axis=0), inputs.max(axis=0)
    spread, width = np.where(spread > 0, spread, 1), np.where(high > low, high - low, 1)
    total, whole = inputs.mean(), inputs.std() or 1
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
    if inputs.ndim == 2:
        ways["the columns moved on by one"] = lambda x: np.roll(x, 1, axis=1)
        ways["the columns moved back by one"] = lambda x: np.roll(x, -1, axis=1)
    if inputs.ndim == 4:
        ways["the channels in reverse order"] = lambda x: x[:, ::-1] if x.shape[1] <= 4 else x[..., ::-1]
        ways["rows and columns exchanged"] = lambda x: (
            np.swapaxes(x, -1, -2) if x.shape[1] <= 4 else np.swapaxes(x, 1, 2)
        )
    return {how: _kept(change) for how, change in ways.items()}


def _times(factor: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: x * factor


def _kept(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """The change, in the dtype of the records."""
    return lambda x: np.ascontiguousarray(change(x), dtype=x.dtype)
