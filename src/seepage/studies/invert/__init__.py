"""The study of model inversion: what can be reconstructed of a class, and how much of it is the model's doing.

    result = seepage.invert(pool, recipe, attacker=InversionAttacker(["gmi"]), run=Run("inversion"))

public images, target -> prior;  prior, target -> attack -> images of a class;  images -> judge, beside baselines
"""

from seepage.studies.invert.options import InversionAttacker, InversionDraw, InversionSettings
from seepage.studies.invert.study import invert
from seepage.studies.invert.targets import Choice

__all__ = ["Choice", "InversionAttacker", "InversionDraw", "InversionSettings", "invert"]
