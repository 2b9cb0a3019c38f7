"""Is an answer the record's own?

A layer that was left in training mode drops units at random, or takes its statistics from the batch. A torch module is
put into eval mode before it is asked; a callable around one is not, nor is a layer that has no running statistics.
"""

import numpy as np
from jaxtyping import Bool, Float64
from scipy.stats import binom

from seepage.models.access import Access
from seepage.models.target import TargetModel
from seepage.signals.functions import log_softmax
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.gates.check import GATE_LEVEL, Check, failed, not_run, passed

RECORDS = 64
CHANGED = 5e-3  # of a probability
CHANGED_ODDS = 0.05  # of the log-odds of the likeliest class, relative to one more than their size
SUREST = 12.0  # log-odds beyond which float32 probabilities say no more
MOST_CHANGED = 1  # records that may change all the same: of two equal labels, rounding picks one


def own_answers(evidence: Evidence, rows: np.ndarray, rng: np.random.Generator) -> Check:
    """Does the target give the same answer to some records of both sides, asked in other company and then again?

    Answers that depend on the company say who was asked with whom, and members are asked with members. Answers at
    random hide what the model knows; an attacker who asks often sees more. Where both changes are seen, the company
    counts only if it moves more records than asking again does, by a sign test: under randomness alone the three
    answers to a record are exchangeable.
    """
    name, question = "own answers", "Does the answer to a record depend on that record alone?"
    if evidence.is_trained_here:
        return passed(name, question, "this audit trained the model and asks it in eval mode")
    if not evidence.live or evidence.records is None:
        return not_run(name, question, "there is no model to ask", "audit the model itself, with the records")
    inside = evidence.membership.targets[rows, 0]
    most = min(RECORDS, evidence.n_samples // 2) // 2  # of a side: at most half of all, so that the company changes
    sides = [rng.permutation(rows[inside == side])[: max(1, most)] for side in (True, False)]
    chosen, target = rng.permutation(np.concatenate(sides)), evidence.live[0]
    recorded = log_softmax(evidence.logits[chosen, evidence.target_models[0], 0])
    inputs = evidence.records.batch(chosen)
    first, second = (_answers(target, inputs, recorded.shape[1]) for _ in range(2))
    again, elsewhere = _changed(first, second), _changed(recorded, first)
    way_out = (
        "put the model into eval mode before you wrap it (model.eval(), dropout off), and give layers that take their "
        "statistics from the batch those of the training; what scales by the batch (int8 on the fly) is asked one "
        "record at a time: audit(TargetModel.wrap(model, outputs=..., batch_size=1), ...)"
    )
    if max(again.sum(), elsewhere.sum()) <= MOST_CHANGED:
        return passed(name, question, f"{len(chosen)} records, asked again in other company, got the same answer")
    if _moved_more(np.abs(recorded - first).max(axis=1), np.abs(first - second).max(axis=1)):
        detail = f"asked together with other records, {elsewhere.sum()} of {len(chosen)} got another answer"
        return failed(name, question, detail, way_out)
    detail = f"asked again, {max(again.sum(), elsewhere.sum())} of {len(chosen)} records got another answer"
    way_out += "; if the model answers at random on purpose, audit the mean of many answers"
    return failed(name, question, detail, way_out, guards="absence")


def _answers(target: TargetModel, inputs: np.ndarray, n_classes: int) -> Float64[np.ndarray, "records classes"]:
    """Log-probabilities, as the evidence has them."""
    if target.access > Access.LABEL:
        return log_softmax(target.logits(inputs))
    labels = np.minimum(target.labels(inputs), n_classes - 1)  # all that no record has are the last class
    return log_softmax(np.where(np.arange(n_classes) == labels[:, None], 0.0, -100.0))


def _changed(one: np.ndarray, other: np.ndarray) -> Bool[np.ndarray, " records"]:
    """Which records got another answer: by a probability, or, where that is sure, by the log-odds of the likeliest.

    Half precision rounds away what a sure answer's log-odds say, so there the probability alone counts.
    """
    p, q = np.exp(one), np.exp(other)
    changed = np.abs(p - q).max(axis=1) > CHANGED
    if _is_half(p) or _is_half(q):
        return changed
    at = one.argmax(axis=1)
    odds = [_log_odds(log_p, at) for log_p in (one, other)]
    return changed | (np.abs(odds[0] - odds[1]) > CHANGED_ODDS * (1 + np.abs(odds[0])))


def _log_odds(log_p: np.ndarray, at: np.ndarray) -> Float64[np.ndarray, " records"]:
    others = log_p.copy()
    others[np.arange(len(at)), at] = -np.inf
    rest = np.log(np.maximum(np.exp(others).sum(axis=1), 1e-45))
    return np.clip(log_p[np.arange(len(at)), at] - rest, -SUREST, SUREST)


def _is_half(p: np.ndarray) -> bool:
    """Whether all probabilities are numbers of float16, or have the eight digits of bfloat16."""
    mantissa = np.frexp(p)[0] * 2**8
    return bool(
        np.allclose(p, p.astype(np.float16), rtol=1e-9, atol=0) or np.allclose(mantissa, mantissa.round(), atol=1e-6)
    )


def _moved_more(elsewhere: np.ndarray, again: np.ndarray) -> bool:
    """Whether company moves the answers surely more than asking again does."""
    wins, losses = int((elsewhere > again).sum()), int((elsewhere < again).sum())
    return bool(wins + losses and binom.sf(wins - 1, wins + losses, 0.5) < GATE_LEVEL / 10)
