"""Common ways to claim a leak, beside ours: false alarms without a leak, and bounds above a known epsilon."""

from collections.abc import Iterator

import numpy as np
from scipy.special import ndtri
from scipy.stats import mannwhitneyu

from calibrated.judged import judged
from calibrated.table import Table, is_above, repetitions, share
from seepage import metrics
from seepage.metrics.intervals import lower_bound
from seepage.metrics.roc import threshold_counts
from seepage.studies.settings import Settings

SETTINGS = Settings()
N_SIDE, N_ATTACKS = 500, 8
MEMBERS = np.arange(2 * N_SIDE) < N_SIDE
EPSILON = 1.0

# Measured once with the tools that are named, same sizes and repetitions.
SOURCE_ALARMS = {
    "AUC > 0.5": "47 %",
    "TPR at FPR 0.1 % at least twice the FPR": "49 %",
    "TPR at FPR 1 % at least twice the FPR": "17 %",
    "accuracy of the best threshold, Clopper-Pearson bound > 0.5": "24 %",
    "epsilon bound of the best threshold, Clopper-Pearson": "12 % (TensorFlow Privacy)",
    "epsilon bound of the best threshold, Katz-log": "93.5 % (TensorFlow Privacy)",
    "best of 8 attacks, p < 0.05 each": "34 %",
    "Mann-Whitney, one-sided": "4.5 %",
    "best of 8 attacks, Mann-Whitney and Holm": "3.7 %",
    "Seepage: epsilon bound over ranks, Bonferroni > 0": "0.5 % (JAX Privacy, over thresholds)",
    "Seepage: epsilon bound of a split threshold > 0": "0.3 % (JAX Privacy)",
}
SOURCE_EPSILON = {
    "best threshold, Clopper-Pearson": "8 % (TensorFlow Privacy)",
    "best threshold, Katz-log": "49 % (TensorFlow Privacy)",
    "fixed threshold, Clopper-Pearson (Seepage)": "0.7 %, median 0.80 (JAX Privacy)",
    "split threshold (Seepage)": "0 %, median 0.69 (JAX Privacy)",
    "Bonferroni over ranks (Seepage)": "0 %, median 0.73 (JAX Privacy, over thresholds)",
    "one run (Seepage)": "2 %, median 0.77 (JAX Privacy)",
}


def tables(scale: float, seed: int) -> Iterator[Table]:
    rng = np.random.default_rng([seed, 1])
    yield _without_a_leak(repetitions(400, scale), rng)
    yield _randomised_response(repetitions(300, scale), rng)


def _without_a_leak(n: int, rng: np.random.Generator) -> Table:
    alarms: dict[str, int] = {}
    for _ in range(n):
        scores = {f"attack {at}": rng.normal(size=2 * N_SIDE) for at in range(N_ATTACKS)}
        for what, alarm in (_naive(scores) | _ours(scores, rng)).items():
            alarms[what] = alarms.get(what, 0) + bool(alarm)
    rows = []
    for what, k in alarms.items():
        nominal = 0.025 if "interval" in what else 0.05
        surely = "above nominal" if is_above(k, n, nominal) else ""
        rows.append((what, share(k, n), f"{100 * nominal:g} %", SOURCE_ALARMS.get(what, "-"), surely))
    return Table(
        f"False alarms without a leak ({N_SIDE} members and {N_SIDE} non-members alike, {n} repetitions)",
        ("claim", "false alarms", "nominal", "source's figure", "surely"),
        rows,
    )


def _naive(scores: dict[str, np.ndarray]) -> dict[str, bool]:
    first = scores["attack 0"]
    p_values = [mannwhitneyu(s[MEMBERS], s[~MEMBERS], alternative="greater").pvalue for s in scores.values()]
    _, hits, wrong = threshold_counts(first, MEMBERS)
    correct = (hits + N_SIDE - wrong).max()
    return {
        "AUC > 0.5": metrics.auc(first, MEMBERS) > 0.5,
        "TPR at FPR 0.1 % at least twice the FPR": hits[wrong <= 0.001 * N_SIDE].max(initial=0) / N_SIDE >= 0.002,
        "TPR at FPR 1 % at least twice the FPR": hits[wrong <= 0.01 * N_SIDE].max(initial=0) / N_SIDE >= 0.02,
        "accuracy of the best threshold, Clopper-Pearson bound > 0.5": lower_bound(correct, 2 * N_SIDE, 0.05) > 0.5,
        "epsilon bound of the best threshold, Clopper-Pearson": _best_bound(first, MEMBERS, _ratio_exact) > 0,
        "epsilon bound of the best threshold, Katz-log": _best_bound(first, MEMBERS, _ratio_katz) > 0,
        "best of 8 attacks, p < 0.05 each": min(p_values) <= 0.05,
        "Mann-Whitney, one-sided": p_values[0] <= 0.05,
        "best of 8 attacks, Mann-Whitney and Holm": metrics.holm(p_values).min() <= 0.05,
    }


def _ours(scores: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, bool]:
    """What an audit says. Intervals are two-sided at 95 %, so their lower end has 2.5 %."""
    first = scores["attack 0"]
    scored = judged(scores, MEMBERS, SETTINGS)
    drawn = rng.random(2 * N_SIDE) < 0.5  # the bound of one run needs a coin for each record
    tpr = metrics.tpr_at_fpr(first, MEMBERS, scored.tested_rate, rng=rng)
    split, ranks = (
        metrics.epsilon_lower_from_scores(first, MEMBERS, threshold=threshold, rng=rng)
        for threshold in ("split", "bonferroni")
    )
    return {
        "Seepage: p-value of one attack": scored.p_values["attack 0"] <= 0.05,
        "Seepage: LEAK SHOWN by the best of 8 attacks": scored.p_values_holm[scored.leading] <= 0.05,
        "Seepage: epsilon bound over ranks, Bonferroni > 0": ranks > 0,
        "Seepage: epsilon bound of a split threshold > 0": split > 0,
        "Seepage: epsilon bound of one run > 0": metrics.epsilon_lower_one_run_from_scores(first, drawn, rng=rng) > 0,
        "Seepage: lower end of the AUC's interval > 0.5": metrics.roc_auc(first, MEMBERS, rng=rng).low > 0.5,
        f"Seepage: lower end of the TPR's interval at FPR {scored.tested_rate:g} > FPR": tpr.low > scored.tested_rate,
    }


def _best_bound(scores: np.ndarray, members: np.ndarray, log_ratio) -> float:
    """The largest bound over all observed thresholds and all four ratios of error rates, each as if it were alone."""
    _, tp, fp = threshold_counts(scores, members)
    p, n = tp[-1], fp[-1]
    ratios = ((tp, fp, p, n), (n - fp, p - tp, n, p), (fp, tp, n, p), (p - tp, n - fp, p, n))
    return max(0.0, *(float(np.max(log_ratio(*ratio))) for ratio in ratios))


def _ratio_exact(x, y, m, n, alpha: float = 0.05):
    """Lower bound of ln((x/m) / (y/n)): both rates at their Clopper-Pearson ends, half of the level each."""
    low, high = lower_bound(x, m, alpha / 2), 1 - lower_bound(n - y, n, alpha / 2)
    with np.errstate(divide="ignore"):
        return np.log(low) - np.log(high)


def _ratio_katz(x, y, m, n, alpha: float = 0.05):
    """Katz: ln((x/m) / (y/n)) - z sqrt(1/x - 1/m + 1/y - 1/n); y = 0 counts as one half."""
    y = np.where(y == 0, 0.5, y)
    z = ndtri(1 - alpha)
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.log(x / m) - np.log(y / n) - z * np.sqrt(np.maximum(0, 1 / x - 1 / m + 1 / y - 1 / n))
    return np.where(x > 0, bound, -np.inf)


def _randomised_response(n: int, rng: np.random.Generator) -> Table:
    """Each record answers truthfully with chance e^epsilon / (1 + e^epsilon); ties are broken by noise."""
    bounds: dict[str, list[float]] = {}
    for _ in range(n):
        members = rng.random(2 * N_SIDE) < 0.5
        answers = members ^ (rng.random(2 * N_SIDE) > np.exp(EPSILON) / (1 + np.exp(EPSILON)))
        scores = answers + 0.5 * rng.random(2 * N_SIDE)
        counts = (answers & members).sum(), members.sum(), (answers & ~members).sum(), (~members).sum()
        split, ranks = (
            metrics.epsilon_lower_from_scores(scores, members, threshold=threshold, rng=rng)
            for threshold in ("split", "bonferroni")
        )
        for what, bound in {
            "best threshold, Clopper-Pearson": _best_bound(scores, members, _ratio_exact),
            "best threshold, Katz-log": _best_bound(scores, members, _ratio_katz),
            "fixed threshold, Clopper-Pearson (Seepage)": metrics.epsilon_lower_clopper_pearson(*counts),
            "split threshold (Seepage)": split,
            "Bonferroni over ranks (Seepage)": ranks,
            "one run (Seepage)": metrics.epsilon_lower_one_run_from_scores(scores, members, rng=rng),
        }.items():
            bounds.setdefault(what, []).append(bound)
    rows = []
    for what, values in bounds.items():
        k = int(np.sum(np.array(values) > EPSILON))
        surely = "above nominal" if is_above(k, n, 0.05) else ""
        rows.append((what, share(k, n), f"{np.median(values):.2f}", SOURCE_EPSILON[what], surely))
    return Table(
        f"Bounds on epsilon above the truth of {EPSILON:g} (randomised response, {2 * N_SIDE} records, {n} "
        "repetitions, nominal 5 %)",
        ("bound", "above the truth", "median", "source's figure", "surely"),
        rows,
    )
