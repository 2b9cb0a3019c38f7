"""A unit's file is there whole or not at all, and a folder holds one run."""

import errno
import json
import os

import numpy as np
import pytest
import safetensors.numpy

from seepage.errors import StorageError
from seepage.runs.store import DamagedFile, Store, digest, run_status, weights_key

LOGITS = {"logits": np.arange(12, dtype=np.float32).reshape(2, 3, 2)}
LIKE = {"logits": ("float32", (2, 3, None))}
IDENTITY = {"recipe": {"epochs": 3}, "pool": "abc", "seed": 7}
A, B = "a" * 32, "b" * 32
PLAN = {"engine": "single", "chunk": 1, "workers": 0, "device": "cpu", "why": ""}
PLAN |= {"stacked_step_s": None, "single_step_s": 0.1}
REST = {"plan": PLAN, "units": [{"key": A, "models": [0, 1]}, {"key": B, "models": [2]}]}


@pytest.fixture
def folder(tmp_path):
    return Store(tmp_path / "run")


def files(folder):
    return sorted(path.name for path in folder.path.rglob("*") if path.is_file())


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_is_written_is_read(folder):
    assert not folder.has(A)
    folder.write(A, LOGITS, {"seconds": 1.5})
    assert folder.has(A)
    np.testing.assert_array_equal(folder.read(A).arrays["logits"], LOGITS["logits"])
    assert files(folder) == [f"{A}.safetensors"]


def test_arrays_of_any_layout_are_kept_by_value(folder):
    turned = LOGITS["logits"].swapaxes(0, 2)[::-1]
    folder.write(A, {"logits": turned}, {})
    np.testing.assert_array_equal(folder.read(A).arrays["logits"], turned)


def test_a_unit_written_twice_is_the_later_one(folder):
    folder.write(A, LOGITS, {})
    folder.write(A, {"logits": LOGITS["logits"] + 1}, {})
    np.testing.assert_array_equal(folder.read(A).arrays["logits"], LOGITS["logits"] + 1)


def test_parts_of_files_do_not_count(folder):
    (folder.path / "units" / f"{A}.safetensors.123.part").write_bytes(b"half")
    (folder.path / "manifest.json.123.part").write_text("{")
    assert not folder.has(A)
    assert folder.manifest() is None
    folder.write(A, LOGITS, {})
    np.testing.assert_array_equal(folder.read(A).arrays["logits"], LOGITS["logits"])


@pytest.mark.parametrize("broken", ["os.replace", "os.fsync", "builtins.open"])
def test_a_full_disk_is_told_as_one_and_leaves_nothing_half(folder, monkeypatch, broken):
    folder.write(A, LOGITS, {})
    with monkeypatch.context() as patch:
        patch.setattr(broken, full_disk)
        patch.setattr(os, "link", full_disk)
        for write in (
            lambda: folder.write(B, LOGITS, {}),
            lambda: folder.write(A, {"logits": LOGITS["logits"] + 1}, {}),
            lambda: folder.write(weights_key(A, 0), LOGITS, {}),
            lambda: folder.start(IDENTITY, REST),
        ):
            with pytest.raises(StorageError, match=r"No space left.*committed before is kept, free some space and run"):
                write()
    assert files(folder) == [f"{A}.safetensors"]
    np.testing.assert_array_equal(folder.read(A).arrays["logits"], LOGITS["logits"])
    folder.write(B, LOGITS, {})
    assert folder.has(B)


def test_a_full_disk_when_folders_are_made_is_told_as_one(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "mkdir", full_disk)
    with pytest.raises(StorageError, match="No space left"):
        Store(tmp_path / "other")
    with pytest.raises(StorageError, match="No space left"):
        folder.write(weights_key(A, 0), LOGITS, {})


def test_a_path_that_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match="file: it is no folder, and one belongs there: delete it"):
            Store(path)


def damaged(path, how):
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[-3] ^= 4
    elif how == "header":
        content[content.index(b"seconds")] ^= 1
    elif how == "zeroed":
        content[-20:] = bytes(20)
    elif how == "cut":
        del content[-5:]
    else:
        content = how
    path.write_bytes(content)


@pytest.mark.parametrize(
    "how", [b"", b"not safetensors", b"\xff" * 64, "cut", "flipped", "zeroed", "header"], ids=lambda how: str(how)[:8]
)
def test_a_damaged_unit_is_named_and_counts_as_missing(folder, how):
    folder.write(A, LOGITS, {"seconds": 1.0})
    damaged(folder.path / "units" / f"{A}.safetensors", how)
    with pytest.warns(DamagedFile, match=rf"units/{A}.safetensors cannot be used .*: it is made again") as said:
        assert not folder.has(A)
    assert len(said) == 1
    with pytest.raises(StorageError, match=r"cannot be used .*run the same command again, and it is made anew"):
        folder.read(A)
    folder.write(A, LOGITS, {"seconds": 1.0})
    assert folder.has(A)


def test_a_file_in_another_s_place_is_not_believed(folder):
    folder.write(A, LOGITS, {})
    folder.write(B, {"logits": LOGITS["logits"] + 1}, {})
    units = folder.path / "units"
    (units / f"{A}.safetensors").rename(units / f"{B}.safetensors")
    with pytest.warns(DamagedFile, match="its key is another one"):
        assert not folder.has(B)
    folder.write(weights_key(A, 0), LOGITS, {})
    (folder.path / "weights" / "0.safetensors").rename(folder.path / "weights" / "1.safetensors")
    assert folder.find(weights_key(A, 0), LIKE) is None
    with pytest.warns(DamagedFile, match="its key is another one"):
        assert folder.find(weights_key(A, 1), LIKE) is None


def test_a_file_without_a_checksum_is_not_believed(folder):
    safetensors.numpy.save_file(LOGITS, folder.path / "units" / f"{A}.safetensors", metadata={"about": "{}"})
    with pytest.warns(DamagedFile, match="no checksum"):
        assert not folder.has(A)


@pytest.mark.parametrize(
    ("array", "about"),
    [
        (LOGITS["logits"][:, :2], {"models": [0, 1]}),
        (LOGITS["logits"].astype(np.float64), {"models": [0, 1]}),
        (LOGITS["logits"][None], {"models": [0, 1]}),
        (LOGITS["logits"], {"models": [0, 2]}),
        (LOGITS["logits"], {}),
    ],
    ids=["shape", "dtype", "axes", "models", "nothing said"],
)
def test_a_unit_must_be_what_the_run_expects(folder, array, about):
    folder.write(A, LOGITS, {"models": [0, 1]})
    np.testing.assert_array_equal(folder.find(A, LIKE, {"models": [0, 1]}).arrays["logits"], LOGITS["logits"])
    folder.write(A, {"logits": array}, about)
    with pytest.warns(DamagedFile, match=r"'logits' is float|for other models"):
        assert folder.find(A, LIKE, {"models": [0, 1]}) is None
    folder.write(A, {"other": LOGITS["logits"]}, {"models": [0, 1]})
    with pytest.warns(DamagedFile, match="it holds the arrays other, expected logits"):
        assert folder.find(A, LIKE, {"models": [0, 1]}) is None


def test_arrays_without_axes_or_records_and_none_at_all_are_kept(folder):
    folder.write(A, {"count": np.array(3), "empty": np.zeros((0, 4), np.float32)}, {})
    found = folder.read(A).arrays
    assert (found["count"].shape, found["empty"].shape) == ((), (0, 4))
    folder.write(B, {}, {})
    assert folder.read(B) == ({}, {})


@pytest.mark.parametrize("key", ["", "a", "A" * 32, "g" * 32, "a" * 33, "a" * 31 + "\n", "../" * 10 + "etc", "a" * 64])
def test_a_key_is_32_hexadecimal_digits(folder, key):
    for use in (folder.has, folder.read, lambda key: folder.write(key, LOGITS, {})):
        with pytest.raises(StorageError, match="is no key: expected 32 hexadecimal digits"):
            use(key)
    assert files(folder) == []


def test_a_unit_that_is_not_there_cannot_be_read(folder):
    with pytest.raises(StorageError, match="cannot be used"):
        folder.read(A)


def test_a_manifest_is_frozen_at_the_first_start(folder):
    assert folder.manifest() is None
    first = folder.start(IDENTITY, REST)
    assert first == folder.manifest()
    later = folder.start(IDENTITY, {"plan": {**PLAN, "engine": "stacked"}, "units": REST["units"]})
    assert later == first
    assert later.plan.engine == "single"


def test_of_two_that_start_at_once_the_second_takes_the_plan_of_the_first(folder, monkeypatch):
    looked, manifest = [], Store.manifest

    def late(self):
        looked.append(self)
        return None if len(looked) == 1 else manifest(self)

    Store(folder.path).start(IDENTITY, REST)
    monkeypatch.setattr(Store, "manifest", late)
    assert folder.start(IDENTITY, {**REST, "plan": {**PLAN, "engine": "stacked"}}).plan.engine == "single"


def test_another_run_is_refused_and_what_differs_is_named(folder):
    folder.start(IDENTITY, REST)
    kept = folder.manifest()
    with pytest.raises(StorageError, match=r"holds another run: its recipe, seed differ.*Choose another folder"):
        folder.start({**IDENTITY, "seed": 8, "recipe": {"epochs": 4}}, REST)
    assert folder.manifest() == kept


def changed(path, value):
    """A manifest in which something else stands at a place."""
    content = json.loads(json.dumps({"schema": "seepage.run/1", "identity": IDENTITY, **REST}))
    at = content
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    "content",
    [
        '{"identity": ', "", "[]", "null", "3", "{}", "[" * 100_000, b"\xff\xfe",
        changed(["schema"], "other"),
        changed(["identity"], []),
        changed(["identity"], None),
        changed(["plan"], None),
        changed(["plan"], {"engine": "single"}),
        changed(["plan", "engine"], "other"),
        changed(["plan", "chunk"], 0),
        changed(["plan", "chunk"], "1"),
        changed(["plan", "chunk"], 10**30),
        changed(["plan", "workers"], -1),
        changed(["plan", "device"], "tpu"),
        changed(["plan", "single_step_s"], "fast"),
        changed(["units"], []),
        changed(["units"], {}),
        changed(["units"], [3]),
        changed(["units", 0, "key"], "../../../outside"),
        changed(["units", 0, "key"], B),
        changed(["units", 0, "key"], 7),
        changed(["units", 0, "models"], []),
        changed(["units", 0, "models"], None),
        changed(["units", 0, "models"], [0]),
        changed(["units", 0, "models"], [0, 0, 1]),
        changed(["units", 0, "models"], [0, "1"]),
        changed(["units", 0, "models"], [-1, 0, 1]),
        changed(["units", 1, "models"], [10**18]),
        changed(["more"], 1),
    ],
    ids=lambda content: str(len(content)),
)  # fmt: skip
def test_what_is_no_manifest_is_one_clear_error(tmp_path, content):
    folder = Store(tmp_path / "run" / "target")
    path = folder.path / "manifest.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for read in (folder.manifest, lambda: folder.start(IDENTITY, REST), lambda: run_status(tmp_path)):
        with pytest.raises(StorageError, match=r"is no manifest of a run \(.*\): delete the folder .* and start again"):
            read()


def test_a_digest_depends_on_values_and_not_on_the_order_of_names():
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})
    assert digest({"a": 1, "b": [2, 3]}) != digest({"a": 1, "b": [3, 2]})
    assert len(digest(None)) == 64


def test_the_status_of_a_run_counts_models_with_a_file(tmp_path):
    run = Store(tmp_path / "run" / "target")
    run.start(IDENTITY, REST)
    assert run_status(tmp_path) == [{"name": "target", "engine": "single", "models": 3, "done": 0}]
    run.write(A, LOGITS, {})
    assert run_status(tmp_path)[0]["done"] == 2
    (run.path / "units" / f"{B}.safetensors.1.part").write_bytes(b"")
    assert run_status(tmp_path) == [{"name": "target", "engine": "single", "models": 3, "done": 2}]
    assert json.loads((run.path / "manifest.json").read_text())["schema"] == "seepage.run/1"


def test_the_status_of_a_run_does_not_count_what_is_damaged(tmp_path):
    run = Store(tmp_path / "run" / "target")
    run.start(IDENTITY, REST)
    run.write(A, LOGITS, {})
    damaged(run.path / "units" / f"{A}.safetensors", "flipped")
    with pytest.warns(DamagedFile, match=A):
        assert run_status(tmp_path)[0]["done"] == 0


@pytest.mark.parametrize("put", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_in_the_place_of_one_is_named(folder, put):
    folder.write(A, LOGITS, {})
    folder.write(weights_key(A, 0), LOGITS, {})
    for name in (f"units/{A}.safetensors", "weights/0.safetensors", "manifest.json"):
        (folder.path / name).unlink(missing_ok=True)
        put(folder.path / name)
    for use in (
        lambda: folder.find(A),
        lambda: folder.read(A),
        lambda: folder.find(weights_key(A, 0), LIKE),
        folder.manifest,
        lambda: folder.start(IDENTITY, REST),
    ):
        with pytest.raises(StorageError, match=r"stands at .*, where a file belongs: delete it"):
            use()


@pytest.mark.parametrize("to", ["/dev/zero", "nowhere"])
def test_a_manifest_that_is_no_file_is_named_before_anything_is_trained(folder, to):
    (folder.path / "manifest.json").symlink_to(to)
    with pytest.raises(StorageError, match=r"stands at .*manifest\.json, where a file belongs: delete it"):
        folder.start(IDENTITY, REST)


def test_a_manifest_may_be_a_link(folder, tmp_path):
    folder.start(IDENTITY, REST)
    os.rename(folder.path / "manifest.json", tmp_path / "elsewhere")
    (folder.path / "manifest.json").symlink_to(tmp_path / "elsewhere")
    assert folder.start(IDENTITY, {}).identity == IDENTITY


@pytest.mark.parametrize("name", ["", "units"])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path, name):
    path = tmp_path / "run" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("")
    with pytest.raises(StorageError, match=f"{path.name}: it is no folder, and one belongs there: delete it"):
        Store(tmp_path / "run")


def test_a_manifest_with_a_key_twice_is_refused(folder):
    folder.start(IDENTITY, REST)
    path = folder.path / "manifest.json"
    path.write_text(path.read_text().replace('"chunk": 1', '"chunk": 2, "chunk": 1'))
    with pytest.raises(StorageError, match="a key stands there twice"):
        folder.manifest()


@pytest.mark.parametrize("said", [{}, {"seconds": "1"}, {"seconds": True}, {"seconds": -1}, {"seconds": float("nan")}])
def test_a_unit_that_does_not_say_a_number_is_damaged(folder, said):
    folder.write(A, LOGITS, said)
    with pytest.warns(DamagedFile, match="'seconds' is said to be .*, expected float >= 0"):
        assert folder.find(A, LIKE, {}, {"seconds": float}) is None
    folder.write(A, LOGITS, {"seconds": 1})
    assert folder.find(A, LIKE, {}, {"seconds": float}) is not None
