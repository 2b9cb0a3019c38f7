"""The audit of a release: release, members, others -> closeness, density ratios, attacks on records, use."""

from __future__ import annotations

from seepage.studies.release.released import audit_released, side_by_side
from seepage.studies.release.risks import Attacker

__all__ = ["Attacker", "audit_released", "side_by_side"]
