"""What somebody can tell who has the networks too: encoder and decoder as an attack on the originals."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from sklearn.neighbors import NearestNeighbors

from seepage.data import Pool
from seepage.errors import InputError
from seepage.models.generators.vae import VAE
from seepage.synthesis.release import Synthetic


def network_scores(made: Synthetic, members: Pool, records: Pool) -> dict[str, Float64[np.ndarray, " records"]]:
    """Scores of original records by whoever has the release, the encoder and the decoder.

    | attack | score of an original record x |
    |---|---|
    | `networks-reconstruction` | log p(x given mu(x)): how well the networks make it again |
    | `networks-code` | -min over released s of the distance of mu(x) and mu(s), within a class where networks know it |

    Networks without differential privacy are part of what is at stake: who has them needs no noisy code to tell that
    they make a record again too well. Where they stay with their owner this attacker does not exist.

    Args:
        made: the release with its networks.
        members: what it was made from.
        records: whose membership is asked.

    Returns:
        Higher = more likely a member.

    Raises:
        InputError: the networks were trained on other records than these members, or labels are missing.

    Reference: Hilprecht, Härterich and Bernau (2019), Monte Carlo and reconstruction membership inference attacks
        against generative models, PoPETs 2019(4), for the reconstruction; here the mean code instead of draws.
    """
    _check(made, members, records)
    by_class = made.guarantee.labels in ("conditional", "per-class") and records.labels is not None
    scores = {name: np.empty(len(records)) for name in ("networks-reconstruction", "networks-code")}
    classes = np.unique(records.labels) if by_class else [None]
    known = np.unique(members.labels).tolist() if made.guarantee.labels == "per-class" else None
    strangers = np.zeros(len(records), dtype=bool)  # of a class that no member has
    for label in classes:
        rows = np.arange(len(records)) if label is None else np.flatnonzero(records.labels == label)
        released = np.arange(len(made.pool)) if label is None else np.flatnonzero(made.pool.labels == label)
        if (known is not None and label not in known) or not len(released):
            strangers[rows] = True
            continue
        vae = made.vaes[0 if known is None else known.index(label)]
        asked = records.subset(rows)
        inputs, told = _given(vae, asked)
        codes = vae.encode(inputs, told)
        scores["networks-reconstruction"][rows] = vae.likelihood(inputs, codes, told)
        near = NearestNeighbors(n_neighbors=1).fit(_codes(vae, made.pool.subset(released)))
        scores["networks-code"][rows] = -near.kneighbors(codes)[0][:, 0]
    for found in scores.values():
        found[strangers] = found[~strangers].min() - 1
    return scores


def _codes(vae: VAE, pool: Pool) -> np.ndarray:
    return vae.encode(*_given(vae, pool))


def _given(vae: VAE, pool: Pool) -> tuple[np.ndarray, np.ndarray | None]:
    return np.asarray(pool.inputs, vae.dtype), None if vae.n_classes is None else pool.labels


def _check(made: Synthetic, members: Pool, records: Pool) -> None:
    one = not made.guarantee.public and made.guarantee.labels != "per-class"
    if one and made.vaes[0].training.pool != members.fingerprint:
        raise InputError(
            "audit_released: pipeline= was trained on other records than members=: give the pool that was given to "
            "synthesise, all of it"
        )
    if len(made.pool) != made.guarantee.releases * len(members):
        raise InputError(
            f"audit_released: pipeline= has {len(made.pool)} records, expected {made.guarantee.releases} for each of "
            f"the {len(members)} members"
        )
    if records.labels is None and made.guarantee.labels != "kept" and made.pool.labels is not None:
        raise InputError("audit_released: the networks of pipeline= know classes: members and hold-out need labels")
