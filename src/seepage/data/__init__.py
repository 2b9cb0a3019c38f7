"""Data: pools of records, the named data sets, and who was a member of what."""

from seepage.data.catalogue import DATASETS, load
from seepage.data.membership import Membership
from seepage.data.pool import Pool, overlap

__all__ = ["DATASETS", "Membership", "Pool", "load", "overlap"]
