"""Scores of the attacks that are done, so that an audit that was killed goes on with the next."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from seepage.attacks import Attack
from seepage.attacks.objects import identity
from seepage.runs.store import Store, digest
from seepage.studies.audit.evidence import Evidence
from seepage.version import __version__


class CachedScores(NamedTuple):
    """What one attack found on one target, and what it took."""

    scores: Float64[np.ndarray, " records"]
    seconds: float
    n_asked: int  # records that the live target was sent


class ScoreCache:
    """Scores of attacks in a store, each under a key that names all that it depends on.

    Scores of an attack that has no `identity` are not kept: nobody could tell whether they are still its scores.
    """

    def __init__(self, folder: Path, attacks: Mapping[str, Attack], evidence: Evidence, rows: np.ndarray, seed: int):
        self._store = Store(folder / "run" / "scores")
        self._store.sweep()
        self._like = {"scores": ("float64", (len(rows),))}
        self._identities = {name: identity(attack) for name, attack in attacks.items()}
        arrays = [
            evidence.logits,
            evidence.probabilities,
            evidence.labels,
            rows,
            evidence.features,
            evidence.gradient_norm,
        ]
        self._rest = [
            __version__,
            [None if array is None else hashlib.sha256(np.ascontiguousarray(array)).hexdigest() for array in arrays],
            evidence.membership.fingerprint,
            None if evidence.records is None else evidence.records.fingerprint,
            str(evidence.access),
            evidence.layer,
            seed,
        ]

    def read(self, name: str, target: int) -> CachedScores | None:
        """What was kept of an attack; None where there is nothing, or a damaged file, which a warning names."""
        key = self._key(name, target)
        said, numbers = {"attack": name, "target": target}, {"seconds": float, "n_asked": int}
        found = key and self._store.find(key, self._like, said, numbers)
        if not found:
            return None
        return CachedScores(found.arrays["scores"], found.about["seconds"], found.about["n_asked"])

    def write(self, name: str, target: int, done: CachedScores) -> None:
        key = self._key(name, target)
        about = {"attack": name, "target": target, "seconds": done.seconds, "n_asked": done.n_asked}
        if key is not None:
            self._store.write(key, {"scores": done.scores}, about)

    def _key(self, name: str, target: int) -> str | None:
        attack = self._identities[name]
        return None if attack is None else digest([name, attack, target, *self._rest])[:32]
