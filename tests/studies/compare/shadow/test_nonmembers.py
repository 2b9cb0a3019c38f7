"""What non-members are made of: shapes, standardisation, and what spoiling leaves alone."""

import gzip
import json

import numpy as np
import pytest

from seepage.data import Pool
from seepage.data.cache import Folder
from seepage.data.quickdraw import read_quickdraw
from seepage.errors import DataFileError, InputError
from seepage.models.images import as_images, to_shape
from seepage.studies.compare.shadow import nonmembers
from seepage.studies.compare.shadow.nonmembers import Standard, coloured, corrupted


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 200, (20, 3, 8, 8), dtype=np.uint8)


def test_standardised_channels_have_mean_zero_and_deviation_one(images):
    inputs = Standard.of(images)(images)
    assert inputs.dtype == np.float32
    np.testing.assert_allclose(inputs.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(inputs.std(axis=(0, 2, 3)), 1, atol=1e-4)


def test_what_spoiling_does(images):
    standard = Standard.of(images)
    spoilt = {one.name: one for one in corrupted(images, np.arange(20), standard, rng=np.random.default_rng(1))}
    plain = standard(images)
    assert not any(one.is_valid for one in spoilt.values())
    assert [one.labels is None for one in spoilt.values()] == [False, False, False, True]  # noise has no label
    np.testing.assert_allclose(spoilt["scaled"].inputs, plain * 255, rtol=1e-6)
    np.testing.assert_allclose(spoilt["unnormalised"].inputs, images / 255, atol=1e-6)
    permuted = spoilt["permuted"].inputs.reshape(20, 3, -1)
    before = plain.reshape(20, 3, -1)
    # the same pixels, a channel's values still side by side, in another order for another image
    for one, other in zip(permuted, before, strict=True):
        assert sorted(map(tuple, one.T.tolist())) == sorted(map(tuple, other.T.tolist()))
    orders = [[np.flatnonzero((o == c[:, None]).all(0))[0] for c in p.T] for p, o in zip(permuted, before, strict=True)]
    assert orders[0] != orders[1]
    assert (np.array(orders[0]) != np.arange(64)).any()


def test_other_pictures_take_the_target_s_shape():
    grey = np.full((2, 1, 28, 28), 100, dtype=np.uint8)
    assert (to_shape(grey, (3, 32, 32)) == 100).all()
    colour = np.stack([np.full((4, 4), v, dtype=np.uint8) for v in (30, 60, 90)])[None]
    assert (to_shape(colour, (1, 4, 4)) == 60).all()


def test_coloured_digits_can_be_read():
    digits = np.zeros((50, 1, 4, 4), dtype=np.uint8)
    digits[:, :, 1:3] = 255
    painted = coloured(digits, rng=np.random.default_rng(0)).astype(float)
    assert painted.shape == (50, 3, 4, 4)
    contrast = painted[:, :, 1].mean(axis=(1, 2)) - painted[:, :, 0].mean(axis=(1, 2))
    assert (np.abs(contrast) > 58).all()
    assert (contrast > 0).any()
    assert (contrast < 0).any()


def test_records_that_are_no_images_are_refused():
    with pytest.raises(InputError, match="expected images"):
        as_images(Pool(np.zeros((4, 64), dtype=np.float32)))
    with pytest.raises(InputError, match="from 0 to 1"):
        as_images(Pool(np.full((4, 1, 8, 8), -1, dtype=np.float32)))
    assert as_images(Pool(np.ones((4, 1, 8, 8), dtype=np.float32))).max() == 255


def write_drawings(folder, name, *lines):
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / f"{name}.ndjson.gz", "wt") as file:
        file.write("\n".join(json.dumps(line) for line in lines))


def test_drawings_are_read_by_category(tmp_path, monkeypatch):
    folder = tmp_path / "quickdraw"
    write_drawings(folder, "ant", [0] * 783 + [1], [0.5] * 784)
    write_drawings(folder, "axe", [0] * 784, [0] * 784)
    pool = read_quickdraw(Folder(folder))
    assert (pool.classes, pool.labels.tolist()) == (("ant", "axe"), [0, 0, 1, 1])
    assert pool.inputs.shape == (4, 1, 28, 28)
    assert pool.inputs[0, 0, 27, 27] == 255
    assert pool.inputs[1].min() == 128
    assert len(read_quickdraw(Folder(folder), per_class=1)) == 2
    monkeypatch.setenv("SEEPAGE_DATA", str(tmp_path))
    standard = Standard.of(np.zeros((1, 3, 32, 32), dtype=np.uint8))
    members = np.zeros((0, 3, 32, 32), dtype=np.uint8)
    monkeypatch.setattr("seepage.studies.compare.shadow.near.FEWEST", 2)
    one = nonmembers.far("quickdraw", (3, 32, 32), standard, 4, members, rng=np.random.default_rng(0))
    assert one.inputs.shape[1:] == (3, 32, 32)
    write_drawings(folder, "bad", [2] * 784)
    with pytest.raises(DataFileError, match=r"bad.*between 0 and 1"):
        read_quickdraw(Folder(folder))
    with pytest.raises(DataFileError, match="no drawings"):
        read_quickdraw(Folder(tmp_path / "nowhere"))


def test_far_sets_are_those_of_the_cache_unless_they_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SEEPAGE_DATA", str(tmp_path))
    standard, rng = Standard.of(np.zeros((1, 3, 8, 8), dtype=np.uint8)), np.random.default_rng(0)
    members = np.zeros((1, 3, 8, 8), dtype=np.uint8)
    found, left_out = nonmembers.find_far(None, "cifar10", (3, 8, 8), standard, 12, members, rng=rng)
    assert found == []
    assert set(left_out) == set(nonmembers.FAR_BY_DEFAULT)
    (digits,), _ = nonmembers.find_far(("digits",), "cifar10", (3, 8, 8), standard, 12, members, rng=rng)
    assert (len(digits), digits.kind, digits.is_valid) == (12, "far", True)
    with pytest.raises(InputError, match="own data set"):
        nonmembers.find_far(("digits",), "digits", (1, 8, 8), standard, 5, members[:, :1], rng=rng)
    with pytest.raises(InputError, match="did you mean 'digits'"):
        nonmembers.find_far(("digit",), "cifar10", (3, 8, 8), standard, 5, members, rng=rng)
