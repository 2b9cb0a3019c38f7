"""Records that no model is trained on and that some recipes make use of: to choose by, or to be unlike."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64

from seepage.data import Membership
from seepage.errors import InputError

NOBODY = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Rows of the pool, as a membership sets them aside.

    Attributes:
        validation: what a training may choose by: the epoch to keep, a temperature.
        population: what a training may compare its members with.
    """

    validation: Int64[np.ndarray, " rows"] = field(default_factory=NOBODY.copy)
    population: Int64[np.ndarray, " others"] = field(default_factory=NOBODY.copy)

    @classmethod
    def of(cls, membership: Membership) -> HeldOut:
        return cls(np.flatnonzero(membership.validation), np.flatnonzero(membership.population))

    def need(self, name: str, least: int, whose: str) -> Int64[np.ndarray, " rows"]:
        """The rows of that name.

        Raises:
            InputError: there are fewer than `least`.
        """
        rows = getattr(self, name)
        if len(rows) < least:
            raise InputError(
                f"{whose} needs {name} records, which no model is trained on: expected at least {least}, got "
                f"{len(rows)}; set some aside (Membership.split(..., {name}=0.1), or {name}: 0.1)"
            )
        return rows

    def fingerprint(self, names: Collection[str]) -> str:
        """SHA-256 of the rows of these names."""
        digest = hashlib.sha256()
        for name in sorted(names):
            digest.update(name.encode() + np.asarray(getattr(self, name), dtype="<i8").tobytes())
        return digest.hexdigest()
