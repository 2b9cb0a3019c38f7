"""Other non-members in an audit: who is wrongly called a member, and that nothing else of the audit changes."""

from typing import ClassVar

import numpy as np
import pytest
import torch

import seepage
from seepage import Attacker, Run, Settings
from seepage.attacks import Attack
from seepage.data import Membership, Pool
from seepage.errors import InputError
from seepage.metrics.thresholds import predictive_value, share_called, youden_threshold
from seepage.report.render import html, markdown
from seepage.schema.audit import AuditResult

RNG = np.random.default_rng(0)


class Answers(torch.nn.Module):
    """The two logits are written in the record itself."""

    def forward(self, x):
        return x[:, :2]


def records(n, lead):
    """`n` records whose class 0 leads by about `lead`; the third value makes them all different."""
    inputs = np.stack([lead + RNG.normal(size=n), np.zeros(n), RNG.normal(size=n)], axis=1)
    return inputs.astype(np.float32)


def zeros(inputs):
    return inputs, np.zeros(len(inputs), dtype=np.int64)


MEMBERS, NONMEMBERS = zeros(records(200, 3.0)), zeros(records(200, 1.0))
MEMBERS[1][0] = NONMEMBERS[1][0] = 1  # two classes
SURE, UNSURE = records(80, 6.0), records(60, -6.0)
OPTIONS = {
    "attacker": Attacker(["loss", "entropy", "correctness"]),
    "settings": Settings(controls=False),
    "run": Run(seed=0),
}


def audited(**others):
    return seepage.audit(Answers(), MEMBERS, NONMEMBERS, other_nonmembers=others or None, **OPTIONS)


@pytest.fixture(scope="module")
def result():
    return audited(sure=zeros(SURE), unsure=zeros(UNSURE), unlabelled=UNSURE + np.float32([0, 0, 9]))


def test_rates_are_those_of_a_count(result):
    phi = {name: x[:, 0] - x[:, 1] for name, x in (("in", MEMBERS[0]), ("out", NONMEMBERS[0]), ("sure", SURE))}
    for side, labels in (("in", MEMBERS[1]), ("out", NONMEMBERS[1])):
        phi[side] = np.where(labels == 1, -phi[side], phi[side])
    own = np.concatenate([phi["in"], phi["out"]])
    best = max(np.unique(own), key=lambda t: (np.mean(phi["in"] > t) - np.mean(phi["out"] > t), t))
    found = {one.name: one.on("loss") for one in result.other_nonmembers}
    assert found["sure"].false_positive_rate.value == pytest.approx(np.mean(phi["sure"] > best))
    assert found["sure"].own_false_positive_rate.value == pytest.approx(np.mean(phi["out"] > best))
    assert found["sure"].false_positive_rate.n == 80
    tpr, fpr = np.mean(phi["in"] > best), np.mean(phi["sure"] > best)
    assert found["sure"].positive_predictive_value.value == pytest.approx(tpr / (tpr + fpr))
    called = phi["sure"][phi["sure"] > best]
    expected = np.mean(1 / (1 + np.exp(-called)))
    assert found["sure"].max_score_false_positives.value == pytest.approx(expected, rel=1e-6)
    assert found["sure"].false_positive_rate.low > found["sure"].own_false_positive_rate.high
    rate = found["sure"].own_strict_false_positive_rate.value
    assert rate <= result.other_nonmembers[0].strict_rate
    assert found["sure"].strict_false_positive_rate.value <= found["sure"].false_positive_rate.value


def test_without_labels_the_prediction_is_claimed(result):
    given, predicted = result.other_nonmembers[1:]
    assert (given.labels, predicted.labels) == ("given", "predicted")
    assert given.on("loss").false_positive_rate.value == 0  # all are classified wrongly
    assert predicted.on("loss").false_positive_rate.value > 0.9  # surely of class 1, which is then their label
    assert given.on("entropy").false_positive_rate == predicted.on("entropy").false_positive_rate


def test_nothing_else_of_the_audit_changes(result):
    plain = audited()
    assert plain.other_nonmembers == []
    for name in ("attacks", "gates", "records", "classes", "headline", "ensemble"):
        ours, theirs = getattr(result, name), getattr(plain, name)
        if name == "attacks":
            ours, theirs = ([one.model_copy(update={"cost": None}) for one in part] for part in (ours, theirs))
        assert ours == theirs, name


def test_copies_are_left_out_and_named():
    found = audited(sure=np.concatenate([SURE, SURE[:5], MEMBERS[0][:3]])).other_nonmembers[0]
    assert (found.n, found.n_copies) == (80, 8)
    with pytest.raises(InputError, match=r"'few' has 4 different records"):
        audited(few=np.concatenate([SURE[:4], MEMBERS[0]]))
    with pytest.raises(InputError, match="labels that no audited record has"):
        audited(other=(SURE, np.full(80, 7)))
    with pytest.raises(InputError, match="same shape"):
        audited(wide=np.zeros((20, 5), dtype=np.float32))
    with pytest.raises(InputError, match=r"as \{name: records\}"):
        seepage.audit(Answers(), MEMBERS, NONMEMBERS, other_nonmembers=SURE, **OPTIONS)


def test_it_is_kept_read_and_rendered(result, tmp_path):
    loaded = AuditResult.load(result.save(tmp_path / "result.json"))
    assert loaded.other_nonmembers == result.other_nonmembers
    for page in (html(result), markdown(result)):
        assert "Other non-members" in page
        assert "unlabelled" in page
    assert "Other non-members" not in html(audited())


POOL = Pool(RNG.normal(size=(160, 6)).astype(np.float32), RNG.integers(0, 3, 160), n_classes=3)
FAR = RNG.normal(size=(40, 6)).astype(np.float32) + 4


@pytest.mark.parametrize("every_model", [False, True])
def test_references_are_out_and_what_needs_them_in_is_not_counted(every_model):
    attacks = ["loss", "lira-offline", "lira-online", "modified-entropy-per-class", "rmia-offline"]
    result = seepage.audit_recipe(
        seepage.Recipe(seepage.MLP, epochs=20), POOL, references=8, every_model=every_model,
        membership=None if every_model else Membership.split(POOL, references=8, population=0.2, rng=0),
        other_nonmembers={"far": FAR}, attacker=Attacker(attacks), settings=Settings(controls=False),
        run=Run(engine="single", workers=0),
    )  # fmt: skip
    (far,) = result.other_nonmembers
    assert set(far.not_counted) == {"lira-online"}
    assert [one.attack for one in far.attacks] == [name for name in attacks if name != "lira-online"]
    for one in far.attacks:
        assert one.false_positive_rate.low <= one.false_positive_rate.value <= one.false_positive_rate.high
        assert one.false_positive_rate.n == 40


class Spy(Attack):
    """Keeps the views that it sees."""

    title, source, learns = "Spy", "a test", True
    needs = frozenset({"in-references"})
    seen: ClassVar[list] = []

    def _score(self, view, *, rng):
        self.seen.append(view)
        return view.target("entropy").mean(axis=1)


def test_no_attack_learns_from_the_records_that_it_is_counted_on():
    membership = Membership.split(POOL, references=8, rng=0)
    seepage.audit_recipe(
        seepage.Recipe(seepage.MLP, epochs=1), POOL, membership, other_nonmembers={"far": FAR},
        attacker=Attacker([Spy()]), settings=Settings(controls=False), run=Run(engine="single", workers=0),
    )  # fmt: skip
    audit, counted = Spy.seen
    for view in (audit, counted):
        assert not view.reference_in[160:].any()
        assert not view.reference_out[160:].any()
    assert not audit.audited[160:].any()
    assert counted.audited[160:].all()


def test_shares_of_several_targets():
    said = np.array([[True, False], [True, True], [False, False], [False, True]])
    among = np.array([[True, True], [True, True], [True, False], [True, True]])
    found = share_called(said, among, rng=0)
    assert found.value == pytest.approx((2 / 4 + 2 / 3) / 2)
    assert found.n == 3
    assert 0 <= found.low <= found.value <= found.high <= 1
    nobody = share_called(np.zeros((30, 2), dtype=bool), rng=0)
    assert (nobody.value, nobody.low) == (0, 0)
    assert 0.05 < nobody.high < 0.2
    assert predictive_value(nobody, nobody, 0.5).value is None
    assert youden_threshold(np.zeros(4), np.array([True, False, True, False])) == 0.0


def test_membership_keeps_named_sets_apart():
    plain = Membership.split(20, references=2, rng=0)
    longer = plain.with_others({"near": 3, "far": 2})
    assert len(longer) == 25
    assert longer.any_other.sum() == 5
    assert longer.fingerprint != plain.fingerprint
    assert not longer.references[20:].any()
    with pytest.raises(InputError, match="disjoint"):
        Membership(plain.references, plain.targets, plain.audit, others={"far": np.ones(20, dtype=bool)})
    some = ~plain.audit | (np.arange(20) < 3)
    with pytest.raises(InputError, match="OUT of every model"):
        Membership(plain.references, plain.targets, plain.audit & ~some, others={"far": some})
    with pytest.raises(InputError, match="expected names of other non-members beside"):
        Membership(plain.references, plain.targets, plain.audit, others={"known": np.zeros(20, dtype=bool)})
