"""Intervals, lower bounds and privacy bounds against the truth that they are about."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import rankdata

from calibrated.judged import judged
from calibrated.populations import Population, five_values, normal, skewed_down, skewed_up, some_above
from calibrated.table import Table, is_above, is_below, repetitions, share
from seepage import metrics
from seepage.metrics.separation import _best_threshold, random_half
from seepage.studies.audit.findings import _epsilon
from seepage.studies.audit.verdict import lower_bound
from seepage.studies.settings import Settings

SETTINGS = Settings()
N_ATTACKS = 11
SIDES = ((500, 500), (500, 50), (50, 500))
POPULATIONS = (normal(0.64), skewed_up(0.64), skewed_down(0.64), some_above(0.55), five_values(0.64))

Outcome = tuple[float, float, float]  # low end, high end, truth


def tables(scale: float, seed: int) -> Iterator[Table]:
    rng = np.random.default_rng([seed, 3])
    yield from _one_target(repetitions(800, scale), rng)
    yield _proportions(repetitions(4000, scale), rng)
    yield from _several_targets(repetitions(250, scale), rng)
    yield _lower_bounds_of_auc(repetitions(3000, scale), rng)
    yield _lower_bounds_of_tpr(repetitions(2000, scale), rng)
    yield _leading(repetitions(1000, scale), rng)


@dataclass
class Tally:
    """How often an interval missed, and on which side."""

    n: int = 0
    low_above: int = 0
    high_below: int = 0

    def add(self, outcome: Outcome) -> None:
        low, high, truth = outcome
        self.n += 1
        self.low_above += low > truth + 1e-12
        self.high_below += high < truth - 1e-12

    def cells(self, tail_low: float = 0.025, tail_high: float = 0.025) -> tuple[str, ...]:
        missed = self.low_above + self.high_below
        surely = []
        if is_below(self.n - missed, self.n, 1 - tail_low - tail_high):
            surely.append("coverage")
        if is_above(self.low_above, self.n, tail_low):
            surely.append("low end")
        if is_above(self.high_below, self.n, tail_high):
            surely.append("high end")
        counts = (self.n - missed, self.low_above, self.high_below)
        return *(share(k, self.n) for k in counts), ", ".join(surely)


CELLS = ("truth inside", "low end above it", "high end below it", "surely beyond")


def _one_target(n: int, rng: np.random.Generator) -> Iterator[Table]:
    tallies: dict[str, dict[tuple[str, str], Tally]] = {}
    for n_in, n_out in SIDES:
        members = np.arange(n_in + n_out) < n_in
        for population in POPULATIONS:
            best = population.best_balanced_accuracy()
            for _ in range(n):
                for what, outcome in _outcomes(population, members, best, rng).items():
                    cell = tallies.setdefault(what, {}).setdefault((f"{n_in} + {n_out}", population.name), Tally())
                    cell.add(outcome)
    for what, cells in tallies.items():
        # At FPR 0 the positive predictive value rests on two bounds, of the TPR and of the FPR, each with a tail.
        tails = (0.05, 0.025) if "predictive" in what else (0.025, 0.025)
        rows = [(*cell, *tally.cells(*tails)) for cell, tally in cells.items()]
        nominal = f"{100 - 100 * sum(tails):g} % inside, tails {100 * tails[0]:g} % and {100 * tails[1]:g} %"
        yield Table(f"{what}: {n} repetitions, nominal {nominal}", ("sides", "scores", *CELLS), rows)


def _outcomes(population: Population, members: np.ndarray, best: float, rng) -> dict[str, Outcome]:
    """Interval and truth of every measure on one draw of the records."""
    scores = population.draw(members, rng)
    n_in, n_out = int(members.sum()), int((~members).sum())
    edge = scores[~members].max()  # the threshold at FPR 0
    lowest = scores[members].min()  # and the one at FNR 0
    tpr_zero, fpr_zero = float(population.above_in(edge)), float(population.above_out(edge))
    found: dict[str, Outcome] = {}

    auc = metrics.roc_auc(scores, members, rng=rng)
    found["AUC"] = (auc.low, auc.high, population.auc)

    halves = int(rng.integers(2**62))
    accuracy = metrics.balanced_accuracy(scores, members, rng=np.random.default_rng(halves))
    chosen = _balanced_accuracy_of_chosen(population, scores, members, np.random.default_rng(halves))
    found["Balanced accuracy and advantage, of the thresholds chosen"] = (accuracy.low, accuracy.high, chosen)
    found["Balanced accuracy and advantage, of the best threshold (low end only)"] = (accuracy.low, 1.0, best)

    for fpr in (0.1, 0.01, 0.0):
        tpr = metrics.tpr_at_fpr(scores, members, fpr, rng=rng)
        if tpr.value is None:
            continue
        also = " (and PPV, which rises with it)" if fpr else ", of that threshold"
        found[f"TPR at FPR {fpr:g}{also}"] = (tpr.low, tpr.high, float(population.roc(fpr)) if fpr else tpr_zero)
    worth = metrics.positive_predictive_value(tpr, 0.0, 0.5)
    if worth.value is not None:
        truth = tpr_zero / (tpr_zero + fpr_zero) if tpr_zero + fpr_zero else 1.0
        found["Positive predictive value at FPR 0, of that threshold, prior 1/2"] = (worth.low, worth.high, truth)

    for fnr in (0.1, 0.0):
        tnr = metrics.tnr_at_fnr(scores, members, fnr, rng=rng)
        truth = float(population.mirrored(fnr)) if fnr else float(1 - population.reached_out(lowest))
        found[f"TNR at FNR {fnr:g}{'' if fnr else ', of that threshold'}"] = (tnr.low, tnr.high, truth)

    grid = np.array([0.5 / n_out, 1 / n_out, 5 / n_out, 0.5])
    names = ("half a non-member (shown at FPR 0)", "1 non-member", "5 non-members", "0.5")
    _, lows, highs = metrics.roc_band(scores, members, grid, rng=rng)
    truths = [tpr_zero, *(float(population.roc(f)) for f in grid[1:])]
    for name, *outcome in zip(names, lows, highs, truths, strict=True):
        found[f"Band of the ROC curve at an FPR of {name}"] = tuple(map(float, outcome))

    for regime in ("a", "b"):
        log_mia = metrics.log_mia(scores, members, regime, rng=rng)
        n_allowed = log_mia.false_positives_allowed
        rate = float(population.roc(n_allowed / n_out)) if n_allowed else tpr_zero
        found[f"Log-MIA, regime {regime}"] = (log_mia.low, log_mia.high, np.log1p(rate * n_in) / np.log1p(n_in))
    return found


def _balanced_accuracy_of_chosen(population: Population, scores, members, rng) -> float:
    """True (TPR + TNR) / 2 of the two thresholds that `balanced_accuracy` chooses, as it weighs them."""
    first = random_half(members, rng)
    right_in = right_out = 0.0
    for half in (first, ~first):
        threshold = _best_threshold(scores[half], members[half])
        right_in += (members & ~half).sum() * float(population.reached_in(threshold))
        right_out += (~members & ~half).sum() * (1 - float(population.reached_out(threshold)))
    return (right_in / members.sum() + right_out / (~members).sum()) / 2


def _proportions(n: int, rng: np.random.Generator) -> Table:
    rows = []
    for n_records in (20, 100, 1000):
        for truth in (0.01, 0.1, 0.5):
            tally = Tally()
            for _ in range(n):
                found = metrics.proportion(rng.random(n_records) < truth)
                tally.add((found.low, found.high, truth))
            rows.append((n_records, truth, *tally.cells()))
    return Table(f"Proportion: {n} repetitions, nominal 95 %", ("records", "truth", *CELLS), rows)


@dataclass(frozen=True)
class Targets:
    """Several targets that judge the same records, each record a member by a coin of each target.

    score = difficulty d_i + shift_t M_it + noise, shift_t ~ N(shift, spread^2), d_i ~ N(0, difficulty^2).
    """

    name: str
    n_targets: int
    shift: float = 0.7
    spread: float = 0.0
    difficulty: float = 0.0
    n_records: int = 300

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        members = rng.random((self.n_records, self.n_targets)) < 0.5
        shifts = self.shift + self.spread * rng.normal(size=self.n_targets)
        difficulty = self.difficulty * rng.normal(size=(self.n_records, 1))
        return difficulty + shifts * members + rng.normal(size=members.shape), members

    def mean(self, of_shift) -> float:
        """Expected value of a function of (shift, sd of a score) over targets, by Gauss-Hermite quadrature."""
        at, weights = np.polynomial.hermite_e.hermegauss(60)
        values = of_shift(self.shift + self.spread * at, np.hypot(1, self.difficulty))
        return float(weights @ values / weights.sum())


TARGETS = (
    Targets("8 targets alike", 8),
    Targets("8 targets that differ (sd 0.4)", 8, spread=0.4),
    Targets("8 targets, records of own difficulty (sd 2)", 8, difficulty=2.0),
    Targets("2 targets that differ (sd 0.1)", 2, spread=0.1),
    Targets("2 targets that differ (sd 0.4)", 2, spread=0.4),
)


def _several_targets(n: int, rng: np.random.Generator) -> Iterator[Table]:
    tallies: dict[str, dict[str, Tally]] = {}
    for targets in TARGETS:
        for _ in range(n):
            for what, outcome in _outcomes_of_several(targets, rng).items():
                tallies.setdefault(what, {}).setdefault(targets.name, Tally()).add(outcome)
    for what, cells in tallies.items():
        rows = [(name, *tally.cells()) for name, tally in cells.items()]
        yield Table(f"Several targets, {what}: 300 records, {n} repetitions, nominal 95 %", ("targets", *CELLS), rows)


def _outcomes_of_several(targets: Targets, rng: np.random.Generator) -> dict[str, Outcome]:
    scores, members = targets.draw(rng)

    def tpr(fpr):
        return lambda shift, sd: ndtr(ndtri(fpr) + shift / sd)

    found = {
        "AUC": (metrics.roc_auc, (), lambda shift, sd: ndtr(shift / sd / np.sqrt(2))),
        "TPR at FPR 0.1": (metrics.tpr_at_fpr, (0.1,), tpr(0.1)),
        "TNR at FNR 0.1": (metrics.tnr_at_fnr, (0.1,), tpr(0.1)),
        "TPR at FPR 0.1, pooled": (metrics.pooled_tpr_at_fpr, (0.1,), tpr(0.1)),
        "TPR at FPR 0.01, pooled": (metrics.pooled_tpr_at_fpr, (0.01,), tpr(0.01)),
    }
    outcomes = {}
    for what, (measure, arguments, of_shift) in found.items():
        estimate = measure(scores, members, *arguments, rng=rng)
        outcomes[what] = (estimate.low, estimate.high, targets.mean(of_shift))
    accuracy = metrics.balanced_accuracy(scores, members, rng=rng)
    best = targets.mean(lambda shift, sd: ndtr(np.abs(shift) / sd / 2))
    outcomes["balanced accuracy of the best threshold (low end only)"] = (accuracy.low, 1.0, best)
    log_mia = metrics.log_mia(scores, members, "b", rng=rng)
    n_in = members.sum(axis=0)
    fprs = log_mia.false_positives_allowed / (len(members) - n_in)
    truth = np.mean(
        [
            targets.mean(lambda shift, sd, f=f, p=p: np.log1p(p * tpr(f)(shift, sd)) / np.log1p(p))
            for f, p in zip(fprs, n_in, strict=True)
        ]
    )
    outcomes["Log-MIA, regime b"] = (log_mia.low, log_mia.high, float(truth))
    return outcomes


def _lower_bounds_of_auc(n: int, rng: np.random.Generator) -> Table:
    """The bound of a verdict at the level of one of 11 attacks, alpha / 11, and the one that it was before."""
    level = SETTINGS.alpha / N_ATTACKS
    settings = replace(SETTINGS, alpha=level, rates=(0.0,))  # no TPR, which has a table of its own
    rows = []

    def add(name: str, sides: str, truth: float, draws, before) -> None:
        bounds, old = [], []
        for scores, members in draws:
            bounds.append(lower_bound(judged({"attack": scores}, members, settings), settings, rng).auc)
            old.append(before(scores, members))
        k, k_old = (int(np.sum(np.array(found) > truth)) for found in (bounds, old))
        rows.append(
            (
                sides, name, f"{truth:.2f}", share(k, n, 2), f"{np.median(bounds):.3f}",
                f"above {100 * level:.2f} %" if is_above(k, n, level) else "",
                "-" if np.isnan(old).any() else share(k_old, n, 2),
                "-" if np.isnan(old).any() else f"{np.median(old):.3f}",
            )
        )  # fmt: skip

    for n_in, n_out in SIDES:
        members = np.arange(n_in + n_out) < n_in
        for auc in (0.6, 0.9, 0.98):
            for population in (normal(auc), skewed_up(auc), skewed_down(auc)):
                draws = ((population.draw(members, rng), members) for _ in range(n))
                add(population.name, f"{n_in} + {n_out}", auc, draws, lambda s, m: _logit_delong(s, m, level))
    for targets in TARGETS:
        truth = targets.mean(lambda shift, sd: ndtr(shift / sd / np.sqrt(2)))
        draws = (targets.draw(rng) for _ in range(n))
        add(targets.name, "coins for 300", truth, draws, lambda *_: np.nan)
    columns = ("sides", "scores", "AUC", "bound above it", "median", "surely", "before: above it", "before: median")
    return Table(
        f"Lower bound of the AUC, one of 11 attacks: {n} repetitions, nominal {100 * level:.2f} %", columns, rows
    )


def _logit_delong(scores: np.ndarray, members: np.ndarray, level: float) -> float:
    """logit(AUC) - z sd / (AUC (1 - AUC)) with DeLong's variance and a normal quantile."""
    n_in, n_out = int(members.sum()), int((~members).sum())
    ranks = rankdata(scores)
    inside = (ranks[members] - rankdata(scores[members])) / n_out
    outside = 1 - (ranks[~members] - rankdata(scores[~members])) / n_in
    auc = inside.mean()
    sd = np.sqrt(inside.var(ddof=1) / n_in + outside.var(ddof=1) / n_out)
    if not 0 < auc < 1 or sd == 0:
        return metrics.clopper_pearson(auc * min(n_in, n_out), min(n_in, n_out), 1 - 2 * level)[0]
    return float(expit(logit(auc) - ndtri(1 - level) * sd / (auc * (1 - auc))))


def _lower_bounds_of_tpr(n: int, rng: np.random.Generator) -> Table:
    level = SETTINGS.alpha / N_ATTACKS
    settings = replace(SETTINGS, alpha=level)
    rows = []
    for n_in, n_out in ((500, 500), (50, 500), (2000, 200), (200, 2000)):
        members = np.arange(n_in + n_out) < n_in
        for population in (normal(0.64), normal(0.98), skewed_up(0.64), skewed_down(0.64), some_above(0.55)):
            bounds = []
            for _ in range(n):
                scored = judged({"attack": population.draw(members, rng)}, members, settings)
                bounds.append(lower_bound(scored, settings, rng).tpr)
            truth, fpr = float(population.roc(scored.supported_rate)), scored.supported_rate
            k = int(np.sum(np.array(bounds) > truth))
            surely = f"above {100 * level:.2f} %" if is_above(k, n, level) else ""
            name = f"{population.name}, AUC {population.auc:.2f}"
            median = f"{np.median(bounds):.3f}"
            rows.append((f"{n_in} + {n_out}", name, f"{fpr:g}", f"{truth:.3f}", share(k, n, 2), median, surely))
    columns = ("sides", "scores", "FPR", "TPR", "bound above it", "median", "surely")
    return Table(
        f"Lower bound of the TPR, one of 11 attacks: {n} repetitions, nominal {100 * level:.2f} %", columns, rows
    )


def _leading(n: int, rng: np.random.Generator) -> Table:
    """What a reader looks at: the numbers of the leading attack, or the largest, of 11 attacks that draw alone."""
    rows = []
    names = [f"attack {at}" for at in range(N_ATTACKS)]
    n_records = 1000
    for epsilon in (0.0, 1.0):
        now, before = [], []
        for _ in range(n):
            members = rng.random(n_records) < 0.5
            truthful = rng.random((N_ATTACKS, n_records)) < expit(epsilon)
            scores = dict(zip(names, (members == truthful) + 0.5 * rng.random(truthful.shape), strict=True))
            scored = judged(scores, members, SETTINGS)
            for found, n_attacks in ((now, N_ATTACKS), (before, 1)):
                values = {
                    name: _epsilon(columns, scored.members, True, n_attacks, SETTINGS, rng).value
                    for name, columns in scored.scores.items()
                }
                found.append((values[scored.leading], max(values.values())))
        for at, which in enumerate(("leading", "largest")):
            new, old = (np.array(found)[:, at] for found in (now, before))
            rows.append(_row_of_leading(f"epsilon bound, {which}", f"{epsilon:g}", new, epsilon, old))
    members = np.arange(n_records) < n_records // 2
    population = normal(0.6)
    settings = replace(SETTINGS, rates=(0.1,))
    aucs, tprs = [], []
    for _ in range(n):
        scored = judged({name: population.draw(members, rng) for name in names}, members, settings)
        bound = lower_bound(scored, settings, rng)
        aucs.append(bound.auc)
        tprs.append(bound.tpr)
    truth = float(population.roc(0.1))
    rows.append(_row_of_leading("lower bound of the AUC, leading", "0.6", np.array(aucs), 0.6))
    rows.append(_row_of_leading("lower bound of the TPR at FPR 0.1, leading", f"{truth:.3f}", np.array(tprs), truth))
    title = f"Bounds of the leading of {N_ATTACKS} attacks: {n_records} records, {n} repetitions, nominal 5 %"
    columns = ("what", "truth", "above it", "median", "surely", "before (each at 5 %)", "before: median")
    return Table(title, columns, rows)


def _row_of_leading(what: str, shown: str, new: np.ndarray, truth: float, old: np.ndarray | None = None) -> tuple:
    k, n = int((new > truth).sum()), len(new)
    cells = (what, shown, share(k, n), f"{np.median(new):.2f}", "above 5 %" if is_above(k, n, 0.05) else "")
    if old is None:
        return *cells, "-", "-"
    return *cells, share(int((old > truth).sum()), n), f"{np.median(old):.2f}"
