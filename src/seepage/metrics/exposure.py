"""Which members stand out: a p-value and a false-discovery rate for each."""

import numpy as np
from jaxtyping import Bool, Float64

from seepage.metrics.roc import check_column
from seepage.metrics.significance import check_p_values


def exposure(
    scores: Float64[np.ndarray, " samples"], members: Bool[np.ndarray, " samples"]
) -> tuple[Float64[np.ndarray, " members"], Float64[np.ndarray, " members"]]:
    """How far each member of one target stands out from the non-members.

    p_i = (1 + #{non-members with score >= s_i}) / (n_out + 1); q = Benjamini-Hochberg of the p_i.

    p_i is valid where a non-leaking record's score is exchangeable with the non-members' (randomised membership); the
    p-values share their non-members, a positive dependence under which Benjamini-Hochberg keeps its rate. q_i is the
    share of false finds to expect if this and all more exposed members are called found.

    Args:
        scores: higher = more likely a member.
        members: True = member.

    Returns:
        (p_values, q_values) of the members, in the order of the records.

    Raises:
        InputError: see `roc.check_columns`.

    >>> p, q = exposure(np.array([9.0, 1.0, 2.0, 0.0, 3.0]), np.array([True, True, False, False, False]))
    >>> print(p, q)
    [0.25 0.75] [0.5  0.75]

    Reference: Bates, Candes, Lei, Romano and Sesia (2023), Testing for outliers with conformal p-values, Annals of
        Statistics 51(1), also for the dependence.
    """
    scores, members = check_column(scores, members)
    outside = np.sort(scores[~members])
    at_least = len(outside) - np.searchsorted(outside, scores[members], side="left")
    p_values = (1 + at_least) / (1 + len(outside))
    return p_values, benjamini_hochberg(p_values)


def benjamini_hochberg(p_values: Float64[np.ndarray, " tests"]) -> Float64[np.ndarray, " tests"]:
    """q_(i) = min_{j >= i} min(1, m p_(j) / j), p sorted ascending; in the order of the argument.

    Reference: Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B 57(1).
    """
    p = check_p_values(p_values)
    order = np.argsort(p, kind="stable")[::-1]
    q = np.empty(len(p))
    q[order] = np.minimum(1, np.minimum.accumulate(p[order] * len(p) / np.arange(len(p), 0, -1)))
    return q
