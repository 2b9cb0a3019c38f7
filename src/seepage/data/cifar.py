"""CIFAR-10 and CIFAR-100: the binary versions.

A record is its label bytes (CIFAR-10: class; CIFAR-100: coarse class, fine class), then 3,072 bytes: the
red, green and blue planes of a 32 x 32 image, row by row. A. Krizhevsky, "Learning multiple layers of
features from tiny images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from seepage.data.cache import MAX_UNPACKED_BYTES, Folder, Original, reading
from seepage.data.pool import Pool
from seepage.errors import DataFileError

HOME = "https://www.cs.toronto.edu/~kriz/"
CIFAR10_ARCHIVE = Original(
    "cifar-10-binary.tar.gz", (HOME + "cifar-10-binary.tar.gz",), "md5:c32a1d4ab5d03f1284b67883e8d87530"
)
CIFAR10_FILES = tuple(
    Original(f"cifar-10-batches-bin/{name}.bin", checksum=f"sha256:{sha256}")
    for name, sha256 in (
        ("data_batch_1", "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5"),
        ("data_batch_2", "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed"),
        ("data_batch_3", "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67"),
        ("data_batch_4", "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48"),
        ("data_batch_5", "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add"),
        ("test_batch", "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b"),
    )
)
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# Of the archive the makers publish an MD5; of its members nobody does, so their first use is recorded.
CIFAR100_ARCHIVE = Original(
    "cifar-100-binary.tar.gz", (HOME + "cifar-100-binary.tar.gz",), "md5:03b5dce01913d631647c71ecec9e9cb8"
)
CIFAR100_FILES = tuple(
    Original(f"cifar-100-binary/{name}")
    for name in ("train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt")
)


def read_cifar10(folder: Folder, *, flat: bool = False) -> Pool:
    """(60000, 3, 32, 32) uint8, or (60000, 3072) where `flat`; the five training batches first."""
    *train, test = folder.unpack(CIFAR10_ARCHIVE, CIFAR10_FILES)
    return _pool("cifar10", train, test, n_label_bytes=1, which_label=0, classes=CIFAR10_CLASSES, flat=flat)


def read_cifar100(folder: Folder, *, coarse: bool = False, flat: bool = False) -> Pool:
    """(60000, 3, 32, 32) uint8 in 100 classes, or in the 20 `coarse` ones; the training part first."""
    train, test, fine_names, coarse_names = folder.unpack(CIFAR100_ARCHIVE, CIFAR100_FILES)
    names = coarse_names if coarse else fine_names
    with reading(names):
        classes = tuple(names.read_text(encoding="ascii").split())
    which = 0 if coarse else 1
    return _pool("cifar100", [train], test, n_label_bytes=2, which_label=which, classes=classes, flat=flat)


def _pool(
    name: str,
    train: Sequence[Path],
    test: Path,
    *,
    n_label_bytes: int,
    which_label: int,
    classes: tuple[str, ...],
    flat: bool,
) -> Pool:
    parts = [_records(path, n_label_bytes) for path in (*train, test)]
    n_test = len(parts[-1])
    records = np.concatenate(parts)
    images = records[:, n_label_bytes:]
    labels = records[:, which_label]
    if labels.max() >= len(classes):
        raise DataFileError(f"{test.parent}: expected labels below {len(classes)}, got {labels.max()}")
    n_train = len(records) - n_test
    return Pool(
        np.ascontiguousarray(images if flat else images.reshape(-1, 3, 32, 32)),
        labels,
        ids=[f"train/{i}" for i in range(n_train)] + [f"test/{i}" for i in range(n_test)],
        name=name,
        classes=classes,
        scale=1 / 255,
    )


def _records(path: Path, n_label_bytes: int) -> UInt8[np.ndarray, "records bytes"]:
    size = n_label_bytes + 3072
    with reading(path):
        if path.stat().st_size > MAX_UNPACKED_BYTES:
            raise ValueError("it has more bytes than any original")
        values = np.fromfile(path, dtype=np.uint8)
        if len(values) == 0 or len(values) % size:
            raise ValueError(f"expected records of {size} bytes, got {len(values)} bytes in all")
    return values.reshape(-1, size)
