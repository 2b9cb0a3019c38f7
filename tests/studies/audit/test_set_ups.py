"""Set-ups that cannot be right never read as absence, whatever the model and the data; sound ones beside them do."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import seepage
from tests.flat import audit

DATA, MODELS = ("digits", "table"), ("network", "forest")
NEVER = ("LEAK SHOWN", "NO EVIDENCE")
RECIPE = seepage.Recipe(seepage.MLP, optimiser=seepage.Adam(lr=3e-3), epochs=60)


class World:
    """A model, the records that it was trained on, and as many that it was not."""

    def __init__(self, data: str, model: str):
        rng = np.random.default_rng(0)
        if data == "digits":
            pool = seepage.load("digits")
            self.x, self.y = pool.batch(), pool.labels.copy()
        else:
            x, self.y = make_classification(1600, 12, n_informative=6, n_classes=4, class_sep=1.5, random_state=0)
            self.x = np.round(100 * x + 500, 2).astype(np.float32)
            if model == "network":
                self.x = StandardScaler().fit_transform(self.x).astype(np.float32)
        wrong = rng.random(len(self.y)) < 0.25  # noise that only memory can fit
        self.y[wrong] = rng.integers(0, self.n_classes, wrong.sum())
        self.member = rng.random(len(self.y)) < 0.5
        x, y = self.x[self.member], self.y[self.member]
        if model == "forest":
            self.model = RandomForestClassifier(40, random_state=0).fit(x, y)
        else:
            self.model = seepage.train(RECIPE, seepage.Pool(x, y), np.ones(len(y), bool), rng=rng)

    @property
    def n_classes(self) -> int:
        return int(self.y.max()) + 1

    def audit(self, *, model=None, x=None, y=None, member=None):
        x, y = self.x if x is None else x, self.y if y is None else y
        member = self.member if member is None else member
        lists = {"members": (x[member], y[member]), "nonmembers": (x[~member], y[~member])}
        return audit(model or self.model, **lists, origin="declared")

    def outputs(self, columns=None, **changed):
        """The same as somebody else's export."""
        target = seepage.TargetModel.wrap(self.model)
        logits = target.logits(self.x).astype(np.float64)
        probs = np.exp(logits - logits.max(axis=1, keepdims=True))
        probs /= probs.sum(axis=1, keepdims=True)
        arrays = {"probs": probs[:, None], "labels": self.y, "membership": self.member[:, None]}
        return audit(outputs=arrays | changed, origin="declared")


@pytest.fixture(scope="module", params=[(data, model) for data in DATA for model in MODELS], ids="-".join)
def world(request):
    return World(*request.param)


def failed(result) -> dict[str, str]:
    return {gate.name: f"{gate.detail}; {gate.way_out}" for gate in result.gates if gate.status == "fail"}


def refused(result, gate: str, cause: str):
    assert result.verdict not in NEVER, (result.verdict, failed(result))
    assert cause in failed(result)[gate], failed(result)
    assert any(cause in reason for reason in result.reasons)


def test_as_it_should_be_the_leak_is_shown_and_no_gate_fails(world):
    for result in (world.audit(), world.outputs()):
        assert result.verdict == "LEAK SHOWN"
        assert not failed(result)


def test_lists_swapped(world):
    result = world.audit(member=~world.member)
    refused(result, "direction", "lists are not swapped")
    assert "whoever knows the sign" in " ".join([result.headline, *result.reasons])


def test_membership_the_other_way_round_in_an_export(world):
    refused(world.outputs(membership=~world.member[:, None]), "direction", "True (1) means member")


def test_labels_shuffled(world):
    labels = np.random.default_rng(1).permutation(world.y)
    refused(world.audit(y=labels), "answers and labels", "same order")
    refused(world.outputs(labels=labels), "answers and labels", "same order")


def test_labels_of_the_next_record(world):
    order = np.random.default_rng(2).permutation(len(world.y))  # so that neighbours have nothing in common
    y = np.empty_like(world.y)
    y[order] = world.y[np.roll(order, 1)]
    refused(world.audit(y=y), "answers and labels", "same order")


def test_classes_numbered_otherwise(world):
    refused(
        world.audit(y=(world.y + 1) % world.n_classes), "answers and labels", "order that the model was trained with"
    )


def test_two_classes_exchanged(world):
    labels = world.y.copy()
    labels[world.y == 1], labels[world.y == 2] = 2, 1
    refused(world.audit(y=labels), "answers and labels", "class 1 is label 2")


def test_columns_of_an_export_shifted(world):
    arrays = np.roll(np.exp(seepage.TargetModel.wrap(world.model).logits(world.x)), 1, axis=1)
    probs = (arrays / arrays.sum(axis=1, keepdims=True)).astype(np.float64)
    refused(world.outputs(probs=probs[:, None]), "answers and labels", "columns of the outputs")


def test_classes_of_one_side_alone_numbered_otherwise():
    world = World("digits", "forest")
    labels = world.y.copy()
    labels[~world.member] = (labels[~world.member] + 1) % 10
    refused(world.outputs(labels=labels), "answers and labels", "classes of the non-members")


def test_columns_of_a_table_shifted():
    world = World("table", "forest")
    refused(world.audit(x=np.roll(world.x, 1, axis=1)), "scale", "columns moved back by one")


@pytest.mark.parametrize("factor", [255.0, 1 / 255])
def test_inputs_on_another_scale_on_both_sides(world, factor):
    result = world.audit(x=(world.x * np.float32(factor)))
    assert result.verdict not in NEVER, failed(result)
    assert {"scale", "answers and labels"} & set(failed(result))
    assert any("scale" in reason for reason in result.reasons)


def test_inputs_that_were_standardised_for_the_model_and_not_for_the_audit():
    world = World("table", "network")
    raw = 500 + 100 * world.x
    refused(world.audit(x=raw), "scale", "standardised")


@pytest.mark.parametrize("data", DATA)
def test_weights_that_were_never_loaded(data):
    world = World(data, "network")
    fresh = RECIPE.build(world.x.shape[1:], world.n_classes, 5)
    refused(world.audit(model=fresh), "answers and labels", "load the trained weights")


@pytest.mark.parametrize("data", DATA)
def test_weights_of_an_initial_law_of_one_s_own(data):
    world = World(data, "network")
    for seed in range(4):
        torch.manual_seed(seed)
        other = copy.deepcopy(world.model)
        for weights in other.parameters():
            torch.nn.init.normal_(weights, 0, 0.07)
        refused(world.audit(model=other), "answers and labels", "trained weights were loaded")


@pytest.mark.parametrize("data", DATA)
def test_an_over_unlearned_model(data):
    """Members pushed away while everything else is kept: their loss tells them, with the sign turned."""
    world = World(data, "network")
    unlearned = copy.deepcopy(world.model)
    x, y = torch.tensor(world.x), torch.tensor(world.y)
    optimiser = torch.optim.Adam(unlearned.parameters(), lr=2e-3)
    for _ in range(400):
        optimiser.zero_grad()
        losses = torch.nn.functional.cross_entropy(unlearned(x), y, reduction="none")
        (losses[~world.member].mean() - losses[world.member].clamp(max=9).mean()).backward()
        optimiser.step()
    result = world.audit(model=unlearned)
    assert result.attack("loss").auc.value < 0.3
    refused(result, "direction", "unlearning")


def with_references(target_answers, *, n=400, n_classes=4, seed=0):
    """Sound references of accuracy .87 and a target of one's own."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    membership = np.column_stack(
        [rng.random(n) < 0.5, rng.permuted(np.tile(np.arange(8) < 4, (n, 1)), axis=1)]
    )  # fmt: skip
    logits = rng.normal(size=(n, 9, n_classes)) + rng.normal(0, 0.5, (n, 1, n_classes))
    logits[np.arange(n), :, labels] += 2.7 + 1.0 * membership
    logits[:, 0] = target_answers(logits[:, 0], np.eye(n_classes)[labels], rng)
    return {"logits": logits, "labels": labels, "membership": membership}


def test_a_target_far_below_its_own_references():
    def weak(logits, truth, rng):
        return rng.normal(size=logits.shape) + 0.8 * truth  # some skill, so that chance is not what is noticed

    result = audit(outputs=with_references(weak), attacks=["loss", "lira-online"], origin="declared")
    assert result.verdict == "INCONCLUSIVE"
    assert "weights were loaded" in failed(result)["references like the target"]


def test_membership_of_the_references_the_other_way_round():
    arrays = with_references(lambda logits, truth, rng: rng.normal(size=logits.shape) + 2.7 * truth)
    arrays["membership"][:, 1:] ^= True
    result = audit(outputs=arrays, attacks=["lira-online"], origin="declared")
    assert result.verdict not in NEVER
    assert "inverted" in failed(result)["models and columns"]


def test_columns_of_the_membership_in_another_order():
    arrays = with_references(lambda logits, truth, rng: logits)
    sound = audit(outputs=arrays, attacks=["loss", "lira-online"], origin="declared")
    assert not failed(sound)
    arrays["membership"] = np.roll(arrays["membership"], 1, axis=1)
    result = audit(outputs=arrays, attacks=["loss", "lira-online"], origin="declared")
    assert result.verdict == "INVALID"
    assert "order of the models" in failed(result)["models and columns"]


def test_sound_models_that_leak_nothing_are_believed():
    """Strangers with skill, and models too simple to remember: the other side of every gate here."""
    verdicts = []
    for data in DATA:
        world = World(data, "forest")
        third = np.random.default_rng(7).random(len(world.y)) < 0.33
        x, y = world.x[~third], world.y[~third]
        coin = np.random.default_rng(8).random(len(y)) < 0.5
        scaler = StandardScaler().fit(world.x[third])
        forest = RandomForestClassifier(30, random_state=0).fit(world.x[third], world.y[third])
        linear = LogisticRegression(C=0.01).fit(scaler.transform(world.x)[third], world.y[third])
        for model, inputs in ((forest, x), (linear, scaler.transform(x))):
            lists = {"members": (inputs[coin], y[coin]), "nonmembers": (inputs[~coin], y[~coin])}
            result = audit(model, **lists, origin="declared")
            assert not failed(result), failed(result)
            verdicts.append(result.verdict)
    assert verdicts.count("NO EVIDENCE") >= 3
