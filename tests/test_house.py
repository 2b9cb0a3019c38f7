"""What holds for the package as a whole."""

import ast
import re
import runpy
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import seepage

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def tool(name):
    found = shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed; it comes with: pip install -e .[test]")
    return found


def test_the_facade_has_at_most_30_names_and_each_can_be_imported():
    assert len(seepage.__all__) == len(set(seepage.__all__)) <= 30
    for name in seepage.__all__:
        assert getattr(seepage, name) is not None
    assert dir(seepage) == sorted(seepage.__all__)
    with pytest.raises(AttributeError, match="no attribute 'audti'"):
        _ = seepage.audti


HEAVY = "import sys; print([m for m in ('torch', 'sklearn', 'scipy', 'matplotlib', 'pandas') if m in sys.modules])"


@pytest.mark.parametrize(
    "light",
    [
        "import seepage",
        "import seepage.cli",
        "from seepage.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from seepage.cli import main\ntry: main(['audit', '--help'])\nexcept SystemExit: pass",
        "import seepage.schema.audit",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(light):
    found = run(sys.executable, "-c", f"{light}\n{HEAVY}")
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "[]"


def test_metrics_reports_and_errors_do_without_torch():
    modules = "seepage.errors, seepage.metrics, seepage.report.render, seepage.report.terminal, seepage.data"
    found = run(sys.executable, "-c", f"import {modules}, sys; print('torch' in sys.modules)")
    assert found.stdout.strip() == "False", found.stderr


def test_each_folder_imports_only_from_those_below_it():
    found = run(tool("lint-imports"), "--no-cache")
    assert found.returncode == 0, found.stdout


def test_the_code_is_clean_for_the_linter():
    found = run(tool("ruff"), "check", "--no-cache", ".")
    assert found.returncode == 0, found.stdout


def test_the_code_stands_as_the_formatter_leaves_it():
    found = run(tool("ruff"), "format", "--no-cache", "--check", ".")
    assert found.returncode == 0, found.stdout


def test_the_package_tells_type_checkers_that_it_has_types():
    assert files("seepage").joinpath("py.typed").is_file()


def test_sources_raise_for_users_and_hold_nothing_unfinished():
    for path in SOURCES:
        text = path.read_text()
        assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text), path
        for node in ast.walk(ast.parse(text)):
            assert not isinstance(node, ast.Assert), f"{path}:{node.lineno}: assert"
            if isinstance(node, ast.Raise) and node.exc is not None:
                raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
                assert getattr(raised, "id", "") != "NotImplementedError", f"{path}:{node.lineno}: not implemented"
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{path}:{node.lineno}: a bare except"


def test_there_are_no_folders_or_files_for_everything():
    odd = {"utils", "helpers", "common", "handler", "manager", "factory", "misc"}
    assert not [path for path in SOURCES if odd & {path.stem, *path.parent.parts}]


def test_random_numbers_come_from_generators_that_are_handed_in():
    for path in SOURCES:
        assert not re.search(r"np\.random\.(seed|rand|randn|normal|choice|shuffle|permutation)\b", path.read_text()), (
            path
        )


def test_every_module_says_what_it_is():
    for path in SOURCES:
        text = path.read_text()
        if len(text.splitlines()) > 5:
            assert ast.get_docstring(ast.parse(text)), path


def test_no_module_imports_itself_by_way_of_others():
    """Imports inside functions count too: `python benchmarks/house.py` prints the circles."""
    house = runpy.run_path(str(ROOT / "benchmarks" / "house.py"))["House"](ROOT)
    assert house.circles() == []
    assert len(house.arrows()) <= 72
