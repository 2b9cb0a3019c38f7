"""Faces and weights by name: small files in the format of the originals, and the originals where they are at hand."""

import gzip
import hashlib
import io
import shutil
import tarfile
import zipfile

import numpy as np
import pytest

from seepage.data import DATASETS, archives, faces, grey, load, quickdraw, weights
from seepage.data.cache import Folder, Original, cache_folder
from seepage.errors import DataFileError, InputError

ORDER = [(person, shot) for person in range(1, 41) for shot in range(1, 11)]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def pgm(image, comment=b""):
    height, width = image.shape
    return b"P5\n" + comment + f"{width} {height}\n255\n".encode() + image.astype(np.uint8).tobytes()


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def sha256(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture(scope="module")
def people():
    """400 pictures, each of one grey that says whose it is and which."""
    pictures = np.zeros((40, 10, 112, 92), dtype=np.uint8)
    pictures += np.arange(40, dtype=np.uint8)[:, None, None, None] * 6
    pictures += np.arange(10, dtype=np.uint8)[None, :, None, None]
    pictures[:, :, :10] = pictures[:, :, -10:] = 255  # cut off by the square in the middle
    return pictures


def greys(pool):
    return pool.inputs.reshape(40, 10, -1).astype(int)


def expected():
    return (6 * np.arange(40)[:, None] + np.arange(10))[..., None]


def check(pool, side):
    assert pool.inputs.shape == (400, 1, side, side)
    assert (greys(pool) == expected()).all()
    assert pool.ids.tolist() == [f"s{person}/{shot}" for person, shot in ORDER]
    assert pool.groups.tolist() == [f"s{person}" for person, _ in ORDER]
    assert (pool.labels == np.repeat(np.arange(40), 10)).all()
    assert (pool.classes[0], pool.classes[39], pool.scale) == ("s1", "s40", 1 / 255)


def test_orl_faces_as_pictures_in_an_archive_and_unpacked(tmp_path, people):
    files = {f"att_faces/s{p}/{s}.pgm": pgm(people[p - 1, s - 1]) for p, s in ORDER} | {"att_faces/README": b"hello"}
    write(tmp_path / "orl-faces" / "att_faces.zip", zipped(files))
    check(load("orl-faces", cache=tmp_path, verify=False), 64)
    (tmp_path / "orl-faces" / "att_faces.zip").unlink()
    assert not (tmp_path / "orl-faces" / "README").exists()
    check(load("orl-faces", cache=tmp_path, verify=False, side=32), 32)
    write(tmp_path / "orl-faces" / "s7" / "3.pgm", pgm(np.zeros((92, 112))))
    with pytest.raises(DataFileError, match=r"s7/3.pgm: expected a picture of \(112, 92\), got \(92, 112\)"):
        load("orl-faces", cache=tmp_path, verify=False)


def array_file(path, people, shots, order=slice(None)):
    person = np.repeat(np.arange(1, 41), 10)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, images=people.reshape(400, 112, 92)[order], person=person[order], shot=shots.ravel()[order])


def test_orl_faces_in_one_array_file_whatever_their_order(tmp_path, people):
    shots, path = np.tile(np.arange(1, 11), (40, 1)), tmp_path / "orl-faces" / "orl_faces.npz"
    array_file(path, people, shots, np.random.default_rng(0).permutation(400))
    check(load("orl-faces", cache=tmp_path, verify=False), 64)
    shots[4, 2] = 7
    array_file(path, people, shots)
    with pytest.raises(DataFileError, match="expected shots 1 to 10 of person 5, got"):
        load("orl-faces", cache=tmp_path, verify=False)
    np.savez(path, images=people, shot=shots)
    with pytest.raises(DataFileError, match="it lacks person"):
        load("orl-faces", cache=tmp_path, verify=False)


def test_the_tenth_shot_that_bears_its_persons_number_is_put_right(tmp_path, people):
    """As in the file that goes round: person 3 has 1, 2, 3 (the tenth), 3, 4, ..., and person 12 has 1, ..., 9, 12."""
    places = [[*range(1, p), 10, *range(p, 10)] if p < 10 else list(range(1, 11)) for p in range(1, 41)]
    moved = np.stack([people[p, np.array(places[p]) - 1] for p in range(40)])
    shots = np.array([[p + 1 if shot == 10 else shot for shot in places[p]] for p in range(40)])
    array_file(tmp_path / "orl-faces" / "orl_faces.npz", moved, shots)
    check(load("orl-faces", cache=tmp_path, verify=False), 64)


def test_pixels_that_are_not_the_originals_are_refused(tmp_path, people):
    for person, shot in ORDER:
        write(tmp_path / "orl-faces" / f"s{person}" / f"{shot}.pgm", pgm(people[person - 1, shot - 1]))
    with pytest.raises(DataFileError, match=r"expected pixels with sha256:2e4844.*damaged or not the original"):
        load("orl-faces", cache=tmp_path)


def face(x, y, height=90, width=70):
    """Grey paper with a white and a black square for the two eyes."""
    image = np.full((height, width), 128, dtype=np.uint8)
    for (at_x, at_y), value in zip(x, y, strict=True):
        image[at_y - 2 : at_y + 3, at_x - 2 : at_x + 3] = value
    return image


def csu(folder):
    """Three pictures of two people: upright, turned by a right angle, and large."""
    pictures = {
        "00001aa": (face([(25, 40), (45, 40)], (255, 0)), (25, 40, 45, 40)),
        "00001ab": (face([(30, 30), (44, 44)], (255, 0)), (30, 30, 44, 44)),
        "00009aa": (face([(50, 80), (110, 80)], (255, 0), 200, 160), (50, 80, 110, 80)),
    }
    for name, (image, _) in pictures.items():
        write(folder / f"{name}.pgm", pgm(image))
    lines = [" ".join(map(str, (name, *eyes))) + " " for name, (_, eyes) in pictures.items()]
    write(folder / "coords.txt", "\n".join(lines).encode())


def test_csu_faces_have_their_eyes_where_they_belong(tmp_path):
    csu(tmp_path / "csu-faces")
    pool = load("csu-faces", cache=tmp_path, verify=False)
    assert pool.inputs.shape == (3, 1, 64, 64)
    assert pool.ids.tolist() == ["00001/aa", "00001/ab", "00009/aa"]
    assert (pool.groups.tolist(), pool.labels.tolist()) == (["00001", "00001", "00009"], [0, 0, 1])
    assert pool.classes == ("00001", "00009")
    for image in pool.inputs[:, 0].astype(float):
        for weight, place in zip((image > 140, image < 115), faces.EYES, strict=True):
            y, x = np.nonzero(weight)
            assert (x.mean() + 0.5) / 64 == pytest.approx(place[0], abs=0.012)
            assert (y.mean() + 0.5) / 64 == pytest.approx(place[1], abs=0.012)
    assert load("csu-faces", cache=tmp_path, verify=False, side=20).inputs.shape == (3, 1, 20, 20)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("00001aa 1 2 3", "a name of 5 digits and a shot, then 4 numbers"),
        ("../../etc/passwd 1 2 3 4", "a name of 5 digits"),
        ("00001/../a 1 2 3 4", "a name of 5 digits"),
        ("00001aa 9 2 3 4", "the eye on the left first"),
        ("00001aa 1 2 3 x", "could not convert"),
        ("", "it names no picture"),
    ],
)
def test_coordinates_that_make_no_sense_are_named(tmp_path, line, words):
    write(tmp_path / "csu-faces" / "coords.txt", line.encode())
    with pytest.raises(DataFileError, match=words):
        load("csu-faces", cache=tmp_path, verify=False)


def test_a_side_that_is_none_is_refused(tmp_path):
    for name in ("orl-faces", "csu-faces"):
        for side in (0, 7, 513, 64.0, True):
            with pytest.raises(InputError, match=r"a side of 8 to 512 pixels|option side must be a whole number"):
                load(name, cache=tmp_path, side=side)


def test_a_picture_with_a_comment_and_broken_ones(tmp_path):
    image = np.arange(6, dtype=np.uint8).reshape(2, 3) + 30  # 32 is a space and 35 a '#'
    write(tmp_path / "a.pgm", pgm(image, b"# made by hand\n# twice\n"))
    np.testing.assert_array_equal(grey.read_pgm(tmp_path / "a.pgm"), image)
    for content, words in (
        (b"P2\n3 2\n255\n", "begins P5"),
        (b"P5\n3 2\n65535\n" + bytes(12), "one byte a pixel"),
        (b"P5\n3 2\n255\n" + bytes(5), "2 x 3 pixels as its header says, got 5"),
        (b"P5\n3", "begins P5"),
    ):
        write(tmp_path / "b.pgm", content)
        with pytest.raises(DataFileError, match=words):
            grey.read_pgm(tmp_path / "b.pgm")
    with pytest.raises(DataFileError, match="there is no file"):
        grey.read_pgm(tmp_path / "none.pgm")


def by_definition(image, height, width, steps=60):
    """Area means by brute force: each old pixel cut into steps x steps."""
    fine = np.kron(image, np.ones((steps, steps)))
    tall, wide = fine.shape[0] // height, fine.shape[1] // width
    return fine.reshape(height, tall, width, wide).mean(axis=(1, 3))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 4), (6, 10)])
def test_areas_are_means_of_what_they_cover(size):
    image = np.random.default_rng(0).integers(0, 256, (5, 7)).astype(float)
    found = grey.resized(image, *size)
    steps = 60 * np.lcm(size[0], size[1]) // np.gcd(60, np.lcm(size[0], size[1]))
    np.testing.assert_allclose(found, by_definition(image, *size, steps=steps))
    assert found.mean() == pytest.approx(image.mean())


def test_a_picture_that_is_in_place_is_hardly_changed():
    y, x = np.mgrid[:16, :16]
    image = 100.0 + 3 * x - 2 * y  # a plane is kept by means of linear interpolation, away from the border
    same = grey.aligned(image, ((4, 7), (11, 7)), ((4.5 / 16, 7.5 / 16), (11.5 / 16, 7.5 / 16)), 16)
    np.testing.assert_allclose(same[1:-1, 1:-1], image[1:-1, 1:-1], atol=1e-9)


def test_drawings_out_of_their_package(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in (
            "src/drawings/an axe.ndjson.gz",
            "src/drawings/ant.ndjson.gz",
            "README.md",
        ):
            content = gzip.compress(b"[" + b",".join([b"0.5"] * 784) + b"]\n")
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    write(tmp_path / "quickdraw" / quickdraw.PACKAGE.path, buffer.getvalue())
    pool = load("quickdraw", cache=tmp_path, verify=False)
    assert (pool.inputs.shape, pool.classes) == ((2, 1, 28, 28), ("an axe", "ant"))
    assert sorted(path.name for path in (tmp_path / "quickdraw").glob("*.ndjson.gz")) == [
        "an axe.ndjson.gz",
        "ant.ndjson.gz",
    ]


def test_an_archive_may_not_write_elsewhere_and_must_hold_the_files(tmp_path):
    def archive(files):
        content = zipped(files)
        write(tmp_path / "a.zip", content)
        return Original("a.zip", (), sha256(content))

    folder = Folder(tmp_path)
    assert archives.place(folder, archive({"x/1.txt": b"one", "x/y/2.txt": b"two", "3.bin": b""}), r"x/(.*\.txt)") == 2
    assert ((tmp_path / "1.txt").read_bytes(), (tmp_path / "y" / "2.txt").read_bytes()) == (b"one", b"two")
    with pytest.raises(DataFileError, match="is not unpacked"):
        archives.place(folder, archive({"x/../../3.txt": b""}), r"x/(.*\.txt)")
    assert not (tmp_path.parent / "3.txt").exists()
    with pytest.raises(DataFileError, match="holds no file like"):
        archives.place(folder, archive({"a.txt": b""}), r"x/(.*\.txt)")
    content = zipped({"x/1.txt": bytes(1000)})
    write(tmp_path / "a.zip", content[:60] + bytes(20) + content[80:])
    with pytest.raises(DataFileError, match="cannot be read"):
        archives.place(Folder(tmp_path, verify=False), Original("a.zip"), r"x/(.*\.txt)")


def test_weights_are_found_unpacked_and_checked(tmp_path, monkeypatch):
    name, content = "dcgan-faces", b"weights"
    package = zipped({"gan_face_generate/weights.tar": content, "gan_face_generate/models.py": b"import os"})
    source = weights.WEIGHTS[name]
    archive = Original(source.archive.path, (), sha256(package))
    one = weights.Weights("", "", "", Original("weights.tar", (), sha256(content)), archive, source.members)
    monkeypatch.setitem(weights.WEIGHTS, name, one)
    with pytest.raises(DataFileError, match="put the original there"):
        weights.weights(name, tmp_path)
    write(tmp_path / name / source.archive.path, package)
    path = weights.weights(name, tmp_path)
    assert (path, path.read_bytes()) == (tmp_path / "dcgan-faces" / "weights.tar", content)
    assert not (tmp_path / "dcgan-faces" / "models.py").exists()
    path.write_bytes(b"other weights")
    with pytest.raises(DataFileError, match="damaged or not the original"):
        weights.weights(name, tmp_path)
    assert weights.weights(name, tmp_path, verify=False) == path
    with pytest.raises(InputError, match=r"unknown file of weights 'sfac'.*sface"):
        weights.weights("sfac", tmp_path)


def at_hand(name):
    if not (cache_folder() / name).is_dir():
        pytest.skip(f"{name} is not in {cache_folder()}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "shape", "n_first", "mean"),
    [
        ("orl-faces", (400, 1, 64, 64), 10, 0.4632),
        ("csu-faces", (173, 1, 64, 64), 5, 0.5470),
        ("quickdraw", (34500, 1, 28, 28), 100, 0.1497),
    ],
)
def test_the_originals(name, shape, n_first, mean):
    at_hand(name)
    pool = load(name)
    assert pool.inputs.shape == shape
    assert (pool.labels == 0).sum() == n_first
    assert pool.batch().mean(dtype=np.float64) == pytest.approx(mean, abs=1e-4)
    assert DATASETS[name].files


@pytest.mark.slow
def test_the_orl_faces_are_the_same_as_pictures(tmp_path):
    """The array file, written out as its makers' tree: its pixels pass the same check and give the same pool."""
    at_hand("orl-faces")
    pool = load("orl-faces")
    images = faces._orl_array(cache_folder() / "orl-faces" / "orl_faces.npz")
    for (person, shot), image in zip(ORDER, images, strict=True):
        write(tmp_path / "orl-faces" / f"s{person}" / f"{shot}.pgm", pgm(image))
    np.testing.assert_array_equal(load("orl-faces", cache=tmp_path).inputs, pool.inputs)


@pytest.mark.slow
def test_one_spoilt_pixel_of_csu_is_noticed(tmp_path):
    at_hand("csu-faces")
    shutil.copytree(cache_folder() / "csu-faces", tmp_path / "csu-faces")
    path = tmp_path / "csu-faces" / "00012ab.pgm"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataFileError, match="expected pixels"):
        load("csu-faces", cache=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", weights.WEIGHTS)
def test_the_weights_in_the_cache_are_the_originals(name):
    at_hand(name.partition("/")[0])
    assert weights.weights(name).stat().st_size > 10_000_000
