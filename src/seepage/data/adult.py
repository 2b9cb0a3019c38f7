"""UCI Adult: census records and whether the income is above 50,000 dollars.

Comma-separated lines of 14 attributes and the class; `?` stands for an unknown value, and in the test part
a first line is a comment and the class ends in a full stop. B. Becker, R. Kohavi, "Adult", UCI Machine
Learning Repository, 1996, doi:10.24432/C5XW20.
"""

from pathlib import Path

import numpy as np

from seepage.data.cache import Folder, Original, reading
from seepage.data.frames import encode, encoded_columns
from seepage.data.pool import Pool
from seepage.errors import unknown_name

HOME = "https://archive.ics.uci.edu/ml/machine-learning-databases/adult/"
FILES = (
    Original(
        "adult.data",
        (HOME + "adult.data",),
        "sha256:5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d",
    ),
    Original(
        "adult.test",
        (HOME + "adult.test",),
        "sha256:a2a9044bc167a35b2361efbabec64e89d69ce82d9790d2980119aac5fd7e9c05",
    ),
)
CLASSES = ("<=50K", ">50K")
COLUMNS = (
    "age",
    "workclass",
    "fnlwgt",
    "education",
    "education-num",
    "marital-status",
    "occupation",
    "relationship",
    "race",
    "sex",
    "capital-gain",
    "capital-loss",
    "hours-per-week",
    "native-country",
)
NUMERIC = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")


def read_adult(folder: Folder, *, standardise: bool = True, group: str | None = None) -> Pool:
    """(48842, 108) float32: six numbers, standardised over all records, and eight attributes one-hot.

    An unknown value is a category of its own; the classes are "<=50K" and ">50K".

    Args:
        standardise: otherwise the numbers stay as they are (years, dollars, hours).
        group: a column whose values become the pool's groups, such as "sex" or "race".
    """
    if group is not None and group not in COLUMNS:
        raise unknown_name("column", group, COLUMNS)
    train, test = (_rows(folder.locate(file)) for file in FILES)
    cells = np.array(train + test)
    table = dict(zip(COLUMNS, cells.T[:-1], strict=True))
    features = {name: values.astype(np.float64) if name in NUMERIC else values for name, values in table.items()}
    return Pool(
        encode(features, standardise=standardise),
        (cells[:, -1] == CLASSES[1]).astype(np.int64),
        ids=[f"train/{i}" for i in range(len(train))] + [f"test/{i}" for i in range(len(test))],
        groups=None if group is None else table[group],
        name="adult",
        classes=CLASSES,
        columns=encoded_columns(features),
    )


def _rows(path: Path) -> list[list[str]]:
    rows = []
    with reading(path), open(path, encoding="ascii") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip() or line.startswith("|"):
                continue
            row = line.strip().rstrip(".").split(", ")
            if len(row) != len(COLUMNS) + 1 or row[-1] not in CLASSES:
                raise ValueError(f"line {number}: expected {len(COLUMNS)} attributes and {' or '.join(CLASSES)}")
            rows.append(row)
    return rows
