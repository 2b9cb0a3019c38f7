"""Several attacks together: whom each finds, what all find together, and what choosing among them costs."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float64
from scipy.special import ndtri
from scipy.stats import rankdata

from seepage.errors import InputError
from seepage.metrics.operating_points import Ranking, allowed, operating_points, tpr_at_fpr
from seepage.metrics.roc import auc, check_columns
from seepage.metrics.separation import random_half
from seepage.randomness import Seed, generator
from seepage.schema.ensemble import BestAttack, Intersection, Union
from seepage.schema.estimates import Estimate

Scores = Mapping[str, Float64[np.ndarray, "samples *targets"]]
MOST_DRAWS = 100  # of halves, until each has both sides of every target
FEWEST_IN_HALF = 2


def found(
    scores: Float64[np.ndarray, "samples *targets"], members: Bool[np.ndarray, "samples *targets"], fpr: float
) -> Bool[np.ndarray, "samples targets"]:
    """Whom an attack names at an FPR of at most `fpr` in every target.

    Those strictly above the (k + 1)-th largest non-member, k = floor(fpr n_out), as in `tpr_at_fpr`.

    >>> scores, members = np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, False, True, False])
    >>> found(scores, members, 0.5).ravel().tolist()
    [True, True, True, False]
    """
    if not 0 <= fpr < 1:
        raise InputError(f"expected an FPR in [0, 1) (0.01 for 1 %), got {fpr!r}")
    scores, members = check_columns(scores, members)
    columns = []
    for s, m in zip(scores.T, members.T, strict=True):
        outside = np.sort(s[~m])[::-1]
        columns.append(s > outside[allowed(fpr, len(outside))])
    return np.stack(columns, axis=1)


def upset(scores: Scores, members: Bool[np.ndarray, "samples *targets"], fpr: float) -> list[Intersection]:
    """Who is found by exactly which attacks; several targets are counted together, as pairs of record and target.

    Args:
        scores: attack -> scores, higher = more likely a member.
        members: True = member.
        fpr: of every attack in every target.

    Returns:
        One entry for each combination that somebody is found by; most members first, then fewest false alarms.

    Reference: Lex, Gehlenborg, Strobelt, Vuillemot and Pfister (2014), UpSet, for exclusive intersections.
    """
    names, named, inside = _named(scores, members, fpr)
    combinations, which = np.unique(named[:, named.any(axis=0)].T, axis=0, return_inverse=True)
    inside = inside[named.any(axis=0)]
    rows = [
        Intersection(
            attacks=[name for name, is_in in zip(names, combination, strict=True) if is_in],
            n_members=int(np.count_nonzero(inside[which.ravel() == at])),
            n_nonmembers=int(np.count_nonzero(~inside[which.ravel() == at])),
        )
        for at, combination in enumerate(combinations)
    ]
    return sorted(rows, key=lambda row: (-row.n_members, row.n_nonmembers, len(row.attacks), row.attacks))


def union(
    scores: Scores,
    members: Bool[np.ndarray, "samples *targets"],
    fpr: float,
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> Union:
    """What all attacks find together, and what that costs in false alarms.

    The union of k attacks at FPR f has an FPR of up to k f, so its TPR alone says nothing: it stands beside the best
    single attack at the FPR that the union came to (in each target).

    Interval: the union is one point on the ROC curve of the score "least rank among the non-members under any attack";
    the interval is that curve's at the same FPR, as in `tpr_at_fpr`. Best is chosen on the same records, in its favour.
    """
    rng = generator(rng)
    names, columns, members = _checked(scores, members)
    anyone = np.any([found(columns[name], members, fpr) for name in names], axis=0)
    n_out = (~members).sum(axis=0)
    rates = ((anyone & ~members).sum(axis=0) / n_out)[:, None]
    level = {"confidence": confidence, "rng": rng}

    least = np.max([_above_outside(columns[name], members) for name in names], axis=0)
    _, (low,), (high,) = operating_points(least, members, rates, **level)
    value = float(((anyone & members).sum(axis=0) / members.sum(axis=0)).mean())
    n = int(n_out.min())
    singles = {}
    for name in names:
        (tpr,), (tpr_low,), (tpr_high,) = operating_points(columns[name], members, rates, **level)
        singles[name] = Estimate.of(float(tpr), float(tpr_low), float(tpr_high), n)
    best = max(names, key=lambda name: singles[name].value)
    return Union(
        n_members=int((anyone & members).sum()),
        n_nonmembers=int((anyone & ~members).sum()),
        fpr=float(rates.mean()),
        tpr=Estimate.of(value, min(value, float(low)), max(value, float(high)), n),
        best_attack=best,
        best_tpr=singles[best],
    )


def agreement(
    scores: Scores, members: Bool[np.ndarray, "samples *targets"], fpr: float
) -> Float64[np.ndarray, "attacks attacks"]:
    """Cohen's kappa of every two attacks over the members: do they find the same ones?

    kappa = (p_o - p_e) / (1 - p_e)

    with p_o the share of members on which the two agree (found or not) and p_e its value for two attacks that find as
    many members each, independently. 1: the same members; 0: as if independent; NaN where both find all, or none.

    Reference: Cohen (1960), Educational and Psychological Measurement 20(1).
    """
    _, named, inside = _named(scores, members, fpr)
    named = named[:, inside].astype(float)
    rate = named.mean(axis=1)
    both = named @ named.T / named.shape[1]
    observed = 1 - rate[:, None] - rate + 2 * both
    expected = rate[:, None] * rate + (1 - rate[:, None]) * (1 - rate)
    can = 1 - expected
    return np.divide(observed - expected, can, out=np.full(can.shape, np.nan), where=can > 1e-12)


def rank_average(scores: Scores) -> Float64[np.ndarray, "samples targets"]:
    """Mean over attacks of a record's rank within its target, in (0, 1]; learns nothing, so it needs no second half.

    >>> rank_average({"a": np.array([1.0, 5.0]), "b": np.array([3.0, 4.0])}).ravel().tolist()
    [0.5, 1.0]
    """
    return np.mean([rankdata(_matrix(column), axis=0) for column in scores.values()], axis=0) / _length(scores)


def stacked(
    scores: Scores, members: Bool[np.ndarray, "samples *targets"], *, rng: Seed
) -> Float64[np.ndarray, "samples targets"]:
    """One score from all attacks, by a logistic regression that never judges a record it learned from.

    Records are split into halves; on each, an L2 logistic regression of membership on the attacks' normal scores
    Phi^-1(rank / (n + 1)), ranks within the target; it scores the other half. The two regressions have scales of their
    own: a record's score is its place among the non-members of its half and target, which orders the half as before.

    Args:
        scores: attack -> scores.
        members: True = member.
        rng: draws the halves.

    Returns:
        (samples, targets); minus the share of non-members of the same half above the record, ties counting half.

    Raises:
        InputError: too few records for two halves with both sides of every target.
    """
    rng = generator(rng)
    from sklearn.linear_model import LogisticRegression  # a second to import

    names, columns, members = _checked(scores, members)
    n, n_targets = members.shape
    features = np.stack([ndtri(rankdata(columns[name], axis=0) / (n + 1)) for name in names], axis=-1)
    first = _halves(members, rng)
    judged = np.empty((n, n_targets))
    for learn, judge in ((first, ~first), (~first, first)):
        model = LogisticRegression(max_iter=1000).fit(features[learn].reshape(-1, len(names)), members[learn].ravel())
        log_odds = model.decision_function(features[judge].reshape(-1, len(names))).reshape(-1, n_targets)
        judged[judge] = _place(log_odds, members[judge])
    return judged


def best_at(
    scores: Scores,
    members: Bool[np.ndarray, "samples *targets"],
    fprs: Sequence[float],
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> list[BestAttack]:
    """The best attack at each FPR, chosen on one half of the records and judged on the other, both ways round.

    The largest of many TPRs is too large: each is measured with noise, and the maximum picks the luckiest. On each half
    the attack with the largest TPR is chosen (of equals the one with the larger AUC, then the first); the other half
    is scored by it. A record's score is its place among the non-members of its half and target (as in `stacked`), so
    that a threshold cuts off the same share of non-members in either half, and `tpr_at_fpr` gives the TPR.

    With k false alarms allowed among n non-members the two thresholds lie at chance (k + 2) / (n + 2), where one would
    lie at (k + 1) / (n + 1): little from k = 10 on, which is where rates are read, and far too much at k = 0, which is
    refused. The interval does not count that another split might have chosen another attack.

    Args:
        scores: attack -> scores.
        members: True = member.
        fprs: rates in (0, 1).
        confidence: two-sided.
        rng: draws the halves, ranks and resamples.

    Returns:
        One entry a rate; undefined estimates as in `tpr_at_fpr`.

    Raises:
        InputError: a rate outside (0, 1), or too few records for two halves with both sides of every target.
    """
    rng = generator(rng)
    names, columns, members = _checked(scores, members)
    if not all(0 < fpr < 1 for fpr in fprs):
        raise InputError(f"expected FPRs in (0, 1), got {list(fprs)}: no two halves have the threshold of FPR 0")
    first = _halves(members, rng)
    level = {"confidence": confidence, "rng": rng}
    rows = []
    for fpr in fprs:
        chosen = tuple(_most(names, columns, members, half, fpr) for half in (first, ~first))
        judged = np.empty(members.shape)
        for name, half in zip(chosen, (~first, first), strict=True):
            judged[half] = _place(columns[name][half], members[half])
        naive = _most(names, columns, members, np.ones(len(first), dtype=bool), fpr)
        rows.append(
            BestAttack(
                fpr=fpr,
                chosen=chosen,
                tpr=tpr_at_fpr(judged, members, fpr, **level),
                naive_attack=naive,
                naive_tpr=tpr_at_fpr(columns[naive], members, fpr, **level),
            )
        )
    return rows


def _most(names, columns, members, half: Bool[np.ndarray, " samples"], fpr: float) -> str:
    """The attack that finds most on `half`."""

    def rank(name: str) -> tuple[float, float]:
        pairs = list(zip(columns[name][half].T, members[half].T, strict=True))
        tpr = np.mean([Ranking(*pair).tpr(np.array([fpr]))[0] for pair in pairs])
        return float(tpr), float(np.mean([auc(*pair) for pair in pairs]))

    return max(names, key=rank)


def _place(
    scores: Float64[np.ndarray, "half targets"], members: Bool[np.ndarray, "half targets"]
) -> Float64[np.ndarray, "half targets"]:
    """Minus the share of the target's non-members above, ties counting half: a non-decreasing function of the score."""
    return (_above_outside(scores, members) + _above_outside(scores, members, strictly=True)) / 2


def _above_outside(scores, members, *, strictly: bool = False) -> Float64[np.ndarray, "samples targets"]:
    """Minus the share of non-members with at least (or above) each record's score; a non-member counts itself."""
    columns = []
    for s, m in zip(scores.T, members.T, strict=True):
        outside = np.sort(s[~m])
        below = np.searchsorted(outside, s, side="right" if strictly else "left")
        columns.append(-(len(outside) - below) / len(outside))
    return np.stack(columns, axis=1)


def _halves(members: Bool[np.ndarray, "samples targets"], rng: np.random.Generator) -> Bool[np.ndarray, " samples"]:
    """A random half of the records, with members and non-members of every target on either side."""
    sides: list[np.ndarray] = []
    for _ in range(MOST_DRAWS):
        first = random_half(members[:, 0], rng)
        sides = [side for half in (members[first], members[~first]) for side in (half.sum(0), (~half).sum(0))]
        if np.min(sides) >= FEWEST_IN_HALF:
            return first
    raise InputError(
        f"expected at least {FEWEST_IN_HALF} members and non-members of every target in each half of the records, got "
        f"{int(np.min(sides))} of {len(members)} records: judge more records"
    )


def _named(scores: Scores, members, fpr: float) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Attacks; bool (attacks, pairs): who is found; bool (pairs,): which are members."""
    names, columns, members = _checked(scores, members)
    return names, np.stack([found(columns[name], members, fpr).ravel() for name in names]), members.ravel()


def _checked(scores: Scores, members) -> tuple[list[str], dict[str, np.ndarray], np.ndarray]:
    if not scores:
        raise InputError("expected the scores of at least one attack, got none")
    checked = {name: check_columns(column, members) for name, column in scores.items()}
    names = list(scores)
    return names, {name: column for name, (column, _) in checked.items()}, checked[names[0]][1]


def _matrix(column: np.ndarray) -> Float64[np.ndarray, "samples targets"]:
    column = np.asarray(column, dtype=np.float64)
    return column[:, None] if column.ndim == 1 else column


def _length(scores: Scores) -> int:
    return len(next(iter(scores.values())))
