"""The honesty study: may a prediction score be trusted as a sign of membership, and by whom?"""

from seepage.studies.trust.study import study

__all__ = ["study"]
