"""How much better an attack does on records that were used than on others: the excess risk, with its interval."""

from __future__ import annotations

import math

from scipy.special import ndtri

from seepage.errors import InputError
from seepage.metrics.intervals import check_confidence
from seepage.schema.estimates import Estimate


def wilson(successes: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion.

        (x + z^2 / 2 -+ z sqrt(x (n - x) / n + z^2 / 4)) / (n + z^2)

    Args:
        successes: x in [0, n]; may be fractional.
        trials: n > 0; may be an effective number, and then fractional.
        confidence: two-sided, in (0, 1).

    Raises:
        InputError: no trials, or successes outside [0, trials].

    >>> print([round(bound, 3) for bound in wilson(9, 10)])
    [0.596, 0.982]

    Reference: Wilson (1927), JASA 22(158).
    """
    check_confidence(confidence)
    if not (trials > 0 and 0 <= successes <= trials):
        raise InputError(f"expected 0 <= successes <= trials and trials > 0, got {successes!r} of {trials!r}")
    z = -float(ndtri((1 - confidence) / 2))
    middle, width = successes + z * z / 2, z * math.sqrt(successes * (1 - successes / trials) + z * z / 4)
    low, high = ((middle + side * width) / (trials + z * z) for side in (-1, 1))
    # At the ends the formula gives 0 and 1 up to rounding.
    return (0.0 if successes == 0 else max(0.0, low)), (1.0 if successes == trials else min(1.0, high))


def rate(successes: float, trials: float, confidence: float = 0.95) -> Estimate:
    """A share with its Wilson interval."""
    low, high = wilson(successes, trials, confidence)
    return Estimate.of(successes / trials, low, high, round(trials))


def excess_risk(attack: Estimate, control: Estimate) -> Estimate:
    """What membership adds to the success of an attack, as a share of what was left to gain.

        risk = (a - c) / (1 - c) = 1 - q_a / q_c,   q = 1 - rate

    The interval is that of a ratio of two independent proportions, put together from the intervals of both (MOVER):

        q_a / q_c in [N_l / (q_a q_c + sqrt(q_a^2 q_c^2 - N_l D_u)),  (q_a q_c + sqrt(q_a^2 q_c^2 - N_u D_l)) / D_l]
        N_l = l_a (2 q_a - l_a),  N_u = u_a (2 q_a - u_a),  D_l = l_c (2 q_c - l_c),  D_u = u_c (2 q_c - u_c)

    It may be below 0: then the control group was attacked better. It is not cut off there, or an interval could not
    show that it covers 0.

    Args:
        attack: success on records that were used, with the interval of `wilson`.
        control: the same on records that were not.

    Returns:
        The risk, at most 1; n is the smaller of both counts. Undefined where every control attack succeeds: nothing is
        left to gain.

    Reference: Giomi, Boenisch, Wehmeyer and Tasnádi (2023), PoPETs 2023(2), for the risk; its interval there is linear
        error propagation. Donner and Zou (2012), Statistical Methods in Medical Research 21(4), for the interval.
    """
    n = min(attack.n, control.n)
    if control.value == 1:
        return Estimate.of(None, None, None, n, "every attack on the control group succeeds: nothing is left to gain")
    (value, low, high), (value_c, low_c, high_c) = attack.defined(), control.defined()
    q, low, high = 1 - value, 1 - high, 1 - low
    q_c, low_c, high_c = 1 - value_c, 1 - high_c, 1 - low_c
    both = q * q_c
    n_low, n_high = low * (2 * q - low), high * (2 * q - high)
    d_low, d_high = low_c * (2 * q_c - low_c), high_c * (2 * q_c - high_c)
    least = 0.0 if n_low <= 0 else n_low / (both + math.sqrt(max(0.0, both * both - n_low * d_high)))
    most = math.inf if d_low <= 0 else (both + math.sqrt(max(0.0, both * both - n_high * d_low))) / d_low
    return Estimate.of(1 - q / q_c, 1 - most, 1 - least, n)
