"""Synthetic records instead of the originals: made with metric privacy on their codes.

pool -> VAE (here, on public records, or by DP-SGD) -> code of each record -> noise -> decoded record -> release
"""

from __future__ import annotations

from seepage.synthesis.guarantee import Guarantee
from seepage.synthesis.procedure import TrainOnSynthetic
from seepage.synthesis.release import Synthetic
from seepage.synthesis.synthesise import NetworkOptions, synthesise

__all__ = ["Guarantee", "NetworkOptions", "Synthetic", "TrainOnSynthetic", "synthesise"]
