"""The two scripts that judge a rebuilding of the house: its size, and whether the numbers stayed."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest


def script(place):
    """A module of `benchmarks`, which is no package: another project's package has that name."""
    path = Path(__file__).parent.parent / "benchmarks" / place
    spec = importlib.util.spec_from_file_location(f"seepage_benchmarks_{path.stem}", path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


house, saved = script("house.py"), script("same/saved.py")

AUDIT = """
from seepage import errors

def audit(model, *records, out=None, **more):
    return errors
"""
POOL = """
class Pool:
    def read(self):
        from seepage.data.files import read
        return read
"""
SOURCES = {
    "__init__.py": '_HOMES = {"audit": "seepage.studies", "Pool": "seepage.data"}\n',
    "errors.py": "class SeepageError(Exception):\n    pass\n",
    "studies/__init__.py": "from .audit import audit as audit\n",
    "studies/audit.py": AUDIT,
    "data/__init__.py": "from seepage.data.pool import Pool as Pool\n",
    "data/pool.py": POOL,
    "data/files.py": "from seepage.data import pool\nfrom seepage.errors import SeepageError\nread = pool\n",
}


@pytest.fixture
def root(tmp_path):
    for name, text in SOURCES.items():
        file = tmp_path / "src" / "seepage" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_lines_and_classes_are_counted(root):
    found = house.figures(root, pyright=False)
    assert found["lines"] == sum(text.count("\n") for text in SOURCES.values())
    assert (found["lines that are not blank"], found["classes"]) == (found["lines"] - 3, 2)


def test_an_import_inside_a_function_closes_a_circle(root):
    assert house.House(root).circles() == [["seepage.data.files", "seepage.data.pool"]]
    (root / "src/seepage/data/pool.py").write_text("class Pool:\n    pass\n")
    assert house.House(root).circles() == []


def test_single_modules_are_one_part_of_the_house(root):
    assert house.House(root).arrows() == [("data", "."), ("studies", ".")]


def test_parameters_are_those_of_the_definition_behind_the_facade(root):
    assert house.House(root).parameters() == {"audit": 4}  # Pool is a class


def test_files_are_counted_that_name_the_example(root, monkeypatch):
    monkeypatch.setattr(house, "EXAMPLES", {"attack": house.Example(("rmia",), own=("src/seepage/own/",))})
    for place, text in {
        "src/seepage/attacks.py": "ATTACKS = {'rmia': 1}\n",
        "src/seepage/prose.py": '"""Beside rmia stands lira."""\n',
        "src/seepage/own/rmia.py": "rmia = 1\n",
        "tests/test_rmia.py": "from seepage.attacks import rmia\n",
        "docs/attacks.md": "| `rmia` | logits |\n",
        "docs/prose.md": "What rmia is.\n",
        "docs/results.md": "`rmia`: 0.7\n",
    }.items():
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(text)
    places = ["src/seepage/attacks.py", "tests/test_rmia.py", "docs/attacks.md"]
    assert house.House(root).touched() == {"attack": places}


def write(folder, result, scores):
    (folder / "run").mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(result))
    (folder / "run" / "plan.json").write_text(json.dumps({"of the folder": str(folder)}))
    np.savez(folder / "scores.npz", loss=np.array(scores))
    return saved.read(folder)


def result(auc=0.7, **more):
    return {"attacks": [{"name": "loss", "auc": auc, "seconds": np.random.default_rng().random()}], **more}


def test_equal_runs_are_equal_whatever_their_times_and_undefined_values(tmp_path):
    before = write(tmp_path / "a", result(float("nan"), headline="AUC 0.7"), [0.5, np.nan])
    after = write(tmp_path / "b", result(float("nan"), headline="AUC 0.7"), [0.5, np.nan])
    assert saved.differences(before, after) == []
    assert set(before) == {"result.json:attacks[loss].name", "result.json:attacks[loss].auc", "result.json:headline",
                           "scores.npz:loss"}  # fmt: skip


def test_the_last_bit_of_a_number_is_a_difference(tmp_path):
    before = write(tmp_path / "a", result(0.5), [0.5, 1.0])
    after = write(tmp_path / "b", result(np.nextafter(0.5, 1)), [0.5, np.nextafter(1.0, 2)])
    found = saved.differences(before, after)
    assert [(one.kind, one.path) for one in found] == [
        ("number", "result.json:attacks[loss].auc"),
        ("number", "scores.npz:loss[1], the first of 1 of 2"),
    ]
    assert all(0 < one.relative < 1e-15 for one in found)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("12 of 30 judged", "12 of 30 evaluated", "words"),
        ("12 of 30 judged", "13 of 30 judged", "number"),
        ("0123456789abcdef", "0123456789abcdee", "number"),
        (1, 1.0, "number"),
        (None, 0.0, "number"),
        (True, 1, "number"),
    ],
)
def test_words_may_change_and_numbers_may_not(before, after, kind):
    (found,) = saved.differences({"r.json:claim": before}, {"r.json:claim": after})
    assert (found.kind, found.before, found.after) == (kind, before, after)


def test_a_moved_value_is_compared_where_it_stands_now(monkeypatch):
    before, after = {"r.json:judge.accuracy": 0.9}, {"r.json:evaluation.accuracy": 0.8}
    assert [one.kind for one in saved.differences(before, after)] == ["only after", "only before"]
    monkeypatch.setattr(saved, "MOVED", ((r":judge\.", ":evaluation."),))
    (found,) = saved.differences(before, after)
    assert (found.kind, found.path) == ("number", "r.json:evaluation.accuracy")


def test_arrays_of_another_shape_or_kind_differ():
    one = {"s.npz:loss": np.zeros(3)}
    for other in (np.zeros(4), np.zeros(3, np.float32)):
        assert [found.kind for found in saved.differences(one, {"s.npz:loss": other})] == ["number"]
