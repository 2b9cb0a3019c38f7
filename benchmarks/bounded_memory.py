"""How much memory hard inputs take: many classes, many models, and files that unpack to far more than they weigh.

    python3 benchmarks/bounded_memory.py

Each line runs in a process of its own; the peak is that process's resident memory, of which importing takes the first
line's. A file that is refused says so in one error.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

from seepage.data import read_file


def nothing(folder):
    import seepage  # noqa: F401


def classes_of_outputs(folder, n=1000, k=30_000):
    """Probabilities of 30,000 classes for 1,000 records, every attack that fits."""
    import seepage

    rng = np.random.default_rng(0)
    labels, member = rng.integers(0, k, n), rng.random(n) < 0.5
    probs = rng.random((n, 1, k), dtype=np.float32)
    probs[np.arange(n), 0, labels] += 1000 * member
    probs /= probs.sum(axis=2, keepdims=True)
    return seepage.audit_outputs({"probs": probs, "labels": labels, "membership": member[:, None]}).verdict


def classes_of_an_estimator(folder, n=1000, k=30_000):
    """The same from an estimator, asked in batches."""
    import seepage

    class Estimator:
        classes_ = np.arange(k)

        def predict_proba(self, x):
            p = np.full((len(x), k), 1 / k)
            p[np.arange(len(x)), x[:, 0].astype(int)] += x[:, 1]
            return p / p.sum(axis=1, keepdims=True)

    rng = np.random.default_rng(0)
    labels, member = rng.integers(0, k, n), rng.random(n) < 0.5
    x = np.c_[labels, rng.random(n)]
    lists = {"members": (x[member], labels[member]), "nonmembers": (x[~member], labels[~member])}
    return seepage.audit(Estimator(), **lists).verdict


def codes_as_labels(folder, n=1000):
    """Two classes whose codes are 2**40 and -7."""
    from sklearn.ensemble import RandomForestClassifier

    import seepage

    rng = np.random.default_rng(0)
    x, member = rng.normal(size=(n, 4)), rng.random(n) < 0.5
    y = np.where(x[:, 0] + rng.normal(size=n) > 0, 2**40, -7)
    model = RandomForestClassifier(10, random_state=0).fit(x[member], y[member])
    return seepage.audit(model, members=(x[member], y[member]), nonmembers=(x[~member], y[~member])).verdict


def models(folder, n=100_000, n_models=9, k=10):
    """Outputs of a target and eight references on 100,000 records."""
    import seepage

    rng = np.random.default_rng(0)
    labels, member = rng.integers(0, k, n), rng.random((n, n_models)) < 0.5
    logits = rng.normal(size=(n, n_models, k)).astype(np.float32)
    logits[np.arange(n)[:, None], np.arange(n_models), labels[:, None]] += member
    path = folder / "outputs.npz"
    np.savez(path, logits=logits, labels=labels, membership=member)
    del logits
    return seepage.audit_outputs(path).verdict


def refused(path):
    """What is said of a file of records that holds more than 1 GiB."""
    import seepage

    try:
        read_file(path, max_bytes=2**30)
    except seepage.SeepageError as error:
        return f"{path.stat().st_size / 1e6:.1f} MB, refused: {str(error).replace(str(path.parent), '')}"


def packed_arrays(folder):
    """An .npz of 3 MB that unpacks to 3 GB, read with a limit of 1 GiB; its directory tells the truth."""

    path = folder / "bomb.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("inputs.npy", "w", force_zip64=True) as file,
    ):
        header = {"descr": "<f4", "fortran_order": False, "shape": (750_000, 1000)}
        np.lib.format.write_array_header_1_0(file, header)
        for _ in range(3000):
            file.write(bytes(10**6))
    return refused(path)


def packed_table(folder):
    """A .parquet of little weight that decodes to 4 GB."""
    import pyarrow
    import pyarrow.parquet

    path = folder / "bomb.parquet"
    column = pyarrow.array(np.zeros(10_000_000))
    with pyarrow.parquet.ParquetWriter(path, pyarrow.schema([("x", pyarrow.float64())])) as writer:
        for _ in range(50):
            writer.write_table(pyarrow.table({"x": column}))
    return refused(path)


def nested_yaml(folder):
    """A configuration of half a kilobyte whose aliases expand to billions of entries."""
    import seepage
    from seepage.cli.specs.audit import AuditConfig

    path = folder / "bomb.yaml"
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    path.write_text("\n".join(lines))
    try:
        AuditConfig.read(path, {})
    except seepage.SeepageError as error:
        return f"{path.stat().st_size} bytes, refused: {str(error).replace(str(folder), '')}"


def long_result(folder):
    """A result.json of 36 MB: one whose list of records was blown up."""
    import seepage

    rng = np.random.default_rng(0)
    member, labels = rng.random(200) < 0.5, rng.integers(0, 3, 200)
    outputs = {"logits": rng.normal(size=(200, 1, 3)), "labels": labels, "membership": member[:, None]}
    seepage.audit_outputs(outputs, attacker=seepage.Attacker(attacks=["loss"])).save(folder / "result.json")
    content = json.loads((folder / "result.json").read_text())
    content["records"] = content["records"] * (36_000_000 // len(json.dumps(content["records"])))
    (folder / "result.json").write_text(json.dumps(content))
    try:
        seepage.AuditResult.load(folder / "result.json").report(folder / "report.html")
    except seepage.SeepageError as error:
        return f"{(folder / 'result.json').stat().st_size / 1e6:.0f} MB, refused: {str(error).replace(str(folder), '')}"


CASES = [
    nothing, classes_of_outputs, classes_of_an_estimator, codes_as_labels, models, packed_arrays, packed_table,
    nested_yaml, long_result,
]  # fmt: skip


def main() -> None:
    print("| what | peak memory, GiB | seconds | outcome |\n| --- | --- | --- | --- |")
    for case in CASES:
        command = [sys.executable, "-W", "ignore", __file__, case.__name__]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"| {case.__name__} | | | failed: {done.stderr.strip().splitlines()[-1]} |", flush=True)
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        text = (case.__doc__ or "importing the package").strip().splitlines()[0]
        print(f"| {text} | {found['peak']:.2f} | {found['seconds']:.1f} | {found['outcome'] or ''} |", flush=True)


def one(name: str) -> None:
    case = next(case for case in CASES if case.__name__ == name)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        outcome = case(Path(folder))
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"peak": peak, "seconds": seconds, "outcome": outcome}))


if __name__ == "__main__":
    one(sys.argv[1]) if len(sys.argv) > 1 else main()
