"""The study of model inversion: what can be reconstructed of a class, and how much of it is the model's doing.

    result = seepage.invert(pool, recipe=recipe, attacks=["gmi"], out="inversion")

public images, target -> prior;  prior, target -> attack -> images of a class;  images -> judge, beside baselines
"""

from seepage.studies.invert.study import invert
from seepage.studies.invert.targets import Choice

__all__ = ["Choice", "invert"]
