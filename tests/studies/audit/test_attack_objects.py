"""Attack objects beside names: what they are called, what they give, and what is kept of them."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, make_dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from seepage.attacks import ATTACKS, RMIA, Attack, GlobalThreshold, LiRA, SimpleShot, resolve_attacks, titles
from seepage.attacks.objects import identity
from seepage.errors import InputError
from seepage.models.access import Access
from seepage.schema.audit import AuditResult
from tests import flat
from tests.studies.audit.test_audit import HERE, RECIPE, coin, lists, records, target
from tests.studies.audit.worlds import outputs

LEAKY = outputs(leak=1.5)
VARIANT = LiRA("offline", centre="mean", variance="residual")
VARIANT_NAME = "LiRA(mode='offline', variance='residual', centre='mean')"


@dataclass(frozen=True)
class Margin(Attack):
    """An attack of one's own; `times` counts its runs."""

    weight: float = 1.0
    signals: list[str] = field(default_factory=lambda: ["hinge"])
    times: ClassVar[list[int]] = []
    title = "Margin"
    source = "a test"

    def _score(self, view, *, rng):
        Margin.times.append(1)
        return self.weight * sum(view.target(signal).mean(axis=1) for signal in self.signals)


@dataclass(frozen=True)
class Turned(Attack):
    """One whose option no text tells."""

    turn: Callable | np.ndarray | torch.nn.Module | list
    title = "Turned"
    source = "a test"

    def _score(self, view, *, rng):
        return self.turn(view.target("hinge").mean(axis=1))


class Centred(LiRA):
    """The options of another class, and its title."""


@pytest.fixture
def times(monkeypatch):
    monkeypatch.setattr(Margin, "times", [])
    return Margin.times


def audit(attacks, **options):
    return flat.audit(outputs=LEAKY, origin="declared", attacks=attacks, **options)


# names


def test_an_object_that_is_registered_has_its_name_and_counts_once():
    assert list(resolve_attacks(ATTACKS.values())) == list(resolve_attacks(ATTACKS)) == list(ATTACKS)
    assert list(resolve_attacks([LiRA(variance="residual"), "loss"])) == ["lira-online-fixed-variance", "loss"]
    twice = [LiRA(), "lira-online", "loss", GlobalThreshold(), VARIANT, LiRA("offline", "one", "residual", "mean")]
    assert resolve_attacks(twice) == {"lira-online": LiRA(), "loss": GlobalThreshold(), VARIANT_NAME: VARIANT}
    assert list(resolve_attacks([RMIA(gamma=1), RMIA(gamma=3), RMIA(gamma=3.0)])) == ["rmia-online", "RMIA(gamma=3)"]


def test_a_name_tells_the_options_that_are_not_the_default():
    for attack, name in (
        (VARIANT, VARIANT_NAME),
        (SimpleShot(2, space="outputs"), "SimpleShot(shots=2, space='outputs')"),
        (Margin(), "Margin()"),
        (Margin(2.0, ["loss", "hinge"]), "Margin(weight=2.0, signals=['loss', 'hinge'])"),
        (Centred(), "Centred()"),
        (Turned(np.sort), "Turned(turn=<function sort>)"),
    ):
        assert list(resolve_attacks([attack])) == [name]


def test_no_two_share_a_name():
    other = make_dataclass("Margin", [("weight", float, 1.0)], bases=(Margin,), frozen=True)
    long, longer = "a" * 100, "a" * 101
    alike = [Margin(), other(), Turned(lambda x: x), Turned(lambda x: -x), Turned(np.zeros(9)), Turned(np.ones(9))]
    alike += [Margin(signals=[long]), Margin(signals=[longer])]
    chosen = resolve_attacks(alike)
    assert list(chosen.values()) == alike
    assert {"Margin()", "Margin() #2"} < set(chosen)
    assert max(map(len, chosen)) < 100
    assert list(resolve_attacks([*alike, *alike])) == list(chosen)


def test_titles_tell_two_of_one_title_apart():
    chosen = resolve_attacks([VARIANT, "lira-offline-fixed-variance", Margin(), Centred("offline")])
    assert list(titles(chosen).values()) == [
        f"LiRA offline, fixed variance: {VARIANT_NAME}", "LiRA offline, fixed variance", "Margin", "LiRA offline",
    ]  # fmt: skip


# results


def test_objects_give_what_their_names_give():
    names = ["loss", "lira-online-fixed-variance", "rmia-offline"]
    mixed = [GlobalThreshold("loss"), "lira-online-fixed-variance", RMIA("offline")]
    by_name, by_object = audit(names), audit(mixed)
    assert by_object.provenance.settings["attacks"] == names
    assert by_object.headline == by_name.headline
    for one, other in zip(by_object.attacks, by_name.attacks, strict=True):
        times = {"cost": one.cost.model_copy(update={"seconds": other.cost.seconds})}
        assert one.model_copy(update=times) == other


def test_a_variant_is_audited_and_its_result_read_back(tmp_path):
    result = audit(["lira-offline-fixed-variance", VARIANT, Margin(2.0)], out=tmp_path)
    found = result.attack(VARIANT_NAME)
    assert found.options == asdict(VARIANT)
    assert (found.access, found.needs, found.source) == ("probabilities", ["labels", "references"], LiRA.source)
    own = result.attack("Margin(weight=2.0)")
    assert (own.title, own.source, own.options["weight"]) == ("Margin", "a test", 2.0)
    assert AuditResult.load(tmp_path).attack(VARIANT_NAME).options == found.options
    assert json.loads((tmp_path / "result.json").read_text())["provenance"]["settings"]["attacks"] == [
        "lira-offline-fixed-variance", VARIANT_NAME, "Margin(weight=2.0)",
    ]  # fmt: skip
    with np.load(tmp_path / "scores.npz") as scores:
        assert {VARIANT_NAME, "Margin(weight=2.0)", "membership"} < set(scores)
    result.report(tmp_path / "report.md")
    assert VARIANT_NAME in (tmp_path / "report.html").read_text().replace("&#39;", "'")
    assert "Margin" in str(result)


def test_an_attack_of_one_s_own_meets_the_controls_too(times):
    asked = {"recipe": RECIPE, "references": 4, "attacks": [Margin()], **HERE}
    result = flat.audit(None, records(), **asked)
    assert [control.best_attack for control in result.controls] == ["Margin()", "Margin()"]
    assert len(times) == 3
    assert result.verdict == "LEAK SHOWN"


def test_what_an_object_needs_is_asked_for():
    with pytest.raises(InputError, match=r"'Changed\(\)' needs access 'logits', the attacker has 'label'"):
        flat.audit(target(), **lists(records(), coin()), attacks=[changed_margin(access=Access.LOGITS)], access="label")


# mistakes


class Stateful(Attack):
    title = source = "a test"

    def __init__(self, option):
        self.option = option

    def _score(self, view, *, rng):
        return view.target("loss").mean(axis=1)


class Untitled(Attack):
    source = "a test"

    def _score(self, view, *, rng):
        return np.zeros(view.n_samples)


def changed_margin(**namespace):
    return make_dataclass("Changed", [], bases=(Margin,), frozen=True, namespace=namespace)()


@pytest.mark.parametrize(
    ("attacks", "expected"),
    [
        ("loss", r"expected a list.*got 'loss': write attacks=\['loss'\]"),
        (Margin(), r"expected a list.*write attacks=\[Margin\(weight=1.0"),
        (3, r"expected a list.*got 3: write attacks=\["),
        (LiRA, r"expected a list.*LiRA.*write attacks=\["),
        (["loss", LiRA], r"got the class LiRA: write LiRA\(\)"),
        ([3], r"got 3 \(int\): give a name"),
        ([("loss",)], r"got \('loss',\) \(tuple\)"),
        ([None], r"got None \(NoneType\)"),
        ([int], r"got <class 'int'> \(type\)"),
        (["lira-onlin"], "did you mean 'lira-online'"),
        ([Stateful(1)], r"options of Stateful as fields.*@dataclass\(frozen=True\)"),
        ([changed_margin(access="logits")], "access .an Access.*got 'Margin', 'a test', 'logits'"),
        ([changed_margin(needs={"reference"})], "'reference'"),
        ([Untitled()], "title and source .text.*got None, 'a test'"),
        ([changed_margin(title=3)], "title and source .text.*got 3"),
    ],
)
def test_what_is_no_attack_is_refused_before_anything_is_done(attacks, expected):
    with pytest.raises(InputError, match=expected):
        flat.audit(None, records(), recipe=RECIPE, references=4, attacks=attacks)


# what is kept


def test_scores_are_kept_by_options_and_code(times, tmp_path, monkeypatch):
    def run(attack):
        return audit(["loss", attack], out=tmp_path).attack(next(iter(resolve_attacks([attack])))).auc.value

    first = run(Margin())
    assert run(Margin()) == first
    assert len(times) == 1
    assert run(Margin(-1.0)) == pytest.approx(1 - first)
    assert len(times) == 2
    monkeypatch.setattr("inspect.getsource", lambda of: f"class {of.__name__}: other code")
    assert run(Margin()) == first
    assert len(times) == 3


def test_scores_of_an_option_that_no_text_tells_are_not_kept(tmp_path):
    first, again = (audit([Turned(turn)], out=tmp_path).attacks[0] for turn in (lambda x: x, lambda x: -x))
    assert first.name == again.name  # as where a function was edited between two runs
    assert again.auc.value == pytest.approx(1 - first.auc.value)
    for untold in (np.zeros(2000), torch.nn.Linear(1, 1), [np.ones(2)], print):
        assert identity(Turned(untold)) is None


def test_an_identity_is_of_class_options_and_code():
    attacks = [*ATTACKS.values(), VARIANT, Margin(), Margin(2.0), Margin(signals=["loss"]), Centred()]
    assert len({identity(attack) for attack in attacks} - {None}) == len(attacks)
    assert identity(LiRA("offline", centre="mean", variance="residual")) == identity(VARIANT)
    in_no_file = make_dataclass("Typed", [], bases=(Margin,), frozen=True)
    assert identity(in_no_file()) is None
