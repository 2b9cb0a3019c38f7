"""The command line: every command, and for every mistake one clear message and no traceback."""

import errno
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from click.testing import CliRunner
from sklearn.linear_model import LogisticRegression

import seepage
from seepage.attacks import ATTACKS
from seepage.cli import main
from seepage.studies.attacker import Attacker
from tests.models.graphs import graph
from tests.studies.audit.worlds import outputs, probabilities, target_alone

N_FEATURES, N_CLASSES = 5, 3


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def worked(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def told(*arguments):
    """What a command that cannot be carried out says: one message, exit code 2, no traceback."""
    result = run(*arguments)
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    assert result.output.count("seepage: ") + result.output.count("Error: ") == 1, result.output
    return result.output


def records(seed, n=60):
    rng = np.random.default_rng(seed)
    return {"inputs": rng.normal(size=(n, N_FEATURES)).astype(np.float32), "labels": rng.integers(0, N_CLASSES, n)}


def network(n_classes=N_CLASSES):
    torch.manual_seed(0)
    return seepage.MLP((N_FEATURES,), n_classes, hidden=[128])


CONFIG = {
    "data": {"file": "pool.npz"},
    "recipe": {"options": {"hidden": [8]}, "epochs": 2},
    "references": 2,
    "attacks": ["loss"],
    "controls": False,
    "engine": "single",
    "workers": 0,
    "out": "configured",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    np.savez(folder / "leaking.npz", **outputs(leak=2.0, n=150, population=0))
    np.savez(folder / "probs.npz", **target_alone(probabilities(outputs(leak=2.0, n=150, population=0))))
    np.savez(folder / "in.npz", **records(1))
    np.savez(folder / "out.npz", **records(2))
    np.savez(folder / "pool.npz", **records(3, n=120))
    safetensors.torch.save_model(network(), folder / "model.safetensors")
    safetensors.torch.save_model(network(5), folder / "five.safetensors")
    wide = {name: np.concatenate([values] * 2, axis=1) for name, values in records(1).items() if name == "inputs"}
    np.savez(folder / "wide.npz", **records(1) | wide)
    np.savez(folder / "labels-5.npz", **records(1) | {"labels": records(1)["labels"] + 2})
    np.savez(folder / "nan.npz", **records(1) | {"inputs": np.full((60, N_FEATURES), np.nan)})
    np.savez(folder / "no-labels.npz", inputs=records(1)["inputs"])
    fitted = LogisticRegression().fit(*records(1).values())
    (folder / "model.pkl").write_bytes(pickle.dumps(fitted))
    header = ",".join(f"x{at}" for at in range(N_FEATURES)) + ",answer"
    for name, seed in (("in", 1), ("out", 2), ("pool", 3)):
        answers = np.array(["no", "perhaps", "yes"])[records(seed)["labels"]]
        rows = [
            ",".join(map(str, row)) + f",{answer}" for row, answer in zip(records(seed)["inputs"], answers, strict=True)
        ]
        (folder / f"{name}.csv").write_text("\n".join([header, *rows]))
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 this is no archive")
    (folder / "broken.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{no header")
    (folder / "broken.json").write_text("{not json")
    (folder / "other.json").write_text('{"schema": "seepage.audit/2"}')
    (folder / "broken.yaml").write_text("data: [")
    return folder


@pytest.fixture
def there(files, tmp_path, monkeypatch):
    """A folder of one's own to work in, with the files beside it."""
    for path in files.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


LISTS = ("--members", "in.npz", "--nonmembers", "out.npz")


# audits that work


def test_outputs_are_audited_and_the_verdict_comes_first(there):
    said = worked("audit", "--outputs", "leaking.npz", "--out", "new/folder")
    assert said.startswith("LEAK SHOWN")
    assert said.rstrip().endswith(f"Report: {Path('new/folder/report.html')}")
    written = {path.name for path in Path("new/folder").iterdir()}
    assert written == {"result.json", "report.html", "rows.npy", "scores.npz", "together.npz", "run"}
    result = json.loads(Path("new/folder/result.json").read_text())
    assert result["verdict"] == "LEAK SHOWN"
    assert "lira-online" in {attack["name"] for attack in result["attacks"]}


def test_probabilities_of_one_model_are_audited(there):
    worked("audit", "--outputs", "probs.npz", "--out", "a", "--origin", "declared", "--attacks", "loss, correctness")
    result = json.loads(Path("a/result.json").read_text())
    assert sorted(attack["name"] for attack in result["attacks"]) == ["correctness", "loss"]
    assert result["claim"] == "association"  # declared, and without the records nothing could check it


def test_a_safetensors_model_and_two_files_of_records(there):
    worked("audit", "--model", "model.safetensors", "--architecture", "mlp", *LISTS, "--attacks", "loss", "--out", "a")
    result = json.loads(Path("a/result.json").read_text())
    assert result["target"]["access"] == "logits"
    assert result["target"]["n_queries"] >= 120
    assert result["target"]["n_parameters"] == sum(p.numel() for p in network().parameters())


def test_an_onnx_model(there):
    weights = np.random.default_rng(0).normal(size=(N_FEATURES, N_CLASSES)).astype(np.float32)
    nodes = [("MatMul", ["x", "w"], ["y"]), ("Softmax", ["y"], ["p"])]
    outputs, inputs = (("p", "FLOAT", ["n", N_CLASSES]),), (("x", ["n", N_FEATURES]),)
    Path("model.onnx").write_bytes(graph(nodes, outputs, [("w", weights)], inputs))
    said = worked(
        "audit", "--model", "model.onnx", "--model-outputs", "probabilities", *LISTS, "--attacks", "loss", "--out", "a"
    )
    assert "onnx" in json.loads(Path("a/result.json").read_text())["target"]["kind"]
    assert "Report" in said


def test_tables_with_the_column_of_the_labels(there):
    lists = ("--members", "in.csv", "--nonmembers", "out.csv", "--label", "answer")
    worked("audit", "--model", "model.safetensors", "--architecture", "mlp", *lists, "--attacks", "loss", "--out", "a")
    result = json.loads(Path("a/result.json").read_text())
    assert [part["name"] for part in result["classes"]] == ["no", "perhaps", "yes"]


@pytest.mark.parametrize("suffix", ["npz", "npy", "csv"])
def test_records_without_labels_are_audited_where_that_is_said(there, suffix):
    for name, seed in (("in", 1), ("out", 2)):
        inputs = records(seed)["inputs"]
        np.save(f"x-{name}.npy", inputs)
        np.savez(f"x-{name}.npz", inputs=inputs)
        header = ",".join(f"x{at}" for at in range(N_FEATURES))
        np.savetxt(f"x-{name}.csv", inputs, delimiter=",", header=header, comments="", fmt="%.9g")
    lists = ("--members", f"x-in.{suffix}", "--nonmembers", f"x-out.{suffix}", "--known", 20)
    said = worked(
        "audit", "--model", "model.safetensors", "--architecture", "mlp", *lists, "--no-labels", "--out", "a"
    )  # fmt: skip
    assert "The records have no labels: only attacks that need none were made" in " ".join(said.split())
    result = json.loads(Path("a/result.json").read_text())
    assert not result["labelled"]
    assert {"entropy", "max-probability"} <= {attack["name"] for attack in result["attacks"]}
    assert "labels" not in {need for attack in result["attacks"] for need in attack["needs"]}
    assert result["target"]["accuracy_members"]["value"] is None


def test_outputs_without_labels_say_so_by_themselves(there):
    arrays = target_alone(outputs(leak=4.0, skill=3.0, n=150, population=0))
    np.savez("bare.npz", **{name: array for name, array in arrays.items() if name != "labels"})
    said = worked("audit", "--outputs", "bare.npz", "--out", "a")
    assert said.startswith("LEAK SHOWN")
    assert "The records have no labels" in " ".join(said.split())


def test_a_table_as_pool_with_a_recipe(there):
    config = CONFIG | {"data": {"file": "pool.csv", "options": {"label": "answer"}}}
    Path("table.yaml").write_text(yaml.safe_dump(config))
    worked("audit", "table.yaml")
    assert json.loads(Path("configured/result.json").read_text())["provenance"]["n_records"] == 60


def test_flags_alone_train_target_and_references(there):
    worked(
        "audit",
        "--data",
        "pool.npz",
        "--references",
        2,
        "--epochs",
        1,
        "--attacks",
        "loss",
        "--workers",
        0,
        "--out",
        "a",
    )
    result = json.loads(Path("a/result.json").read_text())
    assert (result["training"]["n_models"], result["training"]["recipe"]["epochs"]) == (2, 1)
    assert result["provenance"]["membership"] == "drawn"


def test_a_configuration_with_flags_over_it_keeps_its_recipe(there):
    worked("audit", "config.yaml", "--data", "pool.npz", "--seed", 7, "--every-model", "--references", 4, "--out", "a")
    result = json.loads(Path("a/result.json").read_text())
    assert result["provenance"]["seed"] == 7
    assert result["target"]["n_targets"] == 4
    assert result["training"]["recipe"]["epochs"] == 2
    assert not Path("configured").exists()


# the other commands


def test_the_demo_audits_a_leaky_model_and_a_null_model(there, monkeypatch):
    import seepage.cli.demo

    whole = seepage.cli.demo.load("digits")
    monkeypatch.setattr("seepage.cli.demo.load", lambda name: whole.subset(np.arange(400)))
    monkeypatch.setattr("seepage.cli.demo.audit_recipe", shortened(seepage.cli.demo.audit_recipe))
    said = worked("demo", "--out", "d", "--references", 2, "--seed", 1)
    leaky, null = (json.loads(Path(f"d/{name}/result.json").read_text()) for name in ("leaky", "null"))
    assert leaky["verdict"] == "LEAK SHOWN"
    assert null["verdict"] != "LEAK SHOWN"
    assert f"The leaky model: LEAK SHOWN. The null model: {null['verdict']}." in said
    assert "seepage demo --references 2 --seed 1 --out d" in said


def shortened(audit_recipe):
    def short(recipe, *arguments, run, **options):
        quick = {"attacker": Attacker(["loss"]), "settings": seepage.Settings(controls=False)}
        recipe, run = replace(recipe, epochs=40), replace(run, engine="single")
        return audit_recipe(recipe, *arguments, run=run, **quick, **options)

    return short


def test_a_saved_result_is_rendered_again(there):
    worked("audit", "--outputs", "probs.npz", "--out", "a", "--attacks", "loss")
    assert worked("report", "a").startswith("LEAK SHOWN")
    assert worked("report", "a/result.json") == worked("report", "a")
    first = Path("a/report.html").read_bytes()
    worked("report", "a", "--out", "again.html")
    worked("report", "a", "--out", "again.md")
    assert Path("again.html").read_bytes() == first
    assert "LEAK SHOWN" in Path("again.md").read_text()


def test_init_writes_a_configuration_that_can_be_run(there):
    assert "seepage audit audit.yaml" in worked("init")
    text = Path("audit.yaml").read_text()
    shrunk = yaml.safe_load(text) | {
        key: CONFIG[key] for key in ("references", "attacks", "controls", "workers", "engine")
    }
    shrunk["data"]["limit"], shrunk["recipe"]["epochs"] = 100, 1
    Path("small.yaml").write_text(yaml.safe_dump(shrunk))
    worked("audit", "small.yaml")
    assert json.loads(Path("audit/result.json").read_text())["provenance"]["n_records"] == 100
    assert "exists already" in told("init")
    assert Path("audit.yaml").read_text() == text


def test_attacks_are_listed_with_what_they_need_and_where_they_come_from(there):
    rows = json.loads(worked("attacks", "--json"))
    assert [row["name"] for row in rows] == list(ATTACKS)
    for row in rows:
        assert {"name", "access", "needs", "source"} <= set(row)
        assert row["access"] in ("label", "probabilities", "logits", "gradients", "weights")
        needs = {"labels", "references", "population", "queries", "gradients", "known", "records", "features", "model"}
        assert set(row["needs"]) <= needs
        assert row["source"]
    said = worked("attacks")
    assert all(f"\n{name}" in f"\n{said}" for name in ATTACKS)


def test_doctor_says_what_is_installed(monkeypatch):
    said = worked("doctor")
    for name in ("seepage", "python", "torch", "cores", "memory", "data cache"):
        assert f"\n{name} " in f"\n{said}"
    monkeypatch.setattr(torch, "__version__", "2.5.0")
    found = run("doctor")
    assert found.exit_code == 1
    assert "! older versions load files unsafely" in found.output


def test_status_before_during_and_after(there, monkeypatch):
    assert "no run in configured" in told("status", "configured")
    with monkeypatch.context() as stopped:
        stop_after(stopped, 2)
        assert run("audit", "config.yaml").exit_code == 130
    said = worked("status", "configured")
    assert "models: 2 of 3 models trained (single engine)" in said
    assert "no result yet" in said
    worked("audit", "config.yaml")
    said = worked("status", "configured")
    assert "models: 3 of 3" in said
    assert "result: configured/result.json" in said


def stop_after(monkeypatch, n_units):
    """Ctrl-C when so many units are finished."""
    from seepage.signals.collect import TrainUnit

    call, done = TrainUnit.__call__, []

    def stopping(self, unit, report):
        if len(done) == n_units:
            raise KeyboardInterrupt
        done.append(unit)
        return call(self, unit, report)

    monkeypatch.setattr(TrainUnit, "__call__", stopping)


@pytest.mark.parametrize("command", ["demo", "audit", "report", "init", "attacks", "doctor", "status"])
def test_every_command_explains_itself(command):
    assert command in worked("--help")
    assert "Usage" in worked(command, "-h")


# what is refused

MODEL = ("audit", "--model", "model.safetensors", "--architecture", "mlp")
REFUSED = {
    "nothing": (("audit",), "nothing to audit"),
    "a missing outputs file": (("audit", "--outputs", "gone.npz"), "no file at gone.npz"),
    "a corrupt outputs file": (("audit", "--outputs", "broken.npz"), "not a usable .npz"),
    "records as outputs": (("audit", "--outputs", "in.npz"), "unknown array 'inputs'"),
    "a missing configuration": (("audit", "gone.yaml"), "cannot read the configuration gone.yaml"),
    "a corrupt configuration": (("audit", "broken.yaml"), "not YAML"),
    "an unknown option": (("audit", "--output", "x"), "--outputs"),
    "an unknown command": (("audti",), "No such command"),
    "an unknown attack": (("audit", "--outputs", "probs.npz", "--attacks", "losss"), "did you mean 'loss'"),
    "an attack beyond the access": (
        ("audit", "--outputs", "probs.npz", "--attacks", "rmia-online-official"),
        "needs access 'logits', the attacker has 'probabilities'",
    ),
    "an access below the attack": (
        ("audit", "--outputs", "probs.npz", "--attacks", "loss", "--access", "label"),
        "needs access 'probabilities', the attacker has 'label'",
    ),
    "an attack without references": (
        ("audit", "--outputs", "probs.npz", "--attacks", "lira-online"),
        "needs reference models",
    ),
    "references without a recipe": ((*MODEL, *LISTS, "--references", "8"), "recipe:, a key of the YAML file"),
    "a replay without a recipe": ((*MODEL, *LISTS, "--replay", "r"), "the whole command of that audit"),
    "tables without --label": (
        (*MODEL, "--members", "in.csv", "--nonmembers", "out.csv"),
        r"in.csv is a table without a column of labels.*--label.*options: \{label",
    ),
    "a table as data without --label": (("audit", "--data", "in.csv"), r"--label.*data: \{options: \{label"),
    "arrays with --label": ((*MODEL, *LISTS, "--label", "y"), r"--label.*columns of a table.*in.npz is none"),
    "a table as outputs": (("audit", "--outputs", "in.csv"), "expected a .npz file"),
    "an unknown access": (("audit", "--outputs", "probs.npz", "--access", "all"), "--access must be 'label'"),
    "an alpha of one": (("audit", "--outputs", "probs.npz", "--alpha", "1"), "alpha"),
    "outputs and a model": (("audit", "--outputs", "probs.npz", "--model", "model.safetensors"), "model"),
    "outputs and a population": (
        ("audit", "--outputs", "probs.npz", "--population", "in.npz"),
        "population: does not go with outputs",
    ),
    "outputs in turns": (("audit", "--outputs", "probs.npz", "--every-model"), "every_model: does not go"),
    "members alone": ((*MODEL, "--members", "in.npz"), "only one of them"),
    "the same file twice": ((*MODEL, "--members", "in.npz", "--nonmembers", "in.npz"), "on both sides"),
    "records of another width": ((*MODEL, "--members", "wide.npz", "--nonmembers", "out.npz"), "wide|shape|fit"),
    "labels out of range": ((*MODEL, "--members", "labels-5.npz", "--nonmembers", "out.npz"), "shape|label"),
    "NaN records": ((*MODEL, "--members", "nan.npz", "--nonmembers", "out.npz"), "NaN or infinity in record 0"),
    "records without labels": ((*MODEL, "--members", "no-labels.npz", "--nonmembers", "out.npz"), "holds no labels"),
    "no hint of what to do without labels": (
        (*MODEL, "--members", "no-labels.npz", "--nonmembers", "out.npz"),
        r"--no-labels \(no_labels: true\) audits without",
    ),
    "one side without labels": (
        (*MODEL, "--members", "no-labels.npz", "--nonmembers", "out.npz", "--no-labels"),
        "out.npz has labels, .* leave --no-labels",
    ),
    "a label and none": (
        (*MODEL, "--members", "in.csv", "--nonmembers", "out.csv", "--label", "answer", "--no-labels"),
        "in.csv has labels, .* leave --no-labels",
    ),
    "a column of labels forgotten": (
        (*MODEL, "--members", "in.csv", "--nonmembers", "out.csv", "--no-labels"),
        "do not fit the architecture",
    ),
    "a training without labels": (
        ("audit", "--data", "no-labels.npz", "--no-labels", "--references", "2"),
        "a recipe trains models, which takes labels",
    ),
    "outputs said to have no labels": (
        ("audit", "--outputs", "probs.npz", "--no-labels"),
        "leaving the array 'labels' out",
    ),
    "a missing file of records": ((*MODEL, "--members", "gone.npz", "--nonmembers", "out.npz"), "no file at gone.npz"),
    "a corrupt file of records": ((*MODEL, "--members", "broken.npz", "--nonmembers", "out.npz"), "not a usable"),
    "a column that is not there": (
        (*MODEL, "--members", "in.csv", "--nonmembers", "out.csv", "--label", "anser"),
        "answer",
    ),
    "a missing model": (("audit", "--model", "gone.safetensors", *LISTS), "no model file gone.safetensors"),
    "a corrupt model": (
        ("audit", "--model", "broken.safetensors", "--architecture", "mlp", *LISTS),
        "not a usable safetensors file",
    ),
    "weights without an architecture": (("audit", "--model", "model.safetensors", *LISTS), "pass the architecture"),
    "another architecture": (
        ("audit", "--model", "model.safetensors", "--architecture", "mpl", *LISTS),
        "did you mean 'mlp'",
    ),
    "a model of other classes": (
        ("audit", "--model", "five.safetensors", "--architecture", "mlp", *LISTS),
        "do not fit the architecture",
    ),
    "a pickled estimator": (("audit", "--model", "model.pkl", *LISTS), "was not opened"),
    "an unknown data set": (("audit", "--data", "digit"), "did you mean 'digits'"),
    "a missing data file": (("audit", "--data", "gone.npz"), "no file at gone.npz"),
    "an unknown architecture to train": (("audit", "--data", "pool.npz", "--architecture", "cn"), "did you mean 'cnn'"),
    "an architecture that does not suit": (("audit", "--data", "pool.npz", "--architecture", "cnn"), "expects images"),
    "no epochs": (("audit", "--data", "pool.npz", "--epochs", "0"), "--epochs must be greater than 0, got 0"),
    "a missing result": (("report", "gone"), "no result at gone"),
    "a corrupt result": (("report", "broken.json"), "no result .* cannot be read as JSON"),
    "a result that lacks everything": (("report", "other.json"), "is not a seepage.audit/2 result: verdict"),
    "a binary result": (("report", "in.npz"), "no result .* cannot be read as JSON"),
    "a folder that was never a run": (("status", "gone"), "no run in gone"),
    "a folder that is a file": (("audit", "--outputs", "probs.npz", "--out", "in.npz/out"), "cannot write to"),
    "an example in no folder": (("init", "--out", "gone/audit.yaml"), "cannot write"),
    "one reference in the demo": (("demo", "--references", "1"), "Invalid value"),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.usefixtures("there")
def test_a_mistake_is_one_clear_message(case):

    arguments, message = REFUSED[case]
    assert re.search(message, told(*arguments))


def test_a_refused_model_comes_with_the_way_to_convert_it(there):
    said = told("audit", "--model", "model.pkl", *LISTS)
    assert "skl2onnx.to_onnx" in said
    assert "--trust-code" in said
    worked("audit", "--model", "model.pkl", *LISTS, "--trust-code", "--attacks", "loss", "--out", "a")


def test_a_report_that_cannot_be_written_is_told(there):
    worked("audit", "--outputs", "probs.npz", "--out", "a", "--attacks", "loss")
    assert "cannot write the report" in told("report", "a", "--out", "gone/report.html")
    assert ".html or .md" in told("report", "a", "--out", "report.pdf")


def test_a_run_folder_of_another_audit_is_not_touched(there):
    worked("audit", "config.yaml")
    before = Path("configured/result.json").read_bytes()
    assert "holds another run: its" in told("audit", "config.yaml", "--seed", "5")
    assert Path("configured/result.json").read_bytes() == before


def test_a_broken_manifest_is_told(there):
    worked("audit", "config.yaml")
    Path("configured/run/models/manifest.json").write_text("{")
    for arguments in (("status", "configured"), ("audit", "config.yaml")):
        assert "manifest.json is no manifest of a run" in told(*arguments)


def test_a_full_disk_is_told_and_what_is_finished_is_kept(there, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez_compressed", full)
        said = told("audit", "config.yaml")
    assert "No space left on device" in said
    assert "same command again" in said
    units = {path: path.stat().st_mtime_ns for path in Path("configured/run/models/units").iterdir()}
    assert len(units) == 3
    worked("audit", "config.yaml")
    assert {path: path.stat().st_mtime_ns for path in units} == units


def test_out_of_memory_is_told(there, monkeypatch):
    def none(self, *, progress, command):
        raise MemoryError

    monkeypatch.setattr("seepage.cli.specs.audit.AuditConfig.run", none)
    assert "out of memory; finished trainings are kept" in told("audit", "config.yaml")


def test_a_bug_is_not_hidden(there, monkeypatch):
    def broken(self, *, progress, command):
        raise ZeroDivisionError

    monkeypatch.setattr("seepage.cli.specs.audit.AuditConfig.run", broken)
    assert isinstance(run("audit", "config.yaml").exception, ZeroDivisionError)


# in a process of its own


PATIENCE_S = 300  # reached only where something is broken


def process(*arguments, folder):
    return subprocess.Popen(
        [sys.executable, "-m", "seepage", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_mistake_ends_a_real_process_with_code_2_and_one_line(there):
    started = process("audit", "--outputs", "gone.npz", "--out", "a", folder=there)
    said, complaint = started.communicate(timeout=PATIENCE_S)
    assert (started.returncode, said) == (2, "")
    assert complaint == "seepage: no file at gone.npz\n"


def test_ctrl_c_in_the_middle_keeps_what_is_finished_and_says_how_to_go_on(there):
    config = CONFIG | {"references": 5, "recipe": {"options": {"hidden": [64]}, "epochs": 700, "batch_size": 16}}
    Path("long.yaml").write_text(yaml.safe_dump(config))
    started = process("audit", "long.yaml", folder=there)
    units = Path("configured/run/models/units")
    until = time.monotonic() + PATIENCE_S
    while not list(units.glob("*.safetensors")) and started.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    started.send_signal(signal.SIGINT)
    _, complaint = started.communicate(timeout=PATIENCE_S)
    assert started.returncode == 130, complaint
    assert "Traceback" not in complaint
    assert "go on with:\n  seepage audit long.yaml" in complaint
    kept = {path: path.stat().st_mtime_ns for path in units.glob("*.safetensors")}
    assert 1 <= len(kept) < 6
    assert not Path("configured/result.json").exists()
    assert f"models: {len(kept)} of 6 models trained" in worked("status", "configured")
    worked("audit", "long.yaml")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list(units.glob("*.safetensors"))) == 6
