"""The result of auditing released records: what they tell about whose originals they were made from; versioned JSON.

It was measured on the originals: it is for their holder, not for publication. A change that removes or renames a field
raises the number in the schema's name.
"""

import math
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from seepage.schema.estimates import ByRate, Estimate, Share, ShareEstimate
from seepage.schema.parts import Finding, Provenance
from seepage.schema.saved import MOST_ATTACKS, MOST_ROWS, MOST_TARGETS, Part, Saved, distinct

OF_NETWORKS = "networks"  # how the names of attacks begin that need the networks


class ReleaseAttack(Part):
    """One way to tell members from hold-out records by the release alone, or of who has the networks too."""

    name: str = Field(description="nearest, density-kernel, ...; with the networks networks-...")
    auc: ShareEstimate = Field(description="members against hold-out records; n counts both")
    tpr_at_fpr: ByRate = Field(description="n counts hold-out records")
    p_value: Share = Field(description="one-sided, of no leak")
    p_value_holm: Share = Field(description="corrected for all tests of the audit")
    n_members: int
    n_holdout: int


class Closeness(Part):
    """Whom the released records are closest to, and copies."""

    closer_to_members: ShareEstimate = Field(
        description="share of released records whose nearest original is a member, among as many members as hold-out "
        "records: 0.5 without a leak"
    )
    p_value: Share = Field(description="one-sided, of membership drawn at random among these originals")
    identical: ShareEstimate = Field(description="share of released records that are some member, value for value")
    copied_members: ShareEstimate = Field(description="share of members that are in the release, value for value")
    copied_holdout: ShareEstimate = Field(description="the same of hold-out records: how often it happens by chance")


class Risk(Part):
    """One of the WP29's risks: an attack on members, the same on a control group, and a guess."""

    name: str = Field(description="singling-out, N columns; linkability; inference of NAME")
    attack: ShareEstimate = Field(description="success on members")
    control: ShareEstimate = Field(description="success on records that were not in the training data")
    guessing: Share = Field(description="success on members of somebody who guesses")
    risk: Estimate = Field(description="(attack - control) / (1 - control)")
    p_value: Share = Field(description="one-sided, of membership drawn at random")
    p_value_holm: Share = Field(description="corrected for all tests of the audit")
    known: str = Field(description="what the attacker knows")
    confidence: Share = Field(0.95, description="of the intervals; shown is what has p_value_holm <= 1 - confidence")

    @property
    def is_significant(self) -> bool:
        """Whether members are attacked better than others, at the level of the intervals."""
        return self.p_value_holm <= 1 - self.confidence

    @property
    def works(self) -> bool:
        """Whether the attack is surely better than guessing; where not, a small risk says nothing about the release."""
        return self.attack.low is not None and self.attack.low > self.guessing

    @property
    def remark(self) -> str:
        """What to make of it, in words."""
        if self.is_significant:
            return "members are attacked better than others"
        if not self.works:
            return "the attack did not work (no better than guessing): this says nothing"
        if self.risk.value is None:
            return self.risk.flag or "undefined"
        return "no difference shown between members and others"


class Usefulness(Part):
    """Accuracy on hold-out records, which no model was trained on."""

    released: ShareEstimate = Field(description="of a model trained on the release")
    originals: ShareEstimate = Field(description="of one trained on the original members, by the same recipe")
    majority: ShareEstimate = Field(description="of always answering the members' most frequent class")
    model: str = Field("the recipe's model", description="what was trained")


class Distances(Part):
    """Between the originals' codes: where the mechanism's bound on the odds is read."""

    median: float | None = Field(description="of two codes; None where there is no pair")
    largest: float | None
    nearest: float | None = Field(description="median distance of a code to the nearest other one")
    epsilon: float | None = Field(description="of metric privacy, per release; None: no noise")
    releases: int = Field(description="of every record; what is spent adds up")

    def log_odds(self, distance: float) -> float:
        """Log of the bound on the odds; equal codes cannot be told apart, even without noise."""
        epsilon = math.inf if self.epsilon is None else self.epsilon
        return epsilon * self.releases * distance if distance else 0.0


class ReleaseAudit(Part):
    """One release, audited."""

    setting: str = Field("this release", description="how it was made, such as 'epsilon 5'")
    attacks: dict[str, ReleaseAttack] = Field(min_length=1, max_length=MOST_ATTACKS, description="by name")
    closeness: Closeness
    closeness_p_value_holm: Share = Field(description="corrected for all tests of the audit")
    usefulness: Usefulness | None = Field(description="where there are labels")
    reference: str = Field(description="what stood for the population")
    n_released: int
    n_members: int
    n_holdout: int
    risks: dict[str, Risk] = Field({}, max_length=MOST_ATTACKS, description="by name")
    left_out: dict[str, str] = Field({}, max_length=MOST_ROWS, description="what could not be measured, and why")
    distances: Distances | None = Field(None, description="of the originals' codes, where the pipeline was given")
    remarks: list[str] = Field([], max_length=MOST_ROWS, description="what makes the audit say less than it seems to")

    @property
    def p_value(self) -> float:
        """Of no leak, corrected for all tests together."""
        return self._least([*self.attacks.values(), *self.risks.values()])

    @property
    def p_value_alone(self) -> float:
        """The same for somebody who has no networks: without the attacks that need them, corrected with them."""
        return self._least([*self.by(networks=False).values(), *self.risks.values()])

    def _least(self, tests: list[ReleaseAttack | Risk]) -> float:
        return min(self.closeness_p_value_holm, *(test.p_value_holm for test in tests))

    def by(self, *, networks: bool) -> dict[str, ReleaseAttack]:
        """The attacks that need the networks, or the others."""
        return {name: attack for name, attack in self.attacks.items() if name.startswith(OF_NETWORKS) is networks}

    @property
    def best(self) -> ReleaseAttack:
        """The attack with the least p-value; of several, the one with the largest AUC."""
        return strongest(self.attacks)


class ReleaseResult(ReleaseAudit, Saved):
    """The audit of a release, and of others by the same networks beside it."""

    WRITTEN_BY: ClassVar[str] = "seepage synthesise --audit"

    schema_: Literal["seepage.release/1"] = Field("seepage.release/1", alias="schema")
    headline: str
    conclusions: list[Finding] = Field(max_length=MOST_ROWS, description="sentences made from the numbers below")
    limits: list[Finding] = Field(max_length=MOST_ROWS)
    others: list[ReleaseAudit] = Field([], max_length=MOST_TARGETS, description="settings that were not released")
    provenance: Provenance

    @property
    def settings(self) -> list[ReleaseAudit]:
        """What was released first, then the others."""
        return [self, *self.others]

    @model_validator(mode="after")
    def _names_its_settings(self) -> Self:
        distinct("settings", (one.setting for one in self.settings))
        return self


def strongest(attacks: dict[str, ReleaseAttack]) -> ReleaseAttack:
    """The attack with the least p-value; of several, the one with the largest AUC."""
    return min(attacks.values(), key=lambda attack: (attack.p_value, -(attack.auc.value or 0)))
