"""`rng=` takes a seed or a NumPy generator, in every public function, and says so where it gets something else."""

import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch

import seepage
from seepage.data import Membership
from seepage.errors import InputError
from seepage.randomness import generator, seed_from

WRONG = (None, "0", 0.0, True, -1, np.random.RandomState(0), torch.Generator(), [0])


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("function", [generator, seed_from])
def test_what_is_no_seed_is_refused_in_one_sentence(function, wrong):
    with pytest.raises(InputError, match=r"rng: expected a seed .* or np\.random\.default_rng\(seed\), got"):
        function(wrong)


def test_a_seed_starts_a_generator_and_a_generator_goes_on():
    given = np.random.default_rng(0)
    assert generator(given) is given
    assert generator(np.int64(3)).random() == np.random.default_rng(3).random()
    assert (seed_from(7), seed_from(np.uint8(7))) == (7, 7)


# What an audit hands its own generators to.
INTERNAL = ("seepage.studies.audit.gates", "seepage.randomness")


def public():
    """Every public function and method of the package that takes `rng`, by name."""
    found = {}
    for info in pkgutil.walk_packages(seepage.__path__, "seepage."):
        if info.name.startswith(INTERNAL) or info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        exported = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
        if info.name.startswith(("seepage.data.", "seepage.metrics.", "seepage.synthesis.", "seepage.models.train")):
            exported |= {name: value for name, value in vars(module).items() if not name.startswith("_")}
        for name, value in exported.items():
            parts = {name: value}
            if inspect.isclass(value):
                parts = {f"{name}.{n}": getattr(value, n) for n in vars(value) if not n.startswith("_")}
            for called, function in parts.items():
                own = getattr(function, "__module__", "") or ""
                is_ours = own.startswith("seepage.") and not own.startswith(INTERNAL)
                if callable(function) and not inspect.isclass(function) and is_ours:
                    found[f"{own}.{getattr(function, '__qualname__', called)}"] = function
    for name in seepage.__all__:
        value = getattr(seepage, name)
        if inspect.isfunction(value):
            found[f"{value.__module__}.{value.__qualname__}"] = value
    return {
        name: function
        for name, function in found.items()
        if "rng" in inspect.signature(function).parameters and not name.endswith(".score_episodes")
    }


PUBLIC = public()


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_function_takes_a_seed(name):
    """Each function asks `generator` or `seed_from` for its randomness, before it does anything with it."""
    function = inspect.unwrap(PUBLIC[name])
    source = inspect.getsource(function)
    signature = inspect.signature(function)
    annotation = str(signature.parameters["rng"].annotation)
    assert "generator(rng)" in source or "seed_from(rng)" in source, "rng goes unchecked"
    assert "int" in annotation or "Seed" in annotation


def test_there_are_public_functions_to_look_at():
    assert {"seepage.data.canaries.plant", "seepage.models.train.train"} <= set(PUBLIC)
    assert len(PUBLIC) > 30


SCORES, MEMBERS = np.arange(40.0), np.arange(40) % 2 == 0
CALLS = {
    "Membership.split": lambda rng: Membership.split(40, references=2, rng=rng).references,
    "Membership.every_model": lambda rng: Membership.every_model(40, references=4, rng=rng).references,
    "Membership.fixed": lambda rng: (
        Membership.fixed(40, members=MEMBERS, nonmembers=~MEMBERS, references=4, origin="declared", rng=rng).references
    ),
    "roc_auc": lambda rng: seepage_metrics().roc_auc(SCORES[:, None], MEMBERS[:, None], rng=rng).low,
    "balanced_accuracy": lambda rng: (
        seepage_metrics().balanced_accuracy(SCORES[:, None], MEMBERS[:, None], rng=rng).low
    ),
    "tpr_at_fpr": lambda rng: seepage_metrics().tpr_at_fpr(SCORES[:, None], MEMBERS[:, None], 0.1, rng=rng).low,
    "plant": lambda rng: (
        importlib.import_module("seepage.data")
        .plant(seepage.Pool(np.eye(40), np.arange(40) % 3), "mislabelled", n=4, rng=rng)
        .pool.labels
    ),
}


def seepage_metrics():
    return importlib.import_module("seepage.metrics")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_seed_draws_what_its_generator_draws(call):
    np.testing.assert_array_equal(call(5), call(np.random.default_rng(5)))
    with pytest.raises(InputError, match="rng: expected a seed"):
        call("5")


def test_verbs_refuse_what_is_no_seed(tmp_path):
    pool = seepage.Pool(np.eye(12), np.arange(12) % 3)
    recipe = seepage.Recipe(seepage.MLP, epochs=1)
    with pytest.raises(InputError, match=r"Run\(seed=\.\.\.\): expected a seed"):
        seepage.audit_recipe(recipe, pool, references=2, run=seepage.Run(seed=0.5))
    with pytest.raises(InputError, match=r"Run\(seed=\.\.\.\): expected a seed"):
        seepage.invert(pool, recipe, run=seepage.Run(tmp_path, seed="0"))
    with pytest.raises(InputError, match="rng: expected a seed"):
        seepage.synthesise(pool, epsilon=1.0, rng=np.random.RandomState(0))
