"""Synthetic records instead of the originals: made with metric privacy on their codes, and audited.

pool -> VAE (here, on public records, or by DP-SGD) -> code of each record -> noise -> decoded record -> release
release, members, others -> audit: closeness, density ratios, use
"""

from __future__ import annotations

from seepage.synthesis.guarantee import Guarantee
from seepage.synthesis.procedure import TrainOnSynthetic
from seepage.synthesis.released import ReleasedResult, audit_released
from seepage.synthesis.risks import Attacker
from seepage.synthesis.synthesise import Synthetic, synthesise

__all__ = ["Attacker", "Guarantee", "ReleasedResult", "Synthetic", "TrainOnSynthetic", "audit_released", "synthesise"]
