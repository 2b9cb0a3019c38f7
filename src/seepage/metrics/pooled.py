"""One threshold for every target: the TPR at an FPR that no single target has enough non-members for."""

import numpy as np
from jaxtyping import Bool, Float64

from seepage.errors import InputError
from seepage.metrics.bootstrap import BLOCK_CELLS, CELLS, FEWEST_REPLICATES, MOST_REPLICATES
from seepage.metrics.intervals import check_confidence, clopper_pearson, percentile_interval, upper_bound
from seepage.metrics.operating_points import allowed, tpr_at_fpr
from seepage.metrics.roc import check_columns, threshold_counts
from seepage.randomness import Seed, generator
from seepage.schema.estimates import Estimate


def pooled_tpr_at_fpr(
    scores: Float64[np.ndarray, "samples *targets"],
    members: Bool[np.ndarray, "samples *targets"],
    fpr: float,
    *,
    confidence: float = 0.95,
    rng: Seed,
) -> Estimate:
    """The largest TPR at an FPR of at most `fpr`, over all pairs of record and target at one threshold.

    `tpr_at_fpr` takes the mean over targets, each with a threshold of its own, and so needs 1/FPR non-members in each.
    Scores that were calibrated for every record (LiRA, RMIA) mean the same under all targets; then 64 models with 250
    non-members each allow an FPR of 0.1 %, which 250 do not.

    Interval: the pairs are not independent (a record is judged under all targets, a target on all records), so both
    are drawn anew: record i counts w_i times, target t g_t times, a pair w_i g_t times, all by multinomial draws, and
    the threshold is found again in each draw. As in `tpr_at_fpr`, at FPR 0 the threshold stays, and where no draw
    differs the interval is Clopper-Pearson's for the members of one target. One target: `tpr_at_fpr`.

    Args:
        scores: higher = more likely a member, on one scale for all targets.
        members: True = member.
        fpr: in [0, 1).
        confidence: two-sided.
        rng: draws the resamples.

    Returns:
        Estimate with n = pairs of a non-member and a target; undefined and flagged as in `tpr_at_fpr`.

    Raises:
        InputError: fpr outside [0, 1); see also `roc.check_columns`.

    Reference: Aerni, Zhang and Tramèr (2024), arXiv 2404.17399, pool so; Owen (2007) for the bootstrap, which ignores
        that targets share training data.
    """
    rng = generator(rng)
    scores, members = check_columns(scores, members)
    check_confidence(confidence)
    if scores.shape[1] == 1:
        return tpr_at_fpr(scores, members, fpr, confidence=confidence, rng=rng)
    if not 0 <= fpr < 1:
        raise InputError(f"expected an FPR in [0, 1) (0.01 for 1 %), got {fpr!r}")
    n_in, n_out = int(members.sum()), int((~members).sum())
    if fpr > 0 and allowed(fpr, n_out) < 1:
        return Estimate.of(None, None, None, n_out, f"undefined: FPR {fpr:g} is less than one of {n_out} pairs")
    _, hits, wrong = threshold_counts(scores.ravel(), members.ravel())
    value = float(np.append(0, hits)[np.searchsorted(wrong, allowed(fpr, n_out), side="right")] / n_in)
    low, high = percentile_interval(_replicates(scores, members, fpr, rng), confidence)
    if high - low < 1e-12:
        least = int(members.sum(axis=0).min())
        low, high = clopper_pearson(value * least, least, confidence)
    flag = None
    if fpr == 0:
        bound = upper_bound(0, n_out, (1 - confidence) / 2)
        flag = f"zero of {n_out} pairs of non-member and model: were they independent, FPR at most {bound:.2g}"
    elif allowed(fpr, n_out) < 10:
        flag = f"rests on few records: FPR {fpr:g} is {fpr * n_out:.3g} of {n_out} pairs of non-member and model"
    return Estimate.of(value, float(min(low, value)), float(max(high, value)), n_out, flag)


def _replicates(scores, members, fpr: float, rng: np.random.Generator) -> Float64[np.ndarray, " replicates"]:
    n, n_targets = scores.shape
    order = np.argsort(-scores, axis=None, kind="stable")
    record, target = np.unravel_index(order, scores.shape)
    ranked, inside = scores.ravel()[order], members.ravel()[order]
    block_end = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    at_zero = int(np.flatnonzero(np.cumsum(~inside)[block_end] > 0)[0])  # the first block with a non-member
    replicates = int(np.clip(CELLS // scores.size, FEWEST_REPLICATES, MOST_REPLICATES))
    block = max(1, BLOCK_CELLS // scores.size)
    found = []
    for start in range(0, replicates, block):
        size = min(block, replicates - start)
        weights = _draws(size, n, rng)[:, record] * _draws(size, n_targets, rng)[:, target]
        hits = np.cumsum(weights * inside, axis=1)[:, block_end]
        wrong = np.cumsum(weights * ~inside, axis=1)[:, block_end]
        most = np.floor(fpr * wrong[:, -1:] + 1e-9)
        last = at_zero * np.ones(size, dtype=int) if fpr == 0 else (wrong <= most).sum(axis=1)
        above = np.where(last > 0, np.take_along_axis(hits, np.maximum(last - 1, 0)[:, None], axis=1)[:, 0], 0.0)
        is_defined = (hits[:, -1] > 0) & (wrong[:, -1] > 0)
        found.append(above[is_defined] / hits[is_defined, -1])
    return np.concatenate(found)


def _draws(size: int, n: int, rng: np.random.Generator) -> Float64[np.ndarray, "size n"]:
    return rng.multinomial(n, np.full(n, 1 / n), size).astype(float)
