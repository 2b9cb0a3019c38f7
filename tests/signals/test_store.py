"""A unit's file is there whole or not at all, and a folder holds one run."""

import errno
import json
import os

import numpy as np
import pytest

from seepage.errors import StorageError
from seepage.signals.store import RunFolder, digest, run_status

LOGITS = {"logits": np.arange(12, dtype=np.float32).reshape(2, 3, 2)}
IDENTITY = {"recipe": {"epochs": 3}, "pool": "abc", "seed": 7}
REST = {"plan": {"engine": "single"}, "units": [{"key": "a", "models": [0, 1]}, {"key": "b", "models": [2]}]}


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def files(folder):
    return sorted(path.name for path in folder.path.rglob("*") if path.is_file())


def full_disk(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_is_written_is_read(folder):
    assert not folder.has("a")
    folder.write("a", LOGITS, {"seconds": 1.5})
    assert folder.has("a")
    np.testing.assert_array_equal(folder.read("a")["logits"], LOGITS["logits"])
    assert files(folder) == ["a.safetensors"]


def test_arrays_of_any_layout_are_kept_by_value(folder):
    turned = LOGITS["logits"].swapaxes(0, 2)[::-1]
    folder.write("a", {"logits": turned}, {})
    np.testing.assert_array_equal(folder.read("a")["logits"], turned)


def test_a_unit_written_twice_is_the_later_one(folder):
    folder.write("a", LOGITS, {})
    folder.write("a", {"logits": LOGITS["logits"] + 1}, {})
    np.testing.assert_array_equal(folder.read("a")["logits"], LOGITS["logits"] + 1)


def test_parts_of_files_do_not_count(folder):
    (folder.path / "units" / "a.safetensors.123.part").write_bytes(b"half")
    (folder.path / "manifest.json.123.part").write_text("{")
    assert not folder.has("a")
    assert folder.manifest() is None
    folder.write("a", LOGITS, {})
    np.testing.assert_array_equal(folder.read("a")["logits"], LOGITS["logits"])


@pytest.mark.parametrize("broken", ["os.replace", "os.fsync", "builtins.open"])
def test_a_full_disk_is_told_as_one_and_leaves_nothing_half(folder, monkeypatch, broken):
    folder.write("a", LOGITS, {})
    with monkeypatch.context() as patch:
        patch.setattr(broken, full_disk)
        for write in (
            lambda: folder.write("b", LOGITS, {}),
            lambda: folder.write("a", {"logits": LOGITS["logits"] + 1}, {}),
            lambda: folder.write_weights(0, LOGITS),
            lambda: folder.start(IDENTITY, REST),
        ):
            with pytest.raises(StorageError, match=r"No space left.*committed before is kept, free some space and run"):
                write()
    assert files(folder) == ["a.safetensors"]
    np.testing.assert_array_equal(folder.read("a")["logits"], LOGITS["logits"])
    folder.write("b", LOGITS, {})
    assert folder.has("b")


def test_a_full_disk_when_folders_are_made_is_told_as_one(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "mkdir", full_disk)
    with pytest.raises(StorageError, match="No space left"):
        RunFolder(tmp_path / "other")
    with pytest.raises(StorageError, match="No space left"):
        folder.write_weights(0, LOGITS)


def test_a_path_that_cannot_be_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StorageError, match="cannot write to the run folder"):
            RunFolder(path)


@pytest.mark.parametrize(
    "content", [b"", b"not safetensors", b"\xff" * 64, None], ids=["empty", "text", "noise", "cut"]
)
def test_a_damaged_unit_says_how_to_make_it_anew(folder, content):
    folder.write("a", LOGITS, {})
    path = folder.path / "units" / "a.safetensors"
    path.write_bytes(path.read_bytes()[:-5] if content is None else content)
    with pytest.raises(StorageError, match=r"units/a.safetensors cannot be read .*delete it and run again"):
        folder.read("a")


def test_a_unit_that_is_not_there_cannot_be_read(folder):
    with pytest.raises(StorageError, match="cannot be read"):
        folder.read("a")


def test_a_manifest_is_frozen_at_the_first_start(folder):
    assert folder.manifest() is None
    first = folder.start(IDENTITY, REST)
    assert first == folder.manifest()
    later = folder.start(IDENTITY, {"plan": {"engine": "stacked"}, "units": []})
    assert later == first
    assert later["plan"] == {"engine": "single"}


def test_another_run_is_refused_and_what_differs_is_named(folder):
    folder.start(IDENTITY, REST)
    kept = folder.manifest()
    with pytest.raises(StorageError, match=r"holds another run: its recipe, seed differ.*Choose another folder"):
        folder.start({**IDENTITY, "seed": 8, "recipe": {"epochs": 4}}, REST)
    assert folder.manifest() == kept


def test_an_unreadable_manifest_is_refused(folder):
    (folder.path / "manifest.json").write_text('{"identity": ')
    with pytest.raises(StorageError, match="not readable as JSON: delete the folder"):
        folder.start(IDENTITY, REST)


def test_a_digest_depends_on_values_and_not_on_the_order_of_names():
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1})
    assert digest({"a": 1, "b": [2, 3]}) != digest({"a": 1, "b": [3, 2]})
    assert len(digest(None)) == 64


def test_the_status_of_a_run_counts_models_with_a_file(tmp_path):
    run = RunFolder(tmp_path / "run" / "target")
    run.start(IDENTITY, REST)
    assert run_status(tmp_path) == [{"name": "target", "engine": "single", "models": 3, "done": 0}]
    run.write("a", LOGITS, {})
    (run.path / "units" / "b.safetensors.1.part").write_bytes(b"")
    assert run_status(tmp_path) == [{"name": "target", "engine": "single", "models": 3, "done": 2}]
    assert json.loads((run.path / "manifest.json").read_text())["schema"] == "seepage.run/1"
