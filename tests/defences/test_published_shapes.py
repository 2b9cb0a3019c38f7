"""The published configurations, carried out on made records of the originals' width: nothing breaks on the way.

The files are in the very format of the originals. What only repeats is cut: epochs, references, sub-models, steps of a
generator, width and depth of the network. `benchmarks/published_shapes.py` has the true number of records and network.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

import seepage
from seepage.cli.specs.compare import CompareConfig
from seepage.cli.specs.complaints import section_from
from seepage.cli.specs.parts import RecipeConfig, as_tuples
from seepage.schema.audit import AuditResult
from tests.data.test_named_data import cifar_records, tgz, write

FOLDER = Path(__file__).parents[2] / "examples" / "hamp"
N_RECORDS, N_CLASSES = 240, {"purchase100": 100, "texas100": 100, "cifar10": 10, "cifar100": 100}
REPEATED = {
    "selena": {"sub_models": 3, "left_out": 1, "student_epochs": 1},
    "adversarial-regularisation": {"attack_steps": 2},
    "dmp": {"generator_steps": 2, "n_synthetic": 64, "student_epochs": 1},
    "memguard": {"epochs": 2},
}
SMALL = {"mlp": {"hidden": [16]}, "densenet-bc": {"depth": 10, "growth": 4}}


def make(name, folder, rng):
    """Files of a data set, by the layout of the originals."""
    labels = rng.permutation(np.arange(N_RECORDS) % N_CLASSES[name]).astype(np.uint8)
    if name == "purchase100":
        lines = [f"{label + 1}," + ",".join(map(str, row)) for label, row in zip(labels, bits(600, rng), strict=True)]
        return write(folder / name / "dataset_purchase.tgz", tgz(dataset_purchase="\n".join(lines).encode()))
    if name == "texas100":
        feats = "\n".join(",".join(map(str, row)) for row in bits(6169, rng)).encode()
        members = {"texas/100/feats": feats, "texas/100/labels": "\n".join(map(str, labels + 1)).encode()}
        return write(folder / name / "dataset_texas.tgz", tgz(**members))
    images = rng.integers(0, 256, (N_RECORDS, 3, 32, 32), dtype=np.uint8)
    if name == "cifar10":
        for part, rows in zip([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"], rows_of(6), strict=True):
            content = cifar_records(images[rows], labels[rows])
            write(folder / name / "cifar-10-batches-bin" / f"{part}.bin", content)
        return None
    names = {kind: "\n".join(f"{kind}-{k}" for k in range(n)) for kind, n in (("fine", 100), ("coarse", 20))}
    parts = {
        f"cifar-100-binary/{part}.bin": cifar_records(images[rows], labels[rows] // 5, labels[rows])
        for part, rows in zip(("train", "test"), rows_of(2), strict=True)
    }
    parts |= {f"cifar-100-binary/{kind}_label_names.txt": text.encode() for kind, text in names.items()}
    return write(folder / name / "cifar-100-binary.tar.gz", tgz(**parts))


def bits(n_columns, rng):
    return (rng.random((N_RECORDS, n_columns)) < 0.2).astype(int).tolist()


def rows_of(n_parts):
    return np.split(np.arange(N_RECORDS), n_parts)


def cut_down(name, folder):
    """The configuration, with everything that only repeats cut down."""
    config = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    config["data"] = {"name": name, "options": {"cache": str(folder), "verify": False}}
    config |= {"validation": 30, "population": 70, "references": 6, "out": str(folder / "out"), "workers": 0}
    config["recipe"]["options"] |= SMALL[config["recipe"]["architecture"]]
    for recipe in (config["recipe"], *(row.get("recipe", {}) for row in config["defences"])):
        recipe["epochs"] = 1
        recipe["batch_size"] = min(recipe.get("batch_size", 16), 16)
    for row in config["defences"]:
        row.pop("references", None)
        row["options"] = row.get("options", {}) | REPEATED.get(row["name"], {})
    # The label-only attack on images asks about 18 copies; those on tables are left as they are.
    config["queries"] = "flip" if name.startswith("cifar") else "none"
    (folder / "small.yaml").write_text(yaml.safe_dump(config))
    return folder / "small.yaml"


@pytest.fixture(params=sorted(N_CLASSES))
def case(request, tmp_path):
    """A set's name, and its configuration cut down to a folder of made files."""
    make(request.param, tmp_path, np.random.default_rng(0))
    return request.param, CompareConfig.read(cut_down(request.param, tmp_path), {})


def test_every_row_can_be_trained_and_asked(case):
    name, config = case
    pool = config.data.pool(config.seed)
    assert (pool.inputs.shape[0], pool.n_classes) == (N_RECORDS, N_CLASSES[name])
    validation, population = np.arange(N_RECORDS) < 30, np.arange(N_RECORDS) >= N_RECORDS - 70
    members = ~(validation | population) & (np.arange(N_RECORDS) % 2 == 0)
    for row in config.defences:
        given = config.recipe.model_dump(exclude_unset=True) | row.recipe
        recipe = seepage.defended(
            section_from(RecipeConfig, given, row.name).recipe(), row.name, **as_tuples(row.options)
        )
        module = seepage.train(recipe, pool, members, validation=validation, population=population, rng=0)
        logits = module(torch.from_numpy(pool.batch(np.arange(20))))
        assert logits.shape == (20, N_CLASSES[name]), row.label or row.name
        assert logits.isfinite().all(), row.label or row.name


@pytest.mark.slow
def test_every_row_is_attacked_and_reported(case, tmp_path, monkeypatch):
    monkeypatch.setattr(AuditResult, "report", lambda self, path: None)  # each audit's page takes longer than the audit
    _, config = case
    result = config.run(progress=False, command="seepage compare small.yaml")
    assert [row.name for row in result.defences] == ["undefended", *(row.label or row.name for row in config.defences)]
    assert [info.name for info in result.attacks] == config.attacks
    for row in result.defences:
        assert row.utility.test_accuracy.value < 0.35, row.name  # random labels: nobody can know better
        assert all(figures.auc.value is not None for figures in row.attacks.values()), row.name
    assert (tmp_path / "out" / "report.html").is_file()
