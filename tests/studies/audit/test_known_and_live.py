"""What attacks may have beside outputs: records whose membership is known, features, and the live target."""

import json
import shutil
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

import seepage
from seepage import Membership, Pool, TargetModel
from seepage.attacks import ATTACKS, find_attack
from seepage.attacks.base import Attack
from seepage.errors import InputError
from seepage.models.access import Access
from tests.flat import audit
from tests.studies.audit.test_audit import HERE, QUICK, RECIPE, coin, lists, records, target
from tests.studies.audit.worlds import outputs


@dataclass(frozen=True)
class Spy(Attack):
    """Remembers the views that it is shown."""

    access: ClassVar[Access] = Access.WEIGHTS
    needs: ClassVar[frozenset[str]] = frozenset({"known", "features", "model", "records"})
    least_known: ClassVar[int] = 3
    views: ClassVar[list] = []
    title = "spy"
    source = "a test"

    def _score(self, view, *, rng):
        Spy.views.append(view)
        view.model.labels(view.records.batch(view.audited))
        return np.where(view.audited, view.features[:, 0].astype(np.float64), np.nan)


@pytest.fixture
def spy(monkeypatch):
    monkeypatch.setitem(ATTACKS, "spy", Spy())
    monkeypatch.setattr(Spy, "views", [])
    return Spy.views


def test_known_records_are_told_and_never_scored(spy, tmp_path):
    result = audit(None, records(), recipe=QUICK, references=2, known=30, attacks=["spy"], out=tmp_path, **HERE)
    first = spy[0]
    rows = np.load(tmp_path / "rows.npy")
    assert (first.known >= 0).sum() == 30
    assert not first.audited[first.known >= 0].any()
    assert (np.flatnonzero(first.audited) == rows).all()
    membership = np.load(tmp_path / "scores.npz")["membership"]
    assert len(membership) == len(rows) == result.attacks[0].n_members + result.attacks[0].n_nonmembers
    assert result.attacks[0].cost.known == 30


def test_the_live_target_is_the_one_whose_answers_were_collected(spy):
    audit(None, records(), recipe=QUICK, references=2, known=30, attacks=["spy"], **HERE)
    views = spy[:1] + spy[-1:]  # the target, and the positive control
    assert len({id(view.model) for view in spy}) == len(spy) == 3
    for view in views:
        logits = view.model.logits(view.records.batch())
        np.testing.assert_allclose(logits, view.outputs[:, view.target_column, 0], atol=1e-5)
        head = view.model.module.head
        by_hand = view.features @ head.weight.detach().numpy().T + head.bias.detach().numpy()
        np.testing.assert_allclose(by_hand, logits, atol=1e-4)


def test_every_question_is_counted(spy):
    pool = records()
    result = audit(None, pool, recipe=QUICK, references=2, known=30, attacks=["loss", "spy"], controls=False, **HERE)
    n_audited = int(result.attacks[0].n_members + result.attacks[0].n_nonmembers)
    assert result.attack("loss").cost.queries == len(pool)
    assert result.attack("spy").cost.queries == len(pool) + n_audited
    # the features of all records were asked for once more
    assert result.target.n_queries == 2 * len(pool) + n_audited


def test_gradients_of_a_target_trained_here():
    result = audit(None, records(), recipe=RECIPE, references=4, access="gradients", **HERE)
    assert "gradient-norm" in [attack.name for attack in result.attacks]
    assert all(control.best_attack for control in result.controls)


def test_a_killed_run_goes_on_with_its_live_target(spy, tmp_path):
    arguments = dict(recipe=QUICK, references=2, known=30, attacks=["spy"], controls=False, out=tmp_path, **HERE)
    first = audit(None, records(), **arguments)
    shutil.rmtree(tmp_path / "run" / "scores")
    again = audit(None, records(), **arguments)
    assert first.attacks[0].auc == again.attacks[0].auc
    np.testing.assert_array_equal(spy[0].features, spy[1].features)


def test_an_attack_that_is_done_is_not_run_again(spy, tmp_path, monkeypatch):
    arguments = dict(recipe=QUICK, references=2, known=30, controls=False, out=tmp_path, **HERE)
    first = audit(None, records(), attacks=["loss", "spy"], **arguments)
    again = audit(None, records(), attacks=["spy", "loss"], **arguments)
    assert len(spy) == 1
    for name in ("spy", "loss"):
        assert first.attack(name).auc == again.attack(name).auc
        assert first.attack(name).cost == again.attack(name).cost
    assert first.target.n_queries == again.target.n_queries
    monkeypatch.setattr(Spy, "__repr__", lambda self: "Spy(other options)")
    audit(None, records(), attacks=["spy"], **arguments)
    audit(None, records(), attacks=["spy"], **(arguments | {"rng": 1, "out": tmp_path / "other"}))
    assert len(spy) == 3


def test_every_model_in_its_turn_is_live(spy, monkeypatch):
    monkeypatch.setattr(Spy, "needs", frozenset({"features", "model", "records"}))
    monkeypatch.setattr(Spy, "least_known", 0)
    audit(None, records(), recipe=QUICK, references=3, every_model=True, attacks=["spy"], controls=False, **HERE)
    assert [view.target_column for view in spy] == [0, 1, 2]
    for view in spy:
        logits = view.model.logits(view.records.batch())
        np.testing.assert_allclose(logits, view.outputs[:, view.target_column, 0], atol=1e-5)


def test_lists_with_known_records(spy):
    model = seepage.train(QUICK, records(), coin(), rng=np.random.default_rng(0))
    audit(model, **lists(records(), coin()), known=40, attacks=["spy"], origin="declared")
    assert (spy[0].known == 1).any()
    assert (spy[0].known >= 0).sum() == 40


def test_a_layer_by_name_and_one_that_is_not_there(spy):
    model = seepage.train(QUICK, records(), coin(), rng=np.random.default_rng(0))
    arguments = dict(**lists(records(), coin()), known=40, attacks=["spy"], origin="declared")
    audit(model, layer="body.1", **arguments)
    audit(model, **arguments)
    np.testing.assert_array_equal(np.maximum(spy[0].features, 0), spy[1].features)  # body.2 is the ReLU of body.1
    with pytest.raises(InputError, match=r"unknown layer 'body\.9'.*body\.1"):
        audit(model, layer="body.9", **arguments)


def test_too_few_known_records_are_refused_with_the_number_that_is_needed(spy):
    one_a_side = [int(coin().argmax()), int((~coin()).argmax())]
    membership = Membership.fixed(
        240, members=coin(), known=one_a_side, population=20, origin="declared", rng=np.random.default_rng(0)
    )
    model = seepage.train(QUICK, records(), coin(), rng=np.random.default_rng(0))
    with pytest.raises(InputError, match=r"needs 3 known members .* got 1; audit with known=9"):
        audit(model, records(), membership, attacks=["spy"])


def test_known_goes_with_what_draws_it():
    with pytest.raises(InputError, match="known= does not go with every_model"):
        audit(None, records(), recipe=QUICK, references=4, every_model=True, known=20)
    membership = Membership.split(240, references=2, rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="known= does not go with a membership"):
        audit(None, records(), membership, recipe=QUICK, known=20)


def test_a_function_has_no_features(spy):
    with pytest.raises(InputError, match="'spy' needs access 'weights'"):
        audit(target(), **lists(records(), coin()), known=40, attacks=["spy"], origin="declared")


def test_known_records_and_features_among_outputs():
    arrays = outputs(n=120, population=20)
    rng = np.random.default_rng(0)
    arrays["known"] = (np.arange(len(arrays["labels"])) % 4 == 0) & ~arrays["population"]
    arrays["features"] = rng.normal(size=(len(arrays["labels"]), 5))
    result = audit(outputs=arrays, origin="declared", attacks=["loss"])
    audited = int(result.attacks[0].n_members + result.attacks[0].n_nonmembers)
    assert audited == int((~arrays["known"] & ~arrays["population"]).sum())
    assert result.target.access == "weights"
    with pytest.raises(InputError, match="'features' must be finite numbers of shape"):
        audit(outputs=arrays | {"features": np.ones((3, 5))})
    with pytest.raises(InputError, match="'known' must be"):
        audit(outputs=arrays | {"known": np.ones(3, dtype=bool)})


def test_attacks_say_their_needs_as_data():
    assert json.dumps(seepage.ATTACKS["lira-online"].least_known) == "0"
    assert find_attack("loss").most_references is None
    assert TargetModel.wrap(seepage.MLP((4,), 2)).features(np.zeros((3, 4))).shape == (3, 128)


def test_a_target_that_gives_labels_alone_is_asked_all_queries():
    pool = Pool(np.random.default_rng(0).random((120, 1, 6, 6)), np.arange(120) % 3, n_classes=3)
    member = np.random.default_rng(1).random(120) < 0.5

    def bright_left_half(images):
        return (images[..., :3].mean(axis=(1, 2, 3)) > 0.5).astype(int)

    result = audit(
        bright_left_half, **lists(pool, member), model_outputs="labels", queries="flip", attacks=["augmentation"]
    )
    assert result.target.access == "label"
    assert result.attacks[0].cost.queries == 240
    assert result.target.n_queries > 240  # it is right so seldom that a gate asks it on other scales too


def test_the_training_of_the_references_is_shared_out_by_their_number():
    arguments = dict(recipe=QUICK, references=3, attacks=["loss", "lira-offline-fixed-variance"], controls=False)
    result = audit(None, records(), **arguments, **HERE)
    assert result.attack("loss").cost.training_seconds == 0
    cost = result.attack("lira-offline-fixed-variance").cost
    assert cost.references == 3
    assert cost.training_seconds == pytest.approx(result.training.seconds * 3 / 4)  # the target was trained too
