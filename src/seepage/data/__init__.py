"""Data: pools of records, the named data sets, and who was a member of what."""

from seepage.data.canaries import CANARIES, plant
from seepage.data.catalogue import DATASETS, load
from seepage.data.membership import Membership
from seepage.data.pool import Pool, overlap

__all__ = ["CANARIES", "DATASETS", "Membership", "Pool", "load", "overlap", "plant"]
