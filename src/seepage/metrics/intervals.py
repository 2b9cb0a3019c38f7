"""Exact intervals of proportions."""

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.special import betaincinv

from seepage.errors import InputError
from seepage.schema.estimates import Estimate


def check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie strictly between 0 and 1 (0.95 for 95 %), got {confidence!r}")


def clopper_pearson(successes, trials, confidence: float = 0.95) -> tuple:
    """Exact interval of a proportion.

    low = Beta^-1((1-c)/2; x, n-x+1), 0 at x = 0; high = Beta^-1((1+c)/2; x+1, n-x), 1 at x = n.

    It covers at least as often as stated, and only if whatever defines a success (a threshold) was fixed before these
    trials were seen.

    Args:
        successes: x, number or array; may be fractional (half a success for a tie).
        trials: n >= 1, number or array.
        confidence: two-sided, in (0, 1).

    Returns:
        (low, high): floats for scalar arguments, float64 arrays of the broadcast shape otherwise.

    Raises:
        InputError: no trials, or successes outside [0, trials].

    >>> low, high = clopper_pearson(0, 100)
    >>> print(low, round(high, 4))
    0.0 0.0362

    Reference: Clopper and Pearson (1934), Biometrika 26(4).
    """
    check_confidence(confidence)
    tail = (1 - confidence) / 2
    return lower_bound(successes, trials, tail), upper_bound(successes, trials, tail)


def lower_bound(successes, trials, tail: float):
    """One-sided Clopper-Pearson: the proportion is smaller with probability at most `tail`."""
    x, n = _counts(successes, trials)
    bound = np.where(x > 0, betaincinv(np.where(x > 0, x, 1), n - x + 1, tail), 0.0)
    return bound if bound.ndim else float(bound)


def upper_bound(successes, trials, tail: float):
    """One-sided Clopper-Pearson: the proportion is larger with probability at most `tail`."""
    x, n = _counts(successes, trials)
    bound = np.where(x < n, betaincinv(x + 1, np.where(x < n, n - x, 1), 1 - tail), 1.0)
    return bound if bound.ndim else float(bound)


def _counts(successes, trials):
    x, n = np.broadcast_arrays(np.asarray(successes, float), np.asarray(trials, float))
    if not (np.all(n >= 1) and np.all(x >= 0) and np.all(x <= n)):
        raise InputError(f"expected 0 <= successes <= trials and trials >= 1, got {successes!r} of {trials!r}")
    return x, n


def proportion(flags: Bool[np.ndarray, " samples"], *, confidence: float = 0.95) -> Estimate:
    """Share of True with its Clopper-Pearson interval; for events defined before the records were seen (accuracy).

    >>> print(proportion(np.array([True, True, False, True])).value)
    0.75
    """
    flags = np.asarray(flags)
    if flags.dtype != bool or flags.ndim != 1 or not flags.size:
        raise InputError(f"expected a non-empty 1-D bool array, got {flags.dtype} of shape {flags.shape}")
    hits = int(np.count_nonzero(flags))
    low, high = clopper_pearson(hits, flags.size, confidence)
    return Estimate.of(hits / flags.size, low, high, flags.size)


def percentile_interval(
    replicates: Float[np.ndarray, "replicates *rest"], confidence: float
) -> tuple[Float64[np.ndarray | np.float64, "*rest"], Float64[np.ndarray | np.float64, "*rest"]]:
    """The central share `confidence` of bootstrap replicates, along the first axis."""
    low, high = np.quantile(replicates, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high
