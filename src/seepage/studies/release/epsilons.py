"""The audit of a release beside releases at other epsilons, by the same networks, targets and lots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from seepage.data import Pool
from seepage.errors import InputError
from seepage.schema.release import ReleaseResult
from seepage.studies.release.released import audit_released
from seepage.synthesis import Synthetic, synthesise


def audit_at_epsilons(
    made: Synthetic, members: Pool, holdout: Pool, *, epsilons: Sequence[float] = (), seed: int = 0, **options: Any
) -> dict[str, ReleaseResult]:
    """Audit a release, and releases of the same records at other epsilons, which only the noise tells apart.

        members, holdout = pool.subset(rows[:half]), pool.subset(rows[half:])
        made = synthesise(members, epsilon=20.0)
        audits = audit_at_epsilons(made, members, holdout, epsilons=[2.0, math.inf])

    Args:
        made: the release.
        members: the records that it was made from.
        holdout: records of the same population that it was not made from.
        epsilons: of the other releases, which are audited and given to nobody; inf: no noise.
        seed: of targets and lots, the same for all settings.
        options: of the release, as `synthesise` had them: the others are made with the same ones.

    Returns:
        The audit of each setting by name ("epsilon 2", "no noise"), the release's own first; `side_by_side` makes one
        result of them.

    Raises:
        InputError: an epsilon is no positive number or stands there twice, or the options are others than those of
            the release.
    """
    every = [made.guarantee.epsilon, *epsilons]
    if any(not epsilon > 0 for epsilon in every) or len(set(every)) < len(every):
        raise InputError(
            f"audit_at_epsilons: expected epsilons to be positive numbers, others than {every[0]:g} and each once; "
            f"got {', '.join(f'{epsilon:g}' for epsilon in epsilons)}"
        )
    audits = {}
    for epsilon in every:
        release = made
        if epsilon != made.guarantee.epsilon:
            release = synthesise(members, epsilon=epsilon, networks=made.vaes, **options)
        rng = np.random.default_rng([seed, 7])
        audits[_setting(epsilon)] = audit_released(release.pool, members, holdout, pipeline=release, rng=rng)
    return audits


def _setting(epsilon: float) -> str:
    return "no noise" if math.isinf(epsilon) else f"epsilon {epsilon:g}"
