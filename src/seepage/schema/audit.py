"""The result of an audit: every number with its n and interval, as versioned JSON.

`AuditResult` is the only thing a report reads. Its JSON schema is published as
`docs/result.schema.json`; a change that removes or renames a field raises the number in `SCHEMA`.
"""

import datetime
import platform
import time
from importlib import metadata
from itertools import pairwise
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from seepage.schema.estimates import ByRate, Estimate, Rates, Share, ShareEstimate
from seepage.schema.nonmembers import OtherNonmembers
from seepage.schema.saved import MOST_ATTACKS, MOST_ROWS, MOST_WORKERS, Part, Saved, distinct, equally_long, known
from seepage.version import __version__

SCHEMA = "seepage.audit/2"

VerdictName = Literal["LEAK SHOWN", "NO EVIDENCE", "INCONCLUSIVE", "INVALID"]
GateStatus = Literal["pass", "fail", "not run"]


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


class RunPlan(Part):
    """How the models of one run were trained: with the same version and seed, all that another machine must know."""

    engine: Literal["stacked", "single", "procedure"]
    chunk: int = Field(ge=1, description="models trained together; it decides the last bits")
    workers: int = Field(ge=0, le=MOST_WORKERS)
    device: Literal["cpu", "cuda"]
    n_models: int = Field(ge=1)
    trainings: str = Field(description="SHA-256 of what the models follow from: recipe, records, memberships, seed")


class Training(Part):
    """How the reference models were trained, and what they reach."""

    n_models: int
    engine: str
    workers: int
    chunk: int
    stacked_step_s: float | None = Field(description="seconds per model step, timed on this recipe")
    single_step_s: float | None
    seconds: float
    recipe: dict[str, object]
    plans: dict[str, RunPlan] = Field({}, description="of each run by its name, the controls' too: what replay follows")
    train_accuracy: ShareEstimate
    test_accuracy: ShareEstimate


class Target(Part):
    kind: str
    access: str
    n_targets: int
    n_queries: int = Field(description="records sent to the target, augmented copies included")
    accuracy_members: ShareEstimate
    accuracy_nonmembers: ShareEstimate
    fingerprint: str | None = Field(description="SHA-256 of the weights or the outputs")
    n_parameters: int | None = None
    calibration_error: Estimate | None = Field(None, description="of its answers on non-members, 15 equal bins")
    negative_log_likelihood: Estimate | None = Field(None, description="of its answers on non-members, in nats")


class Provenance(Part):
    seepage: str
    python: str
    torch: str
    numpy: str
    platform: str
    created: str = Field(description="UTC, ISO 8601")
    seconds: float
    seed: int
    data: str
    data_fingerprint: str
    n_records: int
    membership: Literal["drawn", "declared", "unknown"]
    command: str = Field(description="what to type to get this result again")
    settings: dict[str, object]

    @classmethod
    def now(cls, *, started: float, **about: object) -> Self:
        """What was made here and now.

        Args:
            started: `time.perf_counter()` at the beginning.
            about: the other fields, from `seed` on.
        """
        return cls(
            seepage=__version__,
            python=platform.python_version(),
            torch=metadata.version("torch"),
            numpy=metadata.version("numpy"),
            platform=f"{platform.system()} {platform.machine()}",
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            seconds=time.perf_counter() - started,
            **about,
        )


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


class Intersection(Part):
    """Records that exactly these attacks find."""

    attacks: list[str]
    n_members: int
    n_nonmembers: int = Field(description="false alarms")


class Union(Part):
    """Records that any attack finds, beside the best single attack at as many false alarms."""

    n_members: int
    n_nonmembers: int
    fpr: Share = Field(description="of the union: up to the number of attacks times the rate of each")
    tpr: ShareEstimate
    best_attack: str = Field(description="finds most at the union's own FPR; chosen on the same records")
    best_tpr: ShareEstimate


class Combination(Part):
    """One score made of all attacks' scores, no record judged by what was learned from it."""

    name: str
    auc: ShareEstimate
    tpr: ShareEstimate


class BestAttack(Part):
    """The best attack at one FPR: chosen on one half of the records and judged on the other, both ways round."""

    fpr: Share
    chosen: list[str] = Field(min_length=1, description="on the first half, on the second half")
    tpr: ShareEstimate
    naive_attack: str = Field(description="does best on all records, and is judged on the same ones")
    naive_tpr: ShareEstimate = Field(description="too large: the maximum of many noisy figures")


class Ensemble(Part):
    """All attacks together: which records each finds. Pairs of record and target, where there are several targets."""

    fpr: Share = Field(description="of every single attack, in every target")
    flag: str | None = Field(None, description="why the figures are to be read with care")
    n_members: int
    n_nonmembers: int
    n_targets: int
    attacks: list[str] = Field(min_length=1, max_length=MOST_ATTACKS)
    intersections: list[Intersection] = Field(max_length=MOST_ROWS, description="the largest; no record is in two")
    rest: Intersection | None = Field(None, description="all smaller ones together; its attacks are empty")
    n_rest: int = Field(0, description="how many smaller ones there are")
    union: Union
    agreement: list[list[float | None]] = Field(description="Cohen's kappa over the members; None: undefined")
    combinations: list[Combination] = Field(max_length=MOST_ROWS)
    best: list[BestAttack] = Field(max_length=MOST_ROWS)

    @model_validator(mode="after")
    def _names_its_attacks(self) -> Self:
        names = distinct("attacks", self.attacks)
        for one in self.intersections:
            equally_long(attacks=one.attacks)
        named = [name for one in self.intersections for name in one.attacks]
        named += [name for one in self.best for name in (*one.chosen, one.naive_attack)]
        known("attack", [*named, self.union.best_attack], names)
        equally_long(attacks=self.attacks, agreement=self.agreement)
        for row in self.agreement:
            equally_long(attacks=self.attacks, agreement=row)
        return self


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
    SCHEMA: ClassVar[str] = SCHEMA
    WRITTEN_BY: ClassVar[str] = "seepage audit"

    schema_: str = Field(SCHEMA, alias="schema")
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
