"""The named sets: small files in the very format of the originals, and the originals where they are at hand."""

import functools
import gzip
import hashlib
import http.server
import io
import os
import socket
import tarfile
import threading
from dataclasses import replace

import numpy as np
import pytest

from seepage.data import DATASETS, load
from seepage.data.adult import COLUMNS
from seepage.data.cache import Folder, Original, cache_folder
from seepage.errors import DataFileError, InputError


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def idx(array):
    axes = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, 8, array.ndim]) + axes + array.tobytes()


def tgz(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_files_plain_or_gzipped(tmp_path, rng, name, zipped):
    images, labels = rng.integers(0, 256, (7, 28, 28), dtype=np.uint8), np.arange(7, dtype=np.uint8)
    for part, rows in (("train", slice(5)), ("t10k", slice(5, 7))):
        for kind, array in (("images-idx3", images[rows]), ("labels-idx1", labels[rows])):
            content = idx(array)
            file = tmp_path / name / f"{part}-{kind}-ubyte{'.gz' if zipped else ''}"
            write(file, gzip.compress(content) if zipped else content)
    pool = load(name, cache=tmp_path, verify=False)
    np.testing.assert_array_equal(pool.inputs, images[:, None])
    assert pool.labels.tolist() == list(range(7))
    assert (pool.ids[0], pool.ids[5]) == ("train/0", "test/0")
    assert (pool.n_classes, pool.batch().max() <= 1.0) == (10, True)
    assert load(name, cache=tmp_path, verify=False, flat=True).inputs.shape == (7, 784)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "00 00 0d 01"),
        (b"\0\0\x08\x03\0\0\0\x05", "inside its header"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "expected 5 values as its header says, got fewer"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "got more"),
    ],
)
def test_a_broken_idx_file_is_named(tmp_path, content, words):
    write(tmp_path / "mnist" / "train-images-idx3-ubyte", content)
    for name in ("train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        write(tmp_path / "mnist" / name, idx(np.zeros(3, dtype=np.uint8)))
    with pytest.raises(DataFileError, match=words):
        load("mnist", cache=tmp_path, verify=False)


def cifar_records(images, *labels):
    return np.concatenate([*(label[:, None] for label in labels), images.reshape(len(images), -1)], axis=1).tobytes()


def test_cifar10_batches(tmp_path, rng):
    images, labels = rng.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8), rng.integers(0, 10, 12).astype(np.uint8)
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for i, name in enumerate(names):
        rows = slice(2 * i, 2 * i + 2)
        write(tmp_path / "cifar10/cifar-10-batches-bin" / f"{name}.bin", cifar_records(images[rows], labels[rows]))
    pool = load("cifar10", cache=tmp_path, verify=False)
    np.testing.assert_array_equal(pool.inputs, images)
    assert pool.labels.tolist() == labels.tolist()
    assert (pool.classes[0], pool.ids[9], pool.ids[10]) == ("airplane", "train/9", "test/0")
    write(tmp_path / "cifar10/cifar-10-batches-bin/test_batch.bin", b"x" * 3000)
    with pytest.raises(DataFileError, match="records of 3073 bytes, got 3000"):
        load("cifar10", cache=tmp_path, verify=False)


def test_cifar100_out_of_its_archive_in_fine_and_coarse_classes(tmp_path, rng):
    images = rng.integers(0, 256, (6, 3, 32, 32), dtype=np.uint8)
    coarse, fine = np.array([0, 1, 0, 1, 1, 0], dtype=np.uint8), np.arange(6, dtype=np.uint8)
    archive = tgz(
        **{
            "cifar-100-binary/train.bin": cifar_records(images[:4], coarse[:4], fine[:4]),
            "cifar-100-binary/test.bin": cifar_records(images[4:], coarse[4:], fine[4:]),
            "cifar-100-binary/fine_label_names.txt": b"apple\nbaby\nbear\nbed\nbee\nboy\n\n",
            "cifar-100-binary/coarse_label_names.txt": b"fish\nflowers\n\n",
        }
    )
    write(tmp_path / "cifar100" / "cifar-100-binary.tar.gz", archive)
    pool = load("cifar100", cache=tmp_path, verify=False)
    np.testing.assert_array_equal(pool.inputs, images)
    assert (pool.labels.tolist(), pool.classes[2]) == (fine.tolist(), "bear")
    pool = load("cifar100", cache=tmp_path, verify=False, coarse=True)
    assert (pool.labels.tolist(), pool.classes) == (coarse.tolist(), ("fish", "flowers"))
    assert (tmp_path / "cifar100/cifar-100-binary/train.bin").is_file()


ADULT = {
    "adult.data": "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, "
    "2174, 0, 40, United-States, <=50K\n"
    "52, Private, 209642, HS-grad, 9, Married-civ-spouse, Exec-managerial, Husband, White, Male, "
    "0, 0, 45, United-States, >50K\n\n",
    "adult.test": "|1x3 Cross validator\n"
    "18, ?, 103497, Some-college, 10, Never-married, ?, Own-child, White, Female, 0, 0, 30, United-States, <=50K.\n\n",
}


def test_adult_lines_with_unknown_values_the_comment_and_the_full_stop(tmp_path):
    for name, text in ADULT.items():
        write(tmp_path / "adult" / name, text.encode())
    pool = load("adult", cache=tmp_path, verify=False, standardise=False, group="sex")
    assert pool.labels.tolist() == [0, 1, 0]
    assert pool.ids.tolist() == ["train/0", "train/1", "test/0"]
    assert pool.groups.tolist() == ["Male", "Male", "Female"]
    assert pool.inputs[:, 0].tolist() == [39, 52, 18]
    # workclass in sorted order: ?, Private, State-gov
    np.testing.assert_array_equal(pool.inputs[:, 1:4], [[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    standardised = load("adult", cache=tmp_path, verify=False).inputs[:, 0]
    np.testing.assert_allclose([standardised.mean(), standardised.std()], [0, 1], atol=1e-6)
    with pytest.raises(InputError, match="did you mean 'sex'"):
        load("adult", cache=tmp_path, verify=False, group="sexx")
    assert len(COLUMNS) == 14


def test_a_short_line_of_adult_is_named(tmp_path):
    for name, text in ADULT.items():
        write(tmp_path / "adult" / name, text.replace("39, ", "").encode())
    with pytest.raises(DataFileError, match=r"adult\.data cannot be read: line 1"):
        load("adult", cache=tmp_path, verify=False)


@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize(
    ("name", "archive", "member", "n_classes"),
    [
        ("purchase100", "dataset_purchase.tgz", "dataset_purchase", 100),
        ("location30", "dataset_location.tgz", "bangkok", 30),
    ],
)
def test_purchase_and_location_have_the_class_first(tmp_path, rng, name, archive, member, n_classes, quote):
    bits, labels = rng.integers(0, 2, (9, 20)), rng.integers(1, n_classes + 1, 9)
    lines = [
        f"{quote}{label}{quote}," + ",".join(map(str, row)) for label, row in zip(labels, bits.tolist(), strict=True)
    ]
    write(tmp_path / name / archive, tgz(**{member: ("\n".join(lines) + "\n").encode()}))
    pool = load(name, cache=tmp_path, verify=False)
    np.testing.assert_array_equal(pool.inputs, bits)
    assert pool.labels.tolist() == (labels - 1).tolist()
    assert (pool.inputs.dtype, pool.scale, pool.n_classes) == (np.uint8, 1.0, n_classes)


def test_texas_has_features_and_labels_in_two_files(tmp_path, rng):
    bits, labels = rng.integers(0, 2, (9, 20)), rng.integers(1, 101, 9)
    feats = "".join(",".join(map(str, row)) + "\r\n" for row in bits.tolist()).encode()
    members = {"texas/100/feats": feats, "texas/100/labels": "\n".join(map(str, labels)).encode()}
    write(tmp_path / "texas100" / "dataset_texas.tgz", tgz(**members))
    pool = load("texas100", cache=tmp_path, verify=False)
    np.testing.assert_array_equal(pool.inputs, bits)
    assert pool.labels.tolist() == (labels - 1).tolist()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"1,0,1\n2,0,2\n", "row 2"),
        (b"1,0,1\n2,0\n", "row 2"),
        (b"1,0;1\n", "row 1"),
        (b"one,0,1\n", "invalid literal"),
    ],
)
def test_a_broken_row_is_named(tmp_path, content, words):
    write(tmp_path / "location30" / "dataset_location.tgz", tgz(bangkok=content))
    with pytest.raises(DataFileError, match=words):
        load("location30", cache=tmp_path, verify=False)


def test_an_archive_without_its_member_or_cut_short_is_named(tmp_path):
    file = tmp_path / "location30" / "dataset_location.tgz"
    write(file, tgz(london=b"1,0\n"))
    with pytest.raises(DataFileError, match="lacks bangkok"):
        load("location30", cache=tmp_path, verify=False)
    content = np.random.default_rng(0).integers(48, 50, 50_000, dtype=np.uint8).tobytes()
    write(file, tgz(bangkok=content)[:2000])
    with pytest.raises(DataFileError, match="cannot be read"):
        load("location30", cache=tmp_path, verify=False)


def test_digits_need_no_file(tmp_path):
    pool = load("digits", cache=tmp_path)
    assert (pool.inputs.shape, pool.inputs.min(), pool.inputs.max()) == ((1797, 64), 0.0, 1.0)
    assert load("digits", cache=tmp_path, flat=False).inputs.shape == (1797, 1, 8, 8)
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_and_options_name_the_closest():
    with pytest.raises(InputError, match="unknown data set 'cifar-10': did you mean 'cifar10'"):
        load("cifar-10")
    with pytest.raises(InputError, match="did you mean 'flat'"):
        load("digits", flatt=True)
    with pytest.raises(InputError, match="data set 'location30' has no options"):
        load("location30", flat=True)


def test_every_set_says_where_it_comes_from_and_under_which_licence():
    for name, source in DATASETS.items():
        assert source.about, name
        assert source.licence, name
        assert source.home.startswith("http"), name
        assert all(file.urls and file.checksum for file in source.files), name
    tables = {name for name, source in DATASETS.items() if not source.images}
    assert tables == {"adult", "purchase100", "texas100", "location30"}


def test_the_cache_folder_is_the_argument_then_the_environment_then_the_home(tmp_path, monkeypatch):
    monkeypatch.setenv("SEEPAGE_DATA", str(tmp_path))
    assert cache_folder() == tmp_path
    assert cache_folder("elsewhere").name == "elsewhere"
    monkeypatch.delenv("SEEPAGE_DATA")
    assert cache_folder().parts[-2:] == (".cache", "seepage")


CONTENT = b"the original file"
CHECKSUMS = {
    "sha256": hashlib.sha256(CONTENT).hexdigest(),
    "md5": hashlib.md5(CONTENT).hexdigest(),
    "git-blob": hashlib.sha1(f"blob {len(CONTENT)}\0".encode() + CONTENT).hexdigest(),
}


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_a_damaged_file_is_an_error_that_names_it_and_both_checksums(tmp_path, algorithm):
    original = Original("a.bin", ("https://example.org/a.bin",), f"{algorithm}:{CHECKSUMS[algorithm]}")
    write(tmp_path / "a.bin", CONTENT)
    assert Folder(tmp_path).locate(original).read_bytes() == CONTENT
    write(tmp_path / "a.bin", CONTENT + b"!")
    with pytest.raises(DataFileError, match=rf"a\.bin: expected {original.checksum}, got {algorithm}:.*delete it"):
        Folder(tmp_path).locate(original)
    assert Folder(tmp_path, verify=False).locate(original).is_file()


def test_a_file_is_hashed_once_and_again_when_it_changes(tmp_path, monkeypatch):
    original = Original("a.bin", (), f"sha256:{CHECKSUMS['sha256']}")
    write(tmp_path / "a.bin", CONTENT)
    Folder(tmp_path).locate(original)
    with monkeypatch.context() as patch:
        patch.setattr("seepage.data.cache._checked_digest", lambda *args: pytest.fail("hashed again"))
        Folder(tmp_path).locate(original)
    os.utime(tmp_path / "a.bin", (1, 1))
    Folder(tmp_path).locate(original)
    with pytest.raises(DataFileError, match="expected sha256:0000"):
        Folder(tmp_path).locate(replace(original, checksum="sha256:0000"))


def test_a_file_without_a_published_checksum_may_not_change_after_its_first_use(tmp_path):
    original = Original("a.bin")
    write(tmp_path / "a.bin", CONTENT)
    Folder(tmp_path).locate(original)
    write(tmp_path / "a.bin", CONTENT + b"!")
    with pytest.raises(DataFileError, match="changed since its first use"):
        Folder(tmp_path).locate(original)


def test_a_gzipped_file_is_checked_by_its_contents_however_it_was_zipped(tmp_path):
    original = Original("a.bin", (), f"sha256:{CHECKSUMS['sha256']}", gzipped=True)
    for level in (1, 9):
        write(tmp_path / "a.bin.gz", gzip.compress(CONTENT, level))
        assert Folder(tmp_path).locate(original).name == "a.bin.gz"
    write(tmp_path / "a.bin.gz", gzip.compress(CONTENT)[:-9])
    with pytest.raises(DataFileError, match="cannot be read"):
        Folder(tmp_path).locate(original)


def test_a_cache_that_cannot_be_written_still_serves(tmp_path, monkeypatch):
    original = Original("a.bin", (), f"sha256:{CHECKSUMS['sha256']}")
    write(tmp_path / "a.bin", CONTENT)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seepage.data.cache.os.replace", full)
    assert Folder(tmp_path).locate(original).is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin"]


def test_a_slow_parse_is_kept_beside_the_original_and_follows_it(tmp_path):
    calls = []

    def parse(path):
        calls.append(path)
        return (np.frombuffer(path.read_bytes(), dtype=np.uint8),)

    write(tmp_path / "a.bin", CONTENT)
    original = Original("a.bin", (), f"sha256:{CHECKSUMS['sha256']}")
    for _ in range(3):
        assert Folder(tmp_path).parsed(original, parse)[0].tobytes() == CONTENT
    assert len(calls) == 1
    other = CONTENT + b"!"
    write(tmp_path / "a.bin", other)
    changed = Original("a.bin", (), f"sha256:{hashlib.sha256(other).hexdigest()}")
    assert Folder(tmp_path).parsed(changed, parse)[0].tobytes() == other


@pytest.fixture
def site(tmp_path, loopback):
    """A web server of the test's own, its folder and its address: downloads are tested as they are carried out."""
    root = tmp_path / "site"
    root.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield root, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_absent_file_is_downloaded_checked_and_put_in_place(tmp_path, site):
    root, url = site
    write(root / "a.bin.gz", gzip.compress(CONTENT))
    original = Original("a.bin", (url + "gone/a.bin.gz", url + "a.bin.gz"), f"sha256:{CHECKSUMS['sha256']}", True)
    path = Folder(tmp_path / "cache").locate(original)
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert sorted(file.name for file in path.parent.iterdir()) == [".verified.json", "a.bin.gz"]


def test_a_download_that_is_not_the_original_is_not_kept(tmp_path, site):
    root, url = site
    write(root / "a.bin", b"<html>please log in</html>")
    original = Original("a.bin", (url + "a.bin",), f"sha256:{CHECKSUMS['sha256']}")
    with pytest.raises(DataFileError, match=r"could not be downloaded .*expected sha256:.*put the file from"):
        Folder(tmp_path / "cache").locate(original)
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_a_network_one_error_says_which_file_to_put_where(tmp_path, loopback):
    with socket.socket() as deaf:  # it has a port, and nobody listens there
        deaf.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/a.bin"
        with pytest.raises(DataFileError, match="put the file from") as caught:
            Folder(tmp_path / "cache").locate(Original("a.bin", (url,), None))
    assert str(tmp_path / "cache" / "a.bin") in str(caught.value)
    assert url in str(caught.value)
    assert "\n" not in str(caught.value)


REAL = {  # shape, first class count, mean per channel of what models get, over all records
    "mnist": ((70000, 1, 28, 28), 6903, [0.1309]),
    "fashion-mnist": ((70000, 1, 28, 28), 7000, [0.2862]),
    "cifar10": ((60000, 3, 32, 32), 6000, [0.4919, 0.4827, 0.4472]),
    "adult": ((48842, 108), 37155, [0.0741]),
    "location30": ((5010, 446), 169, [0.1204]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_the_originals_where_they_are_in_the_cache(name):
    if not (cache_folder() / name).is_dir():
        pytest.skip(f"{name} is not in {cache_folder()}")
    shape, n_first, means = REAL[name]
    pool = load(name)
    assert pool.inputs.shape == shape
    assert DATASETS[name].images == (len(shape) == 4)
    assert (pool.labels == 0).sum() == n_first
    axes = (0, 2, 3) if len(shape) == 4 else None
    np.testing.assert_allclose(pool.inputs.mean(axis=axes, dtype=np.float64) * pool.scale, means, atol=1e-4)
