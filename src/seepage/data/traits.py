"""What records are like, apart from what they show: the view of them in which checks look for a difference.

Two collections of the same things can differ in how they were made: noise, compression, blur, rounding, length. A
model notices; raw values hide it. `traits` are named numbers in which such a difference shows, `positions` are points
of which near-copies lie close together. Both are functions of the records alone, whoever is a member.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from sklearn.decomposition import PCA

from seepage.randomness import Seed, generator

BANDS = 6  # of the spectrum
MOST_COLUMNS = 50  # of a table whose columns have traits of their own
LEAST_SERIES = 16  # values in a record from which on the order of its values is looked at
DECIMALS = 5  # digits after the point that are told apart
MOST_DECIMALS = 256  # values of a record whose digits are counted
SIDE = 8  # of the small picture by which images are compared
MOST_DIMENSIONS = 64
_BYTES = 1 << 26
_WORD = re.compile(r"\w+")
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")


@dataclass(frozen=True)
class Traits:
    """One row a record, one column a trait; columns that are alike for all records are left out."""

    names: tuple[str, ...]
    values: Float64[np.ndarray, "records traits"]


def traits(records: np.ndarray | Sequence[str]) -> Traits:
    """Named numbers by kind of record.

    Images, (records, channels, height, width) or with the channels last: gradient energy along both axes, second
    differences, the step at the edges of 8 x 8 blocks (JPEG), the spectrum in bands, left against right, and each
    channel's mean and spread. Any record of numbers: mean, spread, extremes, share of zeros and of values at the
    extremes, distinct values, digits after the point, missing values; with 16 values or more also neighbouring
    differences and the spectrum. Tables of at most 50 columns: digits after the point and missing values by column.
    Texts: characters, words, their length, distinct words, punctuation, capitals, digits, the years that are named.

    Args:
        records: numbers, (records, ...), NaN for a missing one; or texts.

    Returns:
        As many rows as records.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is the largest there is, below
        columns = _of_texts(list(records)) if isinstance(records[0], str) else _of_numbers(np.asarray(records))
    values = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns.values()])
    values = np.nan_to_num(values, nan=-1.0, posinf=1e300, neginf=-1e300)
    vary = np.ptp(values, axis=0) > 0
    return Traits(tuple(np.array(list(columns))[vary]), values[:, vary])


def _of_numbers(records: np.ndarray) -> dict[str, np.ndarray]:
    """In blocks of records, so that the differences and spectra of a few of them are held at a time."""
    step = max(1, _BYTES // max(1, 8 * records[0].size))
    parts = [_of_block(np.asarray(records[at : at + step], np.float64)) for at in range(0, len(records), step)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _of_block(records: np.ndarray) -> dict[str, np.ndarray]:
    flat = records.reshape(len(records), -1)
    missing = np.isnan(flat)
    found = {"share missing": missing.mean(axis=1)}
    decimals = _decimals(flat[:, :: max(1, flat.shape[1] // MOST_DECIMALS)])
    if records.ndim == 2 and flat.shape[1] <= MOST_COLUMNS:
        found |= {f"digits after the point in value {at}": column for at, column in enumerate(decimals.T)}
        found |= {f"value {at} missing": column for at, column in enumerate(missing.T)}
    found["digits after the point"] = decimals.mean(axis=1)
    filled = np.where(missing, 0.0, flat)
    low, high = filled.min(axis=1), filled.max(axis=1)
    ordered = np.sort(filled, axis=1)
    found |= {
        "mean": filled.mean(axis=1),
        "spread": filled.std(axis=1),
        "least value": low,
        "largest value": high,
        "share of zeros": (filled == 0).mean(axis=1),
        "share at the least value": (filled == low[:, None]).mean(axis=1),
        "share at the largest value": (filled == high[:, None]).mean(axis=1),
        "distinct values": (np.diff(ordered, axis=1) > 0).sum(axis=1),
    }
    if records.ndim >= 3:
        found |= _of_images(_channels_first(np.nan_to_num(records)))
    elif flat.shape[1] >= LEAST_SERIES:
        found |= _along(filled, "neighbouring values")
    return found


def _decimals(flat: np.ndarray) -> np.ndarray:
    """Digits after the point that a value needs, 0 to DECIMALS, as far as a float32 can tell; one more beyond."""
    digits = np.full(flat.shape, DECIMALS + 1.0)
    for places in range(DECIMALS, -1, -1):
        scaled = flat * 10.0**places
        off = np.abs(scaled - np.round(scaled))
        digits[off <= np.maximum(1e-6, 1e-6 * np.abs(scaled))] = places
    return digits


def _of_images(images: np.ndarray) -> dict[str, np.ndarray]:
    """Traits of images (records, channels, height, width)."""
    found = {}
    if images.shape[1] <= 4:
        for channel in range(images.shape[1]):
            found[f"mean of channel {channel}"] = images[:, channel].mean(axis=(1, 2))
            found[f"spread of channel {channel}"] = images[:, channel].std(axis=(1, 2))
    grey = images.mean(axis=1)
    n, height, width = grey.shape
    for axis, name in ((3, "columns"), (2, "rows")):
        if images.shape[axis] < 3:
            continue
        step = np.diff(images, axis=axis)
        found[f"difference of neighbouring {name}"] = np.abs(step).mean(axis=(1, 2, 3))
        found[f"squared difference of neighbouring {name}"] = (step**2).mean(axis=(1, 2, 3))
        found[f"second difference of {name}"] = np.abs(np.diff(step, axis=axis)).mean(axis=(1, 2, 3))
        # Blocks of 8: where a compressed picture was cut, a step is larger than the steps beside it.
        if images.shape[axis] >= 16:
            sizes = np.abs(step).mean(axis=tuple({1, 2, 3} - {axis}))
            edge = np.arange(sizes.shape[1]) % 8 == 7
            found[f"step at every eighth of the {name}"] = sizes[:, edge].mean(axis=1) - sizes[:, ~edge].mean(axis=1)
            spread = sizes[:, ~edge].std(axis=1)
            found[f"step at every eighth of the {name}, relative"] = np.divide(
                found[f"step at every eighth of the {name}"], spread, out=np.zeros(n), where=spread > 1e-6
            )
    half = width // 2
    if half:
        found["left less right half"] = grey[:, :, :half].mean(axis=(1, 2)) - grey[:, :, -half:].mean(axis=(1, 2))
    if min(height, width) >= 4:
        power = np.abs(np.fft.rfft2(grey - grey.mean(axis=(1, 2), keepdims=True))) ** 2
        rows, columns = np.fft.fftfreq(height), np.fft.rfftfreq(width)
        found |= _bands(power.reshape(n, -1), np.hypot(rows[:, None], columns).ravel())
    return found


def _along(values: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Traits of the order of a record's values."""
    step = np.diff(values, axis=1)
    power = np.abs(np.fft.rfft(values - values.mean(axis=1, keepdims=True), axis=1)) ** 2
    return {
        f"difference of {name}": np.abs(step).mean(axis=1),
        f"squared difference of {name}": (step**2).mean(axis=1),
        f"second difference of {name}": np.abs(np.diff(step, axis=1)).mean(axis=1),
        **_bands(power, np.fft.rfftfreq(values.shape[1])),
    }


def _bands(power: np.ndarray, frequency: np.ndarray) -> dict[str, np.ndarray]:
    """Log energy by frequency, the constant part aside, and the share of the highest band."""
    edges = np.linspace(0, frequency.max(), BANDS + 1)
    band = np.clip(np.searchsorted(edges, frequency, side="left") - 1, -1, BANDS - 1)
    energy = np.stack([power[:, band == at].sum(axis=1) for at in range(BANDS)])
    total = energy.sum(axis=0)
    found = {f"energy in band {at + 1} of {BANDS}": np.log(part + 1e-12) for at, part in enumerate(energy)}
    found["share of the highest band"] = np.divide(energy[-1], total, out=np.zeros(len(total)), where=total > 0)
    return found


def _of_texts(texts: Sequence[str]) -> dict[str, np.ndarray]:
    words = [_WORD.findall(text) for text in texts]
    length = np.array([len(text) for text in texts], float)
    n_words = np.array([len(found) for found in words], float)
    per_character = 1 / np.maximum(length, 1)
    years = [[int(year) for year in _YEAR.findall(text)] for text in texts]
    return {
        "characters": length,
        "words": n_words,
        "length of a word": np.array([sum(map(len, found)) for found in words]) / np.maximum(n_words, 1),
        "share of distinct words": np.array([len(set(map(str.lower, found))) for found in words])
        / np.maximum(n_words, 1),
        "share of punctuation": per_character * [sum(not (c.isalnum() or c.isspace()) for c in text) for text in texts],
        "share of capitals": per_character * [sum(map(str.isupper, text)) for text in texts],
        "share of digits": per_character * [sum(map(str.isdigit, text)) for text in texts],
        "share of other alphabets": per_character * [sum(ord(c) > 127 for c in text) for text in texts],
        "lines": np.array([text.count("\n") for text in texts]),
        "latest year named": np.array([max(found, default=0) for found in years]),
        "earliest year named": np.array([min(found, default=0) for found in years]),
    }


def positions(
    records: np.ndarray, *, rng: Seed
) -> tuple[Float32[np.ndarray, "records dimensions"], Float32[np.ndarray, "records dimensions"]]:
    """Points of which near-copies lie close together, and the points of the mirrored records.

    Images: shrunk to at most 8 x 8, brightness and contrast taken out; so noise, compression, blur and brightness move
    a picture little, and another picture is far. Anything else: each column over its standard deviation, at most 64
    principal components; mirroring does not apply.

    Args:
        records: (records, ...), finite.
        rng: starts the search for principal components.
    """
    rng = generator(rng)
    if records.ndim >= 3:
        small = _shrunk(_channels_first(records))
        return _unit(small), _unit(small[..., ::-1])
    flat = records.reshape(len(records), -1).astype(np.float64)
    spread = flat.std(axis=0)
    flat = (flat - flat.mean(axis=0)) / np.where(spread > 0, spread, 1)
    if flat.shape[1] > MOST_DIMENSIONS and len(flat) > MOST_DIMENSIONS:
        flat = PCA(MOST_DIMENSIONS, svd_solver="randomized", random_state=int(rng.integers(2**31))).fit_transform(flat)
    flat = flat.astype(np.float32)
    return flat, flat


def _unit(small: np.ndarray) -> np.ndarray:
    flat = small.reshape(len(small), -1).astype(np.float32)
    flat = flat - flat.mean(axis=1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(length > 0, length, 1)


def _shrunk(images: np.ndarray) -> np.ndarray:
    """Means over a grid of at most SIDE x SIDE cells."""
    rows, columns = (_cells(size) for size in images.shape[2:])
    return rows @ (images.astype(np.float32) @ columns.T)


def _cells(size: int) -> Float32[np.ndarray, "cells pixels"]:
    """The averages that make at most SIDE cells of a row of pixels."""
    n_cells = min(size, SIDE)
    cell = np.arange(size) * n_cells // size
    weights = (cell == np.arange(n_cells)[:, None]).astype(np.float32)
    return weights / weights.sum(axis=1, keepdims=True)


def _channels_first(records: np.ndarray) -> np.ndarray:
    """(records, channels, height, width) of images with or without channels, wherever these stand."""
    if records.ndim == 3:
        return records[:, None]
    if records.ndim > 4:
        return records.reshape(len(records), 1, records.shape[1], -1)
    return np.moveaxis(records, -1, 1) if records.shape[-1] <= 4 < records.shape[1] else records
