"""The second audit of a defence: of records planted to be given away first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge

from seepage.attacks import Attack, resolve_attacks
from seepage.data import Pool, plant_in_turns
from seepage.data.canaries import CANARIES, STRONGEST
from seepage.models.recipe import Recipe
from seepage.options import OneOf, Options
from seepage.schema.audit import AuditResult
from seepage.schema.comparison import CanaryFigures
from seepage.studies.compare.choice import Entry
from seepage.studies.compare.figures import canary_figures
from seepage.studies.compare.protocol import ON_CANARIES, Attackers, label_only
from seepage.studies.draw import Draw

PER_DEFENCE = "strongest"
OTHERWISE = "mislabelled"  # for a defence that nobody has found its strongest canaries for


@dataclass(frozen=True)
class Canaries(Options):
    """Which canaries, and how many.

    Attributes:
        kind: one of `seepage.data.canaries.CANARIES` for all defences, or "strongest": what was found to be the
            strongest kind for each.
        n: planted; half of them are members of each model.
    """

    kind: Annotated[str, OneOf(PER_DEFENCE, *CANARIES)]
    n: Annotated[int, Ge(4)]

    def kind_for(self, entry: Entry) -> str:
        if self.kind != PER_DEFENCE:
            return self.kind
        strongest = STRONGEST.get(entry.name or "none")
        return strongest.kind if strongest else OTHERWISE

    def figures(
        self, entry: Entry, recipe: Recipe, pool: Pool, draw: Draw, attackers: Attackers, seeds: tuple[int, ...],
        folder: Path, attacks: Mapping[str, Attack],
    ) -> tuple[CanaryFigures, list[AuditResult]]:  # fmt: skip
        """Audit the canaries of every seed; the same seed and kind plant the same ones under every defence."""
        kind, attackers = self.kind_for(entry), replace(attackers, other_nonmembers={})  # canaries alone are judged
        audits, pairs = [], []
        for seed in seeds:
            rng = np.random.default_rng([seed, 3])
            planted, membership = plant_in_turns(
                pool,
                kind,
                n=self.n,
                models=entry.references,
                population=draw.population,
                validation=draw.validation,
                rng=rng,
            )
            pairs.append(int((~membership.targets[membership.audit]).sum()))
            audits.append(attackers.audit(recipe, planted, membership, folder / f"canaries-{seed}", seed, attacks))
        settings = attackers.settings
        fpr = min((rate for rate in settings.rates if rate * min(pairs) >= 10), default=max(settings.rates))
        return canary_figures(audits, kind, self.n, fpr, settings.confidence), audits


def canary_attacks(asked: Mapping[str, Attack], queries: str) -> Mapping[str, Attack]:
    """What canaries are attacked with: what was asked for, or the attacks that are strong on them and both controls."""
    return asked or resolve_attacks((*ON_CANARIES, *label_only(queries)))
