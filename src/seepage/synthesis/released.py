"""The audit of a release: can its records tell whose originals they were made from, and what are they worth?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from seepage.data import Pool
from seepage.errors import InputError
from seepage.metrics import Estimate, holm, leak_p_value, roc_auc, tpr_at_fpr
from seepage.models.recipe import Recipe
from seepage.models.trial import try_recipe
from seepage.outside import check_kinds
from seepage.randomness import Seed, generator
from seepage.synthesis.closeness import Closeness, Space, closeness, nearest
from seepage.synthesis.density import classifier_ratio, kernel_ratio
from seepage.synthesis.usefulness import Usefulness, usefulness

RATES = (0.1, 0.01, 0.001)
NEIGHBOURS = 5
LEAST_RECORDS = 20


@dataclass(frozen=True)
class ReleaseAttack:
    """One way to tell members from hold-out records by the release alone.

    Attributes:
        name: "nearest", "nearest-5", "nearest-calibrated", "density-kernel" or "density-classifier".
        auc: members against hold-out records; n counts both.
        tpr_at_fpr: by false-positive rate, as text; n counts hold-out records.
        p_value: one-sided, of no leak.
        p_value_holm: corrected for all tests of the audit.
        n_members, n_holdout: records scored.
    """

    name: str
    auc: Estimate
    tpr_at_fpr: dict[str, Estimate]
    p_value: float
    p_value_holm: float
    n_members: int
    n_holdout: int


@dataclass(frozen=True)
class ReleasedResult:
    """What `audit_released` found.

    Attributes:
        attacks: by name.
        closeness: whom the released records are closest to, and copies.
        closeness_p_value_holm: its p-value, corrected with those of the attacks.
        usefulness: accuracies, where a recipe was given.
        reference: what stood for the population, in words.
        n_released, n_members, n_holdout: records.
    """

    attacks: dict[str, ReleaseAttack]
    closeness: Closeness
    closeness_p_value_holm: float
    usefulness: Usefulness | None
    reference: str
    n_released: int
    n_members: int
    n_holdout: int

    @property
    def p_value(self) -> float:
        """Of no leak, corrected for all tests together."""
        return min(self.closeness_p_value_holm, *(attack.p_value_holm for attack in self.attacks.values()))

    @property
    def best(self) -> ReleaseAttack:
        """The attack with the least p-value; of several, the one with the largest AUC."""
        return min(self.attacks.values(), key=lambda attack: (attack.p_value, -attack.auc.value))

    def __str__(self) -> str:
        """A line for each number, as text."""
        lines = [
            f"Release of {self.n_released:,} records: {self.n_members:,} members against {self.n_holdout:,} others; "
            f"p = {self.p_value:.2g} that nothing leaks. Reference: {self.reference}."
        ]
        for name, attack in self.attacks.items():
            lines.append(f"  {name:20} AUC {_told(attack.auc)}, p = {attack.p_value_holm:.2g} (Holm)")
        share, copies = self.closeness.closer_to_members, self.closeness.copied_members
        lines.append(f"  closer to a member   {_told(share)} of released records; 0.5 without a leak")
        lines.append(f"  copies of members    {_told(copies)}; of others {_told(self.closeness.copied_holdout)}")
        if self.usefulness is not None:
            use = self.usefulness
            lines.append(f"  test accuracy        {_told(use.released)} trained on the release")
            lines.append(f"                       {_told(use.originals)} trained on the originals")
            lines.append(f"                       {_told(use.majority)} always the most frequent class")
        return "\n".join(lines)


def audit_released(
    synthetic: Pool,
    members: Pool,
    holdout: Pool,
    *,
    rng: Seed,
    reference: Pool | None = None,
    recipe: Recipe | None = None,
    rates: Sequence[float] = RATES,
    confidence: float = 0.95,
) -> ReleasedResult:
    """Measure what a release tells about whose records it was made from, with nothing but the release.

    | attack | score of an original record x |
    |---|---|
    | `nearest` | -d_1(x): the distance to the nearest released record |
    | `nearest-5` | -(d_1 + ... + d_5) / 5: to the five nearest |
    | `nearest-calibrated` | r_1(x) - d_1(x): closer to the release than to the reference |
    | `density-kernel`, `density-classifier` | log p_S(x) - log p_R(x): see `synthesis.density` |

    Members and hold-out must be drawn at random from one population: then every p-value holds, the AUC is 0.5 where
    nothing leaks, and p is corrected over all attacks and the share of `Closeness` together (Holm). Distances are those
    of `closeness.Space`. This attacker does not know how the release was made; one who does trains the same pipeline
    many times and audits its models (`synthesis.procedure`). Nothing found here is therefore no guarantee.

    Args:
        synthetic: the released records.
        members: the originals that they were made from.
        holdout: records of the same population that they were not made from.
        rng: of everything that is drawn.
        reference: more records of the population, neither members nor hold-out. Where there are none, a random half of
            the hold-out takes their part, and the attacks that compare with it judge the other half only.
        recipe: of a model to train on the release, beside one on the originals; it is tested on the hold-out.
        rates: false-positive rates at which attacks are read.
        confidence: of every interval, two-sided.

    Raises:
        InputError: records of different shapes, fewer than 20 in a list, or, with a recipe, no labels.

    Reference: Chen, Yu, Zhang and Fritz (2020), CCS, arXiv 1909.03935, for `nearest` and its calibration (by a
        distance to a generator's records there, to a reference's here); van Breugel et al. (2023), arXiv 2302.12580,
        for the density ratio; Platzer and Reutterer (2021), Frontiers in Big Data 4:679939, for the hold-out.
    """
    rng = generator(rng)
    given = {"synthetic": synthetic, "members": members, "holdout": holdout}
    check_kinds("audit_released", **{name: (one, Pool) for name, one in given.items()})
    _check({"synthetic": synthetic, "members": members, "holdout": holdout, "reference": reference})
    if recipe is not None and members.labels is not None:
        try_recipe(recipe, members, "audit_released")
    space = Space.of(members, holdout)
    released, inside, outside = space(synthetic), space(members), space(holdout)
    judged = np.ones(len(holdout), dtype=bool)
    if reference is None:
        judged[rng.permutation(len(holdout))[: len(holdout) // 2]] = False
        known, said = outside[~judged], f"{(~judged).sum()} hold-out records, not judged by attacks that use them"
    else:
        known, said = space(reference), f"{len(reference)} records that were given"

    records, is_member = np.concatenate([inside, outside]), np.arange(len(inside) + len(outside)) < len(inside)
    rest = np.append(np.ones(len(inside), dtype=bool), judged)
    distances = nearest(records, released, NEIGHBOURS)[0]
    scores = {
        "nearest": (-distances[:, 0], np.ones_like(rest)),
        f"nearest-{NEIGHBOURS}": (-distances.mean(axis=1), np.ones_like(rest)),
        "nearest-calibrated": (nearest(records[rest], known)[0][:, 0] - distances[rest, 0], rest),
        "density-kernel": (kernel_ratio(records[rest], released, known, rng=rng), rest),
        "density-classifier": (classifier_ratio(records[rest], released, known, rng=rng), rest),
    }
    close = closeness(synthetic, members, holdout, space, confidence=confidence, rng=rng)
    p_values = [leak_p_value(score, is_member[rows]) for score, rows in scores.values()]
    *corrected, last = holm([*p_values, close.p_value]).tolist()
    attacks = {
        name: _attack(name, score, is_member[rows], p, p_holm, rates, confidence, rng)
        for (name, (score, rows)), p, p_holm in zip(scores.items(), p_values, corrected, strict=True)
    }
    worth = None
    if recipe is not None:
        worth = usefulness(synthetic, members, holdout, recipe, confidence=confidence, rng=rng)
    return ReleasedResult(attacks, close, last, worth, said, len(synthetic), len(members), len(holdout))


def _attack(
    name: str,
    scores: Float64[np.ndarray, " samples"],
    members: Bool[np.ndarray, " samples"],
    p_value: float,
    p_value_holm: float,
    rates: Sequence[float],
    confidence: float,
    rng: np.random.Generator,
) -> ReleaseAttack:
    found = {f"{rate:g}": tpr_at_fpr(scores, members, rate, confidence=confidence, rng=rng) for rate in rates}
    area = roc_auc(scores, members, confidence=confidence, rng=rng)
    return ReleaseAttack(name, area, found, p_value, p_value_holm, int(members.sum()), int((~members).sum()))


def _told(estimate: Estimate) -> str:
    if estimate.value is None:
        return f"undefined ({estimate.flag})"
    interval = "" if estimate.low is None else f" [{estimate.low:.3f}, {estimate.high:.3f}]"
    return f"{estimate.value:.3f}{interval}"


def _check(pools: dict[str, Pool | None]) -> None:
    given = {name: pool for name, pool in pools.items() if pool is not None}
    shapes = {name: pool.inputs.shape[1:] for name, pool in given.items()}
    if len(set(shapes.values())) > 1:
        raise InputError(f"audit_released: expected records of one shape, got {shapes}")
    sizes = {name: len(pool) for name, pool in given.items()}
    if min(sizes.values()) < LEAST_RECORDS:
        raise InputError(f"audit_released: expected at least {LEAST_RECORDS} records in every list, got {sizes}")
