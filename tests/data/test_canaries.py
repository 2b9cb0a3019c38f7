"""Canaries are what their kind says, and nothing else in the pool changes."""

import numpy as np
import pytest

from seepage.data import Pool
from seepage.data.canaries import CANARIES, STRONGEST, plant, plant_in_turns
from seepage.errors import InputError


def images(n=200, dtype=np.uint8, channels=1, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, (n, channels, 6, 6)).astype(dtype)
    return Pool(values, rng.integers(0, 10, n), n_classes=10, scale=1 / 255 if dtype == np.uint8 else 1.0, name="noise")


def rows(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return Pool(rng.normal(size=(n, 300)), rng.integers(0, 4, n), n_classes=4)


POOLS = {"bytes": images, "floats": lambda: images(dtype=np.float32), "colour": lambda: images(channels=3),
         "rows": rows}  # fmt: skip


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("kind", CANARIES)
def test_n_records_are_planted_and_the_rest_stays_as_it_was(kind, pool):
    pool = POOLS[pool]()
    before = pool.fingerprint
    planted = plant(pool, kind, n=60, rng=np.random.default_rng(1))
    assert planted.canaries.sum() == 60
    assert not (planted.canaries & planted.companions).any()
    np.testing.assert_array_equal(planted.pool.inputs[~planted.canaries], pool.inputs[~planted.canaries])
    np.testing.assert_array_equal(planted.pool.labels[~planted.canaries], pool.labels[~planted.canaries])
    assert (planted.pool.inputs.dtype, planted.pool.scale) == (pool.inputs.dtype, pool.scale)
    assert planted.pool.duplicates() == []  # two alike would be one record, IN and OUT at once
    assert pool.fingerprint == Pool(pool.inputs, pool.labels, n_classes=pool.n_classes, scale=pool.scale).fingerprint
    assert pool.fingerprint == before
    assert planted.pool.name == f"{pool.name} with 60 {kind} canaries"
    marked = np.array([name.endswith(f"({kind})") for name in planted.pool.ids])
    np.testing.assert_array_equal(marked, planted.canaries & (kind != "clean"))


@pytest.mark.parametrize("kind", CANARIES)
def test_a_seed_gives_the_same_canaries(kind):
    first, same, other = (plant(images(), kind, n=20, rng=np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.pool.fingerprint == same.pool.fingerprint
    assert (first.canaries != other.canaries).any()


def test_clean_canaries_are_ordinary_records():
    planted = plant(images(), "clean", n=30, rng=np.random.default_rng(0))
    assert planted.pool.fingerprint == images().fingerprint


def test_wrong_labels_are_spread_over_all_other_classes():
    pool = Pool(np.arange(4000.0)[:, None], np.full(4000, 2), n_classes=5)
    planted = plant(pool, "mislabelled", n=4000, rng=np.random.default_rng(0))
    counts = np.bincount(planted.pool.labels, minlength=5)
    assert counts[2] == 0
    assert (np.abs(counts[[0, 1, 3, 4]] - 1000) < 4 * np.sqrt(750)).all()


@pytest.mark.parametrize("name", POOLS)
def test_blank_canaries_are_one_colour_each_and_all_different(name):
    pool = POOLS[name]()
    planted = plant(pool, "blank", n=100, rng=np.random.default_rng(0))
    blank = planted.pool.inputs[planted.canaries]
    channels = blank.shape[1] if blank.ndim == 4 else 1
    blank = blank.reshape(100, channels, -1)
    assert (blank == blank[:, :, :1]).all()
    assert len(np.unique(blank[:, :, 0], axis=0)) == 100
    assert blank.min() >= pool.inputs.min()
    assert blank.max() <= pool.inputs.max()
    # labels say nothing of the record that was there
    assert 0.02 < (planted.pool.labels[planted.canaries] == pool.labels[planted.canaries]).mean() < 0.5


def test_there_are_only_as_many_grey_levels_as_there_are():
    plant(images(n=600), "blank", n=256, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match=r"at most 256 blank canaries .* in 1 channel\), got 257"):
        plant(images(n=600), "blank", n=257, rng=np.random.default_rng(0))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_noise_fills_the_range_of_the_records(dtype):
    pool = images(n=300, dtype=dtype)
    planted = plant(pool, "ood", n=200, rng=np.random.default_rng(0))
    noise = planted.pool.inputs[planted.canaries].astype(float)
    assert abs(noise.mean() - 127.5) < 4 * 74 / np.sqrt(noise.size)
    assert (noise.min(), noise.max()) == pytest.approx((0, 255), abs=0.5)
    np.testing.assert_array_equal(planted.pool.labels, pool.labels)


def test_other_records_may_be_the_canaries():
    other = images(n=50, seed=9)
    planted = plant(images(), "ood", n=50, other=other, rng=np.random.default_rng(0))
    ours, theirs = (
        {record.tobytes() for record in values} for values in (planted.pool.inputs[planted.canaries], other.inputs)
    )
    assert ours == theirs


@pytest.mark.parametrize("name", POOLS)
def test_a_near_duplicate_is_next_to_its_companion_under_another_label(name):
    pool = POOLS[name]()
    planted = plant(pool, "near-duplicates", n=40, rng=np.random.default_rng(0))
    assert planted.companions.sum() == 40
    flat = planted.pool.inputs.reshape(len(pool), -1).astype(float)
    canaries, companions = np.flatnonzero(planted.canaries), np.flatnonzero(planted.companions)
    step = 1.0 if pool.inputs.dtype == np.uint8 else float(np.ptp(pool.inputs)) / 255
    found = set()
    for canary in canaries:
        apart = np.abs(flat[companions] - flat[canary])
        nearest = int(apart.sum(axis=1).argmin())
        changed = apart[nearest] > 0
        assert changed.sum() == max(1, round(0.01 * flat.shape[1]))
        assert apart[nearest].max() == pytest.approx(step, rel=1e-3)
        assert planted.pool.labels[canary] != planted.pool.labels[companions[nearest]]
        found.add(nearest)
    assert len(found) == 40
    assert pool.inputs.min() <= planted.pool.inputs.min() < planted.pool.inputs.max() <= pool.inputs.max()


def test_a_bit_of_a_binary_record_is_flipped_and_nothing_else_appears():
    rng = np.random.default_rng(0)
    pool = Pool(rng.integers(0, 2, (100, 40)).astype(np.uint8), rng.integers(0, 3, 100), n_classes=3)
    planted = plant(pool, "near-duplicates", n=30, rng=rng)
    assert set(np.unique(planted.pool.inputs)) == {0, 1}


def test_canaries_are_drawn_among_the_records_allowed():
    among = np.arange(200) < 80
    for allowed in (among, np.flatnonzero(among)):
        planted = plant(images(), "near-duplicates", n=40, among=allowed, rng=np.random.default_rng(0))
        np.testing.assert_array_equal(planted.canaries | planted.companions, among)


def test_a_pool_on_the_disk_is_not_written_to(tmp_path):
    pool = images()
    np.save(tmp_path / "x.npy", pool.inputs)
    mapped = Pool(np.load(tmp_path / "x.npy", mmap_mode="r"), pool.labels, n_classes=10, scale=1 / 255)
    for kind in CANARIES:
        planted = plant(mapped, kind, n=20, rng=np.random.default_rng(0))
        assert isinstance(planted.pool.inputs, np.memmap) == (kind in ("clean", "mislabelled"))
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), pool.inputs)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "mislabeled"}, "did you mean 'mislabelled'"),
        ({"kind": "clean", "n": 0}, "from 1 to 200"),
        ({"kind": "clean", "n": 201}, "from 1 to 200"),
        ({"kind": "near-duplicates", "n": 101}, "from 1 to 100"),
        ({"kind": "blank", "other": images()}, "kind 'ood'"),
        ({"kind": "ood", "other": rows()}, "of shape"),
        ({"kind": "ood", "other": images(n=5)}, "at least 10 records"),
    ],
)
def test_what_cannot_be_planted_is_an_error(arguments, words):
    with pytest.raises(InputError, match=words):
        plant(images(), **{"n": 10, **arguments}, rng=np.random.default_rng(0))


def test_canaries_need_labels_and_records_that_differ():
    with pytest.raises(InputError, match="labels"):
        plant(Pool(np.eye(4)), "clean", n=1, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="records that differ"):
        plant(Pool(np.ones((4, 1)), [0, 1, 0, 1]), "ood", n=1, rng=np.random.default_rng(0))


def test_the_table_of_strongest_canaries_names_kinds_that_there_are():
    assert {row.kind for row in STRONGEST.values()} <= set(CANARIES)
    assert all(0 <= row.tpr_clean < row.tpr <= 1 for row in STRONGEST.values())


@pytest.mark.parametrize("kind", ["mislabelled", "near-duplicates"])
def test_in_turns_canaries_alone_are_judged_and_companions_are_in_every_model(kind):
    pool = images()
    changed, membership = plant_in_turns(pool, kind, n=20, models=6, population=30, rng=1)
    assert membership.turns
    assert np.array_equal(membership.audit, membership.canaries)
    assert membership.canaries.sum() == 20
    assert set(membership.targets[membership.canaries].sum(axis=1)) == {3}
    planted = plant(pool, kind, n=20, rng=1)  # the same seed plants the same ones
    assert np.array_equal(planted.pool.inputs, changed.inputs)
    assert np.array_equal(planted.pool.labels, changed.labels)
    assert np.array_equal(planted.canaries, membership.canaries)
    assert membership.targets[planted.companions].all()
    assert membership.population.sum() == 30
