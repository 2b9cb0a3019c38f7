"""What a training with noise costs in privacy: the epsilon of DP-SGD, by Opacus's accountants."""

from __future__ import annotations

import functools
import math
import warnings

from seepage.errors import InputError, unknown_name

ACCOUNTANTS = ("prv", "rdp")
# Where the RDP bound is above this, the PRV accountant's grid overflows and the RDP bound is taken.
LARGEST_PRV_EPSILON = 150.0
LARGEST_TARGET = 50.0


@functools.lru_cache(maxsize=4096)
def epsilon(
    noise_multiplier: float, sample_rate: float, n_steps: int, *, delta: float, accountant: str = "prv"
) -> float:
    """An upper bound on the epsilon, at this delta, of so many Poisson-subsampled Gaussian steps.

    Two pools are neighbours where one has a record more than the other.

    Args:
        noise_multiplier: sigma: the noise has the standard deviation sigma C for gradients clipped to the norm C.
        sample_rate: q in (0, 1], the probability that a record is in the batch of a step.
        n_steps: how many.
        delta: in (0, 1), usually below one over the number of records.
        accountant: "prv", the tighter (Gopi et al.), or "rdp" (Mironov).

    Returns:
        Infinity without noise.

    >>> round(epsilon(1.5, 0.04, 2250, delta=1e-5, accountant="rdp"), 4)
    7.3291

    Reference: Gopi, Lee & Wutschitz 2021, arXiv 2106.02848; Mironov, Talwar & Zhang 2019, arXiv 1908.10530; both as
    Opacus has them. Deviation: of a PRV epsilon the smaller of it and the RDP bound is given, both being bounds, and
    above an RDP bound of 150, where Opacus's PRV grid overflows, that bound alone.
    """
    _check(sample_rate, n_steps, delta, accountant)
    if not (math.isfinite(noise_multiplier) and noise_multiplier >= 0):
        raise InputError(f"the noise multiplier must be a finite number of at least 0, got {noise_multiplier}")
    if n_steps == 0:
        return 0.0
    if noise_multiplier == 0:
        return math.inf
    by_rdp = _spent("rdp", noise_multiplier, sample_rate, n_steps, delta)
    if accountant == "rdp" or by_rdp > LARGEST_PRV_EPSILON:
        return by_rdp
    return min(by_rdp, _spent("prv", noise_multiplier, sample_rate, n_steps, delta))


@functools.lru_cache(maxsize=4096)
def noise_multiplier_for(
    target_epsilon: float, sample_rate: float, n_steps: int, *, delta: float, accountant: str = "prv"
) -> float:
    """The noise multiplier with which so many steps spend at most `target_epsilon`, by at most 0.01 less.

    Args:
        target_epsilon: in (0, 50].
        sample_rate, n_steps, delta, accountant: as for `epsilon`.

    Raises:
        InputError: no noise multiplier is large enough.
    """
    from opacus.accountants.utils import get_noise_multiplier

    _check(sample_rate, n_steps, delta, accountant)
    if not 0 < target_epsilon <= LARGEST_TARGET:
        raise InputError(
            f"the target epsilon must be in (0, {LARGEST_TARGET:g}], got {target_epsilon}: for a weaker promise give "
            "the noise multiplier"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = get_noise_multiplier(
                target_epsilon=target_epsilon,
                target_delta=delta,
                sample_rate=sample_rate,
                steps=n_steps,
                accountant=accountant,
            )
    except ValueError as error:
        raise InputError(
            f"no noise keeps {n_steps} steps at the rate {sample_rate:g} within epsilon = {target_epsilon} at "
            f"delta = {delta:g}: take fewer epochs, smaller batches or a larger epsilon"
        ) from error
    return float(found)


def _spent(accountant: str, noise_multiplier: float, sample_rate: float, n_steps: int, delta: float) -> float:
    # Imported here: it takes seconds, and a training with a given noise multiplier does without.
    from opacus.accountants import create_accountant

    ledger = create_accountant(mechanism=accountant)
    ledger.history = [(noise_multiplier, sample_rate, n_steps)]
    with warnings.catch_warnings():  # an order at the end of the range means a loose bound, not a wrong one
        warnings.simplefilter("ignore")
        return float(ledger.get_epsilon(delta=delta))


def _check(sample_rate: float, n_steps: int, delta: float, accountant: str) -> None:
    if accountant not in ACCOUNTANTS:
        raise unknown_name("accountant", accountant, ACCOUNTANTS)
    if not 0 < sample_rate <= 1:
        raise InputError(f"the sampling rate must be in (0, 1], got {sample_rate}")
    if not 0 < delta < 1:
        raise InputError(f"delta must be in (0, 1), got {delta}")
    if n_steps < 0:
        raise InputError(f"the number of steps must be at least 0, got {n_steps}")
