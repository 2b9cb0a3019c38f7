"""A target gives what its access level allows, checks what the model says, counts, and leaves the model as it was."""

import sys

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.svm import SVC, LinearSVC
from torch import nn
from torch.nn import functional as F

from seepage.errors import InputError
from seepage.models.access import Access, AccessError
from seepage.models.architectures import build
from seepage.models.outputs import labels_from, logits_from
from seepage.models.target import TargetModel

torch.set_num_threads(1)


def records(n_samples=50, n_features=4, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n_samples, n_features))
    return inputs, inputs[:, :n_classes].argmax(axis=1)


def odds(logits):
    """Differences from the first class: what logits mean whatever constant is added to a row."""
    return logits - logits[:, :1]


class Fixed:
    """A model that answers whatever it is given to answer, a row a record, in turn."""

    def __init__(self, answers):
        self.answers = np.asarray(answers)
        self.batches = []

    def __call__(self, batch):
        start = sum(self.batches)
        self.batches.append(len(batch))
        return self.answers[start : start + len(batch)]


# Access levels


def test_levels_are_ordered_and_named():
    assert [str(level) for level in Access] == ["label", "probabilities", "logits", "gradients", "weights"]
    assert list(Access) == sorted(Access)
    assert Access.of("logits") is Access.of(Access.LOGITS) is Access.LOGITS
    with pytest.raises(InputError, match="did you mean 'logits'"):
        Access.of("logit")


@pytest.mark.parametrize("level", Access)
def test_a_target_gives_what_its_level_allows_and_no_more(level):
    inputs, labels = records()
    target = TargetModel.wrap(build("mlp", (4,), 3), access=str(level))
    asked = {
        Access.LABEL: lambda: target.labels(inputs),
        Access.PROBABILITIES: lambda: target.logits(inputs),
        Access.GRADIENTS: lambda: target.gradient_norm(inputs, labels),
        Access.WEIGHTS: lambda: target.module,
    }
    for needed, ask in asked.items():
        if needed <= level:
            ask()
        else:
            with pytest.raises(AccessError, match=f"needs access '{needed}', this target gives '{level}'"):
                ask()


def test_below_logits_the_attacker_sees_normalised_logarithms():
    inputs, _ = records()
    module = build("mlp", (4,), 3)
    logits = TargetModel.wrap(module).logits(inputs)
    seen = TargetModel.wrap(module, access="probabilities").logits(inputs)
    np.testing.assert_allclose(np.exp(seen.astype(np.float64)).sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(odds(seen), odds(logits), atol=1e-5)


def test_a_model_cannot_be_asked_for_more_than_it_has():
    estimator = LogisticRegression().fit(*records())
    with pytest.raises(AccessError, match="'probabilities' at most"):
        TargetModel.wrap(estimator, access="gradients")
    with pytest.raises(AccessError, match=r"LogisticRegression \(estimator\) gives 'probabilities' at most"):
        TargetModel.wrap(estimator).gradient_norm(*records())


# A torch module is left as it was


class Fussy(nn.Module):
    """Mixed modes, BatchNorm, dropout, and a record that it cannot take."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.9)
        self.last = nn.Linear(8, 3)
        self.modes = []

    def forward(self, x):
        self.modes.append((self.norm.training, self.dropout.training, torch.is_grad_enabled()))
        if (x > 1e6).any():
            raise RuntimeError("too large")
        return self.last(self.dropout(self.norm(self.first(x))))


@pytest.fixture
def fussy():
    torch.manual_seed(0)
    module = Fussy().train()
    module.norm.eval()
    module.first.weight.requires_grad_(False)
    return module


def state(module):
    return (
        {name: value.clone() for name, value in module.state_dict().items()},
        [submodule.training for submodule in module.modules()],
        [(parameter.requires_grad, parameter.grad, parameter.device) for parameter in module.parameters()],
        torch.is_grad_enabled(),
    )


@pytest.mark.parametrize("ask", ["labels", "logits", "gradient_norm"])
@pytest.mark.parametrize("fails", [False, True])
def test_asking_leaves_no_trace(fussy, ask, fails):
    inputs, labels = records(40)
    if fails:
        inputs[30] = 1e9
    before = state(fussy)
    target = TargetModel.wrap(fussy, batch_size=16)
    arguments = (inputs, labels) if ask == "gradient_norm" else (inputs,)
    if fails:
        with pytest.raises(InputError, match=r"shape \(16, 4\).*too large"):
            getattr(target, ask)(*arguments)
    else:
        getattr(target, ask)(*arguments)
    after = state(fussy)
    for name, value in before[0].items():
        assert torch.equal(value, after[0][name]), name
    assert before[1:] == after[1:]
    assert not any(norm or dropout for norm, dropout, _ in fussy.modes)
    if ask != "gradient_norm":
        assert not any(enabled for _, _, enabled in fussy.modes)


def test_answers_are_those_of_eval_mode_in_any_batch_size(fussy):
    inputs, _ = records(50)
    expected = TargetModel.wrap(fussy).logits(inputs)
    for batch_size in [1, 7, 50, 1000]:
        np.testing.assert_allclose(TargetModel.wrap(fussy, batch_size=batch_size).logits(inputs), expected, atol=1e-6)
    with torch.no_grad():
        np.testing.assert_allclose(fussy.eval()(torch.tensor(inputs).float()).numpy(), expected, atol=1e-6)


def test_modes_are_restored_where_train_is_overridden():
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4)

        def train(self, mode=True):  # keeps its BatchNorm in training mode whatever is asked
            self.training = mode
            return self

        def forward(self, x):
            return self.norm(x)

    module = Frozen()
    module.eval()
    before = state(module)
    TargetModel.wrap(module).logits(records()[0])
    assert torch.equal(before[0]["norm.running_mean"], module.norm.running_mean)
    assert [submodule.training for submodule in module.modules()] == [False, True]


def test_a_device_is_answered_from_by_a_copy(fussy):
    target = TargetModel.wrap(fussy, device="meta")
    assert target.module is not fussy
    assert next(fussy.parameters()).device.type == "cpu"
    assert TargetModel.wrap(fussy, device="cpu").module is fussy
    with pytest.raises(InputError, match="only a torch module"):
        TargetModel.wrap(lambda x: x, outputs="logits", device="cpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU on this machine")
def test_a_module_on_a_gpu_is_asked_there(fussy):
    inputs, labels = records()
    cpu = TargetModel.wrap(fussy)
    for gpu in [TargetModel.wrap(fussy, device="cuda"), TargetModel.wrap(Fussy().cuda())]:
        assert next(gpu.module.parameters()).is_cuda
        gpu.module.load_state_dict(fussy.state_dict())
        np.testing.assert_allclose(gpu.logits(inputs), cpu.logits(inputs), atol=1e-4)
        np.testing.assert_allclose(gpu.gradient_norm(inputs, labels), cpu.gradient_norm(inputs, labels), rtol=1e-3)


def test_every_record_asked_is_counted():
    target = TargetModel.wrap(build("mlp", (4,), 3), batch_size=16)
    inputs, labels = records(40)
    target.logits(inputs)
    target.labels(inputs[:3])
    target.gradient_norm(inputs[:5], labels[:5])
    assert target.n_queries == 48
    failing = TargetModel.wrap(Fixed(np.full((40, 3), np.nan)), outputs="logits", batch_size=16)
    with pytest.raises(InputError, match="record 0"):
        failing.logits(inputs)
    assert failing.n_queries == 16  # a question that failed was still asked


def test_a_memory_map_is_read_a_batch_at_a_time(tmp_path):
    inputs = records(100)[0].astype(np.float32)
    np.save(tmp_path / "x.npy", inputs)
    target = TargetModel.wrap(build("mlp", (4,), 3), batch_size=32)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    np.testing.assert_array_equal(target.logits(mapped), target.logits(inputs))


def test_modules_are_fed_their_own_dtype():
    inputs, labels = records()
    double = TargetModel.wrap(build("mlp", (4,), 3).double())
    assert double.logits(inputs).dtype == np.float64
    assert double.gradient_norm(inputs, labels).dtype == np.float64
    assert TargetModel.wrap(build("mlp", (4,), 3).bfloat16()).logits(inputs).shape == (50, 3)
    with pytest.raises(InputError, match="takes numbers"):
        TargetModel.wrap(nn.Linear(1, 2)).logits(np.array([["a"]]))


# Gradients


def naive_gradient_norms(module, inputs, labels, loss):
    norms = []
    for x, y in zip(torch.tensor(inputs).float(), torch.tensor(labels), strict=True):
        module.zero_grad()
        loss(module(x[None]), y[None]).backward()
        norms.append(np.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in module.parameters())))
    module.zero_grad()
    return np.array(norms)


@pytest.mark.parametrize(
    ("name", "shape", "options"),
    [
        ("mlp", (4,), {"hidden": (16, 8)}),
        ("cnn", (2, 8, 8), {"widths": (4, 8)}),
        ("resnet18", (1, 8, 8), {"width": 4}),
        ("densenet-bc", (1, 8, 8), {"depth": 10, "growth": 4}),
    ],
)
def test_gradient_norms_are_those_of_one_backward_a_record(name, shape, options):
    torch.manual_seed(0)
    module = build(name, shape, 3, **options).train()
    module(torch.randn(32, *shape))  # running statistics other than 0 and 1
    inputs = np.random.default_rng(0).normal(size=(11, *shape))
    labels = np.arange(11) % 3
    ours = TargetModel.wrap(module, batch_size=4).gradient_norm(inputs, labels)
    expected = naive_gradient_norms(module.eval(), inputs, labels, F.cross_entropy)
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "shape", "options"), [("mlp", (4,), {"hidden": (16, 8)}), ("cnn", (2, 8, 8), {"widths": (4, 8)})]
)
def test_gradient_norms_by_layer_are_those_of_one_backward_a_record(name, shape, options):
    torch.manual_seed(0)
    module = build(name, shape, 3, **options).eval()
    inputs, labels = np.random.default_rng(0).normal(size=(7, *shape)), np.arange(7) % 3
    target = TargetModel.wrap(module, batch_size=4)
    ours = target.layer_gradient_norms(inputs, labels)
    layers = [layer for layer in module.modules() if list(layer.parameters(recurse=False))]
    for column, layer in zip(ours.T, layers, strict=True):
        for record, norm in enumerate(column):
            module.zero_grad()
            x = torch.tensor(inputs[record : record + 1]).float()
            F.cross_entropy(module(x), torch.tensor(labels[record : record + 1])).backward()
            expected = sum(float((p.grad.double() ** 2).sum()) for p in layer.parameters(recurse=False))
            assert norm == pytest.approx(np.sqrt(expected), rel=1e-4, abs=1e-9)
    np.testing.assert_allclose(np.sqrt((ours**2).sum(axis=1)), target.gradient_norm(inputs, labels), rtol=1e-6)
    assert target.n_queries == 14
    with pytest.raises(AccessError, match="layer_gradient_norms needs access 'gradients'"):
        TargetModel.wrap(module, access="logits").layer_gradient_norms(inputs, labels)


def test_gradient_norms_of_probabilities_single_outputs_and_frozen_weights():
    inputs, labels = records(9, n_classes=2)
    softmax = nn.Sequential(nn.Linear(4, 2), nn.Softmax(dim=1))
    ours = TargetModel.wrap(softmax, outputs="probabilities").gradient_norm(inputs, labels)
    expected = naive_gradient_norms(softmax, inputs, labels, lambda p, y: F.nll_loss(p.log(), y))
    np.testing.assert_allclose(ours, expected, rtol=1e-4)

    def sigmoid_loss(z, y):
        return F.binary_cross_entropy_with_logits(z.flatten(), y.float())

    for single in [nn.Linear(4, 1), nn.Sequential(nn.Linear(4, 1), nn.Flatten(0))]:
        ours = TargetModel.wrap(single).gradient_norm(inputs, labels)
        np.testing.assert_allclose(ours, naive_gradient_norms(single, inputs, labels, sigmoid_loss), rtol=1e-4)

    module = nn.Linear(4, 3)
    expected = naive_gradient_norms(module, inputs, labels, F.cross_entropy)
    module.weight.requires_grad_(False)  # an attacker who has gradients can take them of frozen weights too
    np.testing.assert_allclose(TargetModel.wrap(module).gradient_norm(inputs, labels), expected, rtol=1e-4)


def test_gradient_norms_of_a_module_that_cannot_be_batched_over_records():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)
            self.unused = nn.Linear(1, 1)

        def forward(self, x):
            return self.linear(x) * (2 if x.sum().item() > 0 else 1)

    inputs, labels = records(6)
    module = Branching()
    by_layer = TargetModel.wrap(module).layer_gradient_norms(inputs, labels)
    assert by_layer.shape == (6, 2)
    assert (by_layer[:, 1] == 0).all()  # a layer that takes no part
    module.unused.requires_grad_(False)
    ours = TargetModel.wrap(module).gradient_norm(inputs, labels)
    doubled = inputs.sum(axis=1) > 0
    expected = naive_gradient_norms(module.linear, inputs, labels, lambda z, y: F.cross_entropy(z, y))
    np.testing.assert_allclose(ours[~doubled], expected[~doubled], rtol=1e-4)
    assert (ours[doubled] != expected[doubled]).all()


def test_gradient_norms_check_their_labels():
    target = TargetModel.wrap(build("mlp", (4,), 3), n_classes=3)
    inputs, labels = records(4)
    with pytest.raises(InputError, match="one label a record"):
        target.gradient_norm(inputs, labels[:3])
    with pytest.raises(InputError, match="the label of record 2 is 3"):
        target.gradient_norm(inputs, np.array([0, 1, 3, 0]))


# Adapters


def test_estimators_answer_with_the_logarithms_of_their_probabilities():
    inputs, labels = records()
    for estimator in [LogisticRegression(), RandomForestClassifier(5, random_state=0)]:
        estimator.fit(inputs, labels)
        target = TargetModel.wrap(estimator)
        assert (target.kind, target.access) == ("estimator", Access.PROBABILITIES)
        logits = target.logits(inputs)
        assert logits.dtype == np.float64
        expected = np.log(np.maximum(estimator.predict_proba(inputs), 1e-45))
        np.testing.assert_allclose(logits, expected, rtol=1e-12)
        np.testing.assert_array_equal(target.labels(inputs), estimator.predict_proba(inputs).argmax(axis=1))


def test_estimators_are_given_flat_records():
    inputs, labels = records()
    estimator = LogisticRegression().fit(inputs, labels)
    images = inputs.reshape(-1, 1, 2, 2)
    np.testing.assert_array_equal(
        TargetModel.wrap(estimator).logits(images), TargetModel.wrap(estimator).logits(inputs)
    )


def test_classes_that_an_estimator_never_saw_have_probability_zero():
    inputs, _ = records()
    labels = np.where(inputs[:, 0] > 0, 3, 1)
    target = TargetModel.wrap(LogisticRegression().fit(inputs, labels), n_classes=6)
    logits = target.logits(inputs)
    assert logits.shape == (50, 6)
    assert set(target.labels(inputs)) == {1, 3}
    np.testing.assert_allclose(logits[:, [0, 2, 4, 5]], np.log(1e-45), rtol=1e-6)
    with pytest.raises(InputError, match="expected a model of 2 classes"):
        TargetModel.wrap(LogisticRegression().fit(inputs, labels), n_classes=2)


@pytest.mark.parametrize("names", [np.array(["c", "a", "b"]), np.array([-1, 0, 5]), np.array([7, 90001, 2**40])])
def test_classes_that_are_no_column_numbers_keep_the_order_of_the_estimator(names):
    inputs, labels = records()
    model = LogisticRegression().fit(inputs, names[labels])
    target = TargetModel.wrap(model)
    assert target.classes == tuple(map(str, np.sort(names)))
    np.testing.assert_allclose(np.exp(target.logits(inputs)), model.predict_proba(inputs), atol=1e-6)


def test_an_estimator_of_many_outputs_is_refused():
    inputs, labels = records()
    forest = RandomForestClassifier(2, random_state=0).fit(inputs, np.stack([labels, labels > 0], axis=1))
    with pytest.raises(InputError, match="2 outputs at once"):
        TargetModel.wrap(forest)


def test_an_estimator_with_labels_only():
    inputs, labels = records()
    ridge = RidgeClassifier().fit(inputs, labels)
    target = TargetModel.wrap(ridge)
    np.testing.assert_array_equal(target.labels(inputs), ridge.predict(inputs))
    with pytest.raises(AccessError, match="gives 'label' at most"):
        target.logits(inputs)
    with pytest.raises(InputError, match="a regressor cannot be audited"):
        TargetModel.wrap(LinearRegression().fit(inputs, labels)).labels(inputs)
    proba = LogisticRegression().fit(inputs, labels)
    assert TargetModel.wrap(proba, outputs="labels").access is Access.LABEL


def test_a_model_whose_predict_returns_scores_says_so():
    class Keraslike:
        def predict(self, batch):
            return batch[:, :3] * 1.0

    inputs, _ = records()
    target = TargetModel.wrap(Keraslike(), outputs="logits")
    np.testing.assert_allclose(target.logits(inputs), inputs[:, :3], rtol=1e-6)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_lightgbm(n_classes):
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed (extra 'tabular')")
    inputs, labels = records(200, n_classes=n_classes)
    settings = (
        {"objective": "binary", "sigmoid": 0.5} if n_classes == 2 else {"objective": "multiclass", "num_class": 3}
    )
    settings |= {"verbose": -1, "num_threads": 1}
    booster = lightgbm.train(settings, lightgbm.Dataset(inputs, labels), 5)
    target = TargetModel.wrap(booster)
    assert (target.kind, target.access, len(target.fingerprint)) == ("lightgbm", Access.LOGITS, 64)
    expected = booster.predict(inputs)
    expected = np.stack([1 - expected, expected], axis=1) if n_classes == 2 else expected
    np.testing.assert_allclose(odds(target.logits(inputs)), odds(np.log(expected)), atol=1e-5)

    classifier = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, n_jobs=1).fit(inputs, labels)
    assert TargetModel.wrap(classifier).kind == "estimator"
    np.testing.assert_allclose(
        TargetModel.wrap(classifier).logits(inputs), np.log(classifier.predict_proba(inputs)), rtol=1e-5
    )
    regression = lightgbm.train(
        {**settings, "objective": "regression", "num_class": 1}, lightgbm.Dataset(inputs, labels)
    )
    with pytest.raises(InputError, match="'regression', expected 'binary' or 'multiclass'"):
        TargetModel.wrap(regression)


@pytest.mark.parametrize("objective", ["binary:logistic", "multi:softprob", "reg:squarederror"])
def test_xgboost(objective):
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed (extra 'tabular')")
    n_classes = 3 if objective.startswith("multi") else 2
    inputs, labels = records(200, n_classes=n_classes)
    settings = {"objective": objective, "nthread": 1} | ({"num_class": 3} if n_classes == 3 else {})
    booster = xgboost.train(settings, xgboost.DMatrix(inputs, label=labels), 5)
    if objective == "reg:squarederror":
        with pytest.raises(InputError, match="expected a classification objective"):
            TargetModel.wrap(booster)
        return
    target = TargetModel.wrap(booster)
    expected = booster.predict(xgboost.DMatrix(inputs))
    expected = np.stack([1 - expected, expected], axis=1) if n_classes == 2 else expected
    np.testing.assert_allclose(odds(target.logits(inputs)), odds(np.log(expected)), atol=1e-4)
    assert (target.kind, len(target.fingerprint)) == ("xgboost", 64)


def test_callables_declare_their_outputs():
    inputs, _ = records()
    weights = np.random.default_rng(1).normal(size=(4, 3))

    def softmax(batch):
        exponentials = np.exp(batch @ weights)
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    with pytest.raises(InputError, match="say what the callable returns"):
        TargetModel.wrap(softmax)
    target = TargetModel.wrap(softmax, outputs="probabilities")
    assert (target.kind, target.name, target.fingerprint) == ("callable", "softmax", None)
    np.testing.assert_allclose(odds(target.logits(inputs)), odds(inputs @ weights), atol=1e-4)
    labels = TargetModel.wrap(lambda batch: softmax(batch).argmax(axis=1), outputs="labels")
    np.testing.assert_array_equal(labels.labels(inputs), target.labels(inputs))
    with pytest.raises(InputError, match="kind of outputs 'scores'"):
        TargetModel.wrap(softmax, outputs="scores")
    with pytest.raises(InputError, match="cannot audit a dict"):
        TargetModel.wrap({})


def test_what_a_module_must_return():
    inputs, _ = records(20)
    wrong = {
        "returned a tuple": lambda x: (x, x),
        "answered with the shape": lambda x: x[:3],
        r"shape \(samples, classes\)": lambda x: x[:, :, None].expand(-1, -1, 2),
        "for 3 classes, got 4": lambda x: x,
        "mat1 and mat2": lambda x: x @ torch.zeros(5, 3),
    }

    class Wrong(nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, x):
            return self.function(x)

    for message, function in wrong.items():
        with pytest.raises(InputError, match=message):
            TargetModel.wrap(Wrong(function), n_classes=3).logits(inputs)
    with pytest.raises(InputError, match="at least one record"):
        TargetModel.wrap(nn.Linear(4, 3)).logits(inputs[:0])


def test_declared_logits_that_are_probabilities_are_refused():
    inputs, _ = records(20)
    softmax = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    for outputs in [None, "logits"]:
        with pytest.raises(InputError, match="pass outputs='probabilities'"):
            TargetModel.wrap(softmax, outputs=outputs).logits(inputs)
    TargetModel.wrap(softmax, outputs="probabilities").logits(inputs)

    sigmoid = nn.Sequential(nn.Linear(4, 1), nn.Sigmoid())
    with pytest.raises(InputError, match="if it ends in one"):
        TargetModel.wrap(sigmoid).logits(inputs)
    p = sigmoid(torch.tensor(inputs).float()).detach().double().numpy()
    logits = TargetModel.wrap(sigmoid, outputs="probabilities").logits(inputs)
    np.testing.assert_allclose(logits, np.log(np.hstack([1 - p, p])), atol=1e-5)
    assert TargetModel.wrap(sigmoid, outputs="logits").logits(inputs).shape == (20, 2)  # the user insists


def test_a_single_output_is_the_logit_of_class_one():
    inputs, _ = records(20)
    linear = nn.Linear(4, 1)
    z = linear(torch.tensor(inputs).float()).detach().numpy()
    for module in [linear, nn.Sequential(linear, nn.Flatten(0))]:
        target = TargetModel.wrap(module)
        np.testing.assert_allclose(target.logits(inputs), np.hstack([0 * z, z]), atol=1e-6)
        np.testing.assert_array_equal(target.labels(inputs), z[:, 0] > 0)
        assert target.n_classes == 2


def test_the_fingerprint_is_of_the_weights():
    torch.manual_seed(0)
    module = build("cnn", (1, 8, 8), 3, widths=(4,))
    first = TargetModel.wrap(module)
    fingerprint = first.fingerprint
    first.logits(np.zeros((4, 1, 8, 8)))
    assert first.fingerprint == fingerprint
    twin = build("cnn", (1, 8, 8), 3, widths=(4,))
    assert TargetModel.wrap(twin).fingerprint != fingerprint
    twin.load_state_dict(module.state_dict())
    assert TargetModel.wrap(twin).fingerprint == fingerprint
    twin.train()(torch.randn(4, 1, 8, 8))  # only the running statistics move
    assert TargetModel.wrap(twin).fingerprint != fingerprint
    assert first.n_parameters == sum(parameter.numel() for parameter in module.parameters())


# Outputs, whoever computed them


@pytest.mark.parametrize(
    ("outputs", "kind", "message"),
    [
        ([[1.0, 2.0], [0.0, np.nan]], "logits", "record 1 is not finite"),
        ([[0.5, 0.5], [np.inf, 0.0]], "probabilities", "record 1 is not finite"),
        ([[0.5, 0.5], [1.1, -0.1]], "probabilities", r"record 1 has the probability (1\.1|-0\.1)"),
        ([[0.5, 0.5], [0.5, 0.4]], "probabilities", "record 1 miss a sum of 1 by 0.1"),
        ([[0.5, 0.5], [0.9, 0.1]], "logits", "pass kind='probabilities'"),
        ([[1e300, 0.0]], "logits", "too large for float32"),
        ([["a", "b"]], "logits", "expected numbers"),
        ([[1.0], [1.0, 2.0]], "logits", "not an array of one shape"),
        ([], "logits", "empty"),
        ([1.0], "labels", "no logits"),
        ([1.0], "logit", "did you mean 'logits'"),
    ],
)
def test_outputs_that_cannot_be_right(outputs, kind, message):
    with pytest.raises(InputError, match=message):
        logits_from(outputs, kind)


def test_outputs_of_many_models_keep_their_axes():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(3), size=(10, 4))
    logits = logits_from(probabilities, "probabilities")
    np.testing.assert_allclose(logits, np.log(probabilities), rtol=1e-6)
    single = logits_from(probabilities[..., :1], "probabilities")
    np.testing.assert_allclose(
        single[..., 1] - single[..., 0], np.log(probabilities[..., 0] / (1 - probabilities[..., 0])), rtol=1e-4
    )
    probabilities[7, 2] = [1, 1, 0]
    with pytest.raises(InputError, match="record 7"):
        logits_from(probabilities, "probabilities")
    with pytest.raises(InputError, match="record 107"):
        logits_from(probabilities, "probabilities", first_record=100)


def test_a_zero_probability_is_read_as_the_smallest_float():
    assert logits_from([[1.0, 0.0]], "probabilities").tolist() == [[0.0, np.float32(np.log(1e-45))]]


def test_blocks_do_not_change_the_answer(monkeypatch):
    outputs = np.random.default_rng(0).normal(size=(50, 3, 4))
    whole = logits_from(outputs)
    monkeypatch.setattr("seepage.models.outputs.BLOCK_VALUES", 30)
    np.testing.assert_array_equal(logits_from(outputs), whole)
    mixed = np.vstack([np.eye(4), outputs[:, 0]])  # some rows that look like probabilities are nothing wrong
    np.testing.assert_allclose(logits_from(mixed), mixed, rtol=1e-6)
    with pytest.raises(InputError, match="probability vector"):
        logits_from(np.eye(40))


def test_labels_are_whole_numbers_in_range():
    assert labels_from(np.array([[1.0], [0.0]])).tolist() == [1, 0]
    for wrong, message in [([0.5], "record 0"), ([0, -1], "record 1"), ([0, 1, 3], "record 2"), ([np.nan], "record 0")]:
        with pytest.raises(InputError, match=message):
            labels_from(wrong, n_classes=3)


def test_the_parts_that_metrics_need_are_free_of_torch():
    """Loading access and outputs by themselves must not import torch."""
    import subprocess

    code = "import sys, seepage.models.access, seepage.models.outputs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_scores_of_estimators_without_probabilities():
    """A decision function is asked where logits are declared; labels are never read as scores."""
    inputs, labels = records()
    two = (labels > 0).astype(int)
    for y, n_classes in ((two, 2), (labels, 3)):
        for estimator in (LinearSVC(), SVC(), RidgeClassifier(), SGDClassifier(), LogisticRegression()):
            scores = estimator.fit(inputs, y).decision_function(inputs)
            scores = np.c_[np.zeros(len(scores)), scores] if n_classes == 2 else scores
            np.testing.assert_array_equal(TargetModel.wrap(estimator, outputs="logits").logits(inputs), scores)
    assert TargetModel.wrap(LinearSVC().fit(inputs, labels)).access == Access.LABEL
    with pytest.raises(InputError, match="pass outputs='logits'"):
        TargetModel.wrap(LinearSVC().fit(inputs, labels), outputs="probabilities")
    unseen = TargetModel.wrap(LinearSVC().fit(inputs, two), outputs="logits", n_classes=4).logits(inputs)
    assert (unseen[:, 2:].max(axis=1) < unseen[:, :2].max(axis=1) - 100).all()


def test_a_model_that_writes_into_its_inputs_changes_nobody_elses():
    inputs, _ = records()
    before = inputs.copy()

    def model(batch):
        batch *= 2
        return batch[:, :3]

    target = TargetModel.wrap(model, outputs="logits")
    np.testing.assert_array_equal(target.logits(inputs), target.logits(inputs))
    np.testing.assert_array_equal(inputs, before)


def test_modules_without_gradients_are_refused_where_gradients_are_asked_for():
    class Cut(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Linear(4, 3)

        def forward(self, x):
            with torch.no_grad():
                return self.inner(x)

    class Bare(nn.Module):
        def forward(self, x):
            return 5 * x[:, :3]

    inputs, labels = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32), np.array([0, 1, 2, 0, 1, 2])
    for module, complaint in ((Cut(), "cuts the gradient off"), (Bare(), "has no parameters")):
        target = TargetModel.wrap(module, access="gradients", outputs="logits")
        for ask in (target.gradient_norm, target.layer_gradient_norms):
            with pytest.raises(InputError, match=complaint):
                ask(inputs, labels)
