"""Augmented queries show a model the images that a loop over pixels makes."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from seepage.errors import InputError
from seepage.signals.queries import QUERIES, Query, queries, shifts, turns

RNG = np.random.default_rng(0)


def turned(images, degrees):
    """Each pixel from the four around the place that it came from; places outside are moved to the edge."""
    out = np.zeros(images.shape)
    height, width = images.shape[-2:]
    angle = np.pi * degrees / 180
    for i, j in itertools.product(range(height), range(width)):
        down, right = i - (height - 1) / 2, j - (width - 1) / 2
        row = min(max(down * np.cos(angle) + right * np.sin(angle) + (height - 1) / 2, 0), height - 1)
        column = min(max(right * np.cos(angle) - down * np.sin(angle) + (width - 1) / 2, 0), width - 1)
        for y, x in itertools.product(range(height), range(width)):
            out[..., i, j] += max(0, 1 - abs(row - y)) * max(0, 1 - abs(column - x)) * images[..., y, x]
    return out


def moved(images, query):
    """np.roll, and zeros where it came around."""
    out = images[..., ::-1] if query.flip else images
    for axis, offset in ((-2, query.down), (-1, query.right)):
        out = np.roll(out, offset, axis)
        size = out.shape[axis]
        for place in range(size):
            if not 0 <= place - offset < size:
                np.moveaxis(out, axis, 0)[place] = 0
    return out


@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 3, 5, 9), (2, 1, 3, 4), (1, 1, 1, 2)])
@pytest.mark.parametrize("query", QUERIES["flip-shift"], ids=lambda q: f"{q.flip:d}{q.down:+d}{q.right:+d}")
def test_images_are_mirrored_and_shifted_into_zeros(query, shape):
    images = RNG.normal(size=shape).astype(np.float32)
    kept = images.copy()
    np.testing.assert_array_equal(query(images), moved(images, query))
    np.testing.assert_array_equal(images, kept)
    assert query(images).dtype == np.float32


def test_the_plain_query_returns_the_records_themselves_whatever_they_are():
    records = RNG.normal(size=(4, 7))
    assert Query()(records) is records
    assert QUERIES["none"] == (Query(),)


@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 3, 5, 9), (2, 1, 3, 4), (1, 1, 1, 2)])
@pytest.mark.parametrize("query", shifts(2)[1:], ids=lambda q: f"{q.down:+d}{q.right:+d}")
def test_a_shift_can_be_filled_from_the_edge(query, shape):
    images = RNG.normal(size=shape).astype(np.float32)
    found = query(images)
    expected = ndimage.shift(images, (0, 0, query.down, query.right), order=0, mode="nearest")
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32


@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 3, 5, 9), (2, 1, 4, 3), (1, 1, 1, 2)])
@pytest.mark.parametrize("degrees", [-90, -4, 1, 30, 45, 180])
def test_a_turn_is_that_of_a_loop_over_pixels(degrees, shape):
    images = RNG.normal(size=shape).astype(np.float32)
    kept = images.copy()
    found = Query(degrees=degrees)(images)
    np.testing.assert_allclose(found, turned(images, degrees), atol=2e-6)
    np.testing.assert_array_equal(images, kept)
    assert found.dtype == np.float32


def test_a_turn_by_ninety_degrees_is_anticlockwise():
    images = RNG.normal(size=(2, 3, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(Query(degrees=90)(images), np.rot90(images, axes=(-2, -1)), atol=1e-6)


def test_turns_and_shifts_are_counted_as_in_the_paper():
    assert [query.degrees for query in QUERIES["rotate"]] == [0, -1, 1, -2, 2, -3, 3, -4, 4]
    assert [query.degrees for query in turns(1)] == [0, -1, 1]
    for distance in (1, 2, 3):
        found = {(query.down, query.right) for query in shifts(distance)}
        grid = itertools.product(range(-5, 6), range(-5, 6))
        assert found == {(0, 0)} | {(a, b) for a, b in grid if abs(a) + abs(b) == distance}
        assert len(shifts(distance)) == 4 * distance + 1


def test_an_unknown_fill_is_refused():
    with pytest.raises(InputError, match=r"one of zeros, nearest, got .nearst. .did you mean .nearest."):
        Query(fill="nearst")


@pytest.mark.parametrize(("name", "n"), [("none", 1), ("flip", 2), ("flip-shift", 18), ("rotate", 9), ("translate", 5)])
def test_the_queries_of_a_set_are_distinct_and_begin_with_the_plain_one(name, n):
    found = queries(name)
    image = RNG.normal(size=(1, 1, 12, 12))
    assert len(found) == n
    assert len({query(image).tobytes() for query in found}) == n
    assert found[0] == Query()


@pytest.mark.parametrize("shape", [(5, 10), (5, 4, 4), (5, 1, 2, 3, 4)])
@pytest.mark.parametrize("query", [Query(flip=True), Query(down=1), Query(right=-1), Query(degrees=1)])
def test_records_that_are_no_images_are_refused(query, shape):
    with pytest.raises(InputError, match="augmented queries need images"):
        query(np.zeros(shape))


def test_a_query_set_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="unknown query set 'flip-shft': did you mean 'flip-shift'"):
        queries("flip-shft")
