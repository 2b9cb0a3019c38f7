"""What one attack found: its rates with their intervals, its p-values, its cost and its curves."""

from itertools import pairwise
from typing import Literal, Self

from pydantic import Field, model_validator

from seepage.schema.estimates import ByRate, Estimate, Rates, Share, ShareEstimate
from seepage.schema.saved import MOST_ROWS, Part, equally_long


class LogMiaEstimate(Estimate):
    """ln(TP + 1) / ln(P + 1) at a capped count of false positives, beside its chance value."""

    chance: float = Field(description="expected value under a random ranking, for the same counts")
    chance_corrected: float = Field(description="(value - chance) / (1 - chance)")
    reading: str = Field(description="the value in words; the words are this project's, not the source's")
    true_positives: float = Field(description="TP at the cap (a mean where there are several targets)")
    false_positives_allowed: int


class LogMia(Part):
    a: LogMiaEstimate = Field(description="regime A: no false positive")
    b: LogMiaEstimate = Field(description="regime B: at most ceil(ln d) false positives among d records")


class Epsilon(Part):
    """A lower bound on the privacy parameter, or a heuristic that only looks like one."""

    kind: Literal["epsilon_lower", "epsilon_empirical"]
    value: float
    method: str
    delta: Share
    confidence: Share
    n: int
    note: str


class RocCurve(Part):
    """Mean ROC over targets on a grid of false-positive rates, with a pointwise band."""

    fpr: Rates
    tpr: Rates
    low: Rates
    high: Rates

    @model_validator(mode="after")
    def _is_a_curve(self) -> Self:
        equally_long(fpr=self.fpr, tpr=self.tpr, low=self.low, high=self.high)
        return self


class Histogram(Part):
    edges: list[float] = Field(max_length=MOST_ROWS)
    members: list[int]
    nonmembers: list[int]

    @model_validator(mode="after")
    def _has_bins(self) -> Self:
        equally_long(members=self.members, nonmembers=self.nonmembers, bins=self.edges[1:])
        if min(*self.members, *self.nonmembers) < 0 or any(b < a for a, b in pairwise(self.edges)):
            raise ValueError("expected counts of 0 or more, and edges in their order")
        return self


class Cost(Part):
    """What the attack took, against all targets together."""

    references: int = Field(description="reference models it made use of")
    known: int = Field(description="records whose membership in the target it was told")
    queries: int = Field(description="records sent to the target, augmented copies included")
    seconds: float = Field(description="of scoring, once the answers that all attacks share are there")
    training_seconds: float = Field(description="of training the references that it made use of")


class AttackResult(Part):
    name: str
    title: str
    access: str = Field(description="least access level the attack needs")
    needs: list[str] = Field(description="what it used beside the target's answers: references, population, known, ...")
    source: str
    options: dict[str, str | int | float | bool | None]
    n_members: float = Field(description="members scored (mean over targets)")
    n_nonmembers: float
    n_targets: int
    auc: ShareEstimate
    balanced_accuracy: ShareEstimate
    advantage: Estimate
    tpr_at_fpr: ByRate
    tnr_at_fnr: ByRate
    positive_predictive_value: ByRate = Field(description="by FPR, at the declared prior")
    log_mia: LogMia
    epsilon: Epsilon | None
    p_value: Share = Field(description="one-sided, of no leak: twice the smaller of the AUC and the top-scores test")
    p_value_holm: Share = Field(description="corrected for the number of attacks")
    cost: Cost
    roc: RocCurve
    histogram: Histogram | None
