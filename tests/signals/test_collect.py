"""A run gives the same models however it is spread, stopped and taken up again."""

import functools
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
import torch

import seepage.signals.collect as collecting
from seepage import CNN, MLP, SGD, Pool, Recipe
from seepage.errors import InputError, StorageError, TrainingError
from seepage.models.engines import Single
from seepage.models.plan import _seconds_per_step as real_timing
from seepage.models.plan import plan
from seepage.models.records import Records
from seepage.runs import Inline
from seepage.runs.store import DamagedFile, Store
from seepage.signals.collect import collect, seed_of, training_keys
from seepage.signals.queries import QUERIES
from tests.damage import flip, swap

RNG = np.random.default_rng(0)
POOL = Pool(RNG.normal(size=(60, 6)).astype(np.float32), RNG.integers(0, 3, 60))
COLUMNS = RNG.random((60, 6)) < np.array([0.3, 0.5, 0.5, 0.7, 0.4, 0.6])
RECIPE = Recipe(functools.partial(MLP, hidden=(8,)), SGD(0.1), epochs=4, batch_size=8)
DROPOUT = replace(RECIPE, model=functools.partial(MLP, hidden=(8,), dropout=0.2))
TOLERANCE = 1e-5  # of logits of order one, between stacks of different size; measured 5e-7


@pytest.fixture(autouse=True)
def stopped_clock():
    """The planner takes the largest stack: by its timings the size, and with it the last bits, is another each time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("seepage.models.plan._seconds_per_step", lambda training: 1e-3)
        yield


def own_model(input_shape, n_classes):
    return MLP(input_shape, n_classes, hidden=(4,))


def run(recipe=RECIPE, pool=POOL, columns=COLUMNS, **options):
    return collect(recipe, pool, columns, **{"root_seed": 3, "engine": "stacked", "workers": 0, **options})


def sha(logits):
    return hashlib.sha256(np.ascontiguousarray(logits)).hexdigest()


def units(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "units").glob("*.safetensors")}


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


@functools.cache
def whole():
    """The run in this process, in one stack: what every other way is compared with."""
    return run()


def test_logits_are_what_each_model_answers_about_every_record():
    found = whole()
    seeds = [seed_of(key) for key in training_keys(RECIPE, POOL, COLUMNS, 3)]
    assert found.logits.shape == (60, 6, 1, 3)
    assert found.logits.dtype == np.float32
    assert found.columns is COLUMNS
    assert found.n_resumed == 0
    for model, seed in enumerate(seeds):
        module = Single(RECIPE, Records.of(POOL), [np.flatnonzero(COLUMNS[:, model])], [seed]).run()[0]
        with torch.no_grad():
            expected = module(torch.from_numpy(POOL.inputs)).numpy()
        np.testing.assert_allclose(found.logits[:, model, 0], expected, rtol=0, atol=TOLERANCE)


def test_engines_and_chunks_give_the_same_models():
    one_by_one, in_twos = run(engine="single"), run(workers=3, executor=Inline())
    assert (whole().plan.chunk, one_by_one.plan.chunk, in_twos.plan.chunk) == (6, 1, 2)
    np.testing.assert_allclose(one_by_one.logits, whole().logits, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(in_twos.logits, whole().logits, rtol=0, atol=TOLERANCE)


def test_the_order_of_columns_changes_no_model():
    order = [4, 2, 5, 0, 1, 3]
    turned = run(columns=COLUMNS[:, order])
    np.testing.assert_allclose(turned.logits, whole().logits[:, order], rtol=0, atol=TOLERANCE)
    one_by_one = [run(columns=columns, engine="single").logits for columns in (COLUMNS, COLUMNS[:, order])]
    np.testing.assert_array_equal(one_by_one[1], one_by_one[0][:, order])


def test_more_columns_change_no_model():
    fewer = run(columns=COLUMNS[:, :2], engine="single")
    np.testing.assert_array_equal(fewer.logits, run(engine="single").logits[:, :2])


@pytest.mark.parametrize(("engine", "recipe"), [("single", DROPOUT), ("stacked", RECIPE)], ids=["single", "stacked"])
def test_this_process_and_others_are_bit_identical(tmp_path, engine, recipe):
    """The manifest fixes the units; then it does not matter who trains them."""
    spread = run(recipe, engine=engine, workers=2, folder=tmp_path / "two")
    assert len(units(tmp_path / "two")) == (6 if engine == "single" else 2)
    for workers in (0, 1):
        folder = tmp_path / str(workers)
        folder.mkdir()
        shutil.copy(tmp_path / "two" / "manifest.json", folder)
        again = run(recipe, engine=engine, workers=workers, folder=folder)
        assert again.n_resumed == 0
        assert again.plan == replace(spread.plan, workers=workers)
        assert sha(again.logits) == sha(spread.logits)
        assert units(folder).keys() == units(tmp_path / "two").keys()


def test_a_finished_run_is_read_and_not_trained_again(tmp_path, monkeypatch):
    first = run(folder=tmp_path, engine="single")
    before = units(tmp_path)
    monkeypatch.setattr(collecting, "plan", None)
    monkeypatch.setattr(collecting.TrainUnit, "__call__", None)
    again = run(folder=tmp_path, engine="single")
    assert again.n_resumed == 6
    assert sha(again.logits) == sha(first.logits)
    assert units(tmp_path) == before


def test_only_missing_units_are_trained(tmp_path):
    first = run(folder=tmp_path, engine="single")
    before = units(tmp_path)
    lost = sorted(before)[2]
    (tmp_path / "units" / lost).rename(tmp_path / "units" / f"{lost}.77.part")
    again = run(folder=tmp_path, engine="single")
    assert again.n_resumed == 5
    assert sha(again.logits) == sha(first.logits)
    assert [name for name, when in units(tmp_path).items() if when != before[name]] == [lost]


KILLED = """
    import os, signal, sys
    import numpy as np
    import seepage
    from seepage.signals.collect import TrainUnit, collect

    folder, inputs, workers, deadly = sys.argv[1], np.load(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "deadly"

    class Model(seepage.MLP):  # a class of the script's own, which no worker can import
        pass

    recipe = seepage.Recipe(Model, seepage.SGD(0.1), epochs=4, batch_size=8, version="1")
    train = TrainUnit.__call__

    def train_or_die(self, unit, report):
        if deadly and unit["models"] == [3]:
            os.kill(int(os.environ["PARENT"]), signal.SIGKILL)
            signal.pause()
        return train(self, unit, report)

    os.environ["PARENT"] = str(os.getpid())
    TrainUnit.__call__ = train_or_die
    pool = seepage.Pool(inputs["inputs"], inputs["labels"])
    found = collect(recipe, pool, inputs["columns"], root_seed=3, engine="single", workers=workers, folder=folder)
    np.save(folder + "/logits.npy", found.logits)
    print(found.n_resumed)
"""


def test_a_run_that_was_killed_goes_on_to_the_same_digest(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(KILLED))
    np.savez(tmp_path / "data.npz", inputs=POOL.inputs, labels=POOL.labels, columns=COLUMNS)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}

    def start(folder, deadly, workers=0):
        command = [sys.executable, "script.py", folder, "data.npz", str(workers), "deadly" if deadly else "harmless"]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    assert start("killed", deadly=True).returncode == -signal.SIGKILL
    before = units(tmp_path / "killed")
    assert len(before) == 3
    resumed = start("killed", deadly=False, workers=2)
    assert (resumed.stdout, resumed.stderr) == ("3\n", "")
    after = units(tmp_path / "killed")
    assert {name: after[name] for name in before} == before
    uninterrupted = start("whole", deadly=False)
    assert uninterrupted.stdout == "0\n"
    assert sha(np.load(tmp_path / "killed" / "logits.npy")) == sha(np.load(tmp_path / "whole" / "logits.npy"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"recipe": replace(RECIPE, epochs=5)}, "recipe, trainings"),
        ({"pool": Pool(POOL.inputs + 1, POOL.labels)}, "pool, trainings"),
        ({"columns": ~COLUMNS}, "trainings"),
        ({"columns": COLUMNS[:, :5]}, "trainings"),
        ({"root_seed": 4}, "trainings, seed"),
        ({"keep_weights": True}, "weights kept"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_folder_of_another_run_is_refused(tmp_path, change, named):
    first = run(folder=tmp_path)
    before = units(tmp_path)
    with pytest.raises(StorageError, match=f"holds another run: its {named} differ"):
        run(folder=tmp_path, **change)
    assert units(tmp_path) == before
    assert sha(run(folder=tmp_path).logits) == sha(first.logits)


def test_another_version_of_this_package_is_another_run(tmp_path, monkeypatch):
    run(folder=tmp_path)
    monkeypatch.setattr(collecting, "__version__", "99")
    with pytest.raises(StorageError, match="its version differ"):
        run(folder=tmp_path)


IMAGES = Pool(RNG.integers(0, 256, (30, 1, 6, 6), dtype=np.uint8), RNG.integers(0, 3, 30), scale=1 / 255)
MEMBERS = RNG.random((30, 2)) < 0.5
CONV = Recipe(functools.partial(CNN, widths=(3,)), SGD(0.05), epochs=2, batch_size=8)


def test_every_query_is_answered_on_scaled_images(tmp_path):
    found = run(CONV, IMAGES, MEMBERS, queries="flip-shift", engine="single", folder=tmp_path, keep_weights=True)
    assert found.logits.shape == (30, 2, 18, 3)
    module = CONV.build((1, 6, 6), 3, 0).eval()
    for model in range(2):
        weights = safetensors.numpy.load_file(tmp_path / "weights" / f"{model}.safetensors")
        module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
        for place, query in enumerate(QUERIES["flip-shift"]):
            asked = torch.from_numpy(np.ascontiguousarray(query(IMAGES.batch())))
            with torch.no_grad():
                answered = module(asked).numpy()
            np.testing.assert_allclose(found.logits[:, model, place], answered, rtol=0, atol=1e-5)


def test_large_pools_are_asked_in_parts(monkeypatch):
    expected = run(CONV, IMAGES, MEMBERS, queries="flip", engine="single").logits
    monkeypatch.setattr(collecting, "_EVALUATION_BATCH", 7)
    np.testing.assert_allclose(run(CONV, IMAGES, MEMBERS, queries="flip", engine="single").logits, expected, atol=1e-6)


def test_large_collections_lie_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting, "_IN_MEMORY_BYTES", 100)
    found = run(folder=tmp_path)
    assert isinstance(found.logits, np.memmap)
    np.testing.assert_array_equal(found.logits, whole().logits)


def test_queries_that_the_records_do_not_allow_are_refused_before_training(monkeypatch):
    monkeypatch.setattr(collecting, "plan", None)
    with pytest.raises(InputError, match="augmented queries need images"):
        run(queries="flip")
    with pytest.raises(InputError, match="unknown query set"):
        run(queries="flips")


@pytest.mark.usefixtures("wrong_shapes")
@pytest.mark.parametrize(
    "columns",
    [COLUMNS[:-1], COLUMNS[:, 0], COLUMNS.astype(int), COLUMNS[:, :0]],
    ids=["short", "one axis", "integers", "no model"],
)
def test_columns_must_be_masks_over_the_pool(columns):
    with pytest.raises(InputError, match=r"columns must be bool of shape \(60, models\)"):
        run(columns=columns)


@pytest.mark.parametrize("engine", ["single", "stacked", None])
@pytest.mark.parametrize("empty", [0, 4])
def test_an_empty_column_is_refused(engine, empty):
    columns = COLUMNS.copy()
    columns[:, empty] = False
    with pytest.raises(InputError, match="at least one member"):
        run(columns=columns, engine=engine)


@pytest.mark.parametrize("engine", ["single", "stacked"])
def test_a_training_that_diverges_is_an_error(engine):
    with pytest.raises(TrainingError, match="diverged"):
        run(replace(RECIPE, optimiser=SGD(1e30)), columns=COLUMNS[:, :2], engine=engine)


def test_a_model_of_ones_own_needs_a_version_in_a_lasting_folder(tmp_path):
    own = Recipe(own_model, SGD(0.1), epochs=1, batch_size=8)
    with pytest.raises(InputError, match=r"give Recipe\(..., version='1'\)"):
        run(own, folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    unkept = run(own)
    kept = run(replace(own, version="1"), folder=tmp_path / "run")
    assert unkept.logits.shape == kept.logits.shape
    with pytest.raises(StorageError, match="its recipe, trainings differ"):
        run(replace(own, version="2"), folder=tmp_path / "run")


def test_training_keys_depend_on_all_that_decides_a_model_and_on_nothing_else():
    def keys(recipe=RECIPE, pool=POOL, columns=COLUMNS, seed=3):
        return training_keys(recipe, pool, columns, seed)

    base = keys()
    own = Recipe(own_model, version="1")
    flipped = COLUMNS.copy()
    flipped[7, 0] ^= True
    assert len(set(base)) == 6
    for other in (
        keys(recipe=replace(RECIPE, epochs=5)),
        keys(recipe=replace(RECIPE, version="2")),
        keys(pool=Pool(POOL.inputs, (POOL.labels + 1) % 3)),
        keys(seed=4),
        keys(recipe=own),
        keys(recipe=replace(own, version="2")),
    ):
        assert not set(base) & set(other)
    assert keys(columns=flipped)[0] != base[0]
    assert keys(columns=flipped)[1:] == base[1:]
    named = Pool(POOL.inputs, POOL.labels, ids=[f"p{k}" for k in range(60)], name="renamed")
    assert keys(pool=named) == base
    assert all(0 <= seed_of(key) < 2**62 for key in base)
    assert len({seed_of(key) for key in base}) == 6


def test_unit_keys_depend_on_engine_queries_weights_and_version_too(tmp_path, monkeypatch):
    few = MEMBERS[:, :1]

    def keys(name, **options):
        run(CONV, IMAGES, few, folder=tmp_path / name, **{"engine": "single", **options})
        return frozenset(units(tmp_path / name))

    found = [
        keys("base"),
        keys("engine", engine="stacked"),
        keys("queries", queries="flip"),
        keys("weights", keep_weights=True),
        keys("seed", root_seed=4),
    ]
    monkeypatch.setattr(collecting, "__version__", "99")
    found.append(keys("version"))
    assert len(set(found)) == len(found)
    monkeypatch.undo()
    assert keys("again") == found[0]


DAMAGE = {
    "swapped": lambda one, other: swap(one, other),
    "flipped": lambda one, other: flip(one),
    "cut": lambda one, other: one.write_bytes(one.read_bytes()[:40]),
    "zeroed": lambda one, other: one.write_bytes(bytes(one.stat().st_size)),
    "another's": lambda one, other: one.write_bytes(other.read_bytes()),
    "gone": lambda one, other: one.unlink(),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("what", ["units", "weights"])
def test_what_is_damaged_is_named_and_made_again(tmp_path, what, how):
    first = run(folder=tmp_path, engine="single", live=(1, 4))
    before, whole_weights = units(tmp_path), weights_of(first)
    files = sorted((tmp_path / what).glob("*.safetensors"))[:2]
    DAMAGE[how](*files)
    n_damaged = {"swapped": 2, "gone": 0}.get(how, 1)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        again = run(folder=tmp_path, engine="single", live=(1, 4))
    assert [warning.category for warning in said] == [DamagedFile] * n_damaged
    assert all("it is made again" in str(w.message) and str(tmp_path / what) in str(w.message) for w in said)
    assert again.n_resumed == 6 - max(1, n_damaged)
    assert sum(when != before[name] for name, when in units(tmp_path).items()) == max(1, n_damaged)
    assert sha(again.logits) == sha(first.logits)
    assert weights_of(again) == whole_weights
    assert run(folder=tmp_path, engine="single", live=(1, 4)).n_resumed == 6


def weights_of(found):
    return {model: {k: v.tolist() for k, v in module.state_dict().items()} for model, module in found.modules.items()}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_model_in_the_weights_cache_is_named_and_trained_again(tmp_path, workers):
    cache = tmp_path / "cache"
    options = {"engine": "single", "weights_cache": cache, "workers": workers}
    first = run(folder=tmp_path / "one", **options)
    files = sorted((cache / "units").iterdir())
    assert len(files) == 6
    before = [file.read_bytes() for file in files]
    flip(files[2])
    with pytest.warns(DamagedFile, match=f"{files[2].name} cannot be used") as said:
        again = run(folder=tmp_path / "two", **options)
    assert len(said) == 1
    assert sha(again.logits) == sha(first.logits)
    assert [file.read_bytes() for file in files] == before


def test_a_model_in_the_weights_cache_of_another_version_is_trained_again(tmp_path, monkeypatch):
    run(folder=tmp_path / "one", engine="single", weights_cache=tmp_path / "cache", columns=COLUMNS[:, :1])
    monkeypatch.setattr(collecting, "__version__", "99")
    with pytest.warns(DamagedFile, match="written for other version"):
        run(folder=tmp_path / "two", engine="single", weights_cache=tmp_path / "cache", columns=COLUMNS[:, :1])


def test_a_unit_of_another_shape_with_a_checksum_of_its_own_is_made_again(tmp_path):
    first = run(folder=tmp_path, engine="single")
    key = manifest(tmp_path)["units"][3]["key"]
    good = Store(tmp_path).read(key)
    for logits, models in (
        (good.arrays["logits"][..., :2], [3]),
        (good.arrays["logits"][:, :59], [3]),
        (good.arrays["logits"].astype(np.float64), [3]),
        (good.arrays["logits"], [2]),
    ):
        Store(tmp_path).write(key, {"logits": logits}, {**good.about, "models": models})
        with pytest.warns(DamagedFile, match=key):
            again = run(folder=tmp_path, engine="single")
        assert again.n_resumed == 5
        assert sha(again.logits) == sha(first.logits)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["units"].pop(),
        lambda content: content["units"].append({"key": "0" * 32, "models": [6]}),
        lambda content: content["units"][0].update(key="0" * 32),
        lambda content: content["plan"].update(chunk=2),
        lambda content: content["plan"].update(engine="stacked"),
        lambda content: content["units"].__setitem__(slice(0, 2), [{"key": "0" * 32, "models": [0, 1]}]),
        lambda content: [
            unit.update(key=other["key"]) for unit, other in zip(content["units"], manifest_keys(content), strict=True)
        ],
    ],
    ids=["too few", "too many", "key", "chunk", "engine", "together", "turned"],
)
def test_a_manifest_whose_units_do_not_follow_from_its_plan_is_refused(tmp_path, change):
    run(folder=tmp_path, engine="single")
    content = manifest(tmp_path)
    change(content)
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    before = units(tmp_path)
    with pytest.raises(StorageError, match=r"was changed: its units are not those .*Choose another folder, or delete"):
        run(folder=tmp_path, engine="single")
    assert units(tmp_path) == before


def manifest_keys(content):
    """The units with their keys the other way round."""
    return [dict(unit) for unit in reversed(content["units"])]


def test_a_plan_for_a_device_that_is_not_here_is_refused(tmp_path, monkeypatch):
    run(folder=tmp_path, engine="single")
    content = manifest(tmp_path)
    content["plan"]["device"] = "cuda"
    keys = training_keys(RECIPE, POOL, COLUMNS, 3)
    content["units"] = collecting._units(keys, collecting.Plan(**content["plan"]), content["identity"])
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="'cuda', and there is none here: choose another folder"):
        run(folder=tmp_path, engine="single")


def test_answers_that_are_not_there_after_all_are_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(collecting.TrainUnit, "__call__", lambda self, unit, report: {})
    with pytest.raises(StorageError, match=r"answers of 6 of 6 models are not there .*check that disk"):
        run(folder=tmp_path, engine="single")


def test_several_at_once_in_one_folder_all_succeed(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(KILLED))
    np.savez(tmp_path / "data.npz", inputs=POOL.inputs, labels=POOL.labels, columns=COLUMNS)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "script.py", "shared", "data.npz", "0", "harmless"]
    drivers = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    said = [driver.communicate(timeout=300)[1] for driver in drivers]
    assert [(driver.returncode, text) for driver, text in zip(drivers, said, strict=True)] == [(0, "")] * 3
    assert len(units(tmp_path / "shared")) == 6
    assert not list(tmp_path.rglob("*.part"))


def test_parts_of_killed_writers_are_swept_when_they_are_old(tmp_path):
    run(folder=tmp_path, engine="single")
    old, young = (f"{'0' * 32}.safetensors.there-{pid}-0123abcd.part" for pid in (1, 2))
    for folder in ("", "units"):
        for name in (old, young, "mine.part"):
            (tmp_path / folder / name).write_text("half")
            if name != young:
                os.utime(tmp_path / folder / name, (0, 0))
    run(folder=tmp_path, engine="single")
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.part")}
    assert left == {young, "mine.part", f"units/{young}", "units/mine.part"}


def test_a_run_s_files_are_its_owner_s_alone(tmp_path):
    run(folder=tmp_path / "above" / "run", engine="single", live=(0,))
    for path in (tmp_path / "above", *(tmp_path / "above").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_replayed_plan_gives_the_same_bits_where_the_planner_would_choose_otherwise(tmp_path, monkeypatch):
    slow = {"n": 0}

    def the_larger_the_slower(training):
        slow["n"] += 1
        return 1e-3 * slow["n"] ** 3

    first = run(engine=None, workers=None)
    monkeypatch.setattr("seepage.models.plan._seconds_per_step", the_larger_the_slower)
    other = run(engine=None, workers=None)
    assert (first.plan.engine, first.plan.chunk) != (other.plan.engine, other.plan.chunk)
    monkeypatch.setattr(collecting, "plan", None)  # nothing is timed
    for workers in (None, 0, 2):
        again = run(engine=None, workers=workers, replay=first.plan, folder=tmp_path / str(workers))
        assert sha(again.logits) == sha(first.logits)
        assert sha(run(engine=None, workers=0, replay=other.plan).logits) == sha(other.logits)
    with pytest.raises(StorageError, match=r"another plan than the one to replay.*or leave replay out"):
        run(engine=None, replay=other.plan, folder=tmp_path / "None")
    run(engine=None, replay=first.plan, folder=tmp_path / "None")


def test_a_plan_that_does_not_suit_is_refused(monkeypatch):
    plan = run(engine="stacked").plan
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"trains 6 models at a time .* does not suit 2 models .*leave replay out"):
        run(engine=None, replay=plan, columns=COLUMNS[:, :2])
    with pytest.raises(InputError, match=r"by the engine 'procedure'.* does not suit 6 models"):
        run(engine=None, replay=replace(plan, engine="procedure"))
    with pytest.raises(InputError, match=r"'cuda', and there is none here: leave replay out"):
        run(engine=None, replay=replace(plan, device="cuda"))
    with pytest.raises(InputError, match="replay brings engine and device: leave them out"):
        run(engine="single", replay=plan)


def test_a_full_disk_stops_a_run_that_can_go_on(tmp_path, monkeypatch):
    replaced, replace_file = [], os.replace

    def until_full(source, target):
        replaced.append(target)
        if len(replaced) > 2:  # two units
            raise OSError(28, os.strerror(28))
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", until_full)
    with pytest.raises(StorageError, match=r"No space left.*free some space and run the same command again"):
        run(folder=tmp_path, engine="single")
    monkeypatch.undo()
    assert len(units(tmp_path)) == 2
    assert not list(tmp_path.rglob("*.part"))
    resumed = run(folder=tmp_path, engine="single")
    assert resumed.n_resumed == 2
    assert sha(resumed.logits) == sha(run(engine="single").logits)


def test_a_worker_that_dies_costs_its_unit_a_second_try(tmp_path):
    fallen = tmp_path / "fallen"

    class Mortal(MLP):
        def __init__(self, input_shape, n_classes):
            super().__init__(input_shape, n_classes, hidden=(4,))
            if "worker" in getattr(sys.modules["__main__"], "__file__", "") and not fallen.exists():
                fallen.touch()
                os.kill(os.getpid(), signal.SIGKILL)

    mortal = Recipe(Mortal, SGD(0.1), epochs=2, batch_size=8)
    with_death = run(mortal, engine="single", workers=2)
    assert fallen.exists()
    assert sha(with_death.logits) == sha(run(mortal, engine="single").logits)


def test_nothing_is_left_of_a_run_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run()
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_models(tmp_path, capfd):
    run(folder=tmp_path, engine="single", progress=True, title="references")
    shown = capfd.readouterr()
    assert "references" in shown.err
    assert "6/6" in shown.err
    assert shown.out == ""


def test_seconds_are_those_of_the_run():
    start = time.perf_counter()
    found = run()
    assert 0 < found.seconds <= time.perf_counter() - start


def test_a_resumed_run_counts_what_its_units_took_before(tmp_path):
    run(folder=tmp_path, engine="single", workers=1)
    kept = units(tmp_path)
    again = run(folder=tmp_path, engine="single", workers=1)
    assert again.n_resumed == len(kept) == 6
    assert again.seconds > sum(
        Store(tmp_path).read(unit.removesuffix(".safetensors")).about["seconds"] for unit in kept
    )


class Tired(Exception):
    """An error whose text is long and steers a terminal."""

    def __str__(self):
        return "tired\x1b[2J" + "z" * 5000


class Failing(torch.nn.Module):
    """A model that fails in its n-th call: after a trial, in the planner's timing, or in a training."""

    def __init__(self, n_classes, error, n):
        super().__init__()
        self.layer, self.error, self.left = torch.nn.Linear(6, n_classes), error, n

    def forward(self, inputs):
        self.left -= 1
        if self.left == 0:
            raise self.error
        return self.layer(inputs)


ERRORS = [KeyError("a"), Tired(), StopIteration("end"), RuntimeError()]


@pytest.mark.parametrize(
    ("how", "error", "n"),
    [
        *[({"workers": 0}, error, n) for error in ERRORS for n in (1, 7)],
        *[({"engine": None}, error, 7) for error in ERRORS],
        *[({"workers": 2}, error, 7) for error in ERRORS[1:3]],
    ],
    ids=lambda value: f"{value!r:.15}",
)
def test_an_error_of_the_recipe_is_one_training_error(how, error, n, monkeypatch):
    if how == {"engine": None}:
        monkeypatch.setattr("seepage.models.plan._seconds_per_step", real_timing)
    recipe = replace(RECIPE, model=lambda input_shape, n_classes: Failing(n_classes, error, n), version="1")
    with pytest.raises(TrainingError, match=type(error).__name__) as caught:
        run(recipe, columns=COLUMNS[:, :2], **{"engine": "single", **how})
    assert caught.value.__cause__ is not None
    assert len(str(caught.value)) < 2001
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("workers", [-1, True, 10**6, 1.5, "2"])
def test_a_number_of_workers_that_cannot_be_is_refused_before_anything_is_written(tmp_path, workers):
    for start in (
        lambda: run(folder=tmp_path / "run", workers=workers),
        lambda: plan(RECIPE, Records.of(POOL), [np.arange(5)], workers=workers),
    ):
        with pytest.raises(InputError, match=f"workers= must be a whole number from 0 .* to 4096, got {workers!r}"):
            start()
    assert list(tmp_path.iterdir()) == []
    run(folder=tmp_path / "run", workers=0)


class Idle:
    """An executor that carries out nothing, or not all."""

    def __init__(self, n):
        self.n = n

    def map(self, task, units, progress):
        for position, unit in list(enumerate(units))[: self.n]:
            yield position, task(unit, lambda fraction: None)


@pytest.mark.parametrize("n", [0, 2])
def test_an_executor_that_does_not_carry_out_all_is_named(n):
    with pytest.raises(TrainingError, match=rf"training: Idle\.map ended after {n} of 6 units: expected it to yield"):
        run(engine="single", executor=Idle(n))
