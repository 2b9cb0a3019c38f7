"""Private and public classes are apart, and every image is on one side."""

import numpy as np
import pytest
import torch

from seepage.data import Pool
from seepage.errors import InputError
from seepage.inversion.priors.base import Prior
from seepage.studies.invert.world import make_world


def drawn(n_classes=6, each=10, side=8, classes=None, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(n_classes), each)
    images = rng.integers(0, 256, (len(labels), 1, side, side), dtype=np.uint8)
    return Pool(images, labels, name="drawn", classes=classes, scale=1 / 255)


class Grey(Prior):
    name = "grey"
    image_shape = (1, 8, 8)

    def draw(self, rngs):
        return torch.tensor([[rng.random()] for rng in rngs])

    def images(self, codes, labels):
        return codes[:, :, None, None].expand(-1, 1, 8, 8).float()


def world(pool=None, **options):
    return make_world(pool or drawn(), **{"rng": np.random.default_rng(1), **options})


def test_half_of_the_classes_are_private_and_the_others_the_attackers():
    pool = drawn()
    made = world(pool, for_judge=0)
    assert made.n_classes == made.n_judged == 3
    assert made.for_judge is None
    assert made.attacked == (0, 1, 2)
    private = {image.tobytes() for image in made.pool.inputs[np.concatenate([made.train, made.held_out])]}
    public = {image.tobytes() for image in made.images}
    assert len(private) == len(public) == 30
    assert not private & public
    assert private | public == {image.tobytes() for image in pool.inputs}
    assert set(made.pool.labels[made.train]) == {0, 1, 2}
    assert set(made.pool.labels[made.public]) == {3, 4, 5}


def test_each_private_class_is_split_by_the_share_held_out():
    made = world(held_out=0.3)
    assert not set(made.train) & set(made.held_out)
    for label in range(3):
        assert (made.pool.labels[made.train] == label).sum() == 7
        assert (made.pool.labels[made.held_out] == label).sum() == 3


@pytest.mark.parametrize("private", [["b", "d"], [1, 3]])
def test_private_classes_are_taken_by_name_or_label(private):
    pool = drawn(classes=tuple("abcdef"))
    made = world(pool, private=private)
    assert made.pool.classes[:2] == ("b", "d")
    assert made.pool.classes[2] == "public a"
    of_b = {image.tobytes() for image in pool.inputs[pool.labels == 1]}
    labels = np.asarray(made.pool.labels)
    assert {image.tobytes() for image in made.pool.inputs[labels == 0]} == of_b


def test_other_peoples_images_are_public_in_the_shape_of_the_private_ones():
    made = world(public=drawn(2, 5, side=16, seed=3), samples=7, given=Grey(), for_judge=0)
    assert made.n_classes == 6
    assert len(made.public) == 10
    assert made.images.shape == (17, 1, 8, 8)
    assert "7 samples of grey" in made.about
    unlabelled = Pool(drawn(2, 5, seed=3).inputs, name="more", scale=1 / 255)
    assert not len(world(public=unlabelled).public)


def test_the_judge_has_a_share_of_each_public_class_that_no_attack_has():
    pool = drawn()
    made = world(pool, for_judge=0.3)
    theirs = {image.tobytes() for image in made.for_judge.inputs}
    assert len(theirs) == 3 * 3
    assert not theirs & {image.tobytes() for image in made.images}
    assert theirs | {image.tobytes() for image in made.images} <= {image.tobytes() for image in pool.inputs}
    assert np.bincount(made.for_judge.labels).tolist() == [0, 0, 0, 3, 3, 3]
    assert made.n_judged == 6
    images, labels = made.judged()
    records, rows = made.judge_records()
    assert len(images) == len(labels) == len(rows) == 3 * 7 + 9
    assert records.n_classes == 6
    np.testing.assert_array_equal(records.batch(torch.from_numpy(rows)).numpy(), images.numpy())
    np.testing.assert_array_equal(records.labels.numpy(), labels)
    assert "70% of their images (the judge has the others)" in made.about
    # What is private and held out does not depend on the share.
    np.testing.assert_array_equal(made.held_out, world(pool, for_judge=0.6).held_out)


def test_of_one_public_image_the_judge_has_none_and_copies_stay_with_the_attacker():
    inputs = drawn(2, 4, seed=3).inputs
    lone = Pool(np.concatenate([inputs, inputs[:1]]), [0] * 4 + [1] * 4 + [2], name="lone", scale=1 / 255)
    made = world(public=lone)
    assert not {image.tobytes() for image in made.for_judge.inputs} & {image.tobytes() for image in made.images}
    assert set(made.for_judge.labels) <= {6, 7}
    unlabelled = Pool(inputs, name="more", scale=1 / 255)
    assert world(public=unlabelled).for_judge is None


def test_public_classes_are_others_than_the_private_ones():
    with pytest.raises(InputError, match="both have b, f: leave them out"):
        world(drawn(classes=tuple("abcdef")), public=drawn(3, seed=4, classes=("f", "x", "b")))
    named = drawn(classes=tuple("abcdef"))
    assert world(named, public=drawn(3, seed=4)).n_judged == 9  # nobody knows what 0, 1 and 2 are there
    only = world(named, private=["a", "c"], public=drawn(3, seed=4, classes=("f", "x", "b")))
    assert only.n_classes == 2


@pytest.mark.parametrize("share", [-0.1, 1.0, 2])
def test_the_judges_share_is_one(share):
    with pytest.raises(InputError, match="for_judge is a share"):
        world(for_judge=share)


def test_records_know_the_private_classes_alone():
    made = world()
    records = made.records()
    assert records.n_classes == 3
    assert records.input_shape == (1, 8, 8)
    assert records.batch(torch.tensor([0])).max() <= 1
    assert set(made.strangers.population) == set(made.public)


def test_a_null_target_sees_public_images_under_private_numbers():
    made = world(drawn(5), private=3, attacked=2)
    records, rows = made.null()
    assert set(rows) <= set(made.public)
    # Two public classes: the attacked ones get them.
    assert set(records.labels[rows].tolist()) == set(made.attacked)


def test_shuffled_labels_are_the_same_labels_elsewhere():
    made = world()
    before, after = made.records().labels[made.train], made.shuffled(np.random.default_rng(0)).labels[made.train]
    assert sorted(before.tolist()) == sorted(after.tolist())
    assert (before != after).any()


def test_members_of_a_model_that_is_there_are_what_is_declared():
    pool = drawn(2)
    members = np.arange(20) % 2 == 0
    made = world(pool, public=drawn(3, seed=5), members=members)
    assert len(made.train) == len(made.held_out) == 10
    assert (made.pool.inputs[made.train] == pool.inputs[members]).all()


def test_a_models_outputs_are_the_labels_of_the_data():
    pool = drawn(5)
    members = np.arange(50) % 2 == 0
    made = world(pool, members=members, n_outputs=3, for_judge=0)
    assert made.n_classes == 3
    for label in range(3):
        of_label = {image.tobytes() for image in pool.inputs[pool.labels == label]}
        assert {image.tobytes() for image in made.pool.inputs[np.asarray(made.pool.labels) == label]} == of_label
    assert len(made.images) == 20
    same = world(pool, members=members, n_outputs=3, private=["0", "1", "2"], attacked=2)
    assert same.n_classes == 3
    assert len(same.attacked) == 2
    other = {"members": members, "public": drawn(3, seed=5)}
    for options in ({"n_outputs": 6}, {"n_outputs": 3, "private": [0, 1, 3]}, {"n_outputs": 5, "private": 3}):
        with pytest.raises(InputError, match=rf"has {options['n_outputs']} outputs: expected private images of the"):
            world(pool, **other, **options)
    even = Pool(pool.inputs, 2 * np.asarray(pool.labels), scale=1 / 255)
    with pytest.raises(InputError, match="labels 0 to 4, got 0, 2, 4; give"):
        world(even, **other, n_outputs=5)


@pytest.mark.usefixtures("wrong_shapes")
def test_members_are_a_mask_with_images_of_every_class_on_both_sides():
    pool, public = drawn(2), drawn(3, seed=5)
    for members, message in (
        (np.ones(20, dtype=np.int64), "true or false for each of 20 records, got int64"),
        (np.ones(19, dtype=bool), "got bool of shape"),
        (np.arange(20) < 15, "no image of class 0 that the model was not trained on"),
        (np.arange(20) > 15, "no image of class 0 that the model was trained on"),
    ):
        with pytest.raises(InputError, match=message):
            world(pool, public=public, members=members)
    twice = Pool(np.concatenate([pool.inputs, pool.inputs[:3]]), [*pool.labels, *pool.labels[:3]], scale=1 / 255)
    with pytest.raises(InputError, match="3 images that the model was not trained on are also among"):
        world(twice, public=public, members=(np.arange(23) % 10 < 5) & (np.arange(23) < 20))


def test_the_attacker_is_not_given_private_images():
    pool = drawn()
    mixed = Pool(np.concatenate([drawn(seed=8).inputs, pool.inputs[:4]]), name="mixed", scale=1 / 255)
    with pytest.raises(InputError, match="4 public images are private ones too"):
        world(pool, public=mixed)
    coloured = Pool(np.repeat(pool.inputs[:2], 3, axis=1), name="coloured", scale=1 / 255)
    with pytest.raises(InputError, match="2 public images are private ones too"):
        world(pool, public=coloured)


def test_a_name_goes_before_a_label_that_reads_the_same():
    made = world(drawn(classes=tuple("123456")), private=["1", "2"])
    assert made.pool.classes[:2] == ("1", "2")
    assert world(drawn(classes=tuple("abcdef")), private=["1", "b", 2]).pool.classes[:2] == ("b", "c")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"private": 1}, "private: expected from 2 to 6"),
        ({"private": float("nan")}, "private: expected from 2 to 6"),
        ({"private": float("inf")}, "private: expected from 2 to 6"),
        ({"private": True}, "a list of classes, got True"),
        ({"private": "ab"}, "a list of classes, got 'ab'"),
        ({"private": 6}, "every class is private"),
        ({"private": ["7"]}, "class '7'"),
        ({"private": 3, "attacked": 4}, "attacked: expected from 2 to 3"),
        ({"held_out": 0.01}, "a share of 0.01 cannot be held out"),
        ({"held_out": 1.0}, "between 0 and 1"),
        ({"public": drawn(seed=9), "samples": 3}, "a generator that is given"),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        world(**options)


def test_a_pool_without_labels_is_refused():
    with pytest.raises(InputError, match="has no labels"):
        world(Pool(drawn().inputs, scale=1 / 255))
