"""The three risks of the WP29's opinion on anonymisation as audits of a release: singling out, linking, inference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from annotated_types import Ge, MinLen
from jaxtyping import Bool, Float64, Int
from scipy.sparse import csr_matrix
from scipy.stats import hypergeom

from seepage.errors import InputError, unknown_name
from seepage.metrics.excess import excess_risk, rate
from seepage.options import Options
from seepage.randomness import Seed, generator
from seepage.schema.estimates import Estimate
from seepage.schema.release import Risk
from seepage.studies.release.singling_out import Predicates, at_random, judged, of_one_column, of_several_columns
from seepage.studies.release.typed import LABEL, Typed, same

LEAST_PREDICATES = 20
MOST_SECRETS = 20
Columns = Annotated[tuple[str, ...], MinLen(1)]  # names
MOST_ORIGINALS = 50_000  # a side, among whom predicates are to single out; of more, so many are drawn


@dataclass(frozen=True)
class Attacker(Options):
    """What the attacker of the three risks knows and tries.

    Attributes:
        n_targets: members, and as many control records, that are linked and inferred; drawn at random.
        n_predicates: that are tried to single somebody out.
        conditions: columns of a predicate of several.
        linked: two lists of column names without a common one: what two data sets hold of the same people. None: every
            second column, and of images the left and the right half.
        neighbours: a link is one released record among so many nearest ones of both.
        secrets: columns to infer from all others. None: each column, where there are at most 20; of more the label, or
            20 columns drawn at random where there is none.
        tolerance: a guessed number is right within so many standard deviations of the column in the originals.

    Raises:
        InputError: a number that is not positive, or columns on both sides of `linked`.
    """

    n_targets: Annotated[int, Ge(1)] = 1000
    n_predicates: Annotated[int, Ge(1)] = 500
    conditions: Annotated[int, Ge(1)] = 3
    linked: tuple[Columns, Columns] | None = None
    neighbours: Annotated[int, Ge(1)] = 1
    secrets: tuple[str, ...] | None = None
    tolerance: Annotated[float, Ge(0)] = 0.1

    def __post_init__(self):
        super().__post_init__()
        if self.linked is not None and (both := set(self.linked[0]) & set(self.linked[1])):
            raise InputError(f"Attacker: linked must have no column on both sides, got {sorted(both)} on both")


def wp29_risks(
    typed: Typed, attacker: Attacker, *, confidence: float = 0.95, rng: Seed
) -> tuple[dict[str, Risk], dict[str, str]]:
    """Singling out, linkability and attribute inference, each with a control group.

    | risk | attack | success |
    |---|---|---|
    | singling out | predicates read off the release, that hold for one released record | exactly one original |
    | linkability | nearest released records of a target in columns A, and in columns B | a common one |
    | inference | secret of the released record that is nearest in all other columns | equal, or within a tolerance |

    The attack on the hold-out shows what the release tells about anybody: only what is above it is the doing of having
    been in the training data. Of a fixed release the outcomes of linking and of inference are independent from target
    to target, so Wilson's interval is right for each side. Predicates are not: many hold for the same person. Their
    count is divided by how much wider the difference is spread over memberships drawn at random (see `singling_out`).

    Args:
        typed: release, members and hold-out in the same columns.
        attacker: what is known and tried.
        confidence: of every interval, two-sided; 1 - confidence is the level at which a difference counts as shown.
        rng: draws targets, predicates, columns and lots.

    Returns:
        The risks by name, p-values not yet corrected (`p_value_holm` is `p_value`), and of those that cannot be
        measured the reason.

    Raises:
        InputError: `attacker` names a column that is not there, or one on which all records agree.

    Reference: Article 29 Working Party, Opinion 05/2014 on anonymisation techniques; Giomi, Boenisch, Wehmeyer and
        Tasnádi (2023), A unified framework for quantifying privacy risk in synthetic data, PoPETs 2023(2). Deviations:
        ranges for numbers that occur once; control and members of one length instead of a fitted correction; ties are
        drawn lots for; exact or counted chances of guessing, of inference at least that of the commonest released
        value; tolerance in standard deviations, theirs is 5 % of the guess; p-values; intervals as in `metrics.excess`;
        predicates' effective number.
    """
    rng = generator(rng)
    _check(typed, attacker)
    risks: dict[str, Risk] = {}
    left_out: dict[str, str] = {}
    if len(typed.attributes) < 2:
        return risks, {"all three risks": "fewer than two columns in which records differ"}
    unique = replace(typed, release=np.unique(typed.release, axis=0))
    n = min(attacker.n_targets, len(typed.members), len(typed.holdout))
    members, control = (side[rng.permutation(len(side))[:n]] for side in (typed.members, typed.holdout))
    if typed.shape is None:
        for conditions in (1, attacker.conditions):
            name = "singling-out, one column" if conditions == 1 else f"singling-out, {conditions} columns"
            found = _singled_out(unique, attacker, conditions, confidence, rng)
            if isinstance(found, str):
                left_out[name] = found
            else:
                risks[name] = found.model_copy(update={"name": name})
    else:
        left_out["singling-out"] = "a condition on single pixels means nothing about a person"
    if len(unique.release) > attacker.neighbours:
        risks["linkability"] = _linked(unique, attacker, members, control, confidence, rng)
    else:
        left_out["linkability"] = f"the release has {len(unique.release)} different records"
    secrets = _secrets(typed, attacker, rng)
    if not secrets:
        left_out["inference"] = "there is no label to infer, and a single pixel is no secret"
    for risk in _inferred(typed, attacker, secrets, members, control, confidence, rng):
        risks[risk.name] = risk
    return risks, left_out


def _singled_out(typed: Typed, attacker: Attacker, conditions: int, confidence: float, rng) -> Risk | str:
    n, release = attacker.n_predicates, typed.release
    if conditions == 1:
        predicates = of_one_column(typed, release, n, rng)
    else:
        predicates = of_several_columns(typed, release, n, conditions, rng)
    if len(predicates) < LEAST_PREDICATES:
        return f"the release has {len(predicates)} predicates that hold for one record alone, {LEAST_PREDICATES} needed"
    size = min(len(typed.members), len(typed.holdout), MOST_ORIGINALS)
    members, control = (side[rng.permutation(len(side))[:size]] for side in (typed.members, typed.holdout))
    found = judged(predicates, members, control, rng)
    effective = len(predicates) / found.effect
    attack, other = (_witnessed(flags, effective, confidence) for flags in (found.attack, found.control))
    guesses: Predicates = at_random(typed, release, n, conditions, rng)
    guessing = float((guesses.matches(members).sum(axis=1) == 1).mean())
    known = f"{len(predicates)} predicates, as sure as {effective:.0f} independent ones, on {size} originals a side"
    risk = excess_risk(attack, other)
    return _risk("", attack, other, guessing, risk, found.p_value, known, confidence)


def _witnessed(flags: Bool[np.ndarray, " predicates"], effective: float, confidence: float) -> Estimate:
    found = rate(flags.mean() * effective, effective, confidence)
    return Estimate.of(float(flags.mean()), found.low, found.high, len(flags), found.flag)


def _linked(typed: Typed, attacker: Attacker, members, control, confidence: float, rng) -> Risk:
    one, other = _sides(typed, attacker)
    near = [typed.nearest(rows, (one, other), attacker.neighbours, rng) for rows in (members, control)]
    flags = [(a[:, :, None] == b[:, None, :]).any(axis=(1, 2)) for a, b in near]
    if typed.shape is None:
        known = " | ".join(", ".join(typed.names[at] for at in side[:8]) for side in (one, other))
    else:
        known = "left half | right half"
    guessing = max(chance_of_a_link(len(typed.release), attacker.neighbours), wrong_links(*near[0]))
    return _compared("linkability", *flags, guessing, known, confidence)


def _inferred(typed: Typed, attacker: Attacker, secrets: list[int], members, control, confidence: float, rng):
    every = range(len(typed.attributes))
    known = [[at for at in every if at != secret] for secret in secrets]
    near = [typed.nearest(rows, known, 1, rng) for rows in (members, control)]
    for place, secret in enumerate(secrets):
        attribute, values = typed.attributes[secret], typed.release[:, secret]
        flags = [
            same(values[found[place][:, 0]], rows[:, secret], attribute, attacker.tolerance)
            for found, rows in zip(near, (members, control), strict=True)
        ]
        guessing = chance_of_a_guess(values, members[:, secret], attribute, attacker.tolerance)
        how = f"within {attacker.tolerance * attribute.deviation:.3g}" if attribute.is_number else "equal"
        yield _compared(f"inference of {attribute.name}", *flags, guessing, f"all other columns; {how}", confidence)


def _compared(name, attack, control, guessing: float, known: str, confidence: float) -> Risk:
    """The null law is exact: membership drawn at random, each target's outcome as it is (hypergeometric)."""
    hits, others = int(attack.sum()), int(control.sum())
    p = float(hypergeom.sf(hits - 1, len(attack) + len(control), hits + others, len(attack)))
    ours, theirs = rate(hits, len(attack), confidence), rate(others, len(control), confidence)
    return _risk(name, ours, theirs, guessing, excess_risk(ours, theirs), p, known, confidence)


def _risk(
    name: str,
    attack: Estimate,
    control: Estimate,
    guessing: float,
    risk: Estimate,
    p: float,
    known: str,
    confidence: float,
) -> Risk:
    """Not yet corrected for other tests."""
    return Risk(
        name=name,
        attack=attack,
        control=control,
        guessing=guessing,
        risk=risk,
        p_value=p,
        p_value_holm=p,
        known=known,
        confidence=confidence,
    )


def chance_of_a_link(n: int, k: int) -> float:
    """1 - C(n - k, k) / C(n, k): that two sets of k out of n have a common member.

    >>> round(chance_of_a_link(10, 1), 6)
    0.1
    """
    if 2 * k > n:
        return 1.0
    return float(-np.expm1(np.log1p(-k / (n - np.arange(k))).sum()))


def wrong_links(one: Int[np.ndarray, "targets k"], other: Int[np.ndarray, "targets k"]) -> float:
    """Share of pairs of two different targets whose records in A and in B have a common neighbour.

    Where a few released records are everybody's neighbours, everybody is linked with everybody, and no link is right.
    """
    n, n_released = len(one), int(max(one.max(), other.max())) + 1
    known, asked = (
        csr_matrix((np.ones(part.size), (np.repeat(np.arange(n), part.shape[1]), part.ravel())), (n, n_released))
        for part in (one, other)
    )
    pairs = (known @ asked.T) > 0
    return float((pairs.nnz - pairs.diagonal().sum()) / (n * (n - 1)))


def chance_of_a_guess(values: Float64[np.ndarray, " released"], truth: Float64[np.ndarray, " targets"], attribute,
                      tolerance: float) -> float:  # fmt: skip
    """How often somebody is right who knows the released secrets and nothing about the target; the larger of two.

    One guesses the secret of a released record drawn at random, anew for each target; the other `commonest` for all.
    Each is chosen by the release alone, and the targets say only how often it is right.
    """
    reach = tolerance * attribute.deviation if attribute.is_number else 0.0
    ordered = np.sort(values)
    inside = np.searchsorted(ordered, truth + reach, "right") - np.searchsorted(ordered, truth - reach, "left")
    always = same(np.full_like(truth, commonest(values, reach)), truth, attribute, tolerance)
    return max(float(inside.mean() / len(values)), float(always.mean()))


def commonest(values: Float64[np.ndarray, " released"], reach: float) -> float:
    """The guess that is right about most released records, and of several such guesses the lowest.

    Of a category (reach 0) that is the most frequent value. Of a number it is the middle of the values in the window of
    width 2 reach that holds most of them.

    >>> commonest(np.array([0.0, 0.0, 5.0, 6.0, 7.0, 20.0]), reach=1)
    6.0
    """
    ordered = np.sort(values)
    last = np.searchsorted(ordered, ordered + 2 * reach, "right") - 1
    first = int(np.argmax(last - np.arange(len(ordered))))
    return float((ordered[first] + ordered[last[first]]) / 2)


def _sides(typed: Typed, attacker: Attacker) -> tuple[list[int], list[int]]:
    if attacker.linked is not None:
        one, other = ([typed.names.index(name) for name in side] for side in attacker.linked)
        return one, other
    every = list(range(len(typed.attributes)))
    if typed.shape is None:
        return every[::2], every[1::2]
    width = typed.shape[-1]
    pixels = [at for at in every if typed.names[at] != LABEL]
    left = [at for at in pixels if typed.places[at] % width < width // 2]
    return left, [at for at in pixels if at not in set(left)]


def _secrets(typed: Typed, attacker: Attacker, rng: np.random.Generator) -> list[int]:
    if attacker.secrets is not None:
        return [typed.names.index(name) for name in attacker.secrets]
    n, labelled = len(typed.attributes), typed.names[-1] == LABEL
    if typed.shape is None and n <= MOST_SECRETS:
        return list(range(n))
    if labelled:
        return [n - 1]
    return [] if typed.shape is not None else sorted(rng.permutation(n)[:MOST_SECRETS].tolist())


def _check(typed: Typed, attacker: Attacker) -> None:
    for name in (*(attacker.secrets or ()), *(attacker.linked[0] if attacker.linked else ()),
                 *(attacker.linked[1] if attacker.linked else ())):  # fmt: skip
        if name in typed.constant:
            raise InputError(f"Attacker: all records agree in the column '{name}': there is nothing to link or infer")
        if name not in typed.names:
            raise unknown_name("column", name, typed.names)
