"""Records keep the values that were given; where float32 cannot hold them, the user is told which column."""

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sklearn.tree import DecisionTreeClassifier
from torch import nn

import seepage
from seepage.cli import main
from seepage.data import overlap, read_dataset, read_file, read_frame
from seepage.data.precision import check_float32
from tests.flat import audit
from tests.models.graphs import graph

N = 300


def table(column, n=N):
    """A column that float32 cannot hold beside an ordinary one."""
    rng = np.random.default_rng(0)
    values = {
        "seconds": 1.7e9 + rng.permutation(86400)[:n],
        "cents": 1e7 + rng.permutation(10 * n)[:n] / 100,
        "account": 1234567000.0 + rng.permutation(n),
        "coordinate": 48.0 + rng.permutation(n) * 1e-6,
        "huge": np.exp(rng.normal(size=n)) * 1e40,
    }[column]
    return np.c_[rng.normal(size=n), values], rng.integers(0, 2, n), rng.random(n) < 0.5


COLUMNS = ["seconds", "cents", "account", "coordinate", "huge"]


def lists(x, y, m):
    return {"members": (x[m], y[m]), "nonmembers": (x[~m], y[~m])}


@pytest.mark.parametrize("column", COLUMNS)
def test_the_model_is_asked_about_the_records_that_were_given(column):
    x, y, m = table(column)
    asked = []

    def model(batch):
        asked.append(batch)
        return np.c_[batch[:, 0], -batch[:, 0]]

    audit(model, **lists(x, y, m), model_outputs="logits", attacks=["loss"])
    given = {tuple(row) for row in x}
    first = np.concatenate(asked)[:N]
    assert {tuple(row) for row in first} == given


@pytest.mark.parametrize("column", COLUMNS)
def test_who_takes_float32_is_told_which_column(column):
    x, y, m = table(column)
    network, recipe = nn.Linear(2, 2), seepage.Recipe(seepage.MLP, epochs=1)
    with pytest.raises(seepage.SeepageError, match=r"column 1.*model\.double\(\)"):
        audit(network, **lists(x, y, m), attacks=["loss"])
    with pytest.raises(seepage.SeepageError, match=r"column 1"):
        seepage.train(recipe, seepage.Pool(x, y), m, rng=np.random.default_rng(0))
    if column == "huge":  # neither do trees, nor a callable that is asked with float32
        return
    forest = DecisionTreeClassifier().fit(x, y)
    with pytest.raises(seepage.SeepageError, match=r"column 1"):
        audit(forest, **lists(x, y, m), recipe=recipe, references=2)

    def callable_around(batch):
        return network(torch.from_numpy(batch)).detach().numpy()

    with pytest.raises(seepage.SeepageError, match=r"column 1"):
        audit(callable_around, **lists(x, y, m), model_outputs="logits", attacks=["loss"])


def test_ways_out_that_the_advice_names():
    x, y, m = table("seconds")
    network = nn.Linear(2, 2)
    audit(network.double(), **lists(x, y, m), attacks=["loss"])
    network.float()
    audit(network, **lists(x - x.min(axis=0), y, m), attacks=["loss"])
    rounded = x.astype(np.float32)
    result = audit(network, **lists(rounded, y, m), attacks=["loss"])
    assert result.verdict != "NO EVIDENCE"  # said by the gates: some records are the same now


def test_ordinary_values_are_no_trouble():
    rng = np.random.default_rng(0)
    for x in (
        rng.normal(size=(5000, 3)),
        rng.lognormal(8, 2, (5000, 2)).round(2),  # money in cents, up to millions
        rng.random((200, 3, 16, 16)),
        rng.integers(0, 100_000, (5000, 3)).astype(float),
        np.c_[rng.integers(0, 2, (5000, 20)), 40 + 10 * rng.random(5000)],
        rng.normal(size=(100_000, 1)),  # continuous: a few of so many fall together in float32
        1000 + rng.normal(size=(5000, 2)),
        np.c_[48.85 + 0.1 * rng.random((5000, 2)).round(6), rng.normal(size=5000)],  # places in a city, to 0.4 m
        np.repeat(rng.normal(size=(50, 4)), 2, axis=0) * (1 + 1e-15 * np.arange(100)[:, None]),  # sums in two orders
    ):
        check_float32(x, taker="it")
        assert seepage.Pool(x).inputs.dtype == np.float64


def test_distinct_records_never_become_twins():
    x = np.zeros((4, 3))
    x[:, 1] = [0.1, 0.1 + 1e-10, 0.5, 0.7]
    pool = seepage.Pool(x)
    assert pool.duplicates() == []
    assert len(overlap(x[:1], x[1:2])) == 0
    assert len(overlap(x[:1], x[:1])) == 1
    with pytest.raises(seepage.SeepageError, match="cannot hold column 1"):
        check_float32(x, taker="it")
    rng = np.random.default_rng(0)
    with pytest.raises(seepage.SeepageError, match=r"distinct records \d+ and \d+ become the same, and \d+ in all"):
        check_float32(1000 + rng.normal(size=(4000, 1)), taker="it")
    # One side float32, the other float64: compared as they are.
    half = np.array([[0.5]])
    assert len(overlap(half, half.astype(np.float32))) == 1
    assert len(overlap(np.array([[0.1]]), np.array([[0.1]], dtype=np.float32))) == 0


def test_sides_in_float32_and_float64_go_together_in_float64():
    narrow, wide = seepage.Pool(np.ones((2, 2), np.float32), [0, 1]), seepage.Pool(np.full((2, 2), 0.1), [0, 1])
    both = narrow.concat(wide)
    assert both.inputs.dtype == np.float64
    assert both.inputs[3, 0] == 0.1


def test_tables_keep_their_numbers(tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    x, y, m = table("seconds")
    frame = pandas.DataFrame({"size": x[:, 0], "time": x[:, 1], "kind": np.where(m, "a", "b"), "y": y})
    frame.to_csv(tmp_path / "t.csv", index=False)
    for pool in (
        read_frame(frame, label="y"),
        read_file(tmp_path / "t.csv", label="y"),
    ):
        np.testing.assert_array_equal(pool.inputs[:, 1], x[:, 1])
        assert pool.duplicates() == []
        with pytest.raises(seepage.SeepageError, match="the column 'time'"):
            seepage.train(seepage.Recipe(seepage.MLP, epochs=1), pool, m, rng=np.random.default_rng(0))
        standard = read_frame(frame, label="y", standardise=True)
        seepage.train(seepage.Recipe(seepage.MLP, epochs=1), standard, m, rng=np.random.default_rng(0))


def test_items_and_files_keep_their_numbers(tmp_path):
    x, y, _ = table("account")
    dataset = list(zip(x, y.tolist(), strict=True))
    np.savez(tmp_path / "t.npz", inputs=x, labels=y)
    np.save(tmp_path / "t.npy", x)
    for pool in (
        read_dataset(dataset),
        read_dataset(dataset, memmap=tmp_path / "m.npy"),
        read_file(tmp_path / "t.npz"),
        read_file(tmp_path / "t.npy"),
    ):
        np.testing.assert_array_equal(pool.inputs, x)
        np.testing.assert_array_equal(pool.batch(), x)
    assert isinstance(read_file(tmp_path / "t.npy").inputs, np.memmap)


def test_a_graph_in_float32_is_told_by_the_command_line(tmp_path):
    x, y, m = table("seconds")
    weights = np.random.default_rng(0).normal(size=(2, 2)).astype(np.float32)
    content = graph([("MatMul", ["x", "w"], ["y"])], (("y", "FLOAT", ["n", 2]),), [("w", weights)], (("x", ["n", 2]),))
    (tmp_path / "m.onnx").write_bytes(content)
    for side, rows in (("in", m), ("out", ~m)):
        text = "\n".join(["size,time,y", *(f"{a!r},{b!r},{c}" for a, b, c in zip(*x[rows].T.tolist(), y[rows]))])  # noqa: B905
        (tmp_path / f"{side}.csv").write_text(text)
    command = ["audit", "--model", tmp_path / "m.onnx", "--members", tmp_path / "in.csv", "--label", "y"]
    command += ["--nonmembers", tmp_path / "out.csv", "--out", tmp_path / "a"]
    told = CliRunner().invoke(main, [str(argument) for argument in command])
    assert told.exit_code == 2
    assert "the column 'time'" in told.output
    assert "--float32" in told.output
    followed = CliRunner().invoke(main, [*(str(argument) for argument in command), "--float32"])
    assert followed.exit_code == 0, followed.output


def test_numbers_longer_than_float64_are_ids(tmp_path):
    """Card numbers that differ in the last digit stay apart: as ids, as labels, never as numbers."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    cards = [4000_0000_0000_0000_000 + k for k in range(6)]
    frame = pandas.DataFrame({"card": cards, "x": np.arange(6) / 10, "y": [0, 1] * 3})
    frame.to_csv(tmp_path / "t.csv", index=False)
    for make in (
        lambda **how: read_frame(frame, **how),
        lambda **how: read_file(tmp_path / "t.csv", **how),
    ):
        assert make(label="y", id="card").ids.tolist() == list(map(str, cards))
        assert make(label="card").n_classes == 6
    with pytest.raises(seepage.SeepageError, match=r"column 'card'.*looks like an id"):
        read_frame(frame, label="y")
    frame["card"] = frame["card"].astype(object)
    with pytest.raises(seepage.SeepageError, match=r"column 'card'.*looks like an id"):
        read_frame(frame, label="y")


@pytest.mark.parametrize("n", [20, 2000, 50_000])
@pytest.mark.parametrize("code", [None, 0.0, -1.0])
def test_what_is_lost_does_not_depend_on_the_number_of_records_or_on_a_code_for_missing_ones(n, code):
    rng = np.random.default_rng(1)
    for column in (
        1.7e9 + rng.integers(0, 86400, n),  # seconds of a day
        1.4e9 + rng.integers(0, 86400 * 3650, n),  # of ten years
        1e8 + rng.integers(0, 10**6, n),  # numbers of accounts
        1.7e9 + 86400 * rng.random(n),
        1e5 + rng.normal(size=n) / 30,
    ):
        if code is not None:
            column[rng.random(n) < 0.2] = code
        with pytest.raises(seepage.SeepageError, match="cannot hold column 1"):
            check_float32(np.c_[rng.normal(size=n), column, rng.normal(size=n)], taker="it")


def test_codes_keep_their_writing(tmp_path):
    """Labels and ids that are codes: 007 is not 7, 1_1 is not 11; beside a missing one they keep all their digits."""
    (tmp_path / "t.csv").write_text("a,code,y\n1,01,1_1\n3,001,11\n5,1,12\n")
    assert read_file(tmp_path / "t.csv", label="y", id="code").ids.tolist() == ["01", "001", "1"]
    assert read_file(tmp_path / "t.csv", label="y").n_classes == 3
    assert read_file(tmp_path / "t.csv", label="code", categorical=["y"]).n_classes == 3
    (tmp_path / "n.csv").write_text("a,code,y\n1,01,0\n3,001,1\n5,1,1\n")
    assert read_file(tmp_path / "n.csv", label="y", group="code").groups.tolist() == ["01", "001", "1"]
    assert read_file(tmp_path / "n.csv", label="y").inputs[:, 1].tolist() == [1, 1, 1]  # a quantity
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (extra 'parquet')")
    from decimal import Decimal

    import pyarrow.parquet

    large = [2**60 + 1, None, 2**60]
    table = arrow.table({"g": arrow.array(large), "b": [1.0, 2.0, 3.0], "y": [0, 1, 0]})
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    groups = read_file(tmp_path / "t.parquet", label="y", group="g").groups
    assert groups[0] == str(2**60 + 1)
    assert groups[2] == str(2**60)
    table = arrow.table({"g": [Decimal(10**20 + 1), Decimal(10**20), Decimal(5)], "b": [1.0, 2.0, 3.0]})
    pyarrow.parquet.write_table(table, tmp_path / "d.parquet")
    with pytest.raises(seepage.SeepageError, match="looks like an id"):
        read_file(tmp_path / "d.parquet")
    assert read_file(tmp_path / "d.parquet", id="g").ids[0] == str(10**20 + 1)
