"""The result of the honesty study: who is wrongly called a member, by which model, in which company; versioned JSON.

Its JSON schema is published as `docs/trust.schema.json`; a change that removes or renames a field raises the number in
`SCHEMA`.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, ValidationError

from seepage.errors import DataFileError
from seepage.report.result import Estimate, Part, Provenance

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


class TrustResult(Part):
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

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, ser_json_inf_nan="null")

    def variant(self, name: str) -> VariantResult:
        for variant in self.variants:
            if variant.name == name:
                return variant
        raise KeyError(name)

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True, indent=1)

    def save(self, path: str | os.PathLike) -> Path:
        """Write the JSON to `path` in one atomic step."""
        path = Path(path)
        part = path.with_name(path.name + ".part")
        part.write_text(self.to_json())
        os.replace(part, path)
        return path

    @classmethod
    def load(cls, path: str | os.PathLike) -> "TrustResult":
        """Read a saved result; `path` is the file or the folder that holds `result.json`.

        Raises:
            DataFileError: the file is missing, is not JSON, or follows another schema.
        """
        path = Path(path)
        path = path / "result.json" if path.is_dir() else path
        try:
            result = cls.model_validate_json(path.read_text())
        except FileNotFoundError:
            raise DataFileError(f"no result at {path}: expected a result.json that 'seepage trust' wrote") from None
        except (ValidationError, UnicodeDecodeError) as error:
            first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
            where = ".".join(map(str, first["loc"])) or "the file"
            raise DataFileError(f"{path} is not a {SCHEMA} result: {where}: {first['msg']}") from None
        if result.schema_ != SCHEMA:
            raise DataFileError(f"{path} follows {result.schema_}, expected {SCHEMA}")
        return result

    def report(self, path: str | os.PathLike) -> Path:
        """Render the result to `path`; the suffix chooses .html or .md."""
        from seepage.report.render import write_report

        return write_report(self, path)

    def __str__(self) -> str:
        return "\n".join([self.headline, *(f"- {found.about}: {found.sentence}" for found in self.conclusions)])
