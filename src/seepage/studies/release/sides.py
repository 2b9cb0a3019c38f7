"""Whether release, members and control group belong together: what would make an audit of a release say nothing."""

from __future__ import annotations

import numpy as np
from scipy.stats import ks_2samp

from seepage.data import Pool
from seepage.data.pool import overlap
from seepage.errors import InputError
from seepage.metrics import leak_p_value
from seepage.models.generators.columns import Columns
from seepage.studies.release.typed import Typed

LEAST_RECORDS = 20
MOST_SHARED = 0.1  # of the hold-out, beyond what twins among the members explain
UNITS = 20.0  # by how much the spread of numbers may differ before it is another unit
OUTSIDE, WIDER = 0.99, 3.0  # share of released values beyond the originals' range, and spread so much more or less
SWAPPED = 1e-4
OTHER_POPULATION = 1e-4


def in_one_order(synthetic: Pool, members: Pool, holdout: Pool, reference: Pool | None) -> dict[str, Pool | None]:
    """The pools with their columns in the members' order.

    Raises:
        InputError: records of different shapes, columns or classes, fewer than 20 in a list, a control group that was
            in the training data, or a release in other units.
    """
    given = {"synthetic": synthetic, "members": members, "holdout": holdout, "reference": reference}
    given = {name: pool for name, pool in given.items() if pool is not None}
    sizes = {name: len(pool) for name, pool in given.items()}
    if min(sizes.values()) < LEAST_RECORDS:
        raise InputError(f"audit_released: expected at least {LEAST_RECORDS} records in every list, got {sizes}")
    for name, pool in given.items():
        try:
            given[name] = pool.in_order(members.columns)
        except InputError as error:
            raise InputError(f"audit_released: {name}=: {error}") from None
    shapes = {name: pool.inputs.shape[1:] for name, pool in given.items()}
    if len(set(shapes.values())) > 1:
        raise InputError(f"audit_released: expected records of one shape, got {shapes}")
    named = {name: pool.classes for name, pool in given.items() if pool.labels is not None and pool.classes}
    if len(set(named.values())) > 1:
        raise InputError(f"audit_released: expected classes of the same names and order, got {named}")
    _check_units(given["synthetic"], given["members"], given["holdout"])
    return {**given, "reference": given.get("reference")}


def control_remarks(members: Pool, holdout: Pool) -> tuple[str, ...]:
    """What members and control group share.

    Records that are alike by chance are as frequent between the lists as within the members; more of them were in the
    training data, and no control.

    Raises:
        InputError: more of the hold-out are members than chance explains, by a tenth and by four standard errors; or
            both lists hold the same records.
    """
    shared, within = len(overlap(holdout, members)), sum(len(copies) for copies in members.duplicates())
    excess = shared / len(holdout) - within / len(members)
    both = (shared + within) / (len(holdout) + len(members))
    error = np.sqrt(both * (1 - both) * (1 / len(holdout) + 1 / len(members)))
    if excess > max(MOST_SHARED, 4 * error) or (shared == len(holdout) and _same_records(members, holdout)):
        raise InputError(
            f"audit_released: {shared} of the {len(holdout)} hold-out records are members, value for value "
            f"({within} of {len(members)} members have a twin among the members): holdout= must be records of the same "
            "population that the release was NOT made from"
        )
    if not shared:
        return ()
    return (
        f"{shared} of {len(holdout)} hold-out records are some member, value for value; {within} of {len(members)} "
        "members have a twin among the members. Any that were in the training data make every risk look smaller.",
    )


def _same_records(one: Pool, other: Pool) -> bool:
    if len(one) != len(other):
        return False
    lists = [np.unique(pool.batch().reshape(len(pool), -1), axis=0, return_counts=True) for pool in (one, other)]
    return all(np.array_equal(*pair) for pair in zip(*lists, strict=True))


def population_remarks(typed: Typed) -> tuple[str, ...]:
    """Whether members and hold-out differ before any release is looked at (Kolmogorov-Smirnov, Bonferroni)."""
    p_values = [ks_2samp(*pair, method="asymp")[1] for pair in zip(typed.members.T, typed.holdout.T, strict=True)]
    if not p_values or (least := min(p_values) * len(p_values)) > OTHER_POPULATION:
        return ()
    name = typed.names[int(np.argmin(p_values))]
    return (
        f"Members and hold-out differ without any release, most in '{name}' (p = {least:.1g}): they are no random "
        "parts of one population, and every figure measures that difference too. Draw both at random from one list.",
    )


def swap_remarks(scores: np.ndarray, members: np.ndarray) -> tuple[str, ...]:
    """Whether the hold-out is surely closer to the release than the members are."""
    if leak_p_value(-scores, members) > SWAPPED:
        return ()
    return (
        "The hold-out is closer to the release than the members are, which no leak and no chance explains: are "
        "members= and holdout= swapped, or was the release made from other records? Nothing below is to be trusted.",
    )


def _check_units(synthetic: Pool, members: Pool, holdout: Pool) -> None:
    """Numbers in other units look like a release that knows nobody.

    Levels, such as grey values, have one unit: all are looked at together.
    """
    released, *originals = (pool.batch().reshape(len(pool), -1) for pool in (synthetic, members, holdout))
    known = np.concatenate(originals)
    seen = Pool(np.concatenate([members.inputs, holdout.inputs]), scale=members.scale, columns=members.columns)
    columns = Columns.guess(seen)
    ratios = []
    for at in columns.of("numeric"):
        _check_range(released[:, at], known[:, at], _column(members, at))
        ratios.append(_ratio(released[:, at], known[:, at]))
    if len(levels := columns.of("unit")):
        _check_range(released[:, levels], known[:, levels], "values")
        ratios.append(_ratio(released[:, levels], known[:, levels]))
    found = [ratio for ratio in ratios if ratio is not None]
    if found and not 1 / UNITS <= (ratio := float(np.median(found))) <= UNITS and ratio > 0:
        raise InputError(
            f"audit_released: released numbers spread {ratio:.3g} times as far as the originals': bring release, "
            "members and hold-out to the same units"
        )


def _check_range(released: np.ndarray, known: np.ndarray, what: str) -> None:
    low, high, ratio = float(known.min()), float(known.max()), _ratio(released, known)
    outside = ((released < low) | (released > high)).mean()
    if ratio is not None and not 1 / WIDER <= ratio <= WIDER and outside > OUTSIDE:
        raise InputError(
            f"audit_released: {what}: released from {released.min():.4g} to {released.max():.4g}, originals from "
            f"{low:.4g} to {high:.4g}: bring release, members and hold-out to the same units"
        )


def _ratio(released: np.ndarray, known: np.ndarray) -> float | None:
    """How much wider the middle 98 % are; None where the originals do not vary there."""
    mine, theirs = (np.subtract(*np.quantile(values, [0.99, 0.01])) for values in (released, known))
    return float(mine / theirs) if theirs else None


def _column(pool: Pool, at: int) -> str:
    return f"column {at}" if pool.columns is None else f"column '{pool.columns[at][0]}'"
