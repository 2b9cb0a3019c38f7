""" "Finds a leak of this size in 80 % of runs": leaks exactly as printed are planted, and the verdict is counted.

A TPR at an FPR leaves the rest of the ROC curve open, so it is planted in three shapes: a likelihood ratio that is flat
above the threshold, one that rises towards the top, and extra members above everybody. The AUC is a shift of normal
scores. The other attacks of an audit are noise, which Holm's correction pays for.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy.special import betaincinv, ndtri
from scipy.stats import hypergeom

from calibrated.judged import is_shown
from calibrated.table import Table, is_below, repetitions, share
from seepage import metrics
from seepage.metrics.operating_points import allowed
from seepage.metrics.significance import SHAPES_OF_LEAK
from seepage.schema.audit import SmallestLeak
from seepage.studies.audit.findings import Scored
from seepage.studies.audit.verdict import smallest_leak
from seepage.studies.settings import Settings

SETTINGS = Settings()
SIZES = ((200, 200), (500, 500), (1000, 1000), (5000, 5000), (2000, 200), (200, 2000))
ATTACKS = (1, 4, 11)
N_TARGETS, RECORDS = 8, (400, 2000)
COLUMNS = (
    "attacks",
    "leak",
    "printed",
    "LEAK SHOWN (at least 80 %)",
    "by the leaking attack itself",
    "surely",
    "before: printed",
    "before: LEAK SHOWN",
)

Design = Callable[[np.random.Generator], np.ndarray]  # membership of one audit
Rule = Callable[[np.ndarray, np.ndarray], float]  # p-value of scores and membership


def tables(scale: float, seed: int) -> Iterator[Table]:
    rng = np.random.default_rng([seed, 2])
    n = repetitions(600, scale)
    for n_in, n_out in SIZES:
        members = np.arange(n_in + n_out) < n_in
        title = f"{n_in} members and {n_out} non-members, {n} repetitions"
        yield Table(f"Leaks as printed: {title}", COLUMNS, _rows(lambda _, members=members: members, n, rng))
    for n_records in RECORDS:

        def coins(rng: np.random.Generator, n_records=n_records) -> np.ndarray:
            return rng.random((n_records, N_TARGETS)) < 0.5

        title = f"{N_TARGETS} targets, coins for {n_records} records, each target with the leak, {n} repetitions"
        yield Table(f"Leaks as printed: {title}", COLUMNS, _rows(coins, n, rng))


def _rows(design: Design, n: int, rng: np.random.Generator) -> list[tuple]:
    claims = {n_attacks: smallest_leak(_audit(design(rng), n_attacks), SETTINGS) for n_attacks in ATTACKS}
    fpr = claims[1].fpr
    rules: dict[str, Rule] = {
        "now": lambda scores, members: metrics.leak_p_value(scores, members, fpr=fpr),
        "before": lambda scores, members: metrics.leak_p_value(scores, members),
    }
    memberships = [design(rng) for _ in range(n)]
    noise = {
        when: np.array([[rule(rng.normal(size=m.shape), m) for _ in range(max(ATTACKS) - 1)] for m in memberships])
        for when, rule in rules.items()
    }
    rows = []
    for n_attacks, claim in claims.items():
        printed = {"now": (claim.auc, claim.tpr), "before": _before(memberships[0], n_attacks, fpr)}
        for leak in ("AUC", *SHAPES_OF_LEAK):
            size = {when: figures[leak != "AUC"] for when, figures in printed.items()}
            shown, by_itself = {}, {}
            for when, rule in rules.items():
                if size[when] >= 1:
                    continue
                p_values = [rule(_planted(leak, size[when], fpr, m, rng), m) for m in memberships]
                audits = [[p, *others[: n_attacks - 1]] for p, others in zip(p_values, noise[when], strict=True)]
                shown[when] = sum(is_shown(audit, SETTINGS) for audit in audits)
                by_itself[when] = sum(metrics.holm(audit)[0] <= SETTINGS.alpha for audit in audits)
            rows.append(_row(n_attacks, leak, claim, size, shown, by_itself, n))
    return rows


def _row(n_attacks: int, leak: str, claim: SmallestLeak, size: dict, shown: dict, by_itself: dict, n: int) -> tuple:
    what = "AUC, normal shift" if leak == "AUC" else f"TPR at FPR {claim.fpr:g}, {leak}"
    return (
        n_attacks,
        what,
        f"{size['now']:.3f}" if "now" in shown else "none",
        share(shown["now"], n) if "now" in shown else "-",
        share(by_itself["now"], n) if "now" in shown else "-",
        "below 80 %" if "now" in shown and is_below(shown["now"], n, SETTINGS.power) else "",
        f"{size['before']:.3f}" if "before" in shown else "none",
        share(shown["before"], n) if "before" in shown else "-",
    )


def _audit(members: np.ndarray, n_attacks: int) -> Scored:
    """As much of an audit as the printed figure depends on."""
    members = members.reshape(len(members), -1)
    names = [f"attack {at}" for at in range(n_attacks)]
    scores = dict.fromkeys(names, np.zeros(members.shape))
    ones = dict.fromkeys(names, 1.0)
    return Scored(scores, {}, members, np.arange(len(members)), ones, ones, SETTINGS)


def _before(members: np.ndarray, n_attacks: int, fpr: float) -> tuple[float, float]:
    """AUC and TPR as they were printed while the p-value was twice the least of two, at alpha / (2 attacks).

    The TPR t of the least count x_c above the (k + 1)-th non-member that is rare enough by chance, from
    Pr[Bin(n_in, t) >= x_c] = power: as if that non-member stood at the FPR itself, and as if the count were tested.
    """
    alpha = SETTINGS.alpha / (2 * n_attacks)
    n_in = int(members.reshape(len(members), -1).sum(axis=0).mean())
    n_out = len(members) - n_in
    auc = metrics.smallest_detectable_auc(n_in, n_out, alpha=alpha, power=SETTINGS.power)
    x, k = np.arange(1, n_in + 1), allowed(fpr, n_out)
    rare = x[hypergeom.sf(x - 1, n_in + n_out, n_in, x + k) <= alpha]
    return auc, float(betaincinv(rare[0], n_in - rare[0] + 1, SETTINGS.power)) if rare.size else 1.0


def _planted(leak: str, size: float, fpr: float, members: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scores of which the members have the stated AUC, or TPR at `fpr`, in the population."""
    if leak == "AUC":
        return rng.normal(size=members.shape) + np.sqrt(2) * ndtri(size) * members
    v = rng.random(members.shape)
    # A score is minus the FPR of the threshold there: uniform for non-members, and ROC(u) <= v for members.
    return -np.where(members, INVERSES[leak](v, size, fpr), v)


def _flat(v, t: float, fpr: float):
    return np.where(v <= t, v * fpr / t, fpr + (v - t) * (1 - fpr) / (1 - t))


def _rising(v, t: float, fpr: float):
    return v ** (np.log(fpr) / np.log(t))


def _extra(v, t: float, fpr: float):
    share_above = (t - fpr) / (1 - fpr)
    return (v - share_above) / (1 - share_above)  # below 0: above every non-member


INVERSES = {"flat": _flat, "rising": _rising, "extra": _extra}  # of SHAPES_OF_LEAK
