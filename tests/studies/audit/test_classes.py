"""Labels and model under one numbering of the classes, by value; and memory that grows with classes, not with pairs."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

import seepage
from seepage.data import Pool
from seepage.errors import InputError
from seepage.models.target import TargetModel
from seepage.studies.audit.classes import named_alike, pools_of
from tests.flat import audit

N = 160
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 4)).astype(np.float32)
Y = np.digitize(X[:, 0] + 0.5 * RNG.normal(size=N), [-0.5, 0.5])
IN = RNG.random(N) < 0.5
SIZES = np.array(["small", "medium", "large"])


def tree(labels) -> DecisionTreeClassifier:
    return DecisionTreeClassifier(max_depth=4, random_state=0).fit(X[IN], labels[IN])


def audited(model, inside, outside, **options):
    given = {"attacks": ["loss"], "controls": False, **options}
    return audit(model, members=(X[IN], inside), nonmembers=(X[~IN], outside), **given)


def of(labels, form=lambda part: part, model=None, **options):
    return audited(model or tree(labels), form(labels[IN]), form(labels[~IN]), **options)


PLAIN = of(Y).attacks[0].auc.value

WAYS = {
    "texts": (SIZES[Y], lambda part: part, sorted(SIZES)),
    "texts as bytes": (SIZES[Y], lambda part: part.astype("S"), sorted(SIZES)),
    "pandas' strings": (SIZES[Y], lambda part: pd.Series(part, dtype="string"), sorted(SIZES)),
    "ordered categories": (
        SIZES[Y], lambda part: pd.Categorical(part, categories=list(SIZES), ordered=True), list(SIZES),
    ),
    "numbers for texts": (Y.astype(str), lambda part: part.astype(int), ["0", "1", "2"]),
    "one-hot rows": (Y, lambda part: np.eye(3)[part], ["0", "1", "2"]),
    "a column": (Y, lambda part: part[:, None], ["0", "1", "2"]),
    "negative": (Y - 1, lambda part: part, ["-1", "0", "1"]),
    "codes": (np.array([90001, 100234, 2**40])[Y], lambda part: part, ["90001", "100234", str(2**40)]),
    "codes as floats": (np.array([7, 90001, 100234])[Y], lambda part: part.astype(float), ["7", "90001", "100234"]),
}  # fmt: skip


@pytest.mark.parametrize(("labels", "form", "names"), WAYS.values(), ids=WAYS)
def test_an_estimator_and_its_labels_are_matched_by_value(labels, form, names):
    result = of(labels, form)
    assert result.attacks[0].auc.value == pytest.approx(PLAIN, abs=1e-9)
    assert [part.name for part in result.classes] == names


@pytest.mark.parametrize("name", [0, 5, "only"])
def test_a_model_of_a_single_class_is_audited_too(name):
    labels = np.array([name] * N)
    result = of(labels, attacks=["correctness"])
    assert result.target.accuracy_nonmembers.value == 1.0


def test_bools_are_zero_and_one():
    once, again = of(Y > 0), of(Y > 0, lambda part: part.astype(int))
    assert once.attacks[0].auc.value == again.attacks[0].auc.value


@pytest.mark.parametrize("names", [np.arange(4), np.array(["a", "b", "c", "d"]), np.array([-5, 3, 90001, 2**40])])
def test_a_class_that_the_model_never_saw_has_probability_zero_and_a_row_of_its_own(names):
    labels = names[np.where(IN | (np.arange(N) % 5 > 0), Y, 3)]  # the highest, among non-members alone
    result = of(labels)
    unseen = next(part for part in result.classes if part.name == str(names[3]))
    assert (unseen.n_members, unseen.accuracy_nonmembers) == (0, 0.0)
    assert sum(part.n_nonmembers for part in result.classes) == (~IN).sum()


@pytest.mark.parametrize("names", [np.arange(3), SIZES, np.array([-1, 0, 1])])
def test_a_side_that_lacks_a_class_shifts_no_code(names):
    """Non-members without the first class: their accuracy is that by hand."""
    kept = IN | (Y > 0)
    model = tree(names[Y])
    given = {"members": (X[IN], names[Y[IN]]), "nonmembers": (X[kept & ~IN], names[Y[kept & ~IN]])}
    result = audit(model, **given, attacks=["loss"], controls=False)
    right = model.predict(X[kept & ~IN]) == names[Y[kept & ~IN]]
    assert result.target.accuracy_nonmembers.value == pytest.approx(right.mean())


@pytest.mark.parametrize(("of_model", "of_records"), [(Y, SIZES[Y]), (SIZES[Y], Y), (Y, Y + 50), (Y - 9, SIZES[Y])])
def test_labels_that_the_model_never_heard_of_are_one_error_that_shows_both(of_model, of_records):
    one, other = str(np.unique(of_model)[0]), str(np.unique(of_records)[0])
    with pytest.raises(InputError, match=rf"no label is among the classes.*{other}.*its classes.*{one}"):
        of(of_records, model=tree(of_model))


def test_an_estimator_that_was_trained_on_a_pool_s_class_numbers_goes_with_the_pool():
    pool = Pool(X, SIZES[Y])
    membership = seepage.Membership.fixed(pool, members=IN, nonmembers=~IN, references=0, origin="declared", rng=0)
    for model in (tree(pool.labels), tree(SIZES[Y])):
        result = audit(model, pool, membership, attacks=["loss"], controls=False)
        assert result.attacks[0].auc.value == pytest.approx(PLAIN, abs=1e-9)


@pytest.mark.parametrize("names", [SIZES, np.array([-1, 0, 1]), np.array([7, 90001, 2**40])])
def test_models_that_give_labels_are_matched_by_value(names):
    labels = names[Y]
    model = LinearSVC().fit(X[IN], labels[IN])
    right = (model.predict(X[IN]) == labels[IN]).mean()
    for one in (model, model.predict):
        options = {"attacks": ["correctness"], "model_outputs": None if one is model else "labels"}
        assert of(labels, model=one, **options).target.accuracy_members.value == pytest.approx(right)
    with pytest.raises(InputError, match=r"none of the labels.*'zz'"):
        of(labels, model=lambda x: np.array(["zz"] * len(x)), attacks=["correctness"], model_outputs="labels")


def network(weight) -> torch.nn.Module:
    module = torch.nn.Linear(4, len(weight))
    module.load_state_dict({"weight": torch.tensor(weight).float(), "bias": torch.zeros(len(weight))})
    return module


def test_small_numbers_are_the_columns_of_a_network():
    """Labels 1 and 3 of a network with four outputs are never 0 and 1."""
    weight = np.zeros((4, 4))
    weight[1, 0], weight[3, 0] = -2, 2
    labels = np.where(X[:, 0] > 0, 3, 1)
    result = of(labels, model=network(weight))
    assert result.target.accuracy_members.value == 1.0
    assert [part.name for part in result.classes] == ["1", "3"]
    with pytest.raises(InputError, match="has label 3, but the model answers for 3 classes"):
        of(labels, model=network(weight[:3]))


def test_numbers_that_look_like_codes_are_columns_of_a_network_that_has_so_many():
    labels = np.where(X[:, 0] > 0, 2500, 2400)
    weight = np.zeros((2501, 4))
    weight[2400, 0], weight[2500, 0] = -9, 9
    assert of(labels, model=network(weight)).target.accuracy_members.value > 0.95


def test_named_classes_that_are_fewer_than_a_network_s_outputs_are_refused():
    with pytest.raises(InputError, match=r"2 classes.*answers for 3.*numbers of its columns"):
        of(SIZES[np.minimum(Y, 1)], model=network(np.eye(3, 4)))
    ordered = pd.CategoricalDtype(list(SIZES), ordered=True)
    few = of(SIZES[np.minimum(Y, 1)], lambda part: pd.Series(part, dtype=ordered), model=network(np.eye(3, 4)))
    assert [part.name for part in few.classes] == ["small", "medium"]


def test_references_are_trained_on_the_classes_of_both():
    recipe = seepage.Recipe(seepage.MLP, epochs=1)
    result = of(SIZES[Y], recipe=recipe, references=2)
    assert result.training.n_models == 2
    wide = of(Y, model=network(np.eye(5, 4)), recipe=recipe, references=2)
    assert [part.name for part in wide.classes] == ["0", "1", "2"]


def test_pools_that_were_numbered_apart_are_numbered_together():
    (first, second), by_position = pools_of({"a": Pool(X[:2], ["x", "z"]), "b": (X[:2], ["y", "z"])})
    assert (first.labels.tolist(), second.labels.tolist(), first.classes) == ([0, 2], [1, 2], ("x", "y", "z"))
    assert by_position


def test_the_user_s_own_target_keeps_its_numbering():
    target = TargetModel.wrap(LogisticRegression().fit(X, SIZES[Y]))
    before = target.logits(X)
    numbered, pool = named_alike(target, Pool(X, pd.Categorical(SIZES[Y], list(SIZES), ordered=True)), True)
    np.testing.assert_array_equal(target.logits(X), before)
    np.testing.assert_array_equal(numbered.logits(X), before[:, [2, 1, 0]])
    assert pool.classes == tuple(SIZES)


def test_outputs_may_name_their_columns():
    probabilities = tree(Y).predict_proba(X)[:, None]
    for labels, classes in (
        (Y, None), (np.eye(3)[Y], None), (SIZES[Y], SIZES), (Y, SIZES), (70_000 * Y - 1, 70_000 * np.arange(3) - 1),
    ):  # fmt: skip
        named = {} if classes is None else {"classes": classes}
        outputs = {"probs": probabilities, "labels": labels, "membership": IN[:, None], **named}
        result = audit(outputs=outputs, attacks=["loss"])
        assert result.attacks[0].auc.value == pytest.approx(PLAIN, abs=1e-9)
        assert [part.name for part in result.classes] == list(map(str, range(3) if classes is None else classes))


TWO = Y > 0
TWO_PLAIN = of(TWO.astype(int)).attacks[0].auc.value
AS_TEXTS = {
    "bools and texts": (TWO, TWO.astype(str)),
    "texts and bools": (TWO.astype(str), TWO),
    "decimals as texts and floats": (TWO.astype(float).astype(str), TWO.astype(float)),
    "floats and decimals as texts": (TWO.astype(float), TWO.astype(float).astype(str)),
    "numbers from 1 and decimals": (TWO + 1, (TWO + 1.0).astype(str)),
    "true and True": (np.char.lower(TWO.astype(str)), TWO.astype(str)),
}


@pytest.mark.parametrize(("of_model", "of_records"), AS_TEXTS.values(), ids=AS_TEXTS)
def test_truth_values_and_numbers_are_equal_to_their_texts(of_model, of_records):
    fitted = tree(of_model)
    result = audited(fitted, of_records[IN], of_records[~IN])
    assert (result.attacks[0].auc.value, len(result.classes)) == (pytest.approx(TWO_PLAIN, abs=1e-9), 2)
    given = {"probs": fitted.predict_proba(X)[:, None], "labels": of_records, "membership": IN[:, None]}
    result = audit(outputs={**given, "classes": fitted.classes_}, attacks=["loss"])
    assert (result.attacks[0].auc.value, len(result.classes)) == (pytest.approx(TWO_PLAIN, abs=1e-9), 2)
    if of_records.dtype.kind == "U" and of_model.dtype.kind != "U":
        right = (fitted.predict(X[IN]) == of_model[IN]).mean()
        options = {"attacks": ["correctness"], "model_outputs": "labels"}
        result = audited(fitted.predict, of_records[IN], of_records[~IN], **options)
        assert result.target.accuracy_members.value == pytest.approx(right)


def test_sides_of_texts_and_of_truth_values_are_numbered_together():
    sides = {"members": (X[IN], TWO[IN]), "nonmembers": (X[~IN], TWO[~IN].astype(str))}
    (inside, outside), _ = pools_of(sides)
    assert inside.classes == outside.classes == ("0", "1")
    np.testing.assert_array_equal(inside.labels, TWO[IN])
    np.testing.assert_array_equal(outside.labels, TWO[~IN])


def test_spellings_that_a_model_tells_apart_stay_apart():
    labels = np.array(["1", "1.0", "2"])[Y]
    assert of(labels).attacks[0].auc.value == pytest.approx(PLAIN, abs=1e-9)


def test_where_classes_of_outputs_are_numbers_labels_are_values_among_them():
    given = {"probs": tree(Y).predict_proba(X)[:, None], "membership": IN[:, None], "classes": [1, 2, 3]}
    with pytest.raises(
        InputError, match=r"'labels' must hold values among 'classes', as these are numbers: .*'0' is not"
    ):
        audit(outputs={**given, "labels": Y})
    assert audit(outputs={**given, "labels": Y + 1}, attacks=["loss"]).attacks[0].auc.value == pytest.approx(PLAIN)


def test_memory_does_not_grow_with_pairs_of_classes():
    """12,000 classes: a table of pairs would take 144 MB in bools and 1.15 GB in float64; the answers take 4 MB."""
    n, k = 80, 12_000
    rng = np.random.default_rng(0)
    labels, inside = rng.integers(0, k, n), np.arange(n) % 2 == 0
    p = np.full((n, k), 0.3 / k, dtype=np.float32)
    p[np.arange(n), labels] += np.where(inside, 0.7, 0.5) * rng.uniform(0.9, 1, n)
    p /= p.sum(axis=1, keepdims=True)
    outputs = {"probs": p[:, None], "labels": labels, "membership": inside[:, None]}

    class Knows:
        classes_ = 5 * np.arange(k) - 7

        def predict(self, x):
            return self.classes_[np.where(x[:, 0] % 3 > 0, labels[x[:, 0].astype(int)], 0)]

    x = np.arange(n, dtype=np.float32)[:, None]
    codes = Knows.classes_[labels]
    lists = {"members": (x[inside], codes[inside]), "nonmembers": (x[~inside], codes[~inside])}
    tracemalloc.start()
    try:
        audit(outputs=outputs, origin="declared")
        audit(Knows(), **lists)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
