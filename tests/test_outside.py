"""What models, recipes, data sets, attacks and executors raise is one error that says what was asked of them."""

import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from torch import nn

import seepage
from seepage.attacks import Attack
from seepage.data import Pool, read_dataset
from seepage.errors import InputError, SeepageError, TrainingError
from seepage.models.recipe import Recipe
from seepage.models.trial import try_recipe
from seepage.outside import from_outside
from seepage.runs.run import Run
from seepage.signals.collect import collect
from seepage.studies.audit.gather import TargetModel as TargetOfAudits
from seepage.studies.compare import Draw, compare
from seepage.studies.compare.choice import Choice
from seepage.studies.release import audit_released
from seepage.synthesis import NetworkOptions
from tests.flat import audit

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 2
TWO = {"members": (X[:30], Y[:30]), "nonmembers": (X[30:], Y[30:])}
POOL = Pool(X, Y)


class OwnError(Exception):
    pass


class OwnBaseError(BaseException):
    pass


FAILURES = {
    "one's own": OwnError("boom"),
    "a key": KeyError("age"),
    "a network's": ConnectionError("connection refused"),
    "a warning": UserWarning("X has no feature names"),
    "an assertion": AssertionError(),
    "an exit of iteration": StopIteration(),
    "a missing module": ImportError("no module named anything"),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_a_model_s_error_names_the_model_and_the_batch(failure):
    def remote(batch):
        raise failure

    with pytest.raises(InputError, match=r"remote could not answer a batch of shape \(60, 3\) \(float32\)") as caught:
        seepage.audit(remote, **TWO, model_outputs="probabilities")
    assert caught.value.__cause__ is failure
    assert type(failure).__name__ in str(caught.value)


def test_a_warning_as_an_error_is_one_error_too():
    class Warns:
        classes_ = np.arange(2)

        def predict_proba(self, x):
            warnings.warn("beware", stacklevel=1)
            return np.full((len(x), 2), 0.5)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match=r"Warns could not answer.*UserWarning: beware"):
            seepage.audit(Warns(), **TWO)


@pytest.mark.parametrize("passing", [KeyboardInterrupt(), MemoryError("no more"), OwnBaseError()], ids=repr)
def test_ctrl_c_and_a_lack_of_memory_pass(passing):
    def stops(batch):
        raise passing

    with pytest.raises(type(passing)):
        TargetOfAudits.wrap(stops, outputs="logits").logits(X)
    with pytest.raises(type(passing)), from_outside("it failed"):
        raise passing


def test_a_model_that_cannot_even_be_looked_at():
    class Odd:
        @property
        def classes_(self):
            raise OwnError("not yet")

        def predict_proba(self, x):
            return x

    with pytest.raises(InputError, match=r"cannot audit this Odd: OwnError: not yet"):
        seepage.audit(Odd(), **TWO)


def test_a_data_set_s_error_names_the_item():
    class Items:
        def __init__(self, bad, n=5):
            self.bad, self.n = bad, n

        def __len__(self):
            if self.n is None:
                raise OwnError("no length")
            return self.n

        def __getitem__(self, i):
            self.last = i
            if i == self.bad:
                raise OwnError("corrupt image")
            return np.zeros(3), i % 2

    for bad in (0, 3, 4):
        with pytest.raises(
            InputError, match=rf"Items could not give its item {bad}.*OwnError: corrupt image"
        ) as caught:
            read_dataset(Items(bad))
        assert isinstance(caught.value.__cause__, OwnError)
    with pytest.raises(InputError, match=r"len\(dataset\).*no length"):
        read_dataset(Items(0, None))


@dataclass(frozen=True)
class Failing(Attack):
    how: str = "raise"
    title = "Failing"
    source = "ours"

    def _score(self, view, *, rng):
        if self.how == "raise":
            raise OwnError("no scores today")
        return list(range(view.n_samples))


def test_an_attack_s_error_names_the_attack():
    for how, words in (("raise", "the attack 'Failing' failed.*no scores today"), ("list", "must give float64")):
        with pytest.raises(InputError, match=words):
            audit(lambda x: np.c_[x[:, 0], -x[:, 0]], **TWO, model_outputs="logits", attacks=[Failing(how)])


def test_an_executor_s_error_names_the_executor():
    class Cluster:
        def map(self, task, units, progress):
            raise OwnError("no nodes")

    columns = np.arange(60)[:, None] < 30
    for executor in (Cluster(), "dask"):
        name = type(executor).__name__
        with pytest.raises(TrainingError, match=f"{name} could not carry out the trainings"):
            collect(Recipe(seepage.MLP, epochs=1), POOL, columns, root_seed=0, executor=executor, engine="single")


def never(batch):
    raise AssertionError("the target was asked before the recipe was tried")


def linear(input_shape, n_classes):
    return nn.Linear(input_shape[0], n_classes)


class Pair(nn.Linear):
    def forward(self, x):
        return super().forward(x), x


class FailsInEvalMode(nn.Linear):
    def forward(self, x):
        if not self.training:
            raise OwnError("only trains")
        return super().forward(x)


def raises(*arguments):
    raise OwnError("boom")


RECIPES = {
    "a factory that fails": (Recipe(raises), "cannot be built.*OwnError: boom"),
    "a factory of other arguments": (Recipe(lambda shape: linear(shape, 2)), "cannot be built.*TypeError"),
    "no module": (Recipe(lambda shape, k: None), r"must return a torch\.nn\.Module"),
    "another input size": (Recipe(lambda shape, k: nn.Linear(7, k)), "fails in a training step on 2 records.*shape"),
    "too few outputs": (Recipe(lambda shape, k: nn.Linear(shape[0], 1)), r"shape \(2, 1\), expected logits \(2, 2\)"),
    "two answers": (Recipe(lambda shape, k: Pair(shape[0], k)), "answers with a tuple"),
    "an objective that fails": (Recipe(linear, objective=raises), "training step.*OwnError: boom"),
    "an objective of another shape": (Recipe(linear, objective=lambda z, y: (z.sum(1) - y) ** 2), "training step"),
    "an objective without a gradient": (Recipe(linear, objective=lambda z, y: torch.tensor(1.0)), "training step"),
    "eval mode": (Recipe(lambda shape, k: FailsInEvalMode(shape[0], k)), "eval mode.*only trains"),
    "BatchNorm on batches of one": (
        Recipe(lambda shape, k: nn.Sequential(linear(shape, k), nn.BatchNorm1d(k)), batch_size=1),
        "training step.*more than 1 value",
    ),
}


@pytest.mark.parametrize(("recipe", "words"), RECIPES.values(), ids=RECIPES)
def test_a_recipe_that_fails_is_refused_before_the_target_is_asked(recipe, words):
    with pytest.raises(InputError, match=words):
        seepage.audit(never, **TWO, model_outputs="logits", recipe=recipe, references=2)
    with pytest.raises(InputError, match=words):
        seepage.train(recipe, POOL, np.arange(60) < 30, rng=0)


def test_sound_recipes_pass_the_trial_and_leave_the_global_generator_alone():
    before = torch.random.get_rng_state()
    normed = Recipe(lambda shape, k: nn.Sequential(linear(shape, k), nn.BatchNorm1d(k)), batch_size=16)
    for recipe in (normed, Recipe(seepage.MLP), seepage.defended(Recipe(seepage.MLP), "dp-sgd")):
        assert try_recipe(recipe, POOL, "here") is recipe
    assert torch.equal(torch.random.get_rng_state(), before)


OTHERS = {
    "an estimator": RandomForestClassifier(3),
    "a module": nn.Linear(3, 2),
    "a name": "mlp",
    "a function": linear,
    "the class": seepage.MLP,
    "a dictionary": {"architecture": "mlp"},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_what_is_no_recipe_is_refused_wherever_one_is_taken(other, tmp_path):
    thirds = [POOL.subset(np.arange(start, 60, 3)) for start in range(3)]
    calls = {
        "audit": lambda: seepage.audit(never, **TWO, model_outputs="logits", recipe=other),
        "train": lambda: seepage.train(other, POOL, np.arange(60) < 30, rng=0),
        "defended": lambda: seepage.defended(other, "hamp"),
        "defend": lambda: seepage.defend(other, POOL, "hamp", run=Run(tmp_path / "defend")),
        "collect": lambda: collect(other, POOL, np.arange(60)[:, None] < 30, root_seed=0),
        "compare": lambda: compare(POOL, other, [Choice("hamp")], run=Run(tmp_path / "compare")),
        "audit_released": lambda: audit_released(*thirds, recipe=other, rng=0),
    }
    for where, call in calls.items():
        with pytest.raises(InputError, match=rf"^{where}: recipe= must say .*seepage\.Recipe\("):
            call()
    with pytest.raises(SeepageError, match="recipe"):
        seepage.invert(POOL, other, run=Run(tmp_path / "invert"))
    with pytest.raises(InputError, match="recipe= must say"):
        compare(POOL, Recipe(seepage.MLP), [Choice("hamp", recipe=other)], run=Run(tmp_path / "compare"))


def test_a_defence_that_does_not_suit_the_recipe_is_refused_before_the_first_training(tmp_path):
    def unnamed(shape, k):
        return nn.Sequential(nn.Linear(shape[0], 4), nn.Dropout(0.5), nn.Linear(4, k), nn.Bilinear(k, k, k))

    with pytest.raises(InputError, match="compare: undefended: "):
        compare(POOL, Recipe(unnamed, version="1"), [Choice("hamp")], run=Run(tmp_path))


def contradictions(pool, membership):
    model = lambda x: np.c_[x[:, 0], -x[:, 0]]  # noqa: E731
    outputs = {"probs": np.full((60, 1, 2), 0.5), "labels": Y, "membership": (np.arange(60) < 30)[:, None]}
    given = {"model": model, "model_outputs": "logits"}
    return {
        "queries": {"outputs": outputs, "queries": "flip"},
        "origin": {**given, "pool": pool, "membership": membership, "origin": "declared"},
        "every_model": {**given, "pool": pool, "membership": membership, "every_model": True},
        "keep_weights": {**given, **TWO, "keep_weights": True},
    }


@pytest.mark.parametrize("name", ["queries", "origin", "every_model", "keep_weights"])
def test_options_of_an_audit_that_contradict_each_other_are_refused(name):
    inside = np.arange(60) < 30
    membership = seepage.Membership.fixed(
        POOL, members=inside, nonmembers=~inside, references=0, origin="unknown", rng=0
    )
    with pytest.raises(InputError, match=name):
        audit(**contradictions(POOL, membership)[name])


def test_options_of_other_verbs_that_contradict_each_other_are_refused(tmp_path):
    given = {"recipe": Recipe(seepage.MLP), "defences": [Choice("hamp")], "run": Run(tmp_path)}
    with pytest.raises(InputError, match="every_model= makes each model a target: leave targets=3"):
        compare(POOL, draw=Draw(targets=3), **given)
    with pytest.raises(InputError, match=r"tolerance=0\.2 is beside a floor="):
        compare(POOL, tolerance=0.2, **given)
    with pytest.raises(InputError, match=r"max_norm=3\.0 is of DP-SGD"):
        seepage.synthesise(POOL, epsilon=1.0, training=NetworkOptions(max_norm=3.0))
    with pytest.raises(InputError, match=r"Run\(seed=\.\.\.\) is of no use here: leave it out"):
        seepage.synthesise(POOL, epsilon=1.0, run=Run(seed=3))
