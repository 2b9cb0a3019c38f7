"""Every reader with a sound file of its own: what stands in it, how it is damaged, how it is opened."""

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch

from seepage.cli.specs import AuditConfig, CompareConfig, InvertConfig, SynthesiseConfig
from seepage.data import read_file
from seepage.data.adult import COLUMNS, _rows
from seepage.data.archives import place
from seepage.data.cache import Folder, Original
from seepage.data.cifar import _records
from seepage.data.faces import _coordinates
from seepage.data.files import read_arrays
from seepage.data.grey import read_pgm
from seepage.data.idx import read_idx
from seepage.data.quickdraw import read_quickdraw
from seepage.data.shokri import _labelled_rows
from seepage.inversion.priors.adapters import DCGANPrior
from seepage.models.architectures import MLP
from seepage.models.files import load_model
from seepage.models.generators.gan import Generator, Images
from seepage.report.render import html, markdown
from seepage.schema.reading import load_result
from tests.models.graphs import graph
from tests.readers.mutants import damaged, damaged_inside, reshaped, reworded
from tests.readers.trust_made import trust
from tests.report.example_comparison import comparison
from tests.report.example_results import leak, outputs_only
from tests.report.inversion_made import inversion


@dataclass(frozen=True)
class Reader:
    """A kind of file: its name, a sound one, how to open it, and the ways to damage one.

    `share` says how often it is tried beside the others; those that start a process or draw pages take longer.
    """

    file: str
    content: Callable[[], bytes]
    open: Callable[[Path], object]
    ways: tuple[Callable, ...] = (damaged,)
    share: float = 1.0


def _saved(write: Callable) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _npz(compress: bool) -> bytes:
    arrays = {"inputs": _rng().normal(size=(20, 3)).astype(np.float32), "labels": np.arange(20) % 3,
              "ids": np.arange(20).astype(str), "groups": np.repeat(["a", "b"], 10)}  # fmt: skip
    return _saved(lambda file: (np.savez_compressed if compress else np.savez)(file, **arrays))


def _npy(dtype: type) -> bytes:
    return _saved(lambda file: np.save(file, _rng().random((20, 3), dtype)))


def _csv(text: bool) -> bytes:
    rng = _rng()
    if not text:
        return b"id,a,b,y\n" + b"".join(b"%d,%.3f,%.3f,%d\n" % (k, *rng.normal(size=2), k % 2) for k in range(20))
    return b"id,town,age,y\n" + b"".join(
        b'%d,"Bern, %d",%d,%s\n' % (k, k % 3, 20 + k, b"no" if k % 2 else b"yes") for k in range(20)
    )


def _parquet() -> bytes:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra 'parquet')")
    parquet = pytest.importorskip("pyarrow.parquet")
    towns = pyarrow.array(["Bern", "Oslo", None, "Rome"] * 5).dictionary_encode()
    table = pyarrow.table(
        {"age": np.arange(20), "size": _rng().normal(size=20), "town": towns, "y": ["no", "yes"] * 10}
    )
    return _saved(lambda file: parquet.write_table(table, file))


def _yaml(text: str) -> bytes:
    return text.encode()


AUDIT = """# an audit
data: {file: records.csv, options: {label: income}, limit: 1000}
recipe:
  architecture: mlp
  options: {widths: [64, 32]}
  optimiser: {name: adam, options: {lr: 1.0e-3, betas: [0.9, 0.999]}}
  epochs: 50
  batch_size: 64
  best_validation: {patience: 5, least_gain: 0.001}
references: 64
attacks: [loss, "lira-online", rmia-online]
rates: [0.1, 0.01, 0.001]
alpha: 0.05
seed: 7
out: "out"
"""
INVERT = """data: {name: orl-faces}
public: {name: quickdraw}
targets:
  - {name: undefended}
  - {name: tl-dmi, options: {frozen: 3}, sweep: false, label: "frozen"}
attacks:
  - {name: gmi, options: {lr: 0.02}}
budget: {steps: 200, restarts: 1}
seeds: [0, 1]
private: 20
"""
COMPARE = """data: {name: digits, limit: 500}
recipe: {epochs: 5}
defences:
  - {name: hamp, options: {alpha: 0.5}, recipe: &twice {epochs: 3, options: {hidden: [5]}}}
  - {name: dp-sgd, recipe: *twice}
seeds: [0, 1, 2]
floor: 0.02
rate: 0.01
"""
SHADOW = (
    "data: {name: digits}\nrecipe: {epochs: 5}\ndefences: [{name: l2}]\n"
    "shadow_study: {far: [quickdraw], near: [warped], doublings: 20, strict_rate: 0.01}\n"
)
SYNTHESISE = "data: {name: digits}\nepsilon: .inf\nlatent: 16\nlabels: kept\nclip: 3.5\nepochs: 10\n"


def _weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return MLP((4,), 3, hidden=(5,)).state_dict()


def _safetensors() -> bytes:
    import safetensors.torch

    return safetensors.torch.save(_weights())


def _model(path: Path) -> object:
    return load_model(path, architecture="mlp", options={"hidden": (5,)}, input_shape=(4,), n_classes=3)


def _asked(path: Path) -> object:
    loaded = load_model(path, memory_bytes=2 << 30, batch_time_s=5)
    loaded.model.close()
    return loaded


def _lightgbm() -> bytes:
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed (extra 'tabular')")
    inputs = _rng().normal(size=(60, 4))
    data = lightgbm.Dataset(inputs, (inputs[:, 0] > 0).astype(int))
    return lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1}, data, 3).model_to_string().encode()


def _onnx() -> bytes:
    return graph([("MatMul", ["x", "w"], ["y"])], weights=[("w", _rng().normal(size=(4, 3)).astype(np.float32))])


def _generator(folder: Path) -> bytes:
    torch.manual_seed(0)
    Generator(Images((1, 8, 8), 2, 4)).save(folder / "g.safetensors")
    return (folder / "g.safetensors").read_bytes()


def _dcgan() -> bytes:
    state = {"main.0.weight": torch.zeros(4, 3, 4, 4), "main.3.weight": torch.zeros(3, 1, 4, 4)}
    state |= {f"main.1.{name}": torch.ones(3) for name in ("weight", "bias", "running_mean", "running_var")}
    state["main.1.num_batches_tracked"] = torch.tensor(0)
    return _saved(lambda file: torch.save({"netG_state_dict": state}, file))


def _idx() -> bytes:
    return b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in (5, 6, 6)) + _rng().bytes(180)


def _tar(**members: bytes) -> bytes:
    def write(file):
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

    return _saved(write)


def _zip(**members: bytes) -> bytes:
    def write(file):
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    return _saved(write)


def _quickdraw() -> bytes:
    lines = [json.dumps((_rng().random(784).round(2)).tolist()) for _ in range(3)]
    return gzip.compress("\n".join(lines).encode())


def _adult() -> bytes:
    row = ", ".join(["39", "Private", "77516", *["x"] * (len(COLUMNS) - 3)])
    return f"{row}, <=50K\n{row}, >50K.\n".encode() * 5


def _placed(path: Path) -> object:
    return place(Folder(path.parent, verify=False), Original(path.name), r"d/(\w+\.pgm)")


def _drawn(path: Path) -> object:
    result = load_result(path)
    markdown(result), html(result), str(result)
    return result


def _in_terminal(path: Path) -> object:
    """All but the figures, which take a second to draw."""
    from seepage.cli.command import show

    result = load_result(path)
    markdown(result), str(result)
    if hasattr(result, "verdict"):
        show(result)
    return result


def _small_audit() -> bytes:
    whole = leak(n=120)
    return (
        whole.model_copy(
            update={"attacks": whole.attacks[:3], "records": whole.records[:2], "classes": whole.classes[:3]}
        )
        .to_json()
        .encode()
    )


def _small_comparison() -> bytes:
    whole = comparison()
    names = {one.name for one in whole.defences[:3]}
    kept = {name: [one for one in getattr(whole, name) if one in names] for name in ("frontier", "frontier_auc")}
    kept["matched"] = [one for one in whole.matched if one.name in names]
    return whole.model_copy(update={"defences": whole.defences[:3], **kept}).to_json().encode()


def _small_inversion() -> bytes:
    return inversion(shown=True).to_json().encode()


PICTURES = {"d/a.pgm": bytes(99), "d/b.pgm": bytes(50)}
PACKED = (damaged_inside, damaged_inside, damaged)
TEXT = (reworded, damaged)
TREE = (reshaped, reshaped, reshaped, reworded)


@cache
def readers(folder: Path) -> dict[str, Reader]:
    """By name. `folder` is scratch."""
    table = partial(read_file, label="y", id="id")
    results = {"audit": _small_audit, "outputs": lambda: outputs_only().to_json().encode(),
               "comparison": _small_comparison, "inversion": _small_inversion,
               "trust": lambda: trust().to_json().encode()}  # fmt: skip
    configs = {"audit": (AuditConfig, AUDIT), "invert": (InvertConfig, INVERT), "compare": (CompareConfig, COMPARE),
               "shadow": (CompareConfig, SHADOW), "synthesise": (SynthesiseConfig, SYNTHESISE)}  # fmt: skip
    return {
        "npz": Reader("d.npz", partial(_npz, False), read_file, PACKED),
        "npz, compressed": Reader("d.npz", partial(_npz, True), read_file, PACKED),
        "npz of outputs": Reader("d.npz", partial(_npz, False), read_arrays, PACKED),
        "npy": Reader("d.npy", partial(_npy, np.float32), read_file),
        "npy, float64": Reader("d.npy", partial(_npy, np.float64), read_file),
        "csv of numbers": Reader("d.csv", partial(_csv, False), table, TEXT),
        "csv of text": Reader("d.csv", partial(_csv, True), table, TEXT),
        "parquet": Reader("d.parquet", _parquet, partial(read_file, label="y"), share=2),
        **{
            f"yaml: {name}": Reader("c.yaml", partial(_yaml, text), lambda path, kind=kind: kind.read(path, {}), TEXT)
            for name, (kind, text) in configs.items()
        },
        "safetensors": Reader("m.safetensors", _safetensors, _model),
        "state dict": Reader("m.pt", lambda: _saved(lambda file: torch.save(_weights(), file)), _model, PACKED, 2),
        "lightgbm": Reader("m.txt", _lightgbm, _asked, TEXT, share=0.15),
        "onnx": Reader("m.onnx", _onnx, _asked, share=0.15),
        "generator": Reader("g.safetensors", lambda: _generator(folder), Generator.load),
        "dcgan": Reader("g.pt", _dcgan, lambda path: DCGANPrior.load(path, (1, 8, 8)), PACKED),
        "idx": Reader("i-ubyte", _idx, read_idx, share=0.5),
        "idx, gzipped": Reader("i-ubyte.gz", lambda: gzip.compress(_idx()), read_idx, PACKED, 0.5),
        "cifar": Reader("b.bin", lambda: _rng().bytes(2 * 3073), lambda path: _records(path, 1), share=0.2),
        "pgm": Reader("p.pgm", lambda: b"P5 6 5 255\n" + bytes(30), read_pgm, share=0.5),
        "coordinates": Reader("c.txt", lambda: b"00001aa 10 20 30 20\n00001ab 11 20 31 22\n", _coordinates, TEXT, 0.5),
        "quickdraw": Reader("cat.ndjson.gz", _quickdraw, lambda path: read_quickdraw(Folder(path.parent)), PACKED, 0.5),
        "adult": Reader("adult.data", _adult, _rows, TEXT, 0.5),
        "tar of rows": Reader("b.tgz", lambda: _tar(bangkok=b'"1",0,1\n"2",1,1\n' * 9),
                              lambda path: _labelled_rows(path, "bangkok"), PACKED, 0.5),
        "tar of pictures": Reader("d.tgz", lambda: _tar(**PICTURES), _placed, PACKED, 0.5),
        "zip of pictures": Reader("d.zip", lambda: _zip(**PICTURES), _placed, PACKED, 0.5),
        **{
            f"result: {name}": Reader("result.json", content, _in_terminal, TREE, 1.5)
            for name, content in results.items()
        },
        **{
            f"page: {name}": Reader("result.json", content, _drawn, (reshaped,), 0.2)
            for name, content in results.items()
        },
    }  # fmt: skip
