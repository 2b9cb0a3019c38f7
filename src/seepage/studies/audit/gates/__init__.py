"""The checks that must hold before an audit may claim anything, in both directions.

Some guard a found leak (would the sides differ without any model?), some guard absence (is the set-up one in which a
leak could have been found?), most guard both.
"""

import numpy as np

from seepage.studies.audit.controls import Controls
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.findings import Scored
from seepage.studies.audit.gates.answers import knows_the_task
from seepage.studies.audit.gates.blind import blind_baseline
from seepage.studies.audit.gates.check import GATE_LEVEL, Check
from seepage.studies.audit.gates.controls import null_model, positive_control
from seepage.studies.audit.gates.neighbours import near_copies
from seepage.studies.audit.gates.records import copies, overlap, randomised, sample_size
from seepage.studies.audit.gates.references import own_columns, reference_accuracy, reference_balance
from seepage.studies.audit.gates.repeats import own_answers
from seepage.studies.audit.gates.scale import scale
from seepage.studies.audit.gates.scores import degenerate, direction
from seepage.studies.settings import Settings

__all__ = [
    "GATE_LEVEL",
    "Check",
    "blind_baseline",
    "copies",
    "degenerate",
    "direction",
    "knows_the_task",
    "near_copies",
    "null_model",
    "overlap",
    "own_answers",
    "own_columns",
    "positive_control",
    "randomised",
    "reference_accuracy",
    "reference_balance",
    "run_gates",
    "sample_size",
    "scale",
]


def run_gates(
    evidence: Evidence,
    scored: Scored,
    controls: Controls,
    settings: Settings,
    *,
    n_twins: int,
    n_repeats: int,
    rng: np.random.Generator,
) -> list[Check]:
    """Every gate, each with a random generator of its own, so that adding one does not change another."""
    rows = scored.rows
    for_blind, for_copies, for_balance, for_columns, for_task, for_scale, for_answers = rng.spawn(7)
    return [
        overlap(evidence, n_twins, n_repeats),
        randomised(evidence),
        blind_baseline(evidence, rows, for_blind),
        near_copies(evidence, rows, for_copies),
        sample_size(scored.members, settings),
        degenerate(scored, evidence),
        knows_the_task(evidence, rows, for_task),
        own_answers(evidence, rows, for_answers),
        scale(evidence, rows, for_scale),
        direction(scored, evidence),
        reference_balance(evidence, rows, for_balance),
        own_columns(evidence, rows, for_columns),
        reference_accuracy(evidence, rows),
        null_model(controls),
        positive_control(controls, settings),
    ]
