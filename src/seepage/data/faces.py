"""Faces: the ORL database of AT&T Laboratories Cambridge, and the CSU Scrap Shots.

Both come out grey and square, the eyes near (0.33, 0.45) and (0.67, 0.45) of the side, the mouth near 0.82: so are the
faces of the generator `dcgan-faces` (see `weights.py`) framed on average. They are pictures of people: for research,
and not to be passed on.

Reference: F. Samaria, A. Harter, "Parameterisation of a stochastic model for human face identification", IEEE Workshop
    on Applications of Computer Vision, 1994, for ORL; when you use it, give credit to AT&T Laboratories Cambridge. CSU:
    the folder csuScrapShots of pyvision (Colorado State University, D. Bolme and others).
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from seepage.data.archives import place
from seepage.data.cache import MAX_UNPACKED_BYTES, Folder, Original, reading
from seepage.data.files import read_arrays
from seepage.data.grey import aligned, as_bytes, read_pgm, resized
from seepage.data.pool import Pool
from seepage.errors import DataFileError, InputError

ORL_PEOPLE, ORL_SHOTS, ORL_SHAPE = 40, 10, (112, 92)
ORL_ARRAY = Original("orl_faces.npz", (), "sha256:0e540639c9071e2b68bf592c0e9a598e5d9e52cf869e8f7c3665e10fb0ac20b3")
# The checksum is that of the mirror which the bob toolbox uses (its AT&T database); the makers publish none.
# Pictures unpacked by hand are checked by ORL_PIXELS alone.
ORL_ARCHIVE = Original(
    "att_faces.zip",
    (
        "https://www.cl.cam.ac.uk/research/dtg/attarchive/pub/data/att_faces.zip",
        "http://www.idiap.ch/software/bob/data/bob/att_faces.zip",
    ),
    "md5:6efb25cb0d40755e9492b9c012e3348d",
)
ORL_MEMBERS = r"(?:.*/)?(s\d+/\d+\.pgm)"
ORL_PIXELS = "2e4844a9f4fa4397058f69d6208047170f2e9d399cda18b55c1e8d28f0a83431"

CSU_PACKAGE = Original(
    "pyvision_toolkit-1.3.6-py3-none-any.whl",
    (
        "https://files.pythonhosted.org/packages/dc/0a/"
        "1d8d7553e0bc02b261f91d927b182bd25a953a5e70148995c61a38c284da/pyvision_toolkit-1.3.6-py3-none-any.whl",
    ),
    "sha256:216587b4d9ce273a5eca99fbdd4b03d2ff0300244d3b03a6e00200eba86b40ae",
)
CSU_MEMBERS = r"pyvision/data/csuScrapShots/(\w+\.(?:pgm|txt))"
CSU_EYES = Original("coords.txt", (), "sha256:c25545bfdf58b2906bce39d4631a846ec19c1797c47a0e0a9ef1ce97c3071996")
CSU_PIXELS = "3294b84bc7f130c4383cb2f0e0e631078ffbfb5ba28b308a3f6c314f5aca1a23"
EYES = (0.33, 0.45), (0.67, 0.45)
PERSON_DIGITS = 5  # a file's name is five digits for the person, then letters for the shot


def read_orl_faces(folder: Folder, *, side: int = 64) -> Pool:
    """(400, 1, side, side) uint8: 40 people, ten shots each, ids "s1/1" to "s40/10".

    The square in the middle of each 112 x 92 picture, every new pixel the mean of its area. The originals are s1/1.pgm
    to s40/10.pgm or att_faces.zip, which holds them; or all in one array file, orl_faces.npz, with `images`, `person`
    and `shot`. Whichever it is, the pixels are checked.

    Args:
        side: of the pictures, in pixels.

    Raises:
        DataFileError: the pictures cannot be had or are not the originals.
    """
    _check_side(side)
    array = folder.path / ORL_ARRAY.path
    images = _orl_array(folder.locate(ORL_ARRAY)) if array.is_file() else _orl_pictures(folder)
    _check_pixels(folder, images, ORL_PIXELS)
    top = (ORL_SHAPE[0] - ORL_SHAPE[1]) // 2
    square = images[:, top : top + ORL_SHAPE[1]]
    people = [f"s{person}" for person in range(1, ORL_PEOPLE + 1)]
    return _pool(
        "orl-faces",
        [resized(image, side, side) for image in square],
        np.repeat(people, ORL_SHOTS),
        np.tile(np.arange(1, ORL_SHOTS + 1).astype(str), ORL_PEOPLE),
        tuple(people),
    )


def read_csu_faces(folder: Folder, *, side: int = 64) -> Pool:
    """(173, 1, side, side) uint8: 30 people, four to ten shots each, ids "00001/aa" to "00030/ad".

    Each picture is turned, shifted and scaled so that the eyes, whose places coords.txt gives, are at `EYES`.

    Args:
        side: of the pictures, in pixels.

    Raises:
        DataFileError: the pictures cannot be had or are not the originals.
    """
    _check_side(side)
    if not (folder.path / CSU_EYES.path).is_file():
        place(folder, CSU_PACKAGE, CSU_MEMBERS)
    eyes = _coordinates(folder.locate(CSU_EYES))
    names = sorted(eyes)
    images = [read_pgm(folder.path / f"{name}.pgm") for name in names]
    _check_pixels(folder, images, CSU_PIXELS)
    people = np.array([name[:PERSON_DIGITS] for name in names])
    return _pool(
        "csu-faces",
        [aligned(image, eyes[name], EYES, side) for name, image in zip(names, images, strict=True)],
        people,
        np.array([name[PERSON_DIGITS:] for name in names]),
        tuple(sorted(set(people.tolist()))),
    )


def _pool(name: str, images: list, people: np.ndarray, shots: np.ndarray, classes: tuple[str, ...]) -> Pool:
    return Pool(
        as_bytes(np.stack(images))[:, None],
        np.array([classes.index(person) for person in people]),
        ids=[f"{person}/{shot}" for person, shot in zip(people, shots, strict=True)],
        groups=people,
        name=name,
        classes=classes,
        scale=1 / 255,
    )


def _orl_array(path: Path) -> UInt8[np.ndarray, "400 112 92"]:
    """The pictures in an array file, by person and then by shot."""
    n = ORL_PEOPLE * ORL_SHOTS
    with reading(path):
        arrays = read_arrays(path, max_bytes=MAX_UNPACKED_BYTES)
        missing = {"images", "person", "shot"} - set(arrays)
        if missing:
            raise ValueError(f"expected the arrays images, person and shot, it lacks {', '.join(sorted(missing))}")
        images, person, shot = arrays["images"], arrays["person"], arrays["shot"]
        if (images.shape, images.dtype) != ((n, *ORL_SHAPE), np.uint8) or not person.shape == shot.shape == (n,):
            raise ValueError(f"expected {n} pictures of {ORL_SHAPE} bytes, got {images.dtype} {images.shape}")
        order = [_shots(np.flatnonzero(person == p), shot, p) for p in range(1, ORL_PEOPLE + 1)]
    return images[np.concatenate(order)]


def _shots(rows: np.ndarray, shot: np.ndarray, person: int) -> np.ndarray:
    """The rows of one person in the order of their shots.

    In the array file that goes round, the tenth shot of person p bears p for its number and stands before shot p; its
    pixels are those of p/10.pgm.
    """
    numbers, wanted = shot[rows].copy(), np.arange(1, ORL_SHOTS + 1)
    if not np.array_equal(np.sort(numbers), wanted):
        numbers[np.flatnonzero(numbers == person)[:1]] = ORL_SHOTS
    if not np.array_equal(np.sort(numbers), wanted):
        raise ValueError(f"expected shots 1 to {ORL_SHOTS} of person {person}, got {np.sort(shot[rows]).tolist()}")
    return rows[np.argsort(numbers)]


def _orl_pictures(folder: Folder) -> UInt8[np.ndarray, "400 112 92"]:
    """The pictures as their makers distribute them."""
    paths = [
        folder.path / f"s{person}" / f"{shot}.pgm"
        for person in range(1, ORL_PEOPLE + 1)
        for shot in range(1, ORL_SHOTS + 1)
    ]
    if not all(path.is_file() for path in paths):
        place(folder, ORL_ARCHIVE, ORL_MEMBERS)
    images = [read_pgm(path) for path in paths]
    for path, image in zip(paths, images, strict=True):
        if image.shape != ORL_SHAPE:
            raise DataFileError(f"{path}: expected a picture of {ORL_SHAPE}, got {image.shape}: it is no original")
    return np.stack(images)


def _coordinates(path: Path) -> dict[str, tuple[tuple[float, float], tuple[float, float]]]:
    """The two eyes in each picture: a line is a name, then x and y of the eye on the left and of that on the right."""
    eyes = {}
    with reading(path):
        for line in path.read_text(encoding="ascii").splitlines():
            if line.strip():
                name, *numbers = line.split()
                if len(numbers) != 4 or not name[:PERSON_DIGITS].isdecimal() or not name.isalnum():
                    raise ValueError(f"expected a name of {PERSON_DIGITS} digits and a shot, then 4 numbers: {line!r}")
                left_x, left_y, right_x, right_y = map(float, numbers)
                if left_x >= right_x:
                    raise ValueError(f"expected the eye on the left first: {line!r}")
                eyes[name] = (left_x, left_y), (right_x, right_y)
        if not eyes:
            raise ValueError("it names no picture")
    return eyes


def _check_pixels(folder: Folder, images: Iterable[np.ndarray], expected: str) -> None:
    """One SHA-256 of all pictures, one after the other: the same however they were packed."""
    if not folder.verify:
        return
    digest = hashlib.sha256()
    for image in images:
        digest.update(np.ascontiguousarray(image).tobytes())
    if digest.hexdigest() != expected:
        raise DataFileError(
            f"{folder.path}: expected pixels with sha256:{expected}, got sha256:{digest.hexdigest()}: a picture is "
            "damaged or not the original; delete them and load again"
        )


def _check_side(side: int) -> None:
    if isinstance(side, bool) or not isinstance(side, int) or not 8 <= side <= 512:
        raise InputError(f"expected a side of 8 to 512 pixels, got {side!r}")
