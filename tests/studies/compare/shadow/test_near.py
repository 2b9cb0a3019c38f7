"""Near non-members: worked out by hand, never made of members, and what a tired user hands in."""

from types import SimpleNamespace

import numpy as np
import pytest

from seepage.data import Pool
from seepage.errors import InputError
from seepage.studies.compare.shadow.near import (
    blended,
    check_near,
    copies,
    distinct,
    interpolated,
    pair_rows,
    read_images,
    warped,
)
from seepage.studies.compare.shadow.nonmembers import Standard
from seepage.studies.compare.shadow.world import ShadowStudy, make_all, make_world, split

SHAPE = (1, 8, 8)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (60, *SHAPE), dtype=np.uint8)


@pytest.fixture
def labels():
    return np.arange(60) % 3


def worlds(pool, near, folder):
    streams = {"split_rng": np.random.default_rng(5), "set_rng": np.random.default_rng(6)}
    return make_world(pool, ShadowStudy(far=(), evaluated=40, near=near), folder, False, **streams)


def test_half_and_half_by_hand():
    two = np.array([[0, 255, 100, 101], [10, 255, 101, 102]], dtype=np.uint8).reshape(2, 1, 2, 2)
    # 5, 255, 100.5 and 101.5: halves go to the even neighbour
    assert interpolated(two, np.array([[0, 1]])).ravel().tolist() == [5, 255, 100, 102]
    np.testing.assert_array_equal(interpolated(two, np.array([[1, 1]]))[0], two[1])


def test_a_blend_is_half_and_half_with_the_parents_contrast(images):
    pairs = np.array([[0, 1], [2, 2]])
    made = blended(images, pairs).astype(float)
    half = (images[0].astype(float) + images[1]) / 2
    wanted = (images[0].std() + images[1].std()) / 2
    by_hand = [half.mean() + (v - half.mean()) * wanted / half.std() for v in half.ravel()]
    np.testing.assert_allclose(made[0].ravel(), np.clip(by_hand, 0, 255), atol=0.5)
    np.testing.assert_array_equal(made[1], images[2])  # a record with itself is itself
    flat = np.stack([np.full(SHAPE, 40, dtype=np.uint8), np.full(SHAPE, 60, dtype=np.uint8)])
    assert (blended(flat, pairs[:1]) == 50).all()


def test_pairs_are_of_one_class_and_no_record_is_in_two(labels):
    pairs = pair_rows(labels, rng=0)
    assert pairs.shape == (30, 2)
    assert (labels[pairs[:, 0]] == labels[pairs[:, 1]]).all()
    assert sorted(pairs.ravel()) == list(range(60))
    odd = pair_rows(np.repeat([0, 1], [21, 5]), rng=0)  # one of each class is left over
    assert len(odd) == 12
    with pytest.raises(InputError, match="9 pairs of one class, expected at least 10"):
        pair_rows(np.repeat([0, 1], [11, 9]), rng=0)
    with pytest.raises(InputError, match="0 pairs"):
        pair_rows(np.arange(30), rng=0)


def test_a_warp_moves_little_and_keeps_what_is_flat():
    flat = np.full((3, 3, 32, 32), 77, dtype=np.uint8)
    np.testing.assert_array_equal(warped(flat, rng=0), flat)
    dot = np.zeros((40, 1, 32, 32), dtype=np.uint8)
    dot[:, :, 15:17, 15:17] = 255
    where = warped(dot, rng=0)[:, 0].astype(float)
    rows, columns = np.mgrid[:32, :32]
    centres = [[(where[at] * axis).sum() / where[at].sum() - 15.5 for axis in (rows, columns)] for at in range(40)]
    assert np.abs(centres).max() < 2.3  # 1/16 of 32 pixels, divided by the zoom
    assert np.std(centres) > 0.5


def test_nothing_of_a_member_is_in_a_near_set(tmp_path):
    """Held-out records are dark and all others bright, but for twenty that are copies of members: those are not used,
    and no made pixel lies above the dark ones."""
    rng = np.random.default_rng(0)
    inputs = rng.integers(200, 256, (400, *SHAPE), dtype=np.uint8)
    held = split(400, rng=np.random.default_rng(5))
    held, members = held["generator"], held["target train"]
    inputs[held] = rng.integers(0, 60, (len(held), *SHAPE), dtype=np.uint8)
    inputs[held[:20]] = inputs[members[:20]]
    labels = np.arange(400) % 2
    world = worlds(Pool(inputs, labels, n_classes=2, name="own"), None, tmp_path)
    near = {one.name: one for one in world.sets if one.kind == "near"}
    n_pairs = sum(np.bincount(labels[held[20:]]) // 2)
    assert {name: len(one) for name, one in near.items()} == {"blended": n_pairs, "warped": len(held) - 20}
    darkest = world.standard(np.full((1, *SHAPE), 128, dtype=np.uint8)).max()
    assert all(one.inputs.max() < darkest for one in near.values())
    assert world.n_copies == 0


def test_own_records_that_are_copies_of_members_are_counted(tmp_path):
    inputs = np.random.default_rng(0).integers(0, 256, (400, *SHAPE), dtype=np.uint8)
    rows = split(400, rng=np.random.default_rng(5))
    inputs[rows["target test"][:7]] = inputs[rows["shadow train"][:7]]
    pool = Pool(inputs, np.arange(400) % 2, n_classes=2, name="own")
    assert worlds(pool, (), tmp_path).n_copies == 7


def test_members_among_given_images_are_left_out_or_refused(images, labels):
    members = images[:5]
    kept, told = distinct(np.concatenate([images, images[-2:]]), members, "the near set 'given'")
    assert kept.tolist() == list(range(5, 60))
    assert told == "5 exact copies of training records left out; 2 repeated images left out"
    assert copies(images, members).tolist() == [True] * 5 + [False] * 55
    assert distinct(images, members[:0], "x")[1] == ""
    with pytest.raises(InputError, match=r"40 of 60 images are exact copies .* members, not non-members"):
        distinct(images, images[:40], "the near set 'given'")
    with pytest.raises(InputError, match="1 different images that are no members, expected at least 10"):
        distinct(np.zeros((50, *SHAPE), dtype=np.uint8), members, "the near set 'given'")


def test_a_given_file_with_members_says_so(images, labels, tmp_path):
    np.savez(tmp_path / "near.npz", images=images, labels=labels)
    held = Pool(images, labels, n_classes=3, name="held out")
    standard = Standard.of(images)
    how = {"gan": None, "rng": np.random.default_rng(0)}
    (given,), _ = make_all([tmp_path / "near.npz"], held, images[:6], standard, 40, **how)
    assert len(given) == 34
    assert given.labels.tolist() == labels[6:40].tolist()
    assert given.labels_are == "given"
    assert "near.npz; 6 exact copies of training records left out" in given.about


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"pictures": np.zeros(3)}, "expected an array 'images', got pictures"),
        ({"images": np.zeros((0, 1, 8, 8), dtype=np.uint8)}, "got uint8 of shape"),
        ({"images": np.zeros((20, 8, 8), dtype=np.uint8)}, "1 or 3 channels"),
        ({"images": np.full((20, 8, 8, 3), 9, dtype=np.uint8)}, r"images.transpose\(0, 3, 1, 2\)"),
        ({"images": np.full((20, 1, 8, 8), 200.0)}, "real numbers from 0 to 1, .* from 200 to 200: rescale"),
        ({"images": np.full((20, 1, 8, 8), -0.5)}, "from -0.5 to -0.5: rescale"),
        ({"images": np.full((20, 1, 8, 8), np.nan)}, "rescale"),
        ({"images": np.full((20, 1, 8, 8), 200)}, "got int64"),
        ({"images": np.full((20, 1, 8, 8), "a")}, "rescale"),
        ({"images": np.ones((20, 1, 8, 8), dtype=np.uint8)}, "multiply values from 0 to 1 by 255"),
        ({"images": np.full((20, 1, 8, 8), 0.7 / 255)}, "they are black"),
        ({"images": np.full((20, 1, 8, 8), 9, dtype=np.uint8), "labels": np.zeros(3)}, "one label an image, 20"),
    ],
)
def test_wrong_files_are_refused(arrays, words, tmp_path):
    np.savez(tmp_path / "near.npz", **arrays)
    with pytest.raises(InputError, match=words):
        read_images(tmp_path / "near.npz")


def test_values_from_0_to_1_are_read_as_bytes_are(images, tmp_path):
    np.savez(tmp_path / "bytes.npz", images=images)
    np.savez(tmp_path / "shares.npz", images=(images / 255).astype(np.float32))
    a, b = (read_images(tmp_path / f"{name}.npz")[0] for name in ("bytes", "shares"))
    np.testing.assert_array_equal(a, b)


def test_what_may_be_asked_for():
    sampler = SimpleNamespace(sample=lambda labels, rng: labels)
    assert check_near(None) == check_near([]) == ()
    assert check_near(["warped", "interpolated", "warped"]) == ("warped", "interpolated")
    assert check_near(sampler) == (sampler,)
    with pytest.raises(InputError, match="did you mean 'warped'"):
        check_near("wraped")
    with pytest.raises(InputError, match=r"sample\(labels, rng\), got 3"):
        check_near([3])
    with pytest.raises(InputError, match="at most one"):
        check_near(["a.npz", "b.npz"])
