"""A pool holds what it was given, refuses what cannot be right, and knows its identical records."""

import sys

import numpy as np
import pytest

from seepage.data import Pool, overlap, read_dataset, read_file
from seepage.errors import InputError, StorageError


def images(n=10, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 1, 4, 4), dtype=np.uint8)


def test_a_batch_is_scale_times_the_stored_bytes_in_float32():
    stored = images()
    batch = Pool(stored, scale=1 / 255).batch([3, 1])
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch, stored[[3, 1]] / 255, rtol=1e-6)


def test_a_batch_is_a_copy_so_that_training_cannot_change_the_pool():
    pool = Pool(np.zeros((3, 2), dtype=np.float32))
    pool.batch()[:] = 7
    assert (pool.inputs == 0).all()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.float64, np.float64),
        (np.int64, np.float64),
        (np.float16, np.float32),
        (np.bool_, np.uint8),
        (np.uint8, np.uint8),
    ],
)
def test_inputs_keep_the_values_that_were_given(given, kept):
    values = np.array([[0, 1], [1, 1]], dtype=given)
    pool = Pool(values)
    assert pool.inputs.dtype == kept
    np.testing.assert_array_equal(pool.batch(), values.astype(np.float32))


@pytest.mark.parametrize(
    ("inputs", "labels", "options", "words"),
    [
        ([1.0, 2.0], None, {}, "shape"),
        (np.zeros((0, 3)), None, {}, "at least one"),
        ([[1.0], [2.0, 3.0]], None, {}, "one array"),
        ([["a"], ["b"]], None, {}, "read_frame"),
        ([[1.0], [np.nan]], None, {}, "record 1"),
        ([[1.0], [np.inf]], None, {}, "finite"),
        ([[2**53 + 1]], None, {}, "leave ids out"),
        ([[1.0], [2.0]], [0], {}, "labels of shape"),
        ([[1.0], [2.0]], [0, -1], {"n_classes": 3}, "different ones"),
        ([[1.0], [2.0]], [0, -1], {"classes": ("a", "b")}, "places in classes"),
        ([[1.0], [2.0]], [0.5, 1], {}, "target of a regression"),
        ([[1.0], [2.0]], ["a", "c"], {"classes": ("a", "b")}, "'c' is not among the classes"),
        ([[1.0], [2.0]], [0, 2], {"n_classes": 2}, "below n_classes"),
        ([[1.0], [2.0]], [0, 1], {"classes": ("a",)}, "places in classes"),
        ([[1.0], [2.0]], [0, 1], {"classes": ("a", "b"), "n_classes": 3}, "names of classes"),
        ([[1.0], [2.0]], None, {"n_classes": 2}, "expected labels"),
        ([[1.0], [2.0]], None, {"ids": ["a", "a"]}, "distinct ids, got 2 records with id 'a'"),
        ([[1.0], [2.0]], None, {"groups": ["a"]}, "groups of shape"),
        ([[1.0], [2.0]], None, {"scale": 0.5}, "scale"),
    ],
)
def test_what_cannot_be_right_is_an_error_that_says_so(inputs, labels, options, words):
    with pytest.raises(InputError, match=words):
        Pool(inputs, labels, **options)


def test_a_subset_keeps_each_record_with_its_own_label_id_and_group():
    pool = Pool(images(), np.arange(10) % 3, ids=list("abcdefghij"), groups=list("xxxxxyyyyy"), scale=1 / 255)
    part = pool.subset([7, 2])
    assert (part.ids.tolist(), part.labels.tolist(), part.groups.tolist()) == (["h", "c"], [1, 2], ["y", "x"])
    np.testing.assert_array_equal(part.inputs, pool.inputs[[7, 2]])
    assert (part.n_classes, part.scale) == (3, 1 / 255)
    mask = np.zeros(10, dtype=bool)
    mask[[2, 7]] = True
    assert pool.subset(mask).ids.tolist() == ["c", "h"]


def test_a_subset_refuses_masks_and_indices_of_another_pool():
    pool = Pool(images())
    with pytest.raises(InputError, match="mask of shape"):
        pool.subset(np.ones(9, dtype=bool))
    with pytest.raises(InputError, match="below 10"):
        pool.subset([10])
    with pytest.raises(InputError, match="integers"):
        pool.subset([0.5])


def test_concat_lays_pools_end_to_end_and_keeps_ids_apart():
    a, b = Pool(images(3), [0, 1, 0]), Pool(images(2, seed=1), [1, 1])
    both = a.concat(b)
    assert len(both) == 5
    assert both.ids.tolist() == ["0/0", "0/1", "0/2", "1/0", "1/1"]
    np.testing.assert_array_equal(both.inputs[3:], b.inputs)
    named = Pool(images(2), [0, 1], ids=["a", "b"]).concat(Pool(images(1), [1], ids=["c"], n_classes=2))
    assert named.ids.tolist() == ["a", "b", "c"]


def test_concat_refuses_pools_that_differ_in_kind():
    with pytest.raises(InputError, match="same scale"):
        Pool(images()).concat(Pool(images(), scale=1 / 255))
    with pytest.raises(InputError, match="same shape"):
        Pool(images()).concat(Pool(images().reshape(10, 16)))
    with pytest.raises(InputError, match="n_classes"):
        Pool(images(2), [0, 1]).concat(Pool(images(2)))


def test_the_fingerprint_follows_what_a_model_can_learn_from_and_nothing_else():
    pool = Pool(images(), np.arange(10) % 3)
    assert Pool(images(), np.arange(10) % 3, ids=list("abcdefghij"), name="other").fingerprint == pool.fingerprint
    changed = images()
    changed[5, 0, 2, 2] ^= 1
    others = [
        Pool(changed, np.arange(10) % 3),
        Pool(images(), (np.arange(10) + 1) % 3),
        Pool(images(), np.arange(10) % 3, n_classes=4),
        Pool(images(), np.arange(10) % 3, scale=1 / 255),
        Pool(images().reshape(10, 16), np.arange(10) % 3),
        Pool(images()),
        Pool(images().astype(np.float32), np.arange(10) % 3),
    ]
    assert len({pool.fingerprint, *(other.fingerprint for other in others)}) == 8


def test_the_fingerprint_is_the_same_in_memory_on_disk_and_after_a_transposition(tmp_path):
    values = np.random.default_rng(0).random((500, 30)).astype(np.float32)
    np.save(tmp_path / "x.npy", values)
    mapped = read_file(tmp_path / "x.npy")
    assert isinstance(mapped.inputs, np.memmap)
    assert mapped.fingerprint == Pool(values).fingerprint == Pool(np.asfortranarray(values)).fingerprint


def test_blocks_do_not_change_fingerprint_or_duplicates(monkeypatch):
    values = np.tile(images(7), (3, 1, 1, 1))
    pool = Pool(values)
    fingerprint, groups = pool.fingerprint, [group.tolist() for group in pool.duplicates()]
    monkeypatch.setattr("seepage.data.inputs.BLOCK_BYTES", 40)  # two records at a time
    assert Pool(values).fingerprint == fingerprint
    assert [group.tolist() for group in Pool(values).duplicates()] == groups == [[i, i + 7, i + 14] for i in range(7)]


def test_duplicates_are_identical_inputs_whatever_the_label_and_the_sign_of_zero():
    pool = Pool([[0.0, 1.0], [1.0, 0.0], [-0.0, 1.0], [2.0, 2.0]], [0, 1, 1, 0])
    assert [group.tolist() for group in pool.duplicates()] == [[0, 2]]
    assert Pool(images(50)).duplicates() == []


def test_overlap_finds_every_record_of_the_first_that_the_second_holds():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (60, 6)), rng.integers(0, 2, (40, 6))
    pairs = overlap(Pool(a), Pool(b))
    naive = {i: [j for j in range(40) if (a[i] == b[j]).all()] for i in range(60)}
    assert pairs.tolist() == [[i, js[0]] for i, js in naive.items() if js]


def test_overlap_of_members_and_nonmembers_given_as_plain_arrays():
    assert overlap(images(5), images(5, seed=1)).shape == (0, 2)
    mixed = np.concatenate([images(5, seed=1), images(5)[[4]]])
    assert overlap(images(5), mixed).tolist() == [[4, 5]]
    with pytest.raises(InputError, match="one shape"):
        overlap(images(5), images(5).reshape(5, 16))


def test_overlap_compares_what_models_get_where_pools_are_stored_differently():
    stored = Pool(images(), scale=1 / 255)
    assert overlap(stored, Pool(stored.batch())).tolist() == [[i, i] for i in range(10)]


class Dataset:
    """What a torch dataset looks like from outside."""

    def __init__(self, inputs, labels):
        self.items = list(zip(inputs, labels, strict=True))

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_dataset_becomes_a_pool_item_by_item(tmp_path, on_disk, monkeypatch):
    monkeypatch.setattr("seepage.data.items.BLOCK_BYTES", 40)
    file = tmp_path / "inputs.npy" if on_disk else None
    pool = read_dataset(Dataset(images(), np.arange(10) % 3), memmap=file, scale=1 / 255)
    np.testing.assert_array_equal(pool.inputs, images())
    assert pool.labels.tolist() == (np.arange(10) % 3).tolist()
    assert isinstance(pool.inputs, np.memmap) == on_disk
    assert [path.name for path in tmp_path.iterdir()] == (["inputs.npy"] if on_disk else [])


def test_a_torch_dataset_becomes_a_pool():
    torch = pytest.importorskip("torch")
    dataset = torch.utils.data.TensorDataset(torch.arange(12.0).reshape(4, 3), torch.tensor([0, 1, 1, 0]))
    pool = read_dataset(dataset)
    assert (pool.inputs.dtype, pool.inputs.shape, pool.labels.tolist()) == (np.float32, (4, 3), [0, 1, 1, 0])


def test_a_dataset_without_length_or_with_uneven_items_is_refused():
    with pytest.raises(InputError, match="len"):
        read_dataset(iter([1]))
    with pytest.raises(InputError, match="at least one item"):
        read_dataset([])
    with pytest.raises(InputError, match=r"dataset\[1\]"):
        read_dataset(Dataset([np.zeros(3), np.zeros(4)], [0, 1]))
    with pytest.raises(InputError, match="target of a regression"):
        read_dataset(Dataset([np.zeros(3)], [0.5]))


def test_a_file_that_cannot_be_written_is_one_clear_error(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        read_dataset(Dataset(images(), np.zeros(10)), memmap=tmp_path / "missing" / "x.npy")


def test_the_data_package_imports_neither_torch_nor_scikit_learn_nor_pooch():
    import subprocess

    code = "import sys, seepage.data; print({'torch', 'sklearn', 'pooch', 'rich', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
