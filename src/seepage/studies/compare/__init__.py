"""The comparison: every defence under the same attackers, on the same draws of members, at a declared utility."""

from seepage.studies.compare.choice import Choice
from seepage.studies.compare.protocol import default_attacks
from seepage.studies.compare.shadow import ShadowStudy
from seepage.studies.compare.study import compare
from seepage.studies.draw import Draw

__all__ = ["Choice", "Draw", "ShadowStudy", "compare", "default_attacks"]
