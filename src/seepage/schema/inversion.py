"""The result of model inversion: what was reconstructed, of which model, and beside what; versioned JSON.

A change that removes or renames a field raises the number in the schema's name.
"""

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from seepage.schema.estimates import Estimate, Share, ShareEstimate
from seepage.schema.parts import Finding, Provenance, VerdictName
from seepage.schema.saved import MOST_ATTACKS, MOST_ROWS, MOST_TARGETS, Part, Saved, distinct, equally_long

KINDS = ("classification", "inversion")  # of the curves of a Fisher analysis
ENDS = ("", "_low", "_high")
Role = Literal["undefended", "defended", "null", "shuffled"]


class Taken(Part):
    """How many images that show no private class the judge takes for one."""

    name: str
    title: str
    share: Estimate


class EvaluatorInfo(Part):
    """Who judges: a model apart from the target, which no attack saw."""

    name: str
    about: str
    accuracy: Estimate = Field(description="hits among held-out real images of the attacked classes")
    accuracy_top_5: Estimate | None
    checks: list[str] = Field(description="what was checked so that it is nobody's accomplice, one sentence each")
    rule: str = Field("", description="what a hit is; empty in results of closed judges, which no verdict may rest on")
    n_public_classes: int = Field(0, description="classes that the judge knows beside the private ones")
    named: Estimate | None = Field(None, description="real images whose class is the likeliest of the private ones")
    taken: list[Taken] = Field([], description="images of no private class that it takes for one")

    def taken_of(self, name: str) -> Estimate | None:
        return next((one.share for one in self.taken if one.name == name), None)


class AttackInfo(Part):
    name: str
    title: str
    access: str
    prior: str
    source: str
    notes: list[str]
    options: dict[str, str | int | float | bool | list[float] | None]
    steps: int
    restarts: int
    queries: int = Field(description="the budget of attacks without gradients, and of choosing a start")
    is_selection: bool = Field(False, description="it makes nothing: it asks the target which of many images to take")


class Baseline(Part):
    """What the judge says of images that no attack made."""

    # "best-of-random" and "public-nearest" ask the target, and are attacks since; older results have them here.
    name: Literal[
        "chance", "random-code", "random-public", "wrong-class", "null-target", "best-of-random", "public-nearest"
    ]
    title: str
    about: str
    accuracy: Estimate


class Reconstructed(Part):
    """One attack on one kind of target, over all seeds."""

    attack: str
    n_images: int
    n_classes: int
    accuracy: ShareEstimate = Field(description="share that are hits by the judge's rule, class by class")
    named: Estimate | None = Field(
        None, description="share whose class is the likeliest of the private ones: a closed judge's figure"
    )
    accuracy_top_5: Estimate | None = Field(description="among the judge's five likeliest; with 10 classes or more")
    target_accuracy: ShareEstimate = Field(description="share that the attacked model itself takes for the class")
    baselines: list[Baseline]
    advantage: Estimate = Field(description="accuracy less that of the best baseline, class by class")
    p_value: Share = Field(description="one-sided, of no accuracy beyond the best baseline")
    p_value_holm: Share = Field(description="corrected for the attacks on this target")
    adversarial: bool = Field(description="the target is convinced and the judge is not: adversarial examples")
    distance_private: Estimate | None = Field(
        description="to the nearest training image of the class, squared, of features"
    )
    distance_held_out: Estimate | None = Field(description="to the nearest image of the class that was not trained on")
    nearer_private: Estimate | None = Field(
        description="share nearer to a training than to a held-out image, as many of each; 0.5: the class, no record"
    )
    frechet: Estimate | None = Field(description="Frechet distance of features to the private images' (FID)")
    kernel: Estimate | None = Field(description="kernel distance of features (KID), unbiased, may be negative")
    diversity: Estimate | None = Field(
        description="mean squared distance of two images of a class, as a share of real ones'"
    )
    seeds: list[float] = Field(description="accuracy of each seed")
    classes: dict[str, float] = Field(description="accuracy of each class, over seeds")
    queries: float = Field(description="questions to the target for one image")
    seconds: float = Field(description="for one image, without training of priors")
    selection: str = Field("", description="the best selection on this target that its prior allows")
    beyond_selection: Estimate | None = Field(None, description="accuracy less that selection's, class by class")

    def baseline(self, name: str) -> Baseline:
        for one in self.baselines:
            if one.name == name:
                return one
        raise KeyError(name)


class TargetResult(Part):
    """One way to train the attacked model, and what the attacks make of it."""

    name: str
    title: str
    role: Role
    options: dict[str, str | int | float | bool | list[float] | None]
    notes: list[str]
    n_parameters: int
    n_trained: int = Field(description="parameters that saw private records: |theta_C| under TL-DMI")
    train_accuracy: ShareEstimate
    test_accuracy: ShareEstimate = Field(description="natural accuracy, on private images that were not trained on")
    attacks: list[Reconstructed] = Field(max_length=MOST_ATTACKS)

    @model_validator(mode="after")
    def _names_its_attacks(self) -> Self:
        distinct("attacks", (one.attack for one in self.attacks))
        return self

    def attack(self, name: str) -> Reconstructed:
        for attack in self.attacks:
            if attack.attack == name:
                return attack
        raise KeyError(name)

    @property
    def worst(self) -> Reconstructed:
        """The attack that gets furthest."""
        return max(self.attacks, key=lambda one: one.accuracy.value or 0.0)


class Ceiling(Part):
    """What a prior can show: real private images, held out, searched for in it by their pixels, and judged."""

    prior: str
    target: str = Field("", description="whose prior it is, where it was trained against a target")
    n_images: int
    accuracy: ShareEstimate = Field(description="hits, class by class")
    named: Estimate | None = None
    real: ShareEstimate = Field(description="hits among the same images as they are")
    baseline: str = Field(description="title of the best baseline without a target")
    advantage: Estimate = Field(description="accuracy less that baseline's, class by class")
    distance: float = Field(description="root of the mean squared difference of pixels")

    @property
    def is_high(self) -> bool:
        """Whether the prior shows classes beyond the baselines; where it does not, no attack with it can."""
        return self.advantage.low is not None and self.advantage.low > 0


class FisherCurve(Part):
    """Fisher information of each layer, normalised to a sum of one."""

    target: str
    attack: str = Field(description="whose images the inversion curve is taken on")
    layers: list[str]
    parameters: list[int]
    classification: list[float]
    classification_low: list[float]
    classification_high: list[float]
    inversion: list[float]
    inversion_low: list[float]
    inversion_high: list[float]
    n_classification: int
    n_inversion: int
    # Results before these have images that an attack had finished, and the cross-entropy for every attack.
    steps: list[int] = Field([], description="of the attack's path, by its own loss; none: finished images")
    ratio: list[float] = Field([], description="share for inversion over share for classification, layer by layer")
    ratio_low: list[float] = Field([])
    ratio_high: list[float] = Field([])
    slope: Estimate | None = Field(None, description="of the natural logarithm of the ratio, per layer, over classes")

    @model_validator(mode="after")
    def _has_layers(self) -> Self:
        if self.ratio:
            equally_long(layers=self.layers, **{f"ratio{end}": getattr(self, f"ratio{end}") for end in ENDS})
        names = ("layers", "parameters", *(f"{of}{end}" for of in KINDS for end in ENDS))
        equally_long(**{name: getattr(self, name) for name in names})
        if len(self.layers) > MOST_ROWS:
            raise ValueError(f"expected at most {MOST_ROWS} layers")
        return self


class Picture(Part):
    """A row of the contact sheet; images are PNG in base64."""

    target: str
    attack: str
    class_name: str
    private: list[str]
    reconstructed: list[str]
    recognised: list[bool]

    @model_validator(mode="before")
    @classmethod
    def _readable(cls, values: Any) -> Any:
        return values  # an image in base64 that is cut is none


class InversionResult(Saved):
    WRITTEN_BY: ClassVar[str] = "seepage invert"

    schema_: Literal["seepage.inversion/1"] = Field("seepage.inversion/1", alias="schema")
    verdict: VerdictName
    headline: str
    conclusions: list[Finding] = Field(max_length=MOST_ROWS, description="sentences made from the numbers below")
    limits: list[Finding] = Field(max_length=MOST_ROWS)
    n_private_classes: int
    n_attacked_classes: int
    n_private_images: int
    n_held_out_images: int
    n_public_images: int
    public: str = Field(description="what the attacker's images are")
    image_shape: list[int]
    images_per_class: int
    seeds: list[int]
    alpha: float = Field(description="chance of calling any attack on a target a success where there is none")
    confidence: Share
    evaluator: EvaluatorInfo
    priors: dict[str, str] = Field(description="what each kind of prior was here")
    attacks: list[AttackInfo] = Field(max_length=MOST_ATTACKS)
    targets: list[TargetResult] = Field(min_length=1, max_length=MOST_TARGETS)
    ceilings: list[Ceiling] = Field([], max_length=MOST_ROWS, description="of the priors, measured first")
    fisher: list[FisherCurve] = Field(max_length=MOST_ROWS)
    pictures: list[Picture] = Field(description="empty unless records were asked to be shown")
    recipe: dict[str, object]
    provenance: Provenance

    @model_validator(mode="after")
    def _names_its_targets(self) -> Self:
        if sum(len(one.attacks) for one in self.targets) > MOST_ROWS:
            raise ValueError(f"expected at most {MOST_ROWS} attacks on all targets together")
        distinct("targets", (one.name for one in self.targets))
        distinct("attacks", (one.name for one in self.attacks))
        return self

    def target(self, name: str) -> TargetResult:
        for target in self.targets:
            if target.name == name:
                return target
        raise KeyError(name)

    def attack(self, name: str) -> AttackInfo:
        for attack in self.attacks:
            if attack.name == name:
                return attack
        raise KeyError(name)
