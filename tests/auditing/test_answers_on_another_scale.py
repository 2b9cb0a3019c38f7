"""Answers that are not what they were taken for: read rightly, or refused with advice that can be followed."""

import copy

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner
from torch import nn

import seepage
from seepage.cli import main
from tests.models.graphs import graph

N, K = 400, 3


@pytest.fixture(scope="module")
def world():
    """A network, its records and who was a member."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 6)).astype(np.float32)
    y = np.digitize(x[:, 0] + 0.8 * rng.normal(size=N), [-0.5, 0.5])
    member = rng.random(N) < 0.5
    recipe = seepage.Recipe(seepage.MLP, optimiser=seepage.Adam(lr=3e-3), epochs=60)
    return seepage.train(recipe, seepage.Pool(x, y), member, rng=np.random.default_rng(0)), x, y, member


def audited(world, model, labels=None, **options):
    _, x, y, m = world
    y = y if labels is None else labels
    return seepage.audit(
        model, members=(x[m], y[m]), nonmembers=(x[~m], y[~m]), attacks=["loss"], origin="declared", **options
    )


def told(world, model, **options):
    with pytest.raises(seepage.SeepageError) as error:
        audited(world, model, **options)
    return str(error.value)


def numbers(module, change):
    """A callable that answers `change(logits)`."""
    return lambda x: change(module(torch.from_numpy(x)).detach().double()).numpy()


def test_probabilities_taken_for_logits(world):
    module = world[0]
    for model, options in (
        (nn.Sequential(module, nn.Softmax(1)), {}),
        (nn.Sequential(module, nn.Softmax(1)), {"model_outputs": "logits"}),
        (numbers(module, lambda z: z.softmax(1)), {"model_outputs": "logits"}),
        (numbers(module, lambda z: 100 * z.softmax(1)), {"model_outputs": "logits"}),  # per cent
    ):
        said = told(world, model, **options)
        assert "pass model_outputs='probabilities' (--model-outputs probabilities)" in said
    right = audited(world, module).attack("loss").auc.value
    read = audited(world, nn.Sequential(module, nn.Softmax(1)), model_outputs="probabilities")
    assert read.attack("loss").auc.value == pytest.approx(right, abs=1e-3)


def test_logits_taken_for_probabilities(world):
    module = world[0]
    said = told(world, module, model_outputs="probabilities")
    assert "pass model_outputs='logits' (--model-outputs logits)" in said
    assert "divide by 100" in told(world, numbers(module, lambda z: 100 * z.softmax(1)), model_outputs="probabilities")


def test_outputs_under_the_wrong_name(world):
    module, x, y, m = world
    z = module(torch.from_numpy(x)).detach().numpy()[:, None]
    p = torch.from_numpy(z).softmax(2).numpy()
    for name, values, other in (("logits", p, "probs"), ("probs", z, "logits")):
        with pytest.raises(seepage.SeepageError, match=f"name the array '{other}'"):
            seepage.audit(outputs={name: values, "labels": y, "membership": m[:, None]})


def test_sigmoids(world):
    module, _, y, _ = world
    heads = nn.Sequential(module, nn.Sigmoid())  # one for each class
    said = told(world, heads)
    assert "one sigmoid for each class" in said
    assert "model_outputs=" in said
    assert "one sigmoid for each class" in told(world, heads, model_outputs="probabilities")
    shares = numbers(module, lambda z: z.sigmoid() / z.sigmoid().sum(1, keepdim=True))
    audited(world, shares, model_outputs="probabilities")
    alone = nn.Sequential(module, nn.Linear(K, 1), nn.Sigmoid())  # a single one
    two = (y > 0).astype(int)
    with pytest.raises(seepage.SeepageError, match="model_outputs='probabilities'"):
        audited(world, alone, labels=two)
    logit = audited(world, alone[:2], labels=two).attack("loss").auc.value
    assert audited(world, alone, labels=two, model_outputs="probabilities").attack("loss").auc.value == pytest.approx(
        logit, abs=1e-9
    )


def test_what_an_exporter_rounds_below_zero_is_a_zero(world):
    module = world[0]

    def rounded(below):
        def answer(x):
            p = module(torch.from_numpy(x)).detach().double().softmax(1).numpy()
            p[::7] = np.eye(K)[p[::7].argmax(axis=1)] * (1 + 2 * below) - below
            return p.astype(np.float32)

        return answer

    audited(world, rounded(1.2e-7), model_outputs="probabilities")
    audited(world, rounded(9e-6), model_outputs="probabilities")
    assert "model_outputs='logits'" in told(world, rounded(1e-3), model_outputs="probabilities")


@pytest.mark.parametrize("layer", ["dropout", "batch norm", "batch norm without running statistics"])
def test_answers_of_a_layer_in_training_mode(layer):
    """A callable around a module that was left in training mode; the module itself is put into eval mode."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 6)).astype(np.float32)
    y = np.digitize(x[:, 0] + 0.8 * rng.normal(size=N), [-0.5, 0.5])
    m = rng.random(N) < 0.5
    torch.manual_seed(0)
    middle = {
        "dropout": nn.Dropout(0.5),
        "batch norm": nn.BatchNorm1d(64),
        "batch norm without running statistics": nn.BatchNorm1d(64, track_running_stats=False),
    }[layer]
    module = nn.Sequential(nn.Linear(6, 64), middle, nn.ReLU(), nn.Linear(64, K))
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-2)
    inputs, labels = torch.from_numpy(x[m]), torch.from_numpy(y[m])
    for _ in range(150):
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(inputs), labels).backward()
        optimiser.step()

    def gate(model, **options):
        result = seepage.audit(
            model, members=(x[m], y[m]), nonmembers=(x[~m], y[~m]), origin="declared", attacks=["loss"], **options
        )
        return next(gate for gate in result.gates if gate.name == "own answers"), result

    wrapped, result = gate(lambda x: module(torch.from_numpy(x)).detach().numpy(), model_outputs="logits")
    assert wrapped.status == "fail"
    assert "eval mode" in wrapped.way_out
    assert result.verdict != "NO EVIDENCE"
    if layer != "dropout":
        assert result.verdict == "INVALID"
        assert "asked together with other records" in wrapped.detail
    itself, _ = gate(copy.deepcopy(module))
    assert itself.status == ("fail" if "without" in layer else "pass")


def test_a_graph_with_several_outputs_is_told_which(world, tmp_path):
    _, x, y, m = world
    weights = np.random.default_rng(0).normal(size=(6, K)).astype(np.float32)
    nodes = [("MatMul", ["x", "w"], ["scores"]), ("Softmax", ["scores"], ["shares"])]
    outputs = (("scores", "FLOAT", ["n", K]), ("shares", "FLOAT", ["n", K]))
    (tmp_path / "m.onnx").write_bytes(graph(nodes, outputs, [("w", weights)], (("x", ["n", 6]),)))
    for side, rows in (("in", m), ("out", ~m)):
        np.savez(tmp_path / f"{side}.npz", inputs=x[rows], labels=y[rows])
    lists = ["--members", tmp_path / "in.npz", "--nonmembers", tmp_path / "out.npz", "--attacks", "loss"]
    command = ["audit", "--model", tmp_path / "m.onnx", *lists, "--out", tmp_path / "a"]

    def run(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    asked = run(*command)
    assert asked.exit_code == 2
    assert "--output-name" in asked.output
    assert "shares" in asked.output
    assert run(*command, "--output-name", "scores").exit_code == 0
    assert "--model-outputs probabilities" in run(*command, "--output-name", "shares").output
    (tmp_path / "a.yaml").write_text(
        yaml.safe_dump(
            {
                "model": {"file": str(tmp_path / "m.onnx"), "output_name": "shares", "outputs": "probabilities"},
                "members": str(tmp_path / "in.npz"),
                "nonmembers": str(tmp_path / "out.npz"),
                "attacks": ["loss"],
                "out": str(tmp_path / "b"),
            }
        )
    )
    assert run("audit", tmp_path / "a.yaml").exit_code == 0
    results = [seepage.AuditResult.load(tmp_path / folder) for folder in "ab"]
    assert results[0].attack("loss").auc.value == pytest.approx(results[1].attack("loss").auc.value, abs=2e-3)
