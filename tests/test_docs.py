"""What the documentation shows runs, and its tables are complete."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import seepage
from seepage.data import DATASETS

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- not run -->\n)?^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+)")

# The documents show settings that are worth using; here the same code runs on fewer records and models.
SMALLER = {
    'seepage.load("digits")': 'seepage.load("digits").subset(range(200))',
    "references=64": "references=6",
    "epochs=100": "epochs=2",
    "widths=(16, 32)), epochs=10": "widths=(4, 8)), epochs=1",
    'attacks=["gradient"]': 'attacks=["gradient"], workers=0',
    "n_estimators=30": "n_estimators=5",
}


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def given():
    """What a reader of the README has before its first line: a trained model and records."""
    digits = seepage.load("digits").subset(range(200))
    member = np.random.default_rng(0).random(len(digits)) < 0.5
    (x_in, y_in), (x_out, y_out) = ((digits.inputs[side], digits.labels[side]) for side in (member, ~member))
    model = LogisticRegression(max_iter=500).fit(x_in, y_in)
    names = {"x_in": x_in, "y_in": y_in, "x_out": x_out, "y_out": y_out, "model": model}
    return {"seepage": seepage, "rng": np.random.default_rng(1), **names}


@pytest.mark.parametrize(
    ("name", "namespace"),
    [
        ("README.md", given),
        ("docs/audit.md", dict),
        ("docs/attacks.md", dict),
        ("docs/data.md", dict),
        ("docs/defences.md", dict),
        ("docs/synthesis.md", dict),
        ("docs/inversion.md", dict),
    ],
)
def test_the_code_of_a_document_runs_from_top_to_bottom(name, namespace, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = namespace()
    blocks = [code for skipped, code in BLOCK.findall(read(name)) if not skipped]
    assert blocks
    for number, code in enumerate(blocks):
        for shown, smaller in SMALLER.items():
            code = code.replace(shown, smaller)
        exec(compile(code, f"{name}, block {number}", "exec"), names)


def test_the_tables_are_those_of_the_code():
    for path, text in runpy.run_path(str(ROOT / "docs" / "tables.py"))["documents"]().items():
        assert path.read_text(encoding="utf-8") == text, "run: python docs/tables.py"


def test_every_file_of_a_data_set_has_its_checksum():
    text = read("docs/data.md")
    for name, source in DATASETS.items():
        for file in source.files:
            assert f"`{name}/{file.path}`" in text
            assert f"`{file.checksum}`" in text


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        *(
            f"docs/{name}.md"
            for name in ("audit", "attacks", "data", "defences", "comparison", "synthesis", "inversion")
        ),
    ],
)
def test_links_lead_to_files(name):
    for target in LINK.findall(read(name)):
        assert ((ROOT / name).parent / target).exists(), target


@pytest.mark.parametrize("name", ["docs/audit.md", "docs/attacks.md"])
def test_named_tests_and_sources_exist(name):
    for path in re.findall(r"`((?:tests|src)/[\w/]+\.py)`", read(name)):
        assert (ROOT / path).exists(), path
