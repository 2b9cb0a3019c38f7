"""The ROC curve and its area: scores of known members and non-members, ties counted as ties."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int
from scipy.stats import rankdata

from seepage.errors import InputError


def check_columns(
    scores: Float64[np.ndarray, "samples *targets"], members: Bool[np.ndarray, "samples *targets"]
) -> tuple[Float64[np.ndarray, "samples targets"], Bool[np.ndarray, "samples targets"]]:
    """Scores and membership as two matrices, one column a target.

    Raises:
        InputError: shapes differ, membership is not bool, a score is NaN, or a column has fewer than 2 members or
            2 non-members.
    """
    scores, members = np.asarray(scores), np.asarray(members)
    if members.dtype != bool:
        raise InputError(f"members must be a bool array (True = member), got {members.dtype}: use members.astype(bool)")
    if scores.shape != members.shape or scores.ndim not in (1, 2):
        raise InputError(
            "scores and members must have one shape, (samples,) or (samples, targets), "
            f"got {scores.shape} and {members.shape}"
        )
    scores = scores.astype(np.float64, copy=False)
    if np.isnan(scores).any():
        raise InputError(
            f"{np.isnan(scores).sum()} of {scores.size} scores are NaN: drop those records, or repair the signal "
            "(infinite scores are allowed)"
        )
    if scores.ndim == 1:
        scores, members = scores[:, None], members[:, None]
    n_in = members.sum(axis=0)
    if scores.shape[1] == 0 or min(n_in.min(), (len(scores) - n_in).min()) < 2:
        raise InputError(
            "each target needs at least 2 members and 2 non-members, got "
            f"members {n_in.tolist()} of {len(scores)} records"
        )
    return scores, members


def check_column(
    scores: Float64[np.ndarray, " samples"], members: Bool[np.ndarray, " samples"]
) -> tuple[Float64[np.ndarray, " samples"], Bool[np.ndarray, " samples"]]:
    """Like `check_columns`, for what is defined for one target only."""
    if np.ndim(scores) != 1:
        raise InputError(f"expected the scores of one target, shape (samples,), got shape {np.shape(scores)}")
    scores, members = check_columns(scores, members)
    return scores[:, 0], members[:, 0]


@dataclass(frozen=True)
class Roc:
    """Points of a ROC curve: at `thresholds[k]` every record with score >= it is called a member.

    The first point is (0, 0) at +inf and means nobody, even where scores are +inf; the last is (1, 1).
    """

    fpr: Float64[np.ndarray, " points"]
    tpr: Float64[np.ndarray, " points"]
    thresholds: Float64[np.ndarray, " points"]


def roc(scores: Float64[np.ndarray, " samples"], members: Bool[np.ndarray, " samples"]) -> Roc:
    """The ROC curve with a point at every distinct score.

    A block of equal scores is one step, and no point is dropped: the area under straight lines between the points is
    the Mann-Whitney statistic.

    Args:
        scores: higher = more likely a member; infinities allowed.
        members: True = member.

    Returns:
        1 + (number of distinct scores) points, rates ascending.

    Raises:
        InputError: see `check_columns`.

    >>> curve = roc(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False]))
    >>> print(curve.fpr, curve.tpr, curve.thresholds)
    [0.  0.  0.5 1. ] [0.  0.5 1.  1. ] [inf  3.  2.  1.]
    """
    thresholds, true_positives, false_positives = threshold_counts(*check_column(scores, members))
    return Roc(
        fpr=np.append(0.0, false_positives / false_positives[-1]),
        tpr=np.append(0.0, true_positives / true_positives[-1]),
        thresholds=np.append(np.inf, thresholds),
    )


def threshold_counts(
    scores: Float64[np.ndarray, " samples"], members: Bool[np.ndarray, " samples"]
) -> tuple[Float64[np.ndarray, " points"], Int[np.ndarray, " points"], Int[np.ndarray, " points"]]:
    """Every distinct score, descending, and how many members and non-members score at least that much."""
    order = np.argsort(-scores, kind="stable")
    scores, members = scores[order], members[order]
    block_end = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    true_positives = np.cumsum(members)[block_end]
    return scores[block_end], true_positives, block_end + 1 - true_positives


def auc(scores: Float64[np.ndarray, " samples"], members: Bool[np.ndarray, " samples"]) -> float:
    """Chance that a random member scores above a random non-member, a tie counting one half.

    AUC = (sum of the members' midranks - n_in (n_in + 1) / 2) / (n_in n_out)

    >>> print(auc(np.array([3.0, 2.0, 2.0, 1.0]), np.array([True, True, False, False])))
    0.875
    """
    scores, members = check_column(scores, members)
    n_in = int(members.sum())
    rank_sum = rankdata(scores)[members].sum()
    return float((rank_sum - n_in * (n_in + 1) / 2) / (n_in * (len(scores) - n_in)))
