"""Is an answer the record's own?

A layer that was left in training mode drops units at random, or takes its statistics from the batch. A torch module is
put into eval mode before it is asked; a callable around one is not, nor is a layer that has no running statistics.
"""

import numpy as np
from jaxtyping import Float64

from seepage.auditing.evidence import Evidence
from seepage.auditing.gates.check import Check, failed, not_run, passed
from seepage.models.access import Access
from seepage.models.target import TargetModel
from seepage.signals.functions import log_softmax

RECORDS = 64
CHANGED = 5e-3  # of a probability: half precision in another batch changes less
MOST_CHANGED = 1  # records that may change all the same: of two equal labels, rounding picks one


def own_answers(evidence: Evidence, rows: np.ndarray, rng: np.random.Generator) -> Check:
    """Does the target give the same answer to some records of both sides, asked in other company and then again?

    Answers that depend on the company say who was asked with whom, and members are asked with members. Answers at
    random hide what the model knows; an attacker who asks often sees more.
    """
    name, question = "own answers", "Does the answer to a record depend on that record alone?"
    if evidence.is_trained_here:
        return passed(name, question, "this audit trained the model and asks it in eval mode")
    if not evidence.live or evidence.records is None:
        return not_run(name, question, "there is no model to ask", "audit the model itself, with the records")
    inside = evidence.membership.targets[rows, 0]
    sides = [rng.permutation(rows[inside == side])[: RECORDS // 2] for side in (True, False)]
    chosen, target = rng.permutation(np.concatenate(sides)), evidence.live[0]
    recorded = np.exp(log_softmax(evidence.logits[chosen, evidence.target_models[0], 0]))
    inputs = evidence.records.batch(chosen)
    first, second = (_probabilities(target, inputs, recorded.shape[1]) for _ in range(2))
    way_out = (
        "put the model into eval mode before you wrap it (model.eval(), dropout off), and give layers that take their "
        "statistics from the batch those of the training"
    )
    if n_changed := _changed(first, second):
        detail = f"asked twice in the same batch, {n_changed} of {len(chosen)} records got another answer"
        way_out += "; if the model answers at random on purpose, audit the mean of many answers"
        return failed(name, question, detail, way_out, guards="absence")
    if n_changed := _changed(recorded, first):
        detail = f"asked together with other records, {n_changed} of {len(chosen)} got another answer"
        return failed(name, question, detail, way_out)
    return passed(name, question, f"{len(chosen)} records, asked again in other company, got the same answer")


def _probabilities(target: TargetModel, inputs: np.ndarray, n_classes: int) -> Float64[np.ndarray, "records classes"]:
    if target.access > Access.LABEL:
        return np.exp(log_softmax(target.logits(inputs)))
    return (np.arange(n_classes) == target.labels(inputs)[:, None]).astype(np.float64)


def _changed(one: np.ndarray, other: np.ndarray) -> int:
    """How many records got another answer; 0 where so few did that it can be rounding."""
    n_changed = int((np.abs(one - other).max(axis=1) > CHANGED).sum())
    return n_changed if n_changed > MOST_CHANGED else 0
