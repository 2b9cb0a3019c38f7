"""Grey pictures: reading PGM files, and drawing a picture anew at another size."""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8

from seepage.data.cache import reading

MOST_BYTES = 2**26  # of one picture
OVERSAMPLING = 4  # points that an aligned pixel is the mean of, along each axis
_GAP = rb"\s+(?:#[^\n]*\n\s*)*"
_HEADER = re.compile(rb"P5" + 3 * (_GAP + rb"(\d+)") + rb"\s")


def read_pgm(path: Path) -> UInt8[np.ndarray, "height width"]:
    """The picture in a binary PGM file ("P5") of one byte a pixel.

    Raises:
        DataFileError: the file is not there, is of another kind, or is damaged.
    """
    with reading(path):
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        content = path.read_bytes()
        header = _HEADER.match(content)
        if header is None:
            raise ValueError(f"expected a binary PGM file (it begins P5), it begins {content[:4]!r}")
        width, height, most = map(int, header.groups())
        if most > 255:
            raise ValueError(f"expected one byte a pixel, its greatest value is {most}")
        pixels = content[header.end() :]
        if len(pixels) != height * width:
            raise ValueError(f"expected {height} x {width} pixels as its header says, got {len(pixels)}")
        return np.frombuffer(pixels, dtype=np.uint8).reshape(height, width)


def resized(image: np.ndarray, height: int, width: int) -> Float64[np.ndarray, "height width"]:
    """Each new pixel is the mean of the area that it covers of the old picture.

        out[i, j] = sum_kl a[i, k] image[k, l] b[j, l]

    a[i, k] is the share of new row i that old row k fills, and b the same of columns, so that the mean grey stays.

    >>> resized(np.array([[0.0, 3.0, 6.0]]), 1, 2)
    array([[1., 5.]])
    """
    rows, columns = image.shape
    return _shares(height, rows) @ image.astype(np.float64) @ _shares(width, columns).T


def _shares(n_new: int, n_old: int) -> Float64[np.ndarray, "new old"]:
    edges = np.arange(n_new + 1) * (n_old / n_new)
    old = np.arange(n_old)
    overlap = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return np.clip(overlap, 0, None) * (n_new / n_old)


def aligned(
    image: np.ndarray,
    eyes: tuple[tuple[float, float], tuple[float, float]],
    places: tuple[tuple[float, float], tuple[float, float]],
    side: int,
) -> Float64[np.ndarray, "side side"]:
    """A square picture with the eyes where they are to be: turned, shifted and scaled, nothing else.

    In complex numbers z = x + i y the new picture's point z shows the old one's a z + b, where (a, b) takes the two
    places to the two eyes. Beyond the border the old picture's last pixel goes on. Each pixel is the mean of 4 x 4
    points, so that a smaller picture has no steps.

    Args:
        image: (height, width).
        eyes: (x, y) of two points in the old picture, in pixels; (0, 0) is the middle of the first pixel.
        places: (x, y) of where they are to be, as shares of the side.
        side: of the new picture, in pixels.
    """
    from scipy.ndimage import map_coordinates

    (left, right), (at_left, at_right) = (
        [complex(*point) for point in eyes],
        [complex(*place) * side - complex(0.5, 0.5) for place in places],
    )
    scale = (right - left) / (at_right - at_left)
    steps = (np.arange(side * OVERSAMPLING) + 0.5) / OVERSAMPLING - 0.5
    points = left + scale * (steps[None, :] + 1j * steps[:, None] - at_left)
    fine = map_coordinates(image.astype(np.float64), [points.imag, points.real], order=1, mode="nearest")
    return fine.reshape(side, OVERSAMPLING, side, OVERSAMPLING).mean(axis=(1, 3))


def as_bytes(image: np.ndarray) -> UInt8[np.ndarray, "..."]:
    """Grey values 0 to 255, rounded to whole ones."""
    return np.clip(np.round(image), 0, 255).astype(np.uint8)
