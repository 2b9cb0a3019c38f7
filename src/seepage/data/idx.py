"""MNIST and Fashion-MNIST: images and labels in the IDX format, plain or gzipped.

IDX: two zero bytes, a byte for the type (8: unsigned bytes), a byte for the number of axes, the length of
each axis as a big-endian 32-bit integer, then the values, last axis fastest. Y. LeCun, C. Cortes,
C. J. C. Burges, "The MNIST database of handwritten digits".
"""

import gzip
import math
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from seepage.data.cache import MAX_UNPACKED_BYTES, Folder, Original, reading
from seepage.data.pool import Pool
from seepage.errors import DataFileError

MNIST = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
FASHION = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def _originals(folders: tuple[str, ...], **sha256: str) -> tuple[Original, ...]:
    """The four files, each with the SHA-256 of its unzipped contents."""
    return tuple(
        Original(name, tuple(f"{url}{name}.gz" for url in folders), f"sha256:{sha256[part]}", gzipped=True)
        for part, name in (
            ("train_images", "train-images-idx3-ubyte"),
            ("train_labels", "train-labels-idx1-ubyte"),
            ("test_images", "t10k-images-idx3-ubyte"),
            ("test_labels", "t10k-labels-idx1-ubyte"),
        )
    )


MNIST_FILES = _originals(
    MNIST,
    train_images="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    train_labels="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    test_images="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    test_labels="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
FASHION_FILES = _originals(
    FASHION,
    train_images="c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    train_labels="bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    test_images="5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    test_labels="0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)


def read_mnist(folder: Folder, *, flat: bool = False) -> Pool:
    """(70000, 1, 28, 28) uint8, or (70000, 784) where `flat`; the 60,000 of the training part first."""
    return _read(folder, MNIST_FILES, "mnist", tuple("0123456789"), flat)


def read_fashion_mnist(folder: Folder, *, flat: bool = False) -> Pool:
    """(70000, 1, 28, 28) uint8, or (70000, 784) where `flat`; the 60,000 of the training part first."""
    return _read(folder, FASHION_FILES, "fashion-mnist", FASHION_CLASSES, flat)


def _read(folder: Folder, files: tuple[Original, ...], name: str, classes: tuple[str, ...], flat: bool) -> Pool:
    paths = [folder.locate(file) for file in files]
    train_images, train_labels, test_images, test_labels = map(read_idx, paths)
    for images, labels, path in ((train_images, train_labels, paths[0]), (test_images, test_labels, paths[2])):
        if images.ndim != 3 or labels.shape != images.shape[:1]:
            raise DataFileError(f"{path}: expected images and as many labels, got {images.shape} and {labels.shape}")
    images = np.concatenate([train_images, test_images])
    return Pool(
        images.reshape(len(images), -1) if flat else images[:, None],
        np.concatenate([train_labels, test_labels]),
        ids=[f"train/{i}" for i in range(len(train_images))] + [f"test/{i}" for i in range(len(test_images))],
        name=name,
        classes=classes,
        scale=1 / 255,
    )


def read_idx(path: Path) -> UInt8[np.ndarray, "..."]:
    """The array in an IDX file of unsigned bytes, gzipped if its name ends in .gz."""
    with reading(path), (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
        head = file.read(4)
        if len(head) < 4 or head[:2] != b"\0\0" or head[2] != 8:
            raise ValueError(f"expected an IDX file of unsigned bytes (it begins 00 00 08), it begins {head.hex(' ')}")
        axes = file.read(4 * head[3])
        if len(axes) < 4 * head[3]:
            raise ValueError("it ends inside its header")
        shape = tuple(np.frombuffer(axes, dtype=">u4").tolist())
        size = math.prod(shape)
        if size > MAX_UNPACKED_BYTES:
            raise ValueError(f"its header promises {size} values, more than any original has")
        values = file.read(size)
        if len(values) < size or file.read(1):
            raise ValueError(
                f"expected {size} values as its header says, got {'fewer' if len(values) < size else 'more'}"
            )
        return np.frombuffer(values, dtype=np.uint8).reshape(shape)
