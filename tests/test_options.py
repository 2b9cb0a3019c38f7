"""Options of another kind than they must be: one sentence, neither another package's error nor a belief."""

import numpy as np
import pytest
import torch
from torch import nn

import seepage
from seepage.cli.specs.parts import made
from seepage.data import Pool, read_file, read_frame
from seepage.errors import InputError
from seepage.models.files import load_model
from seepage.models.optimisers import SGD, Adam, Steps
from seepage.models.recipe import Augmentation, BestValidation, Recipe, StopAt
from seepage.outside import check_kinds
from tests.flat import audit

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 2
TWO = {"members": (X[:30], Y[:30]), "nonmembers": (X[30:], Y[30:])}
IN = np.arange(60) < 30


def recipe(**options):
    return Recipe(seepage.MLP, **options)


VALUES = [
    (Adam, "lr", ["1e-3", None, True, [0.1]]),
    (Adam, "betas", [0.9, "ab", ("a", 0.9), (True, 0.9)]),
    (Adam, "decoupled", ["no", 1]),
    (SGD, "momentum", ["x", None, False]),
    (SGD, "nesterov", ["no", 0]),
    (Steps, "milestones", ["ab", 5, (1, "2"), (True,)]),
    (lambda gamma: Steps((1, 2), gamma), "gamma", ["x", None, True]),
    (recipe, "epochs", ["50", None, True]),
    (recipe, "batch_size", ["64", 6.4, True]),
    (recipe, "mixup", ["x", True]),
    (recipe, "shuffle", ["no", 0, None]),
    (recipe, "reset_optimiser", ["no", 1]),
    (recipe, "version", [3, None]),
    (Augmentation, "flip", ["no", 1]),
    (Augmentation, "shift", ["4", True, 1.5]),
    (StopAt, "accuracy", ["x", True, None]),
    (BestValidation, "patience", ["3", True, 1.5]),
    (BestValidation, "least_gain", ["x", False]),
]


@pytest.mark.parametrize(("kind", "name", "wrong"), VALUES, ids=[name for _, name, _ in VALUES])
def test_parts_of_a_recipe_of_the_wrong_kind(kind, name, wrong):
    for value in wrong:
        with pytest.raises(InputError, match=rf"^\w+: {name}.* must be .*, got "):
            kind(**{name: value})


def test_numbers_of_numpy_and_whole_numbers_for_others_are_as_good():
    Adam(lr=np.float32(0.1), betas=[0, np.float64(0.9)])
    Steps((np.int64(1), 2.5), gamma=1)
    recipe(epochs=np.int64(3), mixup=0, shuffle=np.bool_(True))
    check_kinds("here", n=(np.int64(3), int), p=(1, float), q=(None, int | None), any=(True, object))


def test_in_a_configuration_the_section_is_named():
    with pytest.raises(InputError, match=r"^recipe\.optimiser\.options: Adam cannot be made of .*lr must be a number"):
        made(Adam, {"lr": "1e-3"}, "recipe.optimiser.options")


@pytest.mark.parametrize("options", [{"scale": "x"}, {"scale": None}, {"n_classes": "3"}, {"n_classes": 2.5},
                                     {"n_classes": True}, {"n_classes": 10**9}, {"n_classes": 0}, {"name": 5}],
                         ids=str)  # fmt: skip
def test_options_of_a_pool(options, tmp_path):
    with pytest.raises(InputError, match=f"^Pool: {next(iter(options))} must be"):
        Pool(X, Y, **options)
    np.savez(tmp_path / "d.npz", inputs=X, labels=Y)
    with pytest.raises(InputError, match=next(iter(options))):
        read_file(tmp_path / "d.npz", **options | ({"name": 5} if "name" in options else {}))


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("label", [3, ["y"]]),
        ("categorical", ["ab", 3, [3], True]),
        ("standardise", ["no", 1, None]),
        ("n_classes", ["3", 2.5, 10**9, True]),
        ("max_bytes", ["x", 2.5, -1, 0, True]),
        ("name", [5]),
        ("group", [1]),
    ],
)
def test_options_of_a_file(option, wrong, tmp_path):
    (tmp_path / "d.csv").write_text("a,b,y\n" + "\n".join(f"{i},{i % 3},{i % 2}" for i in range(20)))
    for value in wrong:
        with pytest.raises(InputError, match=f"{option}") as caught:
            read_file(tmp_path / "d.csv", **{"label": "y", option: value})
        assert "GiB" not in str(caught.value)
    right = {
        "categorical": np.array(["b"]),
        "n_classes": np.int64(3),
        "standardise": np.bool_(True),
        "max_bytes": 10**6,
    }
    assert read_file(tmp_path / "d.csv", label="y", **right).n_classes == 3
    with pytest.raises(InputError, match=r"option flat"):
        seepage.load("digits", flat="no")


def test_options_of_a_frame():
    frame = type("Frame", (), {"columns": ["a"], "__getitem__": lambda self, name: X[:, 0]})()
    for options in ({"categorical": "ab"}, {"standardise": "no"}, {"label": 3}):
        with pytest.raises(InputError, match=rf"read_frame: {next(iter(options))} must be"):
            read_frame(frame, **options)


def sure(x):
    return np.c_[x[:, 0], -x[:, 0]]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("engine", [3]),
        ("replay", [3, "", b"x", "a\0b", object()]),
        ("out", ["", "a\0b", 3, b"x"]),
        ("weights_cache", ["", "a\0b"]),
        ("layer", [3]),
        ("command", [3]),
        ("workers", ["2", True, 1.5]),
        ("controls", ["no", 0]),
        ("keep_weights", ["no"]),
        ("progress", ["no"]),
    ],
)
def test_arguments_of_an_audit(name, wrong):
    for value in wrong:
        with pytest.raises(InputError, match=rf"^(audit|Settings): {'folder' if name == 'out' else name}=? must be"):
            audit(sure, **TWO, model_outputs="logits", recipe=recipe(epochs=1), references=2, **{name: value})


@pytest.mark.parametrize("path", [3, "", b"x", "a\0b", None])
def test_paths(path):
    with pytest.raises(InputError, match=r"^load_model: path must be"):
        load_model(path)
    with pytest.raises(InputError, match=r"^read_file: path must be"):
        read_file(path)
    if path is not None:
        with pytest.raises(InputError, match=r"^load: cache must be"):
            seepage.load("digits", cache=path)


@pytest.mark.parametrize("device", [3, b"cpu"])
def test_a_device_that_is_none(device):
    with pytest.raises(InputError, match=r"^train: device must be"):
        seepage.train(recipe(epochs=1), Pool(X, Y), IN, rng=0, device=device)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("compiled", [torch.jit.script, lambda module: torch.jit.trace(module, torch.zeros(1, 3))])
def test_torchscript_from_a_factory(compiled):
    of_script = Recipe(lambda shape, k: compiled(nn.Linear(3, k)), version="1")
    with pytest.raises(InputError, match="got TorchScript"):
        seepage.train(of_script, Pool(X, Y), IN, rng=0)
    with pytest.raises(InputError, match="got TorchScript"):
        seepage.audit(sure, **TWO, model_outputs="logits", recipe=of_script, references=2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("hamp", {"alpha": "x"}),
        ("hamp", {"alpha": True}),
        ("hamp", {"reset_optimiser": "no"}),
        ("label-smoothing", {"smoothing": True}),
        ("memguard", {"epochs": True}),
        ("top-k", {"k": 2.5}),
        ("distillation", {"temperature": None}),
        ("bido-hsic", {"layers": "ab"}),
        ("tl-dmi", {"pretrain": 3}),
        ("dp-sgd", {"max_norm": "1"}),
    ],
)
def test_options_of_a_defence(name, options):
    with pytest.raises(InputError, match=rf": {next(iter(options))}"):
        seepage.defended(recipe(), name, **options)
    sound = {"bido-hsic": {"layers": ["0"]}, "dp-sgd": {"max_norm": np.float32(2)}, "top-k": {"k": np.int64(1)}}
    if name in sound:
        assert seepage.defended(recipe(), name, **sound[name]) != recipe()
