"""The audit of a release: release, members, others -> closeness, density ratios, attacks on records, use."""

from __future__ import annotations

from seepage.studies.release.released import ReleasedResult, audit_released
from seepage.studies.release.risks import Attacker

__all__ = ["Attacker", "ReleasedResult", "audit_released"]
