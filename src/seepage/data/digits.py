"""Digits: the 1,797 small images that ship with scikit-learn; nothing is downloaded."""

import numpy as np

from seepage.data.cache import Folder
from seepage.data.pool import Pool


def read_digits(folder: Folder, *, flat: bool = True) -> Pool:
    """(1797, 64) float32 in [0, 1], or (1797, 1, 8, 8) where not `flat`.

    Flat by default, unlike the other images: 8 x 8 is too small for convolutions.
    """
    from sklearn.datasets import load_digits  # a second to import: only for those who ask for it

    inputs, labels = load_digits(return_X_y=True)
    inputs = (inputs / 16).astype(np.float32)
    return Pool(
        inputs if flat else inputs.reshape(-1, 1, 8, 8),
        labels,
        name="digits",
        classes=tuple("0123456789"),
    )
