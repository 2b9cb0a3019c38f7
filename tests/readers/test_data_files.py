"""Files of data and models that promise more than they hold, or hold what nobody expects: one clear error each."""

import gzip
import zipfile

import numpy as np
import pytest

from seepage.data import read_file
from seepage.data.files import read_arrays
from seepage.data.grey import read_pgm
from seepage.data.idx import read_idx
from seepage.errors import DataFileError
from seepage.models.files import load_model
from seepage.schema.reading import load_result


def npy(shape, descr="<f4", body=64):
    header = str({"descr": descr, "fortran_order": False, "shape": shape}).encode().ljust(437) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(body)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("shape", "descr", "words"),
    [
        ((-1, 4), "<f4", "negative size"),
        ((2, -3), "|u1", "negative size"),
        ((2**40, 4), "<f4", "shorter than its header"),
        ((2**61, 2), "<f8", "shorter than its header"),
        ((10**30,), "<f4", "size in its header that no array can have"),
        ((0, 10**30), "<f4", "size in its header that no array can have"),
        ((10**9,), "<U0", "shorter than its header"),
        ((1,) * 70, "<f4", "dimension"),
        ((2, 2), "|O", "could run code"),
    ],
)
def test_an_array_that_promises_what_it_cannot_hold(shape, descr, words, packed, tmp_path):
    path = tmp_path / ("d.npz" if packed else "d.npy")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("x.npy", npy(shape, descr))
    else:
        path.write_bytes(npy(shape, descr))
    with pytest.raises(DataFileError, match=words):
        read_file(path)


def patched(content: bytes, place: int, number: int) -> bytes:
    """With another number of four bytes at a place of the first entry in a zip's directory."""
    at = content.index(b"PK\x01\x02") + place
    return content[:at] + number.to_bytes(4, "little") + content[at + 4 :]


def test_an_archive_is_measured_by_what_it_unpacks_to(tmp_path):
    path = tmp_path / "d.npz"
    np.savez_compressed(path, x=np.zeros((20, 2**20), np.uint8))
    assert path.stat().st_size < 30_000
    with pytest.raises(DataFileError, match=r"0\.0195 GiB, more than .* give max_bytes"):
        read_arrays(path, max_bytes=10 * 2**20)
    content = path.read_bytes()
    path.write_bytes(patched(content, 24, 1000))  # says that it unpacks to 1,000 bytes
    with pytest.raises(DataFileError, match="CRC"):
        read_arrays(path, max_bytes=10 * 2**20)
    path.write_bytes(patched(content, 24, 2**31))  # says that it unpacks to two gigabytes
    with pytest.raises(DataFileError, match="holds fewer bytes than it says"):
        read_arrays(path)


@pytest.mark.parametrize("way", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_packed_by_others_than_numpy_is_refused(way, tmp_path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w", way) as archive:
        archive.writestr("x.npy", npy((4, 4)))
    with pytest.raises(DataFileError, match="compressed in a way"):
        read_arrays(tmp_path / "d.npz")


def test_an_archive_with_encrypted_doubled_or_nested_members_is_refused(tmp_path):
    path = tmp_path / "d.npz"
    np.savez(path, x=np.zeros(3))
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the flags of the member, and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with pytest.raises(DataFileError, match="encrypted"):
        read_arrays(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy((4, 4)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x.npy", npy((2, 8)))
    with pytest.raises(DataFileError, match="two arrays of one name"):
        read_arrays(path)
    for name in ("../x.npy", "a/x.npy", "/x.npy"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, npy((4, 4)))
        with pytest.raises(DataFileError, match="expected the arrays inputs"):
            read_file(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b\n1,2\0\n", "NUL"),
        (b"a\0,b\n1,2\n", "NUL"),
        (b"a,b\n1," + b"x" * 200_000 + b"\n", "larger than field limit"),
        (b"a,b\n1," + b"9" * 200_000 + b"\n", "larger than field limit"),
        (b'a,b\n1,"2\n3,4\n', "unexpected end"),
        (b'a,b\n"1,2\n3,4\n', "unexpected end"),
        (b"a,b\n\n\n", "at least one row"),
        (b"a,b\n" + b"x,1\n" * 30_000 + b"y" * 120_000 + b",2\n", "text of 120,000 characters"),
    ],
)
def test_a_csv_that_is_none(content, words, tmp_path):
    (tmp_path / "d.csv").write_bytes(content)
    with pytest.raises(DataFileError, match=words):
        read_file(tmp_path / "d.csv", max_bytes=2**33)


def test_a_parquet_file_of_other_columns_than_a_table_has(tmp_path):
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "d.parquet"
    columns = {
        "list<": pyarrow.array([[1], [2, 3]]),
        "struct<": pyarrow.array([{"x": 1}, {"x": 2}]),
        "binary": pyarrow.array([b"\xff", b"\xfe"]),
        "holds binary": pyarrow.array([b"\xff", b"a"]).dictionary_encode(),
        "date32": pyarrow.array([1, 2], pyarrow.date32()),
        "duration": pyarrow.array([1, 2], pyarrow.duration("s")),
        "UTF8|UTF-8": pyarrow.Array.from_buffers(pyarrow.string(), 2, pyarrow.array([b"\xff\xfe", b"ab"]).buffers()),
    }
    for words, column in columns.items():
        parquet.write_table(pyarrow.table({"a": column, "b": [1, 2]}), path)
        with pytest.raises(DataFileError, match=words):
            read_file(path)
    text = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(50_000, np.int32)), pyarrow.array(["x" * 10**6]))
    parquet.write_table(pyarrow.table({"t": text}), path)
    assert path.stat().st_size < 100_000
    with pytest.raises(DataFileError, match="text of 1,000,000 characters, too many for 50,000 rows"):
        read_file(path)
    decimals = pyarrow.array([1, 2]).cast(pyarrow.decimal128(25, 2))
    parquet.write_table(pyarrow.table({"a": decimals, "b": [True, False]}), path)
    np.testing.assert_array_equal(read_file(path).inputs, [[1, 1], [2, 0]])


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("shape", "words"), [((2**32 - 1, 2**32 - 1), "more than any original"), ((2**31, 2, 2), "more than any original")]
)
def test_idx_headers_are_not_believed(shape, words, zipped, tmp_path):
    path = tmp_path / ("i.gz" if zipped else "i")
    content = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape) + bytes(20)
    path.write_bytes(gzip.compress(content) if zipped else content)
    with pytest.raises(DataFileError, match=words):
        read_idx(path)


def test_a_picture_or_a_model_that_is_none(tmp_path):
    for content in (b"P5 99999999999 99999999999 255\n", b"P5 " + b"9" * 5000 + b" 1 255\n"):
        (tmp_path / "p.pgm").write_bytes(content)
        with pytest.raises(DataFileError, match="cannot be read"):
            read_pgm(tmp_path / "p.pgm")
    header = b'{"a":' * 3000
    for content in (len(header).to_bytes(8, "little") + header, (2**60).to_bytes(8, "little") + b'{"a":1}'):
        (tmp_path / "m.safetensors").write_bytes(content)
        with pytest.raises(DataFileError, match="not a usable safetensors file"):
            load_model(tmp_path / "m.safetensors", architecture="mlp", input_shape=(4,), n_classes=2)


@pytest.mark.parametrize("suffix", [".npz", ".npy", ".csv"])
def test_a_name_that_no_file_can_have_is_a_missing_file(suffix):
    name = "x" * 300
    with pytest.raises(DataFileError, match="no file at"):
        read_file(name + suffix)
    with pytest.raises(DataFileError, match="no model file"):
        load_model(name + suffix)
    with pytest.raises(DataFileError, match="no result at"):
        load_result(name + suffix)
    with pytest.raises(DataFileError, match="no result at"):
        load_result("x\0y" + suffix)  # the others say of a NUL that this is no path
