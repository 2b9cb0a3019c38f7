"""The result of the honesty study: who is wrongly called a member, by which model, in which company; versioned JSON.

A change that removes or renames a field raises the number in the schema's name.
"""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from seepage.schema.estimates import Estimate, Share, ShareEstimate
from seepage.schema.parts import Finding, Provenance
from seepage.schema.saved import MOST_ATTACKS, MOST_ROWS, MOST_TARGETS, Part, Saved, distinct, equally_long, known

LARGEST_SCORE = "max-score"  # the attack that the report is about
SHOWN = ("standard", "laplace")  # the variants that it draws side by side, the second where it was run

Kind = Literal["same", "near", "far", "corrupted"]


class DataPart(Part):
    """A disjoint part of the records and what it was used for."""

    name: str
    n: int
    use: str


class NonmemberSet(Part):
    name: str
    title: str
    kind: Kind
    n: int
    valid: bool = Field(description="whether its records are pictures; otherwise a stress test")
    about: str
    labels: str = Field("", description="the label that attacks with labels are told: own, asked for, predicted")


class Accused(Part):
    """One attack on one set of non-members, at the threshold that was fixed on the shadow."""

    set: str
    false_positive_rate: ShareEstimate
    positive_predictive_value: ShareEstimate = Field(
        description="at the declared prior, were all non-members like these"
    )
    max_score_false_positives: Estimate = Field(description="mean largest score of those called members (MMPS)")
    max_score_true_negatives: Estimate
    strict_false_positive_rate: ShareEstimate | None = Field(None, description="at the attack's strict threshold")


class ThreatResult(Part):
    """One attack on one variant of the model."""

    name: str
    title: str
    rule: str
    threshold: float = Field(description="on the scale of the attack's scores; higher = member")
    shadow_accuracy: ShareEstimate = Field(description="on the records that the threshold was chosen on")
    recall: ShareEstimate
    precision: ShareEstimate = Field(description="on as many own-distribution non-members as members")
    auc: ShareEstimate = Field(description="own distribution, no threshold")
    fpr_at_95_tpr: ShareEstimate
    max_score_true_positives: Estimate
    max_score_false_negatives: Estimate
    sets: list[Accused]
    strict_threshold: float | None = Field(
        None, description="above it lies the result's strict_rate of the shadow's own non-members"
    )
    strict_recall: ShareEstimate | None = None

    def on(self, name: str) -> Accused:
        for accused in self.sets:
            if accused.set == name:
                return accused
        raise KeyError(name)


class ReliabilityBins(Part):
    """A reliability diagram; None where a bin is empty."""

    edges: list[float]
    confidence: list[float | None]
    accuracy: list[float | None]
    low: list[float]
    high: list[float]
    counts: list[int]

    @model_validator(mode="after")
    def _has_bins(self) -> Self:
        bins = {name: getattr(self, name) for name in ("confidence", "accuracy", "low", "high", "counts")}
        equally_long(**bins, bins=self.edges[1:])
        if min(self.counts) < 0 or not sum(self.counts) or len(self.counts) > MOST_ROWS:
            raise ValueError(f"expected at most {MOST_ROWS} counts of 0 or more, and one that is more")
        return self


class VariantResult(Part):
    """One way to train or answer, its calibration, and what the attacks make of it."""

    name: str
    title: str
    about: str
    options: dict[str, str | int | float]
    train_accuracy: ShareEstimate
    test_accuracy: ShareEstimate
    calibration_error: Estimate = Field(description="expected calibration error on the target's test records")
    overconfidence_error: Estimate
    negative_log_likelihood: Estimate
    reliability: ReliabilityBins
    attacks: list[ThreatResult] = Field(max_length=MOST_ATTACKS)

    def attack(self, name: str) -> ThreatResult:
        for attack in self.attacks:
            if attack.name == name:
                return attack
        raise KeyError(name)


class Ray(Part):
    """Non-members scaled by 1, 2, 4, ... until the largest-score attack calls them members."""

    variant: str
    n: int
    doublings: list[int] = Field(description="k; the scale is 2^k")
    called: list[Estimate] = Field(description="share for which some scale up to 2^k suffices")
    max_score: list[float] = Field(description="mean largest score at scale 2^k")

    @model_validator(mode="after")
    def _is_a_line(self) -> Self:
        equally_long(doublings=self.doublings, called=self.called, max_score=self.max_score)
        if self.doublings != list(range(len(self.doublings))) or len(self.doublings) > MOST_ROWS:
            raise ValueError("expected doublings 0, 1, 2, ...")
        return self


class Comparison(Part):
    """A finding of the source, and whether it holds here."""

    claim: str
    theirs: str
    ours: str
    holds: Literal["yes", "no", "in some", "undecided", "not run"]


class SeedFigure(Part):
    """One number of every seed, and its mean with Student's interval over the seeds."""

    name: str
    title: str
    values: list[float] = Field(max_length=MOST_TARGETS)
    mean: Estimate


class TrustResult(Saved):
    WRITTEN_BY: ClassVar[str] = "seepage trust"

    schema_: Literal["seepage.trust/1"] = Field("seepage.trust/1", alias="schema")
    headline: str
    conclusions: list[Finding] = Field(max_length=MOST_ROWS, description="sentences made from the numbers below")
    limits: list[Finding] = Field(max_length=MOST_ROWS)
    prior: Share = Field(description="share of members among those asked about that the predictive values assume")
    parts: list[DataPart] = Field(max_length=MOST_ROWS)
    sets: list[NonmemberSet] = Field(min_length=1, max_length=MOST_ROWS)
    left_out: dict[str, str] = Field(description="sets that were not run, and why")
    generator: str
    variants: list[VariantResult] = Field(max_length=MOST_TARGETS)
    rays: list[Ray] = Field(max_length=MOST_TARGETS)
    comparisons: list[Comparison] = Field(max_length=MOST_ROWS)
    recipe: dict[str, object]
    provenance: Provenance
    strict_rate: Share | None = Field(None, description="of the strict thresholds")
    attacks_left_out: dict[str, str] = Field({}, description="registered attacks that were not run, and why")
    seeds: list[int] = Field(
        [], max_length=MOST_TARGETS, description="where there are several: everything but what names seeds is the first"
    )
    over_seeds: list[SeedFigure] = Field([], max_length=MOST_ROWS)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        """The report reads the largest-score attack of every variant on every set, and the standard one by name."""
        sets = distinct("sets", (one.name for one in self.sets))
        variants = distinct("variants", (one.name for one in self.variants))
        known("variant", [SHOWN[0], *(ray.variant for ray in self.rays)], variants)
        known("set", ["same"], sets)
        if len({len(ray.doublings) for ray in self.rays}) > 1:
            raise ValueError("expected rays of one length")
        if sum(len(attack.sets) for variant in self.variants for attack in variant.attacks) > 10 * MOST_ROWS:
            raise ValueError(f"expected at most {10 * MOST_ROWS} sets of all attacks together")
        if any(len(one.values) != len(self.seeds) for one in self.over_seeds):
            raise ValueError(f"expected one value a seed in over_seeds: {len(self.seeds)} of them")
        for variant in self.variants:
            known("attack", [LARGEST_SCORE], distinct("attacks", (attack.name for attack in variant.attacks)))
            for attack in variant.attacks:
                known("set", sets, distinct("sets", (one.set for one in attack.sets)))
        return self

    def variant(self, name: str) -> VariantResult:
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise KeyError(name)
