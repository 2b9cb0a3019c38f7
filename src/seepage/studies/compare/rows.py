"""One row of a comparison: what the defence is, and what its audits measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seepage.data import Membership
from seepage.defences.base import Defence
from seepage.defences.dp_sgd import DPSGD
from seepage.schema import comparison as report
from seepage.schema.audit import AuditResult
from seepage.studies.compare import figures
from seepage.studies.compare.choice import Entry, options_of
from seepage.studies.compare.tuning import Search


def describe(
    row: Entry, plain: Entry, defence: Defence | None, searched: Search | None, membership: Membership
) -> dict[str, Any]:
    """What a `DefenceResult` says of the defence itself.

    Args:
        row, plain: the row and the undefended model's.
        defence: with the options that were settled on.
        searched: how they were, if by a search.
        membership: of the first seed, for whose training sets an epsilon is claimed.
    """
    epsilon, delta = _claimed(defence, row, membership)
    return {
        "name": row.label,
        "title": "No defence" if defence is None else defence.title,
        "kind": "none" if defence is None else defence.kind,
        "source": "" if defence is None else defence.source,
        "options": options_of(defence),
        "notes": [*(defence.notes if defence is not None else ()), *_notes(row, plain)],
        "setting": "as given" if searched is None else "searched",
        "reached_floor": None if searched is None else searched.reached_floor,
        "tuning": [] if searched is None else searched.points,
        "n_references": row.references,
        "epsilon_claimed": epsilon,
        "delta_claimed": delta,
    }


def measure(
    audits: Sequence[AuditResult],
    on_canaries: tuple[report.CanaryFigures, list[AuditResult]] | None,
    infos: Sequence[report.AttackInfo],
    seeds: Sequence[int],
    folders: Sequence[str],
    rate: float,
    confidence: float,
) -> dict[str, Any]:
    """What a `DefenceResult` says of the audits, one a seed."""
    by_name = figures.attack_figures(audits, rate, confidence)
    return {
        "seconds": figures.seconds([*audits, *(on_canaries[1] if on_canaries else ())]),
        "utility": figures.utility(audits, confidence),
        "worst": report.worst_of(by_name),
        "by_family": figures.by_family(by_name, infos),
        "attacks": by_name,
        "per_seed": [
            figures.seed_figures(result, seed, rate, folder)
            for result, seed, folder in zip(audits, seeds, folders, strict=True)
        ],
        "other_nonmembers": figures.other_nonmembers(audits, confidence),
        "canaries": on_canaries[0] if on_canaries else None,
    }


def _notes(row: Entry, plain: Entry) -> list[str]:
    """What sets a row apart from the others beside its defence."""
    told = []
    if row.recipe.fingerprint != plain.recipe.fingerprint:
        told.append("Trained by a recipe of its own: what differs from the undefended model is not the defence alone.")
    if row.references != plain.references:
        told.append(
            f"{row.references} models instead of {plain.references}: members are drawn apart, and attacks that use "
            "references have others to learn from."
        )
    return told


def _claimed(defence: Defence | None, row: Entry, membership: Membership) -> tuple[float | None, float | None]:
    """(epsilon, delta) that DP-SGD promises every target: the largest, as they differ in how many members they have."""
    if not isinstance(defence, DPSGD):
        return None, None
    sizes = np.unique(membership.targets.sum(axis=0))
    ends = {int(sizes[0]), int(sizes[-1])}
    largest = max(defence.epsilon(n, row.recipe.batch_size, row.recipe.epochs) for n in ends)
    return (largest, defence.delta) if math.isfinite(largest) else (None, None)
