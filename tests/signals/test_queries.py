"""Augmented queries show a model the images that a loop over pixels makes."""

import numpy as np
import pytest

from seepage.errors import InputError
from seepage.signals.queries import QUERIES, Query, queries

RNG = np.random.default_rng(0)


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


@pytest.mark.parametrize(("name", "n"), [("none", 1), ("flip", 2), ("flip-shift", 18)])
def test_the_queries_of_a_set_are_distinct_and_begin_with_the_plain_one(name, n):
    found = queries(name)
    image = RNG.normal(size=(1, 1, 12, 12))
    assert len(found) == n
    assert len({query(image).tobytes() for query in found}) == n
    assert found[0] == Query()


@pytest.mark.parametrize("shape", [(5, 10), (5, 4, 4), (5, 1, 2, 3, 4)])
@pytest.mark.parametrize("query", [Query(flip=True), Query(down=1), Query(right=-1)])
def test_records_that_are_no_images_are_refused(query, shape):
    with pytest.raises(InputError, match="augmented queries need images"):
        query(np.zeros(shape))


def test_a_query_set_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="unknown query set 'flip-shft': did you mean 'flip-shift'"):
        queries("flip-shft")
