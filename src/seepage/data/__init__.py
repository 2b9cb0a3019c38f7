"""Data: pools of records, the named data sets, and who was a member of what."""

from seepage.data.canaries import CANARIES, plant, plant_in_turns
from seepage.data.catalogue import DATASETS, load
from seepage.data.files import read_file
from seepage.data.frames import read_frame
from seepage.data.items import read_dataset
from seepage.data.membership import Membership
from seepage.data.pool import Pool, overlap

__all__ = [
    "CANARIES",
    "DATASETS",
    "Membership",
    "Pool",
    "load",
    "overlap",
    "plant",
    "plant_in_turns",
    "read_dataset",
    "read_file",
    "read_frame",
]
