"""Models whose answer is known beforehand, audited by the same attacks: does the audit stay silent, can it see?"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from seepage.attacks import find_attack
from seepage.auditing.evidence import Evidence
from seepage.auditing.findings import Scored, score
from seepage.auditing.gather import Run
from seepage.auditing.settings import Settings

# The overfitted control is trained on this share of the records, for as many steps as the others.
CONTROL_SHARE = 0.1


@dataclass(frozen=True)
class Controls:
    """The scores on each control, or why there is none."""

    null: Scored | None
    positive: Scored | None
    why_no_null: str = ""
    why_no_positive: str = ""


def run_controls(
    evidence: Evidence,
    run: Run,
    attacks: Sequence[str],
    rows: np.ndarray,
    settings: Settings,
    rng: np.random.Generator,
    *,
    wanted: bool,
) -> Controls:
    """Train and audit both controls where a recipe trains references.

    The *null model* is trained on the population alone and judged by the very sides of the audit: whatever tells
    them apart in its answers is no training. The *positive control* is trained on a tenth of the audited
    records for as many steps as the references, so it overfits; its members are those.
    """
    # A control's gradients are not kept, so attacks on gradients are not run on it.
    attacks = [name for name in attacks if "gradients" not in find_attack(name).needs]
    if not wanted or not attacks or evidence.training is None or not evidence.reference_models:
        why = "controls were switched off" if not wanted else "no reference models were trained by this audit"
        return Controls(None, None, why, why)
    null, why_no_null = None, "the population is too small to train a model on"
    if evidence.membership.population.sum() >= 2 * evidence.logits.shape[-1]:
        null = score(_null(evidence, run), attacks, rows, settings, rng)
    return Controls(null, score(_overfitted(evidence, run, rows, rng), attacks, rows, settings, rng), why_no_null)


def _null(evidence: Evidence, run: Run) -> Evidence:
    """The evidence with a stranger in the place of the first target."""
    made = run.train(evidence.records, evidence.membership.population[:, None], "null-model")
    logits = evidence.logits.copy()
    logits[:, evidence.target_models[0]] = made.logits[:, 0]
    return replace(evidence, logits=logits, target_models=evidence.target_models[:1], gradient_norm=None)


def _overfitted(evidence: Evidence, run: Run, rows: np.ndarray, rng: np.random.Generator) -> Evidence:
    """The evidence with one more model, trained on few records for long."""
    few = np.zeros(len(evidence.labels), dtype=bool)
    few[rng.choice(rows, max(2, round(CONTROL_SHARE * len(rows))), replace=False)] = True
    # The others are trained on half of the records.
    recipe = replace(run.recipe, epochs=run.recipe.epochs * 0.5 / CONTROL_SHARE, stop=None)
    made = run.train(evidence.records, few[:, None], "positive-control", recipe)
    return replace(
        evidence,
        logits=np.concatenate([made.logits, evidence.logits[:, evidence.reference_models]], axis=1),
        membership=replace(evidence.membership, targets=few[:, None], turns=False),
        target_models=[0],
        reference_models=list(range(1, 1 + len(evidence.reference_models))),
        gradient_norm=None,
    )
