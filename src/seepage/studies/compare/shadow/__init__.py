"""A target and one shadow for each row: may a prediction score be trusted as a sign of membership, and by whom?"""

from seepage.studies.compare.shadow.world import ShadowStudy

__all__ = ["ShadowStudy"]
