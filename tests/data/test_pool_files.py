"""Pools from tables and files: right values, and one clear sentence for a bad file."""

import zipfile

import numpy as np
import pytest

from seepage.data import Pool, read_file, read_frame
from seepage.errors import DataFileError, InputError


class Column:
    def __init__(self, values):
        self.values = values

    def to_numpy(self):
        return np.asarray(self.values)


class Frame:
    """The little of a data frame that the pool relies on."""

    def __init__(self, **columns):
        self.data = columns
        self.columns = list(columns)

    def __getitem__(self, name):
        return Column(self.data[name])


def people():
    return Frame(
        name=["ann", "bob", "cyd", "dan"],
        age=np.array([20, 30, 40, 50]),
        town=np.array(["Oslo", None, "Bern", "Oslo"], dtype=object),
        smokes=[True, False, False, True],
        ward=["a", "a", "b", "b"],
        ill=["no", "yes", "no", "yes"],
    )


def test_text_is_one_hot_in_sorted_order_with_missing_last_and_numbers_stay():
    pool = read_frame(people(), label="ill", group="ward", id="name")
    #                                         age  Bern Oslo (missing) smokes
    np.testing.assert_array_equal(pool.inputs, [[20, 0, 1, 0, 1], [30, 0, 0, 1, 0], [40, 1, 0, 0, 0], [50, 0, 1, 0, 1]])
    assert (pool.labels.tolist(), pool.classes) == ([0, 1, 0, 1], ("no", "yes"))
    assert (pool.groups.tolist(), pool.ids.tolist()) == (["a", "a", "b", "b"], ["ann", "bob", "cyd", "dan"])


def test_numbers_are_standardised_only_when_asked():
    pool = read_frame(Frame(age=[20.0, 30.0, 40.0], constant=[5, 5, 5]), standardise=True)
    np.testing.assert_allclose(pool.inputs[:, 0], [-np.sqrt(1.5), 0, np.sqrt(1.5)], rtol=1e-6)
    assert (pool.inputs[:, 1] == 0).all()


def test_codes_named_as_categorical_are_one_hot():
    pool = read_frame(Frame(code=[7, 3, 7], size=[1, 2, 3]), categorical=["code"])
    np.testing.assert_array_equal(pool.inputs, [[0, 1, 1], [1, 0, 2], [0, 1, 3]])


def test_integer_labels_stay_as_they_stand():
    assert read_frame(Frame(x=[1, 2, 3], y=[0, 4, 1]), label="y").n_classes == 5


@pytest.mark.parametrize(
    ("frame", "options", "words"),
    [
        (people(), {"label": "il"}, "did you mean 'ill'"),
        (Frame(x=[1.0, np.nan]), {}, "'x' has 1 missing of 2"),
        (Frame(x=np.array([1, None], dtype=object)), {}, "'x' has 1 missing of 2"),
        (Frame(x=[1, 2], y=np.array(["a", None], dtype=object)), {"label": "y"}, "missing of 2 labels"),
        (Frame(x=np.array(["2020-01-01"], dtype="datetime64[D]")), {}, "datetime64"),
        (Frame(x=[str(i) for i in range(1001)]), {}, "looks like an id"),
        (Frame(y=[0, 1]), {"label": "y"}, "at least one column"),
        (Frame(x=[1, 2], y=[0.5, 1.5]), {"label": "y"}, "target of a regression"),
        ([[1, 2]], {}, "data frame"),
    ],
)
def test_a_table_that_cannot_be_encoded_is_an_error_that_says_so(frame, options, words):
    with pytest.raises(InputError, match=words):
        read_frame(frame, **options)


@pytest.mark.parametrize(("x", "y"), [("inputs", "labels"), ("x", "y")])
def test_npz_round_trip(tmp_path, x, y):
    values = np.arange(12, dtype=np.uint8).reshape(4, 3)
    np.savez(tmp_path / "d.npz", **{x: values, y: [0, 1, 1, 0]}, ids=list("abcd"), groups=list("xxyy"))
    pool = read_file(tmp_path / "d.npz", scale=1 / 255, n_classes=3)
    np.testing.assert_array_equal(pool.inputs, values)
    assert (pool.labels.tolist(), pool.ids.tolist(), pool.groups.tolist()) == ([0, 1, 1, 0], list("abcd"), list("xxyy"))
    assert (pool.scale, pool.n_classes, pool.name) == (1 / 255, 3, "d")


def test_npy_stays_on_the_disk_and_is_never_written_back(tmp_path):
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.save(tmp_path / "x.npy", values)
    np.save(tmp_path / "y.npy", np.array([0, 1, 1, 0]))
    pool = read_file(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    assert isinstance(pool.inputs, np.memmap)
    assert pool.labels.tolist() == [0, 1, 1, 0]
    pool.inputs[0, 0] = 99
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), values)


def test_npy_of_another_dtype_is_converted_in_memory_and_a_memmap_of_it_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.ones((4, 3), dtype=np.int64))
    assert read_file(tmp_path / "x.npy").inputs.dtype == np.float64
    with pytest.raises(InputError, match="float64 or uint8"):
        Pool(np.load(tmp_path / "x.npy", mmap_mode="r"))


def test_csv_of_numbers(tmp_path):
    (tmp_path / "d.csv").write_text('id,a,"b",label\n11,1.5,2,0\n12,-3,4e1,1\n')
    pool = read_file(tmp_path / "d.csv", label="label", id="id")
    np.testing.assert_array_equal(pool.inputs, [[1.5, 2], [-3, 40]])
    assert (pool.labels.tolist(), pool.ids.tolist()) == ([0, 1], ["11", "12"])


def test_csv_of_numbers_and_text_with_quotes_gaps_and_a_byte_order_mark(tmp_path):
    text = '\ufeffage,town,label\n30,"Bern, old town",sick\n40,,well\n50,Oslo,sick\n'
    (tmp_path / "d.csv").write_text(text, encoding="utf-8")
    pool = read_file(tmp_path / "d.csv", label="label")
    np.testing.assert_array_equal(pool.inputs, [[30, 1, 0, 0], [40, 0, 0, 1], [50, 0, 1, 0]])
    assert pool.classes == ("sick", "well")


def test_a_gap_among_numbers_is_an_error_and_never_a_category(tmp_path):
    (tmp_path / "d.csv").write_text("a,b\n1,2\n,4\n")
    with pytest.raises(InputError, match="'a' has 1 missing"):
        read_file(tmp_path / "d.csv")


def test_parquet(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = pyarrow.table(
        {
            "age": [20, 30, 40],
            "town": pyarrow.array(["Oslo", None, "Bern"]).dictionary_encode(),
            "y": ["no", "yes", "no"],
        }
    )
    parquet.write_table(table, tmp_path / "d.parquet")
    pool = read_file(tmp_path / "d.parquet", label="y")
    np.testing.assert_array_equal(pool.inputs, [[20, 0, 1, 0], [30, 0, 0, 1], [40, 1, 0, 0]])
    assert pool.labels.tolist() == [0, 1, 0]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(DataFileError, match=r"bad\.parquet is not a usable"):
        read_file(tmp_path / "bad.parquet")


def write_npz_with_header(path, shape):
    """An .npz whose one array claims a shape that its few bytes do not hold."""
    header = str({"descr": "<f4", "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("d.npz", b"not a zip file", "not a usable .npz"),
        ("d.npy", b"not an array", "not a usable .npy"),
        ("d.npy", b"", "not a usable .npy"),
        ("d.csv", b"", "header and at least one row"),
        ("d.csv", b"a,a\n1,2\n", "distinct names"),
        ("d.csv", b"a,b\n1,2\n3\n", "line 3"),
        ("d.csv", b"a,b\n\xff,2\n", "not a usable .csv"),
    ],
)
def test_a_corrupt_file_is_one_sentence(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataFileError, match=words) as caught:
        read_file(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_missing_file_an_unknown_suffix_and_an_unknown_option_are_clear_errors(tmp_path):
    with pytest.raises(DataFileError, match="no file at"):
        read_file(tmp_path / "d.npz")
    with pytest.raises(InputError, match=r"\.npz, \.npy, \.csv, \.parquet"):
        read_file(tmp_path / "d.pkl")
    (tmp_path / "d.csv").write_text("a\n1\n")
    with pytest.raises(InputError, match="did you mean 'label'"):
        read_file(tmp_path / "d.csv", labels="a")


def test_pickled_objects_are_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was opened",))

    np.savez(tmp_path / "d.npz", x=np.array([Trap()], dtype=object))
    np.save(tmp_path / "d.npy", np.array([Trap()], dtype=object))
    for name in ("d.npz", "d.npy"):
        with pytest.raises(DataFileError, match="could run code"):
            read_file(tmp_path / name)


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path):
    np.savez_compressed(tmp_path / "d.npz", x=np.zeros((1000, 1000), dtype=np.uint8))
    assert (tmp_path / "d.npz").stat().st_size < 5000
    with pytest.raises(DataFileError, match="give max_bytes"):
        read_file(tmp_path / "d.npz", max_bytes=500_000)
    write_npz_with_header(tmp_path / "d.npz", (10**6, 10**9))
    with pytest.raises(DataFileError, match="shorter than its header"):
        read_file(tmp_path / "d.npz")


def test_arrays_with_other_names_are_refused_and_not_ignored(tmp_path):
    np.savez(tmp_path / "d.npz", x=np.zeros((2, 2)), x_test=np.zeros((2, 2)))
    with pytest.raises(DataFileError, match="got x, x_test"):
        read_file(tmp_path / "d.npz")
