"""How large is the house, and how much of it does a newcomer touch? Counted from the source alone.

    python benchmarks/house.py                          # this checkout
    python benchmarks/house.py ROOT --against OLD_ROOT  # two columns: before and after
    python benchmarks/house.py ROOT -v                  # with the circles, the arrows and the files that are counted
    python benchmarks/house.py ROOT --json
    python benchmarks/house.py ROOT --startup OLD_ROOT  # start-up times of both, by turns (--demo: the demo's too)

lines, classes     of all .py files under src/seepage, comments included.
circles            groups of modules that import each other in a circle (strongly connected components), imports inside
                   functions included.
arrows             pairs (part A, part B) of which some module of A imports one of B. A part is a folder right under
                   src/seepage; all single modules there (errors.py, ...) are one part called '.'. The second number
                   leaves that part out.
parameters         of each function of the facade (the names in `_HOMES`), found by following imports to its `def`.
files to touch     of src, tests and docs, how many name one existing thing of that kind (`EXAMPLES`); its own file
                   counts. In .py files a name is an identifier or a whole string, in others a word in quotation marks
                   or backticks. Decision records and pages of figures are left out: nobody writes them to add a thing.
                   It is what the code shows, so a file that uses the example for another reason counts too.
pyright errors     by folder, by pyright's standard rules whatever the checkout's own are. Only where pyright can be
                   run; this Python must have the packages that Seepage needs.
"""

import argparse
import ast
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Example:
    """One existing thing of a kind.

    Attributes:
        names: what it is called by; a name that is gone from a checkout finds nothing there.
        folders: where its names are looked for.
        own: folders that hold nothing but the thing, before and after: their files are not counted.
    """

    names: tuple[str, ...]
    folders: tuple[str, ...] = ("src", "tests", "docs")
    own: tuple[str, ...] = ()


EXAMPLES = {
    "attack": Example(
        ("lira-multi-signal-online", "lira-multi-signal-offline", "multi_signal_lira", "MultiSignalLiRA")
    ),
    "defence": Example(("gaussian-noise", "gaussian_noise", "GaussianNoise")),
    "data set": Example(("csu-faces",)),
    # The few-shot attackers' decisions in the report of an audit.
    "report section": Example(("decisions", "Decision", "decisions_content")),
    "kind of result": Example(
        ("InversionResult", "InversionBody", "inversion_result", "seepage.inversion/1"),
        own=("src/seepage/inversion/", "src/seepage/studies/invert/", "tests/inversion/", "tests/studies/invert/"),
    ),
    # What runs the trainings is said by the number of workers, which is handed on to it.
    "executor": Example(("workers",), folders=("src",)),
}
FIGURES = ("docs/adr/", "docs/results.md", "docs/reproduction.md", "docs/calibration.md")
STARTS = {
    "seepage --help": ["-m", "seepage", "--help"],
    "import seepage": ["-c", "import seepage"],
    "python alone": ["-c", "pass"],
}
N_STARTS, N_DEMOS = 7, 3
OUT = "OUT"  # stands for a new folder in each turn
DEMO = ["-m", "seepage", "demo", "--references", "16", "--out", OUT]


@dataclass(frozen=True)
class House:
    """A checkout, read and not run."""

    root: Path

    @cached_property
    def trees(self) -> dict[str, ast.Module]:
        """Every module of the package by its dotted name."""
        source = self.root / "src"
        found = {}
        for path in sorted((source / "seepage").rglob("*.py")):
            name = ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
        return found

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """The modules of the package that each module imports."""
        return {name: set(self._imported(name)) - {name} for name in self.trees}

    def _imported(self, module: str) -> Iterator[str]:
        for node in ast.walk(self.trees[module]):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names if alias.name in self.trees)
            elif isinstance(node, ast.ImportFrom):
                home = self._home(module, node)
                for alias in node.names:
                    inner = f"{home}.{alias.name}"
                    if inner in self.trees or home in self.trees:
                        yield inner if inner in self.trees else home

    def _home(self, module: str, node: ast.ImportFrom) -> str:
        """The module that is imported from, dots at its beginning resolved."""
        if not node.level:
            return node.module or ""
        is_package = (self.root / "src" / Path(*module.split(".")) / "__init__.py").exists()
        parts = module.split(".")[: None if is_package and node.level == 1 else is_package - node.level]
        return ".".join([*parts, *([node.module] if node.module else [])])

    @cached_property
    def lines(self) -> list[str]:
        files = (self.root / "src" / "seepage").rglob("*.py")
        return [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]

    @property
    def n_classes(self) -> int:
        return sum(isinstance(node, ast.ClassDef) for tree in self.trees.values() for node in ast.walk(tree))

    def circles(self) -> list[list[str]]:
        """Modules that reach each other, the largest circle first."""
        reached = {name: self._reached(name) for name in self.trees}
        found = {frozenset(other for other in there if name in reached[other]) for name, there in reached.items()}
        return sorted(
            (sorted(circle) for circle in found if len(circle) > 1), key=lambda circle: (-len(circle), circle)
        )

    def _reached(self, name: str) -> set[str]:
        found, waiting = set(), [name]
        while waiting:
            for other in self.imports[waiting.pop()] - found:
                found.add(other)
                waiting.append(other)
        return found

    def arrows(self) -> list[tuple[str, str]]:
        pairs = {(self._part(a), self._part(b)) for a, imported in self.imports.items() for b in imported}
        return sorted(pair for pair in pairs if len(set(pair)) == 2)

    def _part(self, module: str) -> str:
        part = (*module.split("."), "")[1]
        return part if part and (self.root / "src/seepage" / part).is_dir() else "."

    def parameters(self) -> dict[str, int]:
        """How many parameters each function of the facade has; classes and constants are left out."""
        homes = {}
        for node in self.trees["seepage"].body:
            if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "_HOMES" for target in node.targets):
                homes = ast.literal_eval(node.value)
        found = {name: self._function(home, name) for name, home in homes.items()}
        for name in self.trees:
            if name.endswith(".trust.study"):  # a verb of the command line that was never part of the facade
                found["trust"] = self._function(name, "study")
        return {name: _n_parameters(function) for name, function in found.items() if function}

    def _function(self, module: str, name: str) -> ast.FunctionDef | None:
        """The definition that a name of a module stands for, wherever it is imported from."""
        for node in ast.walk(self.trees.get(module, ast.Module([], []))):
            if isinstance(node, ast.FunctionDef) and node.name == name:
                return node
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return self._function(self._home(module, node), alias.name)
        return None

    def touched(self) -> dict[str, list[str]]:
        """For each kind of thing, the files that name the example."""
        found: dict[str, list[str]] = {kind: [] for kind in EXAMPLES}
        for folder in ("src", "tests", "docs"):
            for path in sorted((self.root / folder).rglob("*")):
                place = path.relative_to(self.root).as_posix()
                if path.suffix not in (".py", ".md", ".json", ".toml", ".html", ".txt") or place.startswith(FIGURES):
                    continue
                words = _words(path)
                for kind, example in EXAMPLES.items():
                    looked_at = folder in example.folders and not place.startswith(example.own)
                    if looked_at and words.intersection(example.names):
                        found[kind].append(place)
        return {kind: places for kind, places in found.items() if places}


def _n_parameters(function: ast.FunctionDef) -> int:
    given = function.args
    return len(given.posonlyargs + given.args + given.kwonlyargs) + bool(given.vararg) + bool(given.kwarg)


def _words(path: Path) -> set[str]:
    """The identifiers and whole strings of a .py file, what is quoted as code in any other: prose has its own words."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if path.suffix != ".py":
        return set(re.findall(r"""[`"']([\w./-]+)[`"']""", text))
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        names = [getattr(node, field, None) for field in ("id", "attr", "name", "arg", "module", "value")]
        for name in filter(lambda name: isinstance(name, str), names):
            found |= {name, *name.split(".")} if not isinstance(node, ast.Constant) else {name}
    return found


def pyright_errors(root: Path) -> dict[str, int] | str:
    """Errors by folder, or why there are none to tell."""
    with tempfile.TemporaryDirectory() as folder:  # where no settings of a project are found but these
        settings = {"extraPaths": [str(root / "src")], "typeCheckingMode": "standard"}
        (Path(folder) / "pyrightconfig.json").write_text(json.dumps(settings))
        tool = [program] if (program := shutil.which("pyright")) else [sys.executable, "-m", "pyright"]
        words = ["--outputjson", "--pythonpath", sys.executable, str(root / "src" / "seepage")]
        found = subprocess.run([*tool, *words], cwd=folder, capture_output=True, text=True, check=False)
    try:
        told = json.loads(found.stdout)
        if not told["summary"]["filesAnalyzed"]:
            return "not counted: pyright found no files"
    except (ValueError, KeyError):
        reason = (found.stderr or found.stdout).strip().splitlines() or ["it said nothing"]
        return f"not counted: {reason[-1]}"
    counts: Counter[str] = Counter()
    for one in told["generalDiagnostics"]:
        if one["severity"] == "error":
            parts = Path(one["file"]).relative_to(root / "src" / "seepage").parts
            counts[parts[0] if len(parts) > 1 else "."] += 1
    return {"all": sum(counts.values())} | dict(sorted(counts.items()))


def figures(root: Path, *, pyright: bool) -> dict[str, object]:
    """Every figure by its name, in the order in which they are printed."""
    house = House(root)
    circles, arrows = house.circles(), house.arrows()
    found: dict[str, object] = {
        "lines": len(house.lines),
        "lines that are not blank": sum(bool(line.strip()) for line in house.lines),
        "classes": house.n_classes,
        "modules": len(house.trees),
        "import circles": len(circles),
        "modules in circles": sum(map(len, circles)),
        "arrows between folders": len(arrows),
        "arrows without '.'": sum("." not in pair for pair in arrows),
    }
    found |= {f"parameters of {name}": n for name, n in house.parameters().items()}
    found |= {f"files to touch: {kind}": len(places) for kind, places in house.touched().items()}
    if pyright:
        errors = pyright_errors(root)
        if isinstance(errors, str):
            print(f"pyright errors {errors}", file=sys.stderr)
        else:
            found |= {f"pyright errors: {folder}": n for folder, n in errors.items()}
    return found


def details(root: Path) -> Iterator[str]:
    house = House(root)
    for circle in house.circles():
        yield f"circle of {len(circle)}: {', '.join(circle)}"
    for one, other in house.arrows():
        yield f"arrow: {one} -> {other}"
    for kind, places in house.touched().items():
        yield f"{kind} ({', '.join(EXAMPLES[kind].names)}):" + "".join(f"\n    {place}" for place in places)


def start_times(roots: dict[str, Path], *, demo: bool) -> dict[str, dict[str, float]]:
    """Median seconds of each start in each checkout; the checkouts take turns, so that both meet the same machine."""
    found = {start: _by_turns(words, roots, N_STARTS) for start, words in STARTS.items()}
    return found | ({" ".join(DEMO[2:5]): _by_turns(DEMO, roots, N_DEMOS)} if demo else {})


def _by_turns(words: list[str], roots: dict[str, Path], n_turns: int) -> dict[str, float]:
    seconds: dict[str, list[float]] = {name: [] for name in roots}
    for turn in range(n_turns + 1):
        for name, root in roots.items():
            environment = {**os.environ, "PYTHONPATH": str(root / "src")}
            begun = time.perf_counter()
            with tempfile.TemporaryDirectory() as empty:  # a demo that was made before would only be read again
                subprocess.run(
                    [sys.executable, *[word.replace(OUT, f"{empty}/out") for word in words]],
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    check=True,
                )
                if turn:  # the first one fills the caches
                    seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(times) for name, times in seconds.items()}


def table(columns: dict[str, dict[str, object]]) -> str:
    """One row a figure, one column a checkout; '-' where a checkout has no such figure."""
    rows = list(dict.fromkeys(row for column in columns.values() for row in column))
    cells = [["", *columns], *([row, *(_cell(column.get(row, "-")) for column in columns.values())] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  " + "  ".join(f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))
        for row in cells
    )


def _cell(value: object) -> str:
    return f"{value:.3f} s" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def checkout(text: str) -> Path:
    root = Path(text).resolve()
    if not (root / "src" / "seepage" / "__init__.py").is_file():
        raise argparse.ArgumentTypeError(f"{text}: expected a checkout with src/seepage")
    return root


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = str(Path(__file__).parent.parent)
    parser.add_argument("root", nargs="?", type=checkout, default=here, metavar="ROOT", help="default: this checkout")
    parser.add_argument("--against", type=checkout, metavar="OLD_ROOT", help="print its figures beside")
    parser.add_argument("--startup", type=checkout, metavar="OLD_ROOT", help="measure how long both take to start")
    parser.add_argument("--demo", action="store_true", help="with --startup: the demo too, some minutes")
    parser.add_argument("--no-pyright", action="store_true", help="leave out what takes a minute")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="name circles, arrows and files")
    options = parser.parse_args()
    old = options.startup or options.against
    roots = ({"before": old} if old else {}) | {"after" if old else "figure": options.root}
    if options.startup:
        times = start_times(roots, demo=options.demo)
        columns = {name: {start: by_name[name] for start, by_name in times.items()} for name in roots}
    else:
        columns = {name: figures(root, pyright=not options.no_pyright) for name, root in roots.items()}
    print(json.dumps(columns, indent=1) if options.json else table(columns))
    if options.verbose and not options.startup:
        print("", *details(options.root), sep="\n")


if __name__ == "__main__":
    main()
