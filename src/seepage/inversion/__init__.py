"""Inversion attacks: what can be reconstructed of a class or a person.

An attack is an objective, a prior, an optimiser and a way to choose among its tries: one file each.
"""

from seepage.inversion.base import Budget, Inversion
from seepage.inversion.catalogue import BY_DEFAULT, INVERSIONS, default_inversions, find_inversion, table

__all__ = ["BY_DEFAULT", "INVERSIONS", "Budget", "Inversion", "default_inversions", "find_inversion", "table"]
