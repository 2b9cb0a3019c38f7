"""Do two checkouts give the same numbers? Small runs of every verb and example, compared to the last bit.

    python benchmarks/same_numbers.py BEFORE AFTER                  # two checkouts of this repository
    python benchmarks/same_numbers.py BEFORE AFTER --only compare,examples/digits_defences
    python benchmarks/same_numbers.py BEFORE                        # carry out the runs of one, compare nothing
    python benchmarks/same_numbers.py BEFORE BEFORE --again         # is a run the same the second time?
    python benchmarks/same_numbers.py --list

Each run is a process of its own with one thread, the seed and the clock fixed (`same/inputs.py`), in a folder below
--work. A run that is done there is not repeated while the source of its checkout and its own commands stay the same.
Runs that need a data set which is not in the cache are named and left out.

What is saved is compared (JSON, arrays, weights, tables): numbers and digests exactly, words apart; words that hold
other numbers count as numbers. `same/saved.py` lists what is ignored, and where values have moved. Exit status 1: some
number differs, stands on one side only, or a run failed.
"""

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from same.examples import EXAMPLES
from same.inputs import make_inputs
from same.run import Run
from same.saved import Difference, differences, read
from same.verbs import VERBS

RUNS = VERBS | EXAMPLES
SHOWN = 40  # differences of one kind and run that are printed; --all prints every one
TIME_LIMIT_S = 900


def main() -> int:
    options = parse()
    chosen = {name: RUNS[name] for name in options.only} if options.only else RUNS
    if options.list:
        print("\n".join(f"{name}: {'; '.join(run.commands)}" for name, run in chosen.items()))
        return 0
    make_inputs(options.work / "inputs")
    absent = {name: lacking for name, run in chosen.items() if (lacking := [s for s in run.needs if not cached(s)])}
    n_bad, totals = 0, [0.0, 0.0]
    for name, run in chosen.items():
        if name in absent:
            continue
        folders = [
            carried_out(name, run, root, options.work, after=bool(place), again=options.again and bool(place))
            for place, root in enumerate(options.roots)
        ]
        records = [json.loads(record_of(folder).read_text()) for folder in folders]
        totals = [total + record["seconds"] for total, record in zip(totals, records, strict=False)]
        times = " and ".join(f"{record['seconds']:.0f} s" for record in records)
        if failed := [folder for folder, record in zip(folders, records, strict=True) if record["status"]]:
            n_bad += 1
            print(f"{name} ({times}): FAILED, see {failed[0] / 'stderr.txt'}", flush=True)
        elif len(folders) == 2:
            n_bad += compared(name, times, *folders, every=options.all)
        else:
            print(f"{name} ({times})", flush=True)
    for name, lacking in absent.items():
        print(f"{name}: not run, {', '.join(lacking)} not in the data cache")
    times = " and ".join(f"{total:.0f} s" for total in totals[: len(options.roots)])
    print(f"\n{len(chosen) - len(absent)} runs ({times}); {n_bad} failed or not the same")
    return int(n_bad > 0)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("roots", nargs="*", type=Path, metavar="ROOT", help="a checkout before, and one after")
    parser.add_argument("--only", type=lambda text: text.split(","), help="names of runs, separated by commas")
    parser.add_argument("--work", type=Path, default=Path("same-numbers"), help="folder for the runs")
    parser.add_argument("--again", action="store_true", help="carry out the second checkout's runs apart")
    parser.add_argument("--all", action="store_true", help="print every difference")
    parser.add_argument("--list", action="store_true", help="print the runs and their commands")
    options = parser.parse_args()
    if unknown := [name for name in options.only or () if name not in RUNS]:
        parser.error(f"there is no run {', '.join(unknown)}: choose from {', '.join(RUNS)}")
    if not options.list and len(options.roots) not in (1, 2):
        parser.error("give one checkout or two")
    for root in options.roots:
        if not (root / "src" / "seepage").is_dir():
            parser.error(f"{root}: expected a checkout with src/seepage")
    options.work = options.work.resolve()
    options.roots = [root.resolve() for root in options.roots]
    return options


def cached(data_set: str) -> bool:
    folder = Path(os.environ.get("SEEPAGE_DATA", "~/.cache/seepage")).expanduser() / data_set
    return folder.is_dir() and any(folder.iterdir())


def carried_out(name: str, run: Run, root: Path, work: Path, *, after: bool, again: bool) -> Path:
    """The folder of a run, which is done now if it was not before."""
    commands, files = run.written(root, after=after)
    side = source_digest(root) + ("-again" if again else "")
    folder = work / side / name.replace("/", "-")
    definition = json.dumps([commands, files])
    done = record_of(folder)
    if done.exists() and json.loads(done.read_text())["definition"] == definition:
        return folder
    done.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, text in files.items():
        (folder / file).write_text(text)
    started = time.perf_counter()
    status = 0
    for place, command in enumerate(commands):
        status = status or carry_out(command, root, work / "inputs" / "fixed", folder, place)
    record = {"definition": definition, "status": status, "seconds": time.perf_counter() - started}
    done.write_text(json.dumps(record))
    return folder


def record_of(folder: Path) -> Path:
    """Where it is noted that a run is done: beside its folder, for what is in there is compared."""
    return folder.with_name(f"{folder.name}.done")


def carry_out(command: str, root: Path, fixed: Path, folder: Path, place: int) -> int:
    """Run one command in the folder; what it prints is kept, as JSON where it is asked for."""
    program, *words = shlex.split(command)
    words = ["-m", "seepage", *words] if program == "seepage" else words
    path = os.pathsep.join([str(root / "src"), str(fixed)])
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    printed = folder / f"printed-{place}.{'json' if '--json' in words else 'txt'}"
    with printed.open("w") as out, (folder / "stderr.txt").open("a") as errors:
        try:
            return subprocess.run(
                [sys.executable, *words],
                cwd=folder,
                env={**os.environ, **one_thread, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": ""},
                stdout=out,
                stderr=errors,
                timeout=TIME_LIMIT_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            errors.write(f"more than {TIME_LIMIT_S} s\n")
            return 124


def source_digest(root: Path) -> str:
    """Of all files of the package: runs of other sources are other runs."""
    found = hashlib.sha256()
    for file in sorted((root / "src" / "seepage").rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            found.update(f"{file.relative_to(root)}\0".encode() + file.read_bytes())
    return found.hexdigest()[:12]


def compared(name: str, times: str, before: Path, after: Path, *, every: bool) -> bool:
    """Print how two folders of a run differ; whether a number does."""
    one, other = read(before), read(after)
    found = differences(one, other)
    counts = Counter(difference.kind for difference in found)
    told = ", ".join(f"{n} {kind}" for kind, n in counts.items()) or "the same"
    print(f"{name} ({times}): {len(one):,} values; {told}", flush=True)
    shown: Counter[str] = Counter()
    for difference in found:
        shown[difference.kind] += 1
        if every or shown[difference.kind] <= SHOWN:
            print(f"  {line(difference)}")
    return bool(counts.keys() - {"words"})


def line(difference: Difference) -> str:
    if difference.kind.startswith("only"):
        value = difference.before if difference.kind == "only before" else difference.after
        return f"{difference.kind}: {difference.path} = {value!r}"
    relative = "" if difference.relative is None else f" (relative {difference.relative:.1e})"
    return f"{difference.kind}: {difference.path}: {difference.before!r} -> {difference.after!r}{relative}"


if __name__ == "__main__":
    sys.exit(main())
