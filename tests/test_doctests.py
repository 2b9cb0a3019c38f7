"""Every example in a docstring runs and prints what it says."""

import ast
import doctest
import importlib
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
SHOWN = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
}


def docstrings(path):
    """Read from the source: a search in the imported module passes over functions that a decorator has wrapped."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            line = 0 if isinstance(node, ast.Module) else node.body[0].lineno - 1
            yield getattr(node, "name", path.stem), line, text


@pytest.mark.parametrize("module", SHOWN)
def test_the_examples_of_a_module_hold(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = SHOWN[module]
    names = vars(importlib.import_module(module))
    runner = doctest.DocTestRunner(verbose=False)
    output: list[str] = []
    for name, line, text in docstrings(path):
        examples = doctest.DocTestParser().get_doctest(text, names.copy(), name, str(path), line)
        runner.run(examples, out=output.append)
    assert runner.tries > 0
    assert not runner.failures, "".join(output)
