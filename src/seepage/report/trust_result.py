"""The result of the honesty study: who is wrongly called a member, by which model, in which company; versioned JSON.

Its JSON schema is published as `docs/trust.schema.json`; a change that removes or renames a field raises the number in
`SCHEMA`.
"""

from typing import ClassVar, Literal

from pydantic import Field

from seepage.errors import one_line
from seepage.report.result import Estimate, Provenance
from seepage.report.saved import Part, Saved

SCHEMA = "seepage.trust/1"

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


class Accused(Part):
    """One attack on one set of non-members, at the threshold that was fixed on the shadow."""

    set: str
    false_positive_rate: Estimate
    positive_predictive_value: Estimate = Field(description="at the declared prior, were all non-members like these")
    max_score_false_positives: Estimate = Field(description="mean largest score of those called members (MMPS)")
    max_score_true_negatives: Estimate


class ThreatResult(Part):
    """One attack on one variant of the model."""

    name: str
    title: str
    rule: str
    threshold: float = Field(description="on the scale of the attack's scores; higher = member")
    shadow_accuracy: Estimate = Field(description="on the records that the threshold was chosen on")
    recall: Estimate
    precision: Estimate = Field(description="on as many own-distribution non-members as members")
    auc: Estimate = Field(description="own distribution, no threshold")
    fpr_at_95_tpr: Estimate
    max_score_true_positives: Estimate
    max_score_false_negatives: Estimate
    sets: list[Accused]

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


class VariantResult(Part):
    """One way to train or answer, its calibration, and what the attacks make of it."""

    name: str
    title: str
    about: str
    options: dict[str, str | int | float]
    train_accuracy: Estimate
    test_accuracy: Estimate
    calibration_error: Estimate = Field(description="expected calibration error on the target's test records")
    overconfidence_error: Estimate
    negative_log_likelihood: Estimate
    reliability: ReliabilityBins
    attacks: list[ThreatResult]

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


class Finding(Part):
    """One thing that the numbers say, or do not say."""

    about: str
    sentence: str


class Comparison(Part):
    """A finding of the source, and whether it holds here."""

    claim: str
    theirs: str
    ours: str
    holds: Literal["yes", "no", "not run"]


class TrustResult(Saved):
    SCHEMA: ClassVar[str] = SCHEMA
    WRITTEN_BY: ClassVar[str] = "seepage trust"

    schema_: str = Field(SCHEMA, alias="schema")
    headline: str
    conclusions: list[Finding] = Field(description="sentences made from the numbers below")
    limits: list[Finding]
    prior: float = Field(description="share of members among those asked about that the predictive values assume")
    parts: list[DataPart]
    sets: list[NonmemberSet]
    left_out: dict[str, str] = Field(description="sets that were not run, and why")
    generator: str
    variants: list[VariantResult]
    rays: list[Ray]
    comparisons: list[Comparison]
    recipe: dict[str, object]
    provenance: Provenance

    def variant(self, name: str) -> VariantResult:
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise KeyError(name)

    def __str__(self) -> str:
        lines = [self.headline, *(f"- {found.about}: {found.sentence}" for found in self.conclusions)]
        return "\n".join(map(one_line, lines))
