"""FeS-MIA: tell members from a handful of records whose membership is known, without reference models."""

from seepage.attacks.few_shot.laplacian_shot import LaplacianShot
from seepage.attacks.few_shot.signal_shot import SignalShot
from seepage.attacks.few_shot.simple_shot import SimpleShot
from seepage.attacks.few_shot.support import Episodes, FewShot
from seepage.attacks.few_shot.transductive import TransductiveTuning

__all__ = ["Episodes", "FewShot", "LaplacianShot", "SignalShot", "SimpleShot", "TransductiveTuning"]
