"""Code that is not ours may call sys.exit(): an error like any other, never an end that looks like success."""

import pickle
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from torch import nn

import seepage
from seepage.cli import main
from seepage.cli.group import EXIT_ERROR
from seepage.data import Pool
from seepage.errors import DataFileError, InputError, TrainingError
from seepage.models.files import load_model
from seepage.models.recipe import Recipe
from seepage.outside import from_outside
from seepage.signals.collect import collect

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 2
TWO = {"members": (X[:30], Y[:30]), "nonmembers": (X[30:], Y[30:])}


def ends(*arguments, **options):
    sys.exit(0)


class EndsWhenOpened:
    def __reduce__(self):
        return sys.exit, (0,)


class EndsWhenAsked:
    classes_ = np.arange(2)
    predict_proba = ends


@pytest.mark.parametrize("code", [0, None, 1, "bye"])
def test_an_exit_is_an_error_and_ctrl_c_passes(code):
    with pytest.raises(InputError, match="it failed: SystemExit"), from_outside("it failed"):
        sys.exit(code)
    with pytest.raises(KeyboardInterrupt), from_outside("it failed"):
        raise KeyboardInterrupt


def test_a_model_a_recipe_and_an_executor_that_exit_are_named():
    with pytest.raises(InputError, match=r"ends could not answer.*SystemExit"):
        seepage.audit(ends, **TWO, model_outputs="probabilities")
    for recipe in (Recipe(ends), Recipe(lambda shape, k: nn.Linear(3, k), objective=ends)):
        with pytest.raises(InputError, match="SystemExit"):
            seepage.train(recipe, Pool(X, Y), np.arange(60) < 30, rng=0)

    class Cluster:
        map = ends

    columns = np.arange(60)[:, None] < 30
    with pytest.raises(TrainingError, match="Cluster could not carry out"):
        collect(Recipe(seepage.MLP, epochs=1), Pool(X, Y), columns, root_seed=0, executor=Cluster(), engine="single")


def test_a_pickle_that_exits_ends_the_command_as_an_error(tmp_path):
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(EndsWhenOpened()))
    (tmp_path / "asked.pkl").write_bytes(pickle.dumps(EndsWhenAsked()))
    with pytest.raises(DataFileError, match="could not be unpickled: SystemExit"):
        load_model(tmp_path / "m.pkl", trust_code=True)
    for name in ("members", "nonmembers"):
        np.savez(tmp_path / f"{name}.npz", inputs=TWO[name][0], labels=TWO[name][1])
    lists = [f"--{name}={tmp_path / name}.npz" for name in ("members", "nonmembers")]
    for model in ("m.pkl", "asked.pkl"):
        command = ["audit", f"--model={tmp_path / model}", *lists, "--trust-code", f"--out={tmp_path / 'out'}"]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == EXIT_ERROR
        assert "SystemExit" in done.stderr


def test_an_exit_that_nothing_else_caught_is_no_success(monkeypatch):
    monkeypatch.setattr("seepage.schema.reading.load_result", ends)
    done = CliRunner().invoke(main, ["report", "somewhere"])
    assert done.exit_code == EXIT_ERROR
    assert "sys.exit(0)" in done.stderr
