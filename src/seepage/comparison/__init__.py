"""The comparison: every defence under the same attackers, on the same draws of members, at a declared utility."""

from seepage.comparison.choice import Choice
from seepage.comparison.protocol import default_attacks
from seepage.comparison.study import compare

__all__ = ["Choice", "compare", "default_attacks"]
