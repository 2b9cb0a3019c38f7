"""Model inversion: what can be reconstructed of a class or a person, and how much of it is the model's doing.

    result = seepage.invert(pool, recipe=recipe, attacks=["gmi"], out="inversion")

public images, target -> prior;  prior, target -> attack -> images of a class;  images -> judge, beside baselines

An attack is an objective, a prior, an optimiser and a way to choose among its tries: one file each.
"""

from seepage.inversion.base import Budget, Inversion
from seepage.inversion.catalogue import BY_DEFAULT, INVERSIONS, default_inversions, find_inversion, table
from seepage.inversion.study import invert
from seepage.inversion.targets import Choice

__all__ = [
    "BY_DEFAULT",
    "INVERSIONS",
    "Budget",
    "Choice",
    "Inversion",
    "default_inversions",
    "find_inversion",
    "invert",
    "table",
]
