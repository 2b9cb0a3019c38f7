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
from tests.flat import audit
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
    return audit(model, members=(x[m], y[m]), nonmembers=(x[~m], y[~m]), attacks=["loss"], origin="declared", **options)


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
            audit(outputs={name: values, "labels": y, "membership": m[:, None]})


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
        result = audit(
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


def test_probabilities_as_people_round_them_are_no_logits(world):
    """Half precision, three decimals, lists that were cut, whole per cent: the rows miss the sum all the same."""
    module, x, y, m = world
    p = module(torch.from_numpy(x)).detach().double().softmax(1).numpy()
    cut = np.where(p == p.min(axis=1, keepdims=True), 0, p)
    for values in (p.astype(np.float16), p.round(3), cut, (100 * p).round()):
        with pytest.raises(seepage.SeepageError, match="name the array 'probs'"):
            audit(outputs={"logits": values[:, None], "labels": y, "membership": m[:, None]})
        with pytest.raises(seepage.SeepageError, match="pass model_outputs='probabilities'"):
            audited(world, lambda batch, values=values: values[: len(batch)], model_outputs="logits")


def test_logarithms_of_zero_are_zeros(world):
    _, _, y, m = world
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(K, 0.3), size=N).round(2)
    p /= p.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        logs = np.log(p)
    found = [
        audit(outputs={name: values[:, None], "labels": y, "membership": m[:, None]}, attacks=["loss"])
        for name, values in (("probs", p), ("logits", logs))
    ]
    assert found[0].attack("loss").auc.value == pytest.approx(found[1].attack("loss").auc.value, abs=5e-3)


@pytest.mark.parametrize(
    ("dtype", "shares"),
    [
        (np.float32, [0.9, 0.1]),
        (np.float32, [0.7, 0.3]),
        (np.float64, [0.9, 0.1]),
        (np.float64, [0.7, 0.3]),
        (np.float64, [1 / 30, 29 / 30]),
    ],
)
def test_equal_probabilities_of_the_label_tie_for_a_single_output_too(dtype, shares):
    """p_y is the same for all records; half of the labels are 0, whose probability is one minus the output."""
    rng = np.random.default_rng(0)
    m = rng.random(300) < 0.5
    y = np.where(rng.random(300) < 0.9, m, ~m).astype(int)  # so that a tie broken by the label tells the sides apart
    for p_y in shares:
        single = np.where(y == 1, p_y, 1 - p_y).astype(dtype)
        outputs = {"probs": single[:, None, None], "labels": y, "membership": m[:, None]}
        assert audit(outputs=outputs, attacks=["loss"], origin="declared").attack("loss").auc.value == 0.5


def test_a_callable_that_fails_once_is_not_asked_in_another_precision(world):
    """A network that was reset: the error comes back, and the model is not taken for one that wants float32."""
    x, y, m = world[1].astype(np.float64) + 1e-9, world[2], world[3]
    calls = []

    def remote(batch):
        calls.append(batch.dtype)
        if len(calls) == 1:
            raise ConnectionError("reset")
        return batch[:, :K]

    with pytest.raises(seepage.SeepageError, match="ConnectionError: reset"):
        audit(remote, members=(x[m], y[m]), nonmembers=(x[~m], y[~m]), model_outputs="logits")


def test_an_estimator_around_torch_is_asked_in_float32(world):
    module, x, y, m = world

    class Wrapper:
        def predict_proba(self, batch):
            return module(torch.as_tensor(batch)).softmax(1).detach().numpy()

    wide = x.astype(np.float64)
    result = audit(Wrapper(), members=(wide[m], y[m]), nonmembers=(wide[~m], y[~m]), attacks=["loss"])
    assert result.attack("loss").auc.value == pytest.approx(audited(world, module).attack("loss").auc.value, abs=1e-3)


def test_advice_for_other_kinds_of_models(world):
    class Keras:  # predict gives probabilities
        def predict(self, batch):
            return np.full((len(batch), K), 1 / K)

    assert "pass model_outputs='probabilities'" in told(world, Keras())

    class OneVsAll:
        def predict_proba(self, batch):
            return np.full((len(batch), K), 0.4)

    assert "no decision_function" in told(world, OneVsAll(), model_outputs="logits")


def test_records_of_one_class_alone(world):
    """A constant guess is right for them: that the model is not always is no fault."""
    _, x, y, m = world
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(20, max_depth=2, random_state=0).fit(x[m], y[m])
    one = y == 2
    inside, outside = (x[m & one], y[m & one]), (x[~m & one], y[~m & one])
    result = audit(model, members=inside, nonmembers=outside, attacks=["loss"], origin="declared")
    assert next(gate for gate in result.gates if gate.name == "answers and labels").status == "pass"


def test_labels_that_no_record_has_are_one_answer():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 2))
    centres = rng.normal(size=(12, 2))
    nearest = ((x[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    kept = nearest < 8
    kept[np.flatnonzero(~kept)[::2]] = True
    x, y = x[kept], np.minimum(nearest[kept], 7)
    m = rng.random(len(x)) < 0.5

    def model(batch):
        return ((batch[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)

    result = audit(model, members=(x[m], y[m]), nonmembers=(x[~m], y[~m]), model_outputs="labels")
    assert next(gate for gate in result.gates if gate.name == "own answers").status == "pass"


def test_half_precision_keeps_the_leak_of_sure_models():
    """Probabilities that have run into 1 in float16 and bfloat16: the leak that float32 shows is shown."""
    rng = np.random.default_rng(0)
    n, n_models = 600, 9
    y, member = rng.integers(0, 5, n), rng.random((n, n_models)) < 0.5
    z = rng.normal(size=(n, n_models, 5))
    hard = rng.normal(size=(n, 1))
    z[np.arange(n), :, y] += 14 + 2 * hard + 2 * member
    aucs = {}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        p = torch.tensor(z).to(dtype).softmax(-1).double().numpy()
        outputs = {"probs": p, "labels": y, "membership": member}
        result = audit(outputs=outputs, origin="declared", attacks=["lira-offline"])
        aucs[dtype] = result.attack("lira-offline").auc.value
    assert min(aucs.values()) > aucs[torch.float32] - 0.03
    assert aucs[torch.float32] > 0.75
