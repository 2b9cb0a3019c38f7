"""Purchase100, Texas100 and Location30: the binary tables of the first membership-inference paper.

Purchase and Location are one comma-separated file each, the class (1, 2, ..., perhaps in quotes) in the
first column and then a 0 or 1 for each feature. Texas is a file of features and a file with one class a
line. R. Shokri, M. Stronati, C. Song, V. Shmatikov, "Membership inference attacks against machine learning
models", S&P 2017, section VI-A; https://github.com/privacytrustlab/datasets.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from seepage.data.cache import Folder, Original, reading, tar_members
from seepage.data.pool import Pool

HOME = "https://raw.githubusercontent.com/privacytrustlab/datasets/master/"

# Nobody publishes a checksum of Purchase and Texas, but GitHub lists the id of each file's contents.
PURCHASE = Original(
    "dataset_purchase.tgz", (HOME + "dataset_purchase.tgz",), "git-blob:3efa7476ad5ed7ac3e558d28585a186b38fc5f19"
)
TEXAS = Original(
    "dataset_texas.tgz", (HOME + "dataset_texas.tgz",), "git-blob:966f7ff40b24cf5912ff84759aab9adb8c25f30e"
)
LOCATION = Original(
    "dataset_location.tgz",
    (HOME + "dataset_location.tgz",),
    "sha256:927203f85a868f8ee17a0ded1dc61699efe602167beabe34fbf45b4b1de94b33",
)


def read_purchase100(folder: Folder) -> Pool:
    """(197324, 600) uint8 of 0 and 1: which goods a customer bought; 100 clusters of customers."""
    inputs, labels = folder.parsed(PURCHASE, lambda path: _labelled_rows(path, "dataset_purchase"))
    return Pool(inputs, labels, name="purchase100", n_classes=100)


def read_texas100(folder: Folder) -> Pool:
    """(67330, 6169) uint8 of 0 and 1: features of hospital stays; the 100 most frequent procedures."""
    inputs, labels = folder.parsed(TEXAS, _texas)
    return Pool(inputs, labels, name="texas100", n_classes=100)


def read_location30(folder: Folder) -> Pool:
    """(5010, 446) uint8 of 0 and 1: places that a person visited in Bangkok; 30 clusters of persons."""
    inputs, labels = _labelled_rows(folder.locate(LOCATION), "bangkok")
    return Pool(inputs, labels, name="location30", n_classes=30)


def _labelled_rows(path: Path, member: str) -> tuple[UInt8[np.ndarray, "rows features"], Int64[np.ndarray, "rows"]]:
    labels = []

    def without_label(lines: Iterable[bytes]) -> Iterable[bytes]:
        for line in lines:
            label, _, bits = line.partition(b",")
            labels.append(label)
            yield bits

    found = tar_members(path, [member])  # named: the archive closes when nothing holds it any more
    _, file = next(found)
    with reading(path):
        return _bits(without_label(file)), _classes(labels)


def _texas(path: Path) -> tuple[UInt8[np.ndarray, "rows features"], Int64[np.ndarray, "rows"]]:
    parts = {}
    for name, file in tar_members(path, ["texas/100/feats", "texas/100/labels"]):
        with reading(path):
            parts[name] = _classes(file.read().split()) if name.endswith("labels") else _bits(file)
    return parts["texas/100/feats"], parts["texas/100/labels"]


def _bits(lines: Iterable[bytes]) -> UInt8[np.ndarray, "rows features"]:
    """Lines of "0,1,1" as rows: every other byte is a digit, so no text is ever split."""
    rows = []
    for number, line in enumerate(lines, start=1):
        row = np.frombuffer(line.strip(), dtype=np.uint8)
        bits = row[::2] - np.uint8(ord("0"))
        if (
            len(row) % 2 == 0
            or (bits > 1).any()
            or (row[1::2] != ord(",")).any()
            or (rows and len(bits) != len(rows[0]))
        ):
            raise ValueError(f"row {number}: expected as many 0 and 1 as in the first, with commas between them")
        rows.append(bits)
    return np.stack(rows)


def _classes(labels: list[bytes]) -> Int64[np.ndarray, "rows"]:
    return np.array([int(label.strip().strip(b'"')) for label in labels], dtype=np.int64) - 1
