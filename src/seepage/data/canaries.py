"""Canaries: records planted to be the ones that a model gives away first.

An average over ordinary records hides the few that leak most. Canaries stand for those: audit them alone, each a
member of half of the models (`Membership.canaries_in_turns`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64
from numpy.typing import ArrayLike

from seepage.data.membership import Membership
from seepage.data.pool import Pool
from seepage.errors import InputError, unknown_name
from seepage.randomness import Seed, generator

# A copy differs from its original in this share of its values, by one step each.
CHANGED_SHARE = 0.01
STEPS = 255


class Planted(NamedTuple):
    """A pool with canaries, which of its records they are, and those that every model must see for them to work."""

    pool: Pool
    canaries: Bool[np.ndarray, " samples"]
    companions: Bool[np.ndarray, " samples"]


@dataclass(frozen=True)
class Strongest:
    """Which canaries found most under one defence.

    Attributes:
        tpr: TPR at FPR 0.1 % of the strongest attack on these canaries, in [0, 1].
        tpr_clean: the same of the attack that was usual before, on clean canaries.
    """

    kind: str
    attack: str
    tpr: float
    tpr_clean: float


# Aerni, Zhang and Tramèr (2024), arXiv 2404.17399: CIFAR-10, 64 models, 500 canaries of which half are in each; TPR at
# FPR 0.1 % as the authors' published notebook prints it
STRONGEST: dict[str, Strongest] = {
    "none": Strongest("mislabelled", "LiRA", 1.0, 0.134),
    "hamp": Strongest("mislabelled", "label-only, 18 queries", 0.285, 0.021),
    "relaxloss": Strongest("mislabelled", "LiRA on the hinge", 0.741, 0.022),
    "selena": Strongest("near-duplicates", "LiRA, 18 queries", 0.527, 0.068),
    "dp-sgd": Strongest("ood", "LiRA on the hinge, 18 queries", 0.095, 0.022),
}


def plant(
    pool: Pool,
    kind: str,
    *,
    n: int = 500,
    among: ArrayLike | None = None,
    other: Pool | None = None,
    rng: Seed,
) -> Planted:
    """Turn `n` records of a pool, drawn at random, into canaries; all others stay as they are.

    Kinds, as in `CANARIES`:

    - clean: as they are. The yardstick that the others are measured by.
    - mislabelled: another label, uniformly from the other classes. Nothing but training on it can teach that label.
    - blank: one constant per channel and no two alike, with a label drawn uniformly from all classes.
    - ood: values from elsewhere under the record's own label: of the records of `other`, or uniform noise.
    - near-duplicates: each a copy of an ordinary record, one step away in 1 % of its values, with a wrong label. The
      originals are the companions: train every model on them. A defence that answers for a record with models
      that did not see that very record still learns the wrong label from, or for, its twin.

    Args:
        pool: with labels of at least two classes.
        kind: a name in `CANARIES`.
        n: canaries.
        among: mask or indices of the records that may become canaries (and companions); all by default.
        other: for "ood", a pool of at least n records of the same shape and dtype.
        rng: draws records, labels and values.

    Returns:
        The changed pool, a mask of the canaries, and a mask of their companions (none but for near-duplicates).

    Raises:
        InputError: an unknown kind, too few records, or a pool that such canaries cannot be made in.

    >>> pool = Pool(np.eye(6), [0, 1, 2, 0, 1, 2])
    >>> planted = plant(pool, "mislabelled", n=2, rng=np.random.default_rng(0))
    >>> int(planted.canaries.sum()), int((planted.pool.labels != pool.labels).sum())
    (2, 2)

    Reference: Aerni, Zhang and Tramèr (2024), section 4. *Our deviations*: no two blank canaries share a colour (they
        would be one record, IN and OUT at once); the originals of near-duplicates are ordinary records in every
        model, and their copies differ from them a little (theirs are canaries too, and the copies exact).
    """
    rng = generator(rng)
    if kind not in CANARIES:
        raise unknown_name("kind of canaries", kind, CANARIES)
    if pool.labels is None or pool.n_classes is None or pool.n_classes < 2:
        raise InputError("canaries need a pool with labels of at least two classes")
    if other is not None and kind != "ood":
        raise InputError(f"other= gives the values of canaries of kind 'ood', got it for '{kind}'")
    candidates = np.arange(len(pool)) if among is None else np.unique(np.arange(len(pool))[np.asarray(among)])
    each = 2 if kind == "near-duplicates" else 1
    if not 1 <= n <= len(candidates) // each:
        raise InputError(
            f"expected from 1 to {len(candidates) // each} {kind} canaries among {len(candidates)} records, got {n}"
        )
    drawn = rng.permutation(candidates)[: each * n]
    chosen, originals = drawn[:n], drawn[n:]
    inputs, labels = CANARIES[kind](pool, chosen, originals, other, rng)
    ids = pool.ids.astype(object)
    if kind != "clean":
        ids[chosen] = [f"{name} ({kind})" for name in ids[chosen]]
    changed = replace(
        pool, inputs=inputs, labels=labels, ids=ids.astype(str), name=f"{pool.name} with {n} {kind} canaries"
    )
    return Planted(changed, _mask(chosen, len(pool)), _mask(originals, len(pool)))


def plant_in_turns(
    pool: Pool,
    kind: str,
    *,
    n: int = 500,
    models: int = 64,
    population: float | int = 0.2,
    validation: float | int = 0.0,
    rng: Seed,
) -> tuple[Pool, Membership]:
    """Plant canaries, and draw which models each is a member of: the pool and the membership of an audit of them alone.

        pool, membership = plant_in_turns(pool, "mislabelled", n=500, models=64, rng=0)
        result = seepage.audit_recipe(recipe, pool, membership)

    Args:
        pool: with labels of at least two classes.
        kind, n: see `plant`.
        models: all are trained on the same ordinary records, each is the target in its turn; see
            `Membership.canaries_in_turns`.
        population, validation: records that no model is trained on, a share or a count.
        rng: draws records, labels, values and members.

    Raises:
        InputError: as for `plant` and `Membership.canaries_in_turns`.
    """
    rng = generator(rng)
    planted = plant(pool, kind, n=n, rng=rng)
    membership = Membership.canaries_in_turns(
        planted.pool,
        canaries=planted.canaries,
        keep=planted.companions,
        models=models,
        population=population,
        validation=validation,
        rng=rng,
    )
    return planted.pool, membership


def _mask(indices: np.ndarray, n: int) -> np.ndarray:
    mask = np.zeros(n, dtype=bool)
    mask[indices] = True
    return mask


def _clean(pool: Pool, chosen, originals, other, rng):
    return pool.inputs, pool.labels


def _mislabelled(pool: Pool, chosen, originals, other, rng):
    return pool.inputs, _wrong_labels(pool, chosen, pool.labels[chosen], rng)


def _blank(pool: Pool, chosen, originals, other, rng):
    channels = pool.inputs.shape[1] if pool.inputs.ndim == 4 else 1
    colours = _distinct_colours(len(chosen), channels, *_range(pool), pool.inputs.dtype, rng)
    blank = colours.reshape(len(chosen), channels, *(1,) * (pool.inputs.ndim - 2))
    labels = pool.labels.copy()
    labels[chosen] = rng.integers(0, pool.n_classes, len(chosen))
    return _with(pool, chosen, np.broadcast_to(blank, (len(chosen), *pool.inputs.shape[1:]))), labels


def _ood(pool: Pool, chosen, originals, other: Pool | None, rng):
    if other is None:
        low, high = _range(pool)
        shape = (len(chosen), *pool.inputs.shape[1:])
        is_whole = pool.inputs.dtype == np.uint8
        values = rng.integers(low, high + 1, shape) if is_whole else rng.uniform(low, high, shape)
        return _with(pool, chosen, values), pool.labels
    mine, theirs = [(p.inputs.shape[1:], p.inputs.dtype, p.scale) for p in (pool, other)]
    if mine != theirs or len(other) < len(chosen):
        raise InputError(
            f"expected a pool of at least {len(chosen)} records of shape {mine[0]}, {mine[1]}, scale {mine[2]:g} as "
            f"ood canaries, got {len(other)} of {theirs[0]}, {theirs[1]}, scale {theirs[2]:g}"
        )
    return _with(pool, chosen, other.inputs[np.sort(rng.permutation(len(other))[: len(chosen)])]), pool.labels


def _near_duplicates(pool: Pool, chosen, originals, other, rng):
    low, high = _range(pool)
    copies = np.array(pool.inputs[originals]).reshape(len(originals), -1)
    n_changed = max(1, round(CHANGED_SHARE * copies.shape[1]))
    where = rng.random(copies.shape).argpartition(n_changed - 1, axis=1)[:, :n_changed]
    values = np.take_along_axis(copies, where, axis=1).astype(np.float64)
    step = 1.0 if copies.dtype == np.uint8 else (high - low) / STEPS
    values += np.where(values < (low + high) / 2, step, -step)  # towards the middle, so never out of the range
    np.put_along_axis(copies, where, values.astype(copies.dtype), axis=1)
    copies = copies.reshape(len(originals), *pool.inputs.shape[1:])
    return _with(pool, chosen, copies), _wrong_labels(pool, chosen, pool.labels[originals], rng)


# What each kind does: (pool, the canaries' places, the originals' places, the other pool, rng) -> (inputs, labels).
CANARIES: dict[str, Callable] = {
    "clean": _clean,
    "mislabelled": _mislabelled,
    "blank": _blank,
    "ood": _ood,
    "near-duplicates": _near_duplicates,
}


def _wrong_labels(pool: Pool, chosen, true: Int64[np.ndarray, " n"], rng) -> Int64[np.ndarray, " samples"]:
    labels = pool.labels.copy()
    labels[chosen] = (true + rng.integers(1, pool.n_classes, len(chosen))) % pool.n_classes
    return labels


def _range(pool: Pool) -> tuple[float, float]:
    low, high = pool.inputs.min().item(), pool.inputs.max().item()
    if low == high:
        raise InputError(f"expected records that differ, got {low} everywhere: no canary would stand out among them")
    return low, high


def _distinct_colours(n: int, channels: int, low, high, dtype, rng) -> np.ndarray:
    """(n, channels), no two rows alike."""
    if dtype != np.uint8:
        # A level for each, jittered within its own part of the range.
        levels = (rng.permuted(np.tile(np.arange(n), (channels, 1)), axis=1).T + rng.random((n, channels))) / n
        return (low + (high - low) * levels).astype(dtype)
    n_levels = high - low + 1
    if n > n_levels**channels:
        raise InputError(
            f"expected at most {n_levels**channels} blank canaries (values from {low} to {high} in {channels} "
            f"channel{'s' * (channels > 1)}), got {n}: two alike would be one record; take fewer or another kind"
        )
    colours = rng.choice(n_levels**channels, n, replace=False)
    return (low + np.stack(np.unravel_index(colours, (n_levels,) * channels), axis=1)).astype(np.uint8)


def _with(pool: Pool, chosen: np.ndarray, values: np.ndarray) -> np.ndarray:
    inputs = np.array(pool.inputs)  # in memory, where the pool was on the disk
    inputs[chosen] = values
    return inputs
