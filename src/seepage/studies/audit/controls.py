"""Models whose answer is known beforehand, audited by the same attacks: does the audit stay silent, can it see?"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from seepage.attacks import Attack
from seepage.models.held_out import HeldOut
from seepage.models.recipe import Recipe
from seepage.models.target import TargetModel
from seepage.signals.collect import Collection
from seepage.studies.audit.evidence import Evidence
from seepage.studies.audit.findings import Scored, score
from seepage.studies.audit.gather import Trainer, wrap_trained
from seepage.studies.settings import Settings

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
    run: Trainer,
    attacks: Mapping[str, Attack],
    rows: np.ndarray,
    settings: Settings,
    rng: np.random.Generator,
) -> Controls:
    """Train and audit both controls where a recipe trains references.

    The *null model* is trained on the population alone and judged by the very sides of the audit: whatever tells
    them apart in its answers is no training. The *positive control* is trained on a tenth of the audited
    records for as many steps as the references, so it overfits; its members are those.
    """
    wanted = settings.controls
    if not evidence.live:  # nothing but the outputs of a control can be had then
        attacks = {
            name: attack for name, attack in attacks.items() if not attack.needs & {"gradients", "features", "model"}
        }
    if not wanted or not attacks or evidence.training is None or not evidence.reference_models:
        why = "controls were switched off" if not wanted else "no reference models were trained by this audit"
        if wanted and not evidence.labelled:
            why = "models are trained with labels, and the records have none"
        return Controls(None, None, why, why)
    kept = {"folder": run.folder, "progress": run.run.progress}
    null, why_no_null = None, "the population is too small to train a model on"
    if evidence.membership.population.sum() >= 2 * evidence.logits.shape[-1]:
        null = score(_null(evidence, run, rng), attacks, rows, settings, rng, **kept)
    positive = score(_overfitted(evidence, run, rows, rng), attacks, rows, settings, rng, **kept)
    return Controls(null, positive, why_no_null)


def _null(evidence: Evidence, run: Trainer, rng: np.random.Generator) -> Evidence:
    """The evidence with a stranger in the place of the first target."""
    strangers = np.flatnonzero(evidence.membership.population)
    held_out = HeldOut.of(evidence.membership)
    if "population" in run.recipe.uses:  # half to train on, half to compare with
        shuffled, half = rng.permutation(strangers), len(strangers) // 2
        strangers, held_out = shuffled[:half], replace(held_out, population=np.sort(shuffled[half:]))
    members = np.zeros(len(evidence.labels), dtype=bool)
    members[strangers] = True
    made, live = _train(evidence, run, members, "null-model", held_out)
    logits = evidence.logits.copy()
    logits[:, evidence.target_models[0]] = made.logits[:, 0]
    target, reference = evidence.target_models[0], evidence.reference_models[0]
    given = evidence.probabilities.copy()
    given[target] = given[reference]  # it was trained as the references were
    return replace(evidence, logits=logits, probabilities=given, target_models=[target], live=live)


def _train(
    evidence: Evidence, run: Trainer, members: np.ndarray, name: str, held_out: HeldOut, recipe: Recipe | None = None
) -> tuple[Collection, list[TargetModel]]:
    """One more model, and where the targets are live the model itself behind the same access."""
    made = run.train(evidence.records, members[:, None], name, held_out, recipe, live=[0] if evidence.live else [])
    n_asked = made.logits.shape[0] * made.logits.shape[2]
    return made, [wrap_trained(module, evidence.access, n_asked) for module in made.modules.values()]


def _overfitted(evidence: Evidence, run: Trainer, rows: np.ndarray, rng: np.random.Generator) -> Evidence:
    """The evidence with one more model, trained on few records for long."""
    few = evidence.membership.known & evidence.membership.targets[:, 0]  # whom the attacker knows to be members, stay
    few[rng.choice(rows, max(2, round(CONTROL_SHARE * len(rows))), replace=False)] = True
    n_members = evidence.membership.references.sum(axis=0).mean()
    recipe = replace(run.recipe, epochs=run.recipe.epochs * n_members / few.sum(), stop=None)
    made, live = _train(evidence, run, few, "positive-control", HeldOut.of(evidence.membership), recipe)
    return replace(
        evidence,
        logits=np.concatenate([made.logits, evidence.logits[:, evidence.reference_models]], axis=1),
        membership=replace(evidence.membership, targets=few[:, None], turns=False),
        probabilities=evidence.probabilities[[evidence.reference_models[0], *evidence.reference_models]],
        target_models=[0],
        reference_models=list(range(1, 1 + len(evidence.reference_models))),
        live=live,
    )
