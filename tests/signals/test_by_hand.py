"""Signals against a float64 computation by hand, for every kind of model that people have.

What a model answered is asked of the model itself; the signals and the ranking must follow from that alone.
"""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, xlogy
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

import seepage
from seepage.models.files import load_model
from seepage.models.target import TargetModel
from seepage.signals.view import ScalarSignals

N, K = 240, 3


def records(n_classes=K):
    """Features of which one is seconds since 1970 and one is money in cents: float32 holds neither."""
    rng = np.random.default_rng(7)
    seconds = 1.7e9 + rng.integers(0, 86400, N)
    x = np.c_[seconds, rng.lognormal(12, 1, N).round(2), rng.normal(size=(N, 3))]
    score = np.sin(seconds / 9000) + 0.5 * x[:, 2] + 0.7 * rng.normal(size=N)
    y = np.digitize(score, [0.0] if n_classes == 2 else [-0.5, 0.5])
    return x, y, rng.random(N) < 0.5


def by_hand(p, y):
    """Every signal of probabilities, as its definition says."""
    p_y = np.clip(p[np.arange(len(y)), y], 1e-45, 1)
    rest = np.delete(p.ravel(), np.arange(len(y)) * p.shape[1] + y).reshape(len(y), -1)
    return {
        "loss": -np.log(p_y),
        "confidence": p_y,
        "scaled-logit": np.log(p_y) - np.log(np.maximum(1 - p_y, 1e-45)),
        "entropy": -xlogy(p, p).sum(axis=1),
        "modified-entropy": -(1 - p_y) * np.log(p_y) - xlogy(rest, np.maximum(1 - rest, 1e-45)).sum(axis=1),
        "correct": (p.argmax(axis=1) == y).astype(float),
    }


def estimators():
    yield "forest", RandomForestClassifier(30, random_state=0), K
    yield "forest of leaves", RandomForestClassifier(7, min_samples_leaf=5, random_state=0), 2
    yield "nearest neighbours", KNeighborsClassifier(4), K
    yield "histogram boosting", HistGradientBoostingClassifier(max_iter=20, min_samples_leaf=2), K
    yield "naive Bayes", GaussianNB(), K
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed (extra 'tabular')")
    yield "LightGBM", lightgbm.LGBMClassifier(n_estimators=10, verbose=-1), K
    rf = {"boosting_type": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}
    yield "LightGBM that averages", lightgbm.LGBMClassifier(n_estimators=10, verbose=-1, **rf), 2
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed (extra 'tabular')")
    yield "XGBoost", xgboost.XGBClassifier(n_estimators=10), K


NAMES = ["forest", "forest of leaves", "nearest neighbours", "histogram boosting", "naive Bayes", "LightGBM",
         "LightGBM that averages", "XGBoost", "CatBoost"]  # fmt: skip


def fitted(name):
    if name == "CatBoost":
        catboost = pytest.importorskip("catboost", reason="catboost is not installed")
        model, n_classes = catboost.CatBoostClassifier(iterations=10, verbose=0, allow_writing_files=False), K
    else:
        model, n_classes = next((model, k) for known, model, k in estimators() if known == name)
    x, y, m = records(n_classes)
    return model.fit(x[m], y[m]), x, y, m


@pytest.mark.parametrize("name", NAMES)
def test_estimators(name):
    """Every signal to 1e-9, and the attack's AUC to the last digit, ties and all."""
    model, x, y, m = fitted(name)
    p = np.asarray(model.predict_proba(x), dtype=np.float64)
    logits = TargetModel.wrap(model).logits(x)
    signals = ScalarSignals(logits[:, None, None], y, np.array([True]))
    for signal, right in by_hand(p, y).items():
        np.testing.assert_allclose(signals[signal][:, 0, 0], right, rtol=1e-9, atol=1e-9, err_msg=signal)
    result = seepage.audit(
        model, members=(x[m], y[m]), nonmembers=(x[~m], y[~m]), attacker=seepage.Attacker(attacks=["loss"])
    )
    right = roc_auc_score(m, p[np.arange(N), y])
    assert result.attack("loss").auc.value == pytest.approx(right, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_networks(dtype):
    x, y, m = records()
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, K)).to(dtype)
    with torch.no_grad():
        answers = module(torch.from_numpy(x).to(dtype)).double().numpy()
    log_p = log_softmax(answers, axis=1)
    signals = ScalarSignals(TargetModel.wrap(module).logits(x)[:, None, None], y)
    for signal, right in by_hand(np.exp(log_p), y).items():
        np.testing.assert_allclose(signals[signal][:, 0, 0], right, rtol=1e-9, atol=1e-9, err_msg=signal)
    result = seepage.audit(
        module, members=(x[m], y[m]), nonmembers=(x[~m], y[~m]), attacker=seepage.Attacker(attacks=["loss"])
    )
    assert result.attack("loss").auc.value == pytest.approx(roc_auc_score(m, log_p[np.arange(N), y]), abs=1e-12)


@pytest.mark.parametrize("objective", ["binary", "multiclass"])
@pytest.mark.parametrize("boosting", ["gbdt", "rf", "dart"])
@pytest.mark.parametrize("saved", [False, True])
def test_lightgbm_boosters(objective, boosting, saved, tmp_path):
    """Trees that are summed, averaged and rescaled; raw scores are read on the scale that the library itself uses."""
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed (extra 'tabular')")
    x, y, m = records(2 if objective == "binary" else K)
    how = {"objective": objective, "boosting": boosting, "bagging_freq": 1, "bagging_fraction": 0.6, "verbose": -1}
    how |= {"num_class": K} if objective == "multiclass" else {"sigmoid": 0.7}
    booster = lightgbm.train(how, lightgbm.Dataset(x[m], y[m]), 10)
    p = booster.predict(x)
    p = np.c_[1 - p, p] if objective == "binary" else p
    if saved:
        booster.save_model(tmp_path / "model.txt")
        booster = load_model(tmp_path / "model.txt")
    log_p = log_softmax(TargetModel.wrap(booster).logits(x), axis=1)
    np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-9, atol=1e-12)


def test_xgboost_boosters():
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed (extra 'tabular')")
    x, y, m = records()
    how = {"objective": "multi:softprob", "num_class": K, "num_parallel_tree": 4, "subsample": 0.7}
    booster = xgboost.train(how, xgboost.DMatrix(x[m], y[m]), 5)
    log_p = log_softmax(TargetModel.wrap(booster).logits(x).astype(np.float64), axis=1)
    np.testing.assert_allclose(np.exp(log_p), booster.predict(xgboost.DMatrix(x)), rtol=1e-5)  # its own float32


def exported(name, x, y):
    """The ONNX file of a fitted model, and its output that holds the probabilities."""
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    tools = pytest.importorskip("onnxmltools", reason="onnxmltools is not installed")
    from onnxmltools.convert.common.data_types import FloatTensorType

    given = [("x", FloatTensorType([None, x.shape[1]]))]
    if name == "scikit-learn":
        model = LogisticRegression().fit(x, y)
        return skl2onnx.to_onnx(model, x[:1], options={"zipmap": False}), "probabilities"
    if name == "LightGBM":
        lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed (extra 'tabular')")
        model = lightgbm.LGBMClassifier(n_estimators=10, verbose=-1).fit(x, y)
        return tools.convert_lightgbm(model, initial_types=given, zipmap=False), "probabilities"
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed (extra 'tabular')")
    model = xgboost.XGBClassifier(n_estimators=10).fit(x, y)
    return tools.convert_xgboost(model, initial_types=given), "probabilities"


@pytest.mark.parametrize("name", ["scikit-learn", "LightGBM", "XGBoost"])
def test_onnx_exports(name, tmp_path):
    """Of a binary model, the case in which exporters round a zero to -1e-7."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'onnx')")
    x, y, m = records(2)
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)
    graph, output = exported(name, x[m], y[m])
    path = tmp_path / "model.onnx"
    path.write_bytes(graph.SerializeToString())
    alone = runtime.SessionOptions()
    alone.intra_op_num_threads = 1  # sums of trees depend on how threads share them
    session = runtime.InferenceSession(path.read_bytes(), alone)
    p = session.run([output], {session.get_inputs()[0].name: x})[0].astype(np.float64)
    model = load_model(path, output_name=output)
    signals = ScalarSignals(
        TargetModel.wrap(model, outputs="probabilities").logits(x)[:, None, None], y, np.array([True])
    )
    right = by_hand(np.clip(p, 0, 1), y)
    for signal in ("loss", "confidence"):
        np.testing.assert_allclose(signals[signal][:, 0, 0], right[signal], rtol=1e-9, atol=1e-9)
    result = seepage.audit(
        model,
        members=(x[m], y[m]),
        nonmembers=(x[~m], y[~m]),
        model_outputs="probabilities",
        attacker=seepage.Attacker(attacks=["loss"]),
    )
    assert result.attack("loss").auc.value == pytest.approx(roc_auc_score(m, p[np.arange(N), y]), abs=1e-12)


# Equal probabilities of the label, whatever the others are


@pytest.mark.parametrize(
    "rows",
    [
        ([0.7, 0.1, 0.2, 0.0], [0.7, 0.3, 0.0, 0.0]),  # votes of a forest
        ([0.6, 0.2, 0.2, 0.0], [0.6, 0.0, 0.0, 0.4]),  # five neighbours
        ([0.33, 0.33, 0.33, 0.0], [0.33, 0.67, 0.0, 0.0]),  # rounded: the first row sums to 0.99
        ([0.9, 0.0, 0.0, 0.0995], [0.9, 0.1, 0.0, 0.0]),  # what is left of a list that was cut
        ([1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.004, 0.0]),  # certain, and rounded
    ],
)
def test_equal_probabilities_of_the_label_give_equal_scores(rows):
    rng = np.random.default_rng(0)
    n = 200
    y, m = rng.integers(0, 4, n), rng.random(n) < 0.5
    p = np.zeros((n, 4))
    for row, own in enumerate(np.where(m[:, None], *rows)):
        p[row, (y[row] + np.arange(4)) % 4] = own
    outputs = {"probs": p[:, None], "labels": y, "membership": m[:, None]}
    result = seepage.audit_outputs(outputs, origin="declared", attacker=seepage.Attacker(attacks=["loss"]))
    assert result.attack("loss").auc.value == 0.5
    signals = ScalarSignals(np.log(np.maximum(p, 1e-45))[:, None, None], y, np.array([True]))
    # Where p has run into 1, the other classes are all that says how sure it is.
    for signal in ("loss", "confidence") if rows[0][0] == 1 else ("loss", "confidence", "scaled-logit"):
        assert len(np.unique(signals[signal])) == 1, signal


def test_the_same_probabilities_in_another_order_have_one_entropy():
    rows = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.1, 0.3, 0.2], [0.3, 0.2, 0.4, 0.1]])
    labels = np.array([3, 0, 2])
    signals = ScalarSignals(np.log(rows)[:, None, None], labels, np.array([True]))
    for signal in ("entropy", "modified-entropy"):
        assert len(np.unique(signals[signal])) == 1, signal


def test_a_sure_network_in_float32_keeps_its_tail():
    """p_y is 1 in float32; what the other classes are given says how sure the network is, as in the LiRA code."""
    z = np.array([[0.0, -20.0], [0.0, -30.0], [0.0, -12.0], [0.0, -9.0]])
    for dtype, least in ((np.float32, -31), (np.float16, -15)):
        p = np.exp(log_softmax(z, axis=1)).astype(dtype).astype(np.float64)
        log_p = np.log(np.maximum(p, 1e-45))[:, None, None]
        found = ScalarSignals(log_p, np.zeros(4, dtype=int), np.array([True]))["scaled-logit"][:, 0, 0]
        kept = z[:, 1] > least
        np.testing.assert_allclose(found[kept], -z[kept, 1], rtol=0.03)
        assert (found[~kept] > 100).all()  # zeros are zeros
        assert (np.argsort(found, kind="stable") == np.argsort(-z[:, 1], kind="stable")).all() or dtype == np.float16


def test_targets_and_references_of_two_kinds_are_read_each_in_its_own_way():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), size=50).round(2)
    z, y = rng.normal(size=(50, 3)), rng.integers(0, 3, 50)
    together = np.stack([np.log(np.maximum(p, 1e-45)), z], axis=1)[:, :, None]
    both = ScalarSignals(together, y, np.array([True, False]))
    for column, given in ((0, True), (1, False)):
        alone = ScalarSignals(together[:, [column]], y, np.array([given]))
        for signal in both:
            np.testing.assert_array_equal(both[signal][:, [column]], alone[signal], err_msg=signal)
