"""What a model sees is decided by its own seed alone."""

from itertools import islice

import numpy as np
import pytest
import torch

from seepage import MLP, Pool, Recipe, train
from seepage.errors import InputError
from seepage.models.batches import Stream, augment
from seepage.models.recipe import Augmentation
from seepage.models.records import Records
from tests.flat import audit
from tests.reference import training as naive

RNG = np.random.default_rng(3)
MEMBERS = np.array([3, 5, 8, 13, 21, 34, 55])
AUGMENTATIONS = {"none": None, "both": Augmentation(shift=2), "shifts": Augmentation(flip=False, shift=1)}


@pytest.mark.parametrize("batch_size", [1, 3, 7, 20])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_batches_are_cut_from_permutations_laid_end_to_end(name, batch_size):
    augmentation = AUGMENTATIONS[name]
    stream = Stream(MEMBERS, Recipe(MLP, batch_size=batch_size, augmentation=augmentation), seed=17)
    found = []
    for n_steps in (1, 4, 2):  # however many are taken at once
        indices, moves = stream.take(n_steps)
        assert indices.shape == (n_steps, batch_size)
        if augmentation is None:
            found += [(index, 0, 0, 0) for index in indices.ravel()]
        else:
            assert moves.shape == (n_steps, batch_size, 3)
            shifts = moves[..., 1:] - augmentation.shift
            columns = indices, moves[..., 0], shifts[..., 0], shifts[..., 1]
            found += list(zip(*(column.ravel() for column in columns), strict=True))
    assert found == list(islice(naive.seen_records(MEMBERS, 17, augmentation), 7 * batch_size))


@pytest.mark.parametrize("batch_size", [71, 10**3, 10**6, 10**18])
def test_a_batch_of_far_more_than_all_members_is_refused(batch_size):
    recipe = Recipe(MLP, batch_size=batch_size)
    with pytest.raises(InputError, match=rf"batch_size={batch_size} .* the 7 records .* at most 7"):
        Stream(MEMBERS, recipe, seed=0)
    pool = Pool(RNG.normal(size=(7, 2)), np.arange(7) % 2)
    with pytest.raises(InputError, match=r"^Recipe: batch_size"):
        train(recipe, pool, np.ones(7, bool), rng=0)
    never = lambda x: pytest.fail("asked before the recipe was looked at")  # noqa: E731
    sides = {"members": pool.subset([0, 1, 2]), "nonmembers": pool.subset([3, 4, 5])}
    with pytest.raises(InputError, match=r"^Recipe: batch_size"):
        audit(never, **sides, model_outputs="logits", recipe=recipe, references=2)


def test_the_default_batch_and_one_of_a_few_passes_are_for_small_sets_too():
    assert Stream(MEMBERS[:2], Recipe(MLP), seed=0).take(1)[0].shape == (1, 64)
    assert Stream(MEMBERS, Recipe(MLP, batch_size=70), seed=0).n_steps == 5


def test_each_member_is_seen_once_a_pass_and_nobody_else():
    stream = Stream(MEMBERS, Recipe(MLP, batch_size=3), seed=0)
    seen = stream.take(14)[0].ravel().reshape(6, 7)
    assert (np.sort(seen, axis=1) == MEMBERS).all()
    assert len({tuple(order) for order in seen}) > 1


def test_seeds_decide_the_order():
    recipe = Recipe(MLP, batch_size=7)
    orders = [Stream(MEMBERS, recipe, seed).take(1)[0].tolist() for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_moves_are_spread_over_all_that_is_allowed():
    moves = Stream(np.arange(500), Recipe(MLP, augmentation=Augmentation(shift=2)), 0).take(20)[1].reshape(-1, 3)
    assert {tuple(move) for move in moves} == {(f, r, c) for f in (0, 1) for r in range(5) for c in range(5)}
    still = Stream(np.arange(500), Recipe(MLP, augmentation=Augmentation(False, 0)), 0).take(20)[1]
    assert not still.any()


@pytest.mark.parametrize(
    ("epochs", "n_members", "batch_size", "n_steps"),
    [(1, 10, 5, 2), (1, 11, 5, 3), (0.5, 10, 5, 1), (0.01, 10, 5, 1), (2.5, 10, 10, 3), (3, 2, 64, 1), (1, 1, 1, 1)],
)
def test_steps_are_epochs_times_members_over_batch_rounded_up(epochs, n_members, batch_size, n_steps):
    assert Stream(np.arange(n_members), Recipe(MLP, epochs=epochs, batch_size=batch_size), 0).n_steps == n_steps


def test_an_epoch_is_the_pass_in_which_a_step_begins():
    stream = Stream(np.arange(10), Recipe(MLP, batch_size=4), 0)
    assert [stream.epoch(step) for step in range(6)] == [0, 0, 0, 1, 1, 2]


@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 4, 6), (2, 1, 3)])
@pytest.mark.parametrize("shift", [0, 1, 2, 7])
def test_images_are_moved_as_pixel_by_pixel(shape, shift):
    images = torch.from_numpy(RNG.normal(size=(20, *shape)).astype(np.float32))
    moves = torch.from_numpy(np.column_stack([RNG.integers(0, 2, 20), RNG.integers(0, 2 * shift + 1, (20, 2))]))
    expected = [
        naive.moved(image, int(flip), int(row) - shift, int(column) - shift)
        for image, (flip, row, column) in zip(images, moves, strict=True)
    ]
    assert torch.equal(augment(images, moves, Augmentation(shift=shift)), torch.stack(expected))


def test_the_move_in_the_middle_leaves_an_image_as_it_is():
    images = torch.from_numpy(RNG.normal(size=(2, 3, 4, 6)).astype(np.float32))
    still = torch.tensor([[0, 4, 4]] * 2)
    assert torch.equal(augment(images, still, Augmentation()), images)
    mirrored = torch.tensor([[1, 4, 4]] * 2)
    assert torch.equal(augment(images, mirrored, Augmentation()), images.flip(-1))


@pytest.mark.parametrize(("dtype", "scale"), [(np.uint8, 1 / 255), (np.uint8, 1.0), (np.float32, 1.0)])
def test_records_are_what_the_pool_gives_a_model(dtype, scale):
    pool = Pool(RNG.integers(0, 256, (9, 2, 3)).astype(dtype), RNG.integers(0, 4, 9), scale=scale, n_classes=4)
    records = Records.of(pool)
    assert records.inputs.dtype == (torch.uint8 if dtype == np.uint8 else torch.float32)
    assert (records.input_shape, records.n_classes) == ((2, 3), 4)
    at = torch.tensor([[0, 8], [3, 3]])
    batch = records.batch(at)
    assert batch.dtype == torch.float32
    np.testing.assert_allclose(batch.numpy(), pool.batch(at.numpy()), rtol=1e-6)


def test_a_read_only_pool_is_trained_on_without_a_warning(tmp_path):
    np.save(tmp_path / "x.npy", RNG.normal(size=(5, 2)).astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    records = Records.of(Pool(mapped, [0, 1, 0, 1, 1]))
    assert torch.equal(records.inputs, torch.from_numpy(np.array(mapped)))


def test_a_pool_without_labels_cannot_be_trained_on():
    with pytest.raises(InputError, match="training needs labels, and the pool 'nameless' has none"):
        Records.of(Pool(np.zeros((3, 2), np.float32), name="nameless"))
