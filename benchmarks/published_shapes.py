"""HAMP's comparison on Purchase100 and Texas100, on made files of the true shape: does it run, and what does it take?

    python3 benchmarks/published_shapes.py                      both: about twenty minutes on one core
    python3 benchmarks/published_shapes.py texas100 --rows hamp,dmp

The archives are written in the format of the originals, with as many records, features and classes. Then each row of
examples/hamp/NAME.yaml trains one model on as many members as there, in a process of its own, and answers 1,000
records. One epoch (adversarial regularisation 1.1, as its first is a plain one); what only repeats is cut: 3
sub-models of SELENA, 1 epoch of its and DMP's students and of MemGuard's classifier. DMP makes all its records.
"""

import argparse
import io
import multiprocessing
import resource
import tarfile
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import seepage
from seepage.cli.specs.compare import CompareConfig
from seepage.cli.specs.parts import RecipeConfig, as_tuples

EXAMPLES = Path(__file__).parents[1] / "examples" / "hamp"
SHAPES = {"purchase100": (197_324, 600), "texas100": (67_330, 6169)}
N_CLASSES, BLOCK, N_ASKED = 100, 5000, 1000
CUT = {
    "selena": {"sub_models": 3, "left_out": 1, "student_epochs": 1},
    "dmp": {"student_epochs": 1},
    "memguard": {"epochs": 1},
}


def main() -> None:
    options = parse()
    for name in options.names or SHAPES:
        started = time.perf_counter()
        make(name, options.folder / name)
        made = time.perf_counter()
        pool = seepage.load(name, cache=options.folder, verify=False)
        assert pool.inputs.shape == SHAPES[name]
        spent = f"written in {made - started:.0f} s, read in {time.perf_counter() - made:.0f} s"
        print(f"\n{name} {pool.inputs.shape}: {spent}, with a peak of {peak():.1f} GiB", flush=True)
        config = CompareConfig.read(EXAMPLES / f"{name}.yaml", {})
        pool = pool.subset(np.sort(np.random.default_rng(0).choice(len(pool), config.data.limit, replace=False)))
        print("| row | train, s | answer 1,000, s | peak, GiB |\n|---|---|---|---|")
        for label in ["undefended", *(row.label or row.name for row in config.defences)]:
            if options.rows is None or label in options.rows.split(","):
                inbox, outbox = multiprocessing.get_context("fork").Pipe(duplex=False)
                child = multiprocessing.get_context("fork").Process(target=one_row, args=(config, pool, label, outbox))
                child.start()
                outbox.close()
                train_s, answer_s, most = inbox.recv()
                child.join()
                print(f"| {label} | {train_s:.1f} | {answer_s:.1f} | {most:.1f} |", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(SHAPES)}; default: both")
    parser.add_argument("--rows", help="labels of rows, separated by commas; default: all")
    parser.add_argument("--folder", type=Path, default=Path("published-shapes"), help="where the files are written")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in SHAPES]:
        parser.error(f"expected names of {', '.join(SHAPES)}, got {', '.join(unknown)}")
    return options


def make(name: str, folder: Path) -> None:
    """The archive of a set, unless it is there: a tenth of the values are 1, more where the class has a liking."""
    path = folder / {"purchase100": "dataset_purchase.tgz", "texas100": "dataset_texas.tgz"}[name]
    if path.exists():
        return
    n, n_columns = SHAPES[name]
    rng = np.random.default_rng(0)
    labels, likings = rng.integers(0, N_CLASSES, n), rng.random((N_CLASSES, n_columns)) < 0.1
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with tarfile.open(part, "w:gz", compresslevel=1) as archive:
        with tempfile.NamedTemporaryFile(dir=path.parent) as text:
            for at, rows in blocks(labels, likings, rng):
                classes = [b"%d," % (k + 1) if name == "purchase100" else b"" for k in labels[at]]
                text.writelines(each for pair in zip(classes, rows, strict=True) for each in pair)
            text.flush()
            archive.add(text.name, "dataset_purchase" if name == "purchase100" else "texas/100/feats")
        if name == "texas100":
            classes = "".join(f"{k + 1}\n" for k in labels).encode()
            member = tarfile.TarInfo("texas/100/labels")
            member.size = len(classes)
            archive.addfile(member, io.BytesIO(classes))
    part.rename(path)


def blocks(labels, likings, rng):
    """Slices of the records, and their lines "0,1,...,0\\n"."""
    for start in range(0, len(labels), BLOCK):
        at = slice(start, min(start + BLOCK, len(labels)))
        bits = rng.random((at.stop - start, likings.shape[1]), dtype=np.float32) < 0.05 + 0.35 * likings[labels[at]]
        lines = np.full((len(bits), 2 * likings.shape[1]), ord(","), dtype=np.uint8)
        lines[:, ::2], lines[:, -1] = bits + ord("0"), ord("\n")
        yield at, [line.tobytes() for line in lines]


def one_row(config: CompareConfig, pool: seepage.Pool, label: str, outbox) -> None:
    """Train one model of a row, ask it, and send seconds and the peak of memory."""
    order = np.random.default_rng(1).permutation(len(pool))
    masks = {"validation": np.zeros(len(pool), bool), "population": np.zeros(len(pool), bool)}
    masks["validation"][order[: config.validation]] = True
    masks["population"][order[config.validation : config.validation + config.population]] = True
    members = np.zeros(len(pool), bool)
    members[order[config.validation + config.population :][::2]] = True
    recipe = config.recipe
    if label != "undefended":
        row = next(row for row in config.defences if (row.label or row.name) == label)
        recipe = RecipeConfig.of(recipe.model_dump(exclude_unset=True) | row.recipe, label)
    recipe = replace(recipe.recipe(), epochs=1.1 if label == "adversarial-regularisation" else 1)
    if label != "undefended":
        recipe = seepage.defended(recipe, row.name, **as_tuples((row.options or {}) | CUT.get(row.name, {})))
    started = time.perf_counter()
    module = seepage.train(recipe, pool, members, **masks, rng=0)
    trained = time.perf_counter()
    with torch.no_grad():
        logits = module(torch.from_numpy(pool.batch(np.arange(N_ASKED))))
    assert logits.shape == (N_ASKED, N_CLASSES)
    assert bool(logits.isfinite().all())
    outbox.send((trained - started, time.perf_counter() - trained, peak()))


def peak() -> float:
    """GiB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
