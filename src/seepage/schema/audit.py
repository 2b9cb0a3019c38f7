"""The result of an audit: every number with its n and interval, as versioned JSON.

A change that removes or renames a field raises the number in the schema's name.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from seepage.schema.attack import AttackResult
from seepage.schema.ensemble import Ensemble
from seepage.schema.estimates import Share, ShareEstimate
from seepage.schema.nonmembers import OtherNonmembers
from seepage.schema.parts import Provenance, VerdictName
from seepage.schema.saved import MOST_ATTACKS, MOST_ROWS, Part, Saved, distinct, known
from seepage.schema.training import Target, Training

GateStatus = Literal["pass", "fail", "not run"]


class Gate(Part):
    """A check that must hold before anything may be claimed."""

    name: str
    question: str
    status: GateStatus
    detail: str
    way_out: str = ""


class ExposedRecord(Part):
    id: str
    label: str | None
    group: str | None
    score: float
    p_value: Share = Field(description="share of non-members that score at least as high (conformal)")
    q_value: Share = Field(description="false-discovery rate at which it counts as found, corrected for all attacks")
    rank_average: Share = Field(description="mean over all attacks of its rank, in (0, 1]; the most of several targets")
    n_found: int = Field(description="attacks that name it at the audit's rate; the most of several targets")
    values: list[float] | None = Field(None, description="the record itself; only when asked for")


class Slice(Part):
    """One class or one group of records, under the attack that leads the result."""

    name: str
    n_members: float
    n_nonmembers: float
    accuracy_members: Share | None
    accuracy_nonmembers: Share | None
    auc: ShareEstimate


class Control(Part):
    """A model whose answer is known beforehand, audited by the same attacks."""

    name: str
    expects: Literal["nothing found", "leak found"]
    p_value_holm: Share
    best_attack: str
    auc: ShareEstimate


class SmallestLeak(Part):
    """The least leak that this audit finds four times out of five at its corrected level."""

    power: Share
    alpha: Share
    auc: Share
    fpr: Share
    tpr: Share


class LowerBound(Part):
    """What the leading attack shows at least, at a level corrected for all attacks."""

    attack: str
    confidence: Share
    auc: Share
    fpr: Share | None
    tpr: Share | None


class Decision(Part):
    """What one attacker decides with a threshold from the known records, judged on the audited ones."""

    name: str
    title: str
    is_baseline: bool = Field(description="a fixed scalar, that knows no record but for its threshold")
    labels: bool = Field(description="whether it makes use of the records' labels")
    balanced_accuracy: ShareEstimate
    tpr: ShareEstimate = Field(description="of its threshold, fixed before any audited record was judged")
    fpr: ShareEstimate
    best_balanced_accuracy: Share = Field(description="of the best threshold on the judged records, which nobody knows")
    auc: ShareEstimate
    seconds: float = Field(description="of scoring, once the answers that all attacks share are there")


class Decisions(Part):
    """Few-shot attacks beside fixed scalars whose threshold comes from the same known records. No reference models."""

    n_known_members: float = Field(description="mean over targets")
    n_known_nonmembers: float
    log_mia_chance_a: Share = Field(description="Log-MIA of a random ranking of the audited records, regime A")
    log_mia_chance_b: Share
    flag: str | None = Field(None, description="why the known records are to be doubted")
    rows: list[Decision] = Field(min_length=1, max_length=MOST_ATTACKS)

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        for is_baseline in (False, True):
            distinct("rows", (row.name for row in self.rows if row.is_baseline == is_baseline))
        return self


class AuditResult(Saved):
    WRITTEN_BY: ClassVar[str] = "seepage audit"

    schema_: Literal["seepage.audit/2"] = Field("seepage.audit/2", alias="schema")
    labelled: bool = Field(True, description="false: the records had no labels, and only attacks that need none ran")
    verdict: VerdictName
    claim: Literal["causal", "association"] = Field(
        description="causal where membership was drawn at random, by us or as declared; association otherwise"
    )
    headline: str
    reasons: list[str] = Field(max_length=MOST_ROWS)
    lower_bound: LowerBound | None = Field(description="with LEAK SHOWN")
    smallest_detectable: SmallestLeak
    prior: Share | None = Field(None, description="share of members that the positive predictive values assume")
    gates: list[Gate] = Field(max_length=MOST_ROWS)
    attacks: list[AttackResult] = Field(min_length=1, max_length=MOST_ATTACKS, description="the leading attack first")
    controls: list[Control] = Field(max_length=MOST_ATTACKS)
    records: list[ExposedRecord] = Field(max_length=MOST_ROWS)
    classes: list[Slice] = Field(max_length=MOST_ROWS)
    groups: list[Slice] = Field(max_length=MOST_ROWS)
    target: Target
    training: Training | None = Field(description="None where no reference model was trained")
    provenance: Provenance
    ensemble: Ensemble | None = Field(None, description="with two attacks or more and enough records")
    decisions: Decisions | None = Field(None, description="where the attacker knows some records")
    other_nonmembers: list[OtherNonmembers] = Field(
        [], max_length=MOST_ROWS, description="further sets of records that no model was trained on"
    )

    @model_validator(mode="after")
    def _names_its_attacks(self) -> Self:
        names = distinct("attacks", (attack.name for attack in self.attacks))
        distinct("ids of records", (record.id for record in self.records))
        if (self.lower_bound is not None) != (self.verdict == "LEAK SHOWN"):
            raise ValueError("expected a lower_bound with LEAK SHOWN, and with it alone")
        if self.lower_bound is not None:
            known("attack", [self.lower_bound.attack], names)
        if self.ensemble is not None:
            known("attack", self.ensemble.attacks, names)
        distinct("other non-members", (one.name for one in self.other_nonmembers))
        for one in self.other_nonmembers:
            known("attack", [*(row.attack for row in one.attacks), *one.not_counted], names)
        return self

    def attack(self, name: str) -> AttackResult:
        for attack in self.attacks:
            if attack.name == name:
                return attack
        raise KeyError(name)
