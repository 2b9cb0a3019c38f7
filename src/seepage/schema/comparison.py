"""The result of comparing defences: what each costs in accuracy, and what every attack still finds; versioned JSON.

A change that removes or renames a field raises the number in the schema's name.
"""

from collections.abc import Callable
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from seepage.schema.estimates import Estimate, Share, ShareEstimate
from seepage.schema.nonmembers import OtherNonmembers
from seepage.schema.parts import Provenance
from seepage.schema.saved import MOST_ATTACKS, MOST_ROWS, MOST_TARGETS, Part, Saved, distinct, known
from seepage.schema.trust import TrustResult

Family = Literal["scores", "references", "label-only", "rank-only"]
Kind = Literal["none", "training", "answers", "both"]
Metric = Literal["balanced_accuracy", "auc", "tpr", "tnr"]
Option = str | int | float | bool | None | list[str | int | float]

METRICS: tuple[Metric, ...] = ("balanced_accuracy", "auc", "tpr", "tnr")


class Rates(Part):
    """Where the two ends of the ROC curve are read."""

    fpr: float = Field(ge=0, le=1, description="of every TPR here")
    fnr: float = Field(ge=0, le=1, description="of every TNR here")


class AttackInfo(Part):
    name: str
    title: str
    access: str = Field(description="least access level the attack needs")
    family: Family = Field(description="what it lives on: graded answers, references, the label, or their order alone")


class AttackFigures(Part):
    """One attack on one defence, over all seeds; `tpr` and `tnr` at the result's `rates`."""

    balanced_accuracy: ShareEstimate
    auc: ShareEstimate
    tpr: ShareEstimate
    tnr: ShareEstimate


class Worst(Part):
    """The largest of one figure over some attacks. Chosen on the records it is told of, so a little too large."""

    attack: str | None = Field(description="its name; None where the figure is undefined for every attack")
    estimate: Estimate


class Leak(Part):
    """The most that any of some attacks finds, each figure by itself: the four may be four attacks."""

    balanced_accuracy: Worst
    auc: Worst
    tpr: Worst
    tnr: Worst


class Utility(Part):
    """What the models are good for, over all seeds; the last three on records that no model was trained on."""

    train_accuracy: ShareEstimate
    test_accuracy: ShareEstimate
    calibration_error: Estimate = Field(description="expected calibration error (ECE)")
    negative_log_likelihood: Estimate = Field(description="nats")


class TuningPoint(Part):
    """One setting that a search tried."""

    options: dict[str, Option]
    validation_accuracy: Estimate
    chosen: bool


class SeedFigures(Part):
    """One repetition: another draw of members, other weights. The last four are maxima over the attacks."""

    seed: int
    train_accuracy: float | None
    test_accuracy: float | None
    balanced_accuracy: float | None
    auc: float | None
    tpr: float | None
    tnr: float | None
    folder: str = Field(description="of its audit, inside the comparison's folder")


class CanaryFigures(Part):
    """What the attacks find among records planted for it, which are easier to find than the others."""

    kind: str
    n: int = Field(description="canaries, members and non-members, of all seeds")
    fpr: Share = Field(description="of every TPR here; canaries are few, so it may be larger than the result's")
    attacks: dict[str, ShareEstimate] = Field(description="TPR by the attack's name")
    worst: Worst


class DefenceResult(Part):
    """One defence at one setting, over all seeds."""

    name: str = Field(description="unique in this result")
    title: str
    kind: Kind = Field(description="what it changes; 'none' is the undefended model")
    source: str
    options: dict[str, Option]
    notes: list[str] = Field(description="what its user must know")
    setting: Literal["as given", "searched"]
    reached_floor: bool | None = Field(None, description="whether a searched setting reached it; None without a search")
    tuning: list[TuningPoint] = Field(default_factory=list[TuningPoint], max_length=MOST_ROWS)
    n_references: int
    seconds: float = Field(description="of training and auditing it, all seeds together")
    epsilon_claimed: float | None = Field(None, description="that the training guarantees: claimed, not measured")
    delta_claimed: float | None = None
    utility: Utility
    worst: Leak = Field(description="over all attacks")
    by_family: dict[Family, Leak]
    attacks: dict[str, AttackFigures] = Field(description="by the attack's name")
    per_seed: list[SeedFigures] = Field(max_length=MOST_ROWS)
    canaries: CanaryFigures | None = None
    other_nonmembers: list[OtherNonmembers] = Field([], max_length=MOST_ROWS, description="over all seeds")


class Matched(Part):
    """A defence at about the same utility as the others listed, so that their leaks may be set side by side."""

    name: str
    options: dict[str, Option]
    test_accuracy: Estimate
    tpr: Worst
    auc: Worst


class ComparisonResult(Saved):
    WRITTEN_BY: ClassVar[str] = "seepage compare"

    schema_: Literal["seepage.comparison/1"] = Field("seepage.comparison/1", alias="schema")
    headline: str
    conclusions: list[str] = Field(max_length=MOST_ROWS, description="sentences made from the numbers below")
    limits: list[str] = Field(max_length=MOST_ROWS)
    data: str
    n_members: int = Field(description="in one seed")
    n_nonmembers: int
    n_classes: int
    rates: Rates
    utility_floor: float | None = Field(description="accuracy on validation records that a searched setting must reach")
    utility_tolerance: float | None = Field(
        None, description="how much further than the floor below the undefended test accuracy `matched` may be"
    )
    seeds: list[int] = Field(max_length=MOST_ROWS)
    attacks: list[AttackInfo] = Field(max_length=MOST_ATTACKS)
    defences: list[DefenceResult] = Field(
        min_length=1, max_length=MOST_TARGETS, description="the undefended model first"
    )
    frontier: list[str] = Field(
        description="names that no other beats in both test accuracy and the largest TPR, by point estimates"
    )
    frontier_auc: list[str] = Field(description="the same with the largest AUC")
    matched: list[Matched] = Field(default_factory=list[Matched])
    shadow_study: TrustResult | None = Field(None, description="who else is called a member, in pairs of models")
    provenance: Provenance

    @model_validator(mode="after")
    def _names_its_defences(self) -> Self:
        names = distinct("defences", (one.name for one in self.defences))
        distinct("attacks", (one.name for one in self.attacks))
        if sum(len(one.per_seed) + len(one.tuning) for one in self.defences) > 2 * MOST_ROWS:
            raise ValueError(f"expected at most {2 * MOST_ROWS} seeds and settings of all defences together")
        known("defence", [*self.frontier, *self.frontier_auc, *(one.name for one in self.matched)], names)
        return self

    def defence(self, name: str) -> DefenceResult:
        for defence in self.defences:
            if defence.name == name:
                return defence
        raise KeyError(name)

    def attack(self, name: str) -> AttackInfo:
        for attack in self.attacks:
            if attack.name == name:
                return attack
        raise KeyError(name)

    @property
    def titles(self) -> dict[str, str]:
        """Name -> title; with the name behind it where two rows share a title."""
        given = [defence.title for defence in self.defences]
        return {
            one.name: one.title if given.count(one.title) == 1 else f"{one.title} ({one.name})" for one in self.defences
        }

    @property
    def undefended(self) -> DefenceResult | None:
        return next((defence for defence in self.defences if defence.kind == "none"), None)


def worst_of(attacks: dict[str, AttackFigures]) -> Leak:
    """The largest of each figure over these attacks; the first of equals."""
    return Leak(**{metric: largest({name: getattr(of, metric) for name, of in attacks.items()}) for metric in METRICS})


def largest(estimates: dict[str, Estimate]) -> Worst:
    """The largest of these, and whose it is."""
    defined = {name: one.value for name, one in estimates.items() if one.value is not None}
    if not defined:
        first = next(iter(estimates.values()), None)
        flag = first.flag if first and first.flag else "undefined for every attack"
        n = first.n if first else 0
        return Worst(attack=None, estimate=Estimate(value=None, low=None, high=None, n=n, flag=flag))
    name = max(defined, key=defined.__getitem__)
    return Worst(attack=name, estimate=estimates[name])


def frontier(defences: list[DefenceResult], leak: Callable[[DefenceResult], float | None]) -> list[str]:
    """Names of those that no other beats: none is at least as accurate, leaks no more, and is better in one of both.

    Args:
        leak: the figure that is to be small; a defence where it is undefined is left out.
    """
    points = [(one.name, one.utility.test_accuracy.value, leak(one)) for one in defences]
    points = [point for point in points if None not in point]
    return [
        name
        for name, accuracy, leaks in points
        if not any(a >= accuracy and b <= leaks and (a > accuracy or b < leaks) for _, a, b in points)
    ]
