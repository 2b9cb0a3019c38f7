"""Other non-members: how many of them each attack of an audit calls members, beside the audit's own non-members."""

from pydantic import Field, model_validator

from seepage.schema.estimates import Share, ShareEstimate
from seepage.schema.saved import MOST_ATTACKS, Part, distinct


class FalsePositives(Part):
    """One attack on one set, at two thresholds that were fixed on the audited records. Means over the targets."""

    attack: str
    false_positive_rate: ShareEstimate = Field(description="at the threshold of largest TPR - FPR")
    own_false_positive_rate: ShareEstimate = Field(description="of the audit's own non-members, there")
    positive_predictive_value: ShareEstimate = Field(
        description="at the declared prior, were all non-members like these"
    )
    max_score_false_positives: ShareEstimate = Field(
        description="mean largest probability that the target answers of those called members"
    )
    strict_false_positive_rate: ShareEstimate = Field(description="at the threshold of the set's strict_rate")
    own_strict_false_positive_rate: ShareEstimate


class OtherNonmembers(Part):
    """A named set of records that no model was trained on."""

    name: str
    n: int
    n_copies: int = Field(description="further records that were left out: copies of a record of the audit or the set")
    labels: str = Field(description="the label that attacks with labels are told: given, or predicted by the target")
    strict_rate: Share = Field(description="FPR among the audit's own non-members at the strict threshold")
    attacks: list[FalsePositives] = Field(max_length=MOST_ATTACKS)
    not_counted: dict[str, str] = Field({}, description="attacks that cannot score these records, and why")

    @model_validator(mode="after")
    def _names_each_once(self):
        distinct("attacks", (one.attack for one in self.attacks))
        return self

    def on(self, attack: str) -> FalsePositives:
        for one in self.attacks:
            if one.attack == attack:
                return one
        raise KeyError(attack)
