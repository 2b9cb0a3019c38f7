"""All attacks of an audit together: which records each finds, what their union costs, which is best where."""

from typing import Self

from pydantic import Field, model_validator

from seepage.schema.estimates import Share, ShareEstimate
from seepage.schema.saved import MOST_ATTACKS, MOST_ROWS, Part, distinct, equally_long, known


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
