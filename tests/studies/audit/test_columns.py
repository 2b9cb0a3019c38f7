"""Columns go by their names: of both sides, and of the model."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

import seepage
from seepage.data import read_frame
from tests.flat import audit

pd = pytest.importorskip("pandas", reason="pandas is not installed")
N = 300


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 5))
    y = (x[:, :3].sum(axis=1) + rng.normal(size=N) > 0).astype(int)
    frame, m = pd.DataFrame(x, columns=list("abcde")), rng.random(N) < 0.5
    return frame, y, m


def found(model, inside, outside):
    return audit(model, members=inside, nonmembers=outside, attacks=["loss"]).attack("loss").auc.value


def right(model, frame, y, m):
    return pytest.approx(roc_auc_score(m, np.asarray(model.predict_proba(frame))[np.arange(N), y]), abs=1e-9)


def test_frames_in_another_order_than_the_model(world):
    frame, y, m = world
    model = RandomForestClassifier(20, random_state=0).fit(frame[m], y[m])
    moved = frame[list("bcaed")]
    assert found(model, (moved[m], y[m]), (moved[~m], y[~m])) == right(model, frame, y, m)
    assert found(model, (frame[m], y[m]), (moved[~m], y[~m])) == right(model, frame, y, m)
    pools = [read_frame(moved[side].assign(y=y[side]), label="y") for side in (m, ~m)]
    assert found(model, *pools) == right(model, frame, y, m)
    values = frame.to_numpy()  # without names: as they are
    assert found(model, (values[m], y[m]), (values[~m], y[~m])) == right(model, frame, y, m)


def test_one_side_in_another_order_for_a_model_without_names(world):
    frame, y, m = world
    model = RandomForestClassifier(20, random_state=0).fit(frame[m].to_numpy(), y[m])
    inside, outside = (frame[m], y[m]), (frame[~m][list("ecdba")], y[~m])
    assert found(model, inside, outside) == right(model, frame.to_numpy(), y, m)


def test_boosters_that_know_their_columns(world):
    frame, y, m = world
    moved = frame[list("edcba")]
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed (extra 'tabular')")
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed (extra 'tabular')")
    data = xgboost.DMatrix(frame[m], label=y[m])
    for kind in ("gbtree", "gblinear"):
        booster = xgboost.train({"objective": "binary:logistic", "booster": kind}, data, 5)
        p = booster.predict(xgboost.DMatrix(frame))
        assert found(booster, (moved[m], y[m]), (moved[~m], y[~m])) == pytest.approx(
            roc_auc_score(m, np.where(y == 1, p, 1 - p)), abs=1e-3
        )
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(frame[m], y[m]), 5)
    p = booster.predict(frame)
    assert found(booster, (moved[m], y[m]), (moved[~m], y[~m])) == pytest.approx(
        roc_auc_score(m, np.where(y == 1, p, 1 - p)), abs=1e-9
    )


def test_other_columns_are_refused(world):
    frame, y, m = world
    model = RandomForestClassifier(20, random_state=0).fit(frame[m], y[m])
    other = frame.rename(columns={"e": "f"})
    with pytest.raises(seepage.SeepageError, match="was fitted on the columns a, b, c, d, e"):
        found(model, (other[m], y[m]), (other[~m], y[~m]))
    with pytest.raises(seepage.SeepageError, match=r"one read_frame"):
        found(model, (frame[m], y[m]), (other[~m], y[~m]))


def test_tables_that_were_encoded_apart_are_refused(world):
    """As many columns on both sides, of which one means another category."""
    frame, y, m = world
    jobs = np.random.default_rng(1).choice(list("xyz"), N)
    frame = frame.assign(job=jobs, y=y)
    inside, outside = frame[m & (jobs != "z")], frame[~m & (jobs != "x")]
    pools = [read_frame(side, label="y") for side in (inside, outside)]
    model = RandomForestClassifier(5, random_state=0).fit(pools[0].inputs, pools[0].labels)
    with pytest.raises(seepage.SeepageError, match="job=x"):
        found(model, *pools)


def test_masks_and_tensors():
    x = np.random.default_rng(0).normal(size=(20, 3))
    masked = np.ma.masked_array(x, x > 1)
    with pytest.raises(seepage.SeepageError, match="without a mask"):
        seepage.Pool(masked)
    assert seepage.Pool(np.ma.masked_array(x, np.zeros(x.shape, bool))).inputs.shape == (20, 3)
    assert (seepage.Pool(torch.tensor(x, requires_grad=True)).inputs == x).all()
    assert seepage.Pool(torch.tensor(x, dtype=torch.bfloat16)).inputs.dtype == np.float32


def test_sides_that_were_standardised_apart_are_refused(world):
    frame, y, m = world
    values = frame.to_numpy() * [1, 10, 100, 1, 1] + 5
    model = RandomForestClassifier(5, random_state=0).fit(values[m], y[m])

    def own(x, by):
        return (x - by.mean(axis=0)) / by.std(axis=0)

    inside, outside = values[m], values[~m]
    for dtype in (np.float64, np.float32):
        with pytest.raises(seepage.SeepageError, match="by their own mean"):
            found(model, (own(inside, inside).astype(dtype), y[m]), (own(outside, outside).astype(dtype), y[~m]))
    pools = [read_frame(frame[side].assign(y=y[side]), label="y", standardise=True) for side in (m, ~m)]
    with pytest.raises(seepage.SeepageError, match="by their own mean"):
        found(model, *pools)
    found(model, (own(inside, inside), y[m]), (own(outside, inside), y[~m]))  # by the training's, as it should be


def test_a_booster_in_a_file_knows_its_columns_too(world, tmp_path):
    lightgbm = pytest.importorskip("lightgbm", reason="lightgbm is not installed (extra 'tabular')")
    frame, y, m = world
    booster = lightgbm.train({"objective": "binary", "verbose": -1}, lightgbm.Dataset(frame[m], y[m]), 5)
    booster.save_model(tmp_path / "m.txt")
    moved, loaded = frame[list("edcba")], seepage.load_model(tmp_path / "m.txt")
    p = booster.predict(frame)
    assert found(loaded, (moved[m], y[m]), (moved[~m], y[~m])) == pytest.approx(
        roc_auc_score(m, np.where(y == 1, p, 1 - p)), abs=1e-9
    )
