"""Columns of tables that are not what they seem: ids, dates, gaps, a stray text among numbers, an index."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

from seepage.data import Pool, read_file, read_frame
from seepage.data.files import pools_from_files, read_arrays
from seepage.data.labels import key
from seepage.errors import DataFileError, InputError

N = 60
LONG = [2**53 + 1 + 2 * i for i in range(N)]
DAYS = [date(2020, 1, 1) + timedelta(i) for i in range(N)]
STRAY = [str(i / 4) for i in range(N)]
STRAY[5] = "?"


def csv(folder, name="t.csv", **columns):
    rows = [",".join(columns), *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True))]
    (folder / name).write_text("\n".join(rows) + "\n")
    return folder / name


def test_whole_numbers_beyond_float64_are_no_features_of_a_csv(tmp_path):
    path = csv(tmp_path, account=LONG, y=[0, 1] * 30, x=range(N))
    with pytest.raises(InputError, match=r"column 'account' holds whole numbers beyond 2\^53.*name it in id="):
        read_file(path, label="y")
    assert read_file(path, label="y", id="account").ids.tolist() == list(map(str, LONG))
    assert read_file(path, label="account").classes == tuple(map(key, LONG))
    assert read_file(path, label="y", categorical=["account"]).inputs.shape == (N, N + 1)
    short = csv(tmp_path, "short.csv", account=range(N), y=[0, 1] * 30, x=range(N))
    with pytest.raises(InputError, match="'account' holds whole numbers beyond"):
        pools_from_files([short, path], {"label": "y"})
    with pytest.raises(InputError, match="'x' holds whole numbers beyond"):
        read_file(csv(tmp_path, x=["9" * 400, "1"], y=[0, 1]), label="y")


def test_decimals_in_a_frame_are_numbers():
    pool = read_frame(pd.DataFrame({"price": [Decimal("1.10"), Decimal("2.20")], "size": [1, 2]}))
    np.testing.assert_array_equal(pool.inputs, [[1.1, 1], [2.2, 2]])
    with pytest.raises(InputError, match="'price' has 1 missing of 2"):
        read_frame(pd.DataFrame({"price": [Decimal("1.10"), Decimal("NaN")]}))
    large = pd.DataFrame({"price": [Decimal("1.10"), Decimal(2**60)]})
    np.testing.assert_array_equal(read_frame(large).inputs, [[1.1], [2.0**60]])
    with pytest.raises(InputError, match="looks like an id"):
        read_frame(pd.DataFrame({"price": [Decimal("1.10"), Decimal(2**60 + 1)]}))


@pytest.mark.parametrize("gap", ["", "#N/A", "n/a", "NULL", "<NA>", "-1.#IND", "null", "-NaN"])
def test_gaps_of_a_csv_are_those_of_pandas(tmp_path, gap):
    path = csv(tmp_path, x=[1, gap, 3], y=[0, 1, 0])
    assert pd.read_csv(path).x.isna().sum() == 1
    with pytest.raises(InputError, match="'x' has 1 missing of 3"):
        read_file(path, label="y")


def test_a_few_texts_among_numbers_are_named_with_their_line(tmp_path):
    path = csv(tmp_path, x=STRAY, y=[0, 1] * 30)
    with pytest.raises(InputError, match=r"column 'x' holds numbers and the text '\?' in line 7 of .*t.csv"):
        read_file(path, label="y")
    with pytest.raises(InputError, match=r"holds numbers and the text '\?' in line 7"):
        pools_from_files([path, path], {"label": "y"})
    assert read_file(path, label="y", categorical=["x"]).inputs.shape == (N, N)
    for values in (STRAY, [float(i) if i != "?" else i for i in STRAY]):
        with pytest.raises(InputError, match=r"column 'x' holds numbers and the text '\?' in row 5"):
            read_frame(pd.DataFrame({"x": values}))
    few = ["1", "2", "3", "?"] + ["1", "2"] * 28  # codes, and one for "we do not know"
    assert read_file(csv(tmp_path, x=few, y=[0, 1] * 30), label="y").inputs.shape == (N, 4)
    half = [f"{'abc'[i % 3]}{i}" if i % 2 else i for i in range(N)]  # codes of articles
    assert read_file(csv(tmp_path, x=half, y=[0, 1] * 30), label="y").inputs.shape == (N, N)


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    (tmp_path / "t.csv").write_text('x,note\n\n1,"two\nlines"\n' + "".join(f"{i},n\n" for i in range(2, N)) + "?,n\n")
    n_lines = len((tmp_path / "t.csv").read_text().splitlines())
    with pytest.raises(InputError, match=rf"'\?' in line {n_lines} of"):
        read_file(tmp_path / "t.csv")


def test_a_column_is_of_one_kind_in_all_files(tmp_path):
    numbers = csv(tmp_path, "a.csv", x=range(N), y=[0, 1] * 30)
    texts = csv(tmp_path, "b.csv", x=[f"n{i % 20}" for i in range(N)], y=[0, 1] * 30)
    gaps = csv(tmp_path, "c.csv", x=["NA"] * N, y=[0, 1] * 30)
    with pytest.raises(InputError, match=r"column 'x' holds numbers in .*a.csv and text in .*b.csv"):
        pools_from_files([numbers, texts], {"label": "y"})
    assert len(pools_from_files([gaps, texts], {"label": "y"})) == 2


@pytest.mark.parametrize("form", [date.isoformat, lambda day: f"{day}T12:30:00Z", lambda day: f"{day} 08:00"])
def test_dates_as_texts_are_refused_by_name(tmp_path, form):
    days = list(map(form, DAYS))
    with pytest.raises(InputError, match="column 'day' holds dates such as '2020-01-01"):
        read_file(csv(tmp_path, day=days, y=[0, 1] * 30), label="y")
    with pytest.raises(InputError, match="column 'day' holds dates"):
        read_frame(pd.DataFrame({"day": days}))


@pytest.mark.parametrize("day", [date(2020, 1, 1), datetime(2020, 1, 1), timedelta(1), pd.Period("2020-01")])
def test_times_as_objects_are_refused_by_name(day):
    with pytest.raises(InputError, match="column 'day' holds"):
        read_frame(pd.DataFrame({"day": np.array([day, None], dtype=object)}))


def test_an_index_without_a_name_is_no_feature(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"x": range(6), "y": [0, 1] * 3})[lambda rows: rows.x != 3]
    frame.to_parquet(tmp_path / "t.parquet")
    pool = read_file(tmp_path / "t.parquet", label="y")
    assert pool.columns == (("x", None),)
    assert read_file(tmp_path / "t.parquet", label="y", id="__index_level_0__").ids.tolist() == list("01245")
    both = pools_from_files([tmp_path / "t.parquet"] * 2, {"label": "y"})
    assert [part.inputs.tolist() for part in both] == [pool.inputs.tolist()] * 2
    texts = pd.DataFrame({"x": range(6), "y": [0, 1] * 3}, index=list("abcdef"))
    texts.to_parquet(tmp_path / "texts.parquet")
    assert read_file(tmp_path / "texts.parquet", label="y").columns == (("x", None),)
    frame.to_csv(tmp_path / "t.csv")
    with pytest.raises(DataFileError, match=r"the first column has no name: .*index=False"):
        read_file(tmp_path / "t.csv", label="y")


@pytest.mark.parametrize("option", ["label", "group", "id"])
def test_options_of_tables_are_none_of_arrays(tmp_path, option):
    np.savez(tmp_path / "x.npz", inputs=np.ones((2, 2)), labels=[0, 1])
    np.save(tmp_path / "x.npy", np.ones((2, 2)))
    for name in ("x.npz", "x.npy"):
        with pytest.raises(InputError, match=rf"{option}= .*columns of a table .*{name} is none: .*'labels'"):
            read_file(tmp_path / name, **{option: "y"})
        with pytest.raises(InputError, match="columns of a table"):
            pools_from_files([tmp_path / name], {option: "y"})


@pytest.mark.parametrize(("option", "value"), [("label", ["y"]), ("id", 3), ("categorical", "x"), ("categorical", [1])])
def test_columns_are_named_by_texts(tmp_path, option, value):
    path = csv(tmp_path, x=[1, 2], y=[0, 1])
    with pytest.raises(InputError, match=rf"option {option}(\[0\])? must be a"):
        read_file(path, **{option: value})
    with pytest.raises(InputError, match=rf"option {option}(\[0\])? must be a"):
        pools_from_files([path], {option: value})


def test_arrays_are_read_from_npz_alone(tmp_path):
    with pytest.raises(DataFileError, match=r"expected a .npz file.*t.csv"):
        read_arrays(csv(tmp_path, x=[1], y=[0]))


MIXED = pd.DataFrame({
    "flag": [True, False], "count": pd.array([3, 4], dtype="Int64"), "price": [Decimal("1.5"), Decimal("2.5")],
    "size": np.array([1, 2.5], dtype=object),
})  # fmt: skip


def test_frames_and_objects_that_are_numbers_are_inputs():
    want = [[1, 3, 1.5, 1], [0, 4, 2.5, 2.5]]
    for inputs in (MIXED, MIXED.to_numpy(), MIXED.astype(object), MIXED.to_numpy().tolist()):
        np.testing.assert_array_equal(Pool(inputs, [0, 1]).inputs, want)
    whole = np.array([[2**53 + 1, True], [1, 2]], dtype=object)
    with pytest.raises(InputError, match="leave ids out"):
        Pool(whole)
    with pytest.raises(InputError, match="leave ids out"):
        Pool(np.array([[10**400, True]], dtype=object))
    with pytest.raises(InputError, match="missing value in record 1"):
        Pool(pd.DataFrame({"flag": [True, False], "count": pd.array([3, None], dtype="Int64")}))
    with pytest.raises(InputError, match=r"read_frame encodes text"):
        Pool(pd.DataFrame({"x": [1, 2], "colour": ["red", "blue"]}))


@pytest.mark.parametrize("form", ["csr_matrix", "coo_array"])
def test_sparse_and_structured_inputs_are_refused_with_the_way_out(form):
    with pytest.raises(InputError, match=rf"got a sparse {form}.*inputs.toarray\(\)"):
        Pool(getattr(scipy.sparse, form)(np.eye(3)), [0, 1, 0])
    with pytest.raises(InputError, match=r"dense inputs, got a tensor in torch.sparse_coo: give inputs.to_dense\(\)"):
        Pool(torch.eye(3).to_sparse(), [0, 1, 0])
    with pytest.raises(InputError, match=r"a structured one with the fields a, b: .*structured_to_unstructured"):
        Pool(np.array([(1, 2.0), (3, 4.0)], dtype=[("a", int), ("b", float)]), [0, 1])


def test_class_numbers_beside_names_are_places_and_the_message_says_so():
    with pytest.raises(InputError, match=r"places in classes= \(1, 2, 3, 4\), 0 to 3, got 4: labels that are texts"):
        Pool(np.ones((4, 1)), [1, 2, 3, 4], classes=(1, 2, 3, 4))
    assert Pool(np.ones((4, 1)), list("1243"), classes=(1, 2, 3, 4)).labels.tolist() == [0, 1, 3, 2]
    assert Pool(np.ones((2, 1)), ["False", "True"], classes=("0", "1")).labels.tolist() == [0, 1]
