"""Labels as people have them: every form gives the same classes, and what are no classes is refused in a sentence."""

import datetime
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from seepage.data import Pool, read_dataset, read_file, read_frame
from seepage.data.labels import joined, key, label_values, number, number_together
from seepage.errors import InputError

LABELS = np.array([2, 0, 1, 1])
SIZES = np.array(["small", "medium", "large"])
FORMS = {
    "list": LABELS.tolist(),
    "objects": LABELS.astype(object),
    "bytes": LABELS.astype(np.uint8),
    "whole floats": LABELS.astype(np.float32),
    "a column": LABELS[:, None],
    "a column of floats in a list": [[2.0], [0.0], [1.0], [1.0]],
    "a tensor": torch.tensor(LABELS),
    "a tensor of half precision that needs a gradient": torch.tensor([2.0, 0, 1, 1]).bfloat16().requires_grad_(),
    "a list of tensors": list(torch.tensor(LABELS)),
    "decimals": [Decimal(2), Decimal(0), Decimal(1), Decimal(1)],
    "half floats": LABELS.astype(np.float16),
    "one-hot": np.eye(3)[LABELS],
    "one-hot bools": np.eye(3, dtype=bool)[LABELS],
    "one-hot lists": np.eye(3, dtype=int)[LABELS].tolist(),
    "one-hot tensor": torch.eye(3)[torch.tensor(LABELS)],
    "one-hot sparse": sparse.csr_matrix(np.eye(3)[LABELS]),
    "one-hot frame": pd.get_dummies(pd.Series(LABELS)),
    "a matrix": np.eye(3)[LABELS].view(np.matrix),  # its constructor warns
    "a sparse column": sparse.csr_matrix(LABELS[:, None]),
    "a series with an index of its own": pd.Series(LABELS, index=[9, 7, 5, 3]),
    "nullable integers": pd.Series(LABELS, dtype="Int64"),
    "categories": pd.Series(LABELS, dtype="category"),
    "a frame of one column": pd.DataFrame({"y": LABELS}),
}


@pytest.mark.parametrize("labels", FORMS.values(), ids=FORMS)
def test_class_numbers_stay_in_every_form(labels):
    pool = Pool(np.eye(4), labels)
    assert (pool.labels.tolist(), pool.n_classes, pool.classes) == ([2, 0, 1, 1], 3, None)


TEXTS = {
    "an array": SIZES[LABELS],
    "a list": SIZES[LABELS].tolist(),
    "objects": SIZES[LABELS].astype(object),
    "bytes": SIZES[LABELS].astype("S"),
    "strings of any length": SIZES[LABELS].astype(np.dtypes.StringDType()),
    "pandas' strings": pd.Series(SIZES[LABELS], dtype="string"),
    "unordered categories": pd.Series(SIZES[LABELS], dtype="category"),
    "a column": SIZES[LABELS][:, None],
}


@pytest.mark.parametrize("labels", TEXTS.values(), ids=TEXTS)
def test_texts_are_numbered_in_sorted_order_and_name_their_classes(labels):
    pool = Pool(np.eye(4), labels)
    assert (pool.labels.tolist(), pool.classes) == ([0, 2, 1, 1], ("large", "medium", "small"))


def test_texts_are_looked_up_in_given_classes():
    pool = Pool(np.eye(4), SIZES[LABELS], classes=("small", "medium", "large", "huge"))
    assert (pool.labels.tolist(), pool.n_classes) == ([2, 0, 1, 1], 4)


def test_ordered_categories_and_named_one_hot_columns_keep_their_order():
    ordered = pd.Categorical(SIZES[LABELS], categories=["small", "medium", "large", "huge"], ordered=True)
    grades = pd.Categorical([3, 1, 2, 2], categories=[3, 2, 1], ordered=True)
    hot = pd.DataFrame(np.eye(3)[LABELS], columns=SIZES)
    assert Pool(np.eye(4), ordered).classes == ("small", "medium", "large", "huge")
    assert (Pool(np.eye(4), grades).labels.tolist(), Pool(np.eye(4), grades).classes) == ([0, 2, 1, 1], ("3", "2", "1"))
    assert (Pool(np.eye(4), hot).labels.tolist(), Pool(np.eye(4), hot).classes) == ([2, 0, 1, 1], tuple(SIZES))


def frame() -> pd.DataFrame:
    size = pd.Categorical(SIZES[LABELS], categories=list(SIZES), ordered=True)
    return pd.DataFrame({"weight": [1.0, 2.0, 3.0, 4.0], "size": size})


def test_a_frame_s_ordered_categories_keep_their_order():
    pool = read_frame(frame(), label="size")
    assert (pool.labels.tolist(), pool.classes) == ([2, 0, 1, 1], tuple(SIZES))


def test_a_parquet_file_s_ordered_categories_keep_their_order(tmp_path):
    pytest.importorskip("pyarrow")
    frame().to_parquet(tmp_path / "sizes.parquet")
    pool = read_file(tmp_path / "sizes.parquet", label="size")
    assert (pool.labels.tolist(), pool.classes) == ([2, 0, 1, 1], tuple(SIZES))


@pytest.mark.parametrize(
    ("codes", "names"),
    [
        ([100234, 90001, 90001], ("90001", "100234")),
        ([2**40, 7, 7], ("7", str(2**40))),
        ([1, -1, -1], ("-1", "1")),
        (np.array([2**63 + 1, 5, 5], dtype=np.uint64), ("5", str(2**63 + 1))),
        ([10**30, 5, 5], ("5", str(10**30))),
    ],
)
def test_codes_are_classes_and_no_count(codes, names):
    pool = Pool(np.eye(3), codes)
    assert (pool.n_classes, pool.classes, pool.labels.tolist()) == (2, names, [1, 0, 0])


def test_class_numbers_with_gaps_are_no_codes():
    assert Pool(np.eye(2), [10, 30]).n_classes == 31
    assert Pool(np.eye(2), [10, 90001], n_classes=100_000).labels.tolist() == [10, 90001]
    assert number(label_values(np.arange(0, 5000, 2))).classes is None


def test_a_part_that_lacks_a_class_shifts_no_code():
    parts = [["a", "c"], ["b", "c"], ["c", "c"]]
    numbered = number_together([label_values(part) for part in parts])
    assert [part.labels.tolist() for part in numbered] == [[0, 2], [1, 2], [2, 2]]
    numbered = number_together([label_values([5, 90001]), label_values([90001, 2**40])])
    assert [part.labels.tolist() for part in numbered] == [[0, 1], [1, 2]]
    numbered = number_together([label_values(np.eye(4)[[0, 1]]), label_values([0, 1])])
    assert [part.n_classes for part in numbered] == [4, 4]


def test_a_declared_order_goes_before_sorting():
    declared = label_values(pd.Categorical(["lo", "hi"], categories=["lo", "mid", "hi"], ordered=True))
    assert joined([label_values(["hi", "none"]), declared]).order == ("lo", "mid", "hi", "none")


REFUSED = {
    "Python's fractions": ([Fraction(1, 2), 1, 2], "numbers such as 1/2"),
    "decimal fractions": ([Decimal("0.5"), Decimal(1), Decimal(2)], r"numbers such as 0\.5"),
    "fractions": ([0.5, 1.0, 2.0], "target of a regression"),
    "dates": (np.array(["2020-01-01"] * 3, dtype="datetime64[D]"), "target of a regression"),
    "Python's dates": ([datetime.date(2020, 1, 1)] * 3, "target of a regression"),
    "durations": (pd.Series(pd.to_timedelta([1, 2, 3], unit="s")), "target of a regression"),
    "missing numbers": ([1.0, np.nan, 0.0], "missing or not finite, record 1"),
    "missing texts": (["a", None, "b"], "1 of 3 labels are missing, record 1"),
    "missing nullable integers": (pd.Series([1, None, 0], dtype="Int64"), "missing"),
    "masked": (np.ma.array([0, 1, 1], mask=[0, 0, 1]), "masked"),
    "several labels": (np.array([[1, 1], [0, 1], [1, 0]]), "row 0 is .*several labels"),
    "no label": (np.array([[0, 1], [0, 0], [1, 0]]), "row 1 is"),
    "shares": ([[0.2, 0.8], [1.0, 0.0], [0.0, 1.0]], "shares of classes"),
    "several sparse labels": (sparse.csr_matrix([[1, 1], [0, 1], [1, 0]]), "row 0 has 2"),
    "numbers among texts": ([1, "a", "b"], "numbers and others"),
    "too few": ([0, 1], r"shape \(3,\)"),
    "three axes": (np.zeros((3, 2, 2)), "one-hot rows"),
    "ragged": ([[0, 1], [0], [1]], "one array"),
    "complex numbers": (np.array([1j, 0, 1]), "whole numbers or texts"),
}


@pytest.mark.parametrize(("labels", "words"), REFUSED.values(), ids=REFUSED)
def test_what_are_no_classes_is_refused_in_a_sentence(labels, words):
    with pytest.raises(InputError, match=words):
        Pool(np.eye(3), labels)


def test_labels_are_read_item_by_item_too():
    for labels in (SIZES[LABELS], [np.eye(3)[label] for label in LABELS], [torch.tensor(label) for label in LABELS]):
        pool = read_dataset(list(zip(np.eye(4), labels, strict=True)))
        assert np.unique(pool.labels).tolist() == [0, 1, 2]


def test_equal_values_have_one_name():
    assert {key(value) for value in (1, 1.0, True, np.int8(1), np.float32(1), np.bool_(True), "1", b"1")} == {"1"}
    assert key(0.5) == "0.5"
